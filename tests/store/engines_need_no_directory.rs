//! `reftable::engine` alone: an engine in memory does what a model does, and what it has written is
//! a store like any other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::support::{HASHES, Random, assert_verifies, id, quick};
use reftable::engine::{self, AutoCompact, Changeset, Expiry, WriteGroup};
use reftable::merge::{Merged, Tombstones};
use reftable::table::{Table, WriteOptions};
use reftable::{ErrorKind, Expect, HashKind, Snapshot, Stack};

const NAMES: u64 = 12;

/// An engine in memory, and what must be in it.
struct Engine {
    hash: HashKind,
    tables: Vec<(String, Vec<u8>, Arc<Table>)>,
    model: BTreeMap<String, u64>,
    random: Random,
}

impl Engine {
    fn new(hash: HashKind, seed: u64) -> Engine {
        Engine { hash, tables: Vec::new(), model: BTreeMap::new(), random: Random(seed) }
    }

    fn snapshot(&self) -> Snapshot {
        let tables = self.tables.iter().map(|(_, _, table)| Arc::clone(table)).collect();
        engine::snapshot(tables, Some(self.hash)).unwrap()
    }

    fn table(&mut self, (min, max): (u64, u64), bytes: Vec<u8>) -> (String, Vec<u8>, Arc<Table>) {
        let name = engine::table_name(min, max, self.random.next());
        let table = Table::open(&name, bytes.clone()).unwrap();
        assert_eq!((table.header().min_update_index, table.header().max_update_index), (min, max));
        (name, bytes, Arc::new(table))
    }

    /// Commits a few changes, each for itself, in one table. Some do not fit.
    fn commit(&mut self) {
        let base = self.snapshot();
        let mut group = WriteGroup::new(&base);
        for _ in 0..1 + self.random.below(4) {
            let (name, value) = (format!("refs/heads/{}", self.random.below(NAMES)), self.random.below(1000));
            let is_there = self.model.contains_key(&name);
            let mut changes = Changeset::new();
            let target = id(self.hash, value);
            // Whether it fits, and is there afterwards.
            let (fits, stays) = match self.random.below(3) {
                0 => (is_there, false),
                1 => (!is_there, true),
                _ => (true, true),
            };
            match (stays, fits && is_there) {
                (false, _) => changes.delete(&name, Expect::Exists),
                (true, true) => changes.set(&name, Expect::Any, target),
                (true, false) => changes.set(&name, Expect::Absent, target),
            };
            match group.admit(changes) {
                Ok(index) => assert!(fits && index > base.update_index()),
                Err(error) => assert!(!fits && error.kind() == ErrorKind::Conflict, "{error}"),
            }
            match (fits, stays) {
                (true, true) => drop(self.model.insert(name, value)),
                (true, false) => drop(self.model.remove(&name)),
                (false, _) => {}
            }
        }
        if !group.is_empty() {
            let range = group.update_indexes().into_inner();
            let bytes = group.write(Vec::new(), &WriteOptions::default()).unwrap();
            let table = self.table(range, bytes);
            self.tables.push(table);
        }
    }

    fn merge(&mut self, range: Range<usize>) {
        let base = self.snapshot();
        let options = WriteOptions::default();
        let create = || Ok(Vec::new());
        let (bytes, written) = engine::merge_tables(&base, range.clone(), Expiry::default(), &options, create).unwrap();
        let is_newest = range.end == self.tables.len();
        if written.refs == 0 && !is_newest {
            self.tables.drain(range);
            return;
        }
        let header = |position: usize| base.tables()[position].header();
        let update_indexes = (header(range.start).min_update_index, header(range.end - 1).max_update_index);
        let merged = self.table(update_indexes, bytes);
        self.tables.splice(range, [merged]);
    }

    fn check(&self) {
        let found = self.snapshot().refs().unwrap().into_iter().map(|found| found.unwrap());
        let found: BTreeMap<_, _> =
            found.map(|found| (String::from_utf8(found.name).unwrap(), found.target.id())).collect();
        let expected = self.model.iter().map(|(name, value)| (name.clone(), Some(id(self.hash, *value))));
        assert_eq!(found, expected.collect());
    }
}

fn tombstones(table: &Arc<Table>) -> usize {
    let merged = Merged::new(vec![Arc::clone(table)]);
    let mut records = merged.refs(b"", Tombstones::Show).unwrap();
    let mut count = 0;
    while let Some(record) = records.next().unwrap() {
        count += usize::from(record.target.is_none());
    }
    count
}

#[test]
fn an_engine_in_memory_does_what_a_model_does() {
    for (seed, hash) in (0..20).zip(HASHES.into_iter().cycle()) {
        let mut engine = Engine::new(hash, seed);
        for _ in 0..40 {
            engine.commit();
            engine.check();
            let count = engine.tables.len() as u64;
            if count > 0 && engine.random.below(3) == 0 {
                let start = engine.random.below(count);
                let end = start + 1 + engine.random.below(count - start);
                engine.merge(start as usize..end as usize);
                engine.check();
            }
        }
        let dir = tempfile::tempdir().unwrap();
        engine.tables.iter().for_each(|(name, bytes, _)| std::fs::write(dir.path().join(name), bytes).unwrap());
        let list: String = engine.tables.iter().map(|(name, ..)| format!("{name}\n")).collect();
        std::fs::write(dir.path().join("tables.list"), list).unwrap();
        let stack = Stack::open(dir.path(), quick().hash(hash)).unwrap();
        assert_verifies(&stack);
        assert_eq!(stack.snapshot().unwrap().refs().unwrap().into_iter().count(), engine.model.len());
        engine.merge(0..engine.tables.len());
        engine.check();
        assert_eq!(tombstones(&engine.tables[0].2), 0, "nothing lies below it");
    }
}

#[test]
fn what_is_due_is_merged_and_little_stays() {
    let mut engine = Engine::new(HashKind::Sha1, 3);
    for _ in 0..60 {
        engine.commit();
        while let Some(due) = engine::compaction_due(&engine.snapshot(), AutoCompact::Geometric(2), u64::MAX) {
            engine.merge(due);
        }
        assert!(engine.tables.len() < 6, "{}", engine.tables.len());
    }
    engine.check();
}

#[test]
fn tables_of_two_hashes_are_no_state() {
    let table = |hash| {
        let mut engine = Engine::new(hash, 1);
        while engine.tables.is_empty() {
            engine.commit();
        }
        Arc::clone(&engine.tables[0].2)
    };
    let [one, other] = HASHES.map(table);
    let error = engine::snapshot(vec![Arc::clone(&one), other], None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let error = engine::snapshot(vec![one], Some(HASHES[1])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}
