//! See `tests/support/fuzz_targets.rs`.

#![no_main]
#![allow(dead_code, reason = "the support is shared")]

#[path = "../../tests/support/fuzz_targets.rs"]
mod fuzz_targets;
#[path = "../../tests/support/hostile.rs"]
mod hostile;
#[path = "../../tests/support/mem_dir.rs"]
mod mem_dir;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_targets::list(bytes));
