//! Copied blocks make a table grow by ends of blocks; before that is 15 %, all is written again. So
//! it is when blocks are not what the options say.

use crate::support::{self, Store, assert_verifies, quick};
use reftable::compact::{Compact, Expiry};
use reftable::table::{TableStats, WriteOptions};
use reftable::{AutoCompact, Expect, HashKind, Options, Stack};

const COUNT: u64 = 20_000;

fn options(write: WriteOptions) -> Options {
    quick().auto_compact(AutoCompact::Off).compact_at_once(0).write(write)
}

fn usual() -> WriteOptions {
    WriteOptions::default().block_size(512).object_index(false)
}

/// A store of one large table.
fn store() -> Store {
    let store = Store::with(HashKind::Sha1, options(usual()));
    add(&store, (0..COUNT).map(|number| 1000 * number));
    store
}

/// One transaction of references with these numbers.
fn add(store: &Store, numbers: impl Iterator<Item = u64>) {
    let mut tx = store.stack.transaction();
    for number in numbers {
        tx.set(format!("refs/heads/{number:010}"), Expect::Any, store.id(number));
    }
    tx.commit().unwrap();
}

fn compact(stack: &Stack, what: Compact) -> TableStats {
    let written = stack.compact(what).unwrap().unwrap().written;
    assert_verifies(stack);
    written
}

fn rewrite() -> Compact {
    Compact::Rewrite { expiry: Expiry::default() }
}

#[test]
fn blocks_stay_few_however_often_it_is_compacted() {
    let store = store();
    let fresh = |stack: &Stack| {
        let copy = tempfile::tempdir().unwrap();
        support::copy_dir(stack.path(), copy.path());
        compact(&Stack::open(copy.path(), options(usual())).unwrap(), rewrite()).blocks
    };
    let (mut rewritten, mut copied) = (0, 0);
    let mut random = support::Random(1);
    for round in 0..30 {
        // New names everywhere, in a twentieth of the blocks.
        add(&store, (0..60).map(|_| 1 + random.below(1000 * COUNT)));
        let written = compact(&store.stack, Compact::all());
        let fresh = fresh(&store.stack);
        match written.copied {
            0 => {
                rewritten += 1;
                assert_eq!(written.blocks, fresh, "round {round}");
            }
            _ => copied += 1,
        }
        assert!(written.blocks * 100 <= fresh * 125, "round {round}: {} blocks, {fresh} fresh", written.blocks);
    }
    assert!(rewritten >= 3 && copied >= 3 * rewritten, "{rewritten} times written again, {copied} times copied");
}

#[test]
fn updates_and_names_at_the_end_cost_no_blocks() {
    let store = store();
    let before = compact(&store.stack, rewrite()).blocks;
    for round in 0..20 {
        let updated = (0..50).map(|number| 1000 * ((round * 977 + number * 397) % COUNT));
        add(&store, updated.chain(std::iter::once(1000 * (COUNT + round))));
        let written = compact(&store.stack, Compact::all());
        assert!(written.copied > before / 2, "round {round}: {written:?}");
        assert!(written.blocks <= before + before / 50, "round {round}: {} blocks, {before} before", written.blocks);
    }
}

#[test]
fn other_options_are_obeyed() {
    let others =
        [usual().block_size(1024), usual().block_size(256), usual().restart_interval(3), usual().restart_interval(64)];
    for write in others {
        let store = store();
        add(&store, std::iter::once(5));
        let other = Stack::open(store.path(), options(write.clone())).unwrap();
        let copied = compact(&other, Compact::all());
        assert_eq!(copied.copied, 0, "{write:?}");
        assert_eq!(compact(&other, rewrite()), copied, "{write:?}");
        add(&store, std::iter::once(6));
        assert!(compact(&other, Compact::all()).copied > 0, "now that they are what the options say");
    }
    let store = store();
    add(&store, std::iter::once(5));
    let unpadded = Stack::open(store.path(), options(usual().padding(false))).unwrap();
    let written = compact(&unpadded, Compact::all());
    assert!(written.copied > 0 && written.bytes < compact(&store.stack, rewrite()).bytes, "padding is written anew");
}

#[test]
fn a_single_table_is_written_again_when_asked() {
    let store = store();
    assert_eq!(store.stack.compact(Compact::all()).unwrap(), None);
    assert_eq!(compact(&store.stack, rewrite()).copied, 0);
}
