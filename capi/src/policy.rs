//! What is done beyond git's rules, for those who ask for it: by the environment, or by a function.

use std::ffi::{CStr, c_char, c_int};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use reftable::escape;

use crate::bytes_of;
use crate::error::{API, Code, OK, Result, guard};

/// The variable that names the policy; a function counts more.
const VARIABLE: &CStr = c"REFTABLE_POLICY";

/// How this process writes. Stacks that are open keep theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// As git does: its compaction rule, and its host's word on what is synced.
    Git,
    /// `full`: a commit that succeeded survives a power failure, whatever the host's settings; few
    /// commits compact, and large compactions copy blocks.
    Full,
}

/// What was said by the function: 0 nothing yet.
static SAID: AtomicU8 = AtomicU8::new(0);

impl Policy {
    /// What this process is told. An unknown word is an error: a user who asks for more must not
    /// get less.
    pub(crate) fn of_process() -> Result<Policy> {
        match SAID.load(Ordering::Relaxed) {
            1 => Ok(Policy::Git),
            2 => Ok(Policy::Full),
            _ => in_environment(),
        }
    }

    fn of(word: &[u8]) -> Result<Policy> {
        match word {
            b"" | b"git" => Ok(Policy::Git),
            b"full" => Ok(Policy::Full),
            _ => Err(Code(API)),
        }
    }
}

/// What the environment says. C is asked, as a host asks: the standard library's lock would be in
/// two pages of memory that nothing else in a short process touches.
fn in_environment() -> Result<Policy> {
    // SAFETY: a string that ends. Who changes the environment in one thread while another one opens
    // a stack breaks a rule of C's.
    let word = unsafe { libc::getenv(VARIABLE.as_ptr()) };
    // SAFETY: null, or a string that ends and stays for as long as nobody changes the environment.
    let Some(word) = (unsafe { bytes_of(word) }) else { return Ok(Policy::Git) };
    Policy::of(word).inspect_err(|_| complain(word))
}

/// Says what is wrong with the environment. A code cannot: git ends with a failed assertion, which
/// names neither the variable nor the word.
#[cold]
fn complain(word: &[u8]) {
    let word = escape::quoted_word(word);
    let line = format!("libreftable: REFTABLE_POLICY is {word}; set it to full or git, or unset it\n");
    // At once, so that the lines of several processes do not mix. Nobody may be there to read it.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Sets the policy of stacks that are opened from now on, whatever the environment says: "git" or
/// "full". No function of git's.
///
/// # Safety
/// `policy` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reftable_set_policy(policy: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: as promised to us.
        let word = unsafe { bytes_of(policy) }.ok_or(Code(API))?;
        let said = match Policy::of(word)? {
            Policy::Git => 1,
            Policy::Full => 2,
        };
        SAID.store(said, Ordering::Relaxed);
        Ok(OK)
    })
}

/// The name and version of this library, and the commit of git that it fits. Belongs to the
/// library. No function of git's.
#[unsafe(no_mangle)]
pub extern "C" fn reftable_version() -> *const c_char {
    const VERSION: &str = if cfg!(feature = "git-2-55") {
        concat!("libreftable ", env!("CARGO_PKG_VERSION"), " (git 2.55)\0")
    } else {
        concat!("libreftable ", env!("CARGO_PKG_VERSION"), " (git 1a3e64c6c4a6)\0")
    };
    VERSION.as_ptr().cast()
}
