//! Writing a table: runs of blocks, made anew or copied, and the indexes over them.

mod block_copy;
mod fill_factor;
mod object_index;
mod options;
mod radix_sort;
mod run;
mod stats;
mod writer;

pub use options::WriteOptions;
pub(crate) use run::{BlockRun, RunWriter};
pub use stats::{SectionStats, TableStats};
pub use writer::TableWriter;

#[cfg(test)]
mod tests {
    /// Ids that look like random ones, but for a pair that shares seven bytes, and one that is
    /// there three times.
    pub(super) fn ids_to_sort(count: u128) -> Vec<u128> {
        let mix = |number: u128| (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835) & !0xffff_ffff;
        let mut objects: Vec<u128> = (0..count).map(|number| mix(number) | (number / 100)).collect();
        objects.extend([mix(7) ^ (1 << 70), mix(9), mix(9) | 1]);
        objects
    }
}
