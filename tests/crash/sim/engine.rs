//! The recordings of this store under `reftable-crash`'s explorer: what is expected of each
//! instant, which process finds it, and how hard to look.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};

use reftable_crash::{Claims, Disk, Entry, Explorer, Found as Crash, Model, Pid, Random, Story};

use super::check::{self, Broken, Cleaned, Found, State};
use super::nested::{self, Finding};
use super::run::{GIT, Recording};
use super::scenarios::Scenario;
use super::world::{kinds, synced};
use crate::support::effort::{bound, is_long};

pub(crate) use reftable_crash::Effort;

fn short() -> Effort {
    Effort {
        exhaustive: 1 << 7,
        samples: 30,
        most_states: 500,
        beyond: 2,
        one_of: 16,
        nested: 1,
        nested_instants: 2,
        ..Effort::default()
    }
}

fn long() -> Effort {
    Effort {
        exhaustive: 1 << 14,
        samples: 16_000,
        most_states: usize::MAX,
        beyond: 0,
        nested: 50,
        nested_instants: usize::MAX,
        ..Effort::default()
    }
}

/// What CI does; with `REFTABLE_CRASH_LONG=1` for a quarter of an hour. `REFTABLE_CRASH_SEED`
/// draws others.
pub(crate) fn usual() -> Effort {
    let seed = std::env::var("REFTABLE_CRASH_SEED").map_or(1, |seed| seed.parse().expect("the seed is a number"));
    Effort { seed, ..if is_longest() { long() } else { Effort::default() } }
}

/// The same if tests may take their time, else a short one, and says so.
pub(crate) fn as_allowed() -> Effort {
    let usual = usual();
    if is_longest() || is_long() {
        return usual;
    }
    let most_states = bound("states of a scenario before few are drawn", usual.most_states, short().most_states);
    Effort { seed: usual.seed, most_states, ..short() }
}

pub(crate) fn is_short(effort: &Effort) -> bool {
    effort.one_of > 1
}

fn is_longest() -> bool {
    std::env::var_os("REFTABLE_CRASH_LONG").is_some_and(|value| value == "1")
}

/// What was looked at.
#[derive(Debug)]
pub(crate) struct Tally {
    of_crashes: reftable_crash::Tally,
    /// States in which tables were left of which nothing is proven.
    pub(crate) kept: usize,
}

impl Deref for Tally {
    type Target = reftable_crash::Tally;

    fn deref(&self) -> &reftable_crash::Tally {
        &self.of_crashes
    }
}

/// Looks at the recordings of one scenario under one model.
pub(crate) struct Engine<'a> {
    explorer: Explorer<'a>,
    model: Model,
    finders: Finders<'a>,
}

/// Those who find states, and what becomes of them.
struct Finders<'a> {
    scenario: &'a str,
    effort: Effort,
    /// How they are crashed. Empty: not at all.
    then: &'a [Model],
    counts: RefCell<Counts>,
}

struct Counts {
    random: Random,
    finders: usize,
    nested: usize,
    kept: usize,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(scenario: &'a str, model: Model, effort: Effort) -> Engine<'a> {
        let explorer = Explorer::new(scenario, model, effort).with_kinds(kinds).with_names(name_of);
        let counts = Counts { random: Random::new(effort.seed ^ 1 << 40), finders: 0, nested: 0, kept: 0 };
        Engine { explorer, model, finders: Finders { scenario, effort, then: &[], counts: RefCell::new(counts) } }
    }

    /// Crashes those who find the states as well, in these ways.
    pub(crate) fn then(mut self, then: &'a [Model]) -> Engine<'a> {
        self.finders.then = then;
        self
    }

    pub(crate) fn finish(self) -> Tally {
        let Counts { finders, nested, kept, .. } = self.finders.counts.into_inner();
        let mut of_crashes = self.explorer.finish();
        (of_crashes.finders, of_crashes.nested) = (finders, nested);
        Tally { of_crashes, kept }
    }

    /// Crashes a recording at every instant.
    pub(crate) fn explore(&mut self, recording: &Recording) {
        if self.model == Model::Kill {
            for (changes, broken) in &recording.broken {
                let log = &recording.log[..(*changes).min(recording.log.len())];
                self.explorer.report_live(&recording.base, log, broken);
            }
        }
        let claims = Recorded { recording, finders: &self.finders };
        self.explorer.explore((&recording.base, &recording.log, recording.boot), &claims);
    }
}

/// A recording, and what is expected of its crashes.
struct Recorded<'a> {
    recording: &'a Recording,
    finders: &'a Finders<'a>,
}

impl Recorded<'_> {
    fn bounds(&self, log: &[Entry]) -> (usize, usize) {
        let (acknowledged, newest) = log.last().map_or((0, 0), |last| (last.acknowledged, last.published));
        // A repair may bring back what no process could see.
        let newest = if self.recording.damage.is_some() { self.recording.history.len() - 1 } else { newest };
        (acknowledged, newest)
    }

    fn allowed(&self, log: &[Entry], model: Model) -> &[State] {
        let (acknowledged, newest) = self.bounds(log);
        // Without a power failure nothing that was published goes away again.
        let published = log.last().map_or(0, |last| last.published);
        let oldest = if model == Model::Kill { published } else { acknowledged };
        &self.recording.history[oldest..=newest]
    }
}

impl Claims for Recorded<'_> {
    fn expects(&self, log: &[Entry], model: Model) -> Option<u64> {
        let (acknowledged, _) = self.bounds(log);
        if acknowledged < self.recording.least_acknowledged {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        self.allowed(log, model).iter().for_each(|state| state.hash.hash(&mut hasher));
        Some(hasher.finish())
    }

    fn judge(&self, crash: &Crash<'_>) -> Result<(), Broken> {
        let (recording, (acknowledged, newest)) = (self.recording, self.bounds(crash.log));
        let is_power_lost = crash.model != Model::Kill;
        let found = Found {
            allowed: self.allowed(crash.log, crash.model),
            boot: recording.boot + u64::from(is_power_lost),
            is_power_lost,
            damage: recording.damage.as_ref(),
            is_mended: acknowledged > 0,
            must_stay: &recording.must_stay,
            may_leave_tables: recording.may_leave_tables,
        };
        let cleaned = check::reopen(crash.tree, &found)?;
        self.finders.counts.borrow_mut().kept += usize::from(cleaned == Cleaned::ButForTables);
        self.finders.crash(crash, &found, &recording.history[acknowledged..=newest])
    }
}

impl Finders<'_> {
    /// Crashes the finder of this tree on this disk, if that is due.
    fn crash(&self, crash: &Crash<'_>, found: &Found<'_>, may_be_lost: &[State]) -> Result<(), Broken> {
        let mut counts = self.counts.borrow_mut();
        let is_due = counts.random.below(crash.states.max(1) as u64) < self.effort.nested;
        if self.then.is_empty() || !is_due || !nested::applies_to(crash.tree, found) {
            return Ok(());
        }
        counts.finders += 1;
        // What a power failure has left is all on the disk, and a new story begins; after a kill
        // the same may still be lost as before.
        let (disk, log, may_be_lost): (Disk, &[Entry], &[State]) = if found.is_power_lost {
            (synced(crash.tree), &[], &[])
        } else {
            (crash.disk.numbered_as(crash.tree), crash.log, may_be_lost)
        };
        let tell = |told: nested::Crashed<'_, '_>| self.tell(crash.model, told);
        let finding = Finding::make(crash.tree, found, may_be_lost, disk.next_file()).map_err(|broken| {
            let choices = disk.choices(Model::Kill);
            tell((&choices, &choices.ends()[0], log, &broken))
        })?;
        let mut random = counts.random.clone();
        let (instants, most) = (finding.instants(), self.effort.nested_instants);
        let mut first = Ok(());
        for turn in 0..instants.min(most) {
            let instant = if instants <= most { turn } else { random.below(instants as u64) as usize };
            for &model in self.then {
                let mut report = |crashed: nested::Crashed<'_, '_>| {
                    if first.is_ok() {
                        first = Err(tell(crashed));
                    }
                };
                let (seen, kept) = finding.crash((&disk, log), (instant, model), found, &mut random, &mut report);
                counts.nested += seen;
                counts.kept += kept;
            }
        }
        counts.random = random;
        first
    }

    /// What is broken, with its own story.
    fn tell(&self, model: Model, (choices, choice, log, broken): nested::Crashed<'_, '_>) -> Broken {
        let radices = choices.radices();
        let lost = choice.iter().zip(&radices).filter(|(digit, radix)| **digit + 1 < **radix).count();
        let finding = format!("{broken} (seed {})", self.effort.seed);
        let story = Story { title: self.scenario, model, log, choices, choice, finding: &finding, names: &name_of };
        let mut told = broken.clone();
        told.story = Some((story.tell(), (log.len(), lost)));
        told
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
                !engine.explorer.violations().is_empty()
            });
            if is_broken || engines.iter().all(|engine| engine.explorer.is_done()) {
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
