//! The examples do what they say.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

use reftable::bytes::Reading;
use reftable_git::Repository;

use crate::support::{git, git_knows_reftables, init};

#[path = "../../examples/import.rs"]
#[expect(dead_code, reason = "main is not called here")]
mod import;
#[cfg(feature = "gix")]
#[path = "../../examples/jj.rs"]
#[expect(dead_code, reason = "main is not called here")]
mod jj;
#[path = "../../examples/prompt.rs"]
#[expect(dead_code, reason = "main is not called here")]
mod prompt;
#[path = "../../examples/server.rs"]
#[expect(dead_code, reason = "main is not called here")]
mod server;

#[test]
fn the_prompt_has_the_branch_of_every_worktree_in_both_formats() {
    if !git_knows_reftables() {
        return;
    }
    for format in ["reftable", "files"] {
        let top = tempfile::tempdir().unwrap();
        init(top.path(), "repo", &[&format!("--ref-format={format}")]);
        let (repo, linked) = (top.path().join("repo"), top.path().join("linked"));
        git(&repo, ["worktree", "add", "-q", "-b", "topic/x", "../linked"]);
        assert_eq!(prompt::prompt(&repo).unwrap(), "main", "{format}");
        assert_eq!(prompt::prompt(&linked).unwrap(), "topic/x", "{format}");
        git(&linked, ["checkout", "-q", "--detach"]);
        let short = git(&linked, ["rev-parse", "--short=7", "HEAD"]);
        assert_eq!(prompt::prompt(&linked).unwrap(), format!("({short})"), "{format}");
        assert_eq!(prompt::prompt(top.path()), None);
    }
}

#[cfg(feature = "gix")]
#[test]
fn jj_exports_bookmarks_unless_they_were_moved() {
    use jj::Bookmark;

    use crate::support::repository;

    let Some((_top, repo)) = repository() else { return };
    let id_of = |what: &str| git(&repo, ["rev-parse", what]).parse::<reftable::ObjectId>().unwrap();
    git(&repo, ["commit", "-q", "--allow-empty", "-m", "two"]);
    let (parent, commit) = (id_of("HEAD~1"), id_of("HEAD"));
    git(&repo, ["branch", "moved", "HEAD"]);
    git(&repo, ["branch", "as-seen", "HEAD~1"]);
    let bookmark = |name: &str, seen| Bookmark { name: name.to_owned(), seen, now: commit };
    let bookmarks = [
        bookmark("moved", Some(parent)),
        bookmark("as-seen", Some(parent)),
        bookmark("gone", Some(parent)),
        bookmark("new", None),
        bookmark("main", None),
    ];
    let committer = reftable::Ident::new("A U Thor", "author@example.com", 1_700_000_000);
    let stores = Repository::at(&repo).unwrap().open_to_write().unwrap();
    let refused = jj::export(&stores, &bookmarks, commit, parent, committer).unwrap();
    let refused: Vec<usize> = refused.iter().map(|refused| refused.index).collect();
    assert_eq!(refused, [0, 4]);
    for branch in ["as-seen", "gone", "new"] {
        assert_eq!(id_of(&format!("refs/heads/{branch}")), commit, "{branch}");
    }
    assert_eq!(id_of(&format!("refs/jj/keep/{commit}")), commit);
    assert_eq!((id_of("HEAD"), git(&repo, ["branch", "--show-current"])), (parent, String::new()));
}

#[test]
fn the_server_serves_many_clients_and_says_what_is_there() {
    const CLIENTS: usize = 8;
    const MOVES: usize = 10;
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &["--bare"]);
    let repository = Repository::at(&top.path().join("repo")).unwrap();
    let stores = Arc::new(repository.open_to_write().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(server::serve(listener, stores));
    let ask = |stream: &mut BufReader<TcpStream>, line: &str| {
        stream.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    };
    std::thread::scope(|scope| {
        for client in 1..=CLIENTS {
            scope.spawn(move || {
                let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
                let mut old = "0".repeat(40);
                let mut done = 0;
                while done < MOVES {
                    let new = format!("{:040x}", client * 1000 + done + 1);
                    match ask(&mut stream, &format!("refs/heads/main {old} {new}")).as_str() {
                        "ok" => (old, done) = (new, done + 1),
                        "busy" => {}
                        answer => old = answer.strip_prefix("conflict ").expect(answer).to_owned(),
                    }
                }
            });
        }
    });
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    assert!(ask(&mut stream, "refs/heads/main").starts_with("error"));
    assert!(ask(&mut stream, &format!("a..b {} {}", "0".repeat(40), "1".repeat(40))).contains("not a valid"));
    let view = repository.view(Reading::Checked).unwrap();
    assert!(view.resolve(b"refs/heads/main").unwrap().is_some());
    // Each accepted move has expected what it has replaced, so none was overwritten unseen.
    let last = view.get(b"refs/heads/main").unwrap().unwrap().update_index;
    assert!(last >= (CLIENTS * MOVES) as u64, "{last}");
}

#[test]
fn packed_references_and_logs_are_imported_as_they_are() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "from", &["--ref-format=files"]);
    let from = top.path().join("from");
    for turn in ["two", "three"] {
        git(&from, ["commit", "-q", "--allow-empty", "-m", turn]);
        git(&from, ["tag", "-a", "-m", "t", turn]);
        git(&from, ["branch", &format!("of/{turn}")]);
    }
    git(&from, ["branch", "of.three"]);
    git(&from, ["pack-refs", "--all"]);
    let store = top.path().join("store");
    let (references, entries) = import::import(&from.join(".git"), &store).unwrap();
    assert!(import::import(&from.join(".git"), &store).is_err(), "the store is not empty any more");
    // git reads it in the place of a store of its own, with HEAD set to what it was.
    init(top.path(), "to", &["--bare"]);
    let to = top.path().join("to");
    fs::remove_dir_all(to.join("reftable")).unwrap();
    fs::rename(store, to.join("reftable")).unwrap();
    fs::create_dir_all(to.join("objects/info")).unwrap();
    fs::write(to.join("objects/info/alternates"), format!("{}\n", from.join(".git/objects").display())).unwrap();
    let listed = |dir: &std::path::Path| git(dir, ["for-each-ref", "--format=%(objectname) %(*objectname) %(refname)"]);
    assert_eq!(listed(&to), listed(&from));
    assert_eq!(references, listed(&to).lines().count() as u64);
    // HEAD is not packed. Setting it adds an entry.
    git(&to, ["symbolic-ref", "HEAD", "refs/heads/main"]);
    git(&to, ["reflog", "delete", "HEAD@{0}"]);
    let mut all = 0;
    for name in ["HEAD", "refs/heads/main", "refs/heads/of/two", "refs/heads/of.three"] {
        let log = |dir| git(dir, ["reflog", "show", "--format=%H %gn %ge %gd %gs", "--date=raw", name]);
        let (ours, theirs) = (log(&to), log(&from));
        assert_eq!(ours, theirs, "{name}");
        all += ours.lines().count() as u64;
    }
    assert_eq!(entries, all + 1, "and that of refs/heads/of/three");
    assert!(git(&to, ["refs", "verify"]).is_empty());
}
