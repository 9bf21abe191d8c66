//! A thread that compacts after commits, for processes that live on and ask for it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::stack::{Shared, Stack};
use crate::sync::{Wake, Waker, wake};

/// The thread of a handle. Dropping it ends the thread.
///
/// What the end of things does to a compaction that is running:
///
/// - *The last handle is dropped:* the compaction stops at its next range of keys, and its output
///   is removed. One that waits for the list lock to publish goes on, for at most as long as a
///   commit waits. The drop waits for the thread.
/// - *The process ends without dropping:* as with a kill. What it wrote is not listed, its locks
///   heal, the next compaction removes its files.
/// - *The process forks:* the child has no such thread, and compacts at the end of its commit
///   calls. The parent goes on.
#[derive(Debug)]
pub(crate) struct Background {
    /// `None` once it ends.
    waker: Option<Waker>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    dir: Arc<dyn Dir>,
    /// The process that has the thread.
    process: u32,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Io` when the system gives no thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<Background> {
        let (waker, woken) = wake();
        let stop = Arc::new(AtomicBool::new(false));
        // Without a thread of its own: it must not keep itself alive.
        let stack = Stack::without_background(Arc::clone(shared));
        let thread = std::thread::Builder::new()
            .name("reftable-compact".to_owned())
            .spawn({
                let stop = Arc::clone(&stop);
                move || run(&stack, &woken, &stop)
            })
            .map_err(|error| Error::io_somewhere("cannot start the thread for compactions", error))?;
        let (dir, process) = (Arc::clone(&shared.dir), shared.dir.process_id());
        Ok(Background { waker: Some(waker), thread: Some(thread), stop, dir, process })
    }

    /// Asks the thread to look whether a compaction is due. False in a child of the process that
    /// has the thread.
    pub(crate) fn wake(&self) -> bool {
        let is_here = self.process == self.dir.process_id();
        if is_here && let Some(waker) = &self.waker {
            waker.wake();
        }
        is_here
    }
}

fn run(stack: &Stack, woken: &Wake, stop: &AtomicBool) {
    while woken.wait() {
        // Its failure is counted; the next commit asks again.
        let _ = stack.compact_if_due(&|_| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.waker.take());
        let Some(thread) = self.thread.take() else { return };
        if self.process != self.dir.process_id() {
            // There is no such thread in a child. Waiting for it would never end.
            std::mem::forget(thread);
        } else if let Err(panic) = thread.join() {
            // It has been reported by the thread itself; whoever drops a handle has done nothing
            // wrong.
            drop(panic);
        }
    }
}
