//! `reftable compact`, as git sees it.

mod support;

use support::for_each_hash;

#[test]
fn everything_goes_into_one_table_and_nothing_is_lost() {
    for_each_hash(|repo| {
        for number in 0..5 {
            repo.git_adds_a_table(["commit", "-q", "--allow-empty", "-m", &number.to_string()]);
        }
        let refs = repo.git(["for-each-ref"]);
        let log = repo.git(["reflog"]);
        let text = repo.ours(["compact", "--all"]);
        assert!(text.contains(": merged 6 tables of "), "{text}");
        assert_eq!(std::fs::read_to_string(repo.store().join("tables.list")).unwrap().lines().count(), 1);
        assert_eq!((repo.git(["for-each-ref"]), repo.git(["reflog"])), (refs, log));
        assert!(repo.ours(["compact", "--all"]).ends_with("nothing to do"));
        assert!(repo.ours(["compact", "--rewrite"]).contains(": merged 1 tables of "));
        repo.git(["refs", "verify"]);
        repo.ours(["verify"]);
    });
}

#[test]
fn old_log_entries_expire() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let entry = |date: &str, message: &str, id: &str| {
            let run =
                repo.command().env("GIT_COMMITTER_DATE", date).args(["update", "-m", message, "HEAD", id]).status();
            assert!(run.unwrap().success());
        };
        entry("1600000000 +0000", "old", &one);
        entry("1800000000 +0000", "new", &two);
        repo.ours(["compact", "--expire-logs", "1700000000"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "new\ncommit: two\ncommit (initial): one");
        repo.ours(["compact", "--expire-logs", "2024-01-01"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "new");
        repo.ours(["compact", "--expire-logs", "now"]);
        assert_eq!(repo.git(["reflog", "--format=%gs"]), "");
        assert_eq!(repo.git(["rev-parse", "HEAD"]), two);
        repo.git(["fsck"]);
    });
}
