//! Noticing that the list was replaced without asking for its name.
//!
//! A list is replaced by another file that takes its name. Where the file system counts the names
//! of a file ([`Dir::tells_renames`]), the list that a handle has open tells so itself, in a third
//! of the time:
//!
//! 1. We ask the open list how it is named.
//! 2. We ask for the name: it leads to that list. So it did when 1 was answered.
//! 3. From then on whoever takes the name away from the list changes what 1 says. As long as it
//!    says the same, the list is the newest.
//!
//! What 1 does not tell is that the whole directory was moved away and another one put in its
//! place: nothing about the list changes. So the name is asked for again every 100 ms.
//!
//! [`Dir::tells_renames`]: crate::Dir::tells_renames

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::dir::Naming;
use crate::snapshot::Snapshot;

/// How long an open list is believed.
const TRUSTED: Duration = Duration::from_millis(100);

/// More than a tick of the clock by which files are dated.
const SETTLED: Duration = Duration::from_millis(20);

/// When somebody last asked for the name of the list, and what the list itself said before that.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Watch {
    /// `None` if nobody has asked since the list was read.
    looked: Option<Duration>,
    /// `None` if nobody asks often.
    naming: Option<Naming>,
}

impl Shared {
    /// The cached state, if its list says that it still has its name.
    pub(super) fn watched(&self) -> Option<Snapshot> {
        let (list, snapshot, naming) = {
            let cache = self.cache.lock();
            let cached = cache.as_ref()?;
            let (looked, naming) = (cached.watch.looked?, cached.watch.naming?);
            if self.dir.now().saturating_sub(looked) >= TRUSTED {
                return None;
            }
            (Arc::clone(&cached.list), cached.snapshot.clone(), naming)
        };
        (list.naming().ok()? == naming).then_some(snapshot)
    }

    /// What to keep if the name of the list leads to the cached one. To be taken before that is
    /// asked for.
    pub(super) fn watch(&self) -> Option<Watch> {
        let (list, made, before) = {
            let cache = self.cache.lock();
            let cached = cache.as_ref()?;
            (Arc::clone(&cached.list), cached.stamp.modified, cached.watch.looked)
        };
        let now = self.dir.now();
        let is_often = before.is_some_and(|before| now.saturating_sub(before) < 2 * TRUSTED);
        let watch = Watch { looked: Some(now), naming: None };
        if !is_often || !self.is_settled(made) || !*self.tells_renames.get_or_init(|| self.dir.tells_renames()) {
            return Some(watch);
        }
        let naming = list.naming().ok().filter(|naming| naming.links > 0 && self.is_settled(naming.changed));
        Some(Watch { naming, ..watch })
    }

    /// Whether what happens now has another time than that.
    fn is_settled(&self, time: u128) -> bool {
        self.dir.wall_clock().is_some_and(|now| now.saturating_sub(time) > SETTLED.as_nanos())
    }
}
