//! Which log entries expire by git's configuration.

use std::fmt::Display;

use bstr::BStr;
use gix_glob::wildmatch::Mode;
use reftable::compact::Expiry;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::time::{self, Limit};

/// What git's `gc.reflogExpire` is if nobody sets it.
const USUAL: &str = "90.days.ago";

/// What git's `gc.reflogExpireUnreachable` is if nobody sets it.
const USUAL_UNREACHABLE: &str = "30.days.ago";

/// What git's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfiguredExpiry {
    /// What `gc.<pattern>.*` says for the logs of some references, each pattern once.
    pub patterns: Vec<PatternExpiry>,
    /// `gc.reflogExpire`.
    pub others: Limit,
    /// `gc.reflogExpireUnreachable`.
    pub others_unreachable: Limit,
}

/// What git's configuration says for the logs of the references that match a pattern. As in git a
/// key that is not there is `never` for them, and not what it is for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternExpiry {
    /// Where `*` and `?` match slashes, too. It matches whole names.
    pub pattern: Vec<u8>,
    /// `gc.<pattern>.reflogExpire`.
    pub total: Limit,
    /// `gc.<pattern>.reflogExpireUnreachable`.
    pub unreachable: Limit,
}

impl ConfiguredExpiry {
    /// What `config` says; git's defaults without one.
    ///
    /// # Errors
    /// If the configuration cannot be read, or says what is not understood: it may protect
    /// something.
    pub fn read(config: Option<&Config>) -> Result<ConfiguredExpiry> {
        let usual = |text| time::limit(text).map_err(Error::invalid);
        let (others, others_unreachable) = (usual(USUAL)?, usual(USUAL_UNREACHABLE)?);
        let mut configured = ConfiguredExpiry { patterns: Vec::new(), others, others_unreachable };
        let Some(config) = config else { return Ok(configured) };
        for (pattern, key, value) in config.section("gc") {
            let is_total = match key {
                "reflogexpire" => true,
                "reflogexpireunreachable" => false,
                _ => continue,
            };
            let limit = time::limit(&value.map(String::from_utf8_lossy).unwrap_or_default());
            let limit = limit.map_err(|error| wrong(pattern, is_total, &error))?;
            match (pattern, is_total) {
                (None, true) => configured.others = limit,
                (None, false) => configured.others_unreachable = limit,
                (Some(pattern), _) => {
                    // One that is no pattern would match nothing, and protect nothing.
                    Expiry::default().rule(pattern, None).map_err(|error| wrong(Some(pattern), is_total, &error))?;
                    configured.put(pattern, is_total, limit);
                }
            }
        }
        Ok(configured)
    }

    /// As in git, the value that comes last counts, at the place of the first.
    fn put(&mut self, pattern: &[u8], is_total: bool, limit: Limit) {
        if self.patterns.iter().all(|known| known.pattern != pattern) {
            self.patterns.push(PatternExpiry { pattern: pattern.to_vec(), total: None, unreachable: None });
        }
        for known in self.patterns.iter_mut().filter(|known| known.pattern == pattern) {
            *(if is_total { &mut known.total } else { &mut known.unreachable }) = limit;
        }
    }

    /// When entries of the log of `name` expire, and those that the reference does not lead to any
    /// more. Stashes, which are entries of a log, only go by a pattern.
    #[must_use]
    pub fn limits(&self, name: &[u8]) -> (Limit, Limit) {
        let matches =
            |pattern: &&PatternExpiry| gix_glob::wildmatch(BStr::new(&pattern.pattern), BStr::new(name), Mode::empty());
        match self.patterns.iter().find(matches) {
            Some(PatternExpiry { total, unreachable, .. }) => (*total, *unreachable),
            None if name == b"refs/stash" => (None, None),
            None => (self.others, self.others_unreachable),
        }
    }
}

fn wrong(pattern: Option<&[u8]>, is_total: bool, error: &dyn Display) -> Error {
    let of = pattern.map(|pattern| format!("{}.", String::from_utf8_lossy(pattern))).unwrap_or_default();
    let key = if is_total { "reflogExpire" } else { "reflogExpireUnreachable" };
    Error::invalid(format!("gc.{of}{key} in git's configuration: {error}"))
}
