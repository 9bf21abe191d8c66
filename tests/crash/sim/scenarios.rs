//! What the processes do. Each scenario makes recordings, of all its variations.

use reftable::compact::Expiry;
use reftable::{Durability, Expect, Options};
use reftable_crash::Model as Crashes;

use super::at_once;
use super::check;
use super::delegated;
use super::durability_marks;
use super::git::{Fsync, Git};
use super::groups;
use super::host;
use super::links;
use super::mend;
use super::names;
use super::older;
use super::overlapping;
use super::run::{Actor, GIT, Run};
use super::stage::{
    LAST_WORKS, Sink, base, delete, die, empty, for_each_change, id, interleave, keep_if_dead, only_if, plain, set,
    stairs, with_garbage,
};
use super::unproven;
use super::unresolved;
use super::whole_blocks;
use crate::support::model::Change;

/// Something that processes do, and the crashes it must survive.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) crashes: &'static [Crashes],
    pub(crate) record: fn(Sink<'_>),
}

const ALL_CRASHES: &[Crashes] = &[Crashes::Kill, Crashes::OnlySynced, Crashes::Ordered];
const KILLS: &[Crashes] = &[Crashes::Kill];
/// The markers of hosts' locks are not synced by themselves.
const JOURNALED: &[Crashes] = &[Crashes::Kill, Crashes::Journaled];

pub(crate) const OURS: &[Scenario] = &[
    Scenario { name: "commit", crashes: ALL_CRASHES, record: commit },
    Scenario { name: "first commit", crashes: ALL_CRASHES, record: first_commit },
    Scenario { name: "commit and compact", crashes: ALL_CRASHES, record: commit_and_compact },
    Scenario { name: "compact all", crashes: ALL_CRASHES, record: compact_all },
    Scenario { name: "expire", crashes: ALL_CRASHES, record: expire },
    Scenario { name: "group of three", crashes: ALL_CRASHES, record: groups::group },
    Scenario { name: "group beside a committer", crashes: ALL_CRASHES, record: groups::beside },
    Scenario { name: "compact at once", crashes: ALL_CRASHES, record: at_once::alone },
    Scenario { name: "compact at once beside others", crashes: ALL_CRASHES, record: at_once::beside },
    Scenario { name: "compact whole blocks", crashes: ALL_CRASHES, record: whole_blocks::compact },
    Scenario { name: "two committers in turn", crashes: ALL_CRASHES, record: two_in_turn },
    Scenario { name: "two committers at once", crashes: ALL_CRASHES, record: two_at_once },
    Scenario { name: "commits during compaction", crashes: ALL_CRASHES, record: commits_during_compaction },
    Scenario { name: "compaction during commit", crashes: ALL_CRASHES, record: compaction_during_commit },
    Scenario { name: "two compactions at once", crashes: ALL_CRASHES, record: two_compactions },
    Scenario { name: "take-over from a dead owner", crashes: ALL_CRASHES, record: take_over },
    Scenario { name: "death during another's commit", crashes: ALL_CRASHES, record: death_during_commit },
    Scenario { name: "delegated", crashes: ALL_CRASHES, record: delegated::beside },
    Scenario { name: "delegated by two", crashes: ALL_CRASHES, record: delegated::by_two },
    Scenario { name: "delegated and given up", crashes: ALL_CRASHES, record: delegated::given_up },
    Scenario { name: "delegated to a dead leader", crashes: ALL_CRASHES, record: delegated::to_a_dead_leader },
    Scenario { name: "delegated, replaced values told", crashes: KILLS, record: delegated::with_values },
    Scenario { name: "delegated to two who die", crashes: KILLS, record: delegated::to_two_who_die },
    Scenario { name: "delegated, then repaired", crashes: KILLS, record: delegated::to_the_repaired },
    Scenario { name: "delegated, successor without rights", crashes: KILLS, record: unresolved::by_the_denied },
    Scenario { name: "delegated, successor that fails", crashes: KILLS, record: unresolved::by_the_failing },
    Scenario { name: "delegated, leader that fails", crashes: KILLS, record: unresolved::by_a_leader_that_fails },
    Scenario { name: "delegated, successor without descriptors", crashes: KILLS, record: unresolved::by_the_poor },
    Scenario { name: "delegated, torn writes", crashes: KILLS, record: unresolved::by_torn_writes },
    Scenario { name: "requests of dead followers", crashes: ALL_CRASHES, record: delegated::of_dead_followers },
    Scenario { name: "clean", crashes: ALL_CRASHES, record: clean },
    Scenario { name: "killed before git merges", crashes: ALL_CRASHES, record: unproven::killed_before_git_merges },
    Scenario { name: "an older list comes back", crashes: ALL_CRASHES, record: older::list },
    Scenario { name: "full above git's unsynced table", crashes: ALL_CRASHES, record: above_git },
    Scenario { name: "full above our unsynced commit", crashes: ALL_CRASHES, record: above_off },
    Scenario { name: "full above ordered above git", crashes: ALL_CRASHES, record: durability_marks::above_ordered },
    Scenario { name: "a sync that fails once", crashes: ALL_CRASHES, record: durability_marks::sync_that_fails },
    Scenario { name: "full in a copied store", crashes: ALL_CRASHES, record: durability_marks::copied },
    Scenario { name: "full above a list that was edited", crashes: ALL_CRASHES, record: durability_marks::edited },
    Scenario { name: "locks that are symbolic links", crashes: ALL_CRASHES, record: links::locks },
    Scenario { name: "kernel locks that belong to names", crashes: KILLS, record: names::two_at_once },
    Scenario { name: "repair after a dead git", crashes: ALL_CRASHES, record: mend::dead_git },
    Scenario { name: "repair of a missing list", crashes: ALL_CRASHES, record: mend::list_missing },
    Scenario { name: "repair of a damaged list", crashes: ALL_CRASHES, record: mend::list_damaged },
    Scenario { name: "repair of a damaged table", crashes: ALL_CRASHES, record: mend::newest_damaged },
    Scenario { name: "repair of what is left over", crashes: ALL_CRASHES, record: mend::leftovers },
    Scenario { name: "repair of what was merged twice", crashes: ALL_CRASHES, record: mend::merged_twice },
    Scenario { name: "tables that overlap", crashes: ALL_CRASHES, record: overlapping::commits },
    Scenario { name: "repair beside tables that overlap", crashes: ALL_CRASHES, record: mend::overlapping },
    Scenario { name: "hosts take over from hosts", crashes: JOURNALED, record: host::take_over },
    Scenario { name: "a host beside this crate", crashes: KILLS, record: host::beside },
    Scenario { name: "two hosts at once", crashes: KILLS, record: host::at_once },
    Scenario { name: "delegated, a host takes over", crashes: KILLS, record: delegated::to_a_host },
    Scenario { name: "hosts under full", crashes: JOURNALED, record: host::full },
    Scenario { name: "ordered durability", crashes: &[Crashes::Kill, Crashes::Ordered], record: ordered },
    Scenario { name: "durability off", crashes: KILLS, record: off },
];

fn commit(sink: Sink<'_>) {
    for size in [1, 4, 12, 20] {
        let run = Run::start(&stairs(2));
        let actor = run.actor(1, Durability::Full, plain());
        actor.commit(set("new", size, 50));
        let mut second = set("new", size, 51);
        second[0] = delete("refs/heads/new-0");
        second.push(delete("refs/heads/base-1"));
        actor.commit(second);
        drop(actor);
        sink(run.finish());
    }
}

fn first_commit(sink: Sink<'_>) {
    for size in [1, 4, 12, 20] {
        let run = Run::start(&empty());
        let actor = run.actor(1, Durability::Full, plain());
        actor.commit(set("new", size, 50));
        drop(actor);
        sink(run.finish());
    }
    // An earlier process has died at some point of the same.
    for_each_change(|change| {
        let run = Run::start(&empty());
        die(&run, change, |actor| actor.commit(set("dead", 2, 40)));
        let actor = run.actor(2, Durability::Full, plain());
        actor.commit(set("new", 2, 50));
        drop(actor);
        keep_if_dead(run, 1, sink)
    });
}

fn commit_and_compact(sink: Sink<'_>) {
    commits_that_compact(4, &check::options(), sink);
}

pub(super) fn commits_that_compact(most: u64, options: &Options, sink: Sink<'_>) {
    for tables in 1..=most {
        let run = Run::start(&stairs(tables));
        let actor = run.actor(1, Durability::Full, options.clone());
        actor.commit(vec![delete("refs/heads/base-3")]);
        actor.commit(set("new", 3, 50));
        actor.commit(vec![delete("refs/heads/base-2"), delete("refs/heads/new-0")]);
        actor.commit(set("new", 2, 51));
        drop(actor);
        sink(run.finish());
    }
}

fn compact_all(sink: Sink<'_>) {
    for tables in 2..=5 {
        let run = Run::start(&stairs(tables));
        let actor = run.actor(1, Durability::Full, plain());
        actor.commit(vec![delete("refs/heads/base-0")]);
        actor.compact(Expiry::default());
        actor.commit(set("new", 2, 50));
        drop(actor);
        sink(run.finish());
    }
}

fn expire(sink: Sink<'_>) {
    for before in [2, 3, 9] {
        let run = Run::start(&stairs(3));
        let actor = run.actor(1, Durability::Full, plain());
        actor.commit(set("new", 2, 50));
        actor.compact(Expiry::default().before_update_index(before));
        actor.commit(vec![delete("refs/heads/base-0")]);
        actor.compact(Expiry::default().before_update_index(99));
        drop(actor);
        sink(run.finish());
    }
}

fn two_in_turn(sink: Sink<'_>) {
    for options in [plain(), check::options()] {
        let run = Run::start(&stairs(2));
        let one = run.actor(1, Durability::Full, options.clone());
        let two = run.actor(2, Durability::Full, options.clone());
        for round in 0..3 {
            one.commit(set("one", 2, 60 + round));
            two.commit(set("two", 3, 70 + round));
        }
        two.compact(Expiry::default());
        drop((one, two));
        sink(run.finish());
    }
}

fn two_at_once(sink: Sink<'_>) {
    let first = base(&[vec![Change::Set(b"refs/heads/main".to_vec(), Expect::Absent, id(1))], set("base", 3, 1)]);
    interleave(
        &first,
        (plain(), plain()),
        |one| {
            one.commit(vec![Change::Set(b"refs/heads/main".to_vec(), Expect::Is(id(1)), id(2))]);
            one.commit(set("one", 2, 60));
        },
        |two| {
            two.commit(vec![Change::Set(b"refs/heads/main".to_vec(), Expect::Is(id(1)), id(3))]);
            two.commit(set("two", 2, 70));
        },
        sink,
    );
    interleave(
        &stairs(2),
        (check::options(), check::options()),
        |one| one.commit(set("one", 4, 60)),
        |two| {
            let mut changes = set("two", 4, 70);
            changes.push(only_if("refs/heads/base-0", Expect::Exists));
            two.commit(changes);
        },
        sink,
    );
}

fn commits_during_compaction(sink: Sink<'_>) {
    for options in [plain(), check::options()] {
        interleave(
            &stairs(3),
            (plain(), options),
            |one| one.compact(Expiry::default()),
            |two| {
                two.commit(vec![delete("refs/heads/base-4"), delete("refs/heads/base-0")]);
                two.commit(set("two", 1, 70));
                two.commit(vec![delete("refs/heads/two-0")]);
            },
            sink,
        );
    }
}

fn compaction_during_commit(sink: Sink<'_>) {
    interleave(
        &stairs(3),
        (check::options(), plain()),
        |one| {
            one.commit(vec![delete("refs/heads/base-4")]);
            one.commit(set("one", 3, 60));
        },
        |two| two.compact(Expiry::default().before_update_index(2)),
        sink,
    );
}

fn two_compactions(sink: Sink<'_>) {
    interleave(
        &stairs(4),
        (plain(), plain()),
        |one| {
            one.compact(Expiry::default());
            one.commit(set("one", 1, 60));
        },
        |two| {
            two.compact(Expiry::default());
            two.commit(set("two", 1, 70));
        },
        sink,
    );
}

fn take_over(sink: Sink<'_>) {
    for (tables, work) in LAST_WORKS {
        let first = stairs(tables);
        for_each_change(|change| {
            let run = Run::start(&first);
            let successor = run.actor(2, Durability::Full, check::options());
            die(&run, change, work);
            successor.commit(set("next", 2, 50));
            successor.compact(Expiry::default());
            drop(successor);
            keep_if_dead(run, 1, sink)
        });
    }
}

/// Process 2 works before each call of process 1 and dies at each of its changes; process 1 must
/// not mind.
fn death_during_commit(sink: Sink<'_>) {
    let first = stairs(2);
    for_each_change(|call| {
        let mut came_true = false;
        for_each_change(|change| {
            let run = Run::start(&first);
            let one = run.actor(1, Durability::Full, check::options());
            let two = run.actor(2, Durability::Full, check::options()).beside_others();
            let world = run.world.clone();
            run.world.before_call(1, call, move || {
                world.kill_at(2, change);
                two.commit(set("two", 1, 70));
            });
            one.commit(set("one", 2, 60));
            drop(one);
            came_true = !run.world.forget_plans(1);
            came_true & keep_if_dead(run, 2, sink)
        });
        came_true
    });
}

fn clean(sink: Sink<'_>) {
    let first = with_garbage(&stairs(2));
    for work in [
        (|actor| actor.compact(Expiry::default())) as fn(&Actor),
        |actor| actor.commit(set("new", 4, 50)),
        |actor| {
            actor.compact(Expiry::default());
            actor.compact(Expiry::default());
        },
    ] {
        let run = Run::start(&first);
        let actor = run.actor(1, Durability::Full, check::options());
        work(&actor);
        drop(actor);
        sink(run.finish());
    }
}

fn above_git(sink: Sink<'_>) {
    for (commits, options) in [(1, plain()), (2, plain()), (1, check::options()), (2, check::options())] {
        let run = Run::start(&stairs(2));
        let ours = run.actor(1, Durability::Full, options);
        let git = Git::new(&run, GIT, Fsync::Default);
        (0..commits).for_each(|number| git.commit(set("git", 4, 60 + number)));
        ours.commit(set("ours", 4, 50));
        ours.compact(Expiry::default());
        drop(ours);
        sink_from_first_acknowledgement(run, sink);
    }
}

fn above_off(sink: Sink<'_>) {
    for commits in [1, 2, 3] {
        let run = Run::start(&stairs(2));
        let ours = run.actor(1, Durability::Full, check::options());
        let off = run.actor(2, Durability::Off, plain());
        (0..commits).for_each(|number| off.commit(set("off", 4, 60 + number)));
        ours.commit(set("ours", 4, 50));
        ours.commit(set("ours", 1, 51));
        drop((ours, off));
        sink_from_first_acknowledgement(run, sink);
    }
}

/// Before a process of this library syncs, what others did not sync may be lost; so all is well
/// until then.
pub(super) fn sink_from_first_acknowledgement(run: Run, sink: Sink<'_>) {
    let mut recording = run.finish();
    recording.least_acknowledged = 1;
    sink(recording);
}

fn ordered(sink: Sink<'_>) {
    with_durability(Durability::Ordered, sink);
}

fn off(sink: Sink<'_>) {
    with_durability(Durability::Off, sink);
}

fn with_durability(durability: Durability, sink: Sink<'_>) {
    for first in [empty(), stairs(2)] {
        let run = Run::start(&first);
        let actor = run.actor(1, durability, check::options());
        (0..3).for_each(|number| actor.commit(set("new", 3, 50 + number)));
        drop(actor);
        sink(run.finish());
    }
}

/// git alone: a control.
pub(crate) fn git(fsync: Fsync, sink: Sink<'_>) {
    let run = Run::start(&base(&[set("base", 1, 0)]));
    let git = Git::new(&run, GIT, fsync);
    git.commit(set("git", 1, 60));
    git.commit(set("git", 1, 61));
    sink(run.finish());
}
