//! An older list that comes back after a power failure, because nobody had synced the rename of the
//! newer one. The tables beyond it hold what was acknowledged, and are all that is left of it.

use std::sync::Arc;

use reftable::Durability;
use reftable::compact::Expiry;
use reftable_crash::Name;

use super::check;
use super::git::{Fsync, Git};
use super::run::{Actor, GIT, Run};
use super::stage::{Base, Sink, plain, set, stairs};

/// Files with their bytes.
type Files = Vec<(Name, Arc<Vec<u8>>)>;

/// How often something is committed above the list that comes back.
type Above = fn(&Run);

fn by_git(run: &Run) {
    let git = Git::new(run, GIT, Fsync::Default);
    (0..2).for_each(|number| git.commit(set("lost", 2, 60 + number)));
}

fn by_ours(run: &Run) {
    let actor = run.actor(1, Durability::Off, plain());
    (0..2).for_each(|number| actor.commit(set("lost", 2, 60 + number)));
}

fn by_ours_that_compacts(run: &Run) {
    let actor = run.actor(1, Durability::Off, plain());
    actor.commit(set("lost", 2, 60));
    actor.compact(Expiry::default());
}

/// The store with the older list, and the tables beyond it.
fn with_older_list((tree, model): &Base, above: Above) -> (Base, Files) {
    let run = Run::start(&(tree.clone(), model.clone()));
    super::mutants::deactivate();
    above(&run);
    let newer = run.world.tree();
    drop(run.finish());
    let mut found = newer.clone();
    for (name, file) in &tree.names {
        // What the newer one has removed is there again, too.
        found.names.insert(Arc::clone(name), *file);
        found.files.insert(*file, tree.files[file].clone());
    }
    found.names.retain(|name, _| &**name == "tables.list" || name.ends_with(".ref"));
    let beyond = found.names.iter().filter(|(name, _)| !tree.names.contains_key(*name));
    let beyond = beyond.map(|(name, file)| (Arc::clone(name), Arc::clone(&found.files[file].bytes))).collect();
    ((found, model.clone()), beyond)
}

/// Goes on for longer than what was lost, and compacts.
fn go_on(actor: &Actor) {
    for number in 0..3 {
        actor.commit(set("new", 2, 80 + number));
    }
    actor.compact(Expiry::default());
}

pub(super) fn list(sink: Sink<'_>) {
    for above in [by_git as Above, by_ours, by_ours_that_compacts] {
        let (base, must_stay) = with_older_list(&stairs(2), above);
        assert!(!must_stay.is_empty());
        let run = Run::start_in(&base, 2);
        let actor = run.actor(2, Durability::Full, check::options());
        go_on(&actor);
        drop(actor);
        sink(super::run::Recording { must_stay, ..run.finish() });
    }
}
