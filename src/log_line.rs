//! Reflog entries and identities as git writes them in its log files, a line each.
//!
//! A line is `OLD NEW NAME <EMAIL> SECONDS ZONE`, then a tab and the message if there is one. What
//! could not be read again as it was is refused, in both directions: so an import loses nothing
//! silently, and no message makes two entries of one.

use crate::error::{Error, Result};
use crate::escape::escaped;
use crate::oid::ObjectId;
use crate::value::{Ident, LogEntry, LogEntryView};

/// The largest time zone that has four digits.
const MOST_ZONE: u16 = 9999;

impl Ident {
    /// Reads `NAME <EMAIL> SECONDS ZONE`, as commits and git's log files have it. The name may be
    /// empty; the zone has a sign and four digits.
    ///
    /// ```
    /// let who = reftable::Ident::parse(b"A U Thor <author@example.com> 1700000000 +0130")?;
    /// assert_eq!(who.name, b"A U Thor");
    /// assert_eq!((who.time, who.time_zone), (1_700_000_000, 130));
    /// # Ok::<(), reftable::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Invalid` for anything else.
    pub fn parse(text: &[u8]) -> Result<Ident> {
        identity(text).ok_or_else(|| {
            let message = format!("'{}' is no identity: NAME <EMAIL> SECONDS +ZONE is", escaped(text));
            Error::invalid(message)
        })
    }

    /// The text that [`Self::parse`] reads.
    ///
    /// # Errors
    /// `Invalid` for `<`, `>`, newlines and zero bytes in the name or the address, and for time
    /// zones of more than four digits.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        put_identity(&mut bytes, &self.name, &self.email, self.time, self.time_zone)?;
        Ok(bytes)
    }
}

impl LogEntry {
    /// Reads a line of one of git's log files, with or without the newline at its end. The message
    /// ends with one newline, as it is stored.
    ///
    /// # Errors
    /// `Invalid` for anything else, so also for ids of two hash functions.
    pub fn parse_line(line: &[u8]) -> Result<LogEntry> {
        entry(line).ok_or_else(|| {
            let form = "OLD NEW NAME <EMAIL> SECONDS +ZONE, a tab and a message of one line";
            Error::invalid(format!("'{}' is no reflog entry: {form} is", escaped(line)))
        })
    }

    /// The line that [`Self::parse_line`] reads, with a newline at its end.
    ///
    /// # Errors
    /// `Invalid` for messages of several lines or with zero bytes, for ids of two hash functions,
    /// and where [`Ident::to_bytes`] is.
    pub fn to_line(&self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.as_view().write_line(&mut line)?;
        Ok(line)
    }
}

impl LogEntryView<'_> {
    /// Appends the line that [`LogEntry::to_line`] returns.
    ///
    /// # Errors
    /// As there. Nothing was appended then.
    pub fn write_line(&self, out: &mut Vec<u8>) -> Result<()> {
        let message = self.message.strip_suffix(b"\n").unwrap_or(self.message);
        if message.iter().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(Error::invalid("a reflog message must be one line, without zero bytes"));
        }
        if self.old.kind() != self.new.kind() {
            return Err(Error::invalid("the ids of a reflog entry must be of one hash function"));
        }
        let mut line = Vec::new();
        for id in [&self.old, &self.new] {
            line.extend_from_slice(id.as_view().hex_bytes(&mut [0; 64]));
            line.push(b' ');
        }
        put_identity(&mut line, self.name, self.email, self.time, self.time_zone)?;
        if !message.is_empty() {
            line.push(b'\t');
            line.extend_from_slice(message);
        }
        line.push(b'\n');
        out.append(&mut line);
        Ok(())
    }
}

/// Checks that name and address can stand in a line.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_identity(name: &[u8], email: &[u8]) -> Result<()> {
    let is_odd = |byte: &u8| matches!(byte, 0 | b'\n' | b'<' | b'>');
    if name.iter().chain(email).any(is_odd) {
        return Err(Error::invalid("a committer's name and e-mail must not have '<', '>', newlines or zero bytes"));
    }
    Ok(())
}

fn put_identity(out: &mut Vec<u8>, name: &[u8], email: &[u8], time: u64, time_zone: i16) -> Result<()> {
    check_identity(name, email)?;
    if time_zone.unsigned_abs() > MOST_ZONE {
        return Err(Error::invalid(format!("the time zone {time_zone} has more than four digits")));
    }
    out.extend_from_slice(name);
    out.extend_from_slice(b" <");
    out.extend_from_slice(email);
    out.extend_from_slice(format!("> {time} {time_zone:+05}").as_bytes());
    Ok(())
}

fn identity(text: &[u8]) -> Option<Ident> {
    let (name, rest) = split(text, b'<')?;
    let (email, rest) = split(rest, b'>')?;
    // git writes the space also where the name is empty; others leave it out then.
    let name = if name.is_empty() { name } else { name.strip_suffix(b" ")? };
    check_identity(name, email).ok()?;
    let (time, zone) = split(rest.strip_prefix(b" ")?, b' ')?;
    let time = digits(time)?.parse().ok()?;
    let (sign, zone) = zone.split_first()?;
    let zone: i16 = digits(zone).filter(|digits| digits.len() == 4)?.parse().ok()?;
    let time_zone = match sign {
        b'+' => zone,
        b'-' => zone.checked_neg()?,
        _ => return None,
    };
    Some(Ident { name: name.to_vec(), email: email.to_vec(), time, time_zone })
}

fn entry(line: &[u8]) -> Option<LogEntry> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (old, rest) = split(line, b' ')?;
    let (new, rest) = split(rest, b' ')?;
    let (old, new) = (ObjectId::from_hex(old).ok()?, ObjectId::from_hex(new).ok()?);
    // A name may have a tab in it: the one that counts is after the address.
    let end = rest.iter().position(|byte| *byte == b'>')?;
    let after = rest.get(end..)?.iter().position(|byte| *byte == b'\t').map(|tab| end.saturating_add(tab));
    let (committer, message) = rest.split_at_checked(after.unwrap_or(rest.len()))?;
    let message = message.strip_prefix(b"\t").unwrap_or(message);
    let is_one_line = !message.iter().any(|byte| matches!(byte, b'\n' | 0));
    let committer = identity(committer)?;
    (is_one_line && old.kind() == new.kind()).then(|| LogEntry {
        old,
        new,
        committer,
        message: [message, b"\n"].concat(),
    })
}

/// What stands before and after the first `byte`.
fn split(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|found| *found == byte)?;
    Some((text.get(..at)?, text.get(at..)?.split_first()?.1))
}

/// The text of a number without a sign.
fn digits(text: &[u8]) -> Option<&str> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oid::HashKind;

    const ID: &str = "2e6f9b0d5885b6010f9167787445617f553a735f";

    fn line(rest: &str) -> Vec<u8> {
        format!("{ID} {ID} {rest}").into_bytes()
    }

    #[test]
    fn what_git_does_not_write_is_refused() {
        for fine in [
            "A <a@x> 1 +0000",
            "A <a@x> 1 -0130\tm",
            "A <> 0 +9999\t",
            " <a> 1 +0000",
            "<a> 1 +0000",
            "A\tB <a> 1 +0000\tm\tn",
        ] {
            LogEntry::parse_line(&line(fine)).unwrap();
        }
        let bad = [
            "",
            "A",
            "A <a@x>",
            "A <a@x> 1",
            "A <a@x> 1 0000",
            "A <a@x> 1 +000",
            "A <a@x> 1 +00000",
            "A <a@x> +1 +0000",
            "A <a@x> -1 +0000",
            "A <a@x>  1 +0000",
            "A <a@x> 1 +0000 m",
            "A <a@x> 1 *0000",
            "A <a@x> 99999999999999999999 +0000",
            "A<a@x> 1 +0000",
            "A <a@x> 1 +0000\tm\nn",
            "A <a@x> 1 +0000\t\0",
            "A <a<x> 1 +0000",
            "A > <a@x> 1 +0000",
            "A <a@x> 1 +00:0",
            "A <a@x> 1 ++000",
        ];
        for bad in bad {
            let error = LogEntry::parse_line(&line(bad)).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Invalid, "{bad}");
        }
        let two_hashes = format!("{ID} {} A <a@x> 1 +0000", "0".repeat(64));
        LogEntry::parse_line(two_hashes.as_bytes()).unwrap_err();
        let error = Ident::parse(b"\x1b[2J").unwrap_err();
        assert_eq!(error.message(), r"'\033[2J' is no identity: NAME <EMAIL> SECONDS +ZONE is");
    }

    #[test]
    fn what_would_be_read_as_something_else_is_not_printed() {
        let fine = LogEntry::parse_line(&line("A <a@x> 1 +0000\tm")).unwrap();
        let with = |change: fn(&mut LogEntry)| {
            let mut entry = fine.clone();
            change(&mut entry);
            entry.to_line().map_err(|error| error.kind())
        };
        assert_eq!(with(|_| ()).unwrap(), line("A <a@x> 1 +0000\tm\n"));
        assert_eq!(with(|entry| entry.message.clear()).unwrap(), line("A <a@x> 1 +0000\n"));
        let changes: [fn(&mut LogEntry); 7] = [
            |entry| entry.message = b"a\nb\n".to_vec(),
            |entry| entry.message = b"a\n\n".to_vec(),
            |entry| entry.message = b"\0".to_vec(),
            |entry| entry.committer.name = b"A\nB".to_vec(),
            |entry| entry.committer.email = b"a>b".to_vec(),
            |entry| entry.committer.time_zone = -10_000,
            |entry| entry.new = ObjectId::null(HashKind::Sha256),
        ];
        for change in changes {
            assert_eq!(with(change), Err(crate::ErrorKind::Invalid));
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'\t'), 1 => Just(b' ')], 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_line_that_is_printed_is_read_as_it_was(
            (name, email, message) in (text(), text(), text()),
            (old, new, time, time_zone) in (any::<[u8; 20]>(), any::<[u8; 20]>(), any::<u64>(), any::<i16>()),
        ) {
            let id = |bytes: [u8; 20]| ObjectId::from_bytes(&bytes).unwrap();
            let committer = Ident { name, email, time, time_zone };
            let entry = LogEntry { old: id(old), new: id(new), committer, message: [&message[..], b"\n"].concat() };
            if let Ok(line) = entry.to_line() {
                prop_assert_eq!(LogEntry::parse_line(&line).unwrap(), entry.clone());
                prop_assert_eq!(LogEntry::parse_line(&line[..line.len() - 1]).unwrap(), entry);
            }
        }

        #[test]
        fn every_line_that_is_read_is_printed_as_it_was(rest in "[A <>a@0-9+\\-\t]{0,30}") {
            let line = line(&rest);
            if let Ok(entry) = LogEntry::parse_line(&line) {
                let again = LogEntry::parse_line(&entry.to_line().unwrap()).unwrap();
                prop_assert_eq!(again, entry);
            }
        }
    }
}
