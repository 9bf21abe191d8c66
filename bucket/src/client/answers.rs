//! What the answers of an object store mean.

use std::error::Error as StdError;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::backend::{Read, Swap};
use crate::error::{Error, ErrorKind, Result};

/// A request without success.
pub(super) enum Failed {
    Store(object_store::Error),
    /// No answer within this time.
    Silent(Duration),
    /// The runtime has ended it.
    Lost(String),
    /// What no repetition will change.
    Useless(Error),
}

/// The cause of a failure.
enum Cause {
    /// It never left this machine.
    NotSent,
    /// Bucket or container do not exist.
    NoBucket,
    /// Refused, and will be again: credentials, permissions, a request that makes no sense there.
    Refused,
    /// Everything else: it may have been carried out.
    Unknown,
}

impl Failed {
    /// Whether a range was asked for that begins behind the end of the object.
    pub(super) fn is_beyond(&self) -> bool {
        matches!(self, Failed::Store(error) if status(&chain(error)) == Some(416))
    }

    /// As the answer to a read or a deletion.
    pub(super) fn of_read(self, bucket: &str) -> Result<Read> {
        if let Failed::Useless(error) = self {
            return Err(error);
        }
        let cause = self.cause();
        match (&self, cause) {
            (_, Cause::NoBucket) => Err(no_bucket(bucket)),
            (Failed::Store(object_store::Error::NotFound { .. }), _) => Ok(Read::Missing),
            (Failed::Store(object_store::Error::NotModified { .. }), _) => Ok(Read::Unchanged),
            (_, Cause::Refused) => Err(self.denied(bucket)),
            (_, Cause::NotSent | Cause::Unknown) => Err(Error::unavailable(self.text(bucket))),
        }
    }

    /// As the answer to a conditional write.
    pub(super) fn of_swap(self, bucket: &str) -> Result<Swap> {
        use object_store::Error as E;
        let cause = self.cause();
        match (&self, cause) {
            (_, Cause::NoBucket) => Err(no_bucket(bucket)),
            // Two that came at once: S3 says so of a request that it may not have looked at.
            (Failed::Store(error), _) if chain(error).contains("ConditionalRequestConflict") => {
                Ok(Swap::Unknown(self.text(bucket)))
            }
            (Failed::Store(E::Precondition { .. } | E::AlreadyExists { .. } | E::NotModified { .. }), _) => {
                Ok(Swap::Refused)
            }
            (Failed::Store(E::NotImplemented { .. } | E::NotSupported { .. }), _) => {
                let message = format!("{bucket} cannot be used: it has no conditional writes; commits would be lost");
                Err(Error::new(ErrorKind::Unfit, message))
            }
            (_, Cause::Refused) => Err(self.denied(bucket)),
            (_, Cause::NotSent) => Err(Error::unavailable(self.text(bucket))),
            (_, Cause::Unknown) => Ok(Swap::Unknown(self.text(bucket))),
        }
    }

    fn cause(&self) -> Cause {
        let Failed::Store(error) = self else { return Cause::Unknown };
        let text = chain(error);
        if leads_nowhere(&text) {
            return Cause::Refused;
        }
        if ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| text.contains(code)) {
            return Cause::NoBucket;
        }
        if has_not_connected(error) {
            return Cause::NotSent;
        }
        match error {
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. }
            | object_store::Error::InvalidPath { .. } => Cause::Refused,
            object_store::Error::Generic { .. } => match status(&text) {
                Some(status) if (300..500).contains(&status) && !matches!(status, 408 | 429) => Cause::Refused,
                _ => Cause::Unknown,
            },
            _ => Cause::Unknown,
        }
    }

    fn denied(&self, bucket: &str) -> Error {
        let question = match self {
            Failed::Store(error) if is_of_region(&chain(error)) => "is the region right?",
            _ => "are the credentials those for it?",
        };
        Error::new(ErrorKind::Denied, format!("{}; {question}", self.text(bucket)))
    }

    /// What to tell a person: the code and the words of the object store, without the request.
    fn text(&self, bucket: &str) -> String {
        match self {
            Failed::Silent(limit) => format!("{bucket} has not answered within {:.1} s", limit.as_secs_f64()),
            Failed::Useless(error) => error.message().to_owned(),
            Failed::Lost(why) => format!("the request to {bucket} was ended: {why}"),
            Failed::Store(error) => {
                let text = chain(error);
                match (status(&text), element(&text, "Code"), element(&text, "Message")) {
                    (Some(status), Some(code), Some(message)) => {
                        format!("{bucket} answers {status} {code}: {message}")
                    }
                    (Some(status), Some(code), None) => format!("{bucket} answers {status} {code}"),
                    (Some(status), None, _) => format!("{bucket} answers {status}"),
                    _ if leads_nowhere(&text) => format!("{bucket} answers with a redirection that leads nowhere"),
                    (None, ..) => format!("{bucket}: {}", last_cause(error)),
                }
            }
        }
    }
}

fn no_bucket(bucket: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("{bucket} does not exist"))
}

/// The texts of an error and all of its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A redirection without its target, as S3 answers for a bucket of another region. The crate keeps
/// neither its status nor its words.
fn leads_nowhere(text: &str) -> bool {
    text.contains("redirect without LOCATION")
}

/// Whether it is about where the bucket is, not about who asks.
fn is_of_region(text: &str) -> bool {
    leads_nowhere(text)
        || status(text).is_some_and(|status| (300..400).contains(&status))
        || element(text, "Code").is_some_and(|code| code == "AuthorizationHeaderMalformed")
}

fn last_cause(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn has_not_connected(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return error.kind() == HttpErrorKind::Connect;
        }
        next = error.source();
    }
    false
}

/// The HTTP status, which the crate gives in its text only. Where that has none, nothing is known
/// of the request, and nothing is taken for granted.
fn status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// What an answer in XML has in this element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = after.split_once(&format!("</{name}>"))?;
    // Azure adds the number of the request and the time in lines of their own.
    inner.lines().next().filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Failed {
        Failed::Store(object_store::Error::Generic { store: "S3", source: text.into() })
    }

    #[test]
    fn server_errors_leave_open_what_happened() {
        for text in
            ["status code: 500 Internal Server Error: ", "status code: 503 x", "status code: 408 x", "no answer"]
        {
            assert!(matches!(generic(text).of_swap("s3://b"), Ok(Swap::Unknown(_))), "{text}");
            assert_eq!(generic(text).of_read("s3://b").unwrap_err().kind(), ErrorKind::Unavailable, "{text}");
        }
        assert!(matches!(Failed::Silent(Duration::from_secs(3)).of_swap("s3://b"), Ok(Swap::Unknown(_))));
    }

    #[test]
    fn what_will_be_refused_again_is_an_error() {
        let text = "status code: 400 Bad Request: <Error><Code>X</Code><Message>no\nRequestId:7</Message></Error>";
        let error = generic(text).of_swap("s3://b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().starts_with("s3://b answers 400 X: no; "), "{}", error.message());
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_missing_object() {
        let missing = |body: &str| {
            let source = format!("status code: 404 Not Found: <Code>{body}</Code>").into();
            Failed::Store(object_store::Error::NotFound { path: "p".to_owned(), source })
        };
        assert!(matches!(missing("NoSuchKey").of_read("s3://b"), Ok(Read::Missing)));
        assert_eq!(missing("NoSuchBucket").of_read("s3://b").unwrap_err().kind(), ErrorKind::Denied);
        assert_eq!(missing("ContainerNotFound").of_swap("az://c").unwrap_err().message(), "az://c does not exist");
    }

    #[test]
    fn two_at_once_are_not_a_refusal() {
        let source = "status code: 409 Conflict: <Code>ConditionalRequestConflict</Code>".into();
        let failed = Failed::Store(object_store::Error::AlreadyExists { path: "p".to_owned(), source });
        assert!(matches!(failed.of_swap("s3://b"), Ok(Swap::Unknown(_))));
        let failed = Failed::Store(object_store::Error::AlreadyExists { path: "p".to_owned(), source: "412".into() });
        assert!(matches!(failed.of_swap("s3://b"), Ok(Swap::Refused)));
    }
}
