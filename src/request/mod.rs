//! Requests between processes: who waits for the list lock writes down what it wants, and who has the lock may do it along
//! with its own.
//!
//! A request is a file: what is wanted, and behind it a log of short records that both sides append. The file system puts
//! records of several processes into one order, and that order decides:
//!
//! 1. P waits for the lock. It writes its transaction into a file, and goes on polling.
//! 2. L has the lock and finds the file. It appends `Claimed`, with the update index of the state it builds upon.
//! 3. L appends `Planned`, with the update index that the transaction will have, and publishes it together with its own.
//! 4. L appends `Published`, and releases the lock; after its last sync, `Durable`. P is done.
//!
//! *P gives up.* It appends `Withdrawn`. Whichever of `Claimed` and `Withdrawn` comes first counts, and both read the
//! log after they have written.
//!
//! *What does not fit* (a conflict, an error, a leader that fails) is `Void`: P does it itself when it gets the lock, and
//! learns from that what is wrong.
//!
//! *L dies.* Its lock is inherited, and while nobody has it the list stays as L has left it. So the heir knows: if the
//! state has moved beyond the base in `Claimed`, L has published. It writes that down before it does anything else.
//!
//! *P dies.* Its kernel lock on the file is gone; the next one who sees that removes the file.

mod ask;
mod serve;

pub(crate) use ask::Asked;
pub(crate) use serve::{Found, Served, find, settle};

use crate::varint::Reader;

/// What a request file begins with. The last byte is a version.
const MAGIC: [u8; 8] = *b"rtwants\x01";

/// The longest transaction that is handed over, in bytes. What is larger is worth a commit of its own.
pub(crate) const MAX_LEN: usize = 32 * 1024;

/// A record: kind, number, check.
const RECORD: usize = 1 + 8 + 4;

/// What is written behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    /// Somebody is doing it, upon the state with this update index.
    Claimed(u64),
    /// It will have this update index.
    Planned(u64),
    /// It is published, with this update index.
    Published(u64),
    /// It survives a loss of power, as far as was asked for.
    Durable(u64),
    /// Nobody will do it for the asker any more.
    Void,
    /// The asker does not want it any more.
    Withdrawn,
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Anybody who has the lock may do it.
    Open,
    /// Nobody will do it: the asker withdrew it, or it was void.
    Closed,
    /// Somebody is doing it.
    Claimed {
        /// The update index of the state that it is to follow.
        base: u64,
        /// Its own, once that is known.
        planned: Option<u64>,
    },
    /// It is there for all to see.
    Published { update_index: u64 },
    /// It is there, and synced.
    Durable { update_index: u64 },
}

impl State {
    /// The state after another record. What comes too late changes nothing.
    fn after(self, record: Record) -> State {
        match (self, record) {
            (State::Open, Record::Claimed(base)) => State::Claimed { base, planned: None },
            (State::Open, Record::Withdrawn) | (State::Claimed { .. }, Record::Void) => State::Closed,
            (State::Claimed { base, .. }, Record::Planned(index)) => State::Claimed { base, planned: Some(index) },
            (State::Claimed { .. }, Record::Published(update_index)) => State::Published { update_index },
            (State::Published { .. }, Record::Durable(update_index)) => State::Durable { update_index },
            _ => self,
        }
    }
}

impl Record {
    fn print(self) -> [u8; RECORD] {
        let (kind, number) = match self {
            Record::Claimed(number) => (b'C', number),
            Record::Planned(number) => (b'P', number),
            Record::Published(number) => (b'V', number),
            Record::Durable(number) => (b'D', number),
            Record::Void => (b'X', 0),
            Record::Withdrawn => (b'W', 0),
        };
        let mut bytes = [kind; RECORD];
        bytes[1..9].copy_from_slice(&number.to_be_bytes());
        let check = crc32fast::hash(&bytes[..9]);
        bytes[9..].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// `None` for anything that [`Self::print`] does not print.
    fn parse(bytes: &[u8]) -> Option<Record> {
        let mut input = Reader::new(bytes, 0);
        let (kind, number, check) = (input.u8().ok()?, input.be64().ok()?, input.be32().ok()?);
        if crc32fast::hash(bytes.get(..9)?) != check {
            return None;
        }
        Some(match kind {
            b'C' => Record::Claimed(number),
            b'P' => Record::Planned(number),
            b'V' => Record::Published(number),
            b'D' => Record::Durable(number),
            b'X' => Record::Void,
            b'W' => Record::Withdrawn,
            _ => return None,
        })
    }
}

/// The part of a request that never changes: under which terms what is wanted.
fn print(terms: &[u8], wanted: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(terms.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&(wanted.len() as u32).to_be_bytes());
    bytes.extend_from_slice(terms);
    bytes.extend_from_slice(wanted);
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

/// A request as it was found.
struct Parsed<'a> {
    terms: &'a [u8],
    wanted: &'a [u8],
    state: State,
}

/// Reads a request. `None` if it is not all there, or not understood.
fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut input = Reader::new(bytes, 0);
    if input.bytes(MAGIC.len()).ok()? != MAGIC {
        return None;
    }
    let terms_len = usize::try_from(input.be32().ok()?).ok()?;
    let wanted_len = usize::try_from(input.be32().ok()?).ok()?;
    let (terms, wanted) = (input.bytes(terms_len).ok()?, input.bytes(wanted_len).ok()?);
    let len = input.pos();
    if crc32fast::hash(bytes.get(..len)?) != input.be32().ok()? {
        return None;
    }
    // A record that is cut off, or not understood, was never written as far as anybody knows.
    let records = input.rest().chunks_exact(RECORD).map_while(Record::parse);
    Some(Parsed { terms, wanted, state: records.fold(State::Open, State::after) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state_after(records: &[Record]) -> State {
        let mut bytes = print(b"terms", b"wanted");
        for record in records {
            bytes.extend_from_slice(&record.print());
        }
        let parsed = parse(&bytes).unwrap();
        assert_eq!((parsed.terms, parsed.wanted), (&b"terms"[..], &b"wanted"[..]));
        parsed.state
    }

    #[test]
    fn the_first_of_claim_and_withdrawal_counts() {
        assert_eq!(state_after(&[]), State::Open);
        assert_eq!(state_after(&[Record::Withdrawn, Record::Claimed(3)]), State::Closed);
        let claimed = State::Claimed { base: 3, planned: None };
        assert_eq!(state_after(&[Record::Claimed(3), Record::Withdrawn]), claimed);
        assert_eq!(state_after(&[Record::Claimed(3), Record::Claimed(4)]), claimed);
    }

    #[test]
    fn a_request_runs_its_course() {
        let course = [Record::Claimed(3), Record::Planned(4), Record::Published(4), Record::Durable(4)];
        assert_eq!(state_after(&course[..2]), State::Claimed { base: 3, planned: Some(4) });
        assert_eq!(state_after(&course[..3]), State::Published { update_index: 4 });
        assert_eq!(state_after(&course), State::Durable { update_index: 4 });
        assert_eq!(state_after(&[Record::Claimed(3), Record::Void, Record::Claimed(5)]), State::Closed);
    }

    #[test]
    fn damage_is_noticed() {
        let mut bytes = print(b"terms", b"wanted");
        let whole = bytes.len();
        bytes.extend_from_slice(&Record::Claimed(3).print());
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            let state = parse(&damaged).map(|parsed| parsed.state);
            assert_eq!(state, (position >= whole).then_some(State::Open), "at {position}");
        }
        for len in 0..whole {
            assert!(parse(&bytes[..len]).is_none(), "{len} bytes");
        }
        assert_eq!(parse(&bytes[..bytes.len() - 1]).map(|parsed| parsed.state), Some(State::Open));
    }
}
