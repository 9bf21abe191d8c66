//! `reftable repair`

use std::io::{self, BufRead, Write};
use std::path::Path;

use clap::Args;
use reftable::escape::escaped_message;
use reftable::{Problem, Repair as Mender};

use crate::cli::Format;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::output::{Out, shown_path};
use crate::repo::Repo;

/// Find what keeps a store from working, and mend it
///
/// Recovers a repository whose git died in its first commit, a store whose newest table a loss of power has emptied, and
/// removes what dead processes left behind. Locks of our own dead heal by themselves; a lock of git or of another machine is
/// removed only with --break-lock, and only if it is old, no process has it open, and git does not name a living owner.
/// Says what it saw and asks before each step, unless --yes; what is taken out of a store is kept under another name.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 if nothing is wrong or everything was mended, with 1 if something is left.
With --json, one object of type 'problem' for each, with what was done.

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

    #[command(flatten)]
    format: Format,
}

impl Repair {
    pub(crate) fn run(&self, repo: &Repo, out: &mut Out) -> Result<Code, Failure> {
        let mut code = Code::Done;
        for store in repo.directories() {
            let mender = Mender::new(store);
            let problems = mender.diagnose()?;
            if problems.is_empty() && !self.format.json {
                writeln!(out, "{}: nothing to mend", shown_path(store))?;
            }
            for problem in &problems {
                let outcome = self.mend(&mender, problem, out)?;
                if outcome.is_none() {
                    code = Code::Not;
                }
                self.report(store, problem, outcome.as_deref(), out)?;
            }
        }
        Ok(code)
    }

    /// What was done; `None` if the problem stays.
    fn mend(&self, mender: &Mender, problem: &Problem, out: &mut Out) -> Result<Option<String>, Failure> {
        let is_wanted = self.break_lock || !matches!(problem, Problem::ForeignLock(_));
        if self.dry_run || !is_wanted || !problem.has_remedy() {
            return Ok(None);
        }
        if problem.is_delicate() && !self.yes && !confirmed(problem, out)? {
            return Ok(None);
        }
        Ok(Some(mender.remedy(problem)?))
    }

    fn report(&self, store: &Path, problem: &Problem, outcome: Option<&str>, out: &mut Out) -> io::Result<()> {
        if self.format.json {
            let object =
                Object::default().put("type", "problem").put_text("store", store.as_os_str().as_encoded_bytes());
            let object = object.put("problem", problem.to_string()).put("mended", outcome.is_some());
            return out.json(&object.put_some("done", outcome).build());
        }
        writeln!(out, "{}: {}", shown_path(store), escaped_message(&problem.to_string()))?;
        match outcome {
            Some(done) => writeln!(out, "  done: {}", escaped_message(done)),
            None if matches!(problem, Problem::ForeignLock(_)) && !self.break_lock => {
                writeln!(out, "  left as it is: --break-lock removes it, if the evidence is enough")
            }
            None => writeln!(out, "  left as it is"),
        }
    }
}

/// Asks on the terminal. Anything but a yes is a no, and so is the end of the input.
fn confirmed(problem: &Problem, out: &mut Out) -> io::Result<bool> {
    out.flush()?;
    let mut terminal = io::stderr().lock();
    write!(terminal, "{}\nDo this? [y/N] ", escaped_message(&problem.to_string()))?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
