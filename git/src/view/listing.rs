//! Which references are listed, by the rules of `git for-each-ref`.

use std::ops::ControlFlow;

use bstr::BStr;
use gix_glob::wildmatch::Mode;
use reftable::RefView;

use super::View;
use crate::error::{Error, Result};

/// Which references are listed, and from which end. By default all in `refs/`, by name.
///
/// A pattern is a name, a directory of names with or without a slash at its end, or has wildcards
/// as git's do: `*` and `?` do not match a slash, `**` does.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use reftable::bytes::Reading;
/// use reftable_git::{Error, Listing, Repository};
///
/// let view = Repository::find(None)?.view(Reading::Checked)?;
/// let listing = Listing::default().pattern("refs/tags/v*").exclude("refs/tags/v*-rc*").reverse();
/// view.list(&listing, |found| {
///     println!("{}", String::from_utf8_lossy(found.name));
///     Ok::<_, Error>(ControlFlow::Continue(()))
/// })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "it only says what to list"]
pub struct Listing {
    patterns: Vec<Vec<u8>>,
    excludes: Vec<Vec<u8>>,
    after: Option<Vec<u8>>,
    is_reversed: bool,
    ignores_case: bool,
    has_root_refs: bool,
}

impl Listing {
    /// Lists what matches this, too. Without any pattern everything is listed.
    pub fn pattern(mut self, pattern: impl Into<Vec<u8>>) -> Listing {
        self.patterns.push(pattern.into());
        self
    }

    /// Leaves out what matches this, whatever the patterns say. What is left out as a whole
    /// directory is not even read, if the listing begins at its beginning.
    pub fn exclude(mut self, pattern: impl Into<Vec<u8>>) -> Listing {
        self.excludes.push(pattern.into());
        self
    }

    /// Leaves out all names up to this one, which need not exist: to go on with a long listing.
    pub fn after(mut self, name: impl Into<Vec<u8>>) -> Listing {
        self.after = Some(name.into());
        self
    }

    /// Begins at the end. All that is listed is read before the first is given, and takes memory
    /// then.
    pub fn reverse(mut self) -> Listing {
        self.is_reversed = true;
        self
    }

    /// Wildcards match letters of either case. As with git, a pattern that is a name or a directory
    /// is still compared as it is.
    pub fn ignore_case(mut self) -> Listing {
        self.ignores_case = true;
        self
    }

    /// Lists what is outside of `refs/`, too: `HEAD`, `ORIG_HEAD` and others.
    pub fn root_refs(mut self) -> Listing {
        self.has_root_refs = true;
        self
    }

    /// Whether `name` is one of those.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let is_in = |patterns: &[Vec<u8>]| patterns.iter().any(|pattern| self.is_match(pattern, name));
        (self.has_root_refs || name.starts_with(b"refs/"))
            && self.after.as_ref().is_none_or(|after| name > after.as_slice())
            && (self.patterns.is_empty() || is_in(&self.patterns))
            && !is_in(&self.excludes)
    }

    fn is_match(&self, pattern: &[u8], name: &[u8]) -> bool {
        if let Some(rest) = name.strip_prefix(pattern)
            && (matches!(rest, [] | [b'/', ..]) || pattern.ends_with(b"/"))
        {
            return true;
        }
        let case = if self.ignores_case { Mode::IGNORE_CASE } else { Mode::empty() };
        gix_glob::wildmatch(BStr::new(pattern), BStr::new(name), Mode::NO_MATCH_SLASH_LITERAL | case)
    }

    /// The beginnings of all names that can match, none of which begins another, in order.
    fn prefixes(&self) -> Vec<&[u8]> {
        let all: &[u8] = if self.has_root_refs { b"" } else { b"refs/" };
        if self.patterns.is_empty() || self.ignores_case {
            return vec![all];
        }
        let mut prefixes: Vec<&[u8]> = self.patterns.iter().map(|pattern| literal_part(pattern)).collect();
        prefixes.retain(|prefix| prefix.starts_with(all) || all.starts_with(prefix));
        for prefix in &mut prefixes {
            *prefix = (*prefix).max(all);
        }
        prefixes.sort_unstable();
        prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter));
        prefixes
    }

    /// The end of the directory that `name` is in, if all of it is left out.
    fn end_of_excluded(&self, name: &[u8]) -> Option<Vec<u8>> {
        self.excludes.iter().find_map(|pattern| {
            let directory = pattern.strip_suffix(b"/").unwrap_or(pattern);
            let is_below = name.strip_prefix(directory)?.starts_with(b"/");
            (is_below && literal_part(pattern) == pattern).then(|| [directory, b"0"].concat())
        })
    }
}

/// What of a pattern comes before the first wildcard.
fn literal_part(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    pattern.get(..end.unwrap_or(pattern.len())).unwrap_or_default()
}

impl View {
    /// Hands the references of `listing` to `each`, until it breaks: those of this worktree and the
    /// shared ones. Symbolic ones that lead nowhere are among them; git leaves those out.
    ///
    /// Cost: what begins as a pattern does before its first wildcard is read, and nothing else.
    ///
    /// # Errors
    /// Those of `each`, and if a reference cannot be read.
    pub fn list<E: From<reftable::Error> + From<Error>>(
        &self,
        listing: &Listing,
        mut each: impl FnMut(&RefView<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        if !listing.is_reversed {
            return self.list_forward(listing, each);
        }
        let mut all = Vec::new();
        self.list_forward(listing, |found| {
            all.push(found.to_ref());
            Ok::<_, E>(ControlFlow::Continue(()))
        })?;
        for found in all.iter().rev() {
            if each(&super::view_of(found))?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn list_forward<E: From<reftable::Error> + From<Error>>(
        &self,
        listing: &Listing,
        mut each: impl FnMut(&RefView<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        for prefix in listing.prefixes() {
            let mut skip = None;
            let mut from = listing.after.as_deref().unwrap_or_default().max(prefix).to_vec();
            loop {
                let flow = self.walk(prefix, &from, |found| {
                    if listing.matches(found.name) {
                        return each(found);
                    }
                    skip = listing.end_of_excluded(found.name);
                    Ok(if skip.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })?;
                match (flow, skip.take()) {
                    (ControlFlow::Break(()), Some(end)) => from = end,
                    (ControlFlow::Break(()), None) => return Ok(()),
                    (ControlFlow::Continue(()), _) => break,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_for_each_ref() {
        let name = b"refs/heads/team/topic-1";
        for pattern in [
            "refs/heads/team/topic-1",
            "refs/heads/team",
            "refs/heads/",
            "refs",
            "refs/heads/*/topic-?",
            "refs/**",
            "refs/heads/team/topic-[0-9]",
            "refs/**/topic-1",
        ] {
            assert!(Listing::default().pattern(pattern).matches(name), "{pattern}");
            assert!(!Listing::default().exclude(pattern).matches(name), "{pattern}");
        }
        for pattern in ["refs/heads/tea", "heads/team", "refs/heads/*", "topic-1", "refs/Heads/*/topic-1", ""] {
            assert!(!Listing::default().pattern(pattern).matches(name), "{pattern}");
        }
        assert!(Listing::default().pattern("refs/Heads/*/topic-1").ignore_case().matches(name));
        assert!(!Listing::default().pattern("refs/Heads/team").ignore_case().matches(name));
        assert!(!Listing::default().matches(b"HEAD") && Listing::default().root_refs().matches(b"HEAD"));
    }

    #[test]
    fn only_what_can_match_is_read() {
        let prefixes = |patterns: &[&str]| {
            let listing = patterns.iter().fold(Listing::default(), |listing, pattern| listing.pattern(*pattern));
            listing
                .prefixes()
                .into_iter()
                .map(|prefix| String::from_utf8_lossy(prefix).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(prefixes(&[]), ["refs/"]);
        assert_eq!(prefixes(&["refs/tags/v*", "refs/heads/a", "refs/tags"]), ["refs/heads/a", "refs/tags"]);
        assert_eq!(prefixes(&["r*", "refs/heads"]), ["refs/"]);
        assert_eq!(prefixes(&["HEAD"]), [""; 0]);
    }
}
