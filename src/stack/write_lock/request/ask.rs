//! The side of who waits.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use super::record::{Kind, Record};
use super::{MAX_LEN, State, parse, print};
use crate::dir::Dir;
use crate::error::Result;
use crate::list::Temporary;
use crate::mutant::{self, Mutant};
use crate::scratch::Scratch;

/// A request of ours. Dropping it removes the file: whoever finds it later finds what became of it
/// in the log only.
#[derive(Debug)]
pub(crate) struct Asked {
    dir: Arc<dyn Dir>,
    file: Scratch,
    /// How long the file was when we looked last, and what we saw.
    seen: RefCell<(u64, State)>,
}

impl Asked {
    /// Writes down what is wanted. `None` if that cannot be done here: it is too much, or there are
    /// no kernel locks, by which others tell whether we live.
    ///
    /// # Errors
    /// `Io`; also where not everybody who may become the leader could answer.
    pub(crate) fn place(dir: &Arc<dyn Dir>, key: &[u8], wanted: &[u8]) -> Result<Option<Asked>> {
        if wanted.len() > MAX_LEN {
            return Ok(None);
        }
        let mut file = Scratch::temporary_locked(dir, Temporary::Request)?;
        if !file.is_locked() {
            return Ok(None);
        }
        let bytes = print(key, wanted);
        file.write_all(&bytes).map_err(|error| file.failed("cannot write the request", error))?;
        let seen = RefCell::new((bytes.len() as u64, State::Open));
        Ok(Some(Asked { dir: Arc::clone(dir), file, seen }))
    }

    /// What has become of it. Costs one `fstat` while nothing has.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn state(&self) -> Result<State> {
        let mut seen = self.seen.borrow_mut();
        let size = self.file.stamp()?.size;
        if size != seen.0 {
            let contents = self.file.contents()?;
            let state = parse(&contents).map_or_else(|| seen.1.clone(), |parsed| parsed.state);
            *seen = (contents.len() as u64, state);
        }
        Ok(seen.1.clone())
    }

    /// The values that it has replaced, once it is published. `None` if its leader does not say.
    pub(crate) fn replaced(&self) -> Option<Vec<u8>> {
        parse(&self.file.contents().ok()?)?.replaced
    }

    /// Whether it still has its name: who cannot say what has become of it takes that away.
    pub(crate) fn has_name(&self) -> bool {
        match self.dir.stamp(self.file.name()) {
            Ok(there) => self.file.is(&there),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Takes it back, unless somebody is doing it already. Returns what has become of it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn withdraw(&mut self) -> Result<State> {
        if mutant::is_on(Mutant::WithdrawSilently) {
            return Ok(State::Closed);
        }
        let written = self.file.write_all(&Record::new(Kind::Withdrawn, 0, 0).print());
        written.map_err(|error| self.file.failed("cannot withdraw the request", error))?;
        self.state()
    }
}
