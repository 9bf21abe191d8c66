//! Crashes recordings everywhere, judges each distinct tree once, counts.
//!
//! Every instant of every recording is crashed. Up to a bound of states all choices of an instant
//! are tried, or if there are too many, many of them; beyond the bound a few at each instant. What
//! is drawn is drawn by the seed.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::claims::{Broken, Claims, FINDER, Found, Protocol};
use crate::disk::{Bounds, Choices, Disk, Kinds, Looked};
use crate::machine::Machine;
use crate::model::Model;
use crate::op::{Entry, Pid};
use crate::random::Random;
use crate::story::Story;
use crate::tree::Tree;

/// How hard to look. There may be more of it one day: begin with `..Effort::default()`.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Up to so many choices of an instant are all tried.
    pub exhaustive: usize,
    /// How many to draw where there are more.
    pub samples: usize,
    /// From so many distinct states on only `beyond` choices of an instant are drawn, besides
    /// everything and nothing.
    pub most_states: usize,
    /// Zero ends it there.
    pub beyond: usize,
    /// Of so many instants beyond that bound one is looked at.
    pub one_of: u64,
    /// Of so many states in as many as were seen so far, the finder is crashed as well.
    pub nested: u64,
    /// At so many of its instants, which are drawn if it has more.
    pub nested_instants: usize,
    /// Enough violations to know.
    pub most_violations: usize,
    /// What is drawn depends on this alone.
    pub seed: u64,
}

impl Default for Effort {
    /// Some 20,000 states: seconds, if one is judged in a tenth of a millisecond.
    fn default() -> Effort {
        Effort {
            exhaustive: 1 << 12,
            samples: 400,
            most_states: 20_000,
            beyond: 4,
            one_of: 1,
            nested: 2,
            nested_instants: 4,
            most_violations: 10,
            seed: 1,
        }
    }
}

/// A claim that does not hold, and the story of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Violation {
    /// Which claim.
    pub claim: char,
    /// What the crash was.
    pub model: Model,
    /// How it is broken.
    pub message: String,
    /// What led to it, a change a line.
    pub story: String,
    /// Shorter stories are better: changes until the crash, then how much the crash destroyed.
    pub length: (usize, usize),
}

/// What was looked at.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Runs that were crashed.
    pub recordings: usize,
    /// Instants with distinct disks.
    pub instants: usize,
    /// Those among them whose states were drawn, because there were too many at this instant.
    pub sampled: usize,
    /// Those whose states were drawn because there were too many in all.
    pub beyond: usize,
    /// Choices of what survives that were looked at, at all instants.
    pub choices: usize,
    /// Distinct trees with what was expected of them.
    pub states: usize,
    /// Finders of states that were crashed as well.
    pub finders: usize,
    /// The choices that made.
    pub nested: usize,
    /// How long it took.
    pub time: Duration,
    /// What does not hold.
    pub violations: Vec<Violation>,
}

impl Tally {
    /// The violation with the shortest story.
    #[must_use]
    pub fn shortest(&self) -> Option<&Violation> {
        self.violations.iter().min_by_key(|violation| violation.length)
    }

    /// The shortest of those that break one of these claims.
    #[must_use]
    pub fn shortest_of(&self, claims: &str) -> Option<&Violation> {
        let broken = self.violations.iter().filter(|violation| claims.contains(violation.claim));
        broken.min_by_key(|violation| violation.length)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { instants, sampled, beyond, choices, states, nested, .. } = self;
        let found = self.violations.len();
        write!(f, "{states} states of {instants} instants ({choices} choices")?;
        if sampled + beyond > 0 {
            write!(f, ", drawn at {}", sampled + beyond)?;
        }
        if *nested > 0 {
            write!(f, "; {nested} more of those who found them")?;
        }
        write!(f, "), {found} violations")
    }
}

/// Looks at recordings under one model. A tree that was judged is not judged again, whichever
/// recording it is found in, unless something else is expected of it.
pub struct Explorer<'a> {
    title: &'a str,
    model: Model,
    effort: Effort,
    kinds: Kinds,
    names: fn(Pid) -> String,
    disks: HashSet<u64>,
    states: HashSet<u64>,
    random: Random,
    nested_random: Random,
    tally: Tally,
    start: Instant,
}

impl fmt::Debug for Explorer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explorer").field("title", &self.title).field("model", &self.model).finish_non_exhaustive()
    }
}

/// An instant of a recording.
#[derive(Clone, Copy)]
struct At<'a> {
    disk: &'a Disk,
    log: &'a [Entry],
    /// What is expected, as a number.
    expected: u64,
    /// The run of the machine that finds it.
    boot: u64,
}

impl<'a> Explorer<'a> {
    /// Begins to look. The title is what stories begin with.
    #[must_use]
    pub fn new(title: &'a str, model: Model, effort: Effort) -> Explorer<'a> {
        Explorer {
            title,
            model,
            effort,
            kinds: |_| 0,
            names: |pid| format!("P{pid}"),
            disks: HashSet::new(),
            states: HashSet::new(),
            random: Random::new(effort.seed),
            nested_random: Random::new(effort.seed ^ 1 << 40),
            tally: Tally::default(),
            start: Instant::now(),
        }
    }

    /// The same on disks with several kinds of files: see [`Kinds`].
    #[must_use]
    pub fn with_kinds(self, kinds: Kinds) -> Explorer<'a> {
        Explorer { kinds, ..self }
    }

    /// The same with other names for processes in stories.
    #[must_use]
    pub fn with_names(self, names: fn(Pid) -> String) -> Explorer<'a> {
        Explorer { names, ..self }
    }

    /// What was seen.
    #[must_use]
    pub fn finish(mut self) -> Tally {
        self.tally.states = self.states.len();
        self.tally.time = self.start.elapsed();
        self.tally
    }

    /// What does not hold, so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.tally.violations
    }

    /// Whether it has seen enough: no recording will change what it says.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.tally.violations.len() >= self.effort.most_violations || self.is_full() && self.effort.beyond == 0
    }

    fn is_full(&self) -> bool {
        self.states.len() >= self.effort.most_states
    }

    /// Crashes a run at every instant: these changes, made on this tree in the `boot`th run of the
    /// machine. If the log does not fit the tree, nothing after the first change that does not is
    /// looked at, and that is a violation of claim `?`.
    pub fn explore(&mut self, (base, log, boot): (&Tree, &[Entry], u64), claims: &dyn Claims) {
        self.tally.recordings = self.tally.recordings.saturating_add(1);
        let boot = boot.saturating_add(u64::from(self.model.loses_power()));
        let mut disk = Disk::synced(base).with_kinds(self.kinds);
        for instant in 0..=log.len() {
            if self.is_done() {
                return;
            }
            let Some((before, rest)) = log.split_at_checked(instant) else { return };
            let is_passed = self.is_full() && self.effort.one_of > 1 && self.random.below(self.effort.one_of) > 0;
            if let Some(expected) = claims.expects(before, self.model).filter(|_| !is_passed) {
                self.crash(At { disk: &disk, log: before, expected, boot }, claims);
            }
            let Some(Err(error)) = rest.first().map(|entry| disk.apply(&entry.op)) else { continue };
            return self.report(&disk.choices(Model::Kill), &[], before, &Broken::new('?', error.to_string()));
        }
    }

    /// Reports what broke while a run was made, after these changes.
    pub fn report_live(&mut self, base: &Tree, log: &[Entry], broken: &Broken) {
        let mut disk = Disk::synced(base);
        let fits = log.iter().all(|entry| disk.apply(&entry.op).is_ok());
        let message =
            format!("nobody is killed yet: {}{}", broken.message, if fits { "" } else { " (the log is damaged)" });
        self.report(&disk.choices(Model::Kill), &[], log, &Broken::new(broken.claim, message));
    }

    fn crash(&mut self, at: At<'_>, claims: &dyn Claims) {
        let expected = at.expected.rotate_left(1);
        if !self.disks.insert(at.disk.fingerprint() ^ expected) {
            return;
        }
        self.tally.instants = self.tally.instants.saturating_add(1);
        let choices = at.disk.choices(self.model);
        let (Effort { exhaustive, samples, beyond, .. }, is_full) = (self.effort, self.is_full());
        let mut random = self.random.clone();
        let mut visit = |choice: &[usize]| {
            self.tally.choices = self.tally.choices.saturating_add(1);
            if self.is_done() || !self.states.insert(choices.hash(choice) ^ expected) {
                return;
            }
            self.judge(&choices, choice, at, claims);
        };
        let most = if is_full { beyond } else { exhaustive };
        if !is_full || choices.count().is_some_and(|count| count <= most) {
            if choices.each(Bounds::new(most, samples), &mut random, &mut visit) == Looked::AtSome {
                self.tally.sampled = self.tally.sampled.saturating_add(1);
            }
        } else {
            choices.ends().iter().for_each(|end| visit(end));
            choices.draw(beyond, &mut random, &mut visit);
            self.tally.beyond = self.tally.beyond.saturating_add(1);
        }
        self.random = random;
    }

    fn judge(&mut self, choices: &Choices<'_>, choice: &[usize], at: At<'_>, claims: &dyn Claims) {
        let (tree, At { disk, log, boot, .. }) = (choices.tree(choice), at);
        let machine = Machine::in_boot(tree.clone(), boot);
        machine.number_files_from(disk.next_file());
        let recovered = claims.recover(&machine.process(FINDER));
        let recovery = machine.log();
        let found = Found {
            tree: &tree,
            log,
            model: self.model,
            disk,
            choices,
            choice,
            states: self.states.len(),
            machine: &machine,
        };
        if let Err(broken) = recovered.and_then(|()| claims.judge(&found)) {
            return self.report(choices, choice, log, &broken);
        }
        if !recovery.is_empty() {
            self.crash_finder(&tree, at, &recovery, claims);
        }
    }

    /// Crashes who found this tree, if that is due: it has done this to recover it.
    fn crash_finder(&mut self, tree: &Tree, at: At<'_>, recovery: &[Entry], claims: &dyn Claims) {
        let seen = u64::try_from(self.states.len().max(1)).unwrap_or(u64::MAX);
        if self.nested_random.below(seen) >= self.effort.nested {
            return;
        }
        self.tally.finders = self.tally.finders.saturating_add(1);
        let (instants, most) = (recovery.len().saturating_add(1), self.effort.nested_instants);
        for turn in 0..instants.min(most) {
            let drawn = |random: &mut Random| usize::try_from(random.below(instants as u64)).unwrap_or(0);
            let instant = if instants <= most { turn } else { drawn(&mut self.nested_random) };
            let Some(done) = recovery.get(..instant) else { continue };
            for model in [Model::Kill, self.model] {
                self.crash_again((tree, done, model), at, claims);
            }
        }
    }

    /// Crashes who found this tree after so much, and judges what that leaves.
    fn crash_again(&mut self, (tree, done, model): (&Tree, &[Entry], Model), at: At<'_>, claims: &dyn Claims) {
        // What a power failure has left is all on the disk; after a kill the same may still be lost
        // as before.
        let mut disk = if self.model.loses_power() { Disk::synced(tree) } else { at.disk.numbered_as(tree) };
        if done.iter().any(|entry| disk.apply(&entry.op).is_err()) {
            return;
        }
        let choices = disk.choices(model);
        let boot = at.boot.saturating_add(u64::from(model.loses_power()));
        let mut random = self.nested_random.clone();
        choices.each(Bounds::new(8, 2), &mut random, &mut |choice| {
            self.tally.nested = self.tally.nested.saturating_add(1);
            let left = choices.tree(choice);
            let machine = Machine::in_boot(left.clone(), boot);
            let found = Found {
                tree: &left,
                log: at.log,
                model,
                disk: &disk,
                choices: &choices,
                choice,
                states: self.states.len(),
                machine: &machine,
            };
            let recovered = claims.recover(&machine.process(FINDER));
            if let Err(Broken { claim, message, .. }) = recovered.and_then(|()| claims.judge(&found)) {
                let message = format!("who found the first crash, P{FINDER}, crashed as well: {message}");
                self.report(&choices, choice, done, &Broken::new(claim, message));
            }
        });
        self.nested_random = random;
    }

    fn report(&mut self, choices: &Choices<'_>, choice: &[usize], log: &[Entry], found: &Broken) {
        let lost = choices.lost(choice);
        let (model, names) = (self.model, &self.names);
        let (story, length) = found.story.clone().unwrap_or_else(|| {
            let finding = format!("{found} (seed {})", self.effort.seed);
            let story = Story { title: self.title, model, log, choices, choice, finding: &finding, names };
            (story.tell(), (log.len(), lost))
        });
        let (claim, message) = (found.claim, found.message.clone());
        self.tally.violations.push(Violation { claim, model, message, story, length });
    }
}

/// Runs a protocol alone on a disk that holds `base`, crashes it at every instant, and judges what
/// that leaves.
///
/// # Errors
///
/// If the protocol itself fails, with nobody in its way.
pub fn explore(
    title: &str,
    base: &Tree,
    protocol: &dyn Protocol,
    claims: &dyn Claims,
    (model, effort): (Model, Effort),
) -> io::Result<Tally> {
    let machine = Machine::new(base.clone());
    protocol.run(&machine.process(1))?;
    let mut explorer = Explorer::new(title, model, effort);
    explorer.explore((base, &machine.log(), machine.boot()), claims);
    Ok(explorer.finish())
}
