//! What callers were told, and whether the store bears it out.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use futures_lite::future::block_on;
use reftable::{Expect, Ident, LogEntry, ObjectId, Snapshot};
use reftable_bucket::{Bucket, Changeset, Commit, ErrorKind, Memory, Numbered, Options, Result, Store};

use crate::bucket::Shared;
use crate::scenarios::RootKind;

pub(crate) const PLACE: &str = "repos/1";

/// The commits of all tasks, and what they were told.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) commits: RefCell<Vec<Told>>,
    pub(crate) violations: RefCell<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Told {
    writer: u8,
    number: u8,
    /// `None` if the task was dropped before it heard.
    answer: Option<std::result::Result<Commit, ErrorKind>>,
}

impl Told {
    fn mark(&self) -> String {
        mark(self.writer, self.number)
    }

    fn is_acknowledged(&self) -> bool {
        matches!(self.answer, Some(Ok(_)))
    }
}

fn mark(writer: u8, number: u8) -> String {
    format!("writer {writer}, commit {number}\n")
}

pub(crate) fn own_ref(writer: u8) -> String {
    format!("refs/heads/{writer}")
}

fn id(writer: u8, number: u8) -> ObjectId {
    ObjectId::from_hex(format!("{:02x}", (writer + 1).wrapping_mul(16).wrapping_add(number)).repeat(20).as_bytes())
        .unwrap()
}

/// Points two references at one id, if the writer's own is as it left it, and says so in a log.
pub(crate) fn changes(writer: u8, number: u8) -> Changeset {
    let (new, old) = (id(writer, number), id(writer, number.wrapping_sub(1)));
    let expect = if number == 0 { Expect::Absent } else { Expect::Is(old.into()) };
    let mut changes = Changeset::new();
    changes.set(own_ref(writer), expect, new);
    changes.set(format!("refs/copies/{writer}"), Expect::Any, new);
    let message = mark(writer, number).into_bytes();
    let entry = LogEntry { old, new, committer: Ident::new("n", "e", 1), message };
    changes.append_log(own_ref(writer), entry);
    changes
}

impl History {
    /// Commits, and notes what the caller is told.
    pub(crate) async fn commit<B: Bucket>(self: Rc<Self>, store: &Store<B>, writer: u8, number: u8) -> Option<Commit> {
        let position = self.commits.borrow().len();
        self.commits.borrow_mut().push(Told { writer, number, answer: None });
        let answer = store.commit(changes(writer, number)).await.map_err(|error| error.kind());
        self.commits.borrow_mut()[position].answer = Some(answer.clone());
        answer.ok()
    }

    /// A snapshot has all that was acknowledged before it was asked for, and pairs that belong
    /// together.
    pub(crate) async fn read<B: Bucket>(self: Rc<Self>, store: &Store<B>) {
        let before: Vec<Told> = self.commits.borrow().iter().filter(|told| told.is_acknowledged()).cloned().collect();
        match store.snapshot().await {
            Ok(snapshot) => {
                let missing = before.iter().find(|told| entries(&snapshot, told) == 0);
                let torn = (0..4).find(|writer| !is_whole(&snapshot, *writer));
                if let Some(told) = missing {
                    self.violate(format!("a reader does not see {}", told.mark()));
                }
                if let Some(writer) = torn {
                    self.violate(format!("a reader sees half of a commit of writer {writer}"));
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unavailable) => {}
            Err(error) if error.kind() == ErrorKind::Missing && before.is_empty() => {}
            Err(error) => self.violate(format!("a reader cannot read: {error}")),
        }
    }

    pub(crate) fn violate(&self, what: String) {
        self.violations.borrow_mut().push(what);
    }

    /// A commit that needs another writer's first one, if that was acknowledged.
    pub(crate) async fn follow<B: Bucket>(self: Rc<Self>, store: &Store<B>, writer: u8) {
        if !self.commits.borrow().iter().any(|told| told.writer == writer && told.is_acknowledged()) {
            return;
        }
        let mut changes = Changeset::new();
        changes.verify(own_ref(writer), Expect::Exists);
        match store.commit(changes).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.violate(format!("another machine does not see the commit of writer {writer}"));
            }
            _ => {}
        }
    }

    /// Holds what was told against what is in the bucket at the end. That nobody knows is true only
    /// where a client `may_give_up`.
    pub(crate) fn check(&self, bucket: &Shared, root: RootKind, may_give_up: bool) -> std::result::Result<(), String> {
        if let Some(violation) = self.violations.borrow().first() {
            return Err(violation.clone());
        }
        let memory = Memory::new();
        bucket.world().objects.iter().for_each(|(key, (_, bytes))| memory.set(key, bytes.clone()));
        let snapshot = match snapshot(memory, root) {
            Ok(snapshot) => Some(snapshot),
            Err(error) if error.kind() == ErrorKind::Missing && error.object() == Some("repos/1/root") => None,
            Err(error) => return Err(format!("the store cannot be read at the end: {error}")),
        };
        for told in self.commits.borrow().iter() {
            let times = snapshot.as_ref().map_or(0, |snapshot| entries(snapshot, told));
            let fits = match &told.answer {
                Some(Ok(_)) => times == 1,
                Some(Err(ErrorKind::Indeterminate)) => times <= 1 && may_give_up,
                None => times <= 1,
                // Nobody else touches a writer's references: that they are not as expected is true
                // only if the writer does not know what became of its commit before.
                Some(Err(ErrorKind::Conflict)) => times == 0 && self.is_unsure_before(told),
                Some(Err(ErrorKind::Locked | ErrorKind::Unavailable)) => times == 0,
                Some(Err(_)) => false,
            };
            if !fits {
                return Err(format!("{:?} was told {:?}, and is there {times} times", told.mark(), told.answer));
            }
        }
        match snapshot {
            Some(snapshot) if !(0..4).all(|writer| is_whole(&snapshot, writer)) => Err("half of a commit".to_owned()),
            _ => Ok(()),
        }
    }

    fn is_unsure_before(&self, told: &Told) -> bool {
        self.commits
            .borrow()
            .iter()
            .any(|other| other.writer == told.writer && other.number < told.number && !other.is_acknowledged())
    }
}

fn snapshot(memory: Memory, root: RootKind) -> Result<Snapshot> {
    let options = Options::default();
    match root {
        RootKind::Named => block_on(Store::new(Arc::new(memory), PLACE, options)?.snapshot()),
        RootKind::Numbered | RootKind::NumberedWithLate => {
            block_on(Store::new(Arc::new(Numbered::new(memory)), PLACE, options)?.snapshot())
        }
    }
}

/// How many times a commit is in the log of its writer.
fn entries(snapshot: &Snapshot, told: &Told) -> usize {
    let mut log = snapshot.log(own_ref(told.writer)).unwrap();
    let mut times = 0;
    while let Some(item) = log.next().unwrap() {
        times += usize::from(item.entry.message == told.mark().as_bytes());
    }
    times
}

fn is_whole(snapshot: &Snapshot, writer: u8) -> bool {
    let target = |name: String| snapshot.get(name).unwrap().map(|found| found.target);
    target(own_ref(writer)) == target(format!("refs/copies/{writer}"))
}
