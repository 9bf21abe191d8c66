//! `verify` checks the rules that git has for references and logs, and looks for files that nothing
//! leads to.

use std::fs;

use crate::support::brisk_dir::brisk;
use crate::support::mem_dir::MemDir;
use crate::support::tables::{LogRow, RefRow, write};
use crate::support::{Store, entry, git, id};
use reftable::dir::OsDir;
use reftable::table::WriteOptions;
use reftable::verify::{Finding, FindingKind, Report, Severity, Verify};
use reftable::verify::{verify_dir, verify_repository};
use reftable::{HashKind, Ident, LogEntry, ObjectId, Target};

const HASH: HashKind = HashKind::Sha1;
const NAMES: [&str; 3] = [
    "0x000000000001-0x000000000001-00000001.ref",
    "0x000000000002-0x000000000002-00000002.ref",
    "0x000000000003-0x000000000003-00000003.ref",
];

fn table(number: u64, refs: &[(&str, Option<Target>)], logs: &[LogRow]) -> Vec<u8> {
    let row = |(name, target): &(&str, Option<Target>)| -> RefRow { ((*name).to_owned(), number, target.clone()) };
    let refs: Vec<RefRow> = refs.iter().map(row).collect();
    write(HASH, number..=number, &WriteOptions::default(), &refs, logs).unwrap().0
}

/// A store of these tables, with names that git would give them.
fn store(tables: Vec<Vec<u8>>) -> MemDir {
    let mut dir = MemDir::default();
    let names = &NAMES[..tables.len()];
    let list: String = names.iter().map(|name| format!("{name}\n")).collect();
    dir.0.insert("tables.list".to_owned(), list.into_bytes());
    dir.0.extend(names.iter().map(|name| (*name).to_owned()).zip(tables));
    dir
}

fn at(number: u64) -> Option<Target> {
    Some(Target::Id(id(HASH, number)))
}

fn to(name: &str) -> Option<Target> {
    Some(Target::symbolic(name))
}

fn of(refs: &[(&str, Option<Target>)]) -> Report {
    verify_dir(&store(vec![table(1, refs, &[])])).unwrap()
}

/// The only finding: about this name, in this file, and says this.
fn only(report: &Report, severity: Severity, name: &str, words: &str) {
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    assert_eq!((finding.severity, finding.name.as_deref()), (severity, Some(name.as_bytes())), "{finding}");
    assert!(finding.message.contains(words), "{finding}");
    assert_eq!(finding.file, *report.tables.last().unwrap());
}

fn silent(report: &Report) {
    assert_eq!(report.findings, [], "nothing is wrong");
}

/// Programs go by the kind, not by the words.
#[test]
fn each_rule_has_its_kind() {
    type Refs<'a> = &'a [(&'a str, Option<Target>)];
    let kinds: [(Refs<'_>, FindingKind); 11] = [
        (&[("refs/heads/a..b", at(1))], FindingKind::InvalidName),
        (&[("FETCH_HEAD", at(1))], FindingKind::KeptInFile),
        (&[("elsewhere/x", at(1))], FindingKind::HiddenName),
        (&[("refs/heads/a", at(1)), ("refs/heads/a/b", at(1))], FindingKind::NameConflict),
        (&[("refs/heads/a", Some(Target::Id(ObjectId::null(HASH))))], FindingKind::NullId),
        (&[("refs/s", Some(Target::Tag { id: id(HASH, 1), peeled: id(HASH, 1) }))], FindingKind::PeeledToItself),
        (&[("refs/s", to("refs/heads/a..b"))], FindingKind::InvalidTarget),
        (&[("refs/s", to("refs/s"))], FindingKind::EndlessTarget),
        (&[("refs/s", to("elsewhere/x"))], FindingKind::OutsideTarget),
        (&[("refs/s", to("FETCH_HEAD"))], FindingKind::OutsideTarget),
        (&[("HEAD", to("refs/tags/v1"))], FindingKind::HeadNotBranch),
    ];
    for (refs, kind) in kinds {
        let report = match kind {
            FindingKind::HeadNotBranch => verify_repository(&store(vec![table(1, refs, &[])])).unwrap(),
            _ => of(refs),
        };
        let [finding] = report.findings.as_slice() else { panic!("{kind}: {:#?}", report.findings) };
        assert_eq!((finding.kind, finding.severity), (kind, kind.severity()), "{finding}");
    }
    let missing = verify_repository(&store(vec![table(1, &[("refs/a", at(1))], &[])])).unwrap();
    assert_eq!(missing.findings[0].kind, FindingKind::NoHead);
    let mut lost = store(vec![table(1, &[("HEAD", at(1))], &[])]);
    lost.0.insert("tables.list".to_owned(), Vec::new());
    assert_eq!(verify_dir(&lost).unwrap().findings[0].kind, FindingKind::LostList);
    lost.0.insert("tables.list".to_owned(), b"no end".to_vec());
    assert_eq!(verify_dir(&lost).unwrap().findings[0].kind, FindingKind::Unreadable);
}

#[test]
fn what_git_itself_writes_is_right() {
    silent(&of(&[
        ("HEAD", to("refs/heads/main")),
        ("ORIG_HEAD", at(1)),
        ("refs/heads/a", at(1)),
        ("refs/heads/a-b", at(1)),
        ("refs/heads/a0/b", at(2)),
        ("refs/heads/ä@", at(1)),
        ("refs/remotes/origin/HEAD", to("refs/remotes/origin/gone")),
        ("refs/tags/v1", Some(Target::Tag { id: id(HASH, 1), peeled: id(HASH, 2) })),
    ]));
}

#[test]
fn names_that_git_refuses() {
    for name in ["refs/heads/a..b", "refs/heads/a b", "refs/heads/.a", "refs/heads/a.lock", "refs//a", "@", "refs/a/"] {
        only(&of(&[(name, at(1))]), Severity::Error, name, "is not a valid reference name: ");
    }
}

#[test]
fn names_are_told_without_control_characters() {
    for name in ["refs/heads/a\nb", "refs/heads/\u{1b}[2Ja", "refs/heads/\u{9b}..", "refs/\0", "refs/\r\t"] {
        let report = of(&[(name, at(1))]);
        let shown = report.findings[0].to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(report.findings[0].name.as_deref(), Some(name.as_bytes()), "the exact bytes are there, too");
    }
}

#[test]
fn names_that_git_does_not_look_for_in_tables() {
    for name in ["FETCH_HEAD", "MERGE_HEAD"] {
        only(&of(&[(name, at(1))]), Severity::Warning, name, "kept in a file by git");
    }
    for name in ["main", "heads/main", "head", "Orig_HEAD", "FOO"] {
        only(&of(&[(name, at(1))]), Severity::Note, name, "is not listed by git");
    }
}

#[test]
fn a_name_that_is_a_directory_of_another() {
    let conflict = |names: &[&str]| of(&names.iter().map(|name| (*name, at(1))).collect::<Vec<_>>());
    only(&conflict(&["refs/heads/a", "refs/heads/a/b"]), Severity::Error, "refs/heads/a/b", "beside 'refs/heads/a'");
    // Others come between them.
    let report = conflict(&["refs/heads/a", "refs/heads/a!", "refs/heads/a-", "refs/heads/a-/b", "refs/heads/a/b/c"]);
    let names: Vec<_> = report.findings.iter().map(|found| found.name.clone().unwrap()).collect();
    assert_eq!(names, [b"refs/heads/a-/b".to_vec(), b"refs/heads/a/b/c".to_vec()], "{:#?}", report.findings);
    silent(&conflict(&["refs/heads/a", "refs/heads/a-/b", "refs/heads/a0", "refs/heads/aa/b"]));
}

#[test]
fn only_what_lives_counts() {
    let below = table(1, &[("refs/heads/a", at(1)), ("refs/heads/b..", at(1)), ("refs/heads/c/d", at(1))], &[]);
    let above = table(2, &[("refs/heads/a", None), ("refs/heads/a/b", at(1)), ("refs/heads/b..", None)], &[]);
    silent(&verify_dir(&store(vec![below.clone(), above.clone()])).unwrap());
    // The newest table that knows the name is the one to look at.
    let newest = table(3, &[("refs/heads/c", at(1))], &[]);
    let report = verify_dir(&store(vec![below, above, newest])).unwrap();
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    assert_eq!((finding.file.as_str(), finding.name.as_deref()), (NAMES[0], Some(b"refs/heads/c/d".as_slice())));
}

#[test]
fn ids_that_stand_for_nothing() {
    let (null, one) = (ObjectId::null(HASH), id(HASH, 1));
    let name = "refs/tags/a";
    only(&of(&[(name, Some(Target::Id(null)))]), Severity::Error, name, "points at the null id");
    for (id, peeled) in [(null, one), (one, null), (null, null)] {
        only(&of(&[(name, Some(Target::Tag { id, peeled }))]), Severity::Error, name, "points at the null id");
    }
    only(
        &of(&[(name, Some(Target::Tag { id: one, peeled: one }))]),
        Severity::Note,
        name,
        "a peeled id that is its own",
    );
}

#[test]
fn symbolic_references_that_lead_nowhere_good() {
    let name = "refs/heads/s";
    for target in ["refs/heads/a..b", "refs/../x", "", "refs/heads/a\nb"] {
        only(&of(&[(name, to(target))]), Severity::Error, name, "leads to something that is not a valid name");
    }
    for target in ["foo", "heads/main", "FETCH_HEAD", "config"] {
        only(&of(&[(name, to(target))]), Severity::Note, name, "leads out of refs/");
    }
    for target in ["HEAD", "ORIG_HEAD", "refs/heads/unborn", "worktrees/w/HEAD"] {
        silent(&of(&[(name, to(target))]));
    }
}

#[test]
fn symbolic_references_without_an_end() {
    only(&of(&[("refs/s", to("refs/s"))]), Severity::Error, "refs/s", "leads in a circle");
    let report = of(&[("refs/a", to("refs/b")), ("refs/b", to("refs/a")), ("refs/c", to("refs/a"))]);
    assert_eq!(report.count(Severity::Error), 3, "{:#?}", report.findings);
    assert!(report.findings.iter().all(|found| found.message.contains("in a circle")));
}

/// git reads five references in a row and gives up.
#[test]
fn symbolic_references_beyond_what_git_follows() {
    let chain = |count: u64| -> Vec<(String, Option<Target>)> {
        let link = |number| (format!("refs/s/{number}"), to(&format!("refs/s/{}", number + 1)));
        (1..=count).map(link).chain([(format!("refs/s/{}", count + 1), at(1))]).collect()
    };
    let of_chain = |count: u64| {
        let owned = chain(count);
        of(&owned.iter().map(|(name, target)| (name.as_str(), target.clone())).collect::<Vec<_>>())
    };
    silent(&of_chain(4));
    only(&of_chain(5), Severity::Error, "refs/s/1", "more symbolic references than git follows");
}

#[test]
fn git_follows_as_far_as_we_say() {
    if !git::is_there() {
        return;
    }
    let repo = git::Repo::new(HASH);
    let ids = repo.commits(1);
    repo.git(["update-ref", "refs/s/0", &ids[0]]);
    let mut before = "refs/s/0".to_owned();
    for number in 1..=5 {
        let name = format!("refs/s/{number}");
        repo.git(["symbolic-ref", &name, &before]);
        before = name;
        let is_followed = repo.try_git(["rev-parse", "--verify", "-q", &before]).status.success();
        let report = verify_repository(&OsDir::new(repo.reftable_dir(), None)).unwrap();
        assert_eq!(is_followed, report.is_clean(), "{number}: {:#?}", report.findings);
    }
}

#[test]
fn every_store_of_a_repository_has_a_head() {
    let check = |refs: &[(&str, Option<Target>)]| verify_repository(&store(vec![table(1, refs, &[])])).unwrap();
    silent(&check(&[("HEAD", to("refs/heads/unborn"))]));
    silent(&check(&[("HEAD", at(1))]));
    only(&check(&[("HEAD", to("refs/tags/v1"))]), Severity::Error, "HEAD", "not a branch ('refs/tags/v1')");
    let report = check(&[("refs/heads/main", at(1))]);
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    assert_eq!((finding.severity, finding.message.as_str()), (Severity::Error, "there is no HEAD"));
    // Not every store is of a repository.
    silent(&of(&[("refs/heads/main", at(1))]));
}

/// The store of a linked worktree beside that of its repository.
fn linked(own: &[(&str, Option<Target>)], shared: &[(&str, Option<Target>)]) -> Report {
    let shared = store(vec![table(1, shared, &[])]);
    Verify::new(&store(vec![table(1, own, &[])])).in_worktree_of(&shared).run().unwrap()
}

#[test]
fn names_that_belong_to_the_other_store_of_a_worktree() {
    let head = ("HEAD", to("refs/heads/topic"));
    silent(&linked(
        &[head.clone(), ("ORIG_HEAD", at(1)), ("refs/bisect/bad", at(1)), ("refs/worktree/x", at(1))],
        &[("HEAD", to("refs/heads/main")), ("refs/bisect/bad", at(1)), ("refs/heads/topic", at(1))],
    ));
    for name in ["refs/bisect", "refs/heads/topic", "refs/heads/x", "refs/stash", "refs/tags/HEAD", "refs/worktree-x"] {
        only(&linked(&[head.clone(), (name, at(1))], &[]), Severity::Error, name, "is shared by all worktrees");
    }
    let logs = ["HEAD", "refs/bisect/bad", "refs/heads/x"].map(|name| log(name, 1, Ident::new("A", "a@b", 1)));
    let own = store(vec![table(1, &[head], &logs)]);
    let report = Verify::new(&own).in_worktree_of(&store(vec![table(1, &[], &[])])).run().unwrap();
    only(&report, Severity::Error, "refs/heads/x", "has a log that git looks for in the repository's store");
}

#[test]
fn circles_through_both_stores_of_a_worktree() {
    let head = ("HEAD", to("refs/heads/topic"));
    let circle = |shared: &[(&str, Option<Target>)]| linked(std::slice::from_ref(&head), shared);
    only(&circle(&[("refs/heads/topic", to("HEAD"))]), Severity::Error, "HEAD", "leads in a circle");
    let long = [("refs/heads/topic", to("refs/heads/x")), ("refs/heads/x", to("HEAD"))];
    only(&circle(&long), Severity::Error, "HEAD", "leads in a circle");
    // The HEAD of the main worktree is another one, and has a name here.
    silent(&circle(&[("HEAD", at(1)), ("refs/heads/topic", to("main-worktree/HEAD"))]));
    let main = [("HEAD", to("refs/heads/topic")), ("refs/heads/topic", to("main-worktree/HEAD"))];
    only(&circle(&main), Severity::Error, "HEAD", "leads in a circle");
    silent(&linked(&[("HEAD", at(1))], &[("HEAD", to("refs/heads/x")), ("refs/heads/x", to("HEAD"))]));
}

/// What is wrong in the repository's store is told by its own check.
#[test]
fn a_worktree_is_checked_beside_a_damaged_store() {
    let own = store(vec![table(1, &[("HEAD", to("refs/heads/topic"))], &[])]);
    let shared = store(vec![b"no table".to_vec()]);
    silent(&Verify::new(&own).in_worktree_of(&shared).run().unwrap());
}

fn log(name: &str, update_index: u64, committer: Ident) -> LogRow {
    (name.to_owned(), update_index, Some(LogEntry { committer, ..entry(HASH, 1, 2, "message\n") }))
}

#[test]
fn logs_have_valid_names_and_dates() {
    let of_log = |row: LogRow| verify_dir(&store(vec![table(1, &[], &[row])])).unwrap();
    let good = Ident { time_zone: -1130, ..Ident::new("A", "a@b", 1) };
    silent(&of_log(log("refs/heads/a", 1, good.clone())));
    let bad = "refs/heads/a..";
    only(&of_log(log(bad, 1, good.clone())), Severity::Error, bad, "has a log, but is not a valid name");
    let name = "refs/heads/a";
    for time in [u64::MAX, i64::MAX as u64 + 1] {
        only(
            &of_log(log(name, 1, Ident { time, ..good.clone() })),
            Severity::Note,
            name,
            "from a time that is no date",
        );
    }
    for time_zone in [1401, -1500, 160, 99, i16::MIN, i16::MAX] {
        let report = of_log(log(name, 1, Ident { time_zone, ..good.clone() }));
        only(&report, Severity::Note, name, "a time zone that does not exist");
    }
}

#[test]
fn many_of_a_kind_are_counted() {
    let names: Vec<String> = (0..1000).map(|number| format!("refs/heads/{number:04}..")).collect();
    let refs: Vec<(&str, Option<Target>)> = names.iter().map(|name| (name.as_str(), at(1))).collect();
    let report = of(&refs);
    assert_eq!(report.findings.len(), 101);
    let last = &report.findings[100];
    assert_eq!(last.message, "900 more of which each is not a valid reference name");
    assert_eq!(last.severity, Severity::Error);
}

#[test]
fn a_list_that_is_empty_beside_tables() {
    let mut dir = store(vec![table(1, &[("refs/heads/a", at(1))], &[])]);
    dir.0.insert("tables.list".to_owned(), Vec::new());
    let report = verify_dir(&dir).unwrap();
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    assert_eq!((finding.severity, finding.file.as_str()), (Severity::Error, "tables.list"));
    assert!(finding.message.contains("the table list is empty, but there are tables, such as 0x"), "{finding}");
    // git empties the list when all references are gone, and removes the tables.
    dir.0.retain(|name, _| name == "tables.list");
    silent(&verify_dir(&dir).unwrap());
}

fn findings(store: &Store) -> Vec<Finding> {
    store.stack.verify().unwrap().findings
}

#[test]
fn tables_that_no_list_names() {
    let store = Store::new(HASH);
    for number in 1..4 {
        store.set(&format!("refs/heads/{number}"), number);
    }
    assert_eq!(findings(&store), []);
    // One that a compaction has not removed, perhaps: nothing proves it. And one beyond the list:
    // an older list has come back.
    fs::write(store.path().join("0x000000000002-0x000000000002-00000000.ref"), table(2, &[], &[])).unwrap();
    fs::write(store.path().join("0x000000000009-0x000000000009-00000000.ref"), table(9, &[], &[])).unwrap();
    fs::write(store.path().join("notes.txt"), "not ours").unwrap();
    let found = findings(&store);
    let [old, beyond] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(old.severity, Severity::Warning);
    assert!(old.message.contains("nothing proves that it was replaced"), "{old}");
    assert!(old.message.contains("repair --dry-run`"), "{old}");
    assert_eq!(beyond.severity, Severity::Warning);
    assert!(beyond.message.contains("begins with update index 9 where the list ends with 3"), "{beyond}");
}

/// git commits over a list that a power failure has emptied: the indexes begin anew.
#[test]
fn tables_of_before_the_list_was_emptied() {
    let store = Store::new(HASH);
    store.set("refs/heads/a", 1);
    let older = store.list();
    let name = "0x000000000001-0x000000000001-00000000.ref";
    fs::write(store.path().join(name), table(1, &[], &[])).unwrap();
    fs::write(store.path().join("tables.list"), format!("{name}\n")).unwrap();
    let found = verify_dir(&*brisk(store.path())).unwrap().findings;
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.severity, &finding.file), (Severity::Warning, &older[0]), "{finding}");
}

/// What a list would lead to is not said of one that leads nowhere.
#[test]
fn a_list_that_cannot_be_read_is_one_finding() {
    let store = Store::new(HASH);
    store.set("refs/heads/a", 1);
    for list in ["", "no\0table\n"] {
        fs::write(store.path().join("tables.list"), list).unwrap();
        let found = reftable::verify::verify_repository(&*brisk(store.path())).unwrap().findings;
        assert_eq!(found.len(), 1, "{found:#?}");
    }
}

/// The names of tables that are gone say where their list ends.
#[test]
fn a_list_whose_tables_are_gone_ends_where_their_names_say() {
    let store = Store::new(HASH);
    store.set("refs/heads/a", 1);
    fs::write(store.path().join("tables.list"), "0x000000000003-0x000000000003-00000000.ref\n").unwrap();
    fs::write(store.path().join("0x000000000009-0x000000000009-00000000.ref"), table(9, &[], &[])).unwrap();
    let found = verify_dir(&*brisk(store.path())).unwrap().findings;
    assert!(found.iter().any(|finding| finding.message.contains("where the list ends with 3")), "{found:#?}");
}

#[test]
fn files_of_the_living_are_theirs() {
    let store = Store::new(HASH);
    store.set("refs/heads/a", 1);
    let name = "reftable-00000000000000aa.tmp";
    let file = fs::File::create(store.path().join(name)).unwrap();
    file.lock().unwrap();
    assert_eq!(findings(&store), []);
    drop(file);
    let found = findings(&store);
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((finding.severity, finding.file.as_str()), (Severity::Note, name));
    assert!(finding.message.contains("of a process that has ended"), "{finding}");
}

/// Between the name of a table and its place in the list, and between its place and its end.
#[test]
fn a_busy_store_is_not_left_over() {
    let store = Store::new(HASH);
    store.set("refs/heads/a", 0);
    let (stack, done) = (store.stack.clone(), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                let mut tx = stack.transaction();
                tx.set(format!("refs/heads/{}", number % 7), reftable::Expect::Any, id(HASH, number));
                tx.commit().unwrap();
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        let looked: Vec<_> = (0..200).map(|_| store.stack.verify().map(|report| report.findings)).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(looked.iter().all(|found| found.as_ref().is_ok_and(Vec::is_empty)), "{looked:#?}");
    });
}
