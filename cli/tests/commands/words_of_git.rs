//! Words of git do what git's commands do.

use crate::support::{Repo, feed, for_each_hash, isolated};

fn populate(repo: &Repo) {
    repo.commit("one");
    repo.git(["tag", "-a", "-m", "annotated", "v1"]);
    repo.git(["tag", "plain"]);
    repo.git(["branch", "topic/a"]);
    repo.commit("two");
    repo.git(["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    repo.git(["symbolic-ref", "refs/heads/nowhere", "refs/heads/none"]);
}

#[test]
fn lists_have_the_patterns_orders_and_fields_of_git() {
    for_each_hash(|repo| {
        populate(repo);
        for args in [
            &[][..],
            &["refs/heads"],
            &["refs/heads/"],
            &["refs/tags/*", "refs/heads/m*"],
            &["refs/**"],
            &["refs/*"],
            &["--exclude=refs/tags/v*", "refs/tags"],
            &["--count=2"],
            &["--count=0"],
            &["--ignore-case"],
            &["--omit-empty", "--format=%(symref)"],
            &["--sort=-objectname", "--no-sort"],
            &["--sort=-refname"],
            &["--sort=objectname", "--sort=objecttype"],
            &["--sort=-objectname", "--count=3"],
            &["--format=%(refname:short) %(objectname) %(objecttype) %(*objectname)"],
            &["--format=%(symref)%00%(symref:short)%25%%%(HEAD)"],
            &["--format=%(refname:lstrip=1) %(refname:lstrip=-1) %(refname:rstrip=1) %(refname:strip=-2)"],
            &["--format=%(refname:rstrip=-1) %(refname:lstrip=9)"],
        ] {
            let git = repo.git(["for-each-ref"].iter().chain(args));
            assert_eq!(repo.ours(["refs", "list"].iter().chain(args)), git, "{args:?}");
        }
        for args in [&["--format=%(bogus)"][..], &["--format=%(refname:bogus)"], &["--format=%(refname"]] {
            let git = isolated("git").current_dir(repo.path()).arg("for-each-ref").args(args).output().unwrap();
            let ours = repo.run(["refs", "list"].iter().chain(args));
            assert_eq!((ours.code, ours.err.as_bytes()), (git.status.code(), git.stderr.as_slice()), "{args:?}");
        }
        assert_eq!(repo.run(["list", "-z", "--count=1", "refs/tags"]).raw.last(), Some(&0));
    });
}

#[test]
fn what_takes_objects_is_left_to_git() {
    for_each_hash(|repo| {
        populate(repo);
        for args in [
            &["--format=%(authorname) %(subject) %(objectname:short)"][..],
            &["--sort=-committerdate", "--sort=version:refname"],
            &["--merged"],
            &["--no-merged=topic/a", "--contains", "main"],
            &["--shell", "--format=%(refname)"],
            &["--points-at", "HEAD"],
            &["--color=always", "--format=%(color:red)%(refname)", "--", "refs/heads/m*"],
            &["--exclude=refs/tags", "--count=2", "--ignore-case", "--format=%(upstream)x%(refname)"],
        ] {
            let git = repo.git(["for-each-ref"].iter().chain(args));
            assert_eq!(repo.ours(["refs", "list"].iter().chain(args)), git, "{args:?}");
        }
        // The last word is git's.
        let error = repo.run(["refs", "list", "--format=%(bogus)"]).failed(128);
        assert_eq!(error, "fatal: unknown field name: bogus\n");
        // All that the store has, as without a format.
        assert!(repo.ours(["list", "--format=%(refname) %(subject)"]).starts_with("HEAD two\n"));
        for ours in ["--json", "-z", "--prefix=refs/"] {
            let run = repo.run(["list", "--merged", ours]);
            let option = ours.split('=').next().unwrap();
            assert_eq!(run.code, Some(128));
            assert!(run.err.contains(&format!("'git for-each-ref' knows more, but not {option}")), "{}", run.err);
        }
        let alone = repo.top().join("reftable");
        std::fs::create_dir(&alone).unwrap();
        let error = repo.run(["-C", alone.to_str().unwrap(), "list", "--format=%(subject)"]).failed(128);
        assert!(error.contains("only of a repository"), "{error}");
    });
}

#[test]
fn short_names_may_be_ambiguous_if_git_is_not_to_warn() {
    for_each_hash(|repo| {
        populate(repo);
        repo.git(["tag", "main"]);
        repo.git(["symbolic-ref", "refs/heads/link", "refs/tags/main"]);
        for warns in ["true", "false"] {
            repo.git(["config", "core.warnAmbiguousRefs", warns]);
            let args = ["--format=%(refname:short) %(symref:short)"];
            assert_eq!(repo.ours(["refs", "list"].iter().chain(&args)), repo.git(["for-each-ref"].iter().chain(&args)));
            let args = ["symbolic-ref", "--short", "refs/heads/link"];
            assert_eq!(repo.ours(args), repo.git(args));
        }
    });
}

#[test]
fn show_ref_shows_what_git_shows() {
    for_each_hash(|repo| {
        populate(repo);
        for args in [
            &[][..],
            &["-d"],
            &["--head", "v1"],
            &["--tags"],
            &["--branches", "--tags", "-s"],
            &["a"],
            &["main"],
            &["--verify", "HEAD", "refs/heads/main"],
            &["--verify", "-d", "refs/tags/v1"],
        ] {
            let args = args.iter().map(|arg| if *arg == "--branches" { "--heads" } else { arg });
            let git = repo.git(["show-ref"].into_iter().chain(args.clone()));
            assert_eq!(repo.ours(["show-ref"].into_iter().chain(args)), git);
        }
        let input = b"x refs/heads/main\nx refs/heads/new^{}\nrefs/heads/a..b\nmain\n";
        let git = feed(isolated("git").current_dir(repo.path()).args(["show-ref", "--exclude-existing"]), input);
        let ours = repo.run_with(["show-ref", "--exclude-existing"], input);
        assert_eq!(ours.raw, git.stdout);
    });
}

#[test]
fn fields_may_end_with_nul() {
    for_each_hash(|repo| {
        let (one, two) = (repo.commit("one"), repo.commit("two"));
        for input in [
            format!("create refs/heads/a\0{one}\0update refs/heads/b\0{two}\0\0"),
            format!("create refs/heads/a\0{one}\0\0"),
            format!("update refs/heads/a\0{one}"),
            "delete HEAD\0\0".to_owned(),
            format!("verify refs/heads/main\0{one}\0"),
            "option no-deref\0update HEAD\0HEAD~1\0HEAD\0".to_owned(),
            "symref-update HEAD\0refs/heads/x\0ref\0refs/heads/main\0".to_owned(),
            format!("start\0create refs/heads/\"q\0{one}\0commit\0"),
            "\0".to_owned(),
            " \0".to_owned(),
            "\n".to_owned(),
        ] {
            let run = |program: &str| {
                let copy = repo.copy();
                let args = ["update-ref", "--stdin", "-z"];
                let run = feed(isolated(program).current_dir(&copy).args(args), input.as_bytes());
                let list = repo.git_in(&copy, ["for-each-ref", "--include-root-refs"]);
                (run.status.code(), run.stdout, list, String::from_utf8_lossy(&run.stderr).into_owned())
            };
            let (git, ours) = (run("git"), run(env!("CARGO_BIN_EXE_reftable")));
            assert_eq!((&ours.0, &ours.1, &ours.2), (&git.0, &git.1, &git.2), "{input:?}: {} / {}", ours.3, git.3);
        }
    });
}

/// What stands in the way of one change stops that one.
#[test]
fn a_batch_does_what_can_be_done() {
    for_each_hash(|repo| {
        let (one, two) = (repo.commit("one"), repo.commit("two"));
        let missing = "1".repeat(one.len());
        let zero = repo.zero();
        let input = format!(
            "create refs/heads/a {one}\ncreate refs/heads/main {one}\nupdate refs/heads/main {one} {missing}\n\
             create refs/heads/main/x {one}\ncreate refs/heads/b {missing}\ndelete refs/heads/c {two}\n"
        );
        let input = input.replacen("update refs/heads/main", "update refs/heads/a2", 1);
        let run = repo.run_with(["update-ref", "--stdin", "--batch-updates"], input.as_bytes());
        assert_eq!(run.code, Some(0), "{}", run.err);
        let mut said: Vec<&str> = run.out.lines().collect();
        said.sort_unstable();
        let mut expected = [
            format!("rejected refs/heads/main {one} {zero} reference already exists"),
            format!("rejected refs/heads/a2 {one} {missing} reference does not exist"),
            format!("rejected refs/heads/main/x {one} {zero} refname conflict"),
            format!("rejected refs/heads/b {missing} {zero} invalid new value provided"),
            format!("rejected refs/heads/c {zero} {two} reference does not exist"),
        ];
        expected.sort_unstable();
        assert_eq!(said, expected);
        assert_eq!(repo.git(["rev-parse", "a", "main"]), format!("{one}\n{two}"));
    });
}

#[test]
fn references_are_renamed_and_logs_expire() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["branch", "topic"]);
        repo.ours(["rename", "refs/heads/topic", "refs/heads/feature"]);
        assert_eq!(repo.git(["rev-parse", "feature"]), id);
        assert!(!repo.git_agrees(["rev-parse", "-q", "--verify", "topic"]));
        repo.run(["rename", "refs/heads/topic", "refs/heads/other"]).failed(128);
        repo.run(["rename", "refs/heads/feature", "refs/heads/main"]).failed(128);
        assert_eq!(repo.ours(["head"]), "main");
        repo.commit("two");
        repo.git(["reset", "-q", "--hard", "HEAD~1"]);
        for times in [["never", "never"], ["all", "all"], ["never", "all"]] {
            let (total, lost) = (format!("--expire={}", times[0]), format!("--expire-unreachable={}", times[1]));
            let copy = repo.copy();
            let expire = ["reflog", "expire", &total, &lost, "--all"];
            repo.git_in(&copy, expire);
            let ours =
                isolated(env!("CARGO_BIN_EXE_reftable")).current_dir(&copy).args(["log", "HEAD"]).output().unwrap();
            let git = String::from_utf8(ours.stdout).unwrap();
            let copy = repo.copy();
            let run = isolated(env!("CARGO_BIN_EXE_reftable")).current_dir(&copy).args(expire).output().unwrap();
            assert!(run.status.success(), "{run:?}");
            let ours =
                isolated(env!("CARGO_BIN_EXE_reftable")).current_dir(&copy).args(["log", "HEAD"]).output().unwrap();
            assert_eq!(String::from_utf8(ours.stdout).unwrap(), git, "{times:?}");
        }
    });
}

#[test]
fn ids_are_shortened_as_git_shortens_them() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        // Enough objects for ids of four digits to be of several.
        let blobs: String = (0..1500).map(|number: u32| format!("blob\ndata 6\n{number:06}\n")).collect();
        let import = feed(isolated("git").current_dir(repo.path()).args(["fast-import", "--quiet"]), blobs.as_bytes());
        assert!(import.status.success(), "{import:?}");
        for length in ["auto", "12", "no"] {
            repo.git(["config", "core.abbrev", length]);
            for args in [
                &["--abbrev"][..],
                &["--abbrev=6", "-d"],
                &["--abbrev=2", "--head"],
                &["--abbrev=0"],
                &["--abbrev=99"],
                &["--abbrev=5", "--no-abbrev"],
                &["--hash=5", "-d"],
                &["--hash"],
                &["-s", "--abbrev", "--verify", "HEAD"],
            ] {
                assert_eq!(
                    repo.ours([&["show-ref"], args].concat()),
                    repo.git([&["show-ref"], args].concat()),
                    "{args:?}"
                );
            }
        }
        repo.run(["show-ref", "--abbrev=x"]).failed(129);
    });
}

#[test]
fn refs_verify_answers_as_git_does() {
    for_each_hash(|repo| {
        repo.commit("one");
        let run = repo.run(["refs", "verify"]);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
        let run = repo.run(["refs", "verify", "--verbose"]);
        assert!(run.out.is_empty() && run.err.starts_with("checked: "), "{run:?}");
        // A table that nothing leads to is a warning.
        let list = std::fs::read_to_string(repo.store().join("tables.list")).unwrap();
        let unlisted = "0x000000000001-0x000000000001-12345678.ref";
        std::fs::copy(repo.store().join(list.lines().last().unwrap()), repo.store().join(unlisted)).unwrap();
        for (args, code) in [
            (&["refs", "verify"][..], 0),
            (&["refs", "verify", "--strict"], 255),
            (&["verify"], 1),
            (&["verify", "--strict"], 3),
        ] {
            let run = repo.run(args);
            assert_eq!(run.code, Some(code), "{args:?}: {run:?}");
            assert_eq!(run.err.is_empty(), args[0] == "verify", "{args:?}: {run:?}");
        }
    });
}

/// `git reflog` itself prints what people read.
#[test]
fn a_reflog_is_shown_as_git_shows_it() {
    for_each_hash(|repo| {
        make_a_log(repo);
        for args in [&[][..], &["-n", "2"], &["main"], &["show"], &["show", "--date=iso", "refs/heads/main"], &["-3"]] {
            assert_eq!(repo.ours([&["reflog"], args].concat()), repo.git([&["reflog"], args].concat()), "{args:?}");
        }
        assert_eq!(repo.run(["reflog", "no-such-branch"]).code, Some(128));
        assert_eq!(repo.run(["reflog", "--json"]).code, Some(128));
    });
}

/// In a pattern of the configuration a star matches slashes, a directory is no pattern, and what is
/// not said is never.
#[test]
fn logs_expire_by_the_patterns_that_git_reads() {
    for_each_hash(|repo| {
        repo.commit("one");
        for name in ["refs/heads/a", "refs/heads/team/b", "refs/remotes/o/x/y", "refs/stash"] {
            repo.git(["update-ref", "--create-reflog", "-m", "x", name, "HEAD"]);
        }
        // Nothing leads to what is lost now.
        repo.commit("two");
        repo.git(["update-ref", "-m", "x", "refs/heads/team/b", "HEAD"]);
        repo.git(["update-ref", "-m", "back", "refs/heads/team/b", "HEAD~1"]);
        repo.git(["reset", "-q", "--hard", "HEAD~1"]);
        for config in [
            &[][..],
            &["gc.refs/remotes/*.reflogExpire=never"],
            &["gc.refs/heads.reflogExpire=never"],
            &["gc.refs/heads/.reflogExpire=never"],
            &["gc.reflogExpire=never", "gc.refs/heads/*.reflogExpire=now"],
            &["gc.reflogExpire=never", "gc.refs/heads/t*b.reflogExpireUnreachable=now"],
            &["gc.refs/heads/?.reflogExpireUnreachable=now", "gc.refs/*.reflogExpire=never"],
            &["gc.refs/*.reflogExpire=never", "gc.refs/heads/*.reflogExpire=now"],
            &["gc.refs/stash.reflogExpire=now", "gc.*.reflogExpire=never", "gc.refs/stash.reflogExpire=never"],
            &["gc.reflogExpire=never", "gc.HEAD.reflogExpire=now"],
            &["gc.reflogExpire=never", "gc.reflogExpireUnreachable=now"],
            &["gc.refs/heads/[!a].reflogExpire=never", "GC.refs/Heads/**.REFLOGEXPIRE=never"],
        ] {
            let ends = ["git", env!("CARGO_BIN_EXE_reftable")].map(|program| {
                let copy = repo.copy();
                for pair in config {
                    let (key, value) = pair.split_once('=').unwrap();
                    repo.git_in(&copy, ["config", key, value]);
                }
                let output = isolated(program).current_dir(&copy).args(["reflog", "expire", "--all"]).output().unwrap();
                assert!(output.status.success(), "{program} {config:?}: {output:?}");
                let names = ["HEAD", "refs/heads/a", "refs/heads/team/b", "refs/remotes/o/x/y", "refs/stash"];
                names.map(|name| (name, repo.git_in(&copy, ["reflog", "show", "--format=%H %gs", name])))
            });
            assert_eq!(ends[1], ends[0], "{config:?}");
        }
        repo.git(["config", "gc.refs/heads/[a.reflogExpire", "never"]);
        let error = repo.run(["reflog", "expire", "--all"]).failed(128);
        assert!(error.contains("gc.refs/heads/[a.reflogExpire in git's configuration"), "{error}");
    });
}

/// Makes five commits, a second apart.
fn make_a_log(repo: &Repo) {
    for second in 1..=5 {
        let mut git = isolated("git");
        git.current_dir(repo.path()).env("GIT_COMMITTER_DATE", format!("170000000{second} +0000"));
        assert!(git.args(["commit", "-q", "--allow-empty", "-m", "x"]).status().unwrap().success());
    }
}

#[test]
fn entries_of_logs_are_deleted_as_git_deletes_them() {
    for_each_hash(|repo| {
        make_a_log(repo);
        for args in [
            &["delete", "main@{1}"][..],
            &["delete", "--rewrite", "main@{1}"],
            &["delete", "--rewrite", "--updateref", "--verbose", "main@{0}", "HEAD@{0}"],
            &["delete", "--dry-run", "--verbose", "main@{2}"],
            &["delete", "main@{2023-11-14T22:13:23Z}"],
            &["delete", "main@{14.11.2023.22:13:24.+0000}"],
            &["delete", "--rewrite", "HEAD@{4}"],
            &["delete", "main@{9}"],
            &["expire", "--expire=1700000003", "--rewrite", "--updateref", "--all"],
            &["expire", "--expire=all", "--rewrite", "--updateref", "refs/heads/main"],
        ] {
            let ends = ["git", env!("CARGO_BIN_EXE_reftable")].map(|program| {
                let copy = repo.copy();
                let output = isolated(program).current_dir(&copy).arg("reflog").args(args).output().unwrap();
                assert!(output.status.success(), "{program} {args:?}: {output:?}");
                let mut end = vec![String::from_utf8(output.stdout).unwrap(), repo.git_in(&copy, ["for-each-ref"])];
                for name in ["refs/heads/main", "HEAD"] {
                    let logs = isolated(env!("CARGO_BIN_EXE_reftable")).current_dir(&copy).args(["log", name]).output();
                    end.push(String::from_utf8(logs.unwrap().stdout).unwrap());
                    end.push(repo.git_in(&copy, ["log", "-g", "--format=%H %gd", name]));
                }
                end
            });
            assert_eq!(ends[0], ends[1], "{args:?}");
        }
        // git takes what it does not understand for now, and deletes.
        let error = repo.run(["reflog", "delete", "main@{bogus}"]).failed(255);
        assert!(error.contains("'bogus' is not understood"), "{error}");
    });
}
