//! Mending one problem, after looking again under the lock.

use std::io::ErrorKind;

use super::{Evidence, Problem, Repair, diagnose};
use crate::dir::DirFile;
use crate::error::{Error, Result};
use crate::list::{self, LIST_LOCK};
use crate::lock::{Lock, acquire};
use crate::request::settle;
use crate::stack::{Durability, NewList, sync_dir};

pub(super) fn apply(repair: &Repair, problem: &Problem) -> Result<String> {
    if let Problem::ForeignLock(evidence) = problem {
        return break_lock(repair, evidence);
    }
    let lock = acquire(&*repair.locker, &repair.dir, LIST_LOCK, repair.dir.now(), Some(repair.lock_timeout))?;
    let mended = mend(repair, &*lock, problem);
    if lock.is_inherited() {
        answer_for_the_dead(repair, problem);
    }
    mended
}

/// The dead owner of the lock may have taken along what others wait for. Every heir tells them what became of it, by the list: here
/// by what the remedy has made of it, because a table that is dropped takes them with it.
///
/// A list that was lost says nothing of that: they are left to find their request claimed, and to say that they do not know.
fn answer_for_the_dead(repair: &Repair, problem: &Problem) {
    if !matches!(problem, Problem::ListMissing { .. })
        && let Ok(Some(listed)) = diagnose::read_list(&repair.dir)
        && let Some(update_index) = diagnose::update_index(&repair.dir, &listed)
    {
        settle(&repair.dir, update_index);
    }
}

/// Mends what is wrong while the list lock is held.
fn mend(repair: &Repair, lock: &dyn Lock, problem: &Problem) -> Result<String> {
    let there = diagnose::diagnose(&repair.dir)?;
    if let Problem::Litter { files } = problem {
        return remove_litter(repair, files, &there);
    }
    if !there.contains(problem) {
        return Err(not_there_any_more(repair));
    }
    match problem {
        Problem::ListMissing { ambiguous: true, .. } => {
            let message = "the update indexes of the tables overlap: it is not known which of them are current";
            Err(Error::invalid(message).in_file(repair.dir.path()).way_out("restore the list from a copy"))
        }
        Problem::ListMissing { tables, damaged, .. } => make_list(repair, lock, tables, damaged),
        Problem::NewestDamaged { table, last_sound, is_there, .. } => {
            drop_newest(repair, lock, table, *last_sound, *is_there)
        }
        // These two were dealt with above.
        Problem::Litter { .. } | Problem::ForeignLock(_) => Err(not_there_any_more(repair)),
    }
}

fn not_there_any_more(repair: &Repair) -> Error {
    Error::invalid("the problem is not there any more").in_file(repair.dir.path())
}

/// Removes a lock on evidence that still holds, and nothing but the file that was judged.
///
/// 1. R judges the lock L, and so does another repair, S.
/// 2. S removes L, and git takes a new lock of that name.
/// 3. R would remove git's. So whoever removes L has it locked with the kernel, and looks at the name after that: S was
///    done before, and the name stands for another file; or it has yet to come, and finds the name gone.
fn break_lock(repair: &Repair, evidence: &Evidence) -> Result<String> {
    let name = &evidence.lock;
    let path = repair.dir.path().join(name);
    let changed = || Error::invalid("the lock is not there any more, or is another one").in_file(&path);
    let now = Evidence::of(&repair.dir, name).filter(|now| now == evidence).ok_or_else(changed)?;
    if !now.is_sufficient() {
        return Err(Error::invalid(now.to_string()).way_out("find its owner, or wait"));
    }
    let _guard = lock_for_removal(repair, &now)?;
    if repair.dir.stamp(name).ok() != Some(now.stamp) {
        return Err(changed());
    }
    match repair.dir.remove(name) {
        Err(error) if error.kind() == ErrorKind::IsADirectory => repair.dir.remove_empty_dir(name),
        removed => removed,
    }
    .map_err(|error| Error::io("cannot remove the lock", &path, error))?;
    sync_dir(&repair.dir)?;
    Ok(format!("removed {name}"))
}

/// Takes the kernel lock on what is about to be removed, if it is a file.
fn lock_for_removal(repair: &Repair, lock: &Evidence) -> Result<Option<Box<dyn DirFile>>> {
    if !lock.stamp.is_file {
        return Ok(None);
    }
    let path = repair.dir.path().join(&lock.lock);
    let file = repair.dir.open(&lock.lock).map_err(|error| Error::io("cannot open the lock", &path, error))?;
    match file.try_lock().map_err(|error| Error::io("cannot lock the lock", &path, error))? {
        true => Ok(Some(file)),
        false => Err(Error::new(crate::ErrorKind::Locked, "a living process has the lock").in_file(&path)),
    }
}

fn make_list(repair: &Repair, lock: &dyn Lock, tables: &[String], damaged: &[(String, String)]) -> Result<String> {
    for (table, _) in damaged {
        let kept = keep(repair, table)?;
        take_away(repair, table, &kept)?;
    }
    publish(repair, lock, tables)?;
    let names = tables.join(", ");
    Ok(if tables.is_empty() { "made an empty list".to_owned() } else { format!("made a list of {names}") })
}

/// In this order: keep the table, publish a list without it, take its name. Where a crash comes between, the next
/// repair goes on, and no cleaner finds a table that has no other name.
fn drop_newest(repair: &Repair, lock: &dyn Lock, table: &str, last_sound: u64, is_there: bool) -> Result<String> {
    let mut names = diagnose::read_list(&repair.dir)?.unwrap_or_default();
    names.retain(|name| name != table);
    let dropped = format!("dropped what came after update index {last_sound}");
    if !is_there {
        publish(repair, lock, &names)?;
        return Ok(dropped);
    }
    let kept = keep(repair, table)?;
    publish(repair, lock, &names)?;
    take_away(repair, table, &kept)?;
    Ok(format!("{dropped}; the damaged table is kept as {kept}"))
}

/// Removes those of the files that nobody needs still. Taking the lock may have removed some: its dead owner's.
///
/// The directory is synced first: no crash may bring back a list that names what goes.
fn remove_litter(repair: &Repair, files: &[String], there: &[Problem]) -> Result<String> {
    sync_dir(&repair.dir)?;
    let is_litter = |file| there.iter().any(|found| matches!(found, Problem::Litter { files } if files.contains(file)));
    let mut removed = Vec::new();
    for file in files {
        if is_litter(file) {
            remove(repair, file)?;
        } else if !is_gone(repair, file) {
            continue;
        }
        removed.push(file.as_str());
    }
    if removed.is_empty() { Err(not_there_any_more(repair)) } else { Ok(format!("removed {}", removed.join(", "))) }
}

fn is_gone(repair: &Repair, name: &str) -> bool {
    matches!(repair.dir.stamp(name), Err(error) if error.kind() == ErrorKind::NotFound)
}

/// Gives a damaged table a second name that no list will have. Where there are no hard links, [`take_away`] does.
fn keep(repair: &Repair, table: &str) -> Result<String> {
    let kept = format!("{table}.damaged");
    match repair.dir.link(table, &kept) {
        // An earlier repair has come as far as this; or somebody else's file has the name.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let stamps = (repair.dir.stamp(table), repair.dir.stamp(&kept));
            if !matches!(stamps, (Ok(table), Ok(kept)) if table.is_same_file(&kept)) {
                return Err(Error::io("cannot keep the damaged table", &repair.dir.path().join(&kept), error));
            }
        }
        Ok(()) | Err(_) => {}
    }
    Ok(kept)
}

/// Leaves a damaged table only the name it is kept under. Renaming does nothing if it has both.
fn take_away(repair: &Repair, table: &str, kept: &str) -> Result<()> {
    let path = repair.dir.path().join(table);
    repair.dir.rename(table, kept).map_err(|error| Error::io("cannot rename the table", &path, error))?;
    match repair.dir.remove(table) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("cannot remove the table", &path, error)),
        Ok(()) | Err(_) => sync_dir(&repair.dir),
    }
}

/// Replaces the list, durably, and with it all that it names: others may have synced nothing.
fn publish(repair: &Repair, lock: &dyn Lock, names: &[String]) -> Result<()> {
    for name in names {
        let synced = repair.dir.open(name).and_then(|file| file.sync());
        synced.map_err(|error| Error::io("cannot sync the table", &repair.dir.path().join(name), error))?;
    }
    let contents = &list::print(names.iter().map(String::as_str));
    let list = NewList { dir: &repair.dir, durability: Durability::Full, contents, added: Vec::new() };
    list.publish(lock, |_, _| ())
}

fn remove(repair: &Repair, name: &str) -> Result<()> {
    let path = repair.dir.path().join(name);
    repair.dir.remove(name).map_err(|error| Error::io("cannot remove the file", &path, error))
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::dir::{Dir, OsDir};
    use crate::list::LIST;
    use crate::lock::{Attempt, HealingLocks, Locker};
    use crate::request::{Asked, Served, State, find};
    use crate::stack::{Options, Stack};
    use crate::{Expect, ObjectId};

    const TERMS: &[u8] = b"terms";

    fn commit(dir: &Path, name: &str) {
        let mut tx = Stack::open(dir, Options::default()).unwrap().transaction();
        tx.set(name, Expect::Absent, ObjectId::from_bytes(&[7; 20]).unwrap());
        tx.commit().unwrap();
    }

    /// The lock of a dead process. A copy has no kernel lock.
    fn leave_lock(path: &Path) {
        let elsewhere = tempfile::tempdir().unwrap();
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(elsewhere.path(), None));
        let Attempt::Taken(lock) = HealingLocks::new(false).try_lock(&dir, LIST_LOCK).unwrap() else { panic!("free") };
        let mut names = dir.names().unwrap();
        names.retain(|name| name.ends_with(".owner"));
        fs::copy(elsewhere.path().join(&names[0]), path.join(&names[0])).unwrap();
        fs::hard_link(path.join(&names[0]), path.join(LIST_LOCK)).unwrap();
        drop(lock);
    }

    /// A leader has claimed what somebody waits for, after update index 2; it has published perhaps, and has died.
    fn store(is_published: bool) -> (TempDir, Repair, Asked) {
        let temp = tempfile::tempdir().unwrap();
        commit(temp.path(), "refs/heads/a");
        commit(temp.path(), "refs/heads/b");
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(temp.path(), None));
        let asked = Asked::place(&dir, TERMS, b"wanted").unwrap().unwrap();
        let mut served = Served::default();
        assert!(served.claim(find(&dir, TERMS, 1).pop().unwrap(), 2));
        served.plan([Some(3)]);
        if is_published {
            commit(temp.path(), "refs/heads/c");
        }
        std::mem::forget(served);
        leave_lock(temp.path());
        (temp, Repair::new_in(dir, Box::new(HealingLocks::new(false))), asked)
    }

    fn only_remedy(repair: &Repair) -> Result<String> {
        let problems = repair.diagnose().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        repair.remedy(&problems[0])
    }

    #[test]
    fn who_waits_for_the_dead_is_told() {
        for (is_published, state) in [(true, State::Published { update_index: 3 }), (false, State::Closed)] {
            let (_temp, repair, asked) = store(is_published);
            only_remedy(&repair).unwrap();
            assert_eq!(asked.state().unwrap(), state);
            assert_eq!(repair.diagnose().unwrap(), [], "the request is somebody's");
        }
    }

    #[test]
    fn who_waits_is_told_if_the_remedy_fails() {
        let (_temp, repair, asked) = store(true);
        let problem = Problem::Litter { files: vec!["none of ours".to_owned()] };
        fs::write(repair.dir.path().join("none of ours"), "").unwrap();
        assert!(repair.remedy(&problem).is_err());
        assert_eq!(asked.state().unwrap(), State::Published { update_index: 3 });
    }

    /// What is dropped with its table is there no more: who waits for it does it again.
    #[test]
    fn what_a_remedy_drops_is_not_said_to_be_there() {
        let (temp, repair, asked) = store(true);
        let list = fs::read_to_string(temp.path().join(LIST)).unwrap();
        let newest = temp.path().join(list.lines().last().unwrap());
        File::options().write(true).open(newest).unwrap().set_len(30).unwrap();
        only_remedy(&repair).unwrap();
        assert_eq!(asked.state().unwrap(), State::Closed);
    }

    #[test]
    fn a_lost_list_says_nothing_of_what_was_done() {
        let (temp, repair, asked) = store(true);
        fs::remove_file(temp.path().join(LIST)).unwrap();
        only_remedy(&repair).unwrap();
        assert_eq!(asked.state().unwrap(), State::Claimed { base: 2, planned: Some(3) });
    }
}
