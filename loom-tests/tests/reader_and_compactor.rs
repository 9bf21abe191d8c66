//! A process reads while another compacts and removes the inputs, and perhaps dies over it. The
//! reader is never refused, and sees no change.

#![cfg(loom)]
#![cfg(test)]

use std::time::Duration;

use loom_tests::{Flaw, explore, explore_deaths, locks, open, options, process, read, recover, start_with, values};
use reftable::AutoCompact;
use reftable::compact::Compact;

const NAMES: [&str; 2] = ["refs/heads/a", "refs/heads/b"];

/// One compacts, and dies at its `call`-th call if that is not 0; another reads: with a handle that
/// knows the tables and with a new one.
fn model(call: u32, patience: Duration) -> bool {
    let dir = start_with(&[&NAMES[..1], &NAMES[1..]], Flaw::None);
    let mortal = dir.for_process(1);
    let compactor = open(&mortal, locks(true), options(AutoCompact::Off));
    let reader_options = options(AutoCompact::Off).reload_deadline(patience);
    let reader = open(&dir.for_process(2), locks(true), reader_options.clone());
    mortal.dies_at(call);
    let before = reader.snapshot().expect("the store is sound at every moment");
    let thread = process(move || {
        let outcome = compactor.compact(Compact::all());
        drop(compactor);
        outcome.map(|_| ())
    });
    assert_eq!(read(&reader, &NAMES), [1, 1], "compaction changes nothing");
    let fresh = open(&dir.for_process(3), locks(true), reader_options);
    assert_eq!(read(&fresh, &NAMES), [1, 1], "compaction changes nothing");
    let outcome = thread.join().expect("the compactor ends");
    assert!(outcome.is_ok() || mortal.is_dead(), "the living succeed: {outcome:?}");
    assert_eq!(values(&before, &NAMES), [1, 1], "a snapshot never changes");
    assert_eq!(read(&reader, &NAMES), [1, 1], "compaction changes nothing");
    drop((reader, fresh));
    recover(&dir, &NAMES);
    mortal.is_dead()
}

#[test]
fn a_reader_is_never_refused() {
    explore("reader and compactor", 6, || assert!(!model(0, Duration::from_secs(1)), "nobody dies"));
}

#[test]
fn a_reader_is_never_refused_though_the_compactor_dies() {
    explore_deaths("reader and dying compactor", 3, |call| model(call, Duration::from_secs(1)));
}

/// Patience is for lists that stay the same. Here they change.
#[test]
fn a_reader_needs_no_patience() {
    explore("reader without patience and compactor", 6, || assert!(!model(0, Duration::ZERO), "nobody dies"));
}

#[cfg(reftable_mutants)]
#[test]
fn mutants_are_caught() {
    use reftable::mutant::Mutant;
    for patience in [Duration::ZERO, Duration::from_secs(1)] {
        loom_tests::catches(Mutant::NoSecondLook, || {
            explore("mutant", 3, move || assert!(!model(0, patience), "nobody dies"));
        });
    }
    loom_tests::catches(Mutant::DeleteInputsEarly, || {
        explore_deaths("mutant", 2, |call| model(call, Duration::from_secs(1)));
    });
}
