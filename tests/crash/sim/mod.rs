//! This store on the machine of `reftable-crash`, which can be killed and lose power, and every way
//! in which it may.
//!
//! * [`world`] and [`dir`]: the directory as processes of this store see it.
//! * [`slips`]: syncs that are left out and tables that come too late, as if the library erred;
//!   [`mutants`]: who errs in a run.
//! * [`run`]: runs a scenario, and says after every change what a reader must see.
//! * [`check`]: reopens a tree that a crash has left and checks the claims.
//! * [`nested`]: crashes those who find such a tree as well.
//! * [`mend`]: repairs of damaged stores, to be crashed as well.
//! * [`links`]: locks that are symbolic links.
//! * [`groups`], [`at_once`], [`whole_blocks`]: transactions that share a table, tables that are
//!   merged under the lock, and by copies.
//! * [`delegated`]: transactions that one process does for another; [`beside`]: processes that go
//!   on in the midst of another one;
//!   [`unresolved`]: calls that fail over it.
//! * [`names`]: kernel locks that belong to names.
//! * [`older`], [`unproven`]: lists that come back, and proofs that git takes away.
//! * [`overlapping`]: tables that have update indexes in common.
//! * [`durability_marks`]: lists that seem to be marked as durable.
//! * [`engine`]: all of these together, with counts.
//! * [`scenarios`] with [`stage`]: what the processes do; [`git`]: git's own protocol, as a
//!   control.

#![allow(dead_code, reason = "every test file uses its own part of this")]

mod at_once;
mod beside;
pub(crate) mod check;
mod delegated;
pub(crate) mod dir;
mod durability_marks;
pub(crate) mod engine;
pub(crate) mod git;
mod groups;
mod host;
mod links;
pub(crate) mod mend;
pub(crate) mod mutants;
mod names;
mod nested;
mod older;
mod overlapping;
pub(crate) mod run;
pub(crate) mod scenarios;
pub(crate) mod slips;
mod stage;
mod unproven;
mod unresolved;
mod whole_blocks;
pub(crate) mod world;
