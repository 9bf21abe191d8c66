//! Deliberate mistakes, for checking the checkers: each must be caught by at least one.
//!
//! Mistakes that a directory can make in the place of its caller, such as leaving out a sync, are
//! not here: simulated directories make those.
//!
//! Compiled in by `--cfg reftable_mutants` only; otherwise nothing here costs anything, and no
//! mistake can be made.

/// A mistake that must not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(reftable_mutants), expect(unreachable_pub, reason = "public for the checkers only"))]
pub enum Mutant {
    /// A compaction removes its inputs before it publishes its output.
    DeleteInputsEarly,
    /// A compaction removes its inputs after it has released the list lock.
    RemoveInputsUnlocked,
    /// A successor leaves the inputs of a dead process's compaction to the next one.
    LeaveMergedInputs,
    /// A commit returns though the list was not replaced.
    AcknowledgeBeforeRename,
    /// A lock of a host gets its name before its file is locked with the kernel: its living owner
    /// looks dead. In none of the lists below: only hosts have such locks.
    LinkUnlocked,
    /// A lock is taken over without asking whether its owner lives.
    BreakLockUnasked,
    /// A kernel lock is taken to belong to a file, though it belongs to a name of it.
    TrustLocksOfNames,
    /// The state that was read before the lock was taken is not read again under it.
    SkipReread,
    /// A compaction drops tombstones though older tables lie below.
    DropTombstones,
    /// A compaction that had to leave out the oldest tables drops tombstones as planned for all of
    /// them.
    ShrinkKeepsRule,
    /// The leader of a group checks each transaction against the snapshot only, not against those
    /// before it.
    IgnoreEarlierMembers,
    /// A compaction under the list lock merges tables that others have locked.
    IgnoreTableLocks,
    /// A table that no list names is removed without proof, if its update indexes are not beyond
    /// the store's.
    RemoveUnproven,
    /// A list is marked as durable though tables of others that it names were not synced.
    MarkUnsynced,
    /// The durability mark of other contents is trusted.
    TrustMarkOfOtherContents,
    /// The durability mark of another file is trusted.
    TrustMarkOfOtherFile,
    /// A table that could not be synced is synced again, and that is trusted.
    TrustSecondSync,
    /// A block is copied with a tombstone that nothing lies below.
    CopyTombstones,
    /// A block is copied though its update indexes count from another one.
    CopyWrongDeltas,
    /// A block is copied with what follows it, as if that were its padding.
    CopyWithoutPadding,
    /// A reader gives up on a missing table at once. In none of the lists below: it takes two
    /// interruptions of one read, so only a model shows it (`reader_and_compactor.rs`).
    NoSecondLook,
    /// A follower that takes a request back does not say so where others see it.
    WithdrawSilently,
    /// A leader that claims a request does not look whether it was withdrawn before.
    ClaimUnread,
    /// A process that takes the lock over does not write down what the dead leader has done for
    /// others.
    LeaveUnresolved,
    /// A follower takes a plan for a publication.
    TrustPlan,
    /// A follower takes what is published for durable.
    TrustPublished,
    /// A follower commits by itself when it gets the lock, without looking whether that was done.
    DoAgain,
    /// A leader says that what it commits for others is durable before the last sync.
    AnswerBeforeSync,
    /// A request is claimed though its follower is dead, and may have had it committed before.
    ClaimFromDeadFollowers,
    /// A request of an earlier run of the kernel is claimed.
    ClaimFromEarlierBoots,
    /// Whatever was committed upon a claim is taken for what was planned, whichever process
    /// committed it.
    TakeAnyTableForPlanned,
    /// A request without a plan is taken for rejected, though the list has changed since it was
    /// claimed.
    TakeUnplannedForRejected,
    /// A process that takes the lock over and cannot say what became of a request leaves its name,
    /// and its follower waiting.
    KeepNameOfUnresolved,
    /// A process that takes the lock over and cannot list the directory publishes all the same.
    PublishUnseen,
    /// What stands after a record that is cut off does not count.
    StopAtTornRecord,
    /// A request is claimed, whichever user has made it.
    HonourAnybody,
    /// A request of another version is read as if it were of this one.
    ClaimOtherVersions,
    /// A process that backs off for neighbours does not ask whether the owner of the lock lives.
    BackOffFromDeadOwners,
    /// A process backs off for neighbours for as long as its own time-out allows.
    BackOffWithoutEnd,
    /// A lock of others that was met does not count as a neighbour.
    ForgetLocksThatWereMet,
    /// A lock of others is abandoned though a process has it open.
    BreakOpenLocks,
    /// A lock of others is abandoned as soon as no process has it open.
    BreakYoungLocks,
    /// A crowd never leaves the lock free for programs that it has not seen.
    CrowdsLeaveNoWindows,
    /// A process that leaves a window does not ask whether the lock is free, and whether its owner
    /// lives.
    LeaveWindowToDeadOwners,
    /// A leader that is done does not pass the leadership on.
    KeepLeadership,
    /// The leadership is passed on though a thread has it.
    TwoLeaders,
    /// A waiting thread gives up though a leader is doing its job.
    LeaveThoughTaken,
    /// A job that a leader does stays in the queue.
    TakeTwice,
    /// Jobs that may have been done are given back.
    GiveBackDecided,
    /// Jobs are given back when no thread leads, and none gets the leadership.
    GiveBackSilently,
    /// Results are handed to the wrong threads.
    MixUpResults,
    /// A thread that waits for room in the queue is not told of it.
    ForgetRoom,
    /// A pool yields results in the order in which they are ready.
    MixUpOrder,
    /// The owner of a pool is not told of the result that it waits for.
    KeepResult,
    /// The panic of a job is forgotten.
    ForgetPanic,
    /// A pool takes in as many jobs as there are.
    ExceedLimit,
    /// A merge passes a record without handing it out.
    DropRecord,
    /// A merge yields a record twice.
    RepeatRecord,
    /// A compaction that copies whole blocks passes one that it has not copied.
    SkipCopiedBlock,
    /// An index says that a block ends after its last key.
    IndexBeyond,
    /// A block is copied without its bytes.
    LoseCopiedBytes,
    /// An edit of the list leaves in a table that it should take out.
    EditWrongRange,
    /// The threads of a pool are not told of its end.
    CloseSilently,
    /// The threads of a pool are not waited for.
    LeaveHelpers,
}

/// Every mistake that the crash states show: what processes do to the directory.
#[cfg(reftable_mutants)]
pub const ALL: [Mutant; 19] = [
    Mutant::DeleteInputsEarly,
    Mutant::RemoveInputsUnlocked,
    Mutant::LeaveMergedInputs,
    Mutant::AcknowledgeBeforeRename,
    Mutant::BreakLockUnasked,
    Mutant::TrustLocksOfNames,
    Mutant::SkipReread,
    Mutant::DropTombstones,
    Mutant::ShrinkKeepsRule,
    Mutant::IgnoreEarlierMembers,
    Mutant::IgnoreTableLocks,
    Mutant::RemoveUnproven,
    Mutant::MarkUnsynced,
    Mutant::TrustMarkOfOtherContents,
    Mutant::TrustMarkOfOtherFile,
    Mutant::TrustSecondSync,
    Mutant::CopyTombstones,
    Mutant::CopyWrongDeltas,
    Mutant::CopyWithoutPadding,
];

/// Every mistake that an invariant shows before anything is published: `invariants_hold.rs` makes
/// them.
#[cfg(reftable_mutants)]
pub const INVARIANTS: [Mutant; 6] = [
    Mutant::DropRecord,
    Mutant::RepeatRecord,
    Mutant::SkipCopiedBlock,
    Mutant::IndexBeyond,
    Mutant::EditWrongRange,
    Mutant::LoseCopiedBytes,
];

/// Every mistake in the queue of threads before the lock. A single thread does not make them, so no
/// crash shows them: only models of threads do.
#[cfg(reftable_mutants)]
pub const QUEUE: [Mutant; 8] = [
    Mutant::KeepLeadership,
    Mutant::TwoLeaders,
    Mutant::LeaveThoughTaken,
    Mutant::TakeTwice,
    Mutant::GiveBackDecided,
    Mutant::GiveBackSilently,
    Mutant::MixUpResults,
    Mutant::ForgetRoom,
];

/// Every mistake in the worker pool. Its models show them.
#[cfg(reftable_mutants)]
pub const POOL: [Mutant; 6] = [
    Mutant::MixUpOrder,
    Mutant::KeepResult,
    Mutant::ForgetPanic,
    Mutant::ExceedLimit,
    Mutant::CloseSilently,
    Mutant::LeaveHelpers,
];

/// Every mistake in requests between processes. The crash states of delegated transactions
/// show them, and models some of them.
#[cfg(reftable_mutants)]
pub const REQUESTS: [Mutant; 11] = [
    Mutant::WithdrawSilently,
    Mutant::ClaimUnread,
    Mutant::LeaveUnresolved,
    Mutant::TrustPlan,
    Mutant::TrustPublished,
    Mutant::DoAgain,
    Mutant::AnswerBeforeSync,
    Mutant::ClaimFromDeadFollowers,
    Mutant::ClaimFromEarlierBoots,
    Mutant::TakeAnyTableForPlanned,
    Mutant::TakeUnplannedForRejected,
];

/// Every mistake in backing off for neighbours: `back_off_has_an_end.rs` makes them.
#[cfg(reftable_mutants)]
pub const FAIRNESS: [Mutant; 5] = [
    Mutant::BackOffFromDeadOwners,
    Mutant::BackOffWithoutEnd,
    Mutant::ForgetLocksThatWereMet,
    Mutant::CrowdsLeaveNoWindows,
    Mutant::LeaveWindowToDeadOwners,
];

/// Every mistake in breaking the locks of others: `abandoned_locks_are_broken.rs` makes them.
#[cfg(reftable_mutants)]
pub const BREAKING: [Mutant; 2] = [Mutant::BreakOpenLocks, Mutant::BreakYoungLocks];

#[cfg(reftable_mutants)]
thread_local! {
    static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Makes this mistake on this thread from now on, or none.
#[cfg(reftable_mutants)]
pub fn activate(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Whether this mistake is to be made.
#[cfg(reftable_mutants)]
pub(crate) fn is_on(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether this mistake is to be made: never.
#[cfg(not(reftable_mutants))]
#[inline(always)]
pub(crate) const fn is_on(_mutant: Mutant) -> bool {
    false
}
