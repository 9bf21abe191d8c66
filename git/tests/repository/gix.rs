//! Types and edits of gix.

use gix_ref::transaction::{Change as Edit, LogChange, PreviousValue, RefEdit, RefLog};
use reftable::bytes::Reading;
use reftable::{Ident, ObjectId, Ref, Target};
use reftable_git::gix::{batch, from_reference, from_target, gix_ref, to_object_id, to_reference, to_target};
use reftable_git::{ErrorKind, Repository, Stores};

use crate::support::{git_knows_reftables, init, repository};

fn id(byte: u8) -> ObjectId {
    ObjectId::from_bytes(&[byte; 20]).unwrap()
}

fn object(byte: u8) -> gix_ref::Target {
    to_target(&Target::Id(id(byte))).unwrap()
}

fn name(name: &str) -> gix_ref::FullName {
    name.try_into().unwrap()
}

fn commit(stores: &Stores, edits: impl IntoIterator<Item = RefEdit>) -> reftable_git::Result<()> {
    let committer = Ident::new("A U Thor", "author@example.com", 1_700_000_000);
    batch(edits, Some(committer))?.commit(stores).map(drop)
}

#[test]
fn references_survive_the_way_to_gix_and_back() {
    for target in [Target::Id(id(1)), Target::symbolic("refs/heads/main"), Target::Tag { id: id(1), peeled: id(2) }] {
        let found = Ref { name: b"refs/heads/\xff".to_vec(), update_index: 0, target };
        assert_eq!(from_reference(&to_reference(&found).unwrap()), found);
    }
    assert_eq!(from_target(&object(3)), Target::Id(id(3)));
    assert!(to_reference(&Ref { name: b"..".to_vec(), update_index: 0, target: Target::Id(id(1)) }).is_err());
}

#[test]
fn edits_expect_what_gix_expects() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &["--bare"]);
    let repository = Repository::at(&top.path().join("repo")).unwrap();
    let stores = repository.open_to_write().unwrap();
    let update = |expected| RefEdit::update(name("refs/heads/a"), object(2), expected, "why");
    let exists = |byte: u8| {
        commit(&stores, [RefEdit::update(name("refs/heads/a"), object(byte), PreviousValue::Any, "")]).unwrap();
    };
    let gone = || commit(&stores, [RefEdit::delete(name("refs/heads/a"), PreviousValue::Any)]).unwrap();
    for (expected, if_gone, if_same, if_other) in [
        (PreviousValue::Any, true, true, true),
        (PreviousValue::MustExist, false, true, true),
        (PreviousValue::MustNotExist, true, false, false),
        (PreviousValue::MustExistAndMatch(object(1)), false, true, false),
        (PreviousValue::ExistingMustMatch(object(1)), true, true, false),
    ] {
        let attempt = || commit(&stores, [update(expected.clone())]);
        gone();
        assert_eq!(attempt().is_ok(), if_gone, "{expected:?}");
        exists(1);
        assert_eq!(attempt().is_ok(), if_same, "{expected:?}");
        exists(3);
        let last = attempt();
        assert_eq!(last.is_ok(), if_other, "{expected:?}");
        assert!(last.err().is_none_or(|error| error.kind() == ErrorKind::Store));
    }
}

#[test]
fn logs_are_written_and_deleted_as_the_edits_say() {
    let Some((_top, repo)) = repository() else { return };
    let repository = Repository::at(&repo).unwrap();
    let stores = repository.open_to_write().unwrap();
    let log = |of: &str| {
        let view = repository.view(Reading::Copied).unwrap();
        let entries = view.log_entries(of.as_bytes()).unwrap();
        let messages = entries.iter().map(|entry| String::from_utf8_lossy(&entry.message).trim_end().to_owned());
        (view.log_exists(of.as_bytes()).unwrap(), messages.collect::<Vec<_>>())
    };
    let forced = LogChange { force_create_reflog: true, message: "forced".into(), ..LogChange::default() };
    let only = LogChange { mode: RefLog::Only, message: "only".into(), ..LogChange::default() };
    commit(
        &stores,
        [
            RefEdit::update(name("refs/heads/a"), object(1), PreviousValue::Any, "one"),
            RefEdit::update(name("refs/odd/b"), object(1), PreviousValue::Any, "none"),
            RefEdit::update_with_log(name("refs/odd/c"), object(1), PreviousValue::Any, forced),
            RefEdit::update(name("HEAD"), object(2), PreviousValue::Any, "followed").with_deref(true),
        ],
    )
    .unwrap();
    assert_eq!(log("refs/heads/a"), (true, vec!["one".to_owned()]));
    assert_eq!(log("refs/odd/b"), (false, vec![]));
    assert_eq!(log("refs/odd/c"), (true, vec!["forced".to_owned()]));
    assert_eq!(log("refs/heads/main").1[0], "followed");
    assert_eq!(log("HEAD").1[0], "followed");
    let seen = repository.view(Reading::Copied).unwrap().resolve(b"refs/heads/main").unwrap();
    assert_eq!(seen, Some(id(2)));

    commit(&stores, [RefEdit::update_with_log(name("refs/heads/a"), object(5), PreviousValue::Any, only)]).unwrap();
    assert_eq!(log("refs/heads/a").1, ["only", "one"]);
    let seen = repository.view(Reading::Copied).unwrap().resolve(b"refs/heads/a").unwrap();
    assert_eq!(seen, Some(id(1)), "it stays where it is");
    commit(&stores, [RefEdit::delete_with_log(name("refs/heads/a"), PreviousValue::MustExist, RefLog::Only)]).unwrap();
    assert_eq!(log("refs/heads/a"), (false, vec![]));
    assert!(repository.view(Reading::Copied).unwrap().resolve(b"refs/heads/a").unwrap().is_some());
}

#[test]
fn edits_that_cannot_be_are_refused() {
    let null = to_object_id(&ObjectId::null(reftable::HashKind::Sha1));
    let only = LogChange { mode: RefLog::Only, ..LogChange::default() };
    let link = gix_ref::Target::Symbolic(name("refs/heads/b"));
    for edit in [
        RefEdit::delete(name("refs/heads/a"), PreviousValue::MustNotExist),
        RefEdit::update(name("refs/heads/a"), null, PreviousValue::Any, ""),
        RefEdit::new(name("HEAD"), Edit::Update { log: only, expected: PreviousValue::Any, new: link }),
    ] {
        let error = batch([edit], None).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with("the edit of"), "{error}");
    }
}
