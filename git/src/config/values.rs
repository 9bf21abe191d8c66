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

/// What `core.sharedRepository` says of the modes of new files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SharedMode {
    /// The umask decides.
    Umask,
    /// What the umask leaves, and these bits.
    AtLeast(u32),
    /// These bits, whatever the umask is.
    Exactly(u32),
}

/// `None` as argument is a key without a value, which is true.
pub(super) fn mode_of(value: Option<&[u8]>) -> Result<SharedMode, &'static str> {
    const GROUP: SharedMode = SharedMode::AtLeast(0o660);
    const ALL: SharedMode = SharedMode::AtLeast(0o664);
    let Some(value) = value else { return Ok(GROUP) };
    match value {
        b"umask" => return Ok(SharedMode::Umask),
        b"group" => return Ok(GROUP),
        b"all" | b"world" | b"everybody" => return Ok(ALL),
        _ => {}
    }
    let octal = std::str::from_utf8(value).ok().and_then(|text| u32::from_str_radix(text, 8).ok());
    match octal {
        Some(0) => Ok(SharedMode::Umask),
        Some(1) => Ok(GROUP),
        Some(2) => Ok(ALL),
        Some(mode) if mode & 0o600 == 0o600 => Ok(SharedMode::Exactly(mode & 0o666)),
        Some(_) => Err("no mode with which the owner reads and writes"),
        None => match boolean(Some(value)) {
            Some(is_shared) => Ok(if is_shared { GROUP } else { SharedMode::Umask }),
            None => Err("neither a mode nor true or false"),
        },
    }
}

impl SharedMode {
    /// The mode of new files; `None` if the umask decides. Where the umask is not to be had, it
    /// leaves nothing.
    pub(super) fn bits(self) -> Option<u32> {
        match self {
            SharedMode::Umask => None,
            SharedMode::AtLeast(bits) => Some(bits | 0o666 & !umask().unwrap_or(0o777)),
            SharedMode::Exactly(bits) => Some(bits),
        }
    }
}

/// The umask of this process, which can be asked for without setting it on Linux only.
fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(umask.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_repositories_are_named_in_many_ways() {
        use SharedMode::{AtLeast, Exactly, Umask};
        for (value, mode) in [
            (None, AtLeast(0o660)),
            (Some("group"), AtLeast(0o660)),
            (Some("TRUE"), AtLeast(0o660)),
            (Some("1"), AtLeast(0o660)),
            (Some("all"), AtLeast(0o664)),
            (Some("everybody"), AtLeast(0o664)),
            (Some("2"), AtLeast(0o664)),
            (Some("0640"), Exactly(0o640)),
            (Some("0777"), Exactly(0o666)),
            (Some("umask"), Umask),
            (Some("false"), Umask),
            (Some("0"), Umask),
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
