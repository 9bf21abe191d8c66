//! Kills and stops drivers at random, whatever they are.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use rustix::process::{Signal, kill_process_group};
use serde_json::json;

use super::Bench;
use super::slot::Slot;

/// From the end of one stop to the next, at most.
const BETWEEN_STOPS: Duration = Duration::from_millis(1000);
/// How long one is stopped, at most.
const STOPPED: Duration = Duration::from_millis(150);
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(2);
/// One with nothing in flight is drawn only so many times in a row.
const DRAWS: u32 = 4;

/// A driver that was killed with a transaction in flight: it may have left a lock.
#[derive(Debug, Clone)]
pub(crate) struct Kill {
    /// The session.
    pub(crate) driver: String,
    /// When its transaction was begun.
    pub(crate) begun: SystemTime,
    /// When it was killed.
    pub(crate) at: SystemTime,
}

/// How often something was done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) kills: u64,
    pub(crate) stops: u64,
}

/// Kills and stops until it is told that all is `over`.
pub(crate) fn run(bench: &Bench, over: &AtomicBool) -> Result<Done> {
    let mut rng = fastrand::Rng::with_seed(bench.seed ^ 0xc4a0);
    let mut done = Done::default();
    let between_kills = bench.kill_every * 2;
    let mut next_kill = Instant::now() + between_kills.mul_f64(rng.f64());
    let mut next_stop = Instant::now() + BETWEEN_STOPS.mul_f64(rng.f64());
    let mut stopped: Option<(&Slot, Instant)> = None;
    while !over.load(Ordering::Relaxed) {
        if let Some((slot, _)) = stopped.take_if(|(_, until)| *until <= Instant::now()) {
            go_on(bench, slot)?;
            next_stop = Instant::now() + BETWEEN_STOPS.mul_f64(rng.f64());
        }
        if next_kill <= Instant::now() && victim(bench, &mut rng).is_some_and(|slot| kill(bench, slot).unwrap_or(false))
        {
            done.kills += 1;
            next_kill = Instant::now() + between_kills.mul_f64(rng.f64());
        }
        if next_stop <= Instant::now()
            && stopped.is_none()
            && let Some(slot) = victim(bench, &mut rng).filter(|slot| slot.signal(Signal::STOP))
        {
            bench.recorder.nemesis("stop", json!({ "driver": slot.name }))?;
            done.stops += 1;
            stopped = Some((slot, Instant::now() + STOPPED.mul_f64(rng.f64())));
        }
        thread::sleep(LOOK);
    }
    if let Some((slot, _)) = stopped {
        go_on(bench, slot)?;
    }
    Ok(done)
}

/// One that has answered before, and rather one with something in flight.
fn victim<'a>(bench: &'a Bench, rng: &mut fastrand::Rng) -> Option<&'a Slot> {
    let mut drawn = None;
    for _ in 0..DRAWS {
        let slot = rng.choice(&bench.slots)?;
        let running = slot.running();
        let Some(running) = running.as_ref().filter(|running| running.has_answered && !running.was_killed) else {
            continue;
        };
        drawn = Some(slot);
        if running.in_flight.is_some() {
            break;
        }
    }
    drawn
}

/// Kills it, and tells what was in flight. `false` when it has ended meanwhile.
fn kill(bench: &Bench, slot: &Slot) -> Result<bool> {
    let mut running = slot.running();
    let Some(running) = running.as_mut() else { return Ok(false) };
    if kill_process_group(running.group, Signal::KILL).is_err() {
        return Ok(false);
    }
    running.was_killed = true;
    let phase = running.in_flight.map(|(_, phase)| phase.name());
    let told = json!({ "driver": slot.name, "process": running.process, "in_flight": phase });
    bench.recorder.nemesis("kill", told)?;
    if let Some((begun, _)) = running.in_flight {
        bench.killed(Kill { driver: slot.name.clone(), begun, at: SystemTime::now() });
    }
    Ok(true)
}

fn go_on(bench: &Bench, slot: &Slot) -> Result<()> {
    slot.signal(Signal::CONT);
    bench.recorder.nemesis("continue", json!({ "driver": slot.name }))
}
