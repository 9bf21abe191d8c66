//! A thread that does something whenever it is woken, and ends with its owner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::sync::{OnceLock, Wake, Waker, wake};

/// A thread that is started when there is something to do for the first time. Dropping it ends the
/// thread: what it is doing is told to stop, and waited for.
///
/// A child of the process that has the thread does not have it: there [`Self::wake`] says so, and a
/// drop waits for no thread.
pub(crate) struct Worker {
    name: &'static str,
    /// Which process this is.
    process_id: Box<dyn Fn() -> u32 + Send + Sync>,
    /// `None` inside if the system gave no thread.
    thread: OnceLock<Option<Thread>>,
}

struct Thread {
    waker: Waker,
    stop: Arc<AtomicBool>,
    handle: JoinHandle<()>,
    /// The process that has it.
    process: u32,
}

/// Whether the work is to end before it is done.
pub(crate) struct Stop<'a>(&'a AtomicBool);

impl Stop<'_> {
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Worker {
    /// One without a thread yet. `process_id` tells which process this is.
    pub(crate) fn new(name: &'static str, process_id: impl Fn() -> u32 + Send + Sync + 'static) -> Worker {
        Worker { name, process_id: Box::new(process_id), thread: OnceLock::new() }
    }

    /// Has the thread do its work, now or when it is done with what it does; the first call says
    /// what that is. False if there is no thread: the system gave none, it has panicked, or this is
    /// a child of the process that has it.
    pub(crate) fn wake<W: FnMut(Stop<'_>) + Send + 'static>(&self, work: impl FnOnce() -> W) -> bool {
        let process = (self.process_id)();
        let thread = self.thread.get_or_init(|| Thread::start(self.name, process, work()).ok());
        let is_there = |thread: &&Thread| thread.process == process && !thread.handle.is_finished();
        let Some(thread) = thread.as_ref().filter(is_there) else { return false };
        thread.waker.wake();
        true
    }
}

impl Thread {
    fn start(name: &str, process: u32, mut work: impl FnMut(Stop<'_>) + Send + 'static) -> std::io::Result<Thread> {
        let (waker, woken) = wake();
        let stop = Arc::new(AtomicBool::new(false));
        let run = {
            let stop = Arc::clone(&stop);
            move || run(&woken, &stop, &mut work)
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Thread { waker, stop, handle, process })
    }
}

fn run(woken: &Wake, stop: &AtomicBool, work: &mut impl FnMut(Stop<'_>)) {
    while woken.wait() {
        work(Stop(stop));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(Thread { waker, stop, handle, process }) = self.thread.take().flatten() else { return };
        stop.store(true, Ordering::Relaxed);
        drop(waker);
        if process != (self.process_id)() {
            // There is no such thread in a child. Waiting for it would never end.
            std::mem::forget(handle);
        } else if let Err(panic) = handle.join() {
            // It has been reported by the thread itself; the caller that drops its owner has done
            // nothing wrong.
            drop(panic);
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::*;

    /// Whatever takes so long never comes.
    const LONG: Duration = Duration::from_secs(20);

    /// A worker of a process that may seem to be another one, and what it has done.
    fn worker() -> (Worker, Arc<AtomicU32>) {
        let process = Arc::new(AtomicU32::new(1));
        let seen = Arc::clone(&process);
        (Worker::new("test", move || seen.load(Ordering::Relaxed)), process)
    }

    #[test]
    fn work_is_done_when_it_is_asked_for_and_by_one_thread() {
        let (worker, _) = worker();
        let (done, results) = mpsc::channel();
        for _ in 0..3 {
            let done = done.clone();
            assert!(worker.wake(|| move |_: Stop<'_>| done.send(std::thread::current().id()).unwrap()));
            assert_ne!(results.recv_timeout(LONG).unwrap(), std::thread::current().id());
        }
        drop((worker, done));
        assert!(results.iter().next().is_none(), "the thread has ended, and its work with it");
    }

    #[test]
    fn what_is_asked_for_meanwhile_is_done_after() {
        let (worker, _) = worker();
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let wake = || {
            worker.wake(|| {
                move |_: Stop<'_>| {
                    let _ = begun.send(());
                    let _ = released.recv();
                }
            })
        };
        let is_there = wake();
        has_begun.recv_timeout(LONG).unwrap();
        let no_work = || |_: Stop<'_>| unreachable!("there is a thread already");
        // Both of these come to one.
        assert!(is_there && worker.wake(no_work) && worker.wake(no_work));
        release.send(()).unwrap();
        has_begun.recv_timeout(LONG).unwrap();
        release.send(()).unwrap();
        drop(worker);
        assert!(has_begun.recv().is_err());
    }

    #[test]
    fn a_thread_that_panics_is_gone_and_its_owner_goes_on() {
        let (worker, _) = worker();
        assert!(worker.wake(|| |_: Stop<'_>| panic!("as it should")));
        let start = Instant::now();
        while worker.wake(|| |_: Stop<'_>| unreachable!("no second thread")) {
            assert!(start.elapsed() < LONG, "a thread that has panicked is believed to work");
            std::thread::yield_now();
        }
        drop(worker);
    }

    #[test]
    fn a_drop_stops_what_is_being_done() {
        let (worker, _) = worker();
        let (begun, has_begun) = mpsc::channel();
        worker.wake(|| {
            move |stop: Stop<'_>| {
                let _ = begun.send(());
                while !stop.is_asked_for() {
                    std::thread::yield_now();
                }
            }
        });
        has_begun.recv_timeout(LONG).unwrap();
        drop(worker);
    }

    #[test]
    fn a_child_has_no_thread() {
        let (worker, process) = worker();
        let (release, released) = mpsc::channel::<()>();
        worker.wake(|| {
            move |_: Stop<'_>| {
                let _ = released.recv();
            }
        });
        process.store(2, Ordering::Relaxed);
        assert!(!worker.wake(|| |_: Stop<'_>| unreachable!("there is a thread already")));
        // Would wait for ever if it waited for the thread, which waits for us.
        drop(worker);
        drop(release);
    }

    #[test]
    fn without_work_there_is_no_thread() {
        let (worker, _) = worker();
        assert!(worker.thread.get().is_none());
    }
}
