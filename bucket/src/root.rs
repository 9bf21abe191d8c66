//! The object that says what a store holds: its bytes, reader beside writer.
//!
//! Lines of text, then the bytes of the tables that are inline, then a line with a checksum over
//! all before it:
//!
//! ```text
//! reftable root 1
//! store 9f3c55d0a1e24b77
//! edition 1234
//! forgotten 1170
//! hash sha1
//! swap 5d0a1e24b779f3c5 1234 1764500000 60
//! table 0x000000000001-0x000000000040-8d2c1a99.ref 48211 5bd0e3aa apart
//! table 0x000000000041-0x000000000041-11aa09f1.ref 311 09c2aa17 inline
//! data 311
//! (311 bytes)
//! crc 4f0a77e1
//! ```
//!
//! `swap` lines are the latest of each handle, the oldest first and this one last: a number that
//! its writer has drawn, the edition, when, and for how many seconds to keep the line. They answer
//! the one question that a writer has whose answer was lost: whether edition *n* was its own. Of
//! editions up to the one that is `forgotten` lines may be missing.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use reftable::HashKind;
use reftable::engine::update_indexes_of_name;

use crate::error::{Error, ErrorKind, Result};
use crate::history::{History, SwapLine};

const FIRST_LINE: &str = "reftable root 1";

/// One edition of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root {
    /// Drawn when the store is made: another store at the same place has another.
    pub(crate) store: u64,
    /// Counts the swaps. No two editions have equal bytes.
    pub(crate) edition: u64,
    pub(crate) hash: Option<HashKind>,
    /// Who has written this edition, and others.
    pub(crate) history: History,
    /// Oldest first.
    pub(crate) tables: Vec<TableLine>,
}

/// A table of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableLine {
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) crc: u32,
    /// The table, if it is inline.
    pub(crate) inline: Option<Bytes>,
}

/// Who writes an edition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author {
    /// Drawn for this attempt.
    pub(crate) id: u64,
    /// What the same handle has drawn for its swap before, whose end it knows.
    pub(crate) settled: Option<u64>,
    pub(crate) now: Duration,
    /// For how long it may ask what became of this one.
    pub(crate) keep: Duration,
}

impl Root {
    /// The edition after `base`, or the first of a store.
    pub(crate) fn after(base: Option<&Root>, author: &Author) -> Root {
        let history = History::new();
        let new = Root { store: author.id, edition: 0, hash: None, history, tables: Vec::new() };
        let mut root = base.cloned().unwrap_or(new);
        root.edition = root.edition.saturating_add(1);
        let (time, keep) = (author.now.as_secs(), author.keep.as_secs());
        root.history.add(SwapLine { id: author.id, edition: root.edition, time, keep }, author.settled);
        root
    }

    /// Bytes of all tables that are inline.
    pub(crate) fn inline_len(&self) -> usize {
        self.tables.iter().filter_map(|table| table.inline.as_ref()).map(Bytes::len).sum()
    }

    pub(crate) fn print(&self) -> Bytes {
        // Writing to a string cannot fail.
        let mut text = format!("{FIRST_LINE}\nstore {:016x}\nedition {}\n", self.store, self.edition);
        let _ = writeln!(text, "forgotten {}", self.history.forgotten);
        let hash = self.hash.map_or("none".to_owned(), |hash| hash.to_string());
        let _ = writeln!(text, "hash {hash}");
        for SwapLine { id, edition, time, keep } in &self.history.swaps {
            let _ = writeln!(text, "swap {id:016x} {edition} {time} {keep}");
        }
        for TableLine { name, len, crc, inline } in &self.tables {
            let place = if inline.is_some() { "inline" } else { "apart" };
            let _ = writeln!(text, "table {name} {len} {crc:08x} {place}");
        }
        let _ = writeln!(text, "data {}", self.inline_len());
        let mut bytes = text.into_bytes();
        for inline in self.tables.iter().filter_map(|table| table.inline.as_ref()) {
            bytes.extend_from_slice(inline);
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(format!("crc {crc:08x}\n").as_bytes());
        bytes.into()
    }

    /// Reads the object `root`.
    ///
    /// # Errors
    /// `Corrupt`, with the offset, for all that [`Self::print`] does not write; `Unsupported` for
    /// another version.
    pub(crate) fn parse(bytes: &Bytes) -> Result<Root> {
        let mut lines = Lines { bytes, at: 0 };
        lines.first_line()?;
        let body = checked(bytes)?;
        lines.bytes = body;
        let store = lines.hex("store")?;
        let edition = lines.number("edition")?;
        let forgotten = lines.number("forgotten")?;
        let hash = lines.hash()?;
        let history = lines.history(edition, forgotten)?;
        let mut tables = lines.tables()?;
        lines.data(bytes, &mut tables)?;
        Ok(Root { store, edition, hash, history, tables })
    }
}

/// See [`crate::fuzz_root`].
pub(crate) fn fuzz(bytes: &[u8]) {
    let end = "crc 01234567\n".len();
    let body = bytes.get(..bytes.len().saturating_sub(end)).unwrap_or_default();
    let fitting = [body, format!("crc {:08x}\n", crc32fast::hash(body)).as_bytes()].concat();
    for bytes in [Bytes::copy_from_slice(bytes), fitting.into()] {
        if let Ok(root) = Root::parse(&bytes) {
            assert_eq!(root.print(), bytes, "a root has one form");
        }
    }
}

/// The bytes before the checksum, which fits them.
fn checked(bytes: &[u8]) -> Result<&[u8]> {
    let cut_off = || Error::corrupt("the root is cut off: it does not end with its checksum").at(bytes.len());
    let start = bytes.len().checked_sub("crc 01234567\n".len()).ok_or_else(cut_off)?;
    let (body, line) = bytes.split_at_checked(start).ok_or_else(cut_off)?;
    let text = line.strip_prefix(b"crc ").and_then(|rest| rest.strip_suffix(b"\n")).ok_or_else(cut_off)?;
    let wanted = hex(text, 8).ok_or_else(cut_off)?;
    if u64::from(crc32fast::hash(body)) != wanted {
        return Err(Error::corrupt("the checksum of the root does not fit its bytes").at(start));
    }
    Ok(body)
}

/// Digits in lower case, exactly so many.
fn hex(digits: &[u8], len: usize) -> Option<u64> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = std::str::from_utf8(digits).ok().filter(|text| text.len() == len && digits.iter().all(is_digit))?;
    u64::from_str_radix(text, 16).ok()
}

/// A number without leading zeros or sign.
fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// The lines of a root, and how far they were read.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn error(&self, what: &str) -> Error {
        Error::corrupt(what).at(self.at)
    }

    /// What the next line has after this word.
    fn peek(&self, word: &str) -> Option<(&'a [u8], usize)> {
        let rest = self.bytes.get(self.at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = rest.get(..end)?;
        let value = line.strip_prefix(word.as_bytes())?.strip_prefix(b" ")?;
        Some((value, self.at.checked_add(end)?.checked_add(1)?))
    }

    fn value(&mut self, word: &str) -> Result<&'a [u8]> {
        let (value, next) = self.peek(word).ok_or_else(|| self.error(&format!("there is no line '{word}'")))?;
        self.at = next;
        Ok(value)
    }

    fn first_line(&mut self) -> Result<()> {
        let start = format!("{FIRST_LINE}\n");
        if self.bytes.starts_with(start.as_bytes()) {
            self.at = start.len();
            return Ok(());
        }
        match self.peek("reftable root") {
            Some((b"numbered", _)) => {
                let message = "the roots of this store have numbers: open it through `Numbered`";
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            Some((version, _)) => {
                let version = reftable::escape::escaped(version.get(..version.len().min(20)).unwrap_or_default());
                let message = format!("a root of version '{version}': this build knows version 1 only");
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            None => Err(self.error("this is not the root of a reference store")),
        }
    }

    fn hex(&mut self, word: &str) -> Result<u64> {
        let at = self.at;
        let value = self.value(word)?;
        hex(value, 16).ok_or_else(|| Error::corrupt(format!("'{word}' is not 16 hexadecimal digits")).at(at))
    }

    fn number(&mut self, word: &str) -> Result<u64> {
        let at = self.at;
        let value = self.value(word)?;
        decimal(value).ok_or_else(|| Error::corrupt(format!("'{word}' is not a number")).at(at))
    }

    fn hash(&mut self) -> Result<Option<HashKind>> {
        let at = self.at;
        match self.value("hash")? {
            b"none" => Ok(None),
            b"sha1" => Ok(Some(HashKind::Sha1)),
            b"sha256" => Ok(Some(HashKind::Sha256)),
            _ => Err(Error::corrupt("the hash is none of sha1, sha256 and none").at(at)),
        }
    }

    fn history(&mut self, edition: u64, forgotten: u64) -> Result<History> {
        let mut history = History { forgotten, ..History::new() };
        while let Some((value, next)) = self.peek("swap") {
            let swap = swap_line(value).ok_or_else(|| self.error("this is not a swap, its edition and times"))?;
            if swap.edition <= history.edition() {
                return Err(self.error("the swaps are not in the order of their editions"));
            }
            history.swaps.push_back(swap);
            self.at = next;
        }
        if history.edition() != edition || forgotten >= edition {
            return Err(self.error("the last swap is not that of this edition"));
        }
        Ok(history)
    }

    fn tables(&mut self) -> Result<Vec<TableLine>> {
        let mut tables = Vec::new();
        let mut names = BTreeSet::new();
        let mut newest = None;
        while let Some((value, next)) = self.peek("table") {
            let table = table_line(value).ok_or_else(|| self.error("this is not a table, its length and checksum"))?;
            if !names.insert(table.name.clone()) {
                return Err(self.error("a table is there twice"));
            }
            // What cleaning rests on; the writers of this crate keep it.
            let (min, max) = update_indexes_of_name(&table.name).unwrap_or_default();
            if min > max || newest.is_some_and(|newest| min <= newest) {
                return Err(self.error("the update indexes of the tables overlap or run backwards"));
            }
            newest = Some(max);
            tables.push(table);
            self.at = next;
        }
        Ok(tables)
    }

    /// Gives each inline table its bytes, which are all that is left.
    fn data(&mut self, whole: &Bytes, tables: &mut [TableLine]) -> Result<()> {
        let at = self.at;
        let announced = self.number("data")?;
        let left = self.bytes.len().saturating_sub(self.at);
        if u64::try_from(left).ok() != Some(announced) {
            return Err(Error::corrupt(format!("{announced} bytes of tables are announced, {left} are there")).at(at));
        }
        for table in tables.iter_mut().filter(|table| table.inline.is_some()) {
            let end = usize::try_from(table.len).ok().and_then(|len| self.at.checked_add(len));
            let end = end.filter(|end| *end <= self.bytes.len());
            let end = end.ok_or_else(|| self.error(&format!("the inline table {} is cut off", table.name)))?;
            let bytes = whole.slice(self.at..end);
            if crc32fast::hash(&bytes) != table.crc {
                return Err(self.error(&format!("the checksum of the inline table {} does not fit", table.name)));
            }
            table.inline = Some(bytes);
            self.at = end;
        }
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.error("there are bytes that belong to no table")) }
    }
}

fn swap_line(value: &[u8]) -> Option<SwapLine> {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').collect();
    let [id, edition, time, keep] = words.as_slice() else { return None };
    Some(SwapLine { id: hex(id, 16)?, edition: decimal(edition)?, time: decimal(time)?, keep: decimal(keep)? })
}

/// A table whose bytes, if it is inline, are to follow.
fn table_line(value: &[u8]) -> Option<TableLine> {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').collect();
    let [name, len, crc, place] = words.as_slice() else { return None };
    let name = std::str::from_utf8(name).ok().filter(|name| update_indexes_of_name(name).is_some())?;
    let inline = match *place {
        b"inline" => Some(Bytes::new()),
        b"apart" => None,
        _ => return None,
    };
    Some(TableLine { name: name.to_owned(), len: decimal(len)?, crc: u32::try_from(hex(crc, 8)?).ok()?, inline })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, inline: Option<&'static [u8]>) -> TableLine {
        let bytes = inline.unwrap_or(b"elsewhere");
        let (len, crc) = (bytes.len() as u64, crc32fast::hash(bytes));
        TableLine { name: name.to_owned(), len, crc, inline: inline.map(Bytes::from_static) }
    }

    fn author(id: u64, seconds: u64) -> Author {
        Author { id, settled: None, now: Duration::from_secs(seconds), keep: Duration::from_secs(60) }
    }

    fn example() -> Root {
        let first = Root::after(None, &author(7, 1000));
        let mut root = Root::after(Some(&first), &author(8, 1001));
        root.hash = Some(HashKind::Sha1);
        root.tables = vec![
            table("0x000000000001-0x000000000003-01234567.ref", None),
            table("0x000000000004-0x000000000004-0a1b2c3d.ref", Some(b"some\nbytes")),
            table("0x000000000005-0x000000000005-0a1b2c3e.ref", Some(b"\0\xff")),
        ];
        root
    }

    #[test]
    fn what_is_printed_is_read() {
        let empty = Root::after(None, &author(1, 0));
        for root in [example(), empty] {
            assert_eq!(Root::parse(&root.print()).unwrap(), root);
        }
    }

    #[test]
    fn every_damaged_bit_and_every_cut_is_refused() {
        let whole = example().print();
        for at in 0..whole.len() {
            let kind = Root::parse(&whole.slice(..at)).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::Corrupt), "cut off at {at}: {kind:?}");
            for bit in 0..8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << bit;
                let error = Root::parse(&bytes.into()).unwrap_err();
                let is_told = error.kind() == ErrorKind::Corrupt && error.offset().is_some();
                assert!(is_told || error.kind() == ErrorKind::Unsupported, "bit {bit} of {at}: {error}");
            }
        }
        let mut longer = whole.to_vec();
        longer.push(b'\n');
        assert!(Root::parse(&longer.into()).is_err());
    }

    /// Replaces `from`, and makes the checksum fit.
    fn forged(from: &str, to: &str) -> Result<Root> {
        let whole = example().print();
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut bytes = [&whole[..at], to.as_bytes(), &whole[at + from.len()..whole.len() - 13]].concat();
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(format!("crc {crc:08x}\n").as_bytes());
        Root::parse(&bytes.into())
    }

    #[test]
    fn what_has_another_form_is_refused_also_with_a_checksum_that_fits() {
        assert_eq!(forged("edition 2", "edition 2").unwrap(), example(), "the forger changes nothing else");
        let name = "0x000000000001-0x000000000003-01234567.ref";
        for (from, to) in [
            ("edition 2", "edition 02"),
            ("edition 2", "edition 1"),
            ("edition 2", "edition +2"),
            ("edition 2", "edition 99999999999999999999"),
            ("hash sha1", "hash md5"),
            ("store 0", "store A"),
            (name, "../../../etc/passwd"),
            (name, "0x000000000001-0x000000000003-0123456/.ref"),
            (name, "0x000000000004-0x000000000004-0a1b2c3d.ref"),
            (" 9 ", " 9  "),
            (" 10 ", " 11 "),
            (" 10 ", " 18446744073709551615 "),
            (" apart", " inline"),
            (" inline", " apart"),
            ("data 12", "data 13"),
            ("some\nbytes", "some\nBytes"),
            ("data 12\n", "data 12\nx"),
            ("swap 0000000000000007", "swap 7"),
            ("8 2 1001 60", "8 2 1001"),
            ("8 2 1001 60", "8 2 1001 60 1"),
            ("8 2 1001 60", "8 2 1001 060"),
            ("8 2 1001 60", "8 1 1001 60"),
            ("8 2 1001 60", "8 3 1001 60"),
            ("forgotten 0", "forgotten 2"),
            ("0x000000000004-0x000000000004", "0x000000000003-0x000000000004"),
            ("0x000000000001-0x000000000003", "0x000000000003-0x000000000001"),
            ("0x000000000001-0x000000000003", "0x000000000006-0x000000000006"),
        ] {
            assert_eq!(forged(from, to).unwrap_err().kind(), ErrorKind::Corrupt, "{from} for {to}");
        }
        assert_eq!(forged("root 1", "root 2").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn what_the_fuzzer_starts_from_and_its_neighbours_have_one_form_or_none() {
        let corpus = format!("{}/../fuzz/corpus/root", env!("CARGO_MANIFEST_DIR"));
        let mut read = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            read += usize::from(Root::parse(&bytes.clone().into()).is_ok());
            for at in 0..bytes.len() {
                for other in [b'0', b' ', b'\n', b'9', 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[at] = other;
                    fuzz(&bytes);
                    bytes.remove(at);
                    fuzz(&bytes);
                }
            }
        }
        assert_eq!(read, 2);
    }
}
