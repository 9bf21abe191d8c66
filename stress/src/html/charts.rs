//! The drawings of a page, as numbers for its SVG: a lane a session, latencies, commits a second.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::judge::event::{Event, Kind, MicroOp, Process, What};

/// How wide all drawings are.
const WIDTH: f64 = 1000.0;
/// How high a lane is.
const LANE: f64 = 18.0;
/// How high the other drawings are.
const HEIGHT: f64 = 160.0;
/// At most so many latencies are drawn; of more, every so many.
const POINTS: usize = 6000;
/// Latencies are drawn from this many microseconds, by their logarithm.
const SHORTEST: f64 = 10.0;
/// Up to this many.
const LONGEST: f64 = 10_000_000.0;
/// There are so many colours.
const COLOURS: usize = 8;
/// About so many marks stand below.
const MARKS: u64 = 10;

/// A session.
#[derive(Debug, Serialize)]
struct Lane {
    name: String,
    y: f64,
    colour: usize,
    commits: Vec<f64>,
    unknown: Vec<f64>,
    /// Kills: where, and what was in flight.
    kills: Vec<(f64, String)>,
    /// From where to where it was stopped.
    stops: Vec<(f64, f64)>,
}

/// The commits a second of a driver.
#[derive(Debug, Serialize)]
struct Rate {
    name: String,
    colour: usize,
    /// As the points of a line.
    line: String,
}

/// All drawings.
#[derive(Debug, Serialize)]
pub(super) struct Charts {
    width: f64,
    height: f64,
    lanes_height: f64,
    lanes: Vec<Lane>,
    /// Where a latency is, and its colour.
    latencies: Vec<(f64, f64, usize)>,
    rates: Vec<Rate>,
    most_a_second: u64,
    /// Where compactions were noticed, and locks of dead processes removed.
    compactions: Vec<f64>,
    unlocked: Vec<f64>,
    /// Seconds, and where they are.
    marks: Vec<(u64, f64)>,
    /// Milliseconds, and where they are.
    levels: Vec<(&'static str, f64)>,
}

/// What is collected on the way.
struct Drawing {
    scale: f64,
    lanes: BTreeMap<String, Lane>,
    drivers: Vec<String>,
    /// The commits of each driver, by second.
    seconds: BTreeMap<String, BTreeMap<u64, u64>>,
    begun: BTreeMap<Process, u64>,
    latencies: Vec<(f64, f64, usize)>,
    stopped: BTreeMap<String, f64>,
    compactions: Vec<f64>,
    unlocked: Vec<f64>,
}

impl Charts {
    /// Draws a history.
    pub(super) fn of(events: &[Event]) -> Charts {
        let end = events.iter().map(|event| event.time).max().unwrap_or(0).max(1);
        let mut drawing = Drawing {
            scale: WIDTH / end as f64,
            lanes: BTreeMap::new(),
            drivers: Vec::new(),
            seconds: BTreeMap::new(),
            begun: BTreeMap::new(),
            latencies: Vec::new(),
            stopped: BTreeMap::new(),
            compactions: Vec::new(),
            unlocked: Vec::new(),
        };
        for event in events {
            drawing.add(event);
        }
        drawing.finish(end)
    }
}

impl Drawing {
    fn add(&mut self, event: &Event) {
        let x = round(event.time as f64 * self.scale);
        match &event.what {
            What::Transaction(micro_ops) => {
                let changes = micro_ops.iter().any(|micro_op| matches!(micro_op, MicroOp::Swap { .. }));
                // What opens the accounts, or reads at the end, is no session.
                let session = event.driver.as_deref().filter(|name| changes && *name != "opening");
                if let Some(session) = session {
                    self.transaction(event, session, x);
                }
            }
            What::Other { f, value } => self.nemesis(f, value, x),
        }
    }

    fn transaction(&mut self, event: &Event, session: &str, x: f64) {
        let colour = self.colour(session);
        match event.kind {
            Kind::Invoke => drop(self.begun.insert(event.process, event.time)),
            Kind::Ok => {
                let took = self.begun.get(&event.process).map_or(0, |begun| event.time.saturating_sub(*begun));
                self.latencies.push((x, level(took as f64 / 1000.0), colour));
                let second = event.time / 1_000_000_000;
                *self.seconds.entry(driver_of(session).to_owned()).or_default().entry(second).or_default() += 1;
                self.lane(session).commits.push(x);
            }
            Kind::Info => self.lane(session).unknown.push(x),
            Kind::Fail => {}
        }
    }

    fn nemesis(&mut self, f: &str, value: &Value, x: f64) {
        let session = value.get("driver").and_then(Value::as_str);
        match (f, session) {
            ("kill", Some(session)) => {
                let in_flight = value.get("in_flight").and_then(Value::as_str).unwrap_or("nothing in flight");
                self.lane(session).kills.push((x, in_flight.to_owned()));
            }
            ("stop", Some(session)) => drop(self.stopped.insert(session.to_owned(), x)),
            ("continue", Some(session)) => {
                if let Some(from) = self.stopped.remove(session) {
                    self.lane(session).stops.push((from, round(x - from)));
                }
            }
            ("compact", _) => self.compactions.push(x),
            ("unlock", _) => self.unlocked.push(x),
            _ => {}
        }
    }

    /// Sessions of one driver have one colour.
    fn colour(&mut self, session: &str) -> usize {
        let driver = driver_of(session);
        let known = self.drivers.iter().position(|known| known == driver);
        let number = known.unwrap_or_else(|| {
            self.drivers.push(driver.to_owned());
            self.drivers.len() - 1
        });
        number % COLOURS
    }

    fn lane(&mut self, session: &str) -> &mut Lane {
        let colour = self.colour(session);
        self.lanes.entry(session.to_owned()).or_insert_with(|| Lane {
            name: session.to_owned(),
            y: 0.0,
            colour,
            commits: Vec::new(),
            unknown: Vec::new(),
            kills: Vec::new(),
            stops: Vec::new(),
        })
    }

    fn finish(mut self, end: u64) -> Charts {
        let most = self.seconds.values().flat_map(BTreeMap::values).copied().max().unwrap_or(1).max(1);
        let seconds = std::mem::take(&mut self.seconds);
        let last = end / 1_000_000_000;
        let rates = seconds.into_iter().map(|(name, counts)| {
            let point = |second: u64| {
                let count = counts.get(&second).copied().unwrap_or(0);
                let y = HEIGHT - HEIGHT * count as f64 / most as f64;
                let x = (second as f64 + 0.5) * 1e9 * self.scale;
                format!("{},{}", round(x.min(WIDTH)), round(y))
            };
            let line = (0..=last).map(point).collect::<Vec<_>>().join(" ");
            Rate { colour: self.colour(&name), name, line }
        });
        let rates = rates.collect();
        let step = last.div_ceil(MARKS).max(1);
        let marks = (0..=last).step_by(usize::try_from(step).unwrap_or(1));
        let marks = marks.map(|second| (second, round(second as f64 * 1e9 * self.scale))).collect();
        let mut lanes: Vec<Lane> = self.lanes.into_values().collect();
        for (number, lane) in lanes.iter_mut().enumerate() {
            lane.y = number as f64 * LANE;
        }
        let every = self.latencies.len().div_ceil(POINTS).max(1);
        let names = [("0.1 ms", 100.0), ("1 ms", 1e3), ("10 ms", 1e4), ("100 ms", 1e5), ("1 s", 1e6)];
        Charts {
            width: WIDTH,
            height: HEIGHT,
            lanes_height: lanes.len() as f64 * LANE,
            lanes,
            latencies: self.latencies.into_iter().step_by(every).collect(),
            rates,
            most_a_second: most,
            compactions: self.compactions,
            unlocked: self.unlocked,
            marks,
            levels: names.map(|(name, micros)| (name, level(micros))).into(),
        }
    }
}

/// Sessions are called like their driver, with a number.
fn driver_of(session: &str) -> &str {
    match session.rsplit_once('-') {
        Some((driver, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => driver,
        _ => session,
    }
}

/// The height of so many microseconds.
fn level(micros: f64) -> f64 {
    let part = (micros.clamp(SHORTEST, LONGEST) / SHORTEST).ln() / (LONGEST / SHORTEST).ln();
    round(HEIGHT - HEIGHT * part)
}

/// More digits would only make the page larger.
fn round(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}
