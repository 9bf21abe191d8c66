//! The object `root` of a store in a bucket: nothing panics, and what is read is printed as it was.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reftable_bucket::fuzz_root(bytes));
