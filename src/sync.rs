//! The one place that names a synchronisation primitive: `parking_lot`, or loom's under `--cfg
//! loom`.
//!
//! Reference counts stay the standard library's: they order nothing that a model would want to
//! explore. So do counters that nobody decides by.

#[cfg(not(loom))]
use std::thread;

#[cfg(loom)]
use loom::thread;

// A cell that is filled once and a counter that may be wrong order nothing either.
pub(crate) use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(not(loom))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use self::model::{Condvar, Guard as MutexGuard, Mutex};

pub(crate) type ThreadId = thread::ThreadId;

/// The current thread. A model runs all of its threads on one of the system's.
pub(crate) fn this_thread() -> ThreadId {
    thread::current().id()
}

/// A thread that was started, to be waited for.
pub(crate) type JoinHandle<T> = thread::JoinHandle<T>;

/// Starts a thread.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let builder = thread::Builder::new().name(name.to_owned());
    // Machine words, enough to panic in.
    #[cfg(loom)]
    let builder = builder.stack_size(1 << 15);
    builder.spawn(run)
}

/// A number that any thread may add to, for people to look at.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Keeps the larger one.
    pub(crate) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A way to wake a thread that has work to do from time to time.
#[cfg(not(loom))]
pub(crate) fn wake() -> (Waker, Wake) {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    (Waker(sender), Wake(receiver))
}

/// The side that wakes. Dropping it ends the waiting.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Waker(crossbeam_channel::Sender<()>);

#[cfg(not(loom))]
impl Waker {
    /// Wakes the thread, now or when it waits next. Never blocks.
    pub(crate) fn wake(&self) {
        // Full: it will wake anyway.
        let _ = self.0.try_send(());
    }
}

/// The side that waits.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Wake(crossbeam_channel::Receiver<()>);

#[cfg(not(loom))]
impl Wake {
    /// Waits to be woken; false when no thread can do so any more.
    pub(crate) fn wait(&self) -> bool {
        self.0.recv().is_ok()
    }
}

#[cfg(loom)]
mod model {
    use std::ops::{Deref, DerefMut};
    use std::time::Duration;

    /// loom's mutex with `parking_lot`'s face: no poisoning.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard { mutex: self, held: Some(self.lock_now()) }
        }

        fn lock_now(&self) -> loom::sync::MutexGuard<'_, T> {
            match self.0.lock() {
                Ok(guard) => guard,
                Err(poisoned) => poisoned.into_inner(),
            }
        }
    }

    pub(crate) struct Guard<'a, T> {
        mutex: &'a Mutex<T>,
        /// `None` only while a condition is waited for.
        held: Option<loom::sync::MutexGuard<'a, T>>,
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            match &self.held {
                Some(held) => held,
                None => unreachable!("nobody looks while waiting"),
            }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            match &mut self.held {
                Some(held) => held,
                None => unreachable!("nobody looks while waiting"),
            }
        }
    }

    /// loom's condition variable with `parking_lot`'s face.
    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    /// Whether a wait ended by its time-out.
    pub(crate) struct Waited(bool);

    impl Waited {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Self {
            Condvar(loom::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            if let Some(held) = guard.held.take() {
                guard.held = Some(match self.0.wait(held) {
                    Ok(held) => held,
                    Err(poisoned) => poisoned.into_inner(),
                });
            }
        }

        /// Time has no length in a model: a thread that waits for a time lets the others run, and
        /// gives up.
        pub(crate) fn wait_for<T>(&self, guard: &mut Guard<'_, T>, _time: Duration) -> Waited {
            guard.held = None;
            loom::thread::yield_now();
            guard.held = Some(guard.mutex.lock_now());
            Waited(true)
        }

        pub(crate) fn notify_one(&self) -> bool {
            self.0.notify_one();
            true
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
