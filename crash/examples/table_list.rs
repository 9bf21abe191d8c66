//! A toy of reftable's protocol: every commit adds a table, which is never changed, and replaces
//! the list that names all of them. Crashed everywhere, and those who find a crash as well; then
//! once more without each of its syncs.
//!
//! `cargo run -p reftable-crash --example table_list`

use std::io::{self, Write as _};

use reftable_crash::{Broken, Claims, Effort, Found, Model, Process, Protocol, Tally, Tree, explore};

const LIST: &str = "tables.list";

/// A sync that the protocol leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mistake {
    None,
    NoTableSync,
    NoListSync,
    NoDirSyncBefore,
    NoDirSyncAfter,
}

impl Mistake {
    /// Adds table `number` to the list. A table says its number twice, so that one sees what of it
    /// is missing.
    fn commit(self, process: &Process, number: usize) -> io::Result<()> {
        let (table, mut list) = (format!("{number}.ref"), process.read(LIST)?);
        let file = process.write_new(&table, format!("{number}={number}").as_bytes())?;
        if self != Mistake::NoTableSync {
            file.sync()?;
        }
        list.extend(format!("{table}\n").into_bytes());
        let lock = process.write_new("tables.list.lock", &list)?;
        if self != Mistake::NoListSync {
            lock.sync()?;
        }
        if self != Mistake::NoDirSyncBefore {
            process.sync_dir("")?;
        }
        process.publishes(&format!("commit {number}"), number);
        process.rename("tables.list.lock", LIST)?;
        if self != Mistake::NoDirSyncAfter {
            process.sync_dir("")?;
        }
        Ok(())
    }
}

impl Protocol for Mistake {
    fn run(&self, process: &Process) -> io::Result<()> {
        for number in 1..=2 {
            self.commit(process, number)?;
            process.acknowledges(&format!("commit {number}"), number);
        }
        Ok(())
    }
}

/// A: what was acknowledged is there. B: what is listed can be read. E: the next commit goes
/// through.
pub(crate) struct Kept;

fn state(process: &Process) -> io::Result<usize> {
    let list = String::from_utf8(process.read(LIST)?).map_err(io::Error::other)?;
    for (table, number) in list.lines().zip(1..) {
        if process.read(table)? != format!("{number}={number}").into_bytes() {
            return Err(io::Error::other(format!("{table} is damaged")));
        }
    }
    Ok(list.lines().count())
}

impl Claims for Kept {
    /// Removes what crashed processes have left.
    fn recover(&self, process: &Process) -> Result<(), Broken> {
        let clean = || {
            let list = process.read(LIST)?;
            let is_listed = |name: &str| name == LIST || String::from_utf8_lossy(&list).lines().any(|l| l == name);
            process.list("")?.iter().filter(|name| !is_listed(name)).try_for_each(|name| process.remove(name))
        };
        clean().map_err(|error| Broken::new('E', format!("cannot clean: {error}")))
    }

    fn judge(&self, found: &Found<'_>) -> Result<(), Broken> {
        let process = found.process();
        let state = state(&process).map_err(|error| Broken::new('B', error.to_string()))?;
        if !found.allowed().contains(&state) {
            return Err(Broken::new('A', format!("{state} commits, not one of {:?}", found.allowed())));
        }
        let next = Mistake::None.commit(&process, state.saturating_add(1));
        next.map_err(|error| Broken::new('E', format!("the next commit fails: {error}")))
    }
}

pub(crate) fn crash(mistake: Mistake, model: Model) -> io::Result<Tally> {
    let mut before = Tree::default();
    before.put(LIST, "");
    explore("list of tables", &before, &mistake, &Kept, (model, Effort::default()))
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mistakes = [Mistake::None, Mistake::NoTableSync, Mistake::NoListSync];
    for mistake in mistakes.into_iter().chain([Mistake::NoDirSyncBefore, Mistake::NoDirSyncAfter]) {
        for model in Model::ALL {
            let tally = crash(mistake, model)?;
            writeln!(out, "{mistake:?}, {model:?}: {tally}")?;
            if let Some(shortest) = tally.shortest() {
                writeln!(out, "{}", shortest.story)?;
            }
        }
    }
    Ok(())
}
