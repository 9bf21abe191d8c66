//! Which rule a finding is about, for programs: words may change, kinds do not.

use std::fmt;

use super::finding::Severity;

/// Declares the kinds in one place: what each is, its name in JSON, and how bad it is.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $severity:ident;)*) => {
        /// What a [`Finding`](super::Finding) is about. Each kind has one [`Severity`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FindingKind {
            $($(#[$doc])* $kind,)*
        }

        impl FindingKind {
            /// All of them, in the order of this page.
            #[cfg(test)]
            pub(super) const ALL: &[FindingKind] = &[$(FindingKind::$kind),*];

            /// Its name in small letters and hyphens, as `reftable verify --json` prints it. It
            /// stays as it is.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(FindingKind::$kind => $name,)*
                }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(FindingKind::$kind => Severity::$severity,)*
                }
            }
        }
    };
}

kinds! {
    /// The list is missing, or names nothing, beside tables.
    LostList = "lost-list", Error;
    /// The list, a table, or a part of one cannot be read: bytes that are no such thing, a missing
    /// file, an error of the system.
    Unreadable = "unreadable", Error;

    /// The name of a table is not of git's form, or states other update indexes than its header.
    TableName = "table-name", Note;
    /// The update indexes of a table run backwards.
    BackwardsRange = "backwards-range", Warning;
    /// The largest update index that there is is in use.
    LastUpdateIndex = "last-update-index", Warning;
    /// A table has update indexes that one below it has, too, or stands in the wrong place.
    OverlappingRanges = "overlapping-ranges", Warning;
    /// A table has the same bytes as one below it.
    CopiedTable = "copied-table", Error;
    /// The ids have another hash than the repository's, by its configuration.
    WrongHash = "wrong-hash", Error;
    /// Two tables have ids of different hashes.
    MixedHashes = "mixed-hashes", Error;

    /// A block has no records, more bytes than the table's blocks, or padding that is not zero.
    BlockFrame = "block-frame", Error;
    /// A record is not above the one before it.
    RecordOrder = "record-order", Error;
    /// A reference has an update index outside of the range in its table's header.
    RefOutOfRange = "ref-out-of-range", Error;
    /// A log entry has an update index above the range in its table's header.
    LogOutOfRange = "log-out-of-range", Warning;
    /// Sections are in another order, or elsewhere than the footer says.
    Sections = "sections", Error;
    /// An index leaves out a block, leads to one twice or to none, or states another last key.
    Index = "index", Error;
    /// The topmost level of an index has several blocks, which JGit does not read.
    WideIndexRoot = "wide-index-root", Note;
    /// The object section leaves out an id, or lists other blocks.
    Objects = "objects", Error;

    /// The store of a repository has no HEAD.
    NoHead = "no-head", Error;
    /// HEAD leads to something that is not a branch.
    HeadNotBranch = "head-not-branch", Error;
    /// A reference, or a log, has a name that git refuses.
    InvalidName = "invalid-name", Error;
    /// Two references cannot be there at once: one name is a directory of the other.
    NameConflict = "name-conflict", Error;
    /// A reference or a log belongs into the store of the whole repository, not of this worktree.
    WrongStore = "wrong-store", Error;
    /// A reference that git keeps in a file, such as `FETCH_HEAD`.
    KeptInFile = "kept-in-file", Warning;
    /// A name that git does not list.
    HiddenName = "hidden-name", Note;
    /// A reference points at the null id.
    NullId = "null-id", Error;
    /// A reference has a peeled id that is its own.
    PeeledToItself = "peeled-to-itself", Note;
    /// A symbolic reference leads to something that is not a valid name.
    InvalidTarget = "invalid-target", Error;
    /// A symbolic reference leads in a circle, or through more others than git follows.
    EndlessTarget = "endless-target", Error;
    /// A symbolic reference leads out of `refs/`.
    OutsideTarget = "outside-target", Note;
    /// The time of a log entry is no date.
    LogTime = "log-time", Note;
    /// The time zone of a log entry does not exist.
    LogTimeZone = "log-time-zone", Note;

    /// A temporary file of a process that has ended.
    TemporaryFile = "temporary-file", Note;
    /// A table that no list names, and that is proven to be garbage.
    ReplacedTable = "replaced-table", Note;
    /// A table that no list names, and of which nothing proves that it is garbage.
    UnlistedTable = "unlisted-table", Warning;
    /// The same, beyond the update indexes of the list.
    TableBeyondList = "table-beyond-list", Warning;
    /// What a repair has kept under another name.
    KeptByRepair = "kept-by-repair", Note;
    /// A file name that is not UTF-8: no list can name it.
    NameNotUtf8 = "name-not-utf8", Note;
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FindingKind;

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = FindingKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FindingKind::ALL.len());
        let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-8".contains(&byte));
        assert!(names.iter().all(is_plain), "{names:?}");
    }
}
