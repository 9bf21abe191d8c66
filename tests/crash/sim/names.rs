//! A server that knows files by their names: a kernel lock through one hard link is not seen
//! through another one.

use reftable::Durability;
use reftable::compact::Expiry;

use super::check;
use super::run::{Actor, Run};
use super::stage::{Sink, delete, for_each_change, plain, set, stairs};

/// Process 2 does all of its work before each call of process 1. Locks are plain here, so a process
/// that dies leaves them: nobody does.
pub(super) fn two_at_once(sink: Sink<'_>) {
    let commits: fn(&Actor) = |actor| {
        actor.commit(set("one", 2, 60));
        actor.commit(vec![delete("refs/heads/base-0")]);
    };
    let compacts: fn(&Actor) = |actor| actor.compact(Expiry::default());
    for (options, first, second) in
        [(plain(), commits, commits), (check::options(), commits, compacts), (plain(), compacts, commits)]
    {
        for_each_change(|call| {
            let run = Run::start(&stairs(3));
            run.world.lock_names();
            let one = run.actor(1, Durability::Full, options.clone()).beside_others();
            let two = run.actor(2, Durability::Full, options.clone()).beside_others();
            run.world.before_call(1, call, move || {
                second(&two);
                drop(two);
            });
            first(&one);
            drop(one);
            let came_true = !run.world.forget_plans(1);
            let mut recording = run.finish();
            recording.least_acknowledged = usize::MAX;
            sink(recording);
            came_true
        });
    }
}
