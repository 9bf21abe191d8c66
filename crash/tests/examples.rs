//! The examples find what they are for, and nothing else.

#![cfg(test)]

#[allow(dead_code, reason = "an example has a main")]
#[path = "../examples/files_backend.rs"]
mod files_backend;
#[allow(dead_code, reason = "an example has a main")]
#[path = "../examples/table_list.rs"]
mod table_list;

use files_backend::Syncs;
use reftable_crash::Model;
use table_list::Mistake;

/// The claims that are broken, in alphabetical order.
fn broken(tally: &reftable_crash::Tally) -> String {
    let mut claims: Vec<char> = tally.violations.iter().map(|violation| violation.claim).collect();
    claims.sort_unstable();
    claims.dedup();
    claims.into_iter().collect()
}

#[test]
fn the_files_backend_loses_what_it_does_not_sync_and_nothing_else() {
    let broken = |syncs, model| broken(&files_backend::crash(syncs, model).unwrap());
    for model in Model::ALL {
        assert_eq!(broken(Syncs::FileAndDirectory, model), "", "{model:?}");
    }
    assert_eq!(broken(Syncs::Nothing, Model::Kill), "");
    assert_eq!(broken(Syncs::Nothing, Model::OnlySynced), "AB");
    // ext4 writes a file before it takes the place of another one, but not yet then.
    assert_eq!(broken(Syncs::Nothing, Model::Ordered), "A");
    assert_eq!(broken(Syncs::File, Model::OnlySynced), "A");
    assert_eq!(broken(Syncs::File, Model::Ordered), "A");
}

#[test]
fn the_list_of_tables_needs_each_of_its_syncs() {
    let broken = |mistake, model| broken(&table_list::crash(mistake, model).unwrap());
    for model in Model::ALL {
        assert_eq!(broken(Mistake::None, model), "", "{model:?}");
    }
    assert_eq!(broken(Mistake::NoTableSync, Model::OnlySynced), "B");
    assert_eq!(broken(Mistake::NoListSync, Model::OnlySynced), "AB");
    assert_eq!(broken(Mistake::NoDirSyncBefore, Model::OnlySynced), "B");
    assert_eq!(broken(Mistake::NoDirSyncAfter, Model::OnlySynced), "A");
    assert_eq!(broken(Mistake::NoDirSyncAfter, Model::Ordered), "A");
}

#[test]
fn those_who_find_a_crash_are_crashed_as_well() {
    let tally = table_list::crash(Mistake::None, Model::OnlySynced).unwrap();
    assert!(tally.finders > 3 && tally.nested > tally.finders, "{tally}");
}
