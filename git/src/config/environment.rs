//! What the environment adds to the configuration: `GIT_CONFIG_COUNT` and `git -c`.

use std::env;

use bstr::{BStr, BString};
use gix_config::{File, KeyRef};
use reftable::escape::escaped;

use crate::error::{Error, Result};

/// A key, and its value unless it has none, which means true.
type Override = (Vec<u8>, Option<Vec<u8>>);

/// What `GIT_CONFIG_COUNT` and `git -c` say, in this order, as a file without a name.
pub(super) fn read() -> Result<File> {
    let mut file = File::default();
    for (key, value) in counted()?.into_iter().chain(given_by_c()?) {
        // A section for each: what comes last counts, and includes take effect where they stand.
        let parsed = KeyRef::parse_unvalidated(BStr::new(&key)).ok_or_else(|| wrong_key(&key, "it has no section"))?;
        let subsection = parsed.subsection_name.map(BString::from);
        file.new_section(parsed.section_name, subsection)
            .and_then(|mut section| section.push(parsed.value_name, value.as_deref().map(BStr::new)).map(drop))
            .map_err(|error| wrong_key(&key, &error.to_string()))?;
    }
    Ok(file)
}

fn wrong_key(key: &[u8], problem: &str) -> Error {
    Error::invalid(format!("the environment has the configuration key '{}': {problem}", escaped(key)))
}

/// What `GIT_CONFIG_COUNT` says.
fn counted() -> Result<Vec<Override>> {
    let Some(count) = env::var_os("GIT_CONFIG_COUNT").filter(|count| !count.is_empty()) else {
        return Ok(Vec::new());
    };
    let count = count.to_str().and_then(|count| count.parse::<u16>().ok());
    let count = count.ok_or_else(|| Error::invalid("GIT_CONFIG_COUNT is no number"))?;
    let pair = |number| {
        let of = |what| {
            let name = format!("GIT_CONFIG_{what}_{number}");
            let missing = || Error::invalid(format!("{name} is missing, and GIT_CONFIG_COUNT is {count}"));
            env::var_os(&name).map(|value| value.as_encoded_bytes().to_vec()).ok_or_else(missing)
        };
        Ok((of("KEY")?, Some(of("VALUE")?)))
    };
    (0..count).map(pair).collect()
}

/// What `git -c` says to the programs that git runs.
fn given_by_c() -> Result<Vec<Override>> {
    let Some(parameters) = env::var_os("GIT_CONFIG_PARAMETERS") else { return Ok(Vec::new()) };
    let bogus = || Error::invalid("GIT_CONFIG_PARAMETERS is not as git writes it");
    parameters_of(parameters.as_encoded_bytes()).ok_or_else(bogus)
}

/// `'key=value'` of older versions of git, `'key'='value'` and `'key'` of newer ones, with spaces
/// between them.
fn parameters_of(mut text: &[u8]) -> Option<Vec<Override>> {
    let mut parameters = Vec::new();
    loop {
        text = text.trim_ascii_start();
        if text.is_empty() {
            return Some(parameters);
        }
        let (key, rest) = unquote(text)?;
        if let Some(rest) = rest.strip_prefix(b"=") {
            let (value, rest) = if rest.starts_with(b"'") { unquote(rest)? } else { (Vec::new(), rest) };
            text = rest;
            parameters.push((key, Some(value)));
        } else {
            text = rest;
            parameters.push(match key.iter().position(|byte| *byte == b'=') {
                Some(at) => (key.get(..at)?.to_vec(), key.get(at + 1..).map(<[u8]>::to_vec)),
                None => (key, None),
            });
        }
    }
}

/// A word in single quotes, as a shell reads it, and what follows it.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text.strip_prefix(b"'")?;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\'')?;
        word.extend_from_slice(rest.get(..end)?);
        rest = rest.get(end + 1..)?;
        match rest {
            [b'\\', escaped @ (b'\'' | b'!'), b'\'', after @ ..] => {
                word.push(*escaped);
                rest = after;
            }
            _ => return Some((word, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_is_told_with_c_is_read_in_its_old_and_its_new_form() {
        let read = |text: &str| parameters_of(text.as_bytes());
        let one =
            |key: &str, value: Option<&str>| (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()));
        assert_eq!(read("'core.a=b c'"), Some(vec![one("core.a", Some("b c"))]));
        let two = vec![one("Core.FSync", Some("it's")), one("x.Y.Z", None)];
        assert_eq!(read(r"'Core.FSync'='it'\''s' 'x.Y.Z'"), Some(two));
        assert_eq!(read("'a.b'="), Some(vec![one("a.b", Some(""))]));
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!((read("a.b=c"), read("'a.b")), (None, None));
    }
}
