//! Mending one problem, after looking again under the lock.

use std::io::ErrorKind;

use super::aside::{PutAside, leave_first_name, put_aside};
use super::case::garbage_tables;
use super::diagnose::diagnose_locked;
use super::problem::{ListProblem, Proposal, SetAside, all};
use super::survey::Survey;
use super::{Problem, Repair};
use crate::error::{Error, Result};
use crate::escape::{command, shell_word};
use crate::garbage::remove_tables;
use crate::list::{self, LIST, LIST_LOCK, UNLISTED, is_temporary_name};
use crate::lock::{Lock, acquire, break_lock};
use crate::stack::request::resolve;
use crate::stack::{Durability, NewList, sync_dir};

pub(super) fn apply(repair: &Repair, problem: &Problem) -> Result<String> {
    if let Problem::ForeignLock(evidence) = problem {
        break_lock(&repair.dir, evidence)?;
        return Ok(format!("removed {}", evidence.lock));
    }
    if let Problem::List(ListProblem { reasons, fix: Err(advice), .. }) = problem {
        let error = Error::invalid(reasons.join("; ")).in_file(repair.dir.path());
        return Err(error.way_out(advice.clone()));
    }
    let lock = acquire(&*repair.locker, &repair.dir, LIST_LOCK, repair.dir.now(), Some(repair.lock_timeout))?;
    let mended = mend(repair, &*lock, problem);
    if lock.was_taken_over() {
        resolve_for_dead_owner(repair, problem);
        // Once the lock is released others may take away what proves that they can go. What cannot
        // be removed stays, as with every successor.
        let _ = remove_proven(repair);
    }
    mended
}

/// Removes tables of which it is proven that they are garbage.
///
/// The directory is synced first: no crash may bring back a list that names what goes.
fn remove_proven(repair: &Repair) -> Result<()> {
    let Some(survey) = Survey::take(&repair.dir, true, None)? else { return Ok(()) };
    let proven = garbage_tables(&*repair.dir, &survey);
    if !proven.is_empty() {
        sync_dir(&*repair.dir)?;
        remove_tables(&*repair.dir, &proven);
    }
    Ok(())
}

/// The dead owner of the lock may have claimed what others wait for. Every successor tells them
/// what became of it, by the list: here by what the fix has made of it, because a table that is
/// dropped takes them with it.
///
/// A list that was lost says nothing of that: they are left to find their request claimed, and to
/// say that they do not know.
fn resolve_for_dead_owner(repair: &Repair, problem: &Problem) {
    if !matches!(problem, Problem::List(list) if list.is_lost)
        && let Some(list) = names_in_list(repair)
    {
        // If the directory cannot be listed, the followers are left to find that out, too.
        let _ = resolve(&repair.dir, &list.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// The tables that the list names; `None` if that cannot be seen.
fn names_in_list(repair: &Repair) -> Option<Vec<String>> {
    let contents = repair.dir.open(LIST).and_then(|file| file.contents()).ok()?;
    list::parse(&contents).ok()
}

/// Mends what is wrong while the list lock is held, if it is still what was agreed to.
fn mend(repair: &Repair, lock: &dyn Lock, problem: &Problem) -> Result<String> {
    let there = diagnose_locked(repair)?;
    match problem {
        Problem::Garbage { files } => remove_garbage(repair, files, &there),
        Problem::Unlisted { tables, .. } => put_tables_aside(repair, tables, &there),
        Problem::List(ListProblem { fix: Ok(proposal), .. }) if there.contains(problem) => {
            replace_list(repair, lock, proposal)
        }
        Problem::List(_) | Problem::NeedsCompaction { .. } | Problem::ForeignLock(_) => Err(not_there_any_more(repair)),
    }
}

fn not_there_any_more(repair: &Repair) -> Error {
    let error = Error::invalid("the problem is not there any more, or has changed").in_file(repair.dir.path());
    error.way_out("look again")
}

/// Publishes a list that fits. What leaves the store keeps its bytes under another name, in this
/// order: it gets the second name, the new list appears, it loses the first one. Where a crash
/// comes between, the next repair goes on, and at no moment is there a file without a name.
fn replace_list(repair: &Repair, lock: &dyn Lock, proposal: &Proposal) -> Result<String> {
    let mut kept = Vec::new();
    for SetAside { file, suffix, .. } in &proposal.set_aside {
        kept.push(put_aside(&repair.dir, file, suffix)?);
    }
    publish(repair, lock, &proposal.tables)?;
    let mut done = match proposal.tables.as_slice() {
        [] => "made an empty list".to_owned(),
        tables => format!("made a list of {}", all(tables)),
    };
    for kept in kept {
        done = format!("{done}; {} is kept as {}", kept.file, kept.name);
        if kept.file != LIST {
            leave_first_name(&repair.dir, &kept)?;
        }
    }
    proposal.losses.iter().for_each(|loss| done = format!("{done}; {loss}"));
    sync_dir(&*repair.dir)?;
    Ok(done)
}

/// Takes tables that no list names out of the reach of programs that remove such tables.
///
/// The directory is synced first: no crash may bring back a list that names them.
fn put_tables_aside(repair: &Repair, tables: &[(String, String)], there: &[Problem]) -> Result<String> {
    sync_dir(&*repair.dir)?;
    let mut done = Vec::new();
    for (table, _) in tables.iter().filter(|(table, _)| there.iter().any(|found| found.unlisted().contains(table))) {
        let kept: PutAside = put_aside(&repair.dir, table, UNLISTED)?;
        leave_first_name(&repair.dir, &kept)?;
        let dump = command(repair.dir.path(), &format!("dump {}", shell_word(kept.name.as_bytes())));
        done.push(format!("{} is kept as {}, and {dump} shows what is in it", kept.file, kept.name));
    }
    sync_dir(&*repair.dir)?;
    if done.is_empty() { Err(not_there_any_more(repair)) } else { Ok(done.join("; ")) }
}

/// Removes those of the files that nobody needs still. Taking the lock may have removed some: its
/// dead owner's.
///
/// The directory is synced first: no crash may bring back a list that names what goes. Tables go in
/// the order of what was found now, each before the one that is the proof for it, up to the first
/// that was not agreed to: what follows may be its proof.
fn remove_garbage(repair: &Repair, files: &[String], there: &[Problem]) -> Result<String> {
    sync_dir(&*repair.dir)?;
    let mut removed: Vec<String> = files.iter().filter(|file| is_gone(repair, file)).cloned().collect();
    let is_agreed = |file: &String| files.contains(file);
    let found = there.iter().flat_map(Problem::garbage);
    for file in found.take_while(|file| is_agreed(file) || is_temporary_name(file)).filter(is_agreed) {
        let path = repair.dir.path().join(&file);
        repair.dir.remove(&file).map_err(|error| Error::io("cannot remove the file", &path, error))?;
        removed.push(file);
    }
    if removed.is_empty() { Err(not_there_any_more(repair)) } else { Ok(format!("removed {}", all(&removed))) }
}

fn is_gone(repair: &Repair, name: &str) -> bool {
    matches!(repair.dir.stat(name), Err(error) if error.kind() == ErrorKind::NotFound)
}

/// Replaces the list, durably, and with it all that it names: others may have synced nothing.
fn publish(repair: &Repair, lock: &dyn Lock, names: &[String]) -> Result<()> {
    for name in names {
        let synced = repair.dir.open(name).and_then(|file| file.sync());
        synced.map_err(|error| Error::io("cannot sync the table", &repair.dir.path().join(name), error))?;
    }
    let contents = &list::print(names.iter().map(String::as_str));
    let (dir, durability) = (&repair.dir, Durability::Full);
    let list = NewList { dir, durability, contents, added: Vec::new(), obsolete: &[], keeps_lock: true };
    list.publish(lock, |_, _| ()).map(drop)
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
    use crate::lock::{Attempt, Locker, RobustLocks};
    use crate::stack::request::{ClaimedRequests, OwnRequest, RequestState, find};
    use crate::stack::{Options, Stack};
    use crate::{Expect, ObjectId};

    const KEY: &[u8] = b"key";

    fn commit(dir: &Path, name: &str) {
        let mut tx = Stack::open(dir, Options::default()).unwrap().transaction();
        tx.set(name, Expect::Absent, ObjectId::from_bytes(&[7; 20]).unwrap());
        tx.commit().unwrap();
    }

    /// The lock of a dead process. A copy has no kernel lock.
    fn leave_lock(path: &Path) {
        let elsewhere = tempfile::tempdir().unwrap();
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(elsewhere.path(), None));
        let Attempt::Taken(lock) = RobustLocks::new(false).try_lock(&dir, LIST_LOCK).unwrap() else { panic!("free") };
        let mut names = dir.names().unwrap();
        names.retain(|name| name.ends_with(".owner"));
        fs::copy(elsewhere.path().join(&names[0]), path.join(&names[0])).unwrap();
        fs::hard_link(path.join(&names[0]), path.join(LIST_LOCK)).unwrap();
        drop(lock);
    }

    fn newest_table(dir: &Path) -> String {
        fs::read_to_string(dir.join(LIST)).unwrap().lines().last().unwrap().to_owned()
    }

    /// A leader has claimed what a follower waits for; it has published perhaps, and has died.
    fn store(is_published: bool) -> (TempDir, Repair, OwnRequest) {
        let temp = tempfile::tempdir().unwrap();
        commit(temp.path(), "refs/heads/a");
        commit(temp.path(), "refs/heads/b");
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(temp.path(), None));
        let asked = OwnRequest::place(&dir, KEY, b"wanted").unwrap().unwrap();
        let mut claimed = ClaimedRequests::default();
        assert!(claimed.claim(find(&dir, KEY, 1).pop().unwrap(), &newest_table(temp.path())));
        if is_published {
            commit(temp.path(), "refs/heads/c");
            claimed.plan(&newest_table(temp.path()), planned());
        } else {
            claimed.plan("never published", planned());
        }
        std::mem::forget(claimed);
        leave_lock(temp.path());
        let repair = Repair::new_in(dir, Box::new(RobustLocks::new(false)));
        (temp, repair.patience(std::time::Duration::from_millis(1)), asked)
    }

    fn only_fix(repair: &Repair) -> Result<String> {
        let problems = repair.diagnose().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        repair.fix(&problems[0])
    }

    fn planned() -> [Option<crate::stack::request::Planned>; 1] {
        [Some(crate::stack::request::Planned { update_index: 3, replaced: None })]
    }

    #[test]
    fn followers_of_a_dead_leader_are_told() {
        for (is_published, state) in
            [(true, RequestState::Published { update_index: 3 }), (false, RequestState::Closed)]
        {
            let (_temp, repair, asked) = store(is_published);
            only_fix(&repair).unwrap();
            assert_eq!(asked.state().unwrap(), state);
            assert_eq!(repair.diagnose().unwrap(), [], "the request has a follower");
        }
    }

    #[test]
    fn followers_are_told_if_the_fix_fails() {
        let (_temp, repair, asked) = store(true);
        let problem = Problem::Garbage { files: vec!["not a file of the store".to_owned()] };
        fs::write(repair.dir.path().join("not a file of the store"), "").unwrap();
        assert!(repair.fix(&problem).is_err());
        assert_eq!(asked.state().unwrap(), RequestState::Published { update_index: 3 });
    }

    /// What is dropped with its table is there no more: its follower does it again.
    #[test]
    fn what_a_fix_drops_is_not_said_to_be_there() {
        let (temp, repair, asked) = store(true);
        let newest = temp.path().join(newest_table(temp.path()));
        File::options().write(true).open(newest).unwrap().set_len(30).unwrap();
        only_fix(&repair).unwrap();
        assert_eq!(asked.state().unwrap(), RequestState::Closed);
    }

    #[test]
    fn a_lost_list_says_nothing_of_what_was_done() {
        let (temp, repair, asked) = store(true);
        fs::remove_file(temp.path().join(LIST)).unwrap();
        only_fix(&repair).unwrap();
        assert!(matches!(asked.state().unwrap(), RequestState::Claimed(_)));
    }
}
