//! Which log entries expire: by what the command line says, and by git's configuration.

use reftable::compact::Expiry;
use reftable_git::time::{self, Limit};
use reftable_git::{Config, ConfiguredExpiry};

use crate::failure::Failure;

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
        match text.rsplit_once('=') {
            _ if text == LEFT_OUT => Ok(Wish::Configured),
            None => time::limit(text).map(Wish::Others),
            Some(("", _)) => Err("the pattern before '=' is missing".to_owned()),
            Some((pattern, time)) => {
                Expiry::default().rule(pattern, None).map_err(|error| error.to_string())?;
                time::limit(time).map(|limit| Wish::For(pattern.to_owned(), limit))
            }
        }
    }
}

/// The policy of all wishes together. Patterns of the command line come first, then those of the
/// configuration, unless nothing is asked for but the former. If no other limit is
/// given, that is `gc.reflogExpire`.
///
/// # Errors
/// If the configuration cannot be read, or says what is not understood: it may protect something.
pub(crate) fn policy(wishes: &[Wish], config: Option<&Config>) -> Result<Expiry, Failure> {
    let mut expiry = Expiry::default();
    for wish in wishes {
        if let Wish::For(pattern, limit) = wish {
            expiry = expiry.rule(pattern, *limit)?;
        }
    }
    if wishes.iter().all(|wish| matches!(wish, Wish::For(..))) {
        return Ok(expiry);
    }
    let configured = ConfiguredExpiry::read(config)?;
    for of_pattern in configured.patterns {
        expiry = expiry.rule(of_pattern.pattern, of_pattern.total)?;
    }
    let others = wishes.iter().rev().find_map(|wish| if let Wish::Others(limit) = wish { Some(*limit) } else { None });
    Ok(expiry.before_time(others.unwrap_or(configured.others)))
}
