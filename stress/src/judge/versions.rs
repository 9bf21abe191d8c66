//! The versions of each reference, in the order in which each took the place of the one before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, bail};

use super::observations;
use super::ops::{ABSENT, Op, Ops, Outcome, Swap, Val};

/// So many versions are walked back at most when a reading is looked at.
const BACK: usize = 100_000;

/// Who wrote what, and what took its place.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    /// Of each name and value, the one operation that wrote it.
    writers: HashMap<(u32, Val), usize>,
    /// Of each name and value, the operations that took it away.
    nexts: BTreeMap<(u32, Val), Vec<usize>>,
    /// The operation's value before, by name and value after.
    before: HashMap<(u32, Val), Val>,
    /// Names that were deleted, or may have been.
    deleted: BTreeSet<u32>,
    /// Whether each operation has happened: it was acknowledged, or its value was seen.
    effective: Vec<bool>,
}

impl Versions {
    /// Of a history.
    ///
    /// # Errors
    /// When a value was written twice to one reference: then nobody can say whose it is.
    pub(crate) fn of(ops: &Ops) -> Result<Versions> {
        let mut versions = Versions::default();
        for (number, op) in ops.all.iter().enumerate() {
            for swap in op.swaps.iter().filter(|swap| swap.new != ABSENT) {
                versions.before.insert((swap.name, swap.new), swap.old);
                if versions.writers.insert((swap.name, swap.new), number).is_some_and(|other| other != number) {
                    let (name, value) = (ops.name(swap.name), ops.value(swap.new));
                    bail!("{value} is written to {name} twice: such a history cannot be judged");
                }
            }
        }
        versions.find_effective(ops);
        for (number, op) in ops.all.iter().enumerate() {
            // A deletion that nobody knows about leaves nothing to be seen by.
            let may_delete = |swap: &&Swap| swap.new == ABSENT && op.outcome != Outcome::Fail;
            versions.deleted.extend(op.swaps.iter().filter(may_delete).map(|swap| swap.name));
            if !versions.is_effective(number) {
                continue;
            }
            for swap in &op.swaps {
                versions.nexts.entry((swap.name, swap.old)).or_default().push(number);
            }
        }
        Ok(versions)
    }

    /// What was acknowledged has happened, and whatever it was built upon, and whatever was read.
    fn find_effective(&mut self, ops: &Ops) {
        self.effective = vec![false; ops.all.len()];
        let acked = |op: &Op| op.outcome == Outcome::Ok && !op.swaps.is_empty();
        let mut open: Vec<usize> = (0..).zip(&ops.all).filter(|(_, op)| acked(op)).map(|(number, _)| number).collect();
        let seen = ops.all.iter().filter(|op| op.has_read()).flat_map(observations);
        open.extend(seen.filter_map(|seen| self.writers.get(&seen)));
        while let Some(number) = open.pop() {
            match self.effective.get_mut(number) {
                Some(is_effective) if !*is_effective => *is_effective = true,
                _ => continue,
            }
            let swaps = ops.all.get(number).map_or(&[][..], |op| op.swaps.as_slice());
            open.extend(swaps.iter().filter_map(|swap| self.writers.get(&(swap.name, swap.old))));
        }
    }

    pub(crate) fn is_effective(&self, op: usize) -> bool {
        self.effective.get(op).copied().unwrap_or(false)
    }

    pub(crate) fn writer(&self, name: u32, value: Val) -> Option<usize> {
        self.writers.get(&(name, value)).copied()
    }

    /// Those that took this value away. Where a reference comes and goes nobody can say which
    /// creation followed which absence: there are none then.
    pub(crate) fn next(&self, name: u32, value: Val) -> &[usize] {
        if value == ABSENT && self.deleted.contains(&name) {
            return &[];
        }
        self.nexts.get(&(name, value)).map_or(&[], Vec::as_slice)
    }

    /// Whatever was taken away more than once.
    pub(crate) fn forks(&self) -> impl Iterator<Item = (u32, Val, &[usize])> {
        let may_fork = |(name, value): &(u32, Val)| *value != ABSENT || !self.deleted.contains(name);
        let more = self.nexts.iter().filter(move |(at, took)| took.len() > 1 && may_fork(at));
        more.map(|((name, value), took)| (*name, *value, took.as_slice()))
    }

    /// All creations, by name.
    pub(crate) fn creations(&self, name: u32) -> &[usize] {
        self.nexts.get(&(name, ABSENT)).map_or(&[], Vec::as_slice)
    }

    /// Whether a reading saw this value of a name, or one that came after it.
    pub(crate) fn has_seen(&self, op: &Op, name: u32, value: Val) -> bool {
        if value == ABSENT {
            return false;
        }
        let Some((_, seen)) = op.reads.iter().find(|(read, _)| *read == name) else { return false };
        let mut at = *seen;
        for _ in 0..BACK {
            if at == value {
                return true;
            }
            match self.before.get(&(name, at)) {
                Some(before) if at != ABSENT => at = *before,
                _ => return false,
            }
        }
        false
    }
}
