//! A compaction that is killed, and a git that merges what it had made: the attribute that says
//! what was merged is gone then.

use reftable::Durability;
use reftable::compact::Expiry;

use super::git::{Fsync, Git};
use super::run::{GIT, Run};
use super::stage::{Sink, at_once, for_each_change, plain, set, stairs};

/// Process 1 dies at each change of a compaction. git commits and merges as soon as nobody keeps it
/// out; while the dead process does, process 2 commits first. After all that nothing may be left.
pub(super) fn killed_before_git_merges(sink: Sink<'_>) {
    let off = || at_once().auto_compact(reftable::AutoCompact::Off);
    for options in [plain(), off()] {
        for durability in [Durability::Full, Durability::Ordered] {
            for_each_change(|change| {
                let run = Run::start(&stairs(3));
                let dead = run.actor(1, Durability::Full, options.clone());
                let successor = run.actor(2, durability, plain());
                run.world.kill_at(1, change);
                dead.compact(Expiry::default());
                drop(dead);
                let git = Git::new(&run, GIT, Fsync::Default);
                if git.is_kept_out() {
                    successor.commit(set("next", 1, 50));
                } else {
                    git.commit(set("git", 1, 60));
                }
                git.merge_all();
                drop(successor);
                let last = run.actor(3, Durability::Full, plain());
                last.commit(set("last", 1, 51));
                drop(last);
                let came_true = !run.world.forget_plans(1);
                let mut recording = run.finish();
                // What a crash of git leaves, and what it loses of what git did, is another story.
                recording.least_acknowledged = recording.history.len() - 1;
                sink(recording);
                came_true
            });
        }
    }
}
