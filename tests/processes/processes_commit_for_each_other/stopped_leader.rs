//! A leader that stops in the midst of a commit, with the transaction of a follower in its group.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use reftable::lock::RobustLocks;
use reftable::{Commit, Expect, Options, Result, Stack};

use super::{commit, hold, in_background, store, wait_for_requests};
use crate::support::over_dir::{Hook, OverDir, Work};

/// Stops the process that is about to rename the list, and says so, until it is told to go on.
struct Stopped {
    stops: SyncSender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl Hook for Stopped {
    fn around(&self, call: &'static str, name: &str, work: Work<'_>) -> io::Result<()> {
        if call == "rename" && name.ends_with(".tmp") && self.stops.send(()).is_ok() {
            // An error means that the test is over.
            let _ = self.goes_on.lock().unwrap().recv();
        }
        work()
    }
}

/// A leader stops with the transaction of a follower in its group, which has these options, and
/// goes on after `later`. Says what the follower was told, and when, and whether its change is
/// there at last.
pub(crate) fn followed_by(options: &Options, later: Duration) -> (Result<Commit>, Duration, bool) {
    loop {
        let dir = store();
        let held = hold(dir.path());
        let start = Instant::now();
        let follower = in_background(dir.path(), options.clone(), "refs/heads/follower", Expect::Absent);
        let told = thread::spawn(move || (follower.join().unwrap().0, start.elapsed()));
        wait_for_requests(dir.path(), 1);
        let ((stops, is_stopped), (go_on, goes_on)) = (sync_channel(1), sync_channel(1));
        let slow = OverDir::over(dir.path(), Arc::new(Stopped { stops, goes_on: Mutex::new(goes_on) }));
        let leader = Stack::open_in(slow, Box::new(RobustLocks::new(false)), super::options()).unwrap();
        let leading = thread::spawn(move || (commit(&leader, "refs/heads/leader", Expect::Absent), leader));
        thread::sleep(Duration::from_millis(25));
        drop(held);
        if is_stopped.recv_timeout(Duration::from_secs(2)).is_ok() {
            thread::sleep(later);
        }
        go_on.send(()).unwrap();
        let (told, after) = told.join().unwrap();
        let (led, leader) = leading.join().unwrap();
        led.unwrap();
        // Else the follower was first, or has given up before it was taken along.
        if leader.metrics().committed_for_others > 0 {
            return (told, after, leader.snapshot().unwrap().get("refs/heads/follower").unwrap().is_some());
        }
    }
}
