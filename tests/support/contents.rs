//! Everything that a snapshot shows, collected for comparison.

use reftable::{Log, ObjectId, Ref, Snapshot, Stack};

/// References and logs in the order of scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) refs: Vec<Ref>,
    pub(crate) logs: Vec<Log>,
}

/// Reads everything, and checks that lending and owning walks and point lookups agree on it.
pub(crate) fn of(snapshot: &Snapshot) -> Contents {
    let refs: Vec<Ref> = snapshot.refs().unwrap().into_iter().collect::<Result<_, _>>().unwrap();
    let logs: Vec<Log> = snapshot.logs().unwrap().into_iter().collect::<Result<_, _>>().unwrap();
    let mut lending = snapshot.refs().unwrap();
    for expected in &refs {
        assert_eq!(lending.next().unwrap().unwrap().to_ref(), *expected);
    }
    assert_eq!(lending.next().unwrap(), None);
    assert_eq!(lending.next().unwrap(), None, "the end is the end");
    let mut lending = snapshot.logs().unwrap();
    for expected in &logs {
        assert_eq!(lending.next().unwrap().unwrap().to_log(), *expected);
    }
    assert_eq!(lending.next().unwrap(), None);
    assert!(refs.is_sorted_by(|a, b| a.name < b.name), "names ascend");
    let key = |log: &Log| (log.refname.clone(), !log.update_index);
    assert!(logs.is_sorted_by(|a, b| key(a) < key(b)), "logs are ordered by name, then newest first");
    Contents { refs, logs }
}

/// The newest state of a stack.
pub(crate) fn of_stack(stack: &Stack) -> Contents {
    of(&stack.snapshot().unwrap())
}

pub(crate) fn names(refs: reftable::Refs) -> Vec<String> {
    refs.into_iter().map(|found| String::from_utf8(found.unwrap().name).unwrap()).collect()
}

pub(crate) fn log(snapshot: &Snapshot, name: impl AsRef<[u8]>) -> Vec<Log> {
    snapshot.log(name).unwrap().into_iter().collect::<Result<_, _>>().unwrap()
}

/// The names that have a log, with entries or without.
pub(crate) fn logged(snapshot: &Snapshot) -> Vec<String> {
    let (mut logs, mut names) = (snapshot.logs().unwrap(), Vec::new());
    while let Some(item) = logs.next_item().unwrap() {
        names.push(String::from_utf8(item.refname().to_vec()).unwrap());
    }
    names.dedup();
    assert!(names.iter().all(|name| snapshot.log_exists(name).unwrap()));
    names
}

/// What `pointing_at` must find, by looking at everything.
pub(crate) fn scan_for(contents: &Contents, id: &ObjectId) -> Vec<Ref> {
    contents.refs.iter().filter(|found| found.target.as_view().points_at(id)).cloned().collect()
}

pub(crate) fn pointing_at(snapshot: &Snapshot, id: &ObjectId) -> Vec<Ref> {
    snapshot.pointing_at(id).unwrap().into_iter().collect::<Result<_, _>>().unwrap()
}
