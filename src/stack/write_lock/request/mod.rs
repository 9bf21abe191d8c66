//! Requests between processes (delegated commits; flat combining): a process that waits for the
//! list lock writes down its transaction, and the lock holder may commit it along with its own.
//!
//! A request is a file: the payload, and after it a log of short records that both sides append.
//! The file system puts records of several processes into one order, and that order decides:
//!
//! 1. The follower F waits for the lock. It writes its transaction into a file, and goes on
//!    polling.
//! 2. The leader L has the lock and finds the file. It appends `Claimed`, with the newest table of
//!    the state it builds upon.
//! 3. L appends `Planned`, with the update index that the transaction will have and the table it
//!    will be in, and publishes that. If F asks for them, the values that it replaces stand before
//!    that, in the same write.
//! 4. L appends `Published`, and releases the lock; after its last sync, `Durable`. F is done.
//!
//! *F gives up.* It appends `Withdrawn`. Whichever of `Claimed` and `Withdrawn` comes first counts,
//! and both read the log after they have written.
//!
//! *What does not fit* (a conflict, an error, a leader that fails) is `Rejected`: F commits it
//! itself when it gets the lock, and finds out from that what is wrong.
//!
//! *L dies.* Its lock is taken over, and while no process has it the list stays as L has left it.
//! So the list tells what L has done ([`Claim::outcome`]), by names of tables, which are never used
//! twice. The new lock holder resolves the in-doubt request: it writes that down before it does
//! anything else. Where it cannot tell, or cannot write, it takes the name of the request away, and
//! F says that it does not know.
//!
//! *F dies.* Its kernel lock on the file is gone; the next process that sees that removes the file.

mod claim;
mod own;
mod record;

pub(crate) use claim::{ClaimedRequests, OpenRequest, Planned, find, resolve};
pub(crate) use own::OwnRequest;

use crate::format::varint::Reader;
use crate::mutant::{self, Mutant};
use record::{Kind, MAX_LOG, RequestRecord};

/// What a request file begins with: its type, and a version.
const TYPE: [u8; 7] = *b"rtwants";
const VERSION: u8 = 2;
/// The first version. Its leaders have locks of a kind that later builds do not take over, so these
/// need not answer for them.
const FIRST_VERSION: u8 = 1;

/// The longest payload, in bytes. A larger transaction is worth a commit of its own.
pub(crate) const MAX_LEN: usize = 32 * 1024;

/// More than any request with its log.
const MAX_FILE: u64 = (MAX_LEN + 4096 + MAX_LOG) as u64;

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestState {
    /// The lock holder may claim it.
    Open,
    /// No leader will commit it: the follower withdrew it, or it was rejected.
    Closed,
    /// A leader is committing it.
    Claimed(Claim),
    /// It is there for all to see.
    Published { update_index: u64 },
    /// It is there, and synced.
    Durable { update_index: u64 },
    /// There is a record that is not understood here.
    Unknown,
}

/// What a leader has said of a request that it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    leader: u64,
    /// The newest table of the state that it is to follow.
    base: String,
    /// Its update index and its table, once they are known.
    planned: Option<(u64, String)>,
}

/// What has become of a claimed request whose leader does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    Published { update_index: u64 },
    NotPublished,
    Unknown,
}

impl Claim {
    /// What `list` tells, the tables of a state that was read while no other process had the list
    /// lock.
    ///
    /// The table is there: it was published. The newest table is still the one that it was to
    /// follow: it was not, because tables are added at the top only, and a table that takes the
    /// place of others has another name. Neither: others have committed since.
    pub(crate) fn outcome<'t>(&self, list: impl DoubleEndedIterator<Item = &'t str> + Clone) -> RequestOutcome {
        let is_current = list.clone().next_back().is_some_and(|newest| newest == self.base);
        match &self.planned {
            Some((update_index, _)) if mutant::is_on(Mutant::TakeAnyTableForPlanned) && !is_current => {
                RequestOutcome::Published { update_index: *update_index }
            }
            Some((update_index, table)) if list.clone().any(|there| there == table) => {
                RequestOutcome::Published { update_index: *update_index }
            }
            None if mutant::is_on(Mutant::TakeUnplannedForRejected) => RequestOutcome::NotPublished,
            _ if is_current => RequestOutcome::NotPublished,
            _ => RequestOutcome::Unknown,
        }
    }

    /// The update index that it will have, once that is known.
    pub(crate) fn planned_index(&self) -> Option<u64> {
        self.planned.as_ref().map(|(update_index, _)| *update_index)
    }

    /// What is published is so, whichever process has the lock.
    pub(crate) fn is_published<'t>(&self, mut list: impl Iterator<Item = &'t str>) -> Option<u64> {
        let (update_index, table) = self.planned.as_ref()?;
        list.any(|there| there == table).then_some(*update_index)
    }
}

impl RequestState {
    /// The state after another record. What comes too late changes nothing, nor does what is about
    /// another claim.
    fn after(self, found: record::Logged) -> RequestState {
        let RequestRecord { kind, leader, update_index, table } = match found {
            record::Logged::Known(record) => record,
            record::Logged::Replaced { .. } => return self,
            record::Logged::Unknown => return RequestState::Unknown,
        };
        match (self, kind) {
            (RequestState::Open, Kind::Claimed) => RequestState::Claimed(Claim { leader, base: table, planned: None }),
            (RequestState::Open, Kind::Withdrawn) => RequestState::Closed,
            (RequestState::Claimed(claim), _) if claim.leader != leader => RequestState::Claimed(claim),
            (RequestState::Claimed(_), Kind::Rejected) => RequestState::Closed,
            (RequestState::Claimed(claim), Kind::Planned) => {
                RequestState::Claimed(Claim { planned: Some((update_index, table)), ..claim })
            }
            (RequestState::Claimed(_), Kind::Published) => RequestState::Published { update_index },
            (RequestState::Published { update_index: published }, Kind::Durable) if published == update_index => {
                RequestState::Durable { update_index }
            }
            (state, _) => state,
        }
    }
}

/// The part of a request that never changes: the payload, and the compatibility `key` that must be
/// the leader's as well.
fn print(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = TYPE.to_vec();
    bytes.push(VERSION);
    bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(payload);
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_be_bytes());
    bytes
}

/// A request as it was found.
struct Parsed<'a> {
    key: &'a [u8],
    payload: &'a [u8],
    state: RequestState,
    /// The values that it has replaced, as far as its leader tells.
    replaced: Option<Vec<u8>>,
}

/// Reads a request. `None` if it is not all there, or not understood.
fn parse(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut input = Reader::new(bytes, 0);
    let (kind, version) = (input.bytes(TYPE.len()).ok()?, input.u8().ok()?);
    if kind != TYPE || version != VERSION && !mutant::is_on(Mutant::ClaimOtherVersions) {
        return None;
    }
    let key_len = usize::try_from(input.be32().ok()?).ok()?;
    let payload_len = usize::try_from(input.be32().ok()?).ok()?;
    let (key, payload) = (input.bytes(key_len).ok()?, input.bytes(payload_len).ok()?);
    let len = input.pos();
    if crc32fast::hash(bytes.get(..len)?) != input.be32().ok()? {
        return None;
    }
    let log = record::parse_all(input.rest());
    let replaced = record::replaced(&log).map(<[u8]>::to_vec);
    let state = log.into_iter().fold(RequestState::Open, RequestState::after);
    Some(Parsed { key, payload, state, replaced })
}

/// Whether this is a request of a later version: what has become of it cannot be told here.
fn is_of_later_version(bytes: &[u8]) -> bool {
    let version = bytes.strip_prefix(&TYPE).and_then(<[u8]>::first);
    version.is_some_and(|version| !(FIRST_VERSION..=VERSION).contains(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "base.ref";
    const TABLE: &str = "table.ref";

    fn record(kind: Kind) -> RequestRecord {
        let record = RequestRecord::new(kind, 9, 4);
        match kind {
            Kind::Claimed => record.of_table(BASE),
            Kind::Planned => record.of_table(TABLE),
            _ => record,
        }
    }

    fn of_others(kind: Kind) -> RequestRecord {
        RequestRecord { leader: 8, ..record(kind) }
    }

    fn state_after(records: &[RequestRecord]) -> RequestState {
        let mut bytes = print(b"key", b"payload");
        records.iter().for_each(|record| bytes.extend(record.print()));
        let parsed = parse(&bytes).unwrap();
        assert_eq!((parsed.key, parsed.payload), (&b"key"[..], &b"payload"[..]));
        parsed.state
    }

    fn claim(planned: bool) -> Claim {
        let planned = planned.then(|| (4, TABLE.to_owned()));
        Claim { leader: 9, base: BASE.to_owned(), planned }
    }

    #[test]
    fn the_first_of_claim_and_withdrawal_counts() {
        assert_eq!(state_after(&[]), RequestState::Open);
        assert_eq!(state_after(&[record(Kind::Withdrawn), record(Kind::Claimed)]), RequestState::Closed);
        let claimed = RequestState::Claimed(claim(false));
        assert_eq!(state_after(&[record(Kind::Claimed), record(Kind::Withdrawn)]), claimed);
        assert_eq!(state_after(&[record(Kind::Claimed), of_others(Kind::Claimed)]), claimed);
    }

    #[test]
    fn a_request_runs_its_course() {
        let course = [Kind::Claimed, Kind::Planned, Kind::Published, Kind::Durable].map(record);
        assert_eq!(state_after(&course[..2]), RequestState::Claimed(claim(true)));
        assert_eq!(state_after(&course[..3]), RequestState::Published { update_index: 4 });
        assert_eq!(state_after(&course), RequestState::Durable { update_index: 4 });
        let rejected = [Kind::Claimed, Kind::Rejected, Kind::Claimed].map(record);
        assert_eq!(state_after(&rejected), RequestState::Closed);
    }

    #[test]
    fn only_the_leader_of_the_claim_is_heard() {
        for kind in [Kind::Planned, Kind::Published, Kind::Rejected] {
            assert_eq!(
                state_after(&[record(Kind::Claimed), of_others(kind)]),
                RequestState::Claimed(claim(false)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn names_of_tables_tell_what_a_dead_leader_has_done() {
        let published = RequestOutcome::Published { update_index: 4 };
        for (planned, list, outcome) in [
            (true, &[BASE][..], RequestOutcome::NotPublished),
            (true, &[BASE, TABLE], published),
            (true, &[BASE, TABLE, "later.ref"], published),
            (true, &["merged.ref"], RequestOutcome::Unknown),
            (true, &[BASE, "of-another-leader.ref"], RequestOutcome::Unknown),
            (true, &["merged.ref", BASE], RequestOutcome::NotPublished),
            (true, &[], RequestOutcome::Unknown),
            (false, &[BASE], RequestOutcome::NotPublished),
            (false, &[BASE, TABLE], RequestOutcome::Unknown),
        ] {
            assert_eq!(claim(planned).outcome(list.iter().copied()), outcome, "{planned} {list:?}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        let mut bytes = print(b"key", b"payload");
        let whole = bytes.len();
        bytes.extend(record(Kind::Claimed).print());
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            let state = parse(&damaged).map(|parsed| parsed.state);
            assert_eq!(state, (position >= whole).then_some(RequestState::Open), "at {position}");
        }
        for len in 0..whole {
            assert!(parse(&bytes[..len]).is_none(), "{len} bytes");
        }
        assert_eq!(parse(&bytes[..bytes.len() - 1]).map(|parsed| parsed.state), Some(RequestState::Open));
    }

    #[test]
    fn other_versions_are_told_apart() {
        let mut bytes = print(b"key", b"payload");
        assert!(!is_of_later_version(&bytes));
        for (version, is_later) in [(1, false), (3, true), (200, true)] {
            bytes[TYPE.len()] = version;
            let check = bytes.len() - 4;
            let sum = crc32fast::hash(&bytes[..check]).to_be_bytes();
            bytes[check..].copy_from_slice(&sum);
            assert!(parse(&bytes).is_none());
            assert_eq!(is_of_later_version(&bytes), is_later);
        }
    }
}
