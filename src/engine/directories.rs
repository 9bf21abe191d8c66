//! Which directories of new names are references themselves.

use std::collections::HashMap;

use crate::error::Result;
use crate::merge::steps;
use crate::name;

/// What is known of directories. Names share theirs, so that each is looked up once, whatever is
/// below it.
#[derive(Default)]
pub(super) struct Directories<'a> {
    /// The nearest that is taken: the directory itself, or one above it.
    nearest: HashMap<&'a [u8], Option<&'a [u8]>>,
}

impl<'a> Directories<'a> {
    /// Those above `name` that are references, the nearest first. Asks `is_taken` about each that
    /// no name before had.
    pub(super) fn taken_above(
        &mut self,
        name: &'a [u8],
        is_taken: impl Fn(&[u8]) -> Result<bool>,
    ) -> Result<impl Iterator<Item = &'a [u8]>> {
        let mut new = Vec::new();
        let mut above = None;
        for directory in name::ancestors(name) {
            if let Some(known) = self.nearest.get(directory) {
                above = *known;
                break;
            }
            new.push(directory);
        }
        for directory in new.into_iter().rev() {
            steps::count();
            above = if is_taken(directory)? { Some(directory) } else { above };
            self.nearest.insert(directory, above);
        }
        let next = |taken: &&'a [u8]| self.nearest_above(taken);
        Ok(std::iter::successors(above, next))
    }

    /// The nearest above `directory`, which is known, and so is what it is in.
    fn nearest_above(&self, directory: &'a [u8]) -> Option<&'a [u8]> {
        name::ancestors(directory).next().and_then(|parent| self.nearest.get(parent).copied().flatten())
    }
}
