//! What `HEAD` says, for those who only want to know that.

use reftable::bytes::Reading;
use reftable::peek::Peek;

use crate::error::{Error, Result};
use crate::format::RefStorage;
use crate::names::Home;
use crate::repository::Repository;
use crate::upstream::Upstream;
use crate::view::{Chain, Head};

impl Repository {
    /// What `HEAD` says: a look at two names, and no configuration but the format.
    ///
    /// # Errors
    /// If there is no `HEAD`, or a store cannot be read.
    pub fn head(&self) -> Result<Head> {
        if let Some(head) = self.peek_head() {
            return Ok(head);
        }
        self.view(Reading::Mapped)?.head()
    }

    /// What `HEAD` says, without opening a store; `None` if that is to be opened to tell.
    fn peek_head(&self) -> Option<Head> {
        if self.format().is_some_and(|format| format.refs != RefStorage::Reftable) {
            return None;
        }
        // The stores are those of the directories; a linked worktree's is the second.
        let worktree = self.directories().nth(1);
        let mut shared = None;
        let mut own = Peek::open(worktree.unwrap_or(self.shared())).ok()?;
        let get = |name: &[u8]| match (Home::of(name), worktree) {
            (Home::Own(name), _) | (Home::Shared(name), None) => Ok(own.get(name)?),
            (Home::Shared(name), Some(_)) => {
                let opened = match shared.take() {
                    Some(opened) => opened,
                    None => Peek::open(self.shared())?,
                };
                Ok(shared.insert(opened).get(name)?)
            }
            _ => Err(Error::invalid("this is not in the stores of this worktree")),
        };
        Chain::from(b"HEAD", get).ok()?.into_head().ok()
    }

    /// What `HEAD` says, and what its branch follows: one open of the stores, and all of the
    /// configuration.
    ///
    /// # Errors
    /// As [`Repository::head`] and [`Repository::config`].
    pub fn head_and_upstream(&self) -> Result<(Head, Option<Upstream>)> {
        let head = self.head()?;
        let upstream = match &head {
            Head::Branch { name, .. } | Head::Unborn { name } => Upstream::of(name, self.config_on(Some(name))?),
            Head::Detached { .. } => None,
        };
        Ok((head, upstream))
    }

    /// What `branch` follows, a full name; `None` if it is no branch, or follows nothing.
    ///
    /// # Errors
    /// As [`Repository::config`].
    pub fn upstream(&self, branch: &[u8]) -> Result<Option<Upstream>> {
        Ok(self.config()?.and_then(|config| Upstream::of(branch, config)))
    }
}
