//! Patterns of reference names, as git's configuration has them.

use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::slice::Iter;

use crate::error::{Error, Result};

/// A pattern in which `*` and `?` match slashes, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<PatternPart>);

/// What is left of a pattern that is being read.
type Rest<'a> = Peekable<std::iter::Copied<Iter<'a, u8>>>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum PatternPart {
    /// Any bytes, or none.
    Star,
    /// One byte of a class, or of all others.
    Byte { among: Vec<RangeInclusive<u8>>, others: bool },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Invalid` if it ends within a class or after a backslash, or names a class such as
    /// `[:alpha:]` that is not known.
    pub(super) fn new(text: &[u8]) -> Result<Pattern> {
        let mut parts = Vec::new();
        let mut rest = text.iter().copied().peekable();
        let part = |rest: &mut Rest<'_>, byte| match byte {
            b'*' => Some(PatternPart::Star),
            b'?' => Some(PatternPart::Byte { among: Vec::new(), others: true }),
            b'\\' => rest.next().map(one),
            b'[' => class(rest),
            byte => Some(one(byte)),
        };
        while let Some(byte) = rest.next() {
            parts.push(part(&mut rest, byte).ok_or_else(|| {
                let shown = String::from_utf8_lossy(text);
                Error::invalid(format!("'{shown}' is not a pattern: a class in it does not end, or is not known"))
            })?);
        }
        Ok(Pattern(parts))
    }

    /// Whether all of `name` matches. Takes at most the product of both lengths.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let (mut at, mut pos) = (0, 0);
        // After the last star, and where what it stands for ends so far.
        let mut star = None;
        while pos < name.len() {
            match (self.0.get(at), name.get(pos)) {
                (Some(PatternPart::Star), _) => {
                    at += 1;
                    star = Some((at, pos));
                }
                (Some(PatternPart::Byte { among, others }), Some(byte))
                    if among.iter().any(|range| range.contains(byte)) != *others =>
                {
                    (at, pos) = (at + 1, pos + 1);
                }
                _ => {
                    let Some((after_star, end)) = &mut star else { return false };
                    *end += 1;
                    (at, pos) = (*after_star, *end);
                }
            }
        }
        self.0.get(at..).unwrap_or_default().iter().all(|part| *part == PatternPart::Star)
    }
}

fn one(byte: u8) -> PatternPart {
    PatternPart::Byte { among: vec![byte..=byte], others: false }
}

/// A class, after its opening bracket.
fn class(rest: &mut Rest<'_>) -> Option<PatternPart> {
    let mut among = Vec::new();
    let mut byte = rest.next()?;
    let others = matches!(byte, b'!' | b'^');
    if others {
        byte = rest.next()?;
    }
    loop {
        if byte == b'[' && matches!(rest.peek(), Some(b':' | b'.' | b'=')) {
            return None;
        }
        if byte == b'\\' {
            byte = rest.next()?;
        }
        let mut next = rest.next()?;
        let mut last = byte;
        if next == b'-' {
            match rest.next()? {
                b']' => {
                    among.extend([byte..=byte, b'-'..=b'-']);
                    return Some(PatternPart::Byte { among, others });
                }
                b'\\' => last = rest.next()?,
                end => last = end,
            }
            next = rest.next()?;
        }
        among.push(byte..=last);
        if next == b']' {
            return Some(PatternPart::Byte { among, others });
        }
        byte = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_and_slashes() {
        for (pattern, matching, others) in [
            ("refs/stash", vec!["refs/stash"], vec!["refs/stash2", "refs/stas", ""]),
            ("refs/remotes/*", vec!["refs/remotes/a", "refs/remotes/a/b", "refs/remotes/"], vec!["refs/remotes"]),
            ("*", vec!["", "HEAD", "refs/heads/a"], vec![]),
            ("refs/*/main", vec!["refs/heads/main", "refs/a/b/main", "refs/main/main"], vec!["refs/heads/main2"]),
            ("**a*b", vec!["ab", "xaxb", "abab"], vec!["ba", "abx"]),
            ("refs/heads/?", vec!["refs/heads/a"], vec!["refs/heads/", "refs/heads/ab"]),
            ("v[0-9]", vec!["v0", "v9"], vec!["v", "va", "v10"]),
            ("[!a-c]x", vec!["dx", "-x"], vec!["ax", "cx", "x"]),
            ("[]]x", vec!["]x"], vec!["x"]),
            ("[a-]x", vec!["ax", "-x"], vec!["bx"]),
            ("[\\]a]x", vec!["]x", "ax"], vec!["\\x"]),
            ("\\*", vec!["*"], vec!["a", "\\*"]),
        ] {
            let pattern = Pattern::new(pattern.as_bytes()).unwrap();
            assert!(matching.iter().all(|name| pattern.matches(name.as_bytes())), "{pattern:?}");
            assert!(!others.iter().any(|name| pattern.matches(name.as_bytes())), "{pattern:?}");
        }
    }

    #[test]
    fn what_would_match_nothing_is_refused() {
        for pattern in ["refs/[", "refs/[a-", "refs/[]", "refs/[!", "a\\", "[a\\", "[[:alpha:]]"] {
            assert!(Pattern::new(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_the_product_of_both_lengths() {
        let pattern = Pattern::new("a*".repeat(2000).as_bytes()).unwrap();
        assert!(!pattern.matches(&[[b'a'; 1999].as_slice(), b"b"].concat()));
    }
}
