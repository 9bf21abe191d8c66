//! Namespaces: several repositories' references in one, as servers have them.

use std::env;

use reftable::escape::escaped;

use crate::error::{Error, Result};

/// A part of a repository's references that is the whole repository for clients that are served it:
/// `GIT_NAMESPACE`. `refs/heads/main` of the namespace `a/b` is
/// `refs/namespaces/a/refs/namespaces/b/refs/heads/main`.
///
/// git itself looks into a namespace only where it serves others. So it is here: names are turned
/// into those of the repository and back, and everything else works with those.
///
/// ```
/// let namespace = reftable_git::Namespace::new(b"team/fork")?;
/// let name = namespace.full(b"HEAD");
/// assert_eq!(name, b"refs/namespaces/team/refs/namespaces/fork/HEAD");
/// assert_eq!(namespace.short(&name), Some(b"HEAD".as_slice()));
/// # Ok::<(), reftable_git::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Namespace {
    prefix: Vec<u8>,
}

impl Namespace {
    /// The namespace with this path; none at all for the empty one.
    ///
    /// # Errors
    /// If that is no name for git.
    pub fn new(path: &[u8]) -> Result<Namespace> {
        let mut prefix = Vec::new();
        for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            prefix.extend_from_slice(&[b"refs/namespaces/", part, b"/"].concat());
        }
        match prefix.strip_suffix(b"/").map_or(Ok(()), reftable::name::check) {
            Ok(()) => Ok(Namespace { prefix }),
            Err(error) => {
                Err(Error::invalid(format!("the namespace '{}' is none for git: {}", escaped(path), error.message())))
            }
        }
    }

    /// What `GIT_NAMESPACE` says.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn from_environment() -> Result<Namespace> {
        Namespace::new(env::var_os("GIT_NAMESPACE").unwrap_or_default().as_encoded_bytes())
    }

    /// What all names in it begin with; empty without a namespace.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The name in the repository of `name` in the namespace.
    #[must_use]
    pub fn full(&self, name: &[u8]) -> Vec<u8> {
        [self.prefix.as_slice(), name].concat()
    }

    /// The name in the namespace of `full` in the repository; `None` if that is outside.
    #[must_use]
    pub fn short<'a>(&self, full: &'a [u8]) -> Option<&'a [u8]> {
        full.strip_prefix(self.prefix.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parts_do_not_count_and_bad_ones_are_refused() {
        assert_eq!(Namespace::new(b"").unwrap(), Namespace::default());
        assert_eq!(Namespace::new(b"/a//b/").unwrap(), Namespace::new(b"a/b").unwrap());
        for bad in ["..", "a.lock", "a b", "a/.b"] {
            assert!(Namespace::new(bad.as_bytes()).unwrap_err().to_string().contains(bad));
        }
    }
}
