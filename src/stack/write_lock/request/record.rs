//! The records after a request. Both sides append them, and their order decides.
//!
//! A record begins with its type, its version and its length, and ends with a check. It may be cut
//! off when it is appended (the disk is full): what is no record is passed over byte by byte, so
//! that what others append after it still counts.

use crate::changeset::MAX_REPLACED;
use crate::format::varint::Reader;
use crate::mutant::{self, Mutant};

/// The version of the records that are written and understood here.
const VERSION: u8 = 1;
/// Type, version, length of the whole.
const HEAD: usize = 1 + 1 + 2;
/// The leader's number, an update index.
const NUMBERS: usize = 8 + 8;
const CHECK: usize = 4;
/// The type of the record that has the replaced values.
const REPLACED: u8 = b'R';

/// A record without the name of a table.
const LEAST: usize = HEAD + NUMBERS + CHECK;
/// Names of tables are names of files.
const MOST: usize = LEAST + 255;

/// Bytes of all records that a request may have; with more of them it is not looked at any more.
pub(super) const MAX_LOG: usize = 32 * MOST;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A leader is committing it, upon the state whose newest table is named.
    Claimed,
    /// It will have this update index, and be in the table that is named.
    Planned,
    /// It is published, with this update index.
    Published,
    /// It survives a power failure, as far as was asked for.
    Durable,
    /// No leader will commit it for the follower any more.
    Rejected,
    /// The follower does not want it any more.
    Withdrawn,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::Claimed, Kind::Planned, Kind::Published, Kind::Durable, Kind::Rejected, Kind::Withdrawn];

    const fn letter(self) -> u8 {
        match self {
            Kind::Claimed => b'C',
            Kind::Planned => b'P',
            Kind::Published => b'V',
            Kind::Durable => b'D',
            Kind::Rejected => b'X',
            Kind::Withdrawn => b'W',
        }
    }
}

/// What is written after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestRecord {
    pub(super) kind: Kind,
    /// The number that the leader has chosen for its claim: what others say of other claims does
    /// not count. 0 in those of the follower.
    pub(super) leader: u64,
    pub(super) update_index: u64,
    /// Empty where no table is meant.
    pub(super) table: String,
}

impl RequestRecord {
    pub(super) fn new(kind: Kind, leader: u64, update_index: u64) -> RequestRecord {
        RequestRecord { kind, leader, update_index, table: String::new() }
    }

    pub(super) fn of_table(self, table: &str) -> RequestRecord {
        RequestRecord { table: table.to_owned(), ..self }
    }

    pub(super) fn print(&self) -> Vec<u8> {
        print(self.kind.letter(), VERSION, &self.body())
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.leader.to_be_bytes().to_vec();
        body.extend_from_slice(&self.update_index.to_be_bytes());
        body.extend_from_slice(self.table.as_bytes());
        body
    }
}

fn print(letter: u8, version: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(HEAD + body.len() + CHECK).unwrap_or(u16::MAX);
    let mut bytes = vec![letter, version];
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(body);
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

/// The record of the values that a request replaces, by the leader with this number.
///
/// It is longer than any other record: older builds, which do not know it, pass over it as over
/// damage. What is known of the request does not depend on it.
pub(super) fn print_replaced(leader: u64, values: &[u8]) -> Vec<u8> {
    let mut body = leader.to_be_bytes().to_vec();
    body.extend_from_slice(&(values.len() as u64).to_be_bytes());
    body.extend_from_slice(values);
    body.resize(body.len().max(MOST), 0);
    print(REPLACED, VERSION, &body)
}

/// The values that a request has replaced, as the leader says whose claim counts: the first.
pub(super) fn replaced(log: &[Logged]) -> Option<&[u8]> {
    let claim = log.iter().find_map(|found| match found {
        Logged::Known(record) if record.kind == Kind::Claimed => Some(record.leader),
        _ => None,
    });
    log.iter().find_map(|found| match found {
        Logged::Replaced { leader, values } if Some(*leader) == claim => Some(values.as_slice()),
        _ => None,
    })
}

/// What stands in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Logged {
    Known(RequestRecord),
    /// The values that the leader with this number replaces.
    Replaced {
        leader: u64,
        values: Vec<u8>,
    },
    /// A whole record, of a type or version that is not known here.
    Unknown,
}

/// All records in `log`, in order. What is cut off or damaged was never written, as far as any
/// process knows.
pub(super) fn parse_all(mut log: &[u8]) -> Vec<Logged> {
    let mut found = Vec::new();
    while !log.is_empty() {
        match parse(log) {
            Some((record, len)) => {
                found.push(record);
                log = log.get(len..).unwrap_or_default();
            }
            None if mutant::is_on(Mutant::StopAtTornRecord) => break,
            None => log = log.get(1..).unwrap_or_default(),
        }
    }
    found
}

/// The record that `log` begins with, and its length.
fn parse(log: &[u8]) -> Option<(Logged, usize)> {
    let mut input = Reader::new(log, 0);
    let (letter, version, len) = (input.u8().ok()?, input.u8().ok()?, usize::from(input.be16().ok()?));
    let most = if letter == REPLACED { HEAD + NUMBERS + MAX_REPLACED + CHECK } else { MOST };
    if !(LEAST..=most).contains(&len) {
        return None;
    }
    let (contents, check) = log.get(..len)?.split_at_checked(len - CHECK)?;
    if crc32fast::hash(contents).to_be_bytes() != check {
        return None;
    }
    if (letter, version) == (REPLACED, VERSION) {
        let leader = input.be64().ok()?;
        let values =
            usize::try_from(input.be64().ok()?).ok().and_then(|len| contents.get(input.pos()..)?.get(..len))?;
        return Some((Logged::Replaced { leader, values: values.to_vec() }, len));
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.letter() == letter && version == VERSION);
    let mut body = || {
        let (leader, update_index) = (input.be64().ok()?, input.be64().ok()?);
        let table = std::str::from_utf8(contents.get(input.pos()..)?).ok()?.to_owned();
        Some(RequestRecord { kind: kind?, leader, update_index, table })
    };
    Some((body().map_or(Logged::Unknown, Logged::Known), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> RequestRecord {
        RequestRecord::new(Kind::Planned, 7, 4).of_table("0x000000000004-0x000000000004-00000001.ref")
    }

    #[test]
    fn records_survive_a_round_trip() {
        let records: Vec<RequestRecord> =
            Kind::ALL.into_iter().map(|kind| RequestRecord { kind, ..planned() }).collect();
        let log: Vec<u8> = records.iter().flat_map(RequestRecord::print).collect();
        assert_eq!(parse_all(&log), records.into_iter().map(Logged::Known).collect::<Vec<_>>());
    }

    #[test]
    fn a_record_that_is_cut_off_hides_none_behind_it() {
        let (torn, whole) = (planned().print(), RequestRecord::new(Kind::Published, 7, 4));
        for len in 0..torn.len() {
            let log = [&torn[..len], &whole.print()].concat();
            assert_eq!(parse_all(&log), [Logged::Known(whole.clone())], "{len} bytes before it");
        }
    }

    #[test]
    fn a_record_that_is_not_known_is_seen_to_be_there() {
        for (letter, version) in [(b'Z', VERSION), (b'C', VERSION + 1)] {
            let log = [print(letter, version, &planned().body()), planned().print()].concat();
            assert_eq!(parse_all(&log), [Logged::Unknown, Logged::Known(planned())]);
        }
    }

    #[test]
    fn any_damage_is_noticed() {
        let whole = planned().print();
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            assert_eq!(parse_all(&damaged), [], "at {position}");
        }
    }

    #[test]
    fn replaced_values_are_those_of_the_claim_that_counts() {
        let claim = |leader| RequestRecord::new(Kind::Claimed, leader, 0).of_table("base.ref").print();
        for len in [0, 1, 500, MAX_REPLACED] {
            let values = vec![7; len];
            let log = [claim(1), claim(2), print_replaced(2, b"others"), print_replaced(1, &values), planned().print()];
            let log = parse_all(&log.concat());
            assert_eq!(log.len(), 5, "{len} bytes");
            assert_eq!(replaced(&log), Some(values.as_slice()));
            assert_eq!(replaced(&log[..3]), None);
        }
    }

    /// They read records up to [`MOST`] bytes, and go on byte by byte after what is longer.
    #[test]
    fn older_builds_pass_over_replaced_values() {
        assert!(print_replaced(1, b"").len() > MOST);
        assert!(print_replaced(1, &[0; MAX_REPLACED]).len() + 16 * MOST / 4 < MAX_LOG);
    }

    /// Names of tables of others may be long.
    #[test]
    fn the_longest_name_fits() {
        let record = planned().of_table(&"n".repeat(255));
        assert_eq!(parse_all(&record.print()), [Logged::Known(record)]);
    }
}
