//! The side of who waits.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;

use super::{MAX_LEN, Record, State, parse, print};
use crate::dir::Dir;
use crate::error::Result;
use crate::list::Temporary;
use crate::mutant::{self, Mutant};
use crate::scratch::Scratch;

/// A request of ours. Dropping it removes the file: whoever finds it later finds what became of it in the log only.
#[derive(Debug)]
pub(crate) struct Asked {
    file: Scratch,
    /// How long the file was when we looked last, and what we saw.
    seen: Cell<(u64, State)>,
}

impl Asked {
    /// Writes down what is wanted. `None` if that cannot be done here: it is too much, or there are no kernel locks, by
    /// which others tell whether we live.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn place(dir: &Arc<dyn Dir>, terms: &[u8], wanted: &[u8]) -> Result<Option<Asked>> {
        if wanted.len() > MAX_LEN {
            return Ok(None);
        }
        let mut file = Scratch::temporary_locked(dir, Temporary::Request)?;
        if !file.is_locked() {
            return Ok(None);
        }
        let bytes = print(terms, wanted);
        file.write_all(&bytes).map_err(|error| file.failed("cannot write the request", error))?;
        Ok(Some(Asked { file, seen: Cell::new((bytes.len() as u64, State::Open)) }))
    }

    /// What has become of it. Costs one `fstat` while nothing has.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn state(&self) -> Result<State> {
        let (seen, state) = self.seen.get();
        let size = self.file.stamp()?.size;
        if size == seen {
            return Ok(state);
        }
        let contents = self.file.contents()?;
        let state = parse(&contents).map_or(state, |parsed| parsed.state);
        self.seen.set((contents.len() as u64, state));
        Ok(state)
    }

    /// Takes it back, unless somebody is doing it already. Returns what has become of it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn withdraw(&mut self) -> Result<State> {
        if mutant::is_on(Mutant::WithdrawSilently) {
            return Ok(State::Closed);
        }
        let written = self.file.write_all(&Record::Withdrawn.print());
        written.map_err(|error| self.file.failed("cannot withdraw the request", error))?;
        self.state()
    }
}
