//! Who writes a reflog entry, and when: from the environment, as git takes it.

use std::env;
use std::fs;

use jiff::{Timestamp, Zoned};
use reftable::Ident;

use crate::config::Config;
use crate::error::{Error, Result};

/// The committer, from `GIT_COMMITTER_NAME`, `GIT_COMMITTER_EMAIL` and `GIT_COMMITTER_DATE`; else
/// from `committer.*` and `user.*` in `config`, else from the system.
///
/// # Errors
/// If the date is not understood.
pub fn committer(config: Option<&Config>) -> Result<Ident> {
    let configured = |what: &str| {
        let value = |section: &str| config?.text(&format!("{section}.{what}")).filter(|value| !value.is_empty());
        value("committer").or_else(|| value("user"))
    };
    let user = || first_of(&["USER", "LOGNAME", "USERNAME"]).unwrap_or_else(|| b"unknown".to_vec());
    let name = first_of(&["GIT_COMMITTER_NAME"]).or_else(|| configured("name")).unwrap_or_else(user);
    let email = first_of(&["GIT_COMMITTER_EMAIL"]).or_else(|| configured("email")).or_else(|| first_of(&["EMAIL"]));
    let email = email.unwrap_or_else(|| {
        let host = host_name();
        [user().as_slice(), b"@", host.trim().as_bytes()].concat()
    });
    let (time, time_zone) = match env::var("GIT_COMMITTER_DATE") {
        Ok(date) if !date.is_empty() => parse_date(&date)?,
        _ => now(),
    };
    Ok(Ident { name: clean(&name), email: clean(&email), time, time_zone })
}

/// A reason as git stores it: runs of white space become one space.
pub fn one_line(reason: &[u8]) -> Vec<u8> {
    let words: Vec<&[u8]> = reason.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).collect();
    words.join(b" ".as_slice())
}

/// `+0130` for 130.
pub fn zone_text(time_zone: i16) -> String {
    format!("{time_zone:+05}")
}

fn first_of(names: &[&str]) -> Option<Vec<u8>> {
    let value = names.iter().find_map(|name| env::var_os(name).filter(|value| !value.is_empty()))?;
    Some(value.into_encoded_bytes())
}

fn host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .find_map(|file| fs::read_to_string(file).ok())
        .or_else(|| env::var("HOSTNAME").or_else(|_| env::var("COMPUTERNAME")).ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Without the characters that end a name or an address.
fn clean(text: &[u8]) -> Vec<u8> {
    let kept: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'<' | b'>' | b'\n' | 0)).collect();
    kept.trim_ascii().to_vec()
}

fn now() -> (u64, i16) {
    let now = Zoned::now();
    (u64::try_from(now.timestamp().as_second()).unwrap_or(0), time_zone(now.offset().seconds()))
}

/// An offset in seconds as log entries have it: `130` is an hour and a half east.
pub(crate) fn time_zone(seconds: i32) -> i16 {
    let minutes = seconds / 60;
    i16::try_from(minutes / 60 * 100 + minutes % 60).unwrap_or(0)
}

/// `SECONDS ZONE`, also with an `@` before it, or RFC 3339.
fn parse_date(text: &str) -> Result<(u64, i16)> {
    let text = text.trim();
    let raw = text.strip_prefix('@').unwrap_or(text);
    let parsed = raw.split_once(' ').and_then(|(seconds, zone)| Some((seconds.parse().ok()?, parse_zone(zone)?)));
    if let Some(date) = parsed {
        return Ok(date);
    }
    let rfc3339 = text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_second()).ok());
    rfc3339.map(|seconds| (seconds, 0)).ok_or_else(|| {
        Error::invalid(format!("GIT_COMMITTER_DATE is '{text}': only 'SECONDS ZONE' and RFC 3339 are understood here"))
    })
}

fn parse_zone(text: &str) -> Option<i16> {
    let well_formed = text.len() == 5 && text.starts_with(['+', '-']);
    well_formed.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_git_writes_them() {
        assert_eq!(parse_date("1700000000 +0130").unwrap(), (1_700_000_000, 130));
        assert_eq!(parse_date("@1700000000 -0800").unwrap(), (1_700_000_000, -800));
        assert_eq!(parse_date("2023-11-14T22:13:20Z").unwrap(), (1_700_000_000, 0));
        assert!(parse_date("yesterday").is_err());
    }

    #[test]
    fn zones_have_a_sign_and_four_digits() {
        assert_eq!(zone_text(130), "+0130");
        assert_eq!(zone_text(-30), "-0030");
        assert_eq!(zone_text(0), "+0000");
    }

    #[test]
    fn reasons_become_one_line() {
        assert_eq!(one_line(b" a \n b\t\tc\n"), b"a b c");
    }
}
