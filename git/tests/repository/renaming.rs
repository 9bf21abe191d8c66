//! References get other names, with their logs; changes of which some cannot be made.

use std::path::Path;

use reftable::bytes::Reading;
use reftable::{Expect, Ident, ObjectId, Target};
use reftable_git::{Batch, Change, Error, ErrorKind, Reason, Rename, Repository};

use crate::support::{git, git_knows_reftables, init, repository_made_by, run_git};

fn committer() -> Ident {
    Ident { name: b"A U Thor".into(), email: b"author@example.com".into(), time: 1_700_000_000, time_zone: 130 }
}

/// All references and log entries of a worktree.
fn state(dir: &Path) -> Vec<String> {
    let view = Repository::at(dir).unwrap().view(Reading::Copied).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = Vec::new();
    view.refs(b"", |found| {
        lines.push(format!("{} {}", text(found.name), found.to_ref().target));
        Ok::<_, Error>(())
    })
    .unwrap();
    for name in view.log_names().unwrap() {
        for entry in view.log_entries(&name).unwrap() {
            let message = text(&entry.message);
            lines.push(format!("{}: {:.7} {:.7} {}", text(&name), entry.old, entry.new, message.trim_end()));
        }
    }
    lines
}

/// A repository whose branches have logs, and a linked worktree on a branch of its own.
fn make(top: &Path, name: &str) {
    init(top, name, &[]);
    let repo = top.join(name);
    git(&repo, ["commit", "-q", "--allow-empty", "-m", "second"]);
    git(&repo, ["branch", "topic", "HEAD~1"]);
    git(&repo, ["branch", "-f", "topic", "HEAD"]);
    git(&repo, ["branch", "plain", "HEAD~1"]);
    git(&repo, ["worktree", "add", "-q", "-b", "there", &format!("../{name}-linked")]);
}

#[test]
fn branches_are_renamed_and_copied_with_their_logs_as_by_git() {
    if !git_knows_reftables() {
        return;
    }
    for (flag, from, to) in [
        ("-m", "topic", "moved"),
        ("-m", "topic", "topic/below"),
        ("-m", "main", "trunk"),
        ("-m", "there", "elsewhere"),
        ("-c", "topic", "copied"),
        ("-c", "main", "main-2"),
    ] {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), "git");
        make(top.path(), "ours");
        let [theirs, ours] = ["git", "ours"].map(|name| top.path().join(name));
        git(&theirs, ["branch", flag, from, to]);
        let (from, to) = (format!("refs/heads/{from}"), format!("refs/heads/{to}"));
        let done = if flag == "-c" { "copied" } else { "renamed" };
        let message = format!("Branch: {done} {from} to {to}");
        let rename = Rename::new(from, to, committer(), message).with_heads();
        let rename = if flag == "-c" { rename.copy() } else { rename };
        rename.commit(&Repository::at(&ours).unwrap().open_to_write().unwrap()).unwrap();
        assert_eq!(state(&ours), state(&theirs), "{flag}");
        let linked = ["git-linked", "ours-linked"].map(|name| state(&top.path().join(name)));
        assert_eq!(linked[1], linked[0], "{flag}");
        assert!(run_git(&ours, ["fsck"]).status.success());
    }
}

#[test]
fn a_name_that_is_taken_is_kept_unless_one_asks_to_replace_it() {
    let Some((_top, repo)) = repository_made_by(make) else { return };
    git(&repo, ["symbolic-ref", "refs/heads/link", "refs/heads/main"]);
    let stores = Repository::at(&repo).unwrap().open_to_write().unwrap();
    let rename = |from: &str, to: &str| Rename::new(format!("refs/{from}"), format!("refs/{to}"), committer(), "why");
    let before = state(&repo);
    for (from, to, kind) in [
        ("heads/topic", "heads/plain", ErrorKind::Store),
        ("heads/topic", "heads/main/below", ErrorKind::Store),
        ("heads/nothing", "heads/new", ErrorKind::NotFound),
        ("heads/link", "heads/new", ErrorKind::Invalid),
        ("heads/topic", "heads/..", ErrorKind::Store),
    ] {
        let error = rename(from, to).commit(&stores).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(state(&repo), before, "{error}");
    }
    assert!(rename("heads/topic", "heads/topic").commit(&stores).unwrap().is_empty());
    rename("heads/topic", "heads/plain").overwrite().commit(&stores).unwrap();
    // As with references in files, what is replaced takes its log along.
    let log = stores.view().unwrap().log_entries(b"refs/heads/plain").unwrap();
    assert_eq!(log.len(), 4, "two of before, and two of the renaming: {log:?}");
    assert!(!state(&repo).iter().any(|line| line.contains("heads/topic")));
}

#[test]
fn no_entry_gets_lost_that_comes_while_a_reference_is_renamed() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    make(top.path(), "repo");
    let repository = Repository::at(&top.path().join("repo")).unwrap();
    let names = ["refs/heads/topic", "refs/heads/moved"];
    let id = repository.view(Reading::Copied).unwrap().resolve(names[0].as_bytes()).unwrap().unwrap();
    const ADDERS: usize = 8;
    const ENTRIES: usize = 20;
    std::thread::scope(|scope| {
        for _ in 0..ADDERS {
            scope.spawn(|| {
                let stores = repository.open_to_write().unwrap();
                let mut added = 0;
                while added < ENTRIES {
                    // Wherever it is just now.
                    let exists = |name: &&&str| stores.view().unwrap().get(name.as_bytes()).unwrap().is_some();
                    let Some(name) = names.iter().find(exists) else { continue };
                    let mut batch = Batch { reason: Some((committer(), b"entry".into())), ..Batch::default() };
                    batch.changes.push(Change::new(*name, Expect::Exists, reftable_git::Action::Log(id)));
                    added += usize::from(batch.commit(&stores).is_ok());
                }
            });
        }
        let stores = repository.open_to_write().unwrap();
        for turn in 0..20 {
            let [from, to] = if turn % 2 == 0 { names } else { [names[1], names[0]] };
            Rename::new(from, to, committer(), "renamed").commit(&stores).unwrap();
        }
    });
    let log = repository.view(Reading::Copied).unwrap().log_entries(names[0].as_bytes()).unwrap();
    let of = |what: &str| log.iter().filter(|entry| entry.message.starts_with(what.as_bytes())).count();
    assert_eq!((of("entry"), of("renamed")), (ADDERS * ENTRIES, 40));
}

#[test]
fn changes_that_can_be_made_are_made_and_the_others_are_named() {
    let Some((_top, repo)) = repository_made_by(make) else { return };
    let id: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    let other: ObjectId = git(&repo, ["rev-parse", "HEAD~1"]).parse().unwrap();
    let stores = Repository::at(&repo).unwrap().open_to_write().unwrap();
    let changes = vec![
        Change::set("refs/heads/a", Expect::Absent, id),
        Change::set("refs/heads/there", Expect::Absent, other),
        Change::set("refs/heads/plain/below", Expect::Any, id),
        Change::set("FETCH_HEAD", Expect::Any, id),
        Change::delete("refs/heads/topic", Expect::Is(id.into())),
        Change::set("HEAD", Expect::Is(other.into()), other),
        Change::set("refs/heads/a..b", Expect::Any, id),
        Change::verify("refs/heads/nothing", Expect::AbsentOr(id.into())),
        Change::verify("refs/heads/plain", Expect::AbsentOr(id.into())),
    ];
    let (commits, refused) =
        Batch { changes, reports_replaced: true, ..Batch::default() }.commit_possible(&stores).unwrap();
    let impossible = refused.iter().filter(|refusal| refusal.reason == Reason::Impossible);
    assert_eq!(impossible.map(|refusal| refusal.index).collect::<Vec<_>>(), [3, 6]);
    let conflicts = refused.iter().filter(|refusal| refusal.conflict.is_some());
    assert_eq!(conflicts.map(|refusal| refusal.index).collect::<Vec<_>>(), [1, 2, 5, 8]);
    assert!(refused.is_sorted_by_key(|refusal| refusal.index));
    let replaced = commits[0].replaced.as_ref().unwrap();
    let replaced: Vec<_> =
        replaced.iter().map(|replaced| (replaced.name.as_slice(), replaced.target.clone())).collect();
    assert_eq!(replaced, [(b"refs/heads/a".as_slice(), None), (b"refs/heads/topic", Some(Target::Id(id)))]);
    let view = stores.view().unwrap();
    assert_eq!(view.resolve(b"refs/heads/a").unwrap(), Some(id));
    assert_eq!((view.resolve(b"refs/heads/topic").unwrap(), view.resolve(b"HEAD").unwrap()), (None, Some(id)));
}

#[test]
fn a_decision_rests_on_all_that_it_has_seen() {
    const THREADS: usize = 4;
    const MOST: usize = 12;
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    make(top.path(), "repo");
    let repository = Repository::at(&top.path().join("repo")).unwrap();
    let id = repository.head().unwrap().id().unwrap();
    let count = |view: &reftable_git::View| {
        let mut count = 0;
        let each = |_: &reftable::RefView<'_>| {
            count += 1;
            Ok::<_, Error>(())
        };
        view.refs(b"refs/n/", each).unwrap();
        count
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let stores = repository.open_to_write().unwrap();
            scope.spawn(move || {
                for turn in 0..MOST {
                    let decide = |view: &reftable_git::View| {
                        let changes = vec![Change::set(format!("refs/n/{thread}-{turn}"), Expect::Absent, id)];
                        let batch = Batch { changes, ..Batch::default() };
                        Ok::<_, Error>(if count(view) < MOST { batch } else { Batch::default() })
                    };
                    stores.transact(decide).unwrap();
                }
            });
        }
    });
    assert_eq!(count(&repository.view(Reading::Copied).unwrap()), MOST);

    // Under the lock one sees what was before, and may still decide against it.
    let stores = repository.open_to_write().unwrap();
    let changes = vec![Change::set("refs/n/more", Expect::Absent, id)];
    let prepared = Batch { changes, ..Batch::default() }.prepare(&stores).unwrap();
    assert_eq!(count(&prepared.view(&stores).unwrap()), MOST);
    drop(prepared);
    assert_eq!(count(&stores.view().unwrap()), MOST);
}

/// What git (master, December 2026) refuses of such batches.
#[test]
fn of_names_in_each_others_way_the_one_that_comes_last_stays() {
    let Some((_top, repo)) = repository_made_by(make) else { return };
    let id: ObjectId = git(&repo, ["rev-parse", "HEAD"]).parse().unwrap();
    git(&repo, ["update-ref", "refs/heads/z/old", "HEAD"]);
    let stores = Repository::at(&repo).unwrap().open_to_write().unwrap();
    let create = |name: &str| Change::set(name, Expect::Absent, id);
    let delete = |name: &str| Change::delete(name, Expect::Exists);
    for (changes, refused_of_them) in [
        (vec![create("refs/heads/n/b"), create("refs/heads/n")], vec![0]),
        (vec![create("refs/x/n"), create("refs/x/n/b")], vec![0]),
        (vec![create("refs/y/n"), create("refs/y/n/b"), create("refs/y/n/b/c")], vec![0, 1]),
        (vec![create("refs/v/n/b/c"), create("refs/v/n/b"), create("refs/v/n")], vec![0, 1]),
        (vec![create("refs/w/n/b"), create("refs/w/n"), create("refs/w/n/c")], vec![0, 1]),
        (vec![create("refs/heads/z"), delete("refs/heads/z/old"), create("refs/u/a")], vec![0]),
        (vec![create("refs/heads/topic/x"), delete("refs/heads/topic")], vec![0]),
    ] {
        let names: Vec<Vec<u8>> = changes.iter().map(|change| change.name.clone()).collect();
        let (_, refused) = Batch { changes, ..Batch::default() }.commit_possible(&stores).unwrap();
        assert!(refused.iter().all(|refusal| refusal.reason == Reason::NameConflict), "{refused:?}");
        assert_eq!(refused.iter().map(|refusal| refusal.index).collect::<Vec<_>>(), refused_of_them, "{names:?}");
    }
    let left = git(&repo, ["for-each-ref", "--format=%(refname)", "refs/heads/z", "refs/heads/topic", "refs/u"]);
    assert_eq!(left, "refs/u/a");
}

/// As `git refs rename` (master, December 2026) does it, and says it.
#[test]
fn what_is_in_the_way_is_named_and_a_store_that_all_share_has_all_names() {
    let Some((top, repo)) = repository_made_by(make) else { return };
    git(&repo, ["update-ref", "refs/heads/dir/a", "HEAD"]);
    let stores = Repository::at(&repo).unwrap().open_to_write().unwrap();
    let rename = |from: &str, to: &str| Rename::new(from, to, committer(), "renamed").commit(&stores);
    for (to, said) in [
        ("refs/heads/topic/x/y", None),
        ("refs/heads/dir/a/x", Some("'refs/heads/dir/a' exists; cannot create 'refs/heads/dir/a/x'")),
        ("refs/heads/dir", Some("'refs/heads/dir/a' exists; cannot create 'refs/heads/dir'")),
    ] {
        let error = rename("refs/heads/topic", to).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), said, "{to}");
        let _back = rename("refs/heads/topic/x/y", "refs/heads/topic");
    }
    git(&repo, ["worktree", "add", "--detach", "../linked"]);
    let linked = Repository::at(&top.path().join("linked")).unwrap().open_to_write().unwrap();
    let error = Rename::new("refs/heads/topic", "refs/bisect/topic", committer(), "x").commit(&linked).unwrap_err();
    assert!(error.to_string().contains("are in different stores"), "{error}");
    rename("refs/heads/topic", "refs/bisect/topic").unwrap();
    assert_eq!(git(&repo, ["for-each-ref", "--format=%(refname)", "refs/bisect/topic"]), "refs/bisect/topic");
}
