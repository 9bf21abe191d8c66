//! References, their targets and reflog entries: borrowed as tables lend them, and owned.

use std::borrow::Cow;
use std::fmt;

use crate::escape::{Text, debug_with_text, escaped};
use crate::oid::{IdView, ObjectId};

/// Where a reference points. Displays as the id, or as `ref: NAME`.
#[derive(Clone, PartialEq, Eq, Hash)]
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

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.as_view(), f)
    }
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

/// A reference.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ref {
    /// The full name, such as `refs/heads/main`. Any bytes that git's rules allow, usually UTF-8.
    pub name: Vec<u8>,
    /// The number of the transaction that wrote it.
    pub update_index: u64,
    /// Where it points.
    pub target: Target,
}

debug_with_text!(Ref { name; update_index, target });

impl Ref {
    /// The name for people: bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn name_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }
}

/// Where a reference points, borrowed from a table.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TargetView<'a> {
    /// At an object.
    Id(IdView<'a>),
    /// At an annotated tag, with the object that the tag leads to in the end.
    Tag {
        /// The tag object.
        id: IdView<'a>,
        /// What it leads to after all tags are followed.
        peeled: IdView<'a>,
    },
    /// At another reference, by name.
    Symbolic(&'a [u8]),
}

impl fmt::Debug for TargetView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetView::Id(id) => f.debug_tuple("Id").field(id).finish(),
            TargetView::Tag { id, peeled } => f.debug_struct("Tag").field("id", id).field("peeled", peeled).finish(),
            TargetView::Symbolic(name) => f.debug_tuple("Symbolic").field(&Text(name)).finish(),
        }
    }
}

impl TargetView<'_> {
    /// The object id, unless symbolic.
    #[must_use]
    pub fn id(&self) -> Option<ObjectId> {
        match *self {
            TargetView::Id(id) | TargetView::Tag { id, .. } => Some(id.to_id()),
            TargetView::Symbolic(_) => None,
        }
    }

    /// The peeled id, where one is stored.
    #[must_use]
    pub fn peeled(&self) -> Option<ObjectId> {
        match *self {
            TargetView::Tag { peeled, .. } => Some(peeled.to_id()),
            _ => None,
        }
    }

    /// Whether `id` is the id or the peeled id.
    #[must_use]
    pub fn points_at(&self, id: &ObjectId) -> bool {
        match *self {
            TargetView::Id(found) => found == *id,
            TargetView::Tag { id: tag, peeled } => tag == *id || peeled == *id,
            TargetView::Symbolic(_) => false,
        }
    }

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

/// A reference record as tables hold it, tombstones included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RefRecordView<'a> {
    /// The full name, such as `refs/heads/main`.
    pub name: &'a [u8],
    /// The number of the transaction that wrote it.
    pub update_index: u64,
    /// Where it points; `None` is a tombstone, which hides the name in older tables.
    pub target: Option<TargetView<'a>>,
}

debug_with_text!(RefRecordView<'a> { name; update_index, target });

impl RefRecordView<'_> {
    /// The same, owned; `None` for a tombstone.
    pub(crate) fn to_ref(self) -> Option<Ref> {
        let target = self.target?.to_target();
        Some(Ref { name: self.name.to_vec(), update_index: self.update_index, target })
    }
}

/// Who did something, and when.
#[derive(Clone, PartialEq, Eq, Hash)]
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

debug_with_text!(Ident { name, email; time, time_zone });

impl Ident {
    /// An identity at a moment, in UTC.
    #[must_use]
    pub fn new(name: impl AsRef<[u8]>, email: impl AsRef<[u8]>, time: u64) -> Ident {
        Ident { name: name.as_ref().to_vec(), email: email.as_ref().to_vec(), time, time_zone: 0 }
    }
}

/// One reflog entry.
#[derive(Clone, PartialEq, Eq, Hash)]
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

debug_with_text!(Log { refname; update_index, entry });

debug_with_text!(LogEntry { message; old, new, committer });

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

/// A reflog entry together with the reference and the transaction it belongs to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Log {
    /// The reference's full name.
    pub refname: Vec<u8>,
    /// The number of the transaction that wrote the entry.
    pub update_index: u64,
    /// What happened.
    pub entry: LogEntry,
}

/// One reflog entry, borrowed from a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogEntryView<'a> {
    /// Where the reference pointed before; null when it was created.
    pub old: ObjectId,
    /// Where it pointed after; null when it was deleted.
    pub new: ObjectId,
    /// The committer's name.
    pub name: &'a [u8],
    /// The committer's e-mail address, without angle brackets.
    pub email: &'a [u8],
    /// Seconds since 1970.
    pub time: u64,
    /// The time zone as git writes it: +0130 is 130.
    pub time_zone: i16,
    /// The message. git ends it with one newline.
    pub message: &'a [u8],
}

debug_with_text!(LogEntryView<'a> { name, email, message; old, new, time, time_zone });

impl LogEntryView<'_> {
    /// The marker of a log, with this null id.
    pub(crate) fn marker(null: ObjectId) -> LogEntryView<'static> {
        LogEntryView { old: null, new: null, name: b"", email: b"", time: 0, time_zone: 0, message: b"" }
    }

    /// Whether this is no entry but a marker: git's note that a log exists, also while there is no
    /// entry in it. It goes from no object to none, and the rest of it is empty.
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.old.is_null() && self.new.is_null()
    }

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

/// A log record as tables hold it, tombstones and markers included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogRecordView<'a> {
    /// The reference's full name.
    pub refname: &'a [u8],
    /// The number of the transaction that wrote the entry.
    pub update_index: u64,
    /// The entry, or a marker ([`LogEntryView::is_marker`]); `None` is a tombstone, which hides the
    /// entry of this name and update index in older tables.
    pub entry: Option<LogEntryView<'a>>,
}

debug_with_text!(LogRecordView<'a> { refname; update_index, entry });
