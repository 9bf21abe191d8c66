//! `reftable repair`

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use reftable::ErrorKind;
use reftable::escape::{command, escaped_message};
use reftable::repair::{Problem, Repair as Mender};
use reftable::verify::Severity;
use reftable_git::Repository;

use super::verify::check;
use crate::failure::{Code, Failure, Voice};
use crate::json::Object;
use crate::output::{Out, fail, shown_path};

/// More steps than any store needs, should it be damaged as fast as it is mended.
const MOST: usize = 100;

/// Find what keeps a store from working, and mend it
///
/// Looks for a list that is missing, empty, damaged or older than the tables, for tables that are
/// missing, damaged or in no list, and for what dead processes left behind; proposes a list that
/// fits what is there. Locks of our own dead are taken over; a lock of git or of another
/// machine is removed only with --break-lock, and only if it is old, if every process can be seen
/// and none uses the store (as root, outside of containers), and if git does not name a living
/// owner. Says what it saw and asks before each step, unless --yes; without an answer nothing
/// happens. What is taken out of a store is kept under another name: NAME.damaged, or
/// NAME.unlisted.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if nothing is wrong or everything was mended, with 1 if something is left, also if
'verify' finds errors in what the tables say.
With --json, one object of type 'problem' for each, with its kind, and with what was done. Nothing
is asked then, and without --yes nothing is mended.

Examples:
  reftable repair --dry-run
  reftable repair --break-lock
  reftable -C /srv/repo.git repair --yes")]
pub(crate) struct Repair {
    /// Also remove locks of git and of other machines, on evidence that they were left behind
    #[arg(long)]
    break_lock: bool,

    /// Do not ask
    #[arg(long)]
    yes: bool,

    /// Only say what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Says that the store can be read and is wrong all the same. What its records ought to say nobody
/// can tell but its owner.
fn report_beyond_repair(store: &Path, errors: usize, out: &Out) {
    let (place, verify) = (shown_path(store), command(store, "verify"));
    let errors = if errors == 1 { "one error".to_owned() } else { format!("{errors} errors") };
    let message =
        format!("{place}: {errors} in what the tables say: {verify} names them, and no repair can know better");
    fail(&Failure::broken(message), Voice::Own, out.wants_json());
}

impl Repair {
    pub(crate) fn run(&self, repo: &Repository, out: &mut Out) -> Result<Code, Failure> {
        repo.check_trust()?;
        let mut code = Code::Done;
        for store in repo.directories() {
            if !self.run_in(repo, store, out)? {
                code = Code::Missing;
            }
        }
        Ok(code)
    }

    /// Mends one problem after the other, each by a fresh look at what the one before has left.
    /// Returns whether nothing is left.
    fn run_in(&self, repo: &Repository, store: &Path, out: &mut Out) -> Result<bool, Failure> {
        let mender = Mender::new(store);
        let mut mended = 0;
        let mut left: Vec<Problem> = Vec::new();
        while mended < MOST {
            let problems = mender.diagnose()?;
            left.retain(|problem| problems.contains(problem));
            let fresh: Vec<&Problem> = problems.iter().filter(|problem| !left.contains(problem)).collect();
            let Some(outcome) = self.first_mended(&mender, store, &fresh, &mut left, out)? else { break };
            mended += 1;
            self.report(store, outcome.0, Some(&outcome.1), out)?;
        }
        for problem in &left {
            if !self.is_told_before(problem, out) {
                self.report(store, problem, None, out)?;
            }
        }
        if !left.is_empty() || mended == MOST {
            return Ok(false);
        }
        let errors = check(repo, store)?.count(Severity::Error);
        match (errors, mended) {
            (0, 0) if !out.wants_json() => writeln!(out, "{}: nothing to mend", shown_path(store))?,
            (0, _) => {}
            _ => report_beyond_repair(store, errors, out),
        }
        Ok(errors == 0)
    }

    /// The first of the problems that is mended, and what was done. Those before it are `left` as
    /// they are.
    fn first_mended<'a>(
        &self,
        mender: &Mender,
        store: &Path,
        problems: &[&'a Problem],
        left: &mut Vec<Problem>,
        out: &mut Out,
    ) -> Result<Option<(&'a Problem, String)>, Failure> {
        for problem in problems {
            if self.is_wanted(store, problem, out)? {
                match mender.fix(problem) {
                    // Another process was faster, or the evidence has gone.
                    Err(error) if error.kind() == ErrorKind::Invalid => {}
                    done => return Ok(Some((*problem, done?))),
                }
            }
            if self.is_told_before(problem, out) {
                self.report(store, problem, None, out)?;
            }
            left.push((*problem).clone());
        }
        Ok(None)
    }

    /// Whether a person has to agree before it is mended. No program is asked.
    fn is_asked(&self, problem: &Problem, out: &Out) -> bool {
        let is_wanted = self.break_lock || !matches!(problem, Problem::ForeignLock(_));
        is_wanted && !self.yes && !self.dry_run && !out.wants_json() && problem.has_fix()
    }

    /// Whether the problem is printed before the question, and not again with its outcome. Without
    /// a terminal both would go into one log.
    fn is_told_before(&self, problem: &Problem, out: &Out) -> bool {
        self.is_asked(problem, out) && !io::stdin().is_terminal()
    }

    fn is_wanted(&self, store: &Path, problem: &Problem, out: &mut Out) -> Result<bool, Failure> {
        let is_asked_for = self.break_lock || !matches!(problem, Problem::ForeignLock(_));
        if !self.is_asked(problem, out) {
            return Ok(self.yes && is_asked_for && problem.has_fix());
        }
        let text = format!("{}: {}", shown_path(store), escaped_message(&problem.to_string()));
        if self.is_told_before(problem, out) {
            writeln!(out, "{text}")?;
            return Ok(confirmed("", out)?);
        }
        Ok(confirmed(&format!("{text}\n"), out)?)
    }

    fn report(&self, store: &Path, problem: &Problem, outcome: Option<&str>, out: &mut Out) -> io::Result<()> {
        if out.wants_json() {
            let object = Object::of("problem").put_text("store", store.as_os_str().as_encoded_bytes());
            let object =
                object.put("kind", problem.kind()).put("problem", problem.to_string()).put("mended", outcome.is_some());
            return out.json(&object.put_some("done", outcome).build());
        }
        if !self.is_told_before(problem, out) {
            writeln!(out, "{}: {}", shown_path(store), escaped_message(&problem.to_string()))?;
        }
        match outcome {
            Some(done) => writeln!(out, "  done: {}", escaped_message(done)),
            None if matches!(problem, Problem::ForeignLock(_)) && !self.break_lock => {
                let breaks = command(store, "repair --break-lock");
                writeln!(out, "  left as it is: {breaks} asks, and removes it if the evidence is enough")
            }
            None => writeln!(out, "  left as it is"),
        }
    }
}

/// Asks on the terminal, after `text`. Anything but a yes is a no, and so is the end of the input.
fn confirmed(text: &str, out: &mut Out) -> io::Result<bool> {
    out.flush()?;
    let mut terminal = io::stderr().lock();
    write!(terminal, "{text}Do this? [y/N] ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
