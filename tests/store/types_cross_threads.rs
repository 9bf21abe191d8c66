//! What programs put into threads and futures, and send errors with, can be put there.

use reftable::{Commit, Conflict, Error, ObjectId, Options, Prepared, Ref, Replaced, Snapshot, Stack, Transaction};

fn is_shared<T: Send + Sync + 'static>() {}
fn is_sent<T: Send>() {}

#[test]
fn handles_and_values_are_shared_and_transactions_are_sent() {
    is_shared::<Stack>();
    is_shared::<Snapshot>();
    is_shared::<Options>();
    is_shared::<Error>();
    is_shared::<Conflict>();
    is_shared::<Commit>();
    is_shared::<Replaced>();
    is_shared::<Ref>();
    is_shared::<ObjectId>();
    is_sent::<Transaction>();
    is_sent::<Prepared>();
}

#[test]
fn an_error_goes_where_any_error_goes() {
    let error: Box<dyn std::error::Error + Send + Sync> =
        Stack::open("/nowhere/at/all", Options::default()).unwrap_err().into();
    assert!(!error.to_string().is_empty());
}
