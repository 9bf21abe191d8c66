//! Compactions that copy blocks: of a table large enough to have an index.

use reftable::compact::Expiry;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Durability, Expect};

use super::check;
use super::run::Run;
use super::stage::{Sink, base, delete, empty, plain, set};
use crate::support::model::Change;

/// References and logs of several blocks.
const MANY: u64 = 150;

pub(super) fn compact(sink: Sink<'_>) {
    // Nothing lies below the table that is copied from; it has a tombstone, which hides nothing.
    let mut oldest = set("base", MANY, 1);
    oldest.push(Change::Delete(b"refs/heads/base-5-gone".to_vec(), Expect::Any));
    let after = || set("next", 3, 2);
    for expiry in [None, Some(2)] {
        let run = Run::start(&base(&[oldest.clone(), after()]));
        let actor = run.actor(1, Durability::Full, plain());
        actor.compact(Expiry::default().before_update_index(expiry));
        actor.commit(vec![delete("refs/heads/base-7")]);
        actor.compact(Expiry::default());
        drop(actor);
        sink(run.finish());
    }
    // The large table is not padded, the merged one is.
    let run = Run::start(&empty());
    let unpadded = check::options().write(WriteOptions::default().block_size(512).padding(false));
    let actor = run.actor(1, Durability::Full, unpadded.auto_compact(AutoCompact::Off));
    actor.commit(set("base", MANY, 1));
    actor.commit(after());
    drop(actor);
    let actor = run.actor(2, Durability::Full, plain());
    actor.compact(Expiry::default());
    drop(actor);
    sink(run.finish());
    // The large table is not the oldest.
    let run = Run::start(&base(&[set("a", 2, 3), set("base", MANY, 1), after()]));
    let actor = run.actor(1, Durability::Full, plain());
    actor.compact(Expiry::default());
    drop(actor);
    sink(run.finish());
}
