//! Which directories are understood, and which are left alone.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Repo, code_of, feed, for_each_hash, isolated};

#[test]
fn work_trees_git_directories_and_stores() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        fs::create_dir_all(repo.path().join("a/b")).unwrap();
        for dir in [".", "a/b", ".git", ".git/objects", ".git/reftable"] {
            assert_eq!(repo.ours(["-C", dir, "get", "HEAD"]), id, "{dir}");
        }
        repo.git(["clone", "-q", "--bare", "--ref-format=reftable", ".", "bare.git"]);
        assert_eq!(repo.ours(["-C", "bare.git", "get", "refs/heads/main"]), id);
        repo.git(["init", "-q", "--separate-git-dir", "../elsewhere"]);
        assert!(repo.path().join(".git").is_file());
        assert_eq!(repo.ours(["-C", "a/b", "get", "HEAD"]), id);
    });
}

#[test]
fn a_new_store_needs_no_git() {
    for_each_hash(|repo| {
        let store = repo.top().join("reftable");
        fs::create_dir(&store).unwrap();
        let dir = store.to_str().unwrap();
        let id = "1".repeat(repo.zero().len());
        assert_eq!(repo.ours(["-C", dir, "list"]), "");
        repo.ours(["-C", dir, "update", "refs/heads/main", &id]);
        assert_eq!(repo.ours(["-C", dir, "list"]), format!("{id} refs/heads/main"));
    });
}

#[test]
fn other_directories_are_explained() {
    for_each_hash(|repo| {
        repo.git(["init", "-q", "--ref-format=files", "files"]);
        let error = repo.run(["-C", "files", "list"]).failed(128);
        assert!(error.contains("git refs migrate --ref-format=reftable"), "{error}");
        repo.run(["-C", repo.top().to_str().unwrap(), "list"]).failed(128);
        let error = repo.run(["-C", "missing", "list"]).failed(128);
        assert!(error.contains("missing"), "{error}");
    });
}

/// What is in a directory, byte by byte.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect()
}

/// Every command refuses `dir`, says why, and changes nothing in `store`.
#[track_caller]
fn assert_left_alone(repo: &Repo, dir: &str, store: &Path) -> String {
    let before = contents(store);
    let id = "1".repeat(repo.zero().len());
    let mut errors = Vec::new();
    for args in [
        vec!["list"],
        vec!["get", "HEAD"],
        vec!["update", "refs/heads/x", &id],
        vec!["delete", "refs/heads/main"],
        vec!["symbolic-ref", "HEAD", "refs/heads/x"],
        vec!["compact", "--all"],
        vec!["verify"],
        vec!["repair", "--yes"],
        vec!["stats"],
    ] {
        errors.push(repo.run([["-C", dir].as_slice(), &args].concat()).failed(code_of(&args, 3)));
        assert_eq!(contents(store), before, "{args:?}");
    }
    errors.swap_remove(0)
}

/// The same configuration, for git and for us: both use the store, or neither does.
#[test]
fn the_configuration_decides_as_it_does_for_git() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let config = repo.path().join(".git/config");
        let format = format!("[extensions]\nobjectFormat = {}\n", repo.hash);
        fs::write(repo.path().join(".git/other"), "[extensions]\nrefStorage = reftable\n").unwrap();
        let version = |number: &str| format!("[core]\nrepositoryformatversion = {number}\n");
        let storage = |value: &str| format!("[extensions]\nrefStorage = {value}\n");
        for text in [
            version("1") + &storage("reftable"),
            version("1") + "[EXTENSIONS]\nREFSTORAGE = reftable\n",
            version("0x1") + &storage("\"reftable\" # a comment"),
            version("1") + &storage("files") + &storage("reftable"),
            version("1") + &storage("reftable") + &storage("files"),
            version("1") + &storage("files"),
            version("1") + &storage("REFTABLE"),
            version("1") + &storage("sqlite"),
            version("1") + "[extensions]\nrefStorage\n",
            version("1"),
            version("1") + "[include]\npath = other\n",
            version("1") + "[extensions \"x\"]\nrefStorage = reftable\n",
            version("1") + &storage("reftable") + "frotz = true\n",
            version("1") + &storage("reftable") + "noop = 1\nnoop-v1 = 1\npreciousObjects = true\npartialClone = x\n",
            version("1") + &storage("reftable") + "worktreeConfig = true\n",
            version("0") + &storage("reftable"),
            version("0"),
            version("2") + &storage("reftable"),
            version("1k") + &storage("reftable"),
            version("one") + &storage("reftable"),
            storage("reftable"),
            "[core".to_owned(),
            String::new(),
        ] {
            fs::write(&config, text.clone() + &format).unwrap();
            let git = isolated("git").current_dir(repo.path()).args(["rev-parse", "-q", "--verify", "HEAD"]).output();
            let git = git.unwrap().stdout == format!("{id}\n").as_bytes();
            let ours = repo.run(["get", "HEAD"]);
            assert_eq!(ours.out == format!("{id}\n"), git, "{text}: {}", ours.err);
            if !git {
                ours.failed(3);
                assert_left_alone(repo, ".", &repo.store());
                assert_left_alone(repo, ".git/reftable", &repo.store());
            }
        }
    });
}

#[test]
fn a_store_that_is_left_over_is_left_alone() {
    for_each_hash(|repo| {
        repo.commit("one");
        let leftover = repo.top().join("files/.git/reftable");
        repo.git(["init", "-q", "--ref-format=files", &format!("--object-format={}", repo.hash), "../files"]);
        fs::create_dir(&leftover).unwrap();
        for file in contents(&repo.store()).keys() {
            fs::copy(file, leftover.join(file.file_name().unwrap())).unwrap();
        }
        for dir in ["../files", "../files/.git", "../files/.git/reftable"] {
            let error = assert_left_alone(repo, dir, &leftover);
            assert!(error.contains("is not in use") && error.contains("git refs migrate"), "{error}");
        }
    });
}

/// Where the repository around a store is damaged, its configuration decides all the same.
#[test]
fn a_store_in_a_damaged_repository_is_used_only_if_the_configuration_says_so() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let leftover = repo.top().join("files/.git/reftable");
        repo.git(["init", "-q", "--ref-format=files", &format!("--object-format={}", repo.hash), "../files"]);
        fs::create_dir(&leftover).unwrap();
        for file in contents(&repo.store()).keys() {
            fs::copy(file, leftover.join(file.file_name().unwrap())).unwrap();
        }
        let away = repo.top().join("away");
        for lost in ["HEAD", "objects"] {
            fs::rename(repo.top().join("files/.git").join(lost), &away).unwrap();
            let error = assert_left_alone(repo, "../files/.git/reftable", &leftover);
            assert!(error.contains("is not in use"), "{error}");
            fs::rename(&away, repo.top().join("files/.git").join(lost)).unwrap();
            fs::rename(repo.path().join(".git").join(lost), &away).unwrap();
            assert_eq!(repo.ours(["-C", ".git/reftable", "get", "HEAD"]), id, "{lost}");
            fs::rename(&away, repo.path().join(".git").join(lost)).unwrap();
        }
        // Without its configuration, too, it is none that keeps its references so.
        fs::remove_file(repo.top().join("files/.git/config")).unwrap();
        fs::remove_dir_all(repo.top().join("files/.git/objects")).unwrap();
        assert_left_alone(repo, "../files/.git/reftable", &leftover);
    });
}

#[test]
fn directories_that_happen_to_be_called_reftable_are_left_alone() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        // Sources, in no repository.
        let sources = repo.top().join("reftable");
        fs::create_dir(&sources).unwrap();
        fs::write(sources.join("stack.c"), "int main;").unwrap();
        assert_left_alone(repo, sources.to_str().unwrap(), &sources);
        // Sources in a work tree are a part of that.
        let sources = repo.path().join("reftable");
        fs::create_dir(&sources).unwrap();
        assert_eq!(repo.ours(["-C", "reftable", "get", "HEAD"]), id);
        repo.ours(["-C", "reftable", "update", "refs/heads/x", &id]);
        assert_eq!(contents(&sources).len(), 0);
        // What a test environment has.
        for file in contents(&repo.store()).keys() {
            fs::copy(file, sources.join(file.file_name().unwrap())).unwrap();
        }
        let error = assert_left_alone(repo, "reftable", &sources);
        assert!(error.contains("not the store of the repository around it"), "{error}");
        // At the top of a work tree it is a file like others.
        fs::write(repo.path().join("tables.list"), "a list of tables").unwrap();
        assert_eq!(repo.ours(["get", "HEAD"]), id);
        // The same outside is what it looks like.
        fs::rename(&sources, repo.top().join("fixture")).unwrap();
        assert_eq!(repo.ours(["-C", "../fixture", "get", "HEAD"]), id);
    });
}

#[test]
fn a_repository_without_its_store_is_no_new_one() {
    for_each_hash(|repo| {
        fs::rename(repo.store(), repo.top().join("away")).unwrap();
        let error = repo.run(["update", "refs/heads/x", &"1".repeat(repo.zero().len())]).failed(128);
        assert!(error.contains("is missing"), "{error}");
        assert!(!repo.store().exists());
    });
}

#[test]
fn git_dir_decides_as_it_does_for_git() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        repo.git(["init", "-q", "--ref-format=reftable", "../other"]);
        let git_dir = repo.path().join(".git");
        let run = |dir: &Path, git_dir: &Path, args: &[&str]| {
            let mut command = isolated(env!("CARGO_BIN_EXE_reftable"));
            feed(command.current_dir(dir).env("GIT_DIR", git_dir).args(args), b"")
        };
        for (dir, git_dir) in [(repo.top(), git_dir.as_path()), (&repo.top().join("other"), &git_dir)] {
            let output = run(dir, git_dir, &["get", "HEAD"]);
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{id}\n"), "{output:?}");
        }
        let output = run(repo.top(), Path::new(".git"), &["-C", "repo", "get", "HEAD"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{id}\n"), "{output:?}");
        // A linked worktree, as its hooks see it.
        repo.git(["worktree", "add", "-q", "-b", "topic", "../linked"]);
        let worktree = git_dir.join("worktrees/linked");
        let output = run(repo.top(), &worktree, &["symbolic-ref", "HEAD"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "refs/heads/topic\n", "{output:?}");
        // Newer versions of git can be told that the references are elsewhere.
        for (backend, code) in [("reftable", 0), ("files", 3), ("reftable:///elsewhere", 3), ("REFTABLE", 2)] {
            let run = feed(repo.command().env("GIT_REFERENCE_BACKEND", backend).args(["get", "HEAD"]), b"");
            assert_eq!(run.status.code(), Some(code), "{backend}: {run:?}");
        }
        // Two that contradict each other are not chosen from.
        let output = run(repo.top(), &git_dir, &["-C", "other", "update", "refs/heads/x", &id]);
        assert_eq!(output.status.code(), Some(128));
        assert!(String::from_utf8_lossy(&output.stderr).contains("another repository"), "{output:?}");
        for nowhere in ["missing", ""] {
            let output = run(&repo.path(), Path::new(nowhere), &["list"]);
            assert_eq!(output.status.code(), Some(128), "{output:?}");
        }
    });
}

#[test]
fn a_store_of_a_linked_worktree_is_one_store() {
    for_each_hash(|repo| {
        repo.commit("one");
        repo.git(["worktree", "add", "-q", "../linked"]);
        let listed = repo.ours(["-C", ".git/worktrees/linked/reftable", "list"]);
        assert!(listed.contains("HEAD") && !listed.contains(" refs/heads/main"), "{listed}");
        repo.git(["config", "extensions.refStorage", "files"]);
        assert_left_alone(repo, "../linked", &repo.store());
        assert_left_alone(repo, ".git/worktrees/linked/reftable", &repo.path().join(".git/worktrees/linked/reftable"));
    });
}

/// A store without tables says nothing about its ids, and one without a list nothing about the
/// users who may read it.
#[test]
fn the_configuration_counts_for_an_empty_store() {
    for_each_hash(|repo| {
        repo.git(["config", "core.sharedRepository", "0640"]);
        for file in contents(&repo.store()).keys() {
            fs::remove_file(file).unwrap();
        }
        let (good, bad) = if repo.hash == "sha1" { (40, 64) } else { (64, 40) };
        let error = repo.run(["update", "refs/heads/main", &"1".repeat(bad)]).failed(128);
        assert!(error.contains(repo.hash), "{error}");
        repo.ours(["symbolic-ref", "HEAD", "refs/heads/main"]);
        repo.ours(["update", "--unchecked", "refs/heads/main", &"1".repeat(good)]);
        for file in contents(&repo.store()).keys() {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o640, "{file:?}");
        }
    });
}

/// git lists nothing of it and says nothing. We read it, `verify` tells, and nothing is written
/// that git would not read.
#[test]
fn a_store_of_another_hash_is_read_and_told_and_not_written_to() {
    for_each_hash(|repo| {
        let other = if repo.hash == "sha1" { "sha256" } else { "sha1" };
        let format = format!("--object-format={other}");
        repo.git_in(repo.top(), ["init", "-q", "-b", "other", "--ref-format=reftable", &format, "foreign"]);
        for file in contents(&repo.store()).keys() {
            fs::remove_file(file).unwrap();
        }
        for (file, bytes) in contents(&repo.top().join("foreign/.git/reftable")) {
            fs::write(repo.store().join(file.file_name().unwrap()), bytes).unwrap();
        }
        let before = contents(&repo.store());
        let report = repo.run(["verify"]);
        assert_eq!(report.code, Some(3), "{report:?}");
        let what = format!("holds {other} ids, and by its configuration the repository has {} ids", repo.hash);
        assert!(report.out.contains(&what), "{report:?}");
        for digits in [40, 64] {
            let error = repo.run(["update", "--unchecked", "refs/heads/main", &"1".repeat(digits)]).failed(128);
            assert!(error.contains("extensions.objectFormat in "), "{error}");
        }
        repo.run(["symbolic-ref", "HEAD", "refs/heads/new"]).refused();
        assert!(contents(&repo.store()) == before);
        assert_eq!(repo.ours(["symbolic-ref", "HEAD"]), "refs/heads/other");
    });
}

/// The search ends where git's does.
#[test]
fn ceilings_end_the_search() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let top = fs::canonicalize(repo.path()).unwrap();
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        std::os::unix::fs::symlink(top.join("a"), top.join("link")).unwrap();
        let at = |path: &str| top.join(path).to_str().unwrap().trim_end_matches('/').to_owned();
        let lists = [at(""), at("a"), at("a/b"), at("a/b/c"), at("link"), format!(":{}", at("link")), at("a/b/c/d")];
        let more =
            [format!("{}:/", at("a")), "a:/nowhere".to_owned(), at("..").replace("/..", ""), at("a/x"), at("a/")];
        let mut found = 0;
        for ceilings in lists.iter().chain(&more) {
            for dir in ["", "a", "a/b", "a/b/c"] {
                let dir = top.join(dir);
                let look = |mut command: std::process::Command, args: &[&str]| {
                    command.current_dir(&dir).env("GIT_CEILING_DIRECTORIES", ceilings).args(args).output().unwrap()
                };
                let git = look(isolated("git"), &["rev-parse", "--verify", "-q", "HEAD"]).stdout;
                let ours = look(repo.command(), &["get", "HEAD"]).stdout;
                assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&git), "{ceilings} {dir:?}");
                found += usize::from(ours.starts_with(id.as_bytes()));
            }
        }
        assert!(found > 10 && found < 40, "{found}");
    });
}
