//! What must be true whatever the bytes on disk are, and what is said if it is not.
//!
//! [`invariant!`] is for conditions that only a defect of this library can break. Builds with debug
//! assertions (tests, fuzzing) stop at once. In release builds the operation ends with
//! [`ErrorKind::Internal`], like any other that fails. Builds for the deliberate mistakes do so,
//! too: their checkers see what a user would see.

use std::borrow::Cow;

use crate::error::{Error, ErrorKind};

/// Ends the function with [`ErrorKind::Internal`] unless the condition holds.
macro_rules! invariant {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::invariant::violated(format!($($message)+)));
        }
    };
}

pub(crate) use invariant;

/// The error of a condition that does not hold.
#[cold]
pub(crate) fn violated(message: impl Into<Cow<'static, str>>) -> Error {
    let message = message.into();
    #[cfg(not(reftable_mutants))]
    debug_assert!(false, "broken invariant: {message}");
    defect(message)
}

/// The same where the bytes on disk may be to blame after all: never stops the process.
#[cold]
pub(crate) fn defect(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Internal, message)
        .way_out("nothing was changed; this is a defect of the reftable library, please report it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(number: u32) -> crate::Result<u32> {
        invariant!(number.is_multiple_of(2), "{number} is odd");
        Ok(number / 2)
    }

    #[test]
    fn what_holds_changes_nothing() {
        assert_eq!(half(4).ok(), Some(2));
    }

    #[test]
    #[cfg_attr(all(debug_assertions, not(reftable_mutants)), should_panic(expected = "broken invariant: 3 is odd"))]
    fn what_does_not_hold_is_an_error_or_stops_a_test() {
        let error = half(3).map_err(|error| (error.kind(), error.to_string())).err();
        let (kind, text) = error.unwrap_or((ErrorKind::Io, String::new()));
        assert_eq!(kind, ErrorKind::Internal);
        assert!(text.starts_with("3 is odd; ") && text.contains("please report"), "{text}");
    }
}
