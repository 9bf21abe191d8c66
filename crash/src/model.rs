//! What a crash may destroy.

/// Bytes of a disk that are written as a whole, except under [`Model::TornSectors`].
pub const SECTOR: usize = 512;

/// What a crash may destroy of what was done before.
///
/// * [`Kill`](Model::Kill): everything done so far is there. The kernel goes on.
/// * [`OnlySynced`](Model::OnlySynced): power is lost, and nothing is promised but what was synced.
///   Each *name* in each directory has, independently of all other names, the value it had at the
///   last sync of that directory or any value it was given since; a rename gives a value to two
///   names, so both or neither may be there. A file is there if a name that survived stands for it;
///   of several names of one directory the first counts. Each *file* has the bytes of its last
///   sync, and of what was written since: nothing; all up to the end of some write; all up to a
///   multiple of [`SECTOR`] within some write; or its newest length with any subset of the sectors
///   that were written, the others as they were, or zero where nothing was. (Of more than four
///   sectors not all subsets are tried, but: none, all, each missing alone, each alone; of more
///   than 63, runs of sectors count as one.) Or sectors that were never synced hold what was there
///   before: of the file that was the last to lose its name when this one was made, or of this one
///   before it was truncated.
/// * [`Ordered`](Model::Ordered): power is lost on a file system like ext4 with `data=ordered`.
///   Changes of names, in all directories, survive as a prefix of the order in which they were
///   made, each rename whole; not shorter than at the last sync of a directory for the changes in
///   it. (Real ones also write the journal when a file is synced: that leaves fewer states, so
///   nothing counts on it.) Bytes that were appended and not synced are there, up to the end of
///   some write, or missing, or zero; what a file had when it was renamed over another one is
///   there, which ext4 calls `auto_da_alloc`. Bytes that were put in the place of others have no
///   order, as under `OnlySynced`.
/// * [`Journaled`](Model::Journaled): as `Ordered`, and extended attributes are metadata like
///   names: a name that survives has the attribute that its file had when it was given, or a newer
///   one. So it is on ext4, XFS and Btrfs. Not in [`ALL`](Model::ALL): all that it leaves,
///   `Ordered` leaves.
/// * [`TornSectors`](Model::TornSectors): as `OnlySynced`, and besides a sector that was being
///   written may be half old and half new. Not all disks promise that it is not.
///
/// Elsewhere a file's extended attribute is the newest one, or that of its last sync; its bytes say
/// nothing about it. A symbolic link leads where it was made to lead, if its name survives. Times
/// and inode numbers are always what they were when the file was made.
///
/// Where a sync of a file fails ([`Op::SyncFailed`](crate::Op::SyncFailed)), nothing that the file
/// has then or gets later is durable any more, in any of the models of a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Model {
    /// Processes die.
    Kill,
    /// Power is lost: only what was synced survives for certain.
    OnlySynced,
    /// Power is lost: names survive in order.
    Ordered,
    /// Power is lost: names and attributes survive in order.
    Journaled,
    /// Power is lost: only what was synced survives for certain, and sectors tear.
    TornSectors,
}

impl Model {
    /// Those that differ in what they may leave.
    pub const ALL: [Model; 4] = [Model::Kill, Model::OnlySynced, Model::Ordered, Model::TornSectors];

    /// Whether the machine stops, so that what was written and not synced may be lost.
    #[must_use]
    pub fn loses_power(self) -> bool {
        self != Model::Kill
    }

    /// What happens, for stories.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Model::Kill => "everybody is killed",
            Model::OnlySynced => "only what was synced survives for certain",
            Model::Ordered => "metadata survive in order",
            Model::Journaled => "metadata survive in order, attributes among them",
            Model::TornSectors => "only what was synced survives for certain, and sectors tear",
        }
    }

    /// Whether names survive in the order of their changes.
    pub(crate) fn is_ordered(self) -> bool {
        matches!(self, Model::Ordered | Model::Journaled)
    }

    /// Whether each name has a fate of its own.
    pub(crate) fn names_are_free(self) -> bool {
        matches!(self, Model::OnlySynced | Model::TornSectors)
    }
}
