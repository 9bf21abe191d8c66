//! Listings, logs and upstreams, beside what git says of them.

use std::ops::ControlFlow;
use std::path::Path;

use reftable::bytes::Reading;
use reftable_git::{Error, Head, Listing, LogOrder, Repository, View};

use crate::support::{git, git_knows_reftables, init};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn names(view: &View, listing: &Listing) -> Vec<String> {
    let mut names = Vec::new();
    view.list(listing, |found| {
        names.push(text(found.name));
        Ok::<_, Error>(ControlFlow::Continue(()))
    })
    .unwrap();
    names
}

/// A repository with branches, tags, a linked worktree and what that has for itself.
fn make(top: &Path, format: &str) -> [std::path::PathBuf; 2] {
    init(top, "repo", &[&format!("--ref-format={format}")]);
    let (repo, linked) = (top.join("repo"), top.join("linked"));
    for branch in ["a", "a-b", "a.b", "team/one", "team/two", "teams"] {
        git(&repo, ["branch", branch]);
    }
    for tag in ["v1", "v1-rc1", "v2", "V3"] {
        git(&repo, ["tag", tag]);
    }
    git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
    for dir in [&repo, &linked] {
        git(dir, ["update-ref", "refs/bisect/bad", "HEAD"]);
        git(dir, ["update-ref", "refs/worktree/own", "HEAD"]);
    }
    git(&linked, ["update-ref", "ORIG_HEAD", "HEAD"]);
    [repo, linked]
}

#[test]
fn references_are_listed_as_by_for_each_ref() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        for dir in make(top.path(), format) {
            let view = Repository::at(&dir).unwrap().view(Reading::Checked).unwrap();
            for (patterns, excludes) in [
                (vec![], vec![]),
                (vec!["refs/heads/team"], vec![]),
                (vec!["refs/heads/team/", "refs/tags"], vec!["refs/tags/v1*"]),
                (vec!["refs/tags/v?", "refs/tags/v*", "refs/bisect"], vec![]),
                (vec!["refs/*/a*", "refs/**/own"], vec!["refs/heads/a-*"]),
                // Without the slash git 2.47 leaves out refs/heads/teams, too.
                (vec![], vec!["refs/heads/team/", "refs/tags/"]),
                (vec!["refs/heads/a", "refs/nothing", "main"], vec!["refs/heads/team/one"]),
            ] {
                let mut listing = Listing::default();
                let mut command = vec!["for-each-ref".to_owned(), "--format=%(refname)".to_owned()];
                for exclude in excludes {
                    listing = listing.exclude(exclude);
                    command.push(format!("--exclude={exclude}"));
                }
                for pattern in patterns {
                    listing = listing.pattern(pattern);
                    command.push(pattern.to_owned());
                }
                let told = git(&dir, &command);
                let mut told: Vec<&str> = told.lines().collect();
                assert_eq!(names(&view, &listing), told, "{format}: {command:?}");
                let (before, rest) = told.split_at(told.len().min(2));
                let after = before.last().copied().unwrap_or_default();
                assert_eq!(names(&view, &listing.clone().after(after)), rest, "{listing:?}");
                told.reverse();
                assert_eq!(names(&view, &listing.clone().reverse()), told, "{format}: {command:?}");
                let mut first = Vec::new();
                view.list(&listing, |found| {
                    first.push(text(found.name));
                    Ok::<_, Error>(if first.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })
                .unwrap();
                assert_eq!(first, names(&view, &listing).into_iter().take(2).collect::<Vec<_>>());
            }
            let cased = Listing::default().pattern("refs/tags/V*").ignore_case();
            let told = git(&dir, ["for-each-ref", "--format=%(refname)", "--ignore-case", "refs/tags/V*"]);
            // git also sorts without regard to case then.
            let mut told: Vec<&str> = told.lines().collect();
            told.sort_unstable();
            assert_eq!(names(&view, &cased), told);
            let all = git(&dir, ["for-each-ref", "--format=%(refname)", "--include-root-refs"]);
            assert_eq!(names(&view, &Listing::default().root_refs()), all.lines().collect::<Vec<_>>(), "{format}");
        }
    }
}

#[test]
fn logs_are_read_from_either_end_and_listed() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        let [repo, linked] = make(top.path(), format);
        for message in ["two", "three"] {
            git(&repo, ["commit", "-q", "--allow-empty", "-m", message]);
        }
        git(&repo, ["update-ref", "--create-reflog", "-m", "x", "refs/odd", "HEAD"]);
        for dir in [&repo, &linked] {
            let view = Repository::at(dir).unwrap().view(Reading::Checked).unwrap();
            let told = git(dir, ["reflog", "list"]);
            let logged: Vec<String> = view.log_names().unwrap().iter().map(|name| text(name)).collect();
            assert_eq!(logged, told.lines().collect::<Vec<_>>(), "{format}");
            let messages = |order, most: usize| {
                let mut messages = Vec::new();
                view.each_log_entry(b"HEAD", order, |entry| {
                    messages.push(format!("- {}", text(entry.message).trim_end()));
                    let is_enough = messages.len() == most;
                    Ok::<_, Error>(if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })
                .unwrap();
                messages
            };
            let told = git(dir, ["reflog", "show", "--format=- %gs", "HEAD"]);
            let mut told: Vec<&str> = told.lines().collect();
            assert_eq!(messages(LogOrder::NewestFirst, 9), told, "{format}");
            assert_eq!(messages(LogOrder::NewestFirst, 1), told[..1], "{format}");
            told.reverse();
            assert_eq!(messages(LogOrder::OldestFirst, 9), told, "{format}");
            assert_eq!(messages(LogOrder::OldestFirst, 1), told[..1], "{format}");
        }
    }
}

#[test]
fn upstreams_are_those_of_git() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "from", &[]);
    git(&top.path().join("from"), ["branch", "topic/x"]);
    git(top.path(), ["clone", "-q", "--ref-format=reftable", "from", "repo"]);
    let repo = top.path().join("repo");
    git(&repo, ["branch", "-q", "--track", "mine", "origin/topic/x"]);
    git(&repo, ["branch", "-q", "--track", "of-mine", "mine"]);
    git(&repo, ["branch", "-q", "--no-track", "alone", "origin/topic/x"]);
    git(&repo, ["config", "--add", "remote.other.fetch", "+refs/heads/*:refs/remotes/o/*/end"]);
    git(&repo, ["config", "--add", "remote.other.fetch", "^refs/heads/not"]);
    for (branch, merge) in [("odd", "refs/heads/there"), ("excluded", "refs/heads/not")] {
        git(&repo, ["branch", "-q", "--no-track", branch]);
        git(&repo, ["config", &format!("branch.{branch}.remote"), "other"]);
        git(&repo, ["config", &format!("branch.{branch}.merge"), merge]);
    }
    let repository = Repository::at(&repo).unwrap();
    for branch in ["main", "mine", "of-mine", "alone", "odd", "excluded", "nothing"] {
        let full = format!("refs/heads/{branch}");
        let told = git(&repo, ["for-each-ref", "--format=%(upstream)", &full]);
        let ours = repository.upstream(full.as_bytes()).unwrap().and_then(|upstream| upstream.tracking);
        // git names it only if it is configured to be fetched.
        assert_eq!(ours.map(|name| text(&name)).unwrap_or_default(), told, "{branch}");
    }
    let (head, upstream) = Repository::at(&repo).unwrap().head_and_upstream().unwrap();
    let upstream = upstream.unwrap();
    assert!(
        matches!(head, Head::Branch { .. }) && upstream.remote == b"origin" && upstream.merge == b"refs/heads/main"
    );
    assert_eq!(upstream.tracking.unwrap(), b"refs/remotes/origin/main");
    git(&repo, ["checkout", "-q", "--detach"]);
    assert_eq!(Repository::at(&repo).unwrap().head_and_upstream().unwrap().1, None);
}
