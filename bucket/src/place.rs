//! Where the objects of a store are.

use crate::error::{Error, ErrorKind, Result};

/// The prefix of a store's keys.
#[derive(Debug, Clone)]
pub(crate) struct Place(String);

impl Place {
    /// # Errors
    /// `Invalid` for a prefix that is empty, or has empty parts, `.`, `..` or control characters.
    pub(crate) fn new(prefix: &str) -> Result<Place> {
        let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(|c| c.is_control());
        if prefix.split('/').all(is_part) {
            return Ok(Place(prefix.to_owned()));
        }
        let message = format!("'{}' is not a place of a store", reftable::escape::escaped(prefix.as_bytes()));
        Err(Error::new(ErrorKind::Invalid, message))
    }

    /// The key of the object that says what the store holds.
    pub(crate) fn root(&self) -> String {
        self.key("root")
    }

    /// The key of a table, or of anything else.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }

    /// What all keys of the store begin with.
    pub(crate) fn prefix(&self) -> String {
        self.key("")
    }
}
