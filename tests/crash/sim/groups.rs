//! Scenarios of transactions that are committed together.

use reftable::{Durability, Expect};

use super::check;
use super::run::Run;
use super::stage::{Sink, at_once, delete, empty, id, interleave, plain, set, stairs};
use crate::support::model::Change;

/// Three transactions: independent; one that does not fit, for what was there before or for what
/// the first one does; a third one that undoes what the first one does.
fn groups() -> [Vec<Vec<Change>>; 4] {
    let alone = |change| vec![change];
    let create = |name: &str, number| Change::Set(name.as_bytes().to_vec(), Expect::Absent, id(number));
    let forget = |name: &str| Change::DeleteLog(name.as_bytes().to_vec());
    [
        vec![set("one", 1, 50), set("two", 4, 51), set("three", 1, 52)],
        vec![set("one", 1, 50), alone(create("refs/heads/base-0", 51)), set("three", 2, 52)],
        vec![set("one", 2, 50), alone(create("refs/heads/one-0", 51)), set("three", 1, 52)],
        vec![
            set("one", 2, 50),
            alone(delete("refs/heads/base-0")),
            vec![delete("refs/heads/one-0"), forget("refs/heads/one-0"), create("refs/heads/base-0", 53)],
        ],
    ]
}

pub(super) fn group(sink: Sink<'_>) {
    for options in [plain(), check::options(), at_once()] {
        for group in groups() {
            let run = Run::start(&stairs(2));
            let actor = run.actor(1, Durability::Full, options.clone());
            actor.commit_all(group);
            actor.commit(set("new", 2, 60));
            drop(actor);
            sink(run.finish());
        }
    }
    // The first of all commits.
    for group in [0, 2] {
        let run = Run::start(&empty());
        let actor = run.actor(1, Durability::Full, plain());
        actor.commit_all(groups()[group].clone());
        drop(actor);
        sink(run.finish());
    }
}

/// What another process does decides which members fit.
pub(super) fn beside(sink: Sink<'_>) {
    interleave(
        &stairs(2),
        (at_once(), plain()),
        |one| one.commit_all(groups()[1].clone()),
        |two| two.commit(vec![delete("refs/heads/base-0")]),
        sink,
    );
    interleave(
        &stairs(2),
        (plain(), plain()),
        |one| one.commit(vec![delete("refs/heads/base-0")]),
        |two| two.commit_all(groups()[3].clone()),
        sink,
    );
}
