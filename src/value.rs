//! Owned counterparts of what tables lend: targets, references, reflog entries.

use std::borrow::Cow;
use std::fmt;

use crate::escape::escaped;
use crate::oid::ObjectId;
use crate::record::{LogEntryView, RefRecordView, TargetView};

/// Where a reference points. Displays as the id, or as `ref: NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// At an object.
    Id(ObjectId),
    /// At an annotated tag, with the object it leads to: readers then need not open the tag.
    Tag {
        /// The tag object.
        id: ObjectId,
        /// What it leads to after all tags are followed.
        peeled: ObjectId,
    },
    /// At another reference, by name.
    Symbolic(Vec<u8>),
}

impl Target {
    /// A symbolic target.
    #[must_use]
    pub fn symbolic(name: impl AsRef<[u8]>) -> Target {
        Target::Symbolic(name.as_ref().to_vec())
    }

    /// The object id, unless symbolic.
    #[must_use]
    pub fn id(&self) -> Option<ObjectId> {
        self.as_view().id()
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_view(&self) -> TargetView<'_> {
        match self {
            Target::Id(id) => TargetView::Id(id.as_view()),
            Target::Tag { id, peeled } => TargetView::Tag { id: id.as_view(), peeled: peeled.as_view() },
            Target::Symbolic(name) => TargetView::Symbolic(name),
        }
    }
}

impl From<ObjectId> for Target {
    fn from(id: ObjectId) -> Self {
        Target::Id(id)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Id(id) | Target::Tag { id, .. } => write!(f, "{id}"),
            Target::Symbolic(name) => write!(f, "ref: {}", escaped(name)),
        }
    }
}

impl TargetView<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_target(&self) -> Target {
        match *self {
            TargetView::Id(id) => Target::Id(id.to_id()),
            TargetView::Tag { id, peeled } => Target::Tag { id: id.to_id(), peeled: peeled.to_id() },
            TargetView::Symbolic(name) => Target::Symbolic(name.to_vec()),
        }
    }
}

/// A reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ref {
    /// The full name, such as `refs/heads/main`. Any bytes that git's rules allow, usually UTF-8.
    pub name: Vec<u8>,
    /// The number of the transaction that wrote it.
    pub update_index: u64,
    /// Where it points.
    pub target: Target,
}

impl Ref {
    /// The name for people: bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn name_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }
}

impl RefRecordView<'_> {
    /// The same, owned; `None` for a tombstone.
    pub(crate) fn to_ref(self) -> Option<Ref> {
        let target = self.target?.to_target();
        Some(Ref { name: self.name.to_vec(), update_index: self.update_index, target })
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The person's name.
    pub name: Vec<u8>,
    /// The e-mail address, without angle brackets.
    pub email: Vec<u8>,
    /// Seconds since 1970.
    pub time: u64,
    /// The time zone as git writes it: +0130 is 130.
    pub time_zone: i16,
}

impl Ident {
    /// An identity at a moment, in UTC.
    #[must_use]
    pub fn new(name: impl AsRef<[u8]>, email: impl AsRef<[u8]>, time: u64) -> Ident {
        Ident { name: name.as_ref().to_vec(), email: email.as_ref().to_vec(), time, time_zone: 0 }
    }
}

/// One reflog entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogEntry {
    /// Where the reference pointed before; null when it was created.
    pub old: ObjectId,
    /// Where it pointed after; null when it was deleted.
    pub new: ObjectId,
    /// Who moved it, and when.
    pub committer: Ident,
    /// The message; git ends it with one newline.
    pub message: Vec<u8>,
}

impl LogEntry {
    /// The same, borrowed.
    #[must_use]
    pub fn as_view(&self) -> LogEntryView<'_> {
        LogEntryView {
            old: self.old,
            new: self.new,
            name: &self.committer.name,
            email: &self.committer.email,
            time: self.committer.time,
            time_zone: self.committer.time_zone,
            message: &self.message,
        }
    }
}

impl LogEntryView<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_entry(&self) -> LogEntry {
        LogEntry {
            old: self.old,
            new: self.new,
            committer: Ident {
                name: self.name.to_vec(),
                email: self.email.to_vec(),
                time: self.time,
                time_zone: self.time_zone,
            },
            message: self.message.to_vec(),
        }
    }
}

/// A reflog entry together with the reference and the transaction it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Log {
    /// The reference's full name.
    pub refname: Vec<u8>,
    /// The number of the transaction that wrote the entry.
    pub update_index: u64,
    /// What happened.
    pub entry: LogEntry,
}
