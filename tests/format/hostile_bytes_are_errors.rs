//! Damaged tables: every truncation and every flipped bit gives a clear error or well-formed data,
//! never a panic, an endless loop.

use crate::support::effort::bound;
use crate::support::hostile::{mend_checksum, read_everything, small_tables};

#[test]
fn sound_tables_are_read() {
    for (kind, table) in small_tables() {
        let seen = read_everything(&table);
        assert!(seen.is_ok_and(|seen| seen > 0 || kind == "empty"), "{kind}");
    }
}

#[test]
fn every_truncation_is_an_error() {
    for (kind, table) in small_tables() {
        for len in 0..table.len() {
            assert!(read_everything(&table[..len]).is_err(), "{kind}, cut to {len} of {}", table.len());
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_well_formed() {
    let mut errors = 0;
    let step = 8 / bound("flipped bits in each byte", 8, 2);
    for (_, table) in small_tables() {
        for bit in (0..table.len() * 8).step_by(step) {
            let mut damaged = table.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            errors += usize::from(read_everything(&damaged).is_err());
            mend_checksum(&mut damaged);
            let _ = read_everything(&damaged);
        }
    }
    assert!(errors > 1_000, "hardly anything was noticed: {errors}");
}

#[test]
fn every_byte_set_to_its_extremes_is_an_error_or_well_formed() {
    for (_, table) in small_tables() {
        for position in 0..table.len() {
            for value in [0, 0x7f, 0x80, 0xff] {
                let mut damaged = table.clone();
                damaged[position] = value;
                mend_checksum(&mut damaged);
                let _ = read_everything(&damaged);
            }
        }
    }
}
