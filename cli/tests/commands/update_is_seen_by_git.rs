//! What `reftable update` writes, git reads.

use crate::support::{Repo, for_each_hash, isolated};

#[test]
fn references_are_created_moved_and_deleted() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let zero = repo.zero();
        repo.ours(["update", "refs/heads/new", &one, &zero]);
        assert_eq!(repo.git(["rev-parse", "refs/heads/new"]), one);
        repo.ours(["update", "refs/heads/new", &two, &one]);
        assert_eq!(repo.git(["rev-parse", "refs/heads/new"]), two);
        repo.ours(["update", "refs/heads/empty", &one, ""]);
        repo.ours(["update", "refs/heads/new", &zero, &two]);
        assert!(!repo.git_agrees(["rev-parse", "--verify", "-q", "refs/heads/new"]));
        repo.ours(["update", "refs/heads/never", &zero]);
        repo.ours(["update", "refs/heads/never", &zero, &zero]);
        repo.git(["refs", "verify"]);
        repo.git(["fsck", "--strict"]);
    });
}

#[test]
fn old_values_are_checked() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        let error = repo.run(["update", "refs/heads/main", &one, &one]).failed(1);
        assert!(error.contains("refs/heads/main") && error.contains(&two), "{error}");
        repo.run(["update", "refs/heads/main", &one, ""]).failed(1);
        repo.run(["update", "refs/heads/none", &repo.zero(), &one]).failed(1);
        repo.run(["update", "refs/heads/main/below", &one]).failed(1);
        assert_eq!(repo.git(["rev-parse", "main"]), two);
    });
}

#[test]
fn symbolic_references_are_followed_or_overwritten() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.ours(["update", "HEAD", &one, &two]);
        assert_eq!(repo.git(["symbolic-ref", "HEAD"]), "refs/heads/main");
        assert_eq!(repo.git(["rev-parse", "main"]), one);
        // The old id of a symbolic reference is that of what it leads to, as in git.
        repo.run(["update", "--no-deref", "HEAD", &two, &two]).failed(1);
        repo.ours(["update", "--no-deref", "-m", "detach", "HEAD", &two, &one]);
        assert!(!repo.git_agrees(["symbolic-ref", "-q", "HEAD"]));
        assert_eq!((repo.git(["rev-parse", "HEAD"]), repo.git(["rev-parse", "main"])), (two.clone(), one.clone()));
        assert!(repo.ours(["log", "HEAD", "-n1"]).starts_with(&format!("{one} {two} ")));
    });
}

#[test]
fn reasons_make_reflog_entries_like_those_of_git() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.ours(["update", "-m", "through  HEAD\n", "HEAD", &one]);
        let ours = repo.ours(["log", "HEAD", "-n1"]);
        assert_eq!(ours, format!("{two} {one} A U Thor <author@example.com> 1700000000 +0130\tthrough HEAD"));
        assert_eq!(repo.ours(["log", "refs/heads/main", "-n1"]), ours);
        // Without a name it is HEAD's, as with git's word; a short one is told where the log is.
        assert_eq!(repo.ours(["log", "-n1"]), ours);
        assert!(repo.run(["log", "main"]).failed(1).contains("'main' has no reflog; 'refs/heads/main' has one"));
        repo.git(["update-ref", "HEAD", &two]);
        repo.git(["update-ref", "-m", "through  HEAD\n", "HEAD", &one]);
        assert_eq!(repo.ours(["log", "HEAD", "-n1"]), ours);
        assert_eq!(repo.ours(["log", "refs/heads/main", "-n1"]), ours);

        // As with git, HEAD hears of its branch whatever name that was changed by.
        repo.ours(["update", "refs/heads/main", &two]);
        repo.ours(["update", "-m", "by name", "refs/heads/main", &one]);
        for name in ["HEAD", "main"] {
            assert_eq!(repo.git(["reflog", "show", "-1", "--format=%gs", name]), "by name", "{name}");
        }
        // Tags have no log unless the configuration says so.
        repo.ours(["update", "-m", "no log", "refs/tags/t", &one]);
        assert!(!repo.git_agrees(["reflog", "exists", "refs/tags/t"]));
        repo.git(["config", "core.logAllRefUpdates", "always"]);
        repo.ours(["update", "-m", "a log", "refs/tags/u", &one]);
        assert!(repo.git_agrees(["reflog", "exists", "refs/tags/u"]));
    });
}

#[test]
fn a_peeled_id_is_stored_with_the_tag() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        repo.git(["tag", "-a", "-m", "annotated", "v1"]);
        let tag = repo.git(["rev-parse", "v1"]);
        repo.ours(["update", "refs/tags/v2", &tag, "--peeled", &one]);
        let tags = repo.run(["list", "--prefix", "refs/tags/", "--json"]).json();
        assert_eq!((&tags[0]["id"], &tags[0]["peeled"]), (&tags[1]["id"], &tags[1]["peeled"]));
        assert!(repo.git(["show-ref", "-d", "v2"]).contains(&format!("{one} refs/tags/v2^{{}}")));
    });
}

#[test]
fn objects_are_named_in_most_ways_without_git() {
    for_each_hash(|repo| {
        let one = repo.commit("one");
        let two = repo.commit("two");
        repo.git(["tag", "-a", "-m", "t", "v1", "main~1"]);
        let tag = repo.git(["rev-parse", "v1"]);
        let tree = repo.git(["rev-parse", "main^{tree}"]);
        repo.git(["config", "branch.main.remote", "."]);
        repo.git(["config", "branch.main.merge", "refs/heads/other"]);
        repo.git(["branch", "-q", "other", "main~1"]);
        let alone = |args: &[&str]| repo.command().args(args).env("PATH", "").output().unwrap();
        for (word, id) in [
            ("main~1", &one),
            ("v1^{}", &one),
            ("v1^0", &one),
            (&one[..9], &one),
            ("@{1}", &one),
            ("HEAD@{upstream}", &one),
            ("v1", &tag),
            ("@^{tree}", &tree),
        ] {
            let output = alone(&["update", "refs/tags/t", word]);
            assert!(output.status.success(), "{word}: {output:?}");
            assert_eq!(&repo.git(["rev-parse", "refs/tags/t"]), id, "{word}");
        }
        let refused = |args: &[&str]| String::from_utf8(alone(args).stderr).unwrap();
        let missing = "1".repeat(one.len());
        assert!(refused(&["update", "refs/tags/t", &missing]).contains("nonexistent object"));
        assert!(refused(&["update", "refs/heads/main", "v1"]).contains("non-commit object"));
        // Who lists types needs none either; what is in a tree is git's to say.
        let listed = alone(&["list", "--format=%(objecttype) %(refname)"]);
        assert!(String::from_utf8(listed.stdout).unwrap().contains("tag refs/tags/v1\n"));
        assert!(refused(&["update", "refs/tags/t", "main:file"]).contains("cannot be asked"));
        assert_eq!(repo.git(["rev-parse", "main"]), two);
    });
}

/// What git and this program write into the log of a new reference, with these variables and this
/// configuration; `None` for who refuses.
fn entries(repo: &Repo, env: &[(&str, &str)], config: &[(&str, &str)]) -> [Option<String>; 2] {
    ["git", env!("CARGO_BIN_EXE_reftable")].map(|program| {
        let mut command = isolated(program);
        for name in ["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"] {
            command.env_remove(name);
        }
        command.env("GIT_CONFIG_COUNT", config.len().to_string()).envs(env.iter().copied());
        for (number, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        let name = "refs/heads/by";
        let words = ["update-ref", "--create-reflog", "-m", "x", name, "HEAD"];
        let is_done = command.current_dir(repo.path()).args(words).output().unwrap().status.success();
        let entry = is_done.then(|| repo.ours(["log", name]));
        repo.git(["update-ref", "-d", name]);
        entry
    })
}

#[test]
fn committers_are_those_of_git() {
    for_each_hash(|repo| {
        repo.commit("one");
        let (name, email) = ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL");
        let both = [("user.name", "User"), ("user.email", "u@x")];
        for (env, config) in [
            (&[][..], &[][..]),
            (&[(name, "")], &both),
            (&[(email, "")], &both),
            (&[(name, " ,;Jo < E >\n Doe: "), (email, "<j@x>")], &[]),
            (&[(name, "\"'Q\\'")], &both),
            (&[(name, ",;:")], &both),
            (&[], &both),
            (&[], &[("user.name", ""), ("user.email", "")]),
            (&[], &[("user.name", "User"), ("committer.name", "Com"), ("committer.email", "c@x")]),
            (&[], &[("user.name", "User"), ("committer.name", "")]),
            (&[("EMAIL", "e@x")], &[]),
            (&[("EMAIL", "e@x")], &[("user.email", "u@x")]),
            (&[("EMAIL", "")], &[]),
            (&[], &[("user.useConfigOnly", "true")]),
            (&[("USER", "someone"), ("LOGNAME", "someone")], &[]),
            (&[(name, "J\u{f6}rg"), ("GIT_AUTHOR_NAME", "other")], &[("author.name", "Author")]),
        ] {
            let [git, ours] = entries(repo, env, config);
            assert!(git.is_some(), "{env:?} {config:?}");
            assert_eq!(ours, git, "{env:?} {config:?}");
        }
    });
}

/// Two hundred dates in local time: what is understood is what git understands, never another time;
/// what is not is refused. Names of zones, six digits of time and years of two digits are such.
#[test]
fn dates_of_the_environment_are_read_as_git_reads_them() {
    let days = [
        "2023-11-14",
        "2023/11/14",
        "2023.11.14",
        "14.11.2023",
        "11/14/2023",
        "11/14/23",
        "Nov 14 2023",
        "14 Nov 2023",
        "Tue Nov 14 2023",
        "Tue, 14 Nov 2023",
        "20231114",
        "November 14, 2023",
        "2005-04-07",
        "7.4.2005",
    ];
    let times = ["22:13:20", "22:13", "10:13:20 PM", "03:04:05.678", "T22:13:20", "221320"];
    let zones = ["", " +0130", " -0800", " Z", "Z", " +01:30", " EST", "pdt", " JST", " BST", " MSK"];
    let mut texts: Vec<String> = Vec::new();
    for (number, day) in days.iter().enumerate() {
        for (turn, time) in times.iter().enumerate() {
            for zone in zones.iter().skip((number + turn) % 3).step_by(3) {
                let gap = if time.starts_with('T') { "" } else { " " };
                texts.push(format!("{day}{gap}{time}{zone}"));
            }
        }
    }
    texts.extend(
        ["1700000000 +0130", "@1700000000 +0000", "1700000000", "@1700000000", "@0 +0000", "now", "yesterday"]
            .map(str::to_owned),
    );
    texts.extend(
        [
            "Tue Nov 14 22:13:20 2023 +0100",
            "Tue Nov 14 22:13:20 2023",
            "Tue Nov 14 22:13:20 EST 2023",
            "2023-11-14",
            "soon",
            "22:13:20",
        ]
        .map(str::to_owned),
    );
    assert!(texts.len() >= 200, "{}", texts.len());
    for_each_hash(|repo| {
        if repo.hash != "sha1" {
            return;
        }
        repo.commit("one");
        let (mut same, mut refused, mut others) = (0, Vec::new(), Vec::new());
        for text in &texts {
            let date = [("GIT_COMMITTER_DATE", text.as_str()), ("TZ", "Asia/Kolkata"), ("EMAIL", "e@x")];
            match entries(repo, &date, &[]) {
                [git, ours] if git == ours => same += 1,
                [git, Some(ours)] => others.push((text, git, ours)),
                [_, None] => refused.push(text),
            }
        }
        assert!(others.is_empty(), "{others:#?}");
        println!("{same} of {} are read as by git, and these are refused: {refused:?}", texts.len());
        assert!(same * 2 >= texts.len(), "{same}");
    });
}
