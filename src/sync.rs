//! The one place that names a synchronisation primitive: `parking_lot`, or loom's under `--cfg loom`.
//!
//! Reference counts stay the standard library's: they order nothing that a model would want to explore.

#[cfg(not(loom))]
pub(crate) use parking_lot::Mutex;

#[cfg(loom)]
pub(crate) use self::model::Mutex;

/// The thread at hand.
#[cfg(not(loom))]
pub(crate) fn this_thread() -> std::thread::ThreadId {
    std::thread::current().id()
}

/// The thread at hand: a model runs all of its threads on one of the system's.
#[cfg(loom)]
pub(crate) fn this_thread() -> loom::thread::ThreadId {
    loom::thread::current().id()
}

#[cfg(not(loom))]
pub(crate) type ThreadId = std::thread::ThreadId;
#[cfg(loom)]
pub(crate) type ThreadId = loom::thread::ThreadId;

#[cfg(loom)]
mod model {
    /// loom's mutex with `parking_lot`'s face: no poisoning.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }
    }
}
