//! A toy of git's files backend: a reference is a file, which is written beside its place and
//! renamed into it. Crashed everywhere, with nothing synced, with the file, with its directory,
//! too.
//!
//! `cargo run -p reftable-crash --example files_backend`

use std::io::{self, Write as _};

use reftable_crash::{Broken, Claims, Effort, Found, Model, Process, Protocol, Tally, Tree, explore};

const MAIN: &str = "refs/heads/main";

/// What is synced of a reference.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Syncs {
    Nothing,
    File,
    FileAndDirectory,
}

impl Protocol for Syncs {
    /// Moves a branch from 0 to 1, and to 2.
    fn run(&self, process: &Process) -> io::Result<()> {
        for state in 1..=2 {
            process.publishes(&format!("main is to be {state}"), state);
            let file = process.write_new("refs/heads/main.lock", state.to_string().as_bytes())?;
            if *self >= Syncs::File {
                file.sync()?;
            }
            process.rename("refs/heads/main.lock", MAIN)?;
            if *self >= Syncs::FileAndDirectory {
                process.sync_dir("refs/heads")?;
            }
            process.acknowledges(&format!("main is {state}"), state);
        }
        Ok(())
    }
}

/// A: what was acknowledged is there. B: what is there was written by a process. E: the next update
/// goes through, once a lock that a dead process has left is taken away.
pub(crate) struct Kept;

impl Claims for Kept {
    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let process = found.process();
        let value = process.read(MAIN).map_err(|error| Broken::new('B', format!("main cannot be read: {error}")))?;
        let state = String::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        let state = state.ok_or_else(|| Broken::new('B', "main is damaged"))?;
        if !found.allowed().contains(&state) {
            return Err(Broken::new('A', format!("main is {state}, not one of {:?}", found.allowed())));
        }
        let _left = process.remove("refs/heads/main.lock");
        Syncs::FileAndDirectory.run(&process).map_err(|error| Broken::new('E', error.to_string()))
    }
}

pub(crate) fn crash(syncs: Syncs, model: Model) -> io::Result<Tally> {
    let mut before = Tree::default();
    before.put(MAIN, "0");
    explore("files backend", &before, &syncs, &Kept, (model, Effort::default()))
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for syncs in [Syncs::Nothing, Syncs::File, Syncs::FileAndDirectory] {
        for model in Model::ALL {
            let tally = crash(syncs, model)?;
            writeln!(out, "{syncs:?}, {model:?}: {tally}")?;
            if let Some(shortest) = tally.shortest() {
                writeln!(out, "{}", shortest.story)?;
            }
        }
    }
    Ok(())
}
