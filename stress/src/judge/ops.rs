//! Pairs invocations and completions, and gives names and values numbers.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, bail};

use super::event::{Event, Kind, MicroOp, Process};

/// A value of a reference; [`ABSENT`] is that of one that is not there.
pub(crate) type Val = u32;
/// See [`Val`].
pub(crate) const ABSENT: Val = 0;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged.
    Ok,
    /// It was refused: nothing may be there of it.
    Fail,
    /// It may be there as a whole, or not.
    Unknown,
}

/// A change of one reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Swap {
    pub(crate) name: u32,
    pub(crate) old: Val,
    pub(crate) new: Val,
}

/// A transaction: its reads, its changes, or both.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) process: u64,
    /// The position of its first line among all events.
    pub(crate) invoked: usize,
    /// That of its completion, if there is one.
    pub(crate) completed: Option<usize>,
    pub(crate) outcome: Outcome,
    pub(crate) reads: Vec<(u32, Val)>,
    pub(crate) swaps: Vec<Swap>,
}

/// All of a history.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    pub(crate) all: Vec<Op>,
    names: Numbers,
    values: Numbers,
}

/// Texts and their numbers.
#[derive(Debug, Default)]
struct Numbers {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Numbers {
    fn of(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("?", String::as_str)
    }
}

impl Op {
    fn complete(&mut self, position: usize, kind: Kind, reads: Vec<(u32, Val)>) {
        self.completed = Some(position);
        self.reads.extend(reads);
        self.outcome = match kind {
            Kind::Ok => Outcome::Ok,
            Kind::Fail => Outcome::Fail,
            Kind::Info | Kind::Invoke => Outcome::Unknown,
        };
    }

    /// Whether what it read counts: a reading that was not completed says nothing.
    pub(crate) fn has_read(&self) -> bool {
        self.outcome == Outcome::Ok && !self.reads.is_empty()
    }

    /// When it was over, in positions; never, if nobody knows.
    pub(crate) fn over(&self) -> usize {
        if self.outcome == Outcome::Ok { self.completed.unwrap_or(usize::MAX) } else { usize::MAX }
    }
}

impl Ops {
    /// Pairs what belongs together.
    ///
    /// # Errors
    /// When a process begins two things at once, or completes what it has not begun, or other
    /// changes than those, or changes a reference twice at once.
    pub(crate) fn of(events: &[Event]) -> Result<Ops> {
        let mut ops = Ops::default();
        // Number 0 is that of nothing; no id is the empty text.
        ops.values.of("");
        let mut open: HashMap<u64, usize> = HashMap::new();
        for (position, event) in events.iter().enumerate() {
            let (Process::Client(process), Some(micro_ops)) = (event.process, event.transaction()) else { continue };
            let line = position + 1;
            if event.kind == Kind::Invoke {
                if open.insert(process, ops.all.len()).is_some() {
                    bail!("event {line}: process {process} begins a transaction before the one before is over");
                }
                let op = ops.begin(process, position, micro_ops);
                // What is between the two would have to be seen by nobody: that is not judged.
                let changed: BTreeSet<u32> = op.swaps.iter().map(|swap| swap.name).collect();
                if changed.len() < op.swaps.len() {
                    bail!("event {line}: process {process} changes a reference twice in one transaction");
                }
                ops.all.push(op);
                continue;
            }
            let Some(number) = open.remove(&process) else {
                bail!("event {line}: process {process} completes what it has not begun");
            };
            if event.kind == Kind::Ok {
                let (swaps, _) = ops.changes(micro_ops);
                if ops.all.get(number).is_some_and(|op| op.swaps != swaps) {
                    bail!("event {line}: process {process} completes other changes than it has begun");
                }
            }
            let reads = if event.kind == Kind::Ok { ops.reads(micro_ops) } else { Vec::new() };
            if let Some(op) = ops.all.get_mut(number) {
                op.complete(position, event.kind, reads);
            }
        }
        Ok(ops)
    }

    fn begin(&mut self, process: u64, invoked: usize, micro_ops: &[MicroOp]) -> Op {
        let (swaps, reads) = self.changes(micro_ops);
        Op { process, invoked, completed: None, outcome: Outcome::Unknown, reads, swaps }
    }

    /// The changes, and what those read that change nothing.
    fn changes(&mut self, micro_ops: &[MicroOp]) -> (Vec<Swap>, Vec<(u32, Val)>) {
        let swaps = micro_ops.iter().filter_map(|micro_op| match micro_op {
            MicroOp::Swap { name, old, new } => {
                let mut value = |value: &Option<String>| value.as_ref().map_or(ABSENT, |text| self.values.of(text));
                let (old, new) = (value(old), value(new));
                Some(Swap { name: self.names.of(name), old, new })
            }
            MicroOp::Read { .. } => None,
        });
        // What changes nothing is a reading: it says what was there if it is acknowledged.
        let (swaps, same): (Vec<Swap>, Vec<Swap>) = swaps.partition(|swap: &Swap| swap.old != swap.new);
        let reads = same.into_iter().map(|swap| (swap.name, swap.old)).collect();
        (swaps, reads)
    }

    fn reads(&mut self, micro_ops: &[MicroOp]) -> Vec<(u32, Val)> {
        let mut reads = Vec::new();
        for micro_op in micro_ops {
            if let MicroOp::Read { name, value } = micro_op {
                let value = value.as_ref().map_or(ABSENT, |text| self.values.of(text));
                reads.push((self.names.of(name), value));
            }
        }
        reads
    }

    /// The name with this number.
    pub(crate) fn name(&self, number: u32) -> &str {
        self.names.text(number)
    }

    /// The value with this number, as messages have it.
    pub(crate) fn value(&self, number: Val) -> &str {
        if number == ABSENT { "absent" } else { self.values.text(number) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::parse_all;
    use super::*;

    #[test]
    fn what_belongs_together_is_paired() {
        let text = r#"
{"type":"invoke","process":1,"f":"txn","value":[["cas","a",null,"1"]]}
{"type":"invoke","process":2,"f":"txn","value":[["r","a",null]]}
{"type":"ok","process":2,"f":"txn","value":[["r","a","1"]]}
{"type":"info","process":1,"f":"txn","value":[["cas","a",null,"1"]]}
"#;
        let ops = Ops::of(&parse_all(text).unwrap()).unwrap();
        let [write, read] = ops.all.as_slice() else { panic!("{ops:?}") };
        assert_eq!((write.outcome, read.outcome), (Outcome::Unknown, Outcome::Ok));
        assert_eq!(read.reads, [(0, write.swaps[0].new)]);
        assert_eq!((read.invoked, read.over(), write.over()), (1, 2, usize::MAX));
    }

    #[test]
    fn a_process_does_one_thing_at_a_time() {
        let one = "{\"type\":\"invoke\",\"process\":1,\"f\":\"txn\",\"value\":[]}\n";
        assert!(Ops::of(&parse_all(&one.repeat(2)).unwrap()).is_err());
        assert!(Ops::of(&parse_all(&one.replace("invoke", "ok")).unwrap()).is_err());
    }
}
