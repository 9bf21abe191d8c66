//! What a reference store, or any other, is asked to keep, and whether a state keeps it.

use std::fmt;

use super::judge::{Findings, Said};

/// What must hold in every crash state. Each is counted alone: a store may leave a lock that
/// stops the next writer, and lose nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
#[non_exhaustive]
pub enum Claim {
    /// The judge can read the store: it ends with 0.
    Readable,
    /// What it reads was true at some moment of the undisturbed run: before, at an acknowledgement,
    /// or at the end. Nothing is there in half.
    Atomic,
    /// What was acknowledged is there.
    Durable,
    /// The next command (`--then`) succeeds: nothing that crashed processes have left is in its
    /// way.
    Usable,
}

impl Claim {
    /// All of them, in the order in which tables show them.
    pub const ALL: [Claim; 4] = [Claim::Readable, Claim::Atomic, Claim::Durable, Claim::Usable];
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Claim::Readable => "readable",
            Claim::Atomic => "atomic",
            Claim::Durable => "durable",
            Claim::Usable => "usable",
        })
    }
}

/// What a judge said at the start, at each acknowledgement, and at the end of the undisturbed run.
#[derive(Debug, Clone)]
pub(super) struct Milestones(pub(super) Vec<Said>);

impl Milestones {
    /// The claims that a state breaks, with what was found, when so many acknowledgements had been
    /// made before the crash. What cannot be read is not asked further.
    pub(super) fn broken(&self, acknowledged: usize, findings: &Findings) -> Vec<(Claim, String)> {
        let Findings { judge, then } = findings;
        let mut broken = Vec::new();
        if judge.code != Some(0) {
            broken.push((Claim::Readable, format!("the judge {judge}")));
        } else if let Some(newest) = self.newest(acknowledged, judge) {
            if newest < acknowledged {
                let what = format!("what was acknowledged is gone: the judge reads{}", quoted(&judge.output));
                broken.push((Claim::Durable, what));
            }
        } else {
            let what = format!("the judge reads what never was:{}", quoted(&judge.output));
            broken.push((Claim::Atomic, what));
        }
        if let Some(then) = then.as_ref().filter(|then| then.code != Some(0)) {
            broken.push((Claim::Usable, format!("the next command {then}")));
        }
        broken
    }
}

impl Milestones {
    /// The newest milestone that it can be: the next one may have been reached before it was told.
    fn newest(&self, acknowledged: usize, judge: &Said) -> Option<usize> {
        let reached = self.0.get(..=acknowledged.saturating_add(1)).unwrap_or(&self.0);
        reached.iter().rposition(|said| said.output == judge.output)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "ends with {code}:")?,
            None => write!(f, "does not end in time, or is killed:")?,
        }
        f.write_str(&quoted(&self.errors))
    }
}

pub(super) fn quoted(bytes: &[u8]) -> String {
    const LINES: usize = 12;
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().take(LINES).map(|line| format!("\n         | {}", line.escape_debug()));
    let text = lines.collect::<String>();
    if text.is_empty() { " nothing".to_owned() } else { text }
}
