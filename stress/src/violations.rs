//! What must never happen, counted and told.

/// How many are told in full.
const SHOWN: usize = 40;
/// How many of those that one process saw.
const OF_ONE: usize = 3;

/// A list of violations that does not grow beyond what a person would read.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    count: u64,
    shown: Vec<String>,
}

impl Violations {
    /// Adds one.
    pub(crate) fn add(&mut self, what: impl Into<String>) {
        self.count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(what.into());
        }
    }

    /// Adds what one process saw, and tells the first few. Half of the room is for what the checks
    /// find afterwards.
    pub(crate) fn add_all(&mut self, who: &str, saw: &[String]) {
        for (number, what) in saw.iter().enumerate() {
            if number < OF_ONE && self.shown.len() < SHOWN / 2 {
                self.add(format!("{who} saw: {what}"));
            } else {
                self.count += 1;
            }
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first ones.
    pub(crate) fn shown(&self) -> &[String] {
        &self.shown
    }
}
