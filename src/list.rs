//! `tables.list`, the root of a stack, and the names of tables.

use std::collections::BTreeSet;
use std::fmt;

use crate::error::{Error, Result};
use crate::escape::escaped;

/// The file that names the tables of the stack, oldest first.
pub(crate) const LIST: &str = "tables.list";
/// The lock that the list is replaced under.
pub(crate) const LIST_LOCK: &str = "tables.list.lock";

/// Reads the names in a table list: one a line, each line ended by a newline.
///
/// # Errors
/// `Corrupt`, with the offset, for a list without its last newline and for names that are no file
/// names or appear twice.
pub(crate) fn parse(contents: &[u8]) -> Result<Vec<String>> {
    if contents.last().is_some_and(|last| *last != b'\n') {
        let message = "the table list does not end with a newline: it is cut off";
        return Err(Error::corrupt(message).at(contents.len() as u64));
    }
    let mut names = Vec::new();
    let mut seen = BTreeSet::new();
    let mut offset = 0;
    for line in contents.split_inclusive(|&byte| byte == b'\n') {
        let name = line.strip_suffix(b"\n").unwrap_or(line);
        let name = plain_file_name(name).map_err(|error| error.at(offset))?;
        if !seen.insert(name) {
            return Err(Error::corrupt(format!("the table list names {name} twice")).at(offset));
        }
        names.push(name.to_owned());
        offset += line.len() as u64;
    }
    Ok(names)
}

/// The list that names these tables.
pub(crate) fn print<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut list = Vec::new();
    for name in names {
        list.extend_from_slice(name.as_bytes());
        list.push(b'\n');
    }
    list
}

fn plain_file_name(name: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(name).ok().filter(|text| {
        let characters = text.chars().all(|c| !c.is_control() && c != '/' && c != '\\');
        !text.is_empty() && characters && *text != "." && *text != ".." && text.len() <= 255
    });
    text.ok_or_else(|| {
        let shown = escaped(name.get(..name.len().min(80)).unwrap_or_default());
        Error::corrupt(format!("the table list has '{shown}', which is not a file name"))
    })
}

/// The name of a table, which states its update indexes. Tables of the same range differ in the
/// random part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) random: u32,
}

impl TableName {
    /// A name for a table of this library. Of the random part 24 bits are random; the others tell
    /// our tables from those of other programs.
    pub(crate) fn new(min: u64, max: u64, random: u64) -> TableName {
        let random = random as u32 & !0xff;
        TableName { min, max, random: random | Self::mark(min, max, random) }
    }

    /// Whether this library has made the name. Of 256 names that others make, one looks as if.
    pub(crate) fn is_ours(&self) -> bool {
        self.random & 0xff == Self::mark(self.min, self.max, self.random & !0xff)
    }

    /// The same of a table's name as it is written.
    pub(crate) fn is_name_of_ours(table: &str) -> bool {
        TableName::parse(table).is_some_and(|name| name.is_ours())
    }

    fn mark(min: u64, max: u64, random: u32) -> u32 {
        let mixed = (min ^ max.rotate_left(24) ^ u64::from(random)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 56) as u32
    }

    /// The exact form that git writes; `None` for anything else.
    pub(crate) fn parse(name: &str) -> Option<TableName> {
        let mut parts = name.strip_suffix(".ref")?.split('-');
        let min = index(parts.next()?)?;
        let max = index(parts.next()?)?;
        let is_random = |part: &&str| part.len() == 8 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
        let random = parts.next().filter(is_random)?;
        let random = u32::from_str_radix(random, 16).ok()?;
        parts.next().is_none().then_some(TableName { min, max, random })
    }
}

fn index(part: &str) -> Option<u64> {
    let digits = part.strip_prefix("0x")?;
    let hex = (12..=16).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(digits, 16).ok())?
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:012x}-0x{:012x}-{:08x}.ref", self.min, self.max, self.random)
    }
}

/// Files of this library that are locked with the kernel while they are in use, and garbage when
/// they are not. No other program's clean-up rules know their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Temporary {
    /// A list or a table that is being written.
    Output,
    /// The owner of locks: one for each handle that has written.
    Owner,
    /// What a process that waits for the lock asks others to do for it.
    Request,
}

impl Temporary {
    const fn suffix(self) -> &'static str {
        match self {
            Temporary::Output => ".tmp",
            Temporary::Owner => ".owner",
            Temporary::Request => ".request",
        }
    }

    /// A name for such a file.
    pub(crate) fn name(self, random: u64) -> String {
        format!("reftable-{random:016x}{}", self.suffix())
    }

    /// What a file is that was named by [`Self::name`].
    pub(crate) fn of(name: &str) -> Option<Temporary> {
        let rest = name.strip_prefix("reftable-")?;
        [Temporary::Output, Temporary::Owner, Temporary::Request].into_iter().find(|kind| {
            let digits = rest.strip_suffix(kind.suffix()).unwrap_or_default();
            digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        })
    }
}

/// Whether a file was named by [`Temporary::name`].
pub(crate) fn is_temporary_name(name: &str) -> bool {
    Temporary::of(name).is_some()
}

/// What repair appends to the name of a file that leaves the store because it is damaged.
pub(crate) const DAMAGED: &str = ".damaged";

/// What repair appends to the name of a whole table that no list names.
pub(crate) const UNLISTED: &str = ".unlisted";

/// The first name of a file that a repair has kept under another one, with a number if there are
/// several.
pub(crate) fn kept_from(name: &str) -> Option<&str> {
    let is_number = |end: &str| !end.is_empty() && end.bytes().all(|digit| digit.is_ascii_digit());
    let name = name.rsplit_once('.').filter(|(_, end)| is_number(end)).map_or(name, |(name, _)| name);
    let first = name.strip_suffix(DAMAGED).or_else(|| name.strip_suffix(UNLISTED))?;
    (first == LIST || first.ends_with(".ref")).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_survives_a_round_trip() {
        let names = ["a.ref", "b.ref"];
        assert_eq!(parse(&print(names)).unwrap(), names);
        assert!(parse(b"").unwrap().is_empty());
    }

    #[test]
    fn what_a_repair_has_kept_is_known_by_its_name() {
        for (name, first) in [
            ("a.ref.damaged", Some("a.ref")),
            ("a.ref.unlisted.12", Some("a.ref")),
            ("tables.list.damaged", Some("tables.list")),
            ("a.ref", None),
            ("notes.damaged", None),
            ("a.ref.damaged.old", None),
            ("a.ref.damaged.", None),
        ] {
            assert_eq!(kept_from(name), first, "{name}");
        }
    }

    #[test]
    fn lists_that_git_refuses_are_refused() {
        for bad in ["a.ref", "a.ref\nb.ref", "\n", "a\n\nb\n", "../a\n", "a/b\n", "a\0\n", "a\na\n", "..\n"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_exact_table_names_are_recognised() {
        let name = TableName { min: 1, max: 0xabc, random: 0x12 };
        assert_eq!(name.to_string(), "0x000000000001-0x000000000abc-00000012.ref");
        assert_eq!(TableName::parse(&name.to_string()), Some(name));
        for other in [
            "0x1-0x2-00000012.ref",
            "0x000000000001-0x000000000abc-00000012.ref.lock",
            "0x000000000001-0x000000000abc-00000012_123.ref",
            "0x00000000000+-0x000000000abc-00000012.ref",
            "0x000000000001-0x000000000abc-+0000012.ref",
        ] {
            assert_eq!(TableName::parse(other), None, "{other}");
        }
    }
}
