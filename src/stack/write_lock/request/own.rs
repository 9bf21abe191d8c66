//! The side of the follower, which waits.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Arc;

use super::record::{Kind, RequestRecord};
use super::{MAX_LEN, RequestState, parse, print};
use crate::dir::Dir;
use crate::error::Result;
use crate::list::Temporary;
use crate::mutant::{self, Mutant};
use crate::temp_file::TempFile;

/// A request of this process. Dropping it removes the file: a leader that has it open tells what
/// became of it to the log only.
#[derive(Debug)]
pub(crate) struct OwnRequest {
    dir: Arc<dyn Dir>,
    file: TempFile,
    /// How long the file was when we looked last, and what we saw.
    seen: RefCell<(u64, RequestState)>,
}

impl OwnRequest {
    /// Writes down the payload. `None` if that cannot be done here: it is too long, or there are no
    /// kernel locks, by which others tell whether we live.
    ///
    /// # Errors
    /// `Io`; also where not every process that may become the leader could answer.
    pub(crate) fn place(dir: &Arc<dyn Dir>, key: &[u8], payload: &[u8]) -> Result<Option<OwnRequest>> {
        if payload.len() > MAX_LEN {
            return Ok(None);
        }
        let mut file = TempFile::temporary_locked(dir, Temporary::Request)?;
        if !file.is_locked() {
            return Ok(None);
        }
        let bytes = print(key, payload);
        file.write_all(&bytes).map_err(|error| file.failed("cannot write the request", error))?;
        let seen = RefCell::new((bytes.len() as u64, RequestState::Open));
        Ok(Some(OwnRequest { dir: Arc::clone(dir), file, seen }))
    }

    /// What has become of it. Costs one `fstat` while nothing has.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn state(&self) -> Result<RequestState> {
        let mut seen = self.seen.borrow_mut();
        let size = self.file.stat()?.size;
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

    /// Whether it still has its name: a lock holder that cannot say what has become of it takes
    /// that away.
    pub(crate) fn has_name(&self) -> bool {
        match self.dir.stat(self.file.name()) {
            Ok(there) => self.file.is(&there),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Takes it back, unless a leader has claimed it already. Returns what has become of it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn withdraw(&mut self) -> Result<RequestState> {
        if mutant::is_on(Mutant::WithdrawSilently) {
            return Ok(RequestState::Closed);
        }
        let written = self.file.write_all(&RequestRecord::new(Kind::Withdrawn, 0, 0).print());
        written.map_err(|error| self.file.failed("cannot withdraw the request", error))?;
        self.state()
    }
}
