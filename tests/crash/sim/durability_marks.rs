//! Scenarios of durability marks that must not be there, or must not be believed: each with tables
//! that nobody has synced.

use std::sync::Arc;

use reftable::Durability;
use reftable::compact::Expiry;
use reftable::dir::Dir;
use reftable_crash::Pid;

use super::check;
use super::dir::SimDir;
use super::git::{self, Fsync, Git};
use super::run::{Deed, GIT, Run};
use super::scenarios::sink_from_first_acknowledgement;
use super::stage::{Sink, for_each_change, plain, set, stairs};
use super::world::TablesList as _;

/// A person who copies the store, or edits its list.
const STRANGER: Pid = 40;
const LIST: &str = "tables.list";

/// Ours under `Ordered` has synced its own table, and not git's below it.
pub(super) fn above_ordered(sink: Sink<'_>) {
    for (commits, options) in [(1, plain()), (2, plain()), (1, check::options())] {
        let run = Run::start(&stairs(2));
        let ours = run.actor(1, Durability::Full, options);
        let ordered = run.actor(2, Durability::Ordered, plain());
        let git = Git::new(&run, GIT, Fsync::Default);
        (0..commits).for_each(|number| git.commit(set("git", 4, 60 + number)));
        ordered.commit(set("ordered", 1, 70));
        ours.commit(set("ours", 4, 50));
        ours.commit(set("ours", 1, 51));
        drop((ours, ordered));
        sink_from_first_acknowledgement(run, sink);
    }
}

/// A sync of this library fails, of its own files or of git's below: what should have become
/// durable is lost, and a second sync would say that all is well. A compaction writes it again.
pub(super) fn sync_that_fails(sink: Sink<'_>) {
    for_each_change(|sync| {
        let run = Run::start(&stairs(2));
        let ours = run.actor(1, Durability::Full, plain()).failing();
        Git::new(&run, GIT, Fsync::Default).commit(set("git", 4, 60));
        run.world.fail_sync_at(1, sync);
        (0..2).for_each(|number| ours.commit(set("ours", 4, 50 + number)));
        let came_true = run.world.has_come(1);
        ours.compact(Expiry::default());
        ours.commit(set("ours", 1, 52));
        drop(ours);
        sink_from_first_acknowledgement(run, sink);
        came_true
    });
}

/// Every file was put in the place of itself by a copy, attributes included. The list may have the
/// inode number it had.
pub(super) fn copied(sink: Sink<'_>) {
    for same_number in [false, true] {
        for size in [1, 12] {
            let run = Run::start(&stairs(2));
            let known = run.actor(2, Durability::Full, plain());
            known.commit(set("known", 1, 40));
            drop(known);
            let dir = run.world.process(STRANGER);
            run.world.tree().list().iter().for_each(|table| copy(&dir, table));
            copy_list(&dir, same_number);
            let ours = run.actor(1, Durability::Full, plain());
            ours.commit(set("ours", size, 50));
            ours.commit(set("ours", 1, 51));
            drop(ours);
            let mut recording = run.finish();
            recording.least_acknowledged = 2;
            sink(recording);
        }
    }
}

fn copy(dir: &Arc<SimDir>, name: &str) {
    let contents = dir.open(name).unwrap().contents().unwrap();
    dir.create("copy").unwrap().write(&contents).unwrap();
    dir.rename("copy", name).unwrap();
}

/// Copies the list with its attribute; again and again, until it has its number again, if it is to.
fn copy_list(dir: &Arc<SimDir>, same_number: bool) {
    let (marked, stat) = (dir.open(LIST).unwrap(), dir.stat(LIST).unwrap());
    let (contents, mark) = (marked.contents().unwrap(), marked.attribute().unwrap().expect("the list is marked"));
    drop(marked);
    let mut names = (0..).map(|number| format!("copy-{number}"));
    let mut put = || {
        let name = names.next().unwrap();
        let mut file = dir.create(&name).unwrap();
        file.write(&contents).unwrap();
        file.set_attribute(&mark).unwrap();
        (name, file.stat().unwrap())
    };
    dir.rename(&put().0, LIST).unwrap();
    if same_number {
        let mut others = Vec::new();
        let (copy, there) = loop {
            let (name, there) = put();
            if there.inode == stat.inode {
                break (name, there);
            }
            others.push(name);
        };
        assert_ne!(there.created, stat.created, "it was made later");
        dir.rename(&copy, LIST).unwrap();
        others.iter().for_each(|name| dir.remove(name).unwrap());
    }
}

/// A person adds a table by hand: the marked list gets a line more.
pub(super) fn edited(sink: Sink<'_>) {
    for (size, options) in [(1, plain()), (4, plain()), (4, check::options())] {
        let run = Run::start(&stairs(2));
        let ours = run.actor(1, Durability::Full, options);
        let deed = Deed::Commit(set("stranger", 4, 60));
        let (dir, model) = (run.world.process(STRANGER), run.model());
        run.perform(STRANGER, &deed, (false, true), || {
            let (name, table) = git::table(&model, &deed, 7);
            dir.create(&name).unwrap().write(&table).unwrap();
            dir.open(LIST).unwrap().write(format!("{name}\n").as_bytes()).unwrap();
            Ok(())
        });
        ours.commit(set("ours", size, 50));
        ours.commit(set("ours", 1, 51));
        drop(ours);
        sink_from_first_acknowledgement(run, sink);
    }
}
