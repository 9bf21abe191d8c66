//! The grammar of git's names for objects, such as `main~2^{tree}`: read from the end, as by git.

/// What a name consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec<'a> {
    pub(super) base: Base<'a>,
    /// In their order.
    pub(super) steps: Vec<Step>,
}

/// Where the steps begin.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Base<'a> {
    /// An id, or a reference.
    Word(&'a [u8]),
    /// What the log of a reference says: `main@{1}`, `@{yesterday}`.
    Logged { name: &'a [u8], when: &'a [u8] },
    /// The branch that was left so many switches ago: `@{-1}`.
    Prior(usize),
    /// What a branch follows: `main@{upstream}`. Without a name it is the current branch.
    Upstream(&'a [u8]),
}

/// From one object to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// `^2`; with 0 the commit itself.
    Parent(u32),
    /// `~2`: so many first parents.
    Ancestor(u32),
    /// `^{commit}`.
    Peel(Peel),
}

/// What tags and commits are followed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peel {
    /// `^{object}`: anything that exists.
    Any,
    /// `^{}`: what is no tag.
    NoTag,
    Commit,
    Tag,
    Tree,
    Blob,
}

/// The grammar of a name; `None` for what only git reads, such as a search in messages.
pub(super) fn parse(text: &[u8]) -> Option<Spec<'_>> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let (before, step) = match last_step(rest) {
            Last::Step(before, step) => (before, step),
            Last::None => break,
            Last::Search => return None,
        };
        steps.push(step);
        rest = before;
    }
    steps.reverse();
    Some(Spec { base: base(rest)?, steps })
}

enum Last<'a> {
    /// A step, and what comes before it.
    Step(&'a [u8], Step),
    None,
    /// `^{/text}`
    Search,
}

fn last_step(text: &[u8]) -> Last<'_> {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = text.split_at(text.len() - digits);
    match before.split_last() {
        Some((b'^', before)) => return Last::Step(before, Step::Parent(count(number))),
        Some((b'~', before)) => return Last::Step(before, Step::Ancestor(count(number))),
        _ => {}
    }
    let Some(inner) = text.strip_suffix(b"}") else { return Last::None };
    let Some(at) = inner.windows(2).rposition(|pair| pair == b"^{") else { return Last::None };
    let (before, kind) = (inner.get(..at).unwrap_or_default(), inner.get(at + 2..).unwrap_or_default());
    let peel = match kind {
        b"" => Peel::NoTag,
        b"object" => Peel::Any,
        b"commit" => Peel::Commit,
        b"tag" => Peel::Tag,
        b"tree" => Peel::Tree,
        b"blob" => Peel::Blob,
        [b'/', ..] => return Last::Search,
        _ => return Last::None,
    };
    Last::Step(before, Step::Peel(peel))
}

/// Nothing stands for one. What is too large is more than there are commits.
fn count(digits: &[u8]) -> u32 {
    match digits {
        [] => 1,
        digits => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX),
    }
}

fn base(text: &[u8]) -> Option<Base<'_>> {
    let word = Base::Word(text);
    let Some(inner) = text.strip_suffix(b"}") else { return Some(word) };
    let Some(at) = inner.windows(2).rposition(|pair| pair == b"@{") else { return Some(word) };
    let (name, when) = (inner.get(..at).unwrap_or_default(), inner.get(at + 2..).unwrap_or_default());
    let is = |mark: &[u8]| when.eq_ignore_ascii_case(mark);
    match when {
        [] => Some(word),
        _ if is(b"u") || is(b"upstream") => Some(Base::Upstream(name)),
        _ if is(b"push") => None,
        [b'-', number @ ..] if name.is_empty() => number_of(number).filter(|number| *number > 0).map(Base::Prior),
        // git takes that for no name at all.
        [b'-', ..] => Some(word),
        when => Some(Base::Logged { name, when }),
    }
}

/// Whether the name ends as `main@{1}^{blob}`: if it leads nowhere git takes all behind the `@` for
/// a date.
pub(super) fn may_be_a_date(text: &[u8]) -> bool {
    let at = text.windows(2).rposition(|pair| pair == b"@{").filter(|_| text.ends_with(b"}"));
    let date = at.and_then(|at| text.get(at + 2..));
    date.is_some_and(|date| date.windows(2).any(|pair| pair == b"^{"))
}

/// A number of digits alone.
pub(super) fn number_of(digits: &[u8]) -> Option<usize> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

/// The digits of an abbreviated id, also behind what `git describe` puts before them.
pub(super) fn abbreviated(word: &[u8]) -> Option<&[u8]> {
    let is_hex = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    if is_hex(word) {
        return Some(word);
    }
    let at = word.windows(2).rposition(|pair| pair == b"-g")?;
    let (described, digits) = (word.get(..at)?, word.get(at + 2..)?);
    let dash = described.iter().rposition(|byte| *byte == b'-').filter(|dash| *dash > 0)?;
    number_of(described.get(dash + 1..)?)?;
    is_hex(digits).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_end() {
        let read = |text: &'static str| parse(text.as_bytes()).map(|spec| (spec.base, spec.steps));
        let word = |word: &'static str| Base::Word(word.as_bytes());
        for (text, base, steps) in [
            ("main", word("main"), vec![]),
            ("v1.0-2-gabcd", word("v1.0-2-gabcd"), vec![]),
            ("a1~", word("a1"), vec![Step::Ancestor(1)]),
            (
                "a^0~3^^{}",
                word("a"),
                vec![Step::Parent(0), Step::Ancestor(3), Step::Parent(1), Step::Peel(Peel::NoTag)],
            ),
            ("a^{tree}^{object}", word("a"), vec![Step::Peel(Peel::Tree), Step::Peel(Peel::Any)]),
            ("a^{what}", word("a^{what}"), vec![]),
            ("a~99999999999", word("a"), vec![Step::Ancestor(u32::MAX)]),
            ("@{-2}^2", Base::Prior(2), vec![Step::Parent(2)]),
            ("a@{-2}", word("a@{-2}"), vec![]),
            ("a@{}", word("a@{}"), vec![]),
            ("@{U}", Base::Upstream(b""), vec![]),
            ("a@{upstream}~", Base::Upstream(b"a"), vec![Step::Ancestor(1)]),
            ("a@{u}@{1}", Base::Logged { name: b"a@{u}", when: b"1" }, vec![]),
            ("@{1.day.ago}", Base::Logged { name: b"", when: b"1.day.ago" }, vec![]),
            ("", word(""), vec![]),
            ("~", word(""), vec![Step::Ancestor(1)]),
        ] {
            assert_eq!(read(text), Some((base, steps)), "{text}");
        }
        for text in ["a^{/fix}", "a^{/fix}~2", "a@{push}", "@{-0}", "@{-x}"] {
            assert_eq!(read(text), None, "{text}");
        }
        let many = "main".to_owned() + &"^".repeat(100_000);
        assert_eq!(parse(many.as_bytes()).map(|spec| spec.steps.len()), Some(100_000));
    }

    #[test]
    fn abbreviated_ids_have_hexadecimal_digits_alone() {
        for (word, digits) in [("abcd", "abcd"), ("1234ABC", "1234ABC"), ("v1-g-3-gabc", "abc")] {
            assert_eq!(abbreviated(word.as_bytes()), Some(digits.as_bytes()), "{word}");
        }
        for word in ["", "main", "v1-gabc", "v1-x-gabc", "-3-gabc", "v1-3-g", "v1-3-gxyz"] {
            assert_eq!(abbreviated(word.as_bytes()), None, "{word}");
        }
    }
}
