//! Bytes of a store as text for people: what is in them is seen, and does nothing else.
//!
//! A name, a symbolic target, a committer or a message may have any bytes in a hostile store.
//! Printed as they are, a newline makes two references of one, and an escape sequence rewrites what
//! stands above; a mark that takes no place makes two names look alike. The escapes are those of C
//! strings, as git quotes paths; UTF-8 stays readable.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::path::Path;

/// The text as it is, or with escapes if any of it [is hidden](is_hidden) or not UTF-8. For text
/// that stands in quotes already.
#[must_use]
pub fn escaped(bytes: &[u8]) -> impl Display + '_ {
    Printable { bytes, quotes: false, is_word: false }
}

/// The text as it is, or in double quotes with escapes if any of it [is hidden](is_hidden) or not
/// UTF-8, or if it begins with a double quote. [`unquoted`] reads it.
#[must_use]
pub fn quoted(bytes: &[u8]) -> impl Display + '_ {
    Printable { bytes, quotes: true, is_word: false }
}

/// As [`quoted`], and in quotes if there is a space of any kind in it, too. For a text that others
/// follow on the line: no part of it looks like one of those.
#[must_use]
pub fn quoted_word(bytes: &[u8]) -> impl Display + '_ {
    Printable { bytes, quotes: true, is_word: true }
}

struct Printable<'a> {
    bytes: &'a [u8],
    quotes: bool,
    is_word: bool,
}

impl Printable<'_> {
    fn is_plain(&self, text: &str) -> bool {
        let is_split = self.is_word && text.contains(char::is_whitespace);
        !(hides_something(text) || is_split || self.quotes && text.starts_with('"'))
    }
}

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.bytes) {
            Ok(text) if self.is_plain(text) => f.write_str(text),
            _ if self.quotes => {
                f.write_char('"')?;
                escape(self.bytes, f)?;
                f.write_char('"')
            }
            _ => escape(self.bytes, f),
        }
    }
}

/// Bytes that a `Debug` shows as text in double quotes, with escapes as in [`quoted`].
pub(crate) struct Text<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escape(self.0, f)?;
        f.write_char('"')
    }
}

/// Implements `Debug` as it would be derived, but for the fields before the semicolon, which are
/// bytes and shown as [`Text`].
macro_rules! debug_with_text {
    ($type:ident $(<$life:lifetime>)? { $($text:ident),*; $($plain:ident),* }) => {
        impl $(<$life>)? std::fmt::Debug for $type $(<$life>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($text), &$crate::escape::Text(&self.$text)))*
                    $(.field(stringify!($plain), &self.$plain))*
                    .finish()
            }
        }
    };
}
pub(crate) use debug_with_text;

/// A whole message that quotes such texts: what [is hidden](is_hidden) is escaped, and nothing
/// else.
#[must_use]
pub fn escaped_message(message: &str) -> impl Display + '_ {
    struct Message<'a>(&'a str);
    impl Display for Message<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            NoControl(f).write_str(self.0)
        }
    }
    Message(message)
}

/// A word of a command, in quotes if a shell would read it otherwise. What could not be seen, or
/// copied, is escaped as bash, zsh and ksh read it.
#[must_use]
pub fn shell_word(word: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@:,".contains(byte);
    let shown = escaped(word).to_string();
    match shown.as_bytes() == word {
        true if !word.is_empty() && word.iter().all(is_plain) => shown,
        true => format!("'{}'", shown.replace('\'', r"'\''")),
        false => format!("$'{}'", shown.replace('\'', r"\'")),
    }
}

/// A command of `reftable` for the store or repository in `dir`, to be copied from a message.
#[must_use]
pub fn command(dir: &Path, words: &str) -> String {
    format!("`reftable -C {} {words}`", shell_word(dir.as_os_str().as_encoded_bytes()))
}

/// The message without hidden characters: it may quote what is in a damaged or hostile store.
pub(crate) fn printable(message: Cow<'static, str>) -> Cow<'static, str> {
    if hides_something(&message) { escaped_message(&message).to_string().into() } else { message }
}

/// Escapes the hidden characters in all that is written to it.
pub(crate) struct NoControl<'a, 'b>(pub(crate) &'a mut fmt::Formatter<'b>);

impl Write for NoControl<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        judged(text)
            .try_for_each(|(c, is_hidden)| if is_hidden { escape_char(c, self.0) } else { self.0.write_char(c) })
    }
}

/// Whether a terminal or an editor would do something else than show it: control characters, ends
/// of lines and paragraphs, what turns the direction of writing, and what takes no place, such as a
/// byte order mark, joiners, fillers, selectors and tags.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// The characters of a text, each with whether it is to be escaped: it is hidden, and not one of
/// those that scripts and emoji need after a character that is seen.
fn judged(text: &str) -> impl Iterator<Item = (char, bool)> {
    let mut before = '\0';
    text.chars().map(move |c| {
        let is_to_escape = is_hidden(c) && !is_joined(before, c);
        before = c;
        (c, is_to_escape)
    })
}

/// Joiners, and selectors of the style of an emoji. After ASCII they only make names look alike.
fn is_joined(before: char, c: char) -> bool {
    let is_behind_seen = !before.is_ascii() && !is_hidden(before);
    match c {
        '\u{200d}' => is_behind_seen || before == '\u{fe0f}',
        '\u{200c}' | '\u{fe0e}' | '\u{fe0f}' => is_behind_seen,
        _ => false,
    }
}

fn hides_something(text: &str) -> bool {
    judged(text).any(|(_, is_hidden)| is_hidden)
}

/// The letters of the escapes that have one.
const LETTERS: [(u8, u8); 9] = [
    (0x07, b'a'),
    (0x08, b'b'),
    (b'\t', b't'),
    (b'\n', b'n'),
    (0x0b, b'v'),
    (0x0c, b'f'),
    (b'\r', b'r'),
    (b'"', b'"'),
    (b'\\', b'\\'),
];

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for (c, is_hidden) in judged(chunk.valid()) {
            if is_hidden || matches!(c, '"' | '\\') { escape_char(c, f)? } else { f.write_char(c)? }
        }
        chunk.invalid().iter().try_for_each(|byte| escape_byte(*byte, f))?;
    }
    Ok(())
}

fn escape_char(c: char, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| escape_byte(byte, f))
}

fn escape_byte(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match LETTERS.iter().find(|(meant, _)| *meant == byte) {
        Some((_, letter)) => write!(f, "\\{}", char::from(*letter)),
        None => write!(f, "\\{byte:03o}"),
    }
}

/// Reads a text in double quotes at the start of `text`, and returns it with what follows. `None`
/// if there is none, or it has no end, or an escape that C does not know.
#[must_use]
pub fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut bytes = Vec::new();
    loop {
        let (first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'"' => return Some((bytes, rest)),
            b'\\' => {
                let (letter, after) = rest.split_first()?;
                if let Some((meant, _)) = LETTERS.iter().find(|(_, known)| known == letter) {
                    bytes.push(*meant);
                    rest = after;
                    continue;
                }
                let (digits, after) = rest.split_at_checked(3)?;
                bytes.push(octal(digits)?);
                rest = after;
            }
            byte => bytes.push(*byte),
        }
    }
}

/// Three octal digits.
fn octal(digits: &[u8]) -> Option<u8> {
    let is_octal = digits.iter().all(|digit| matches!(digit, b'0'..=b'7'));
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_octal)?;
    u8::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_plain_text_is_changed() {
        for plain in
            ["refs/heads/main", "a b", "grün/日本", "say \"hi\"", "back\\slash", "👩‍💻", "❤\u{fe0f}\u{200d}🔥", ""]
        {
            assert_eq!(escaped(plain.as_bytes()).to_string(), plain);
            assert_eq!(quoted(plain.as_bytes()).to_string(), plain);
        }
        for (bytes, text) in [
            (b"a\nb".as_slice(), r"a\nb"),
            (b"\x1b[2J", r"\033[2J"),
            (b"\0\x07\x7f", r"\000\a\177"),
            (b"gr\xfcn", r"gr\374n"),
            ("é\u{9b}".as_bytes(), r"é\302\233"),
            ("\u{202e}x".as_bytes(), r"\342\200\256x"),
            (b"\"\\\t", r#"\"\\\t"#),
        ] {
            assert_eq!(escaped(bytes).to_string(), text);
            assert_eq!(quoted(bytes).to_string(), format!("\"{text}\""));
        }
        assert_eq!(quoted(b"\"a").to_string(), r#""\"a""#);
        assert_eq!(escaped_message("no 'a\n\\' \"here\"").to_string(), r#"no 'a\n\' "here""#);
    }

    #[test]
    fn what_takes_no_place_is_escaped() {
        for hidden in "\u{ad}\u{34f}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{202e}\u{2060}\u{2066}\u{206a}\
            \u{3164}\u{fe00}\u{fe0f}\u{feff}\u{fff9}\u{1d173}\u{e0001}\u{e0041}\u{e0100}"
            .chars()
        {
            for name in [format!("ma{hidden}in"), format!("{hidden}main"), format!("日\u{feff}{hidden}本")] {
                let shown = [escaped(name.as_bytes()).to_string(), escaped_message(&name).to_string()];
                for shown in &shown {
                    assert!(!shown.contains(hidden), "{shown:?}");
                }
                let quoted = quoted(name.as_bytes()).to_string();
                assert_eq!(unquoted(quoted.as_bytes()), Some((name.into_bytes(), b"".as_slice())));
            }
        }
        assert_eq!(quoted_word("a\u{a0}b".as_bytes()).to_string(), "\"a\u{a0}b\"", "a space of any kind");
    }

    #[test]
    fn what_was_quoted_is_read_again() {
        for number in 0..=u16::MAX {
            let bytes = [b"\x1b".as_slice(), &number.to_be_bytes()].concat();
            let text = format!("{} rest", quoted(&bytes));
            assert_eq!(unquoted(text.as_bytes()), Some((bytes, b" rest".as_slice())));
        }
        for bad in ["", "a", "\"", "\"a", r#""\"#, r#""\x41""#, r#""\400""#, r#""\18x""#, r#""\+12""#] {
            assert_eq!(unquoted(bad.as_bytes()), None, "{bad}");
        }
    }
}
