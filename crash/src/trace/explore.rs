//! Has the crash states of a recording judged, claim by claim.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;

use super::claims::{Claim, Milestones, quoted};
use super::judge::Judge;
use super::record::Recording;
use crate::{Broken, Disk, Effort, Entry, Explorer, Found, Model, Op, Story};

/// The states that break one claim.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BrokenStates {
    /// How many they are.
    pub states: usize,
    /// How many changes were made before the crash with the shortest story.
    pub changes: usize,
    /// How many things that crash has destroyed.
    pub lost: usize,
    /// What was found there.
    pub finding: String,
    /// What was done, what of it survived, and what was found.
    pub story: String,
}

/// What was looked at under one model, and what was found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Verdict {
    /// What a crash could destroy.
    pub model: Model,
    /// Instants with different disks.
    pub instants: usize,
    /// Instants of which some states only were built, drawn by the seed.
    pub sampled: usize,
    /// States that differ, or that differ in what is expected of them.
    pub states: usize,
    /// The claims that do not hold.
    pub broken: BTreeMap<Claim, BrokenStates>,
}

/// Whether those who judge can: of the start, where nothing was done yet, the judge prints the same
/// each time, and the next command succeeds. Else every state would seem broken.
fn is_fit(disk: &Disk, judge: &mut Judge) -> io::Result<()> {
    let choices = disk.choices(Model::Kill);
    let fingerprint = choices.hash(&[]);
    let first = judge.look(fingerprint, || choices.tree(&[]))?;
    if first.judge.code != Some(0) {
        return Ok(()); // That is told with what it says.
    }
    if let Some(then) = first.then.filter(|then| then.code != Some(0)) {
        let what = format!("the command of --then fails before anything has crashed: it {then}");
        return Err(io::Error::other(what));
    }
    judge.forget(fingerprint);
    let again = judge.look(fingerprint, || choices.tree(&[]))?;
    if again.judge.output != first.judge.output {
        let (one, two) = (quoted(&first.judge.output), quoted(&again.judge.output));
        let what = format!("the judge reads one and the same state differently:{one}\n    and then:{two}");
        return Err(io::Error::other(what));
    }
    Ok(())
}

/// A recorded run, with what the judge says of it where nothing has crashed.
#[derive(Debug)]
pub(super) struct Run<'a> {
    recording: &'a Recording,
    milestones: Milestones,
}

impl<'a> Run<'a> {
    /// Has the start, each acknowledgement and the end judged.
    ///
    /// # Errors
    ///
    /// The judge fails there: it could not tell a crash from that.
    pub(super) fn new(recording: &'a Recording, judge: &mut Judge) -> io::Result<Run<'a>> {
        let mut disk = Disk::synced(&recording.before);
        is_fit(&disk, judge)?;
        let mut said = Vec::new();
        let mut ask = |disk: &Disk, when: &str| {
            let choices = disk.choices(Model::Kill);
            let found = judge.look(choices.hash(&[]), || choices.tree(&[]))?.judge;
            if found.code != Some(0) {
                let what = format!("the judge fails {when}, where nothing has crashed: it {found}");
                return Err(io::Error::other(what));
            }
            said.push(found);
            Ok(())
        };
        ask(&disk, "before the command")?;
        for entry in &recording.log {
            disk.apply(&entry.op).map_err(io::Error::other)?;
            if is_acknowledgement(entry) {
                ask(&disk, "at an acknowledgement")?;
            }
        }
        ask(&disk, "after the command")?;
        Ok(Run { recording, milestones: Milestones(said) })
    }

    /// Whether the judge sees a difference between the start and the end.
    pub(super) fn changes_something(&self) -> bool {
        let said = &self.milestones.0;
        said.first().map(|said| &said.output) != said.last().map(|said| &said.output)
    }

    /// Crashes the run at every instant. `progress` is told how many operations are done.
    pub(super) fn crash(
        &self,
        model: Model,
        effort: Effort,
        judge: &mut Judge,
        progress: &mut dyn FnMut(usize),
    ) -> io::Result<Verdict> {
        let heard = RefCell::new(Heard { judge, progress, broken: BTreeMap::new(), error: None });
        let mut explorer = Explorer::new("traced", model, effort);
        explorer.explore((&self.recording.before, &self.recording.log, 0), &Asking { run: self, heard: &heard });
        let tally = explorer.finish();
        let Heard { broken, error, .. } = heard.into_inner();
        match (error, tally.violations.first()) {
            (Some(error), _) => Err(error),
            (None, Some(violation)) => Err(io::Error::other(violation.message.clone())),
            (None, None) => {
                let (instants, sampled) = (tally.instants, tally.sampled.saturating_add(tally.beyond));
                Ok(Verdict { model, instants, sampled, states: tally.states, broken })
            }
        }
    }

    /// The newest milestone that was told of before this: the command tells by its end, too.
    fn acknowledged(&self, log: &[Entry]) -> usize {
        if log.len() == self.recording.log.len() {
            return self.milestones.0.len().saturating_sub(1);
        }
        log.iter().filter(|entry| is_acknowledgement(entry)).count()
    }
}

fn is_acknowledgement(entry: &Entry) -> bool {
    matches!(entry.op, Op::Acknowledge { .. })
}

/// Crashes under one model, so far.
struct Heard<'a> {
    judge: &'a mut Judge,
    progress: &'a mut dyn FnMut(usize),
    broken: BTreeMap<Claim, BrokenStates>,
    /// Why nothing more was asked.
    error: Option<io::Error>,
}

/// All claims of a state are judged, and each is counted alone: so none ends the exploration.
struct Asking<'h, 'a, 'r> {
    run: &'h Run<'r>,
    heard: &'h RefCell<Heard<'a>>,
}

impl crate::Claims for Asking<'_, '_, '_> {
    fn expects(&self, log: &[Entry], _: Model) -> Option<u64> {
        let mut heard = self.heard.borrow_mut();
        (heard.progress)(log.len());
        heard.error.is_none().then(|| self.run.acknowledged(log) as u64)
    }

    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let mut heard = self.heard.borrow_mut();
        match heard.judge.look(found.choices.hash(found.choice), || found.tree.clone()) {
            Ok(findings) => {
                let acknowledged = self.run.acknowledged(found.log);
                for (claim, finding) in self.run.milestones.broken(acknowledged, &findings) {
                    note(&mut heard.broken, claim, &finding, found, &self.run.recording.names);
                }
            }
            Err(error) => heard.error = Some(error),
        }
        Ok(())
    }
}

/// Counts a broken claim, and keeps the shortest story.
fn note(
    broken: &mut BTreeMap<Claim, BrokenStates>,
    claim: Claim,
    finding: &str,
    found: &Found<'_>,
    names: &BTreeMap<u32, String>,
) {
    let lost = found.choices.lost(found.choice);
    let changes = found.log.len();
    let states = broken.get(&claim).map_or(0, |broken| broken.states);
    if broken.get(&claim).is_none_or(|other| (changes, lost) < (other.changes, other.lost)) {
        let name = |pid| names.get(&pid).cloned().unwrap_or_default();
        let Found { log, model, choices, choice, .. } = *found;
        let story = Story { title: &claim.to_string(), model, log, choices, choice, finding, names: &name }.tell();
        broken.insert(claim, BrokenStates { states, changes, lost, finding: finding.to_owned(), story });
    }
    if let Some(broken) = broken.get_mut(&claim) {
        broken.states = states.saturating_add(1);
    }
}
