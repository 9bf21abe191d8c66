//! Scenarios of small tables that are merged under the list lock.

use reftable::compact::Expiry;
use reftable::{AutoCompact, Durability};

use super::run::{Actor, Run};
use super::scenarios::commits_that_compact;
use super::stage::{Sink, at_once, delete, interleave, plain, set, stairs, with_dead_lock};

pub(super) fn alone(sink: Sink<'_>) {
    commits_that_compact(3, &at_once(), sink);
    commits_that_compact(1, &at_once().auto_compact(AutoCompact::Lazy(3)), sink);
    for before in [None, Some(3)] {
        let run = Run::start(&stairs(3));
        let actor = run.actor(1, Durability::Full, at_once().auto_compact(AutoCompact::Off));
        actor.compact(Expiry::default().before_update_index(before));
        actor.commit(set("new", 2, 50));
        drop(actor);
        sink(run.finish());
    }
    // A process died that was to compact this table.
    for table in 0..3 {
        let first = with_dead_lock(&stairs(3), table);
        for work in [(|actor| actor.compact(Expiry::default())) as fn(&Actor), |actor| actor.commit(set("new", 3, 50))]
        {
            let run = Run::start(&first);
            let actor = run.actor(1, Durability::Full, at_once());
            work(&actor);
            drop(actor);
            sink(run.finish());
        }
    }
}

pub(super) fn beside(sink: Sink<'_>) {
    let off = || at_once().auto_compact(AutoCompact::Off);
    interleave(
        &stairs(3),
        (off(), plain()),
        |one| one.compact(Expiry::default()),
        |two| {
            two.commit(vec![delete("refs/heads/base-4"), delete("refs/heads/base-0")]);
            two.commit(set("two", 1, 70));
        },
        sink,
    );
    // The other one compacts, too: both at once, or tables that a longer compaction has locked.
    for longer in [off(), plain()] {
        interleave(
            &stairs(3),
            (longer, at_once()),
            |one| one.compact(Expiry::default()),
            |two| {
                two.commit(vec![delete("refs/heads/base-4")]);
                two.commit(set("two", 2, 70));
            },
            sink,
        );
    }
    interleave(
        &stairs(3),
        (at_once(), off()),
        |one| one.commit(vec![delete("refs/heads/base-4")]),
        |two| two.compact(Expiry::default().before_update_index(2)),
        sink,
    );
}
