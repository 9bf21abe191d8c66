//! `power-cut --record-writes`: every state that a disk with a cache may be left in.
//!
//! 1. The loop device of the writers stands on a file that is served through FUSE, and remembers
//!    what it is told ([`Recorder`]).
//! 2. From what it remembers every state is made ([`Recording::states`]).
//! 3. Each is mounted and judged, as the clones of a running device are.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result};

use super::judge;
use super::machine::{self, FileSystem, Machine};
use super::recorder::Recorder;
use super::recording::{Recording, State};
use super::session::{self, Cut, Session};
use super::{Row, Variant, tell};
use crate::args::PowerCutArgs;
use crate::violations::Violations;

/// All variants on one file system.
pub(super) fn run_on(
    args: &PowerCutArgs,
    writes: u32,
    file_system: FileSystem,
    seed: u64,
    rows: &mut BTreeMap<String, Row>,
    violations: &mut Violations,
) -> Result<()> {
    for (number, variant) in (0..).zip(args.variants().iter().copied()) {
        let what = format!("{}: {}", file_system.name(), variant.name);
        let mut machine = Machine::new(args.scratch.as_deref(), file_system)?;
        let before = machine.in_pool("before");
        let recorder = Recorder::start(&machine.image(), &machine.path("device"))?;
        machine.reach_image_by(recorder.file());
        let (session, recording) = session::run(&mut machine, variant, seed ^ number, args, |machine| {
            recorder.begin(|| machine::clone(&machine.image(), &before))?;
            recorder.take(writes as usize)
        })?;
        drop(recorder);
        let replay = Replay { machine: &machine, variant, session: &session, recording: &recording };
        let row = replay.judge(&before, violations, &what)?;
        tell(&row.line(&what))?;
        rows.insert(what, row);
    }
    Ok(())
}

/// What happened, to be looked at again and again.
struct Replay<'a> {
    machine: &'a Machine,
    variant: Variant,
    session: &'a Session,
    recording: &'a Recording,
}

impl Replay<'_> {
    /// Judges all states, above the image as it was `before`.
    fn judge(&self, before: &Path, violations: &mut Violations, what: &str) -> Result<Row> {
        let base = File::open(before).context("cannot open the image before")?;
        let states = self.recording.states(&base).context("cannot make out what was written")?;
        let (writes, flushes) = (self.recording.writes(), self.recording.flushes());
        tell(&format!("{what}: {writes} writes, {flushes} flushes, {} states", states.len()))?;
        let all = self.machine.in_pool("all");
        machine::clone(before, &all)?;
        let image = OpenOptions::new().write(true).open(&all).context("cannot open the image of all writes")?;
        let (mut row, mut applied) = (Row::default(), 0);
        for (number, state) in (0..).zip(states) {
            for write in applied..state.writes {
                self.recording.apply(write, &image).context("cannot write to an image")?;
            }
            applied = state.writes;
            self.make(state, number, &base, &all)?;
            let cut = Cut { number, before: state.before, after: state.before };
            let what = format!("{what}, {state}");
            row.add(&judge::judge(self.machine, self.variant, self.session, &cut, violations, &what)?);
            fs::remove_file(self.machine.clone_of(number)).context("cannot remove an image")?;
        }
        Ok(row)
    }

    /// Makes the image of a state, where all of its writes are in `all`.
    fn make(&self, state: State, number: u32, base: &File, all: &Path) -> Result<()> {
        let path = self.machine.clone_of(number);
        machine::clone(all, &path)?;
        let image = OpenOptions::new().write(true).open(&path).context("cannot open an image")?;
        self.recording.leave_out(state, base, &image).context("cannot take a write out of an image")
    }
}
