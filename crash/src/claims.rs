//! Who changes files, and what must hold of what a crash leaves: the two traits to implement.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::RangeInclusive;

use crate::disk::{Choices, Disk};
use crate::machine::{Machine, Process};
use crate::model::Model;
use crate::op::Entry;
use crate::tree::Tree;

/// Something that changes files, and must not lose anything over it.
///
/// It numbers the states that it publishes; 0 is what it begins with. Before the change that shows
/// state *n* to readers it calls [`Process::publishes`] with *n*; when it would tell its caller
/// that the state is durable, [`Process::acknowledges`].
pub trait Protocol {
    /// Does its work.
    ///
    /// # Errors
    ///
    /// If a call fails. Nothing fails and nobody is killed while [`explore`](crate::explore) runs
    /// it.
    fn run(&self, process: &Process) -> io::Result<()>;
}

impl<F: Fn(&Process) -> io::Result<()>> Protocol for F {
    fn run(&self, process: &Process) -> io::Result<()> {
        self(process)
    }
}

/// What must hold of a store that is found after a crash.
pub trait Claims {
    /// Whether crashes after the last of these changes are judged, and a number that tells what is
    /// expected then: equal trees of which the same is expected are judged once. Usually not to be
    /// implemented: all are judged, and what is expected are [`Found::allowed`] states.
    fn expects(&self, log: &[Entry], model: Model) -> Option<u64> {
        let _ = model;
        let mut hasher = DefaultHasher::new();
        allowed(log).hash(&mut hasher);
        Some(hasher.finish())
    }

    /// What a process does that finds the store, before it is judged. It is crashed as well, at
    /// each of its changes, and what that leaves is judged by the same claims. Usually nothing.
    ///
    /// # Errors
    ///
    /// If the store cannot be recovered.
    fn recover(&self, process: &Process) -> Result<(), Broken> {
        let _ = process;
        Ok(())
    }

    /// Judges what was found, and recovered.
    ///
    /// # Errors
    ///
    /// A claim that does not hold.
    fn judge(&self, found: &Found<'_>) -> Result<(), Broken>;
}

/// Which claim does not hold, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Broken {
    /// The claim, by a letter of the protocol's own choice.
    pub claim: char,
    /// How, for people.
    pub message: String,
    /// The story, if it is another one than that of the crash that was judged, and its length.
    pub story: Option<(String, (usize, usize))>,
}

impl Broken {
    /// A claim does not hold.
    pub fn new(claim: char, message: impl Into<String>) -> Broken {
        Broken { claim, message: message.into(), story: None }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim {} is broken: {}", self.claim, self.message)
    }
}

impl std::error::Error for Broken {}

/// What a crash has left, and what is known of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found<'a> {
    /// What is on the disk, before anything is recovered.
    pub tree: &'a Tree,
    /// The changes that came before the crash.
    pub log: &'a [Entry],
    /// What the crash was.
    pub model: Model,
    /// The disk that it was, and what was chosen of it.
    pub disk: &'a Disk,
    /// All that could have been chosen.
    pub choices: &'a Choices<'a>,
    /// What was.
    pub choice: &'a [usize],
    /// How many distinct states were found so far, this one included.
    pub states: usize,
    pub(crate) machine: &'a Machine,
}

impl Found<'_> {
    /// The machine after the crash, on which [`Claims::recover`] has done its work.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        self.machine
    }

    /// A new process, to look with.
    #[must_use]
    pub fn process(&self) -> Process {
        self.machine.process(FINDER)
    }

    /// The states of which one must be there: from what was acknowledged to what was published.
    #[must_use]
    pub fn allowed(&self) -> RangeInclusive<usize> {
        allowed(self.log)
    }
}

/// The process that looks at what a crash has left.
pub(crate) const FINDER: crate::op::Pid = 90;

fn allowed(log: &[Entry]) -> RangeInclusive<usize> {
    log.last().map_or(0..=0, |last| last.acknowledged..=last.published)
}
