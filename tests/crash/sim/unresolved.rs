//! Scenarios of delegated transactions, where a call fails: of the leader, or of the
//! successor who should say what became of them. The follower may have to say that it does not
//! know; what it says must be true.

use reftable::Durability;
use reftable_crash::Pid;

use super::delegated::{LATER, LEADER, OTHER, Scene, terms};
use super::stage::{Sink, for_each_change, set};
use super::world::Denied;

/// The successor of the leader lacks a right; after it another process, which has all, is a
/// successor again.
pub(super) fn by_the_denied(sink: Sink<'_>) {
    const RIGHTS: [&[Denied]; 4] =
        [&[Denied::Append], &[Denied::List], &[Denied::Append, Denied::Remove], &[Denied::Append, Denied::List]];
    for denied in RIGHTS {
        for_each_change(|change| dead_leader(change, |scene| scene.run.world.deny(OTHER, denied), sink).0);
    }
}

/// The successor has few descriptors. What it cannot open it cannot answer.
pub(super) fn by_the_poor(sink: Sink<'_>) {
    let mut has_run_out = false;
    for descriptors in [0, 1, 2, 3, 5] {
        for_each_change(|change| {
            let mut world = None;
            let limit = |scene: &Scene| {
                scene.run.world.limit_descriptors(OTHER, descriptors);
                world = Some(scene.run.world.clone());
            };
            let (is_dead, _) = dead_leader(change, limit, sink);
            has_run_out |= world.is_some_and(|world| world.has_run_out(OTHER));
            is_dead
        });
    }
    assert!(has_run_out, "nobody has wanted more than there was");
}

/// Each write of the leader is torn in turn: of a record half is appended. It lives on, so the
/// follower is told what has become of its transaction.
pub(super) fn by_torn_writes(sink: Sink<'_>) {
    for_each_change(|write| {
        let mut scene = Scene::asked(terms(), 0);
        scene.leader = scene.leader.failing();
        scene.run.world.tear_at(LEADER, write);
        scene.lead();
        let came_true = scene.run.world.has_come(LEADER);
        finish(scene, came_true, sink);
        came_true
    });
}

/// Each call of the successor fails once; then it commits, and then it dies with the lock.
pub(super) fn by_the_failing(sink: Sink<'_>) {
    for_each_change(|change| {
        let mut came_true = false;
        for_each_change(|call| {
            let (is_dead, has_failed) = dead_leader(change, |scene| scene.run.world.fail_at(OTHER, call), sink);
            came_true = is_dead;
            is_dead & has_failed
        });
        came_true
    });
}

/// The leader dies at its `change`th change. The successor, to which something is `done`, commits
/// twice, and dies at the end of the second one; its own successor commits, too. Says whether the
/// leader has died, and whether the call of the successor that was to fail has come.
fn dead_leader(change: u64, done: impl FnOnce(&Scene), sink: Sink<'_>) -> (bool, bool) {
    let mut scene = Scene::asked_unsure(terms());
    scene.run.world.kill_at(LEADER, change);
    scene.lead();
    let is_dead = scene.run.world.is_dead(LEADER);
    let successor = scene.run.actor(OTHER, Durability::Full, terms()).beside_others().failing();
    done(&scene);
    successor.commit(set("next", 1, 90));
    let has_failed = scene.run.world.has_failed(OTHER);
    successor.commit(set("next", 1, 91));
    scene.run.world.kill(OTHER);
    drop(successor);
    commit_as(&scene, LATER, 92);
    finish(scene, is_dead && has_failed, sink);
    (is_dead, has_failed)
}

/// Each call of the leader fails once; then it goes on, and dies at each change.
pub(super) fn by_a_leader_that_fails(sink: Sink<'_>) {
    for_each_change(|call| {
        let mut came_true = false;
        for_each_change(|change| {
            let mut scene = Scene::asked_unsure(terms());
            scene.leader = scene.leader.failing();
            scene.run.world.fail_at(LEADER, call);
            scene.run.world.kill_at(LEADER, change);
            scene.lead();
            let (is_dead, has_failed) = (scene.run.world.is_dead(LEADER), scene.run.world.has_failed(LEADER));
            came_true |= has_failed;
            commit_as(&scene, OTHER, 90);
            commit_as(&scene, LATER, 92);
            finish(scene, is_dead && has_failed, sink);
            is_dead
        });
        came_true
    });
}

fn commit_as(scene: &Scene, pid: Pid, value: u64) {
    scene.run.actor(pid, Durability::Full, terms()).beside_others().commit(set("later", 1, value));
}

/// What has not come true is another run's.
fn finish(scene: Scene, counts: bool, sink: Sink<'_>) {
    let recording = scene.end().finish();
    if counts {
        sink(recording);
    }
}
