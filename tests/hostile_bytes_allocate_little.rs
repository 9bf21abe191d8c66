//! Damaged tables do not make a reader allocate more than the file justifies. Alone in its file,
//! because it counts the allocations of the whole process.
//!
//! A binary of its own: its allocator counts, for all threads.

#![cfg(test)]

mod support;

use std::alloc::System;

use crate::support::hostile::{mend_checksum, read_everything, small_tables};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What reading a small table in more than thirty ways may allocate altogether, for each byte that
/// the file has; it was 3,027 when this was written. A log block that lies about its size can make
/// a byte 1,032, in each of the readings.
const FOR_EACH_BYTE: usize = 6_000;

#[test]
fn flipped_bits_cost_no_memory() {
    let mut most = 0;
    for (_, table) in small_tables() {
        for bit in 0..table.len() * 8 {
            let mut damaged = table.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            mend_checksum(&mut damaged);
            let region = Region::new(ALLOCATOR);
            let _ = read_everything(&damaged);
            let used = region.change().bytes_allocated;
            assert!(used < FOR_EACH_BYTE * table.len(), "{used} bytes for a table of {}, bit {bit}", table.len());
            most = most.max(used / table.len());
        }
    }
    println!("at most {most} bytes for each byte of a table, all readings together");
}
