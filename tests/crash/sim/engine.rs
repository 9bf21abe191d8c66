//! Crashes recordings everywhere, checks each distinct tree once, counts.
//!
//! Every instant of every recording is crashed. Up to a bound of states all choices of an instant
//! are tried, or if there are too many, many of them; behind the bound a few at each instant. What
//! is drawn is drawn by the seed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use super::check::{self, Broken, Cleaned, Found, State};
use super::nested::{self, Finding};
use super::persist::{Choices, Disk, Model};
use super::run::{GIT, Recording};
use super::scenarios::Scenario;
use super::story::Crash;
use super::world::{Entry, Pid, Tree};
use crate::support::Random;
use crate::support::effort::{bound, is_long};

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Up to so many choices of an instant are all tried.
    pub(crate) exhaustive: usize,
    /// How many to draw where there are more.
    pub(crate) samples: usize,
    /// From so many distinct states on only `beyond` choices of an instant are drawn, besides
    /// everything and nothing.
    pub(crate) most_states: usize,
    /// Zero ends it there.
    pub(crate) beyond: usize,
    /// Of so many instants behind that bound one is looked at.
    pub(crate) one_of: u64,
    /// Of so many states in as many as were seen so far, the finder is crashed as well.
    pub(crate) nested: u64,
    /// At so many of its instants, which are drawn if it has more.
    pub(crate) nested_instants: usize,
    /// Enough violations to know.
    pub(crate) most_violations: usize,
    /// What is drawn depends on this alone.
    pub(crate) seed: u64,
}

impl Effort {
    const SHORT: Effort = Effort {
        exhaustive: 1 << 7,
        samples: 30,
        most_states: 500,
        beyond: 2,
        one_of: 16,
        nested: 1,
        nested_instants: 2,
        most_violations: 10,
        seed: 1,
    };
    const USUAL: Effort = Effort {
        exhaustive: 1 << 12,
        samples: 400,
        most_states: 20_000,
        beyond: 4,
        one_of: 1,
        nested: 2,
        nested_instants: 4,
        ..Effort::SHORT
    };
    const LONG: Effort = Effort {
        exhaustive: 1 << 14,
        samples: 16_000,
        most_states: usize::MAX,
        beyond: 0,
        one_of: 1,
        nested: 50,
        nested_instants: usize::MAX,
        ..Effort::SHORT
    };

    /// What CI does; with `REFTABLE_CRASH_LONG=1` for a quarter of an hour. `REFTABLE_CRASH_SEED`
    /// draws others.
    pub(crate) fn usual() -> Effort {
        let seed = std::env::var("REFTABLE_CRASH_SEED").map_or(1, |seed| seed.parse().expect("the seed is a number"));
        Effort { seed, ..if is_longest() { Effort::LONG } else { Effort::USUAL } }
    }

    /// The same if tests may take their time, else a short one, and says so.
    pub(crate) fn as_allowed() -> Effort {
        let usual = Effort::usual();
        if is_longest() || is_long() {
            return usual;
        }
        let most_states =
            bound("states of a scenario before few are drawn", usual.most_states, Effort::SHORT.most_states);
        Effort { seed: usual.seed, most_states, ..Effort::SHORT }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.one_of > 1
    }
}

fn is_longest() -> bool {
    std::env::var_os("REFTABLE_CRASH_LONG").is_some_and(|value| value == "1")
}

/// A claim that does not hold, and the story of it.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) claim: char,
    pub(crate) model: Model,
    pub(crate) message: String,
    pub(crate) story: String,
    /// Shorter stories are better: changes until the crash, then how much the crash destroyed.
    pub(crate) length: (usize, usize),
}

/// What was looked at.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) recordings: usize,
    /// Instants with distinct disks, and those among them whose states were drawn: because there
    /// were too many at this instant, or in all.
    pub(crate) instants: usize,
    pub(crate) sampled: usize,
    pub(crate) beyond: usize,
    /// Choices, and distinct trees with what was expected of them.
    pub(crate) choices: usize,
    pub(crate) states: usize,
    /// Finders of states that were crashed as well, and the choices that made.
    pub(crate) finders: usize,
    pub(crate) nested: usize,
    /// States in which tables were left of which nothing is proven.
    pub(crate) kept: usize,
    pub(crate) time: Duration,
    pub(crate) violations: Vec<Violation>,
}

impl Tally {
    pub(crate) fn shortest(&self) -> Option<&Violation> {
        self.violations.iter().min_by_key(|violation| violation.length)
    }

    /// The shortest of those that break one of these claims.
    pub(crate) fn shortest_of(&self, claims: &str) -> Option<&Violation> {
        let broken = self.violations.iter().filter(|violation| claims.contains(violation.claim));
        broken.min_by_key(|violation| violation.length)
    }
}

/// Looks at the recordings of one scenario under one model.
pub(crate) struct Engine<'a> {
    scenario: &'a str,
    model: Model,
    effort: Effort,
    disks: HashSet<u64>,
    states: HashSet<u64>,
    random: Random,
    /// How finders are crashed. Empty: not at all.
    then: &'a [Model],
    nested_random: Random,
    tally: Tally,
    start: Instant,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(scenario: &'a str, model: Model, effort: Effort) -> Engine<'a> {
        let (disks, states, tally) = (HashSet::new(), HashSet::new(), Tally::default());
        let (random, nested_random) = (Random(effort.seed), Random(effort.seed ^ 1 << 40));
        let start = Instant::now();
        Engine { scenario, model, effort, disks, states, random, then: &[], nested_random, tally, start }
    }

    /// Crashes those who find the states as well, in these ways.
    pub(crate) fn then(self, then: &'a [Model]) -> Engine<'a> {
        Engine { then, ..self }
    }

    pub(crate) fn finish(mut self) -> Tally {
        self.tally.states = self.states.len();
        self.tally.time = self.start.elapsed();
        self.tally
    }

    /// Whether it has seen enough: no recording will change what it says.
    fn is_done(&self) -> bool {
        self.tally.violations.len() >= self.effort.most_violations || self.is_full() && self.effort.beyond == 0
    }

    fn is_full(&self) -> bool {
        self.states.len() >= self.effort.most_states
    }

    /// Crashes a recording at every instant.
    pub(crate) fn explore(&mut self, recording: &Recording) {
        self.tally.recordings += 1;
        if self.model == Model::Kill {
            self.report_live(recording);
        }
        let mut disk = Disk::synced(&recording.base);
        for instant in 0..=recording.log.len() {
            if self.is_done() {
                return;
            }
            let (log, rest) = recording.log.split_at(instant);
            let acknowledged = log.last().map_or(0, |last| last.acknowledged);
            let is_passed = self.is_full() && self.effort.one_of > 1 && self.random.below(self.effort.one_of) > 0;
            if acknowledged >= recording.least_acknowledged && !is_passed {
                self.crash(&disk, log, recording);
            }
            if let Some(entry) = rest.first() {
                disk.apply(instant, &entry.op);
            }
        }
    }

    /// What broke while the recording was made.
    fn report_live(&mut self, recording: &Recording) {
        for (changes, Broken { claim, message }) in &recording.broken {
            let (log, _) = recording.log.split_at((*changes).min(recording.log.len()));
            let mut disk = Disk::synced(&recording.base);
            log.iter().enumerate().for_each(|(number, entry)| disk.apply(number, &entry.op));
            let choices = disk.choices(Model::Kill);
            self.report(
                &choices,
                &[],
                log,
                &Broken { claim: *claim, message: format!("nobody is killed yet: {message}") },
            );
        }
    }

    fn crash(&mut self, disk: &Disk, log: &[Entry], recording: &Recording) {
        let (acknowledged, newest) = log.last().map_or((0, 0), |last| (last.acknowledged, last.published));
        let is_mended = acknowledged > 0;
        // Without a loss of power nothing that was published goes away again.
        let oldest = if self.model == Model::Kill { newest } else { acknowledged };
        // Whoever repairs a store may bring back what nobody could see.
        let newest = if recording.damage.is_some() { recording.history.len() - 1 } else { newest };
        let allowed = &recording.history[oldest..=newest];
        let is_power_lost = self.model != Model::Kill;
        let boot = recording.boot + u64::from(is_power_lost);
        let found = Found {
            allowed,
            boot,
            is_power_lost,
            damage: recording.damage.as_ref(),
            is_mended,
            must_stay: &recording.must_stay,
            may_leave_tables: recording.may_leave_tables,
        };
        let mut hasher = DefaultHasher::new();
        allowed.iter().for_each(|state| state.hash.hash(&mut hasher));
        let expectation = hasher.finish();
        if !self.disks.insert(disk.fingerprint() ^ expectation.rotate_left(1)) {
            return;
        }
        self.tally.instants += 1;
        let choices = disk.choices(self.model);
        let radices = choices.radices();
        let count = radices.iter().try_fold(1usize, |all, radix| all.checked_mul(*radix)).unwrap_or(usize::MAX);
        let (Effort { exhaustive, samples, beyond, .. }, is_full) = (self.effort, self.is_full());
        let mut random = self.random.clone();
        let mut visit = |digits: &[usize]| {
            self.tally.choices += 1;
            let hash = choices.hash(digits) ^ expectation.rotate_left(1);
            if self.is_done() || !self.states.insert(hash) {
                return;
            }
            let tree = choices.tree(digits);
            match check::reopen(&tree, &found) {
                Ok(Cleaned::All) => {}
                Ok(Cleaned::ButForTables) => self.tally.kept += 1,
                Err(found) => return self.report(&choices, digits, log, &found),
            }
            let may_be_lost = &recording.history[acknowledged..=newest];
            self.crash_finder(tree, (disk, log), &found, may_be_lost);
        };
        if count <= if is_full { beyond } else { exhaustive } {
            enumerate(&radices, &mut visit);
            return;
        }
        if is_full {
            ends(&radices).iter().for_each(|end| visit(end));
            draw(&radices, beyond, &mut random, &mut visit);
            self.tally.beyond += 1;
        } else {
            corners(&radices, &mut visit);
            draw(&radices, samples, &mut random, &mut visit);
            self.tally.sampled += 1;
        }
        self.random = random;
    }

    /// Crashes who finds this tree on this disk, if that is due.
    fn crash_finder(&mut self, tree: Tree, (disk, log): (&Disk, &[Entry]), found: &Found<'_>, may_be_lost: &[State]) {
        let is_due = self.nested_random.below(self.states.len().max(1) as u64) < self.effort.nested;
        if self.then.is_empty() || !is_due || !nested::applies_to(&tree, found) {
            return;
        }
        self.tally.finders += 1;
        // What a loss of power has left is all on the disk, and a new story begins; after a kill
        // the same may still be lost as before.
        let (disk, log, may_be_lost) = if found.is_power_lost {
            (&Disk::synced(&tree), &[][..], &[][..])
        } else {
            (&disk.numbered_as(&tree), log, may_be_lost)
        };
        let finding = match Finding::make(&tree, found, may_be_lost, disk.next_file()) {
            Ok(finding) => finding,
            Err(broken) => {
                let choices = disk.choices(Model::Kill);
                return self.report(&choices, &ends(&choices.radices())[0], log, &broken);
            }
        };
        let mut random = self.nested_random.clone();
        let (instants, most) = (finding.instants(), self.effort.nested_instants);
        for turn in 0..instants.min(most) {
            let instant = if instants <= most { turn } else { random.below(instants as u64) as usize };
            for &model in self.then {
                let mut report = |choices: &Choices<'_>, digits: &[usize], log: &[Entry], found: &Broken| {
                    self.report(choices, digits, log, found);
                };
                let (seen, kept) = finding.crash((disk, log), (instant, model), found, &mut random, &mut report);
                self.tally.nested += seen;
                self.tally.kept += kept;
            }
        }
        self.nested_random = random;
    }

    fn report(&mut self, choices: &Choices<'_>, digits: &[usize], log: &[Entry], found: &Broken) {
        let lost = digits.iter().zip(choices.radices()).filter(|(digit, radix)| **digit + 1 < *radix).count();
        let tree = choices.tree(digits);
        let seed = self.effort.seed;
        let finding = format!("claim {} is broken: {} (seed {seed})", found.claim, found.message);
        let (scenario, model, finding) = (self.scenario, self.model, finding.as_str());
        let crash = Crash { scenario, model, log, choices, digits, tree: &tree, finding, names: &name_of };
        let (claim, message, story) = (found.claim, found.message.clone(), crash.tell());
        self.tally.violations.push(Violation { claim, model, message, story, length: (log.len(), lost) });
    }
}

/// Looks at a scenario under these models, and at each recording under all of them, until one of
/// them has a violation or all have seen enough. Returns what each has seen.
pub(crate) fn explore_until_broken(scenario: &Scenario, mut engines: Vec<Engine<'_>>) -> Vec<Tally> {
    /// Unwinds out of the scenario, which would make recordings to its end.
    struct Enough;
    let recorded = panic::catch_unwind(AssertUnwindSafe(|| {
        (scenario.record)(&mut |recording| {
            let is_broken = engines.iter_mut().any(|engine| {
                engine.explore(&recording);
                !engine.tally.violations.is_empty()
            });
            if is_broken || engines.iter().all(Engine::is_done) {
                panic::resume_unwind(Box::new(Enough));
            }
        });
    }));
    if let Some(other) = recorded.err().filter(|payload| !payload.is::<Enough>()) {
        panic::resume_unwind(other);
    }
    engines.into_iter().map(Engine::finish).collect()
}

fn name_of(pid: Pid) -> String {
    if pid >= GIT { "git".to_owned() } else { format!("P{pid}") }
}

/// All choices, from everything to nothing.
fn enumerate(radices: &[usize], visit: &mut dyn FnMut(&[usize])) {
    let mut digits: Vec<usize> = radices.iter().map(|radix| radix - 1).collect();
    loop {
        visit(&digits);
        let Some(position) = digits.iter().position(|digit| *digit > 0) else { return };
        digits[position] -= 1;
        for (digit, radix) in digits.iter_mut().zip(radices).take(position) {
            *digit = radix - 1;
        }
    }
}

/// Everything, and nothing.
pub(super) fn ends(radices: &[usize]) -> [Vec<usize>; 2] {
    [radices.iter().map(|radix| radix - 1).collect(), vec![0; radices.len()]]
}

/// Everything, nothing; everything but one thing, nothing but one thing.
fn corners(radices: &[usize], visit: &mut dyn FnMut(&[usize])) {
    for end in ends(radices) {
        visit(&end);
        for (position, radix) in radices.iter().enumerate() {
            let mut digits = end.clone();
            (0..*radix).for_each(|digit| {
                digits[position] = digit;
                visit(&digits);
            });
        }
    }
}

/// Choices by chance.
pub(super) fn draw(radices: &[usize], count: usize, random: &mut Random, visit: &mut dyn FnMut(&[usize])) {
    for _ in 0..count {
        let digits: Vec<usize> = radices.iter().map(|radix| random.below(*radix as u64) as usize).collect();
        visit(&digits);
    }
}
