//! What a store is held to, and what was found.

use std::collections::BTreeSet;

use serde::Serialize;

use super::event::{Event, MicroOp, What};

/// What may be promised of a store of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Claim {
    /// What was acknowledged is there, and stays.
    Kept,
    /// All of a transaction is there, or nothing.
    Whole,
    /// One order that agrees with real time explains all that was read.
    Ordered,
    /// What was refused has changed nothing, and nothing is there that nobody wrote.
    Honest,
    /// The store can be read, and all who read it read the same.
    Sound,
    /// Whatever is killed, the others go on.
    GoesOn,
}

impl Claim {
    pub(crate) const ALL: [Claim; 6] =
        [Claim::Kept, Claim::Whole, Claim::Ordered, Claim::Honest, Claim::Sound, Claim::GoesOn];

    /// As it is printed.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Claim::Kept => "acknowledged stays",
            Claim::Whole => "all or nothing",
            Claim::Ordered => "one order",
            Claim::Honest => "refused is not there",
            Claim::Sound => "readable, all agree",
            Claim::GoesOn => "others go on",
        }
    }
}

/// Something that contradicts a claim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// What it contradicts.
    pub(crate) claim: Claim,
    /// In words.
    pub(crate) what: String,
    /// The lines of the history that show it, counted from 0; none for what is not in a history.
    pub(crate) events: Vec<usize>,
}

impl Finding {
    /// The lines that show it, with nothing in them but the references that matter: as short as a
    /// history of it can be.
    pub(crate) fn excerpt(&self, events: &[Event]) -> Vec<String> {
        let shown = || self.events.iter().filter_map(|at| Some((*at, events.get(*at)?)));
        let micro_ops = shown().filter_map(|(_, event)| event.transaction()).flatten();
        let changed: BTreeSet<&str> =
            micro_ops.filter(|op| matches!(op, MicroOp::Swap { .. })).map(MicroOp::name).collect();
        let matters = |op: &&MicroOp| changed.contains(op.name()) || self.what.contains(op.name());
        let line = |(at, event): (usize, &Event)| {
            let mut event = event.clone();
            if let What::Transaction(micro_ops) = &mut event.what {
                *micro_ops = micro_ops.iter().filter(matters).cloned().collect();
            }
            event.to_line(at as u64).ok()
        };
        shown().filter_map(line).collect()
    }
}

/// How many findings of a claim are told in full.
const SHOWN: usize = 5;

/// What was found of one claim.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    /// The claim.
    pub(crate) claim: Claim,
    /// How much there was to judge by. With 0 nothing is said.
    pub(crate) looked_at: u64,
    /// How often it was broken.
    pub(crate) broken: u64,
    /// The first of them.
    pub(crate) findings: Vec<Finding>,
}

/// What was found of all claims.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Verdict {
    /// In the order of [`Claim::ALL`].
    pub(crate) claims: Vec<Judged>,
}

impl Default for Verdict {
    fn default() -> Verdict {
        let judged = |claim| Judged { claim, looked_at: 0, broken: 0, findings: Vec::new() };
        Verdict { claims: Claim::ALL.map(judged).into() }
    }
}

impl Verdict {
    fn of(&mut self, claim: Claim) -> Option<&mut Judged> {
        self.claims.iter_mut().find(|judged| judged.claim == claim)
    }

    /// Says that there was so much more to judge a claim by.
    pub(crate) fn looked_at(&mut self, claim: Claim, count: usize) {
        if let Some(judged) = self.of(claim) {
            judged.looked_at += count as u64;
        }
    }

    /// Adds what contradicts a claim.
    pub(crate) fn add(&mut self, finding: Finding) {
        if let Some(judged) = self.of(finding.claim) {
            judged.broken += 1;
            if judged.findings.len() < SHOWN {
                judged.findings.push(finding);
            }
        }
    }

    /// Adds what is not in a history.
    pub(crate) fn broken(&mut self, claim: Claim, what: impl Into<String>) {
        self.add(Finding { claim, what: what.into(), events: Vec::new() });
    }

    /// Adds what was found elsewhere.
    pub(crate) fn join(&mut self, other: Verdict) {
        for (mine, theirs) in self.claims.iter_mut().zip(other.claims) {
            mine.looked_at += theirs.looked_at;
            mine.broken += theirs.broken;
            let room = SHOWN.saturating_sub(mine.findings.len());
            mine.findings.extend(theirs.findings.into_iter().take(room));
        }
    }

    /// How many findings there are.
    pub(crate) fn count(&self) -> u64 {
        self.claims.iter().map(|judged| judged.broken).sum()
    }
}
