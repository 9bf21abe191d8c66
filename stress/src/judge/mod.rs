//! Judges a history: whether one order of its transactions explains all that was told.
//!
//! Every change names the value before and the value after it, and no value is used twice. So the
//! order of the changes of each reference can be read off the history, and what contradicts it are
//! few patterns: two changes that both took the same value away (one of them is lost); a reading
//! that lacks what was there before it, or that has one change of a transaction and not the other;
//! a value that nobody wrote, or whose writer was refused. What is left is a cycle of "came
//! before".

pub(crate) mod claims;
mod cycle;
pub(crate) mod edn;
pub(crate) mod event;
mod existence;
mod ops;
mod versions;

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use claims::{Claim, Finding, Verdict};
use event::{Event, Process};
use ops::{ABSENT, Op, Ops, Outcome, Val};
use versions::Versions;

/// Judges what is in a history. `is_final` tells the processes that read when all was over.
///
/// # Errors
/// When there is nothing in it, or it cannot be judged; says why.
pub(crate) fn judge(events: &[Event]) -> Result<Verdict> {
    let ops = Ops::of(events)?;
    if !ops.all.iter().any(|op| op.outcome == Outcome::Ok && !op.swaps.is_empty()) {
        bail!("no transaction of this history was acknowledged: there is nothing to judge");
    }
    let versions = Versions::of(&ops)?;
    let mut judge =
        Judge { events, ops: &ops, versions: &versions, verdict: Verdict::default(), told: BTreeSet::new() };
    judge.count();
    judge.unwritten();
    judge.forks();
    judge.readings();
    judge.existence();
    judge.cycles();
    Ok(judge.verdict)
}

/// A judgement under way.
struct Judge<'a> {
    events: &'a [Event],
    ops: &'a Ops,
    versions: &'a Versions,
    verdict: Verdict,
    /// Operations of which something was found: a cycle through them is nothing new.
    told: BTreeSet<usize>,
}

impl Judge<'_> {
    fn count(&mut self) {
        let count = |is: &dyn Fn(&Op) -> bool| self.ops.all.iter().filter(|op| is(op)).count();
        let is_acked = |op: &Op| op.outcome == Outcome::Ok && !op.swaps.is_empty();
        let (acked, whole) = (count(&is_acked), count(&|op| op.swaps.len() > 1 && op.outcome != Outcome::Fail));
        let (read, refused) = (count(&Op::has_read), count(&|op| op.outcome == Outcome::Fail));
        self.verdict.looked_at(Claim::Kept, acked);
        self.verdict.looked_at(Claim::Whole, whole);
        self.verdict.looked_at(Claim::Ordered, read);
        self.verdict.looked_at(Claim::Honest, refused);
    }

    /// Values that were read or built upon, and that nobody wrote, or a client that was refused.
    fn unwritten(&mut self) {
        let mut seen = BTreeSet::new();
        for (number, op) in self.ops.all.iter().enumerate() {
            for (name, value) in observations(op).filter(|(_, value)| *value != ABSENT) {
                if !seen.insert((name, value)) {
                    continue;
                }
                let (reference, shown) = (self.ops.name(name), self.ops.value(value));
                match self.versions.writer(name, value) {
                    None => {
                        let what = format!("{reference} is {shown}, which nobody wrote");
                        self.find(Claim::Honest, what, &[number]);
                    }
                    Some(writer) if self.op(writer).is_some_and(|op| op.outcome == Outcome::Fail) => {
                        let who = self.who(writer);
                        let what = format!("{who} was told that its transaction failed, and {reference} is {shown}");
                        self.find(Claim::Honest, what, &[writer, number]);
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Two changes that took the same value away: what one of them did is lost.
    fn forks(&mut self) {
        for (name, old, took) in self.versions.forks() {
            let [one, other, ..] = took else { continue };
            let acked = took.iter().filter(|op| self.op(**op).is_some_and(|op| op.outcome == Outcome::Ok)).count();
            // Of one that nobody knows about only another of its changes can have been seen.
            let claim = if acked > 1 { Claim::Kept } else { Claim::Whole };
            let (name, old) = (self.ops.name(name), self.ops.value(old));
            let (who, whom) = (self.who(*one), self.who(*other));
            let what = format!("{who} and {whom} both took {name} from {old}: what one of them did is lost");
            self.find(claim, what, &[*one, *other]);
        }
    }

    /// Readings that lack what was there before they began, or have a part of a transaction.
    fn readings(&mut self) {
        for (number, op) in self.ops.all.iter().enumerate().filter(|(_, op)| op.has_read()) {
            for (name, value) in &op.reads {
                for next in self.versions.next(*name, *value) {
                    let Some(writer) = self.op(*next) else { continue };
                    let seen = writer
                        .swaps
                        .iter()
                        .find(|swap| swap.name != *name && self.versions.has_seen(op, swap.name, swap.new));
                    let is_over = writer.over() < op.invoked;
                    if seen.is_none() && !is_over {
                        continue;
                    }
                    let lacks = (self.ops.name(*name), self.ops.value(*value));
                    let seen = seen.map(|swap| self.ops.name(swap.name));
                    self.reading(number, *next, lacks, seen);
                }
            }
        }
    }

    fn reading(&mut self, reader: usize, writer: usize, lacks: (&str, &str), seen: Option<&str>) {
        let (name, value) = lacks;
        let (reads, wrote) = (self.who(reader), self.who(writer));
        let is_final = self.op(reader).is_some_and(|op| self.is_final(op));
        let (claim, what) = match seen {
            Some(seen) => {
                let what =
                    format!("{reads} sees of {wrote}'s transaction what it did to {seen}, and not {name}: {value}");
                (Claim::Whole, what)
            }
            None if is_final => {
                (Claim::Kept, format!("lost: {wrote} was told that {name} has changed; {reads} finds it at {value}"))
            }
            None => {
                let what = format!("{reads} sees {name} at {value}, after {wrote} was told that it has changed");
                (Claim::Ordered, what)
            }
        };
        self.find(claim, what, &[writer, reader]);
    }

    /// A reference that was absent to a reader while it was there.
    fn existence(&mut self) {
        for (observer, creator, name) in existence::contradictions(self.ops, self.versions) {
            let (who, whom, name) = (self.who(observer), self.who(creator), self.ops.name(name));
            let is_final = self.op(observer).is_some_and(|op| self.is_final(op));
            let claim = if is_final { Claim::Kept } else { Claim::Ordered };
            let what = format!("{name} is absent to {who}, after {whom} was told that it was created");
            self.find(claim, what, &[creator, observer]);
        }
    }

    /// Whatever else no order explains.
    fn cycles(&mut self) {
        for cycle in cycle::find(self.ops, self.versions, &self.told) {
            let who: Vec<String> = cycle.iter().map(|op| self.who(*op)).collect();
            let what = format!("no order explains what these were told, each after the one before: {}", who.join(", "));
            let is_final = cycle.iter().filter_map(|op| self.op(*op)).any(|op| self.is_final(op));
            self.find(if is_final { Claim::Kept } else { Claim::Ordered }, what, &cycle);
        }
    }

    fn op(&self, number: usize) -> Option<&Op> {
        self.ops.all.get(number)
    }

    /// Readers that come when all is over call themselves so.
    fn is_final(&self, op: &Op) -> bool {
        self.events
            .get(op.invoked)
            .and_then(|event| event.driver.as_deref())
            .is_some_and(|driver| driver.starts_with("final"))
    }

    fn who(&self, number: usize) -> String {
        let Some(op) = self.op(number) else { return "nobody".to_owned() };
        let driver = self.events.get(op.invoked).and_then(|event| event.driver.as_deref());
        driver.map_or(format!("process {}", op.process), |driver| format!("{driver} (process {})", op.process))
    }

    /// Notes a finding with the lines that show it: all of these operations, and kills of theirs.
    fn find(&mut self, claim: Claim, what: String, ops: &[usize]) {
        let mut events = BTreeSet::new();
        for op in ops.iter().filter_map(|op| self.ops.all.get(*op)) {
            events.insert(op.invoked);
            events.extend(op.completed);
            events.extend(self.kill_of(op));
        }
        self.told.extend(ops);
        self.verdict.add(Finding { claim, what, events: events.into_iter().collect() });
    }

    /// The line that tells of the kill that ended an operation.
    fn kill_of(&self, op: &Op) -> Option<usize> {
        let until = op.completed.unwrap_or(self.events.len());
        let lines = self.events.get(op.invoked..until)?.iter().enumerate();
        let is_of = |event: &Event| match &event.what {
            event::What::Other { f, value } => {
                f == "kill" && value.get("process").and_then(serde_json::Value::as_u64) == Some(op.process)
            }
            event::What::Transaction(_) => false,
        };
        let mut kills = lines.filter(|(_, event)| event.process == Process::Nemesis && is_of(event));
        kills.next().map(|(offset, _)| op.invoked + offset)
    }
}

/// What an operation has seen: what it read, and what it took away if it was acknowledged.
fn observations(op: &Op) -> impl Iterator<Item = (u32, Val)> {
    let took = op.swaps.iter().filter(|_| op.outcome == Outcome::Ok).map(|swap| (swap.name, swap.old));
    op.reads.iter().copied().filter(|_| op.has_read()).chain(took)
}

#[cfg(test)]
mod tests;
