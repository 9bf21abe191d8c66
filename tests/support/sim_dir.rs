//! A directory in memory that can be killed and lose power, and the machine that tries every way in
//! which it may.
//!
//! * [`world`] and [`dir`]: the directory as processes see it; everything that changes it is
//!   logged.
//! * [`failures`]: descriptors, writes and syncs that fail a process.
//! * [`slips`]: syncs that are left out and tables that come too late, as if the library erred;
//!   [`mutants`]: who errs in a run.
//! * [`run`]: runs a scenario, and says after every change what a reader must see.
//! * [`persist`]: which trees may be found after a crash behind a given change.
//! * [`check`]: reopens such a tree and checks the claims.
//! * [`nested`]: crashes those who find such a tree as well.
//! * [`mend`]: repairs of damaged stores, to be crashed as well.
//! * [`links`]: locks that are symbolic links.
//! * [`groups`], [`at_once`], [`whole_blocks`]: transactions that share a table, tables that are
//!   merged under the lock, and by copies.
//! * [`handed_over`]: transactions that one process does for another; [`beside`]: processes that go
//!   on in the midst of another one;
//!   [`unresolved`]: calls that fail over it.
//! * [`names`]: kernel locks that belong to names.
//! * [`overlapping`]: tables that have update indexes in common.
//! * [`seals`]: lists that seem to be sealed.
//! * [`engine`]: all of these together, with counts; [`story`] tells a violation.
//! * [`scenarios`] with [`stage`]: what the processes do; [`git`]: git's own protocol, as a
//!   control.

#![allow(dead_code, reason = "every test file uses its own part of this")]

#[path = "sim/at_once.rs"]
mod at_once;
#[path = "sim/beside.rs"]
mod beside;
#[path = "sim/check.rs"]
pub(crate) mod check;
#[path = "sim/dir.rs"]
pub(crate) mod dir;
#[path = "sim/engine.rs"]
pub(crate) mod engine;
#[path = "sim/failures.rs"]
mod failures;
#[path = "sim/git.rs"]
pub(crate) mod git;
#[path = "sim/groups.rs"]
mod groups;
#[path = "sim/handed_over.rs"]
mod handed_over;
#[path = "sim/links.rs"]
mod links;
#[path = "sim/mend.rs"]
pub(crate) mod mend;
#[path = "sim/mutants.rs"]
pub(crate) mod mutants;
#[path = "sim/names.rs"]
mod names;
#[path = "sim/nested.rs"]
mod nested;
#[path = "sim/older.rs"]
mod older;
#[path = "sim/overlapping.rs"]
mod overlapping;
#[path = "sim/persist.rs"]
pub(crate) mod persist;
#[path = "sim/run.rs"]
pub(crate) mod run;
#[path = "sim/scenarios.rs"]
pub(crate) mod scenarios;
#[path = "sim/seals.rs"]
mod seals;
#[path = "sim/slips.rs"]
pub(crate) mod slips;
#[path = "sim/stage.rs"]
mod stage;
#[path = "sim/story.rs"]
pub(crate) mod story;
#[path = "sim/unresolved.rs"]
mod unresolved;
#[path = "sim/whole_blocks.rs"]
mod whole_blocks;
#[path = "sim/world.rs"]
pub(crate) mod world;
