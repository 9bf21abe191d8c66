//! Tables whose update indexes overlap, as dulwich writes them when it packs references (1 to 2
//! above 1 to 3), are read in the order of the list, as git reads them. `verify` tells, commits go
//! on above the largest update index of all, and merging all tables mends the store. Automatic
//! compaction leaves alone what may be in the wrong place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::contents::{self, Contents};
use crate::support::git::{self, Repo};
use crate::support::tables::{LogRow, RefRow, write};
use crate::support::{self, HASHES, Random, assert_no_garbage, entry, id, quick, table_names};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::verify::Severity;
use reftable::{AutoCompact, Expect, HashKind, LogEntry, ObjectId, Options, Snapshot, Stack, Target};

/// A table to be: its range and its rows.
#[derive(Debug, Clone)]
struct Layer {
    min: u64,
    max: u64,
    refs: Vec<RefRow>,
    logs: Vec<LogRow>,
}

/// What a stack of layers amounts to: by the order of the list, whatever the update indexes.
#[derive(Debug, Default)]
struct Model {
    refs: BTreeMap<String, (u64, Option<Target>)>,
    /// By name and inverted update index.
    logs: BTreeMap<(String, u64), Option<LogEntry>>,
}

impl Model {
    fn of(layers: &[Layer]) -> Model {
        let mut model = Model::default();
        for layer in layers {
            for (name, index, target) in &layer.refs {
                model.refs.insert(name.clone(), (*index, target.clone()));
            }
            for (name, index, entry) in &layer.logs {
                model.logs.insert((name.clone(), !index), entry.clone());
            }
        }
        model
    }

    fn check(&self, snapshot: &Snapshot) {
        let Contents { refs, logs } = contents::of(snapshot);
        let seen: Vec<_> = refs.iter().map(|found| (found.name_lossy().into_owned(), found.target.clone())).collect();
        let alive = self.refs.iter().filter_map(|(name, (_, target))| Some((name.clone(), target.clone()?)));
        assert_eq!(seen, alive.collect::<Vec<_>>());
        let seen: Vec<_> = logs
            .iter()
            .map(|log| ((String::from_utf8(log.refname.clone()).unwrap(), !log.update_index), log.entry.clone()))
            .collect();
        let alive = self.logs.iter().filter_map(|(key, entry)| Some((key.clone(), entry.clone()?)));
        assert_eq!(seen, alive.collect::<Vec<_>>());
        for (name, (index, target)) in &self.refs {
            let found = snapshot.get(name).unwrap();
            assert_eq!(found.as_ref().map(|found| &found.target), target.as_ref(), "{name}");
            assert!(found.is_none_or(|found| found.update_index == *index), "{name}");
        }
        let all = Contents { refs, logs };
        for id in all.refs.iter().filter_map(|found| found.target.id()).collect::<BTreeSet<_>>() {
            assert_eq!(contents::pointing_at(snapshot, &id), contents::scan_for(&all, &id));
        }
    }
}

/// Layers of any ranges. `ids` are what references may point at.
fn layers(random: &mut Random, hash: HashKind, ids: &[ObjectId], names: u64) -> Vec<Layer> {
    let count = 2 + random.below(5);
    (0..count)
        .map(|_| {
            let min = 1 + random.below(12);
            let max = min + random.below(6);
            let density = 1 + random.below(10);
            let mut refs = Vec::new();
            let mut logs = Vec::new();
            for name in 0..names {
                let text = format!("refs/heads/{name:05}");
                if random.below(10) < density {
                    let target =
                        (random.below(5) > 0).then(|| Target::Id(ids[random.below(ids.len() as u64) as usize]));
                    refs.push((text.clone(), min + random.below(max - min + 1), target));
                }
                let mut index = 18;
                while random.below(40) < density && index > 0 {
                    let (old, new) = (random.below(9), 1 + random.below(9));
                    let entry = (random.below(5) > 0).then(|| entry(hash, old, new, format!("{name} {old}\n")));
                    logs.push((text.clone(), index, entry));
                    index -= 1 + random.below(index);
                }
            }
            Layer { min, max, refs, logs }
        })
        .collect()
}

/// Writes the tables and returns their names.
fn put(dir: &Path, hash: HashKind, options: &WriteOptions, layers: &[Layer]) -> Vec<String> {
    let name = |(number, layer): (usize, &Layer)| {
        let (min, max) = (layer.min, layer.max);
        let (bytes, _) = write(hash, min..=max, options, &layer.refs, &layer.logs).unwrap();
        let name = format!("0x{min:012x}-0x{max:012x}-{number:08x}.ref");
        fs::write(dir.join(&name), bytes).unwrap();
        name
    };
    layers.iter().enumerate().map(name).collect()
}

fn set_list(dir: &Path, names: &[String]) {
    fs::write(dir.join("tables.list"), names.iter().map(|name| format!("{name}\n")).collect::<String>()).unwrap();
}

fn open(dir: &Path, options: Options) -> Stack {
    Stack::open(dir, options.auto_compact(AutoCompact::Off)).unwrap()
}

/// `verify` finds that ranges overlap, and log entries above them, which the layers have on
/// purpose; and nothing else.
fn verifies_but_for_overlaps(stack: &Stack) -> usize {
    let mut findings = stack.verify().unwrap().findings;
    findings.retain(|finding| finding.severity > Severity::Note);
    findings.retain(|finding| !finding.message.contains("above the header's range"));
    for finding in &findings {
        assert_eq!(finding.severity, Severity::Warning, "{finding}");
        assert!(finding.message.contains("begins with update index"), "{finding}");
    }
    findings.len()
}

fn targets(snapshot: &Snapshot) -> BTreeMap<Vec<u8>, Target> {
    contents::of(snapshot).refs.into_iter().map(|found| (found.name, found.target)).collect()
}

/// What `changes_since` tells is what comparing tells, in both directions.
fn check_changes(a: &Snapshot, b: &Snapshot) {
    for (older, newer) in [(a, b), (b, a)] {
        let (before, after) = (targets(older), targets(newer));
        let mut told = before.clone();
        for change in newer.changes_since(older).unwrap() {
            let change = change.unwrap();
            assert_eq!(change.before.as_ref(), before.get(&change.name));
            match change.after {
                Some(target) => told.insert(change.name, target),
                None => told.remove(&change.name),
            };
        }
        assert_eq!(told, after);
    }
}

/// A life of such a store: it grows table by table, is committed upon, compacted by the rule and
/// then altogether.
fn live(dir: &Path, hash: HashKind, options: &Options, write: &WriteOptions, layers: &[Layer], also: impl Fn()) {
    let names = put(dir, hash, write, layers);
    let mut seen = Vec::new();
    set_list(dir, &names[..1]);
    let watcher = open(dir, options.clone());
    for (count, _) in names.iter().enumerate() {
        set_list(dir, &names[..=count]);
        let snapshot = watcher.snapshot().unwrap();
        Model::of(&layers[..=count]).check(&snapshot);
        assert_eq!(snapshot.update_index(), layers[..=count].iter().map(|layer| layer.max).max().unwrap());
        seen.push(snapshot);
    }
    also();
    let overlaps = verifies_but_for_overlaps(&watcher);

    let most = layers.iter().map(|layer| layer.max).max().unwrap();
    let mut tx = watcher.transaction();
    tx.set("refs/heads/on-top", Expect::Absent, id(hash, 7));
    assert_eq!(tx.commit().unwrap().update_index, most + 1);
    let mut tx = watcher.transaction();
    tx.delete("refs/heads/on-top", Expect::Exists);
    assert_eq!(tx.commit().unwrap().update_index, most + 2);
    let model = Model::of(layers);
    let check = |stack: &Stack| {
        let snapshot = stack.snapshot().unwrap();
        let mut with_top = Model { refs: model.refs.clone(), logs: model.logs.clone() };
        with_top.refs.insert("refs/heads/on-top".to_owned(), (most + 2, None));
        with_top.check(&snapshot);
        assert_eq!(snapshot.update_index(), most + 2);
        snapshot
    };
    assert_eq!(verifies_but_for_overlaps(&watcher), overlaps);
    seen.push(check(&watcher));

    let automatic = open(dir, options.clone());
    while let Some(done) = automatic.compact(Compact::Auto).unwrap() {
        assert!(done.merged.len() > 1);
        verifies_but_for_overlaps(&automatic);
        seen.push(check(&automatic));
        also();
    }
    automatic.compact(Compact::all()).unwrap();
    seen.push(check(&automatic));
    also();
    assert_eq!(verifies_but_for_overlaps(&automatic), 0);
    assert_no_garbage(dir);
    assert_eq!(table_names(dir).len(), 1);
    for pair in seen.windows(2).chain([&[seen[0].clone(), seen[seen.len() - 1].clone()][..]]) {
        check_changes(&pair[0], &pair[1]);
    }
}

#[test]
fn they_follow_the_order_of_the_list() {
    for round in 0..60 {
        let mut random = Random(round);
        let hash = HASHES[(round % 2) as usize];
        let ids: Vec<ObjectId> = (1..6).map(|number| id(hash, number)).collect();
        let layers = layers(&mut random, hash, &ids, 12);
        let dir = tempfile::tempdir().unwrap();
        let write = WriteOptions::default().block_size(256).padding(round % 3 > 0);
        live(dir.path(), hash, &quick().write(write.clone()), &write, &layers, || ());
    }
}

/// Large enough for indexes, object sections, and blocks that are copied.
#[test]
fn large_ones_are_merged_block_by_block() {
    let mut copied = 0;
    for round in 0..6 {
        let mut random = Random(100 + round);
        let hash = HASHES[(round % 2) as usize];
        let ids: Vec<ObjectId> = (1..200).map(|number| id(hash, number)).collect();
        let mut layers = layers(&mut random, hash, &ids[..20], 1500);
        // One that the others touch little, with the smallest update index, so that its blocks can
        // be copied.
        let at = random.below(layers.len() as u64) as usize;
        let index = layers[at].min;
        let refs = (1500..4000).map(|name| (format!("refs/heads/{name:05}"), index, Some(Target::Id(ids[name % 199]))));
        layers[at].refs.extend(refs);
        let dir = tempfile::tempdir().unwrap();
        let write = WriteOptions::default().block_size(512);
        let options = quick().write(write.clone()).compact_at_once(0);
        live(dir.path(), hash, &options, &write, &layers, || ());
        let names = put(dir.path(), hash, &write, &layers);
        set_list(dir.path(), &names);
        let stack = open(dir.path(), options);
        copied += stack.compact(Compact::all()).unwrap().unwrap().written.copied;
        Model::of(&layers).check(&stack.snapshot().unwrap());
    }
    assert!(copied > 100, "{copied}");
}

#[test]
fn git_reads_them_alike() {
    if !git::is_there() {
        return;
    }
    for round in 0..4 {
        let mut random = Random(200 + round);
        let hash = HASHES[(round % 2) as usize];
        let repo = Repo::with(hash, &[], false);
        let ids: Vec<ObjectId> = repo.commits(9).iter().map(|id| id.parse().unwrap()).collect();
        let mut layers = layers(&mut random, hash, &ids, 12);
        let head = ("HEAD".to_owned(), layers[0].min, Some(Target::symbolic("refs/heads/main")));
        layers[0].refs.insert(0, head);
        for (_, _, entry) in layers.iter_mut().flat_map(|layer| &mut layer.logs) {
            // git shows objects that are there.
            entry.iter_mut().for_each(|entry| (entry.old, entry.new) = (ids[0], ids[1]));
        }
        for name in support::listing(&repo.reftable_dir()) {
            fs::remove_file(repo.reftable_dir().join(name)).unwrap();
        }
        let write = WriteOptions::default();
        live(&repo.reftable_dir(), hash, &quick(), &write, &layers, || repo.assert_reads_equal());
    }
}

/// The store of a first, a second, and a third commit, with the lines of the list in the wrong
/// order: that is what it looks like, too, and merging would make it permanent.
#[test]
fn what_may_be_in_the_wrong_place_is_merged_only_when_asked() {
    let hash = HashKind::Sha1;
    let layer = |index: u64, target: u64| Layer {
        min: index,
        max: index,
        refs: vec![("refs/heads/main".to_owned(), index, Some(Target::Id(id(hash, target))))],
        logs: Vec::new(),
    };
    let layers = [layer(1, 1), layer(3, 3), layer(2, 2)];
    let dir = tempfile::tempdir().unwrap();
    let names = put(dir.path(), hash, &WriteOptions::default(), &layers);
    set_list(dir.path(), &names);
    let stack = Stack::open(dir.path(), quick().auto_compact(AutoCompact::Geometric(2))).unwrap();
    assert_eq!(stack.compact(Compact::Auto).unwrap(), None);
    for number in 0..5 {
        let mut tx = stack.transaction();
        tx.set(format!("refs/heads/{number}"), Expect::Absent, id(hash, 4));
        assert_eq!(tx.commit().unwrap().update_index, 4 + number);
    }
    assert_eq!(table_names(dir.path())[..3], names, "what is there is left alone");
    assert!(table_names(dir.path()).len() < 7, "what lies above is not");
    set_list(dir.path(), &[&names[..1], &names[2..3], &names[1..2]].concat());
    let mended = open(dir.path(), quick());
    assert_eq!(mended.snapshot().unwrap().get("refs/heads/main").unwrap().unwrap().update_index, 3);
}
