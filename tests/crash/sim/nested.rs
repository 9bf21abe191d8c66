//! Crashes of the finder of a crash: it takes over, resolves, commits and compacts, and is crashed
//! again at its own calls. The next finder must find the same claims kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reftable::compact::Compact;
use reftable::{AutoCompact, Error, Expect, HashKind, Target};
use reftable_crash::{Choices, Disk, Entry, FileId, Model, Op, Pid, Random, Tree};

use super::check::{self, Broken, Cleaned, Found, Seen, State, broken, is_request};
use super::mutants;
use super::world::{TablesList as _, World};
use crate::support;
use crate::support::model::Change;

/// The process that finds the first crash. Another one finds the second.
const FIRST_FINDER: Pid = 45;
/// Choices of the second crash, besides everything and nothing.
const CHOICES: usize = 2;

/// What is broken: of these choices, by these digits, after these changes.
pub(super) type Crashed<'c, 'd> = (&'c Choices<'d>, &'c [usize], &'c [Entry], &'c Broken);
/// Told that.
type Report<'r> = &'r mut dyn FnMut(Crashed<'_, '_>);

/// What the first finder did with what it found.
pub(super) struct Finding {
    /// The states that the next one may find: what was there, oldest first, and at last what the
    /// finder made of it.
    states: Vec<State>,
    /// Which of them it found, without any power failure since.
    found: usize,
    log: Vec<Entry>,
}

/// Whether the finder is crashed: repairs, and locks of others that must be respected, have crashes
/// of their own.
pub(super) fn applies_to(tree: &Tree, found: &Found<'_>) -> bool {
    found.damage.is_none() && !tree.files.values().any(|file| file.is_link())
}

impl Finding {
    /// Lets a process find this tree. `least` is the oldest state that a power failure may leave of
    /// it, and its new files get numbers from `next_file` on.
    pub(super) fn make(tree: &Tree, found: &Found<'_>, least: &[State], next_file: FileId) -> Result<Finding, Broken> {
        let world = World::new(tree.clone(), found.boot);
        world.number_files_from(next_file);
        let asks = tree.names.keys().any(|name| is_request(name));
        mutants::activate();
        world.watch(Some(Arc::new(publishes(world.clone()))));
        let made = commit_and_compact(&world, asks, found.allowed);
        world.watch(None);
        mutants::deactivate();
        let (state, after) =
            made.map_err(|error| broken('E', format!("the finder (P{FIRST_FINDER}) failed: {error}")))?;
        let mut states = least.to_vec();
        if states.last().is_none_or(|last| last.hash != state.hash) {
            states.push(state);
        }
        let found = states.len() - 1;
        states.push(after);
        Ok(Finding { states, found, log: world.log() })
    }

    /// How many instants it can be crashed at.
    pub(super) fn instants(&self) -> usize {
        self.log.len() + 1
    }

    /// Crashes it after its first `instant` changes, which follow those in `before` on this disk,
    /// and has that found. Returns how many states there were, and in how many of them tables were
    /// kept.
    pub(super) fn crash(
        &self,
        (disk, before): (&Disk, &[Entry]),
        (instant, model): (usize, Model),
        first: &Found<'_>,
        random: &mut Random,
        report: Report<'_>,
    ) -> (usize, usize) {
        let mut disk = disk.clone();
        let log = &self.log[..instant];
        log.iter().for_each(|entry| disk.apply(&entry.op).unwrap());
        let (acknowledged, published) = log.last().map_or((0, 0), |last| (last.acknowledged, last.published));
        let is_power_lost = model != Model::Kill;
        let last = self.states.len() - 1;
        // What was published is there, unless power is lost.
        let oldest = match (acknowledged, published) {
            (0, 0) => {
                if is_power_lost {
                    0
                } else {
                    self.found
                }
            }
            (0, _) => {
                if is_power_lost {
                    0
                } else {
                    last
                }
            }
            _ => last,
        };
        let newest = if published == 0 { self.found } else { last };
        let found = Found {
            allowed: &self.states[oldest..=newest],
            boot: first.boot + u64::from(is_power_lost),
            is_power_lost: first.is_power_lost || is_power_lost,
            damage: None,
            is_mended: first.is_mended,
            must_stay: first.must_stay,
            may_leave_tables: first.may_leave_tables,
        };
        let choices = disk.choices(model);
        let whole = [before, log].concat();
        let (mut seen, mut kept) = (0, 0);
        let mut visit = |digits: &[usize]| {
            seen += 1;
            match check::reopen(&choices.tree(digits), &found) {
                Ok(Cleaned::All) => {}
                Ok(Cleaned::ButForTables) => kept += 1,
                Err(Broken { claim, message, .. }) => {
                    let message = format!("who found the first crash, P{FIRST_FINDER}, crashed as well: {message}");
                    report((&choices, digits, &whole, &broken(claim, message)));
                }
            }
        };
        if choices.radices().is_empty() {
            visit(&[]);
        } else {
            choices.ends().iter().for_each(|end| visit(end));
            choices.draw(CHOICES, random, &mut visit);
        }
        (seen, kept)
    }
}

/// Tells whether the finder has published its commit: the first list with a table in it. Before
/// that a new store gets an empty one.
fn publishes(world: World) -> impl Fn(Pid, &Op) -> usize + Send + Sync {
    let published = AtomicUsize::new(0);
    move |_, op| {
        let is_list = matches!(op, Op::Rename { to, .. } if &*to.path == "tables.list");
        if is_list && !world.tree().list().is_empty() {
            published.store(1, Ordering::Relaxed);
        }
        published.load(Ordering::Relaxed)
    }
}

/// Returns the state that was found, and the one after the commit.
fn commit_and_compact(world: &World, asks: bool, allowed: &[State]) -> Result<(State, State), Error> {
    // A compaction within the commit would sync what the commit should have synced.
    let options = check::options().auto_compact(AutoCompact::Off).delegation(asks);
    let stack = check::open(&world.process(FIRST_FINDER), options)?;
    let seen = Seen::of(&stack.snapshot()?)?;
    let state = allowed.iter().rfind(|state| state.seen == seen).expect("the same was found before").clone();
    let (name, value) = ("refs/heads/found", Target::Id(support::id(HashKind::Sha1, 998)));
    let mut model = state.model.clone();
    let change = Change::Set(name.as_bytes().to_vec(), Expect::Absent, value.clone());
    model.commit(&[change], Some(&(support::ident(), b"found".to_vec()))).unwrap();
    let mut tx = stack.transaction();
    tx.set(name, Expect::Absent, value);
    tx.reflog(support::ident(), "found");
    tx.commit()?;
    world.acknowledge(FIRST_FINDER, "commit", Some(1));
    stack.compact(Compact::all())?;
    Ok((state, State::new(model)))
}
