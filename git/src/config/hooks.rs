//! Hooks that the configuration has: `hook.<name>.event`, `command` and `enabled`, as git reads
//! them.

use reftable::escape::escaped;

use super::Config;
use super::values::boolean;
use crate::error::{Error, Result};

/// A hook of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfiguredHook {
    /// The name that the configuration gives it.
    pub(crate) name: Vec<u8>,
    /// A path, or words for a shell.
    pub(crate) command: Vec<u8>,
}

impl Config {
    /// The hooks for `event` that are on, in the order in which they run. An empty event takes a
    /// hook off all lists, of the commands of a hook the last one counts, and
    /// `hook.<event>.enabled` switches all of them, if there is no hook of that name.
    ///
    /// # Errors
    /// For what git refuses, of hooks for other events, too: a key without a value, a hook without
    /// a command, and one that is called like the event.
    pub(crate) fn hooks(&self, event: &str) -> Result<Vec<ConfiguredHook>> {
        for key in ["event", "command", "enabled"] {
            if let Some((name, _)) = self.of_hooks(key).find(|(_, value)| value.is_none()) {
                return Err(wrong(name, key, "has no value"));
            }
        }
        let mut all: Vec<(&[u8], &[u8])> = Vec::new();
        for (name, value) in self.of_hooks("event") {
            let value = value.unwrap_or_default();
            if !value.is_empty() && name == event.as_bytes() {
                return Err(wrong(name, "event", "has the name of an event, and needs another one"));
            }
            all.retain(|other| other.0 != name || !value.is_empty() && other.1 != value);
            if !value.is_empty() {
                all.push((name, value));
            }
        }
        all.retain(|(name, _)| self.is_hook_on(name));
        // Also one of another event: git does nothing then, and a hook that the user relies on may
        // be meant.
        if let Some((name, _)) = all.iter().find(|(name, _)| self.command_of(name).is_none()) {
            return Err(wrong(name, "command", "is missing, and the hook has an event"));
        }
        // With a command it is a hook that has the name of the event, and no switch.
        if self.command_of(event.as_bytes()).is_none() && !self.is_hook_on(event.as_bytes()) {
            return Ok(Vec::new());
        }
        let of = |(name, _): (&[u8], &[u8])| {
            let command = self.command_of(name)?.to_vec();
            Some(ConfiguredHook { name: name.to_vec(), command })
        };
        Ok(all.into_iter().filter(|(_, of)| *of == event.as_bytes()).filter_map(of).collect())
    }

    fn command_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.of_hooks("command").filter(|(of, _)| *of == name).filter_map(|(_, command)| command).next_back()
    }

    /// Whether `hook.<name>.enabled` leaves it on. What is neither true nor false does not count.
    fn is_hook_on(&self, name: &[u8]) -> bool {
        let values = self.of_hooks("enabled").filter(|(of, value)| *of == name && value.is_some());
        values.filter_map(|(_, value)| boolean(value)).next_back().unwrap_or(true)
    }

    /// `hook.<name>.KEY`, with a key in lower case.
    fn of_hooks<'a>(&'a self, key: &'a str) -> impl DoubleEndedIterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.section("hook").filter_map(move |(name, of, value)| Some((name?, value)).filter(|_| of == key))
    }
}

fn wrong(name: &[u8], key: &str, problem: &str) -> Error {
    Error::invalid(format!("hook.{}.{key} in git's configuration {problem}", escaped(name)))
}
