//! References that come and go: absent to a reader while they were surely there.

use std::collections::BTreeSet;

use super::observations;
use super::ops::{ABSENT, Ops};
use super::versions::Versions;

/// The time, in positions, during which a reference was surely there, and who created it.
struct Life {
    from: usize,
    until: usize,
    creator: usize,
}

/// Who saw a reference absent, who had created it, and the reference.
pub(super) fn contradictions(ops: &Ops, versions: &Versions) -> Vec<(usize, usize, u32)> {
    let mut found = Vec::new();
    for name in names(ops) {
        let lives = lives(ops, versions, name);
        for (number, op) in ops.all.iter().enumerate() {
            if !observations(op).any(|seen| seen == (name, ABSENT)) {
                continue;
            }
            // One that was created more than once at a time is found where two took the same.
            let first = lives.partition_point(|life| life.from < op.invoked);
            let lived = |life: &&Life| life.until > op.over() && life.creator != number;
            let mut before = lives.get(..first).unwrap_or_default().iter().rev().take(2);
            if let Some(life) = before.find(lived) {
                found.push((number, life.creator, name));
            }
        }
    }
    found
}

/// All that are created and deleted; of the others versions tell all.
fn names(ops: &Ops) -> BTreeSet<u32> {
    let swaps = ops.all.iter().flat_map(|op| &op.swaps);
    swaps.filter(|swap| swap.new == ABSENT).map(|swap| swap.name).collect()
}

/// In the order in which they began.
fn lives(ops: &Ops, versions: &Versions, name: u32) -> Vec<Life> {
    let life = |creator: &usize| {
        let from = ops.all.get(*creator)?.over();
        let mut last = *creator;
        let until = loop {
            let swap = ops.all.get(last)?.swaps.iter().find(|swap| swap.name == name)?;
            if swap.new == ABSENT {
                break ops.all.get(last)?.invoked;
            }
            match versions.next(name, swap.new).first() {
                Some(next) => last = *next,
                // What nobody knows about may have deleted it.
                None => break unknown_end(ops, name, swap.new),
            }
        };
        (from < until).then_some(Life { from, until, creator: *creator })
    };
    let mut lives: Vec<Life> = versions.creations(name).iter().filter_map(life).collect();
    lives.sort_by_key(|life| life.from);
    lives
}

/// When a client that was told nothing may have deleted it first.
fn unknown_end(ops: &Ops, name: u32, value: u32) -> usize {
    let may_delete = ops.all.iter().filter(|op| op.outcome == super::Outcome::Unknown);
    let deletes =
        may_delete.filter(|op| op.swaps.iter().any(|swap| (swap.name, swap.old, swap.new) == (name, value, ABSENT)));
    deletes.map(|op| op.invoked).min().unwrap_or(usize::MAX)
}
