//! What we write, git lists, logs, checks and packs; and what git made of it we read again.

use crate::support::effort::bound;
use crate::support::git::{self, Repo};
use crate::support::{self, HASHES, Random, assert_no_garbage, assert_verifies, quick};
use reftable::compact::Compact;
use reftable::table::WriteOptions;
use reftable::{AutoCompact, Expect, Ident, LogEntry, ObjectId, Options, Stack, Target};

/// Ways to write that readers must not notice.
fn ways() -> Vec<Options> {
    let write = |size, interval, padding, objects| {
        WriteOptions::default().block_size(size).restart_interval(interval).padding(padding).object_index(objects)
    };
    vec![
        Options::default(),
        quick().write(write(1024, 1, true, true)),
        quick().write(write(512, 3, false, true)).auto_compact(AutoCompact::Geometric(4)),
        quick().write(write(65536, u16::MAX, true, false)).auto_compact(AutoCompact::Off),
        quick().write(write(reftable::format::MAX_BLOCK_SIZE, 64, false, true)),
    ]
}

struct Pair<'a> {
    repo: &'a Repo,
    stack: Stack,
    ids: Vec<ObjectId>,
}

impl Pair<'_> {
    /// git agrees with us, before and after each side has packed.
    fn check(&self) {
        self.agree();
        self.stack.compact(Compact::all()).unwrap();
        assert_eq!(self.stack.snapshot().unwrap().tables().len(), 1);
        self.agree();
        self.repo.git(["pack-refs", "--all"]);
        self.agree();
    }

    fn agree(&self) {
        git::assert_lists_equal(self.repo, self.repo.work_tree(), &self.stack.snapshot().unwrap());
        self.repo.assert_fsck();
        assert_verifies(&self.stack);
        assert_no_garbage(self.stack.path());
    }

    fn id(&self, number: usize) -> ObjectId {
        self.ids[number % self.ids.len()]
    }
}

/// Runs `scenario` on a repository that git has just made, for both hashes and all ways to write.
fn everywhere(scenario: impl Fn(&Pair<'_>)) {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        for options in ways() {
            let repo = Repo::new(hash);
            let ids = repo.commits(5).iter().map(|id| id.parse().unwrap()).collect();
            let pair = Pair { stack: repo.open(options), repo: &repo, ids };
            scenario(&pair);
            pair.check();
        }
    }
}

fn who(time: u64, time_zone: i16) -> Ident {
    Ident { time_zone, ..Ident::new(b"N\xf6 Body", "n@example.com", time) }
}

#[test]
fn one_reference() {
    everywhere(|pair| {
        let mut tx = pair.stack.transaction();
        tx.set("refs/heads/main", Expect::Absent, pair.id(0)).reflog(who(5, -90), "created");
        tx.commit().unwrap();
    });
}

#[test]
fn twenty_commits() {
    everywhere(|pair| {
        for number in 0..20 {
            let mut tx = pair.stack.transaction();
            tx.set(format!("refs/heads/b{number}"), Expect::Absent, pair.id(number));
            tx.set("refs/heads/main", Expect::Any, pair.id(number)).reflog(who(number as u64, 0), "moved");
            let commit = tx.commit().unwrap();
            assert!(commit.compaction.is_none_or(|compaction| compaction.is_ok()));
        }
    });
}

#[test]
fn many_references() {
    let references = bound("references that git reads", 5000, 1000);
    everywhere(|pair| {
        let mut tx = pair.stack.transaction();
        for number in 0..references {
            tx.set(format!("refs/heads/many/{number:05}"), Expect::Absent, pair.id(number));
        }
        tx.commit().unwrap();
        let points_at = format!("--points-at={}", pair.id(3));
        let told = pair.repo.git(["for-each-ref", points_at.as_str()]);
        assert_eq!(git::lines(&told).count(), references / 5);
    });
}

#[test]
fn symbolic_references_and_tags() {
    everywhere(|pair| {
        pair.repo.git(["tag", "-a", "-m", "x", "theirs", &pair.id(1).to_string()]);
        let tag: ObjectId = pair.repo.line(["rev-parse", "theirs"]).parse().unwrap();
        let mut tx = pair.stack.transaction();
        tx.set("refs/tags/ours", Expect::Absent, Target::Tag { id: tag, peeled: pair.id(1) });
        tx.set("refs/tags/light", Expect::Absent, pair.id(2));
        tx.set("refs/heads/main", Expect::Absent, pair.id(0));
        tx.set("refs/heads/alias", Expect::Absent, Target::symbolic("refs/heads/main"));
        tx.set("refs/remotes/origin/HEAD", Expect::Absent, Target::symbolic("refs/heads/alias"));
        tx.set("ORIG_HEAD", Expect::Absent, pair.id(3));
        tx.set("refs/heads/\u{e4}\u{1f600}", Expect::Absent, pair.id(4));
        tx.commit().unwrap();
    });
}

#[test]
fn deletions() {
    everywhere(|pair| {
        for number in 0..8 {
            let mut tx = pair.stack.transaction();
            tx.set(format!("refs/heads/d{number}"), Expect::Absent, pair.id(number));
            tx.set(format!("refs/heads/d{number}-too"), Expect::Absent, pair.id(number));
            tx.commit().unwrap();
        }
        let mut tx = pair.stack.transaction();
        for number in (0..8).step_by(2) {
            tx.delete(format!("refs/heads/d{number}"), Expect::Exists);
        }
        tx.delete("refs/heads/d1", Expect::Is(pair.id(1).into())).set(
            "refs/heads/d1/below",
            Expect::Absent,
            pair.id(0),
        );
        tx.commit().unwrap();
    });
}

#[test]
fn logs_and_their_deletions() {
    everywhere(|pair| {
        let log = |turn: usize, message: &[u8]| LogEntry {
            old: pair.id(turn),
            new: pair.id(turn + 1),
            committer: who(1_000_000_000 + turn as u64, [0, -1130, 1400][turn % 3]),
            message: message.to_vec(),
        };
        let messages: [&[u8]; 5] = [b"", b"caf\xe9 \xff\xfe", b"tab\tand \x01\x7f", &[b'm'; 150], b"last\n"];
        for (turn, message) in messages.into_iter().enumerate() {
            let mut tx = pair.stack.transaction();
            tx.set("refs/heads/main", Expect::Any, pair.id(turn + 1));
            tx.append_log("refs/heads/main", log(turn, message));
            tx.set("refs/heads/gone", Expect::Any, pair.id(turn + 1)).append_log("refs/heads/gone", log(turn, b"gone"));
            // Several in one transaction keep their order.
            tx.append_log("HEAD", log(turn, b"first")).append_log("HEAD", log(turn + 1, b"second"));
            tx.commit().unwrap();
        }
        pair.agree();
        let third = support::contents::log(&pair.stack.snapshot().unwrap(), "refs/heads/main")[2].update_index;
        let mut tx = pair.stack.transaction();
        tx.delete_log_entry("refs/heads/main", third).delete_log("refs/heads/gone");
        tx.commit().unwrap();
        assert_eq!(support::contents::log(&pair.stack.snapshot().unwrap(), "refs/heads/main").len(), 4);
        assert!(pair.repo.try_git(["reflog", "exists", "refs/heads/gone"]).status.code() == Some(1));
    });
}

#[test]
fn git_goes_on_where_we_stop() {
    everywhere(|pair| {
        for turn in 0..6 {
            let mut tx = pair.stack.transaction();
            tx.set("refs/heads/main", Expect::Any, pair.id(turn)).reflog(who(turn as u64, 0), "ours");
            tx.commit().unwrap();
            pair.repo.git(["update-ref", "-m", "theirs", "refs/heads/main", &pair.id(turn + 1).to_string()]);
            let found = pair.stack.snapshot().unwrap().get("refs/heads/main").unwrap().unwrap();
            assert_eq!(found.target, Target::Id(pair.id(turn + 1)));
        }
        let snapshot = pair.stack.snapshot().unwrap();
        assert_eq!(support::contents::log(&snapshot, "refs/heads/main").len(), 12);
    });
}

/// Fast deflation would make them longer than git expects of their blocks.
#[test]
fn long_messages_that_hardly_repeat() {
    if !git::is_there() {
        return;
    }
    for hash in HASHES {
        let repo = Repo::new(hash);
        let ids: Vec<ObjectId> = repo.commits(2).iter().map(|id| id.parse().unwrap()).collect();
        let stack = repo.open(quick());
        let mut random = Random(7);
        let mut character = || char::from_u32(0x4e00 + random.below(0x5000) as u32).unwrap();
        for number in 0..24 {
            let message: String = (0..1150 + 6 * number).map(|_| character()).collect();
            let mut tx = stack.transaction();
            tx.set("refs/heads/main", Expect::Any, ids[number % 2]).reflog(who(number as u64, 0), message);
            tx.commit().unwrap();
        }
        let told = repo.git(["reflog", "show", "--format=%gs", "refs/heads/main"]);
        assert_eq!(git::lines(&told).count(), 24);
        assert_verifies(&stack);
    }
}
