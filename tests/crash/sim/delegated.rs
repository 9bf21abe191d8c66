//! Scenarios of delegated transactions: a process that waits for the lock writes down what it
//! wants, and who gets the lock does it along with its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reftable::dir::{Dir, DirFile};
use reftable::{Durability, Expect, Options, Prepared};
use reftable_crash::{Beside, Model, Pid, Tree};

use super::beside;
use super::check::is_request;
use super::host;
use super::mend;
use super::mutants;
use super::run::{Actor, Recording, Run};
use super::stage::{Base, Sink, for_each_change, id, keep_if_dead, plain, set, stairs};
use super::world::synced;
use crate::support::model::Change;

pub(super) const LEADER: Pid = 1;
pub(super) const FOLLOWER: Pid = 2;
pub(super) const OTHER: Pid = 3;
/// Has the lock first, and does nothing with it.
const HOLDER: Pid = 4;
/// Finds what all of these have left.
pub(super) const LATER: Pid = 5;
const CLEANER: Pid = 6;

/// So many calls take a follower to its end if it is committed for, time for patience and a sync of
/// its own included.
const TO_THE_END: u64 = 150;
/// An follower that waits does the same again after so many calls.
const ROUND: u64 = 3;

pub(super) fn terms() -> Options {
    plain().delegation(true)
}

/// A leader that is about to begin, and a process that waits for the lock.
pub(super) struct Scene {
    pub(super) run: Run,
    pub(super) leader: Actor,
    follower: Beside,
    held: Option<Prepared>,
}

impl Scene {
    /// The follower has made no call yet.
    fn new(options: Options) -> Scene {
        Self::with(|run| ask(run, FOLLOWER, options, set("follower", 2, 70)))
    }

    fn with(ask: impl FnOnce(&Run) -> Beside) -> Scene {
        let run = Run::start(&stairs(2));
        let holder = run.actor(HOLDER, Durability::Full, plain());
        let mut tx = holder.stack.transaction();
        tx.set("refs/heads/held", Expect::Any, id(7));
        let held = Some(tx.prepare().unwrap());
        // It is not about these files.
        run.world.process(HOLDER).sync().unwrap();
        let leader = run.actor(LEADER, Durability::Full, terms());
        let follower = ask(&run);
        Scene { run, leader, follower, held }
    }

    /// The follower has asked to change what the leader will change, and wants to know what was
    /// there.
    fn asked_for_values() -> Scene {
        let scene = Self::with(|run| {
            let actor = run.actor(FOLLOWER, Durability::Full, terms()).asking().told_values();
            beside::start(&run.world, actor, |actor| actor.commit(set("base", 2, 70)))
        });
        go_until_asked(&scene.run, &scene.follower, 1);
        scene
    }

    /// The follower has asked, and made so many calls since.
    pub(super) fn asked(options: Options, calls: u64) -> Scene {
        let scene = Scene::new(options);
        go_until_asked(&scene.run, &scene.follower, 1);
        scene.follower.go(calls);
        scene
    }

    /// The same with a follower that need not be told what became of its transaction.
    pub(super) fn asked_unsure(options: Options) -> Scene {
        let mut scene = Self::new(options);
        let Scene { run, follower, .. } = &mut scene;
        run.may_fail(FOLLOWER);
        go_until_asked(run, follower, 1);
        scene
    }

    /// The lock is free, and the leader commits.
    pub(super) fn lead(&mut self) {
        self.held = None;
        self.leader.commit(set("leader", 2, 60));
    }

    /// The same with changes of what the follower changes.
    fn lead_the_same(&mut self) {
        self.held = None;
        self.leader.commit(set("base", 3, 60));
    }

    /// All come to their ends.
    pub(super) fn end(self) -> Run {
        let Scene { run, leader, follower, held } = self;
        drop((held, leader));
        follower.finish();
        run
    }
}

fn ask(run: &Run, pid: Pid, options: Options, changes: Vec<Change>) -> Beside {
    let actor = run.actor(pid, Durability::Full, options).asking();
    beside::start(&run.world, actor, move |actor| actor.commit(changes))
}

/// Lets a process go on until there are so many requests.
fn go_until_asked(run: &Run, follower: &Beside, count: usize) {
    let asked = || requests(&run.world.tree()).filter(|(_, bytes)| !bytes.is_empty()).count();
    (0..100).take_while(|_| asked() < count).for_each(|_| follower.go(1));
    assert_eq!(asked(), count, "nobody asks");
}

fn requests(tree: &Tree) -> impl Iterator<Item = (u64, &[u8])> {
    let found = tree.names.iter().filter(|(name, _)| is_request(name));
    found.map(|(_, file)| (*file, tree.files[file].bytes.as_slice()))
}

/// The leader comes at every call of a follower, and a follower goes on at every call of the
/// leader.
pub(super) fn beside(sink: Sink<'_>) {
    let mut committed = 0;
    for calls in 0..40 {
        let mut scene = Scene::new(terms());
        scene.follower.go(calls);
        scene.lead();
        committed += scene.leader.stack.metrics().committed_for_others;
        sink(scene.end().finish());
    }
    assert!(committed > 0, "nothing is ever delegated");
    for calls in 0..ROUND {
        for_each_change(|call| interleaved(Scene::asked(terms(), calls), call, sink));
    }
}

/// The follower goes on before the `call`th call of the leader.
fn interleaved(mut scene: Scene, call: u64, sink: Sink<'_>) -> bool {
    let go = scene.follower.goer();
    scene.run.world.before_call(LEADER, call, move || go(TO_THE_END));
    scene.lead();
    let came_true = !scene.run.world.forget_plans(LEADER);
    sink(scene.end().finish());
    came_true
}

/// Two ask. The second one wants something else, or what the first one has asked for.
pub(super) fn by_two(sink: Sink<'_>) {
    let create = |name: &str| vec![Change::Set(name.as_bytes().to_vec(), Expect::Absent, id(80))];
    for wanted in ["refs/heads/other", "refs/heads/follower-0"] {
        for_each_change(|call| {
            let mut scene = Scene::asked(terms(), 0);
            let other = ask(&scene.run, OTHER, terms(), create(wanted));
            go_until_asked(&scene.run, &other, 2);
            let (go, go_other) = (scene.follower.goer(), other.goer());
            scene.run.world.before_call(LEADER, call, move || {
                go(TO_THE_END);
                go_other(TO_THE_END);
            });
            scene.lead();
            let came_true = !scene.run.world.forget_plans(LEADER);
            let run = scene.end();
            other.finish();
            sink(run.finish());
            came_true
        });
    }
}

/// The follower loses patience, or dies, at every call of the leader; or dies at each change of its
/// own.
pub(super) fn given_up(sink: Sink<'_>) {
    let hasty = || terms().lock_timeout(Some(Duration::from_millis(1)));
    for calls in 0..ROUND {
        for_each_change(|call| interleaved(Scene::asked(hasty(), calls), call, sink));
    }
    for_each_change(|call| {
        let mut scene = Scene::asked(terms(), 0);
        let world = scene.run.world.clone();
        scene.run.world.before_call(LEADER, call, move || world.kill(FOLLOWER));
        scene.lead();
        let came_true = !scene.run.world.forget_plans(LEADER);
        sink(scene.end().finish());
        came_true
    });
    for_each_change(|change| {
        let mut scene = Scene::new(hasty());
        scene.run.world.kill_at(FOLLOWER, change);
        scene.follower.go(TO_THE_END);
        scene.lead();
        keep_if_dead(scene.end(), FOLLOWER, sink)
    });
}

/// The leader dies at each of its changes, and is a successor itself. Its own successor is the
/// follower.
pub(super) fn to_a_dead_leader(sink: Sink<'_>) {
    for calls in 0..ROUND {
        for_each_change(|change| {
            let mut scene = Scene::asked(terms(), calls);
            scene.run.world.kill(HOLDER);
            scene.run.world.kill_at(LEADER, change);
            scene.lead();
            keep_if_dead(scene.end(), LEADER, sink)
        });
    }
}

/// What the follower is told of the values that it has replaced is so: while the leader lives, and
/// when it dies at any of its changes, with the follower or another one that changes the same for
/// an successor. Between its plan and its publication it has told values that nobody has replaced
/// yet.
pub(super) fn with_values(sink: Sink<'_>) {
    for_each_change(|call| {
        let mut scene = Scene::asked_for_values();
        let go = scene.follower.goer();
        scene.run.world.before_call(LEADER, call, move || go(TO_THE_END));
        scene.lead_the_same();
        let came_true = !scene.run.world.forget_plans(LEADER);
        sink(scene.end().finish());
        came_true
    });
    for is_first in [true, false] {
        for_each_change(|change| {
            let mut scene = Scene::asked_for_values();
            scene.run.world.kill_at(LEADER, change);
            scene.lead_the_same();
            if !is_first {
                let successor = scene.run.actor(OTHER, Durability::Full, plain());
                successor.commit(set("base", 1, 90));
            }
            keep_if_dead(scene.end(), LEADER, sink)
        });
    }
}

/// The successor of the leader is another process, which may die over it.
pub(super) fn to_two_who_die(sink: Sink<'_>) {
    for_each_change(|change| {
        let mut came_true = false;
        for_each_change(|later| {
            let mut scene = Scene::asked(terms(), 0);
            scene.run.world.kill_at(LEADER, change);
            scene.lead();
            came_true = scene.run.world.is_dead(LEADER);
            let successor = scene.run.actor(OTHER, Durability::Full, terms());
            scene.run.world.kill_at(OTHER, later);
            successor.commit(set("next", 1, 90));
            drop(successor);
            came_true & keep_if_dead(scene.end(), OTHER, sink)
        });
        came_true
    });
}

/// The successor of the leader is a host, which may die over it.
pub(super) fn to_a_host(sink: Sink<'_>) {
    for later in [None, Some(0), Some(1), Some(2), Some(3)] {
        for_each_change(|change| {
            let mut scene = Scene::asked(terms(), 0);
            scene.run.world.kill_at(LEADER, change);
            scene.lead();
            let came_true = scene.run.world.is_dead(LEADER);
            let successor = host::host(&scene.run, OTHER, plain());
            if let Some(later) = later {
                scene.run.world.kill_at(OTHER, later);
            }
            successor.commit(set("successor", 1, 90));
            drop(successor);
            scene.run.world.forget_plans(OTHER);
            sink(scene.end().finish());
            came_true
        });
    }
}

/// The successor of the leader is a repair.
pub(super) fn to_the_repaired(sink: Sink<'_>) {
    for_each_change(|change| {
        let mut scene = Scene::asked(terms(), 0);
        scene.run.world.kill_at(LEADER, change);
        scene.lead();
        mend::repair(&scene.run.world.process(OTHER)).unwrap();
        keep_if_dead(scene.end(), LEADER, sink)
    });
}

/// Requests of all kinds are there, whose followers are dead; or what a power failure has left of
/// them. A cleaner may have them locked, as if they were alive.
pub(super) fn of_dead_followers(sink: Sink<'_>) {
    for (as_it_is, forgotten) in left_behind() {
        for (base, boot, is_locked) in [(&as_it_is, 1, false), (&forgotten, 2, false), (&forgotten, 2, true)] {
            let run = Run::start_in(base, boot);
            let locked = is_locked.then(|| lock_requests(&run));
            let later = run.actor(LATER, Durability::Full, terms());
            later.commit(set("later", 1, 90));
            drop((later, locked));
            sink(run.finish());
        }
    }
}

/// Locks all requests, and does no more.
fn lock_requests(run: &Run) -> Vec<Box<dyn DirFile>> {
    let (dir, tree) = (run.world.process(CLEANER), run.world.tree());
    let requests = tree.names.keys().filter(|name| is_request(name)).map(|name| dir.open(name).unwrap());
    requests.inspect(|file| assert!(file.try_lock().unwrap())).collect()
}

/// A store for each state of a request, and the same as if the records after the request were
/// lost.
fn left_behind() -> Vec<(Base, Base)> {
    let mut scene = Scene::asked(terms(), 0);
    mutants::deactivate();
    scene.lead();
    let Recording { base, log, history, .. } = scene.end().finish();
    let mut disk = synced(&base);
    let (mut found, mut met, mut asked) = (Vec::new(), BTreeSet::new(), None);
    for entry in &log {
        disk.apply(&entry.op).unwrap();
        let tree = disk.choices(Model::Kill).tree(&[]);
        let Some((file, bytes)) = requests(&tree).next().filter(|(_, bytes)| !bytes.is_empty()) else { continue };
        if !met.insert(bytes.to_vec()) {
            continue;
        }
        let asked = *asked.get_or_insert(bytes.len());
        let mut forgotten = tree.clone();
        let cut = Arc::new(bytes[..asked].to_vec());
        forgotten.files.get_mut(&file).unwrap().bytes = cut;
        let model = &history[entry.published].model;
        found.push(((tree, model.clone()), (forgotten, model.clone())));
    }
    found
}
