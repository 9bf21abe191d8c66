//! One crafted table for each class of bug that readers of this format have had. The error says
//! what is wrong, and where.

use crate::support::hostile::{mend_checksum, read_everything};
use crate::support::mem_dir;

/// Offsets in the footer, in its order: reference index, objects, object index, logs, log index.
type Footer = [u64; 5];

const NO_SECTIONS: Footer = [0; 5];
const HEADER: usize = 24;
/// 40 digits of one id.
const ID: &str = "0101010101010101010101010101010101010101";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    assert_eq!(digits.len() % 2, 0, "{hex}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// A version 1 table of update index 1 with these bytes between header and footer.
fn table(blocks: &str, footer: Footer) -> Vec<u8> {
    let header = bytes("52454654 01 001000 0000000000000001 0000000000000001");
    let mut table = [header.clone(), bytes(blocks), header].concat();
    for field in footer {
        table.extend_from_slice(&field.to_be_bytes());
    }
    table.extend_from_slice(&[0; 4]);
    mend_checksum(&mut table);
    table
}

/// The first block of a table: these records, one restart at the first. The length is right.
fn first_block(letter: char, records: &str) -> String {
    let len = HEADER + 4 + bytes(records).len() + 5;
    format!("{:02x} {len:06x} {records} 00001c 0001", letter as u8)
}

fn refs(records: &str) -> Vec<u8> {
    table(&first_block('r', records), NO_SECTIONS)
}

/// The table must be refused with `message`, at `offset`.
fn refused(table: &[u8], message: &str, offset: u64) {
    let error = read_everything(table).expect_err(message);
    assert!(error.message().contains(message), "{error}\nis not about: {message}");
    assert_eq!(error.offset(), Some(offset), "{error}");
}

#[test]
fn a_sound_fixture_is_read() {
    // Key "a" (nothing shared, length 1, type 1), update index 1 + 0, one id.
    let table = refs(&format!("00 09 61 00 {ID}"));
    assert!(read_everything(&table).unwrap() > 0);
}

#[test]
fn block_lengths() {
    refused(&table("72 000100 00 0000", NO_SECTIONS), "claims 256 bytes", 25);
    refused(&table("72 00001d 00 0000", NO_SECTIONS), "claims a length of only 29", 25);
    refused(&table("72 000000 00 0000", NO_SECTIONS), "claims a length of only 0", 25);
    refused(&table("72 ffffff 00 0000", NO_SECTIONS), "claims 16777215 bytes", 25);
}

#[test]
fn restarts() {
    let record = format!("00 09 61 00 {ID}");
    let len = HEADER + 4 + 24;
    let with = |restarts: &str| {
        let total = len + bytes(restarts).len();
        table(&format!("72 {total:06x} {record} {restarts}"), NO_SECTIONS)
    };
    refused(&with("00001c ffff"), "65535 restarts do not fit", len as u64 + 3);
    refused(&with("0000ff 0001"), "restart 0 points to 255", len as u64);
    refused(&with("00001b 0001"), "restart 0 points to 27", len as u64);
    refused(&with("0000"), "has no restarts", len as u64);
    refused(&with("00001c 00001c 0002"), "restart 1 points to 28", len as u64 + 3);
}

#[test]
fn a_restart_within_a_run_of_shared_bytes() {
    let records = format!("00 11 6161 00 {ID} 01 09 62 00 {ID}");
    let len = HEADER + 4 + bytes(&records).len() + 8;
    let table = table(&format!("72 {len:06x} {records} 00001c 000035 0002"), NO_SECTIONS);
    refused(&table, "a restart shares bytes", 0x35);
}

#[test]
fn keys() {
    refused(&refs(&format!("05 09 61 00 {ID}")), "a restart shares bytes", 28);
    refused(&refs(&format!("00 09 61 00 {ID} 05 09 62 00 {ID}")), "shares more bytes than the key before it has", 52);
    refused(&refs(&format!("00 01 00 {ID}")), "an empty key", 28);
    refused(&refs("00 ff7f 61"), "a byte string is cut off", 31);
    refused(&refs("00 ffffffffffffffffff7f 61 00"), "exceeds 64 bits", 29);
    refused(&refs("ffffffffffffffff 7f 09 61"), "a restart shares bytes", 28);
}

#[test]
fn values() {
    refused(&refs("00 0c 61 00"), "unknown type 4", 32);
    refused(&refs("00 0f 61 00"), "unknown type 7", 32);
    refused(&refs("00 09 61 00 0101"), "a byte string is cut off", 32);
    refused(&refs("00 0a 61 00 0101"), "a byte string is cut off", 32);
    refused(&refs("00 0b 61 00 7f 61"), "a byte string is cut off", 33);
    refused(&refs("00 08 61 80fefefefefefefefe7f"), "an update index exceeds 64 bits", 31);
    refused(&refs("00 08 61 80"), "a variable-length integer is cut off", 32);
}

#[test]
fn kinds_of_blocks() {
    refused(&table("78 00001e 0000", NO_SECTIONS), "unknown type 0x78", 24);
    // Nothing leads to an object block at the start of a file, so readers do not meet it. `verify`
    // does.
    let object = table(&first_block('o', "00 11 0101 00"), NO_SECTIONS);
    let report = reftable::verify::verify_dir(&mem_dir::MemDir::of_tables(&[object])).unwrap();
    assert!(report.findings.iter().any(|finding| finding.message.contains("begins with an object block")));
}

#[test]
fn footers() {
    let sound = refs(&format!("00 09 61 00 {ID}"));
    let footer = sound.len() as u64 - 68;
    let record = first_block('r', &format!("00 09 61 00 {ID}"));
    refused(&table(&record, [1 << 40, 0, 0, 0, 0]), "the footer names offset 1099511627776", footer);
    refused(&table(&record, [0, 0, 0, u64::MAX, 0]), "the footer names offset", footer);
    refused(&table(&record, [0, 24 << 5, 0, 0, 0]), "an object section without ids", footer);
    let mut contradicting = sound.clone();
    contradicting[footer as usize + 23] = 9;
    mend_checksum(&mut contradicting);
    refused(&contradicting, "does not end with a footer that repeats its header", footer);
    let mut unchecked = sound;
    *unchecked.last_mut().unwrap() ^= 1;
    refused(&unchecked, "checksum", footer + 64);
}

#[test]
fn an_index_that_leads_to_itself() {
    let record = first_block('r', &format!("00 09 61 00 {ID}"));
    let at = HEADER + bytes(&record).len();
    // Key "zz", block: the index itself.
    let index = format!("69 00000e 00 10 7a7a {at:02x} 000004 0001");
    let table = table(&format!("{record} {index}"), [at as u64, 0, 0, 0, 0]);
    refused(&table, "an index entry points forward", at as u64);
}

#[test]
fn an_index_that_leads_nowhere() {
    let record = first_block('r', &format!("00 09 61 00 {ID}"));
    let at = HEADER + bytes(&record).len();
    let index = "69 00000e 00 10 7a7a 21 000004 0001";
    let table = table(&format!("{record} {index}"), [at as u64, 0, 0, 0, 0]);
    refused(&table, "unknown type", 33);
}

#[test]
fn inflated_sizes() {
    // An empty deflate stream: 789c 0300 00000001.
    refused(&table("67 ffffff 789c030000000001", NO_SECTIONS), "more than its 8 can hold", 25);
    refused(&table("67 000040 789c030000000001", NO_SECTIONS), "does not inflate to the 64 bytes it claims", 28);
    refused(&table("67 000040 789c03", NO_SECTIONS), "does not inflate", 28);
    refused(&table("67 000040 0000000000000000", NO_SECTIONS), "does not inflate", 28);
}

#[test]
fn log_keys() {
    let stored = |records: &str| {
        let body = bytes(&format!("{records} 00001c 0001"));
        let len = HEADER + 4 + body.len();
        let mut stream = flate2::Compress::new(flate2::Compression::none(), true);
        let mut deflated = Vec::with_capacity(1000);
        stream.compress_vec(&body, &mut deflated, flate2::FlushCompress::Finish).unwrap();
        let hex: String = deflated.iter().map(|byte| format!("{byte:02x}")).collect();
        table(&format!("67 {len:06x} {hex}"), NO_SECTIONS)
    };
    // "a", 0, inverted update index: sound, a tombstone.
    read_everything(&stored("00 50 61 00 fffffffffffffffe")).unwrap();
    refused(&stored("00 48 61 fffffffffffffffe"), "a log key is not a name, a zero and an update index", 0);
    refused(&stored("00 08 61"), "a log key is not a name, a zero and an update index", 0);
    refused(&stored("00 52 61 00 fffffffffffffffe"), "unknown type 2", 0);
}
