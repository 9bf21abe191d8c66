//! Which log entries expire: by what the command line says, and by git's configuration.

use std::path::Path;

use gix_config::File;
use jiff::Zoned;
use reftable::Expiry;

use crate::failure::Failure;
use crate::time::{self, Limit};

/// What git's `gc.reflogExpire` is if nobody sets it.
const USUAL: &str = "90.days.ago";

/// What stands for a value that was left out: no argument can be this.
pub(crate) const LEFT_OUT: &str = "\0";

/// A word about expiry on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// What the configuration says.
    Configured,
    /// For all logs that the configuration has no pattern for.
    Others(Limit),
    /// For the logs of references that match.
    For(String, Limit),
}

impl Wish {
    /// Reads `[PATTERN=]TIME`.
    ///
    /// # Errors
    /// For times and patterns that are not understood.
    pub(crate) fn parse(text: &str) -> Result<Wish, String> {
        let now = Zoned::now();
        match text.rsplit_once('=') {
            _ if text == LEFT_OUT => Ok(Wish::Configured),
            None => time::limit(text, &now).map(Wish::Others),
            Some(("", _)) => Err("the pattern before '=' is missing".to_owned()),
            Some((pattern, time)) => {
                Expiry::default().rule(pattern, None).map_err(|error| error.to_string())?;
                time::limit(time, &now).map(|limit| Wish::For(pattern.to_owned(), limit))
            }
        }
    }
}

/// The policy of all wishes together. Patterns of the command line come first, then those of the
/// configuration in `common_dir`, unless nothing is asked for but the former. If no other limit is
/// given, that is `gc.reflogExpire`.
///
/// # Errors
/// If the configuration cannot be read, or says what is not understood: it may protect something.
pub(crate) fn policy(wishes: &[Wish], common_dir: Option<&Path>) -> Result<Expiry, Failure> {
    let mut expiry = Expiry::default();
    for wish in wishes {
        if let Wish::For(pattern, limit) = wish {
            expiry = expiry.rule(pattern, *limit)?;
        }
    }
    if wishes.iter().all(|wish| matches!(wish, Wish::For(..))) {
        return Ok(expiry);
    }
    let configured = Configured::read(common_dir)?;
    for (pattern, limit) in configured.patterns {
        expiry = expiry.rule(pattern, limit)?;
    }
    let others = wishes.iter().rev().find_map(|wish| if let Wish::Others(limit) = wish { Some(*limit) } else { None });
    Ok(expiry.before_time(others.unwrap_or(configured.others)))
}

/// What git's configuration says.
struct Configured {
    /// `gc.<pattern>.reflogExpire`, each pattern once.
    patterns: Vec<(Vec<u8>, Limit)>,
    /// `gc.reflogExpire`.
    others: Limit,
}

impl Configured {
    fn read(common_dir: Option<&Path>) -> Result<Configured, Failure> {
        let now = Zoned::now();
        let others = time::limit(USUAL, &now).map_err(Failure::usage)?;
        let mut configured = Configured { patterns: Vec::new(), others };
        let Some(common_dir) = common_dir else { return Ok(configured) };
        let file = File::from_git_dir(common_dir.to_owned())
            .map_err(|error| Failure::file(common_dir, format!("cannot read the configuration: {error}")))?;
        for section in file.sections_by_name("gc").into_iter().flatten() {
            let pattern = section.header().subsection_name().map(|name| name.to_vec());
            if !section.contains_value_name("reflogExpire") {
                continue;
            }
            let value = section.value("reflogExpire").map(|value| String::from_utf8_lossy(&value).into_owned());
            let limit = time::limit(value.as_deref().unwrap_or_default(), &now).map_err(|error| {
                Failure::usage(format!("{} in git's configuration: {error}", key(pattern.as_deref())))
            })?;
            match pattern {
                None => configured.others = limit,
                Some(pattern) => configured.put(pattern, limit),
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
