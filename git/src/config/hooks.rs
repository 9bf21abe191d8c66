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
    /// `hook.<event>.enabled` switches all of them.
    ///
    /// # Errors
    /// For what git refuses: a key without a value, a hook without a command, and one that is
    /// called like the event.
    pub(crate) fn hooks(&self, event: &str) -> Result<Vec<ConfiguredHook>> {
        let mut names: Vec<&[u8]> = Vec::new();
        for (name, value) in self.of_hooks("event") {
            let value = value.ok_or_else(|| wrong(name, "event", "has no value"))?;
            if value.is_empty() {
                names.retain(|other| *other != name);
            } else if value == event.as_bytes() {
                if name == value {
                    return Err(wrong(name, "event", "has the name of the event, and needs another one"));
                }
                names.retain(|other| *other != name);
                names.push(name);
            }
        }
        if names.is_empty() || !self.is_hook_on(event.as_bytes()) {
            return Ok(Vec::new());
        }
        let of = |name: &[u8]| {
            let mut commands = self.of_hooks("command").filter(|(of, _)| *of == name).map(|(_, command)| command);
            let command = commands.next_back().flatten();
            let command = command.ok_or_else(|| wrong(name, "command", "is missing, and the hook has an event"))?;
            Ok(ConfiguredHook { name: name.to_vec(), command: command.to_vec() })
        };
        names.into_iter().filter(|name| self.is_hook_on(name)).map(of).collect()
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
