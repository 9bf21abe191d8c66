//! We take the names that git takes, and no others.

#![cfg(test)]

mod support;

use support::Random;
use support::git::{self, Repo};

#[test]
fn random_names_are_judged_alike() {
    if !git::is_there() {
        return;
    }
    let repo = Repo::new(reftable::HashKind::Sha1);
    let parts = [
        "a", "b", "/", "/", ".", ".lock", "@", "{", "x-", "~", "^", ":", "?", "*", "[", "\\", " ", "\u{7f}", "\u{1}",
        "\u{e4}", "@{", "..", "refs", "lock",
    ];
    let mut random = Random(3);
    let mut judged = [0, 0];
    for _ in 0..400 {
        let mut part = || {
            // Mostly the harmless ones, so that both verdicts come up.
            let choice = if random.below(2) == 0 { 4 } else { parts.len() as u64 };
            parts[random.below(choice) as usize]
        };
        let name = [part(), part(), part(), part()].concat();
        let theirs = repo.try_git(["check-ref-format", "--allow-onelevel", &name]).status.success();
        assert_eq!(reftable::check_name(name.as_bytes()).is_ok(), theirs, "{name:?}");
        judged[usize::from(theirs)] += 1;
    }
    assert!(judged.iter().all(|count| *count > 30), "both verdicts come up: {judged:?}");
}
