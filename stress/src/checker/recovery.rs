//! After kills, the next commit and the next compaction clean up by themselves.

use anyhow::{Context, Result};
use reftable::compact::Compact;
use reftable::{Expect, Stack, Target};

use crate::violations::Violations;

/// Makes a commit that changes nothing, and compacts. What is left after that, and after the end of
/// `stack`, is garbage.
pub(super) fn check(stack: Stack, violations: &mut Violations) -> Result<()> {
    let head = stack.snapshot()?.get("HEAD")?.map(|head| head.target);
    let mut tx = stack.transaction();
    tx.set("HEAD", Expect::Any, head.unwrap_or_else(|| Target::symbolic("refs/heads/main")));
    if let Err(error) = tx.commit() {
        violations.add(format!("the commit after all kills failed: {error}"));
        return Ok(());
    }
    stack.compact(Compact::all()).context("the compaction after all kills failed").map(drop)
}
