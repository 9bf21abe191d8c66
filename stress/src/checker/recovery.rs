//! After kills, the next commits and the next compaction clean up by themselves.

use anyhow::{Context, Result};
use reftable::compact::Compact;
use reftable::{Expect, Stack, Target};

use crate::violations::Violations;

/// A table of a commit that was killed goes once the store has got past its update indexes: after
/// so many commits at the latest.
const COMMITS: u32 = 1024;

/// Commits without changing anything until no table is left over, and compacts. What is left after
/// that, and after the end of `stack`, is garbage.
pub(super) fn check(stack: Stack, violations: &mut Violations) -> Result<()> {
    for _ in 0..COMMITS {
        let head = stack.snapshot()?.get("HEAD")?.map(|head| head.target);
        let head = head.unwrap_or_else(|| Target::symbolic("refs/heads/main"));
        let mut tx = stack.transaction();
        tx.set("HEAD", Expect::Any, head);
        if let Err(error) = tx.commit() {
            violations.add(format!("the commit after all kills failed: {error}"));
            return Ok(());
        }
        if !is_behind(&stack)? {
            break;
        }
    }
    stack.compact(Compact::all()).context("the compaction after all kills failed").map(drop)
}

/// Whether a table has update indexes that the store has not got to.
fn is_behind(stack: &Stack) -> Result<bool> {
    let reached = stack.snapshot()?.update_index();
    for entry in std::fs::read_dir(stack.path()).context("cannot list the store")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let last = name.split('-').nth(1).and_then(|last| last.strip_prefix("0x"));
        if last.and_then(|last| u64::from_str_radix(last, 16).ok()).is_some_and(|last| last > reached) {
            return Ok(true);
        }
    }
    Ok(false)
}
