//! Stores in buckets: `-C s3://BUCKET/PREFIX` and `-C az://CONTAINER/PREFIX`.

#[cfg(feature = "object-store")]
mod commands;
#[cfg(feature = "object-store")]
pub(crate) mod copy;
#[cfg(feature = "object-store")]
mod counted;
#[cfg(feature = "object-store")]
pub(crate) mod keep;
#[cfg(feature = "object-store")]
mod update;

use std::path::Path;

#[cfg(feature = "object-store")]
pub(crate) use commands::run;

/// What `-C` says, if that is no directory.
pub(crate) fn address(dir: Option<&Path>) -> Option<&str> {
    let text = dir?.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then_some(text)
}

/// This build cannot.
#[cfg(not(feature = "object-store"))]
pub(crate) fn run(
    _: &crate::cli::Cli,
    address: &str,
    _: &mut crate::output::Out,
) -> Result<crate::failure::Code, crate::failure::Failure> {
    let address = reftable::escape::escaped(address.as_bytes());
    let message =
        format!("'{address}': this build has no client for object stores; one of --features object-store has");
    Err(crate::failure::Failure::usage(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_no_addresses() {
        for dir in ["/srv/repo.git", "s3:/b", "./s3://b", "://b", "a b://c"] {
            assert_eq!(address(Some(Path::new(dir))), None, "{dir}");
        }
        assert_eq!(address(Some(Path::new("s3://b/x"))), Some("s3://b/x"));
        assert_eq!(address(None), None);
    }
}
