//! Tables that have update indexes in common, as dulwich leaves them: the order of the list
//! decides.

use std::sync::Arc;

use reftable::compact::Expiry;
use reftable::table::WriteOptions;
use reftable::{Durability, HashKind, Target};
use reftable_crash::{File, Name};

use super::check;
use super::run::Run;
use super::stage::{Base, Sink, delete, plain, set, stairs};
use super::world::TablesList as _;
use crate::support::tables::{LogRow, RefRow, write};
use crate::support::{entry, id};

const ABOVE: &str = "0x000000000001-0x000000000002-f0e1d2c3.ref";
const HASH: HashKind = HashKind::Sha1;

/// Tables of this library with the update indexes 1 and 2, and above them one with 1 to 2: it moves
/// a reference to an older update index, deletes another one and adds a third, with its log.
pub(super) fn base() -> Base {
    let (mut tree, mut model) = stairs(2);
    let (moved, added) = (Target::Id(id(HASH, 900)), Target::Id(id(HASH, 901)));
    let refs: [RefRow; 3] = [
        ("refs/heads/base-0".to_owned(), 1, Some(moved.clone())),
        ("refs/heads/base-1".to_owned(), 2, None),
        ("refs/heads/packed".to_owned(), 2, Some(added.clone())),
    ];
    let logs: [LogRow; 1] = [("refs/heads/packed".to_owned(), 2, Some(entry(HASH, 0, 901, "packed\n")))];
    let (bytes, _) = write(HASH, 1..=2, &WriteOptions::default().block_size(512), &refs, &logs).unwrap();
    model.refs.insert(b"refs/heads/base-0".to_vec(), (1, moved));
    model.refs.remove(b"refs/heads/base-1".as_slice());
    model.refs.insert(b"refs/heads/packed".to_vec(), (2, added));
    model.logs.insert((b"refs/heads/packed".to_vec(), !2), entry(HASH, 0, 901, "packed"));
    model.existing.insert(b"refs/heads/packed".to_vec());

    let list = format!("{}\n{ABOVE}\n", tree.list().join("\n"));
    let (table, number) = (tree.files.keys().max().unwrap() + 1, 1 + tree.files.len() as u64);
    tree.names.insert(Name::from(ABOVE), table);
    tree.files.insert(table, File { bytes: Arc::new(bytes), number, ..File::default() });
    let old = tree.files[&tree.names["tables.list"]].clone();
    tree.files.insert(tree.names["tables.list"], File { bytes: Arc::new(list.into_bytes()), note: None, ..old });
    (tree, model)
}

/// Commits come above all of them, and merging them all keeps what the order of the list says.
pub(super) fn commits(sink: Sink<'_>) {
    let run = Run::start(&base());
    let actor = run.actor(1, Durability::Full, plain());
    actor.commit(vec![delete("refs/heads/base-2")]);
    actor.compact(Expiry::default());
    actor.commit(set("new", 1, 50));
    drop(actor);
    sink(run.finish());
    // Automatic compaction leaves alone what may be in the wrong place.
    let run = Run::start(&base());
    let actor = run.actor(1, Durability::Full, check::options());
    actor.commit(set("new", 1, 50));
    actor.commit(set("new", 2, 51));
    drop(actor);
    sink(run.finish());
}
