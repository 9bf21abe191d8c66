//! How much a test does: all that it can in CI, less for who runs all tests by hand, and never
//! without saying so.

use std::fmt::Display;
use std::io::Write;
use std::sync::Mutex;

/// Whether tests may take their time: `REFTABLE_LONG_TESTS=1`, as in CI.
pub(crate) fn is_long() -> bool {
    std::env::var_os("REFTABLE_LONG_TESTS").is_some_and(|value| value == "1")
}

/// How much of `what` a test does: `long` if it may take its time, else `short`, which it says.
pub(crate) fn bound<T: Display>(what: &str, long: T, short: T) -> T {
    if is_long() {
        return long;
    }
    loudly(&format!("SHORTENED: {short} {what} instead of {long}; REFTABLE_LONG_TESTS=1 does all"));
    short
}

/// Says once what must be seen of a test that passes: the harness hides what such a test prints,
/// but not this.
pub(crate) fn loudly(message: &str) {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut said = SAID.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if !said.iter().any(|old| old == message) {
        let _ = writeln!(std::io::stderr(), "{message}");
        said.push(message.to_owned());
    }
}
