//! A changeset as bytes, for another process to read.

use super::replaced::{self, Replaced};
use super::{Action, Changeset, Follower, LogChange, Update};
use crate::conflict::Expect;
use crate::error::{Error, Result};
use crate::format::varint::{Reader, put_string, put_varint};
use crate::oid::{HashKind, ObjectId};
use crate::value::{Ident, LogEntry, Target};

const ANY: u8 = 0;
const ABSENT: u8 = 1;
const EXISTS: u8 = 2;
const IS: u8 = 3;
const NOT_SYMBOLIC: u8 = 4;
const ABSENT_OR: u8 = 5;

const SET: u8 = 0;
const DELETE: u8 = 1;
const VERIFY: u8 = 2;

const ID: u8 = 0;
const TAG: u8 = 1;
const SYMBOLIC: u8 = 2;

/// At the end: older builds, which could not answer, take it for damage.
const ASKS_REPLACED: u8 = 1;

const APPEND: u8 = 0;
const DELETE_ENTRY: u8 = 1;
const DELETE_ALL: u8 = 2;
const CREATE: u8 = 3;

/// The bytes that [`decode`] reads.
pub(crate) fn encode(changes: &Changeset) -> Vec<u8> {
    let mut bytes = Vec::new();
    let out = &mut bytes;
    put_varint(out, changes.updates.len() as u64);
    for update in &changes.updates {
        put_string(out, &update.name);
        put_expect(out, &update.expect);
        match &update.action {
            Action::Set(target) => {
                out.push(SET);
                put_target(out, target);
            }
            Action::Delete => out.push(DELETE),
            Action::Verify => out.push(VERIFY),
        }
    }
    put_varint(out, changes.logs.len() as u64);
    for change in &changes.logs {
        match change {
            LogChange::Append { refname, entry } => {
                out.push(APPEND);
                put_string(out, refname);
                put_id(out, &entry.old);
                put_id(out, &entry.new);
                put_ident(out, &entry.committer);
                put_string(out, &entry.message);
            }
            LogChange::Create { refname } => {
                out.push(CREATE);
                put_string(out, refname);
            }
            LogChange::DeleteEntry { refname, update_index } => {
                out.push(DELETE_ENTRY);
                put_string(out, refname);
                put_varint(out, *update_index);
            }
            LogChange::DeleteAll { refname } => {
                out.push(DELETE_ALL);
                put_string(out, refname);
            }
        }
    }
    out.push(u8::from(changes.reflog.is_some()));
    if let Some((committer, message)) = &changes.reflog {
        put_ident(out, committer);
        put_string(out, message);
    }
    if changes.asks_replaced.is_some() {
        out.push(ASKS_REPLACED);
    }
    bytes
}

/// The replaced values, for the process that has asked: it knows the names.
pub(crate) fn encode_replaced(replaced: &[Replaced]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Replaced { target, .. } in replaced {
        bytes.push(u8::from(target.is_some()));
        if let Some(target) = target {
            put_target(&mut bytes, target);
        }
    }
    bytes
}

/// Reads what [`encode_replaced`] has written of a changeset with these updates.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn decode_replaced(bytes: &[u8], updates: &[Update]) -> Result<Vec<Replaced>> {
    let mut input = Reader::new(bytes, 0);
    let mut targets = Vec::new();
    for update in updates {
        let exists = update.is_change() && input.u8()? != 0;
        targets.push(if exists { Some(target(&mut input)?) } else { None });
    }
    if input.is_at_end() { Ok(replaced::of(updates, targets)) } else { Err(unknown(&input)) }
}

/// Reads what [`encode`] has written, and checks it as if its own process had not.
///
/// # Errors
/// `Corrupt` for bytes that are no changeset, `Invalid` for names and ids that cannot be.
pub(crate) fn decode(bytes: &[u8]) -> Result<Changeset> {
    let mut input = Reader::new(bytes, 0);
    let mut changes = Changeset::default();
    for _ in 0..input.varint_len()? {
        let name = string(&mut input)?;
        let expect = expect(&mut input)?;
        let action = match input.u8()? {
            SET => Action::Set(target(&mut input)?),
            DELETE => Action::Delete,
            VERIFY => Action::Verify,
            _ => return Err(unknown(&input)),
        };
        changes.updates.push(Update { name: name.into(), expect: expect.into(), action });
    }
    for _ in 0..input.varint_len()? {
        let kind = input.u8()?;
        let refname = string(&mut input)?;
        changes.logs.push(match kind {
            APPEND => LogChange::Append { refname, entry: entry(&mut input)? },
            CREATE => LogChange::Create { refname },
            DELETE_ENTRY => LogChange::DeleteEntry { refname, update_index: input.varint()? },
            DELETE_ALL => LogChange::DeleteAll { refname },
            _ => return Err(unknown(&input)),
        });
    }
    if input.u8()? != 0 {
        changes.reflog = Some((ident(&mut input)?, string(&mut input)?));
    }
    if !input.is_at_end() {
        match input.u8()? {
            ASKS_REPLACED if input.is_at_end() => changes.asks_replaced = Some(Follower::Process),
            _ => return Err(unknown(&input)),
        }
    }
    changes.check()?;
    Ok(changes)
}

fn unknown(input: &Reader<'_>) -> Error {
    Error::corrupt("the request is not understood").at(input.pos() as u64)
}

fn string(input: &mut Reader<'_>) -> Result<Vec<u8>> {
    let len = input.varint_len()?;
    Ok(input.bytes(len)?.to_vec())
}

fn put_id(out: &mut Vec<u8>, id: &ObjectId) {
    out.push(u8::from(id.kind() == HashKind::Sha256));
    out.extend_from_slice(id.as_bytes());
}

fn id(input: &mut Reader<'_>) -> Result<ObjectId> {
    let kind = if input.u8()? == 0 { HashKind::Sha1 } else { HashKind::Sha256 };
    ObjectId::from_bytes(input.bytes(kind.len())?).ok_or_else(|| unknown(input))
}

fn put_target(out: &mut Vec<u8>, target: &Target) {
    match target {
        Target::Id(id) => {
            out.push(ID);
            put_id(out, id);
        }
        Target::Tag { id, peeled } => {
            out.push(TAG);
            put_id(out, id);
            put_id(out, peeled);
        }
        Target::Symbolic(name) => {
            out.push(SYMBOLIC);
            put_string(out, name);
        }
    }
}

fn target(input: &mut Reader<'_>) -> Result<Target> {
    match input.u8()? {
        ID => Ok(Target::Id(id(input)?)),
        TAG => Ok(Target::Tag { id: id(input)?, peeled: id(input)? }),
        SYMBOLIC => Ok(Target::Symbolic(string(input)?)),
        _ => Err(unknown(input)),
    }
}

fn put_expect(out: &mut Vec<u8>, expect: &Expect) {
    match expect {
        Expect::Any => out.push(ANY),
        Expect::Absent => out.push(ABSENT),
        Expect::Exists => out.push(EXISTS),
        Expect::NotSymbolic => out.push(NOT_SYMBOLIC),
        Expect::Is(target) => {
            out.push(IS);
            put_target(out, target);
        }
        Expect::AbsentOr(target) => {
            out.push(ABSENT_OR);
            put_target(out, target);
        }
    }
}

fn expect(input: &mut Reader<'_>) -> Result<Expect> {
    match input.u8()? {
        ANY => Ok(Expect::Any),
        ABSENT => Ok(Expect::Absent),
        EXISTS => Ok(Expect::Exists),
        NOT_SYMBOLIC => Ok(Expect::NotSymbolic),
        IS => Ok(Expect::Is(target(input)?)),
        ABSENT_OR => Ok(Expect::AbsentOr(target(input)?)),
        _ => Err(unknown(input)),
    }
}

fn put_ident(out: &mut Vec<u8>, ident: &Ident) {
    put_string(out, &ident.name);
    put_string(out, &ident.email);
    put_varint(out, ident.time);
    out.extend_from_slice(&ident.time_zone.to_be_bytes());
}

fn ident(input: &mut Reader<'_>) -> Result<Ident> {
    let (name, email, time) = (string(input)?, string(input)?, input.varint()?);
    let time_zone = i16::from_be_bytes(input.be16()?.to_be_bytes());
    Ok(Ident { name, email, time, time_zone })
}

fn entry(input: &mut Reader<'_>) -> Result<LogEntry> {
    let (old, new) = (id(input)?, id(input)?);
    Ok(LogEntry { old, new, committer: ident(input)?, message: string(input)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Changeset {
        let id = |byte| ObjectId::from_bytes(&[byte; 20]).unwrap();
        let long = ObjectId::from_bytes(&[7; 32]).unwrap();
        let who = Ident { time_zone: -130, ..Ident::new("A", "a@example.com", 1 << 40) };
        let entry = LogEntry { old: id(1), new: id(2), committer: who.clone(), message: b"moved\n".to_vec() };
        let update =
            |name: &str, expect: Expect, action| Update { name: name.as_bytes().into(), expect: expect.into(), action };
        let mut changes = Changeset {
            updates: vec![
                update("HEAD", Expect::Exists, Action::Set(Target::symbolic("refs/heads/a"))),
                update("refs/heads/a", Expect::Is(id(1).into()), Action::Set(id(2).into())),
                update("refs/heads/b", Expect::Any, Action::Delete),
                update("refs/heads/c", Expect::Absent, Action::Verify),
                update("refs/heads/e", Expect::NotSymbolic, Action::Delete),
                update("refs/heads/f", Expect::AbsentOr(id(1).into()), Action::Delete),
                update("refs/tags/d", Expect::Any, Action::Set(Target::Tag { id: long, peeled: long })),
            ],
            logs: vec![
                LogChange::Append { refname: b"refs/heads/a".to_vec(), entry },
                LogChange::DeleteEntry { refname: b"refs/heads/b".to_vec(), update_index: 300 },
                LogChange::DeleteAll { refname: b"refs/heads/c".to_vec() },
                LogChange::Create { refname: b"refs/tags/d".to_vec() },
            ],
            reflog: Some((who, b"why\n".to_vec())),
            asks_replaced: None,
        };
        changes.check().unwrap();
        changes
    }

    #[test]
    fn a_changeset_survives_a_round_trip() {
        let bytes = encode(&sample());
        assert_eq!(format!("{:?}", decode(&bytes).unwrap()), format!("{:?}", sample()));
    }

    #[test]
    fn replaced_values_survive_a_round_trip() {
        let mut changes = sample();
        changes.asks_replaced = Some(Follower::Caller);
        assert_eq!(decode(&encode(&changes)).unwrap().asks_replaced, Some(Follower::Process));
        let id = |byte| ObjectId::from_bytes(&[byte; 20]).unwrap();
        let before = vec![None, Some(id(1).into()), Some(Target::symbolic("refs/heads/a")), Some(id(4).into())];
        let before = [before, vec![Some(Target::Tag { id: id(2), peeled: id(3) }), None, None]].concat();
        let told = replaced::of(&changes.updates, before);
        assert_eq!(told.len(), changes.updates.len() - 1, "what is only looked at is not replaced");
        let bytes = encode_replaced(&told);
        assert_eq!(decode_replaced(&bytes, &changes.updates).unwrap(), told);
        for len in 0..bytes.len() {
            assert!(decode_replaced(&bytes[..len], &changes.updates).is_err(), "{len} bytes");
        }
    }

    /// The lock holder claims only what it can read: what it cannot, its follower does itself.
    #[test]
    fn an_expectation_of_a_later_version_is_refused() {
        let mut changes = Changeset::default();
        let name = b"refs/heads/a".as_slice().into();
        changes.updates.push(Update { name, expect: Expect::Any.into(), action: Action::Verify });
        let mut bytes = encode(&changes);
        let expect = bytes.len() - 4;
        for (code, is_known) in [(ANY, true), (NOT_SYMBOLIC, true), (ABSENT_OR + 1, false), (u8::MAX, false)] {
            bytes[expect] = code;
            assert_eq!(decode(&bytes).is_ok(), is_known, "{code}");
        }
    }

    #[test]
    fn no_prefix_of_a_changeset_is_one() {
        let bytes = encode(&sample());
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        for after in [&[0][..], &[2], &[ASKS_REPLACED, 0]] {
            assert!(decode(&[&bytes, after].concat()).is_err());
        }
    }
}
