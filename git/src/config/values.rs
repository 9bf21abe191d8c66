//! What values of git's configuration mean.

pub(super) fn boolean(value: Option<&[u8]>) -> Option<bool> {
    let Some(value) = value else { return Some(true) };
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" => Some(true),
        b"" | b"false" | b"no" | b"off" => Some(false),
        number => integer(number).map(|number| number != 0),
    }
}

pub(super) fn integer(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let factor = match text.bytes().last()?.to_ascii_lowercase() {
        b'k' => 1 << 10,
        b'm' => 1 << 20,
        b'g' => 1 << 30,
        _ => 1,
    };
    let digits = if factor == 1 { text } else { text.get(..text.len() - 1)? };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

/// `None` as argument is a key without a value, which is true.
pub(super) fn mode_of(value: Option<&[u8]>) -> Result<Option<u32>, &'static str> {
    const GROUP: u32 = 0o660;
    const ALL: u32 = 0o664;
    let Some(value) = value else { return Ok(Some(GROUP)) };
    match value {
        b"umask" => return Ok(None),
        b"group" => return Ok(Some(GROUP)),
        b"all" | b"world" | b"everybody" => return Ok(Some(ALL)),
        _ => {}
    }
    let octal = std::str::from_utf8(value).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    match octal {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(GROUP)),
        Some(2) => Ok(Some(ALL)),
        Some(mode) if mode & 0o600 == 0o600 => Ok(Some(mode & 0o666)),
        Some(_) => Err("no mode with which the owner reads and writes"),
        None => match boolean(Some(value)) {
            Some(is_shared) => Ok(is_shared.then_some(GROUP)),
            None => Err("neither a mode nor true or false"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_repositories_are_named_in_many_ways() {
        for (value, mode) in [
            (None, Some(0o660)),
            (Some("group"), Some(0o660)),
            (Some("TRUE"), Some(0o660)),
            (Some("1"), Some(0o660)),
            (Some("all"), Some(0o664)),
            (Some("everybody"), Some(0o664)),
            (Some("2"), Some(0o664)),
            (Some("0640"), Some(0o640)),
            (Some("0777"), Some(0o666)),
            (Some("umask"), None),
            (Some("false"), None),
            (Some("0"), None),
        ] {
            assert_eq!(mode_of(value.map(str::as_bytes)), Ok(mode), "{value:?}");
        }
        // git refuses these, too.
        for value in ["0060", "often", "GROUP", ""] {
            assert_eq!(mode_of(Some(value.as_bytes())).is_err(), !value.is_empty(), "{value}");
        }
    }

    #[test]
    fn numbers_have_units() {
        let read = |text: &str| integer(text.as_bytes());
        assert_eq!(
            [read("4k"), read("-1"), read("2M"), read("x"), read("")],
            [Some(4096), Some(-1), Some(2 << 20), None, None]
        );
        assert_eq!(read("9223372036854775807k"), None);
    }
}
