//! Locks that are symbolic links: another program's way to name the holder of a lock, in one step
//! and with no file. Ours cannot tell whether their owners live, so they must stay where they are,
//! keep ours out, and be named.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reftable::compact::{Compact, Expiry};
use reftable::dir::Dir;
use reftable::{Durability, Error, ErrorKind, Expect, HashKind};
use reftable_crash::{Pid, Tree};

use super::check::{self, Broken, broken};
use super::dir::SimDir;
use super::run::{Actor, Run};
use super::stage::{Base, Sink, delete, for_each_change, keep_if_dead, plain, set, stairs, with_garbage};
use super::world::{TablesList as _, World};
use crate::support;

/// The other program.
const STRANGER: Pid = 40;
/// The process that finds its locks.
const FINDER: Pid = 92;
const LIST_LOCK: &str = "tables.list.lock";

/// The stranger takes a lock before each call of this library, if it is free, and never lets it go.
/// Its link leads nowhere, or to a file that says that its owner is a process of this library that
/// is dead.
pub(super) fn locks(sink: Sink<'_>) {
    let (first, owner) = with_dead_owner();
    let table_lock = format!("{}.lock", first.0.list()[0]);
    let commit: fn(&Actor) = |actor| actor.commit(set("new", 2, 50));
    let commit_and_compact: fn(&Actor) = |actor| {
        actor.commit(vec![delete("refs/heads/base-0")]);
        actor.compact(Expiry::default());
    };
    for (lock, target, work) in [
        (LIST_LOCK, "host:40:boot-1", commit),
        (LIST_LOCK, "host:40:boot-1", commit_and_compact),
        (LIST_LOCK, &owner, commit_and_compact),
        (&table_lock, "host:40:boot-1", commit_and_compact),
        (&table_lock, &owner, commit_and_compact),
    ] {
        for_each_change(|call| {
            let run = Run::start(&first);
            let actor = run.actor(1, Durability::Full, plain()).beside_others();
            let (stranger, lock, target) = (run.world.process(STRANGER), lock.to_owned(), target.to_owned());
            run.world.before_call(1, call, move || match stranger.symlink(&target, &lock) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("{error}"),
                Ok(()) | Err(_) => {}
            });
            work(&actor);
            drop(actor);
            keep_if_dead(run, 1, sink)
        });
    }
}

/// A store with the owner file of a dead process, and its name.
fn with_dead_owner() -> (Base, String) {
    let (mut tree, model) = with_garbage(&stairs(2));
    // Nobody takes over its lock, so nothing would be proven of its table.
    let listed = tree.list();
    let stays = |name: &str| !name.ends_with(".lock") && (!name.ends_with(".ref") || listed.iter().any(|l| l == name));
    tree.names.retain(|name, _| stays(name));
    let owner = tree.names.keys().find(|name| name.ends_with(".owner")).unwrap().to_string();
    ((tree, model), owner)
}

fn links(tree: &Tree) -> impl Iterator<Item = &str> {
    tree.names.iter().filter(|(_, file)| tree.files[file].is_link()).map(|(name, _)| &**name)
}

/// A process that finds such locks is kept out by them, says which, and leaves them alone. Then a
/// person removes those that are in the way.
pub(super) fn must_be_respected(world: &World) -> Result<(), Broken> {
    let tree = world.tree();
    let listed = tree.list();
    let is_in_the_way =
        |lock: &&str| *lock == LIST_LOCK || listed.iter().any(|table| format!("{table}.lock") == **lock);
    let Some(lock) = links(&tree).filter(is_in_the_way).max() else { return Ok(()) };
    let dir = world.process(FINDER);
    let refused = if lock == LIST_LOCK { commit(&dir) } else { compact(&dir, listed.len()) };
    match refused {
        Err(error) if error.kind() == ErrorKind::Locked && error.to_string().contains(lock) => {}
        Err(error) => return Err(broken('E', format!("{lock} is not named: {error}"))),
        Ok(()) => return Err(broken('E', format!("{lock} was ignored"))),
    }
    if links(&world.tree()).all(|there| there != lock) {
        return Err(broken('E', format!("{lock} was removed")));
    }
    dir.remove(lock).map_err(|error| broken('E', format!("a person cannot remove {lock}: {error}")))
}

fn commit(dir: &Arc<SimDir>) -> Result<(), Error> {
    let stack = check::open(dir, plain().lock_timeout(Some(Duration::ZERO)))?;
    let mut tx = stack.transaction();
    tx.set("refs/heads/found", Expect::Any, support::id(HashKind::Sha1, 7));
    tx.commit().map(drop)
}

fn compact(dir: &Arc<SimDir>, tables: usize) -> Result<(), Error> {
    assert!(tables > 1, "there is something to compact");
    check::open(dir, plain())?.compact(Compact::all()).map(drop)
}

/// The tree without symbolic links. Those that were `found` and in nobody's way must still be
/// there.
pub(super) fn without(mut tree: Tree, found: &Tree) -> Result<Tree, Broken> {
    let listed = found.list();
    let stays = |lock: &&str| *lock != LIST_LOCK && !listed.iter().any(|table| format!("{table}.lock") == **lock);
    if let Some(lock) = links(found).filter(stays).find(|lock| tree.read(lock).is_none()) {
        return Err(broken('E', format!("{lock} was removed, and is a stranger's")));
    }
    let Tree { names, files } = &mut tree;
    names.retain(|_, file| !files[file].is_link());
    Ok(tree)
}
