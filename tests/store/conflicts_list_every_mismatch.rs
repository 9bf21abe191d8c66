//! A refused transaction says everything that is in its way, and changes nothing.

use crate::support::{self, HASHES, Store, dump};
use reftable::{ConflictKind, ErrorKind, Expect, Target, Transaction};

/// Commits, which must fail for conflicts. Returns the names and what is in their way.
fn refused(store: &Store, fill: impl FnOnce(&mut Transaction)) -> Vec<(String, ConflictKind)> {
    let before = dump(store.path());
    let mut tx = store.stack.transaction();
    fill(&mut tx);
    let error = tx.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(!error.is_retryable());
    assert_eq!(dump(store.path()), before, "nothing changed");
    let conflicts = error.conflicts().iter();
    conflicts.map(|conflict| (String::from_utf8(conflict.name.clone()).unwrap(), conflict.kind.clone())).collect()
}

fn invalid(store: &Store, fill: impl FnOnce(&mut Transaction)) {
    let before = dump(store.path());
    let mut tx = store.stack.transaction();
    fill(&mut tx);
    let error = tx.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(dump(store.path()), before, "nothing changed");
}

fn clash(name: &str, other: &str) -> (String, ConflictKind) {
    (name.to_owned(), ConflictKind::Name { other: other.as_bytes().to_vec() })
}

#[test]
fn mismatches_name_expected_and_actual() {
    for hash in HASHES {
        let store = Store::new(hash);
        let (one, two) = (store.id(1), store.id(2));
        store.set("refs/heads/there", 1);
        let mut tx = store.stack.transaction();
        tx.set("refs/heads/symbolic", Expect::Absent, Target::symbolic("refs/heads/there"));
        tx.set("refs/tags/v1", Expect::Absent, Target::Tag { id: one, peeled: two });
        tx.commit().unwrap();
        let mut tx = store.stack.transaction();
        tx.set("refs/heads/present", Expect::AbsentOr(two.into()), one);
        tx.set("refs/heads/symbolic-too", Expect::AbsentOr(two.into()), Target::symbolic("refs/heads/there"));
        tx.verify("refs/heads/there", Expect::AbsentOr(one.into()));
        tx.verify("refs/tags/v1", Expect::AbsentOr(one.into()));
        tx.commit().unwrap();
        let or_absent = [
            ("refs/heads/present", Expect::AbsentOr(two.into()), Some(Target::Id(one))),
            (
                "refs/heads/symbolic-too",
                Expect::AbsentOr(Target::symbolic("refs/heads/present")),
                Some(Target::symbolic("refs/heads/there")),
            ),
        ];
        let wrong = [
            ("refs/heads/absent", Expect::Exists, None),
            ("refs/heads/missing", Expect::Is(one.into()), None),
            ("refs/heads/symbolic", Expect::Is(one.into()), Some(Target::symbolic("refs/heads/there"))),
            ("refs/heads/there", Expect::Is(two.into()), Some(Target::Id(one))),
            ("refs/tags/v1", Expect::Is(two.into()), Some(Target::Tag { id: one, peeled: two })),
        ];
        let wrong = wrong.into_iter().chain(or_absent);
        let mut wrong: Vec<_> = wrong.collect();
        wrong.sort_by_key(|(name, ..)| *name);
        let found = refused(&store, |tx| {
            tx.set("refs/heads/fine", Expect::Absent, one);
            for (number, (name, expect, _)) in wrong.iter().enumerate() {
                match number % 3 {
                    0 => tx.delete(name, expect.clone()),
                    1 => tx.verify(name, expect.clone()),
                    _ => tx.set(name, expect.clone(), two),
                };
            }
        });
        let expected = wrong
            .into_iter()
            .map(|(name, expected, actual)| (name.to_owned(), ConflictKind::Mismatch { expected, actual }));
        assert_eq!(found, expected.collect::<Vec<_>>());
        let other = Expect::Is(Target::symbolic("refs/heads/other"));
        assert_eq!(
            refused(&store, |tx| {
                tx.verify("refs/heads/symbolic", other);
            })
            .len(),
            1
        );
        assert_eq!(
            refused(&store, |tx| {
                tx.verify("refs/heads/there", Expect::Absent);
            })
            .len(),
            1
        );
        assert_eq!(
            refused(&store, |tx| {
                tx.verify("refs/heads/symbolic", Expect::NotSymbolic);
            })
            .len(),
            1
        );
        let mut tx = store.stack.transaction();
        tx.verify("refs/heads/there", Expect::NotSymbolic).verify("refs/heads/missing", Expect::NotSymbolic);
        tx.commit().unwrap();
        // A stored peeled id does not matter.
        let mut tx = store.stack.transaction();
        tx.verify("refs/tags/v1", Expect::Is(one.into()));
        tx.verify("refs/heads/there", Expect::Is(Target::Tag { id: one, peeled: two }));
        tx.commit().unwrap();
    }
}

#[test]
fn the_message_says_it_all() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let mut tx = store.stack.transaction();
    tx.set("refs/heads/a", Expect::Absent, store.id(2)).set("refs/heads/a/b", Expect::Any, store.id(2));
    let message = tx.commit().unwrap_err().to_string();
    for part in ["refs/heads/a'", &store.id(1).to_string(), "absent", "refs/heads/a/b"] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn a_directory_is_in_the_way_of_a_name_and_the_other_way_round() {
    for hash in HASHES {
        let store = Store::new(hash);
        let id = store.id(1);
        store.set("refs/heads/a", 1);
        store.set("refs/heads/x/y/z", 1);
        let set = |name: &'static str| {
            refused(&store, |tx| {
                tx.set(name, Expect::Any, id);
            })
        };
        assert_eq!(set("refs/heads/a/b"), [clash("refs/heads/a/b", "refs/heads/a")]);
        assert_eq!(set("refs/heads/a/b/c"), [clash("refs/heads/a/b/c", "refs/heads/a")]);
        assert_eq!(set("refs/heads/x"), [clash("refs/heads/x", "refs/heads/x/y/z")]);
        assert_eq!(set("refs/heads/x/y"), [clash("refs/heads/x/y", "refs/heads/x/y/z")]);
        // Neighbours in the order of bytes are not in the way.
        for name in ["refs/heads/a-b", "refs/heads/a.b", "refs/heads/ab", "refs/heads/x/y/z0", "refs/heads/x/y-"] {
            store.set(name, 1);
        }
    }
}

/// The regression: a second name below a taken one was let off, because its directory had been
/// looked at.
#[test]
fn every_name_below_a_taken_one_is_listed() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    let names = ["refs/heads/a/b/c", "refs/heads/a/b/d", "refs/heads/a/b/e/f", "refs/heads/a/g"];
    let found = refused(&store, |tx| {
        for name in names {
            tx.set(name, Expect::Any, store.id(1));
        }
    });
    assert_eq!(found, names.map(|name| clash(name, "refs/heads/a")));
}

#[test]
fn names_of_one_transaction_clash_too() {
    let store = Store::new(HASHES[0]);
    let id = store.id(1);
    let found = refused(&store, |tx| {
        tx.set("refs/a/b", Expect::Any, id).set("refs/a", Expect::Any, id).set("refs/a/c/d", Expect::Any, id);
    });
    assert_eq!(found, [clash("refs/a/b", "refs/a"), clash("refs/a/c/d", "refs/a")]);
}

#[test]
fn a_name_may_take_the_place_of_a_directory_that_goes() {
    for hash in HASHES {
        let store = Store::new(hash);
        let id = store.id(1);
        store.set("refs/a/b", 1);
        let mut tx = store.stack.transaction();
        tx.delete("refs/a/b", Expect::Exists).set("refs/a", Expect::Absent, id);
        tx.commit().unwrap();
        assert_eq!((store.get("refs/a/b"), store.get("refs/a")), (None, Some(id.into())));
        let mut tx = store.stack.transaction();
        tx.set("refs/a/b/c", Expect::Absent, id).set("refs/a/d", Expect::Absent, id).delete("refs/a", Expect::Exists);
        tx.commit().unwrap();
        assert_eq!((store.get("refs/a"), store.get("refs/a/b/c")), (None, Some(id.into())));
        // Deleting one of two is not enough.
        let found = refused(&store, |tx| {
            tx.delete("refs/a/b/c", Expect::Any).set("refs/a", Expect::Any, id);
        });
        assert_eq!(found, [clash("refs/a", "refs/a/d")]);
    }
}

#[test]
fn a_name_may_appear_once() {
    let store = Store::new(HASHES[0]);
    let id = store.id(1);
    store.set("refs/heads/a", 1);
    invalid(&store, |tx| {
        tx.set("refs/heads/b", Expect::Any, id).set("refs/heads/b", Expect::Any, id);
    });
    invalid(&store, |tx| {
        tx.set("refs/heads/a", Expect::Any, id).delete("refs/heads/a", Expect::Any);
    });
    invalid(&store, |tx| {
        tx.verify("refs/heads/a", Expect::Any).delete("refs/heads/a", Expect::Any);
    });
}

#[test]
fn invalid_arguments_are_refused() {
    for hash in HASHES {
        let store = Store::new(hash);
        let id = store.id(1);
        store.set("refs/heads/a", 1);
        for name in
            ["", "@", "refs/heads/", "/a", "a//b", "a..b", ".a", "a/.b", "a.lock", "a b", "a\0b", "a\n", "a.", "a@{0}"]
        {
            invalid(&store, |tx| {
                tx.set(name, Expect::Any, id);
            });
            invalid(&store, |tx| {
                tx.delete(name, Expect::Any);
            });
            invalid(&store, |tx| {
                tx.verify(name, Expect::Any);
            });
            invalid(&store, |tx| {
                tx.set("refs/heads/s", Expect::Any, Target::symbolic(name));
            });
            invalid(&store, |tx| {
                tx.append_log(name, support::entry(hash, 0, 1, "m"));
            });
        }
        invalid(&store, |tx| {
            tx.append_log("refs/heads/a", support::entry(hash, 0, 1, "two\nlines"));
        });
        let foreign = support::id(if hash == HASHES[0] { HASHES[1] } else { HASHES[0] }, 1);
        invalid(&store, |tx| {
            tx.set("refs/heads/b", Expect::Any, foreign);
        });
        let null = reftable::ObjectId::null(hash);
        let mut tx = store.stack.transaction();
        tx.append_log("refs/heads/a", reftable::LogEntry { old: null, ..support::entry(hash, 0, 1, "m") });
        tx.commit().unwrap();
    }
}

/// A record of a log whose name is empty cannot be read again: the whole store would be damaged.
#[test]
fn deleting_a_log_entry_of_no_name_is_refused() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/a", 1);
    for name in ["", "a\0b"] {
        invalid(&store, |tx| {
            tx.delete_log_entry(name, 1);
        });
    }
    support::assert_verifies(&store.stack);
}

/// All are in the error, ten in its text: that is one line on a terminal.
#[test]
fn the_text_names_ten_conflicts_and_counts_the_others() {
    let store = Store::new(HASHES[0]);
    store.set("refs/heads/d", 1);
    for (count, end) in [(10, ""), (11, "; and one other"), (16_000, "; and 15990 others")] {
        let mut tx = store.stack.transaction();
        for number in 0..count {
            tx.set(format!("refs/heads/d/{number:05}"), Expect::Absent, store.id(1));
        }
        let error = tx.commit().unwrap_err();
        assert_eq!(error.conflicts().len(), count);
        let text = error.to_string();
        assert!(text.contains("'refs/heads/d/00009'") && !text.contains("'refs/heads/d/00010'"), "{text}");
        assert!(text.ends_with(&format!("'refs/heads/d/00009' cannot exist beside 'refs/heads/d'{end}")), "{text}");
        assert!(format!("{error:?}").len() < 2000);
    }
}
