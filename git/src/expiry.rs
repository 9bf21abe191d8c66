//! Which log entries expire by git's configuration.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::time::{self, Limit};

/// What git's `gc.reflogExpire` is if nobody sets it.
const USUAL: &str = "90.days.ago";

/// What git's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfiguredExpiry {
    /// `gc.<pattern>.reflogExpire`, each pattern once.
    pub patterns: Vec<(Vec<u8>, Limit)>,
    /// `gc.reflogExpire`.
    pub others: Limit,
}

impl ConfiguredExpiry {
    /// What `config` says; git's defaults without one.
    ///
    /// # Errors
    /// If the configuration cannot be read, or says what is not understood: it may protect
    /// something.
    pub fn read(config: Option<&Config>) -> Result<ConfiguredExpiry> {
        let others = time::limit(USUAL).map_err(Error::invalid)?;
        let mut configured = ConfiguredExpiry { patterns: Vec::new(), others };
        let Some(config) = config else { return Ok(configured) };
        for (pattern, value) in config.by_subsection("gc", "reflogExpire") {
            let value = value.map(String::from_utf8_lossy).unwrap_or_default();
            let limit = time::limit(&value)
                .map_err(|error| Error::invalid(format!("{} in git's configuration: {error}", key(pattern))))?;
            match pattern {
                None => configured.others = limit,
                Some(pattern) => configured.put(pattern.to_vec(), limit),
            }
        }
        Ok(configured)
    }

    /// As in git, the value that comes last counts, at the place of the first.
    fn put(&mut self, pattern: Vec<u8>, limit: Limit) {
        match self.patterns.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, known)) => *known = limit,
            None => self.patterns.push((pattern, limit)),
        }
    }
}

fn key(pattern: Option<&[u8]>) -> String {
    match pattern {
        None => "gc.reflogExpire".to_owned(),
        Some(pattern) => format!("gc.{}.reflogExpire", String::from_utf8_lossy(pattern)),
    }
}
