//! What a damaged list still says.

/// A name that differs in more characters from the one in the list is another one.
const FEW: usize = 3;

/// The names in a list that may break every rule, without what editors, crashes and disks put
/// around them: blank lines, carriage returns, spaces, byte order marks, NULs (one between two
/// characters is UTF-16).
pub(super) fn names(contents: &[u8]) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    // A disk may have filled millions of bytes with NULs: no line for each.
    let end_line = |lines: &mut Vec<Vec<u8>>| {
        if lines.last().is_some_and(|line| !line.is_empty()) {
            lines.push(Vec::new());
        }
    };
    for (at, byte) in contents.iter().enumerate() {
        let is_run = |other: Option<usize>| other.and_then(|other| contents.get(other)) == Some(&0);
        match byte {
            b'\n' | b'\r' => end_line(&mut lines),
            0 if is_run(at.checked_sub(1)) || is_run(at.checked_add(1)) => end_line(&mut lines),
            0 => {}
            byte => lines.last_mut().into_iter().for_each(|line| line.push(*byte)),
        }
    }
    let marks: [&[u8]; 3] = [&[0xEF, 0xBB, 0xBF], &[0xFF, 0xFE], &[0xFE, 0xFF]];
    let unmarked = |line: Vec<u8>| {
        let rest = marks.iter().find_map(|mark| line.strip_prefix(*mark)).unwrap_or(&line);
        String::from_utf8_lossy(rest).trim().to_owned()
    };
    lines.into_iter().map(unmarked).filter(|line| !line.is_empty()).collect()
}

/// The one of `candidates` that differs from `name` in a few characters, if there is exactly one
/// that does so least.
pub(super) fn near<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = characters(name);
    let mut best: Option<(usize, Option<&str>)> = None;
    for candidate in candidates {
        let distance = distance(&wanted, &characters(candidate));
        match best {
            Some((least, _)) if least < distance => {}
            Some((least, _)) if least == distance => best = Some((least, None)),
            _ if distance <= FEW => best = Some((distance, Some(candidate))),
            _ => {}
        }
    }
    best?.1
}

fn characters(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).take(256).collect()
}

/// How many characters have to be put in, left out or replaced to make one of the other.
fn distance(from: &[char], to: &[char]) -> usize {
    if from.len().abs_diff(to.len()) > FEW {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.iter().enumerate() {
        let (mut diagonal, mut left) = (above, above + 1);
        let mut next = vec![left];
        for (b, up) in to.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(a != b)).min(left + 1).min(up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_what_does_not_belong() {
        let expected = ["a.ref", "b.ref"];
        let utf16: Vec<u8> = "\u{FEFF}a.ref\r\nb.ref\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let lists: [&[u8]; 7] = [
            b"a.ref\nb.ref\n",
            b"a.ref\nb.ref",
            b"a.ref\r\nb.ref\r\n",
            b"\n\na.ref\n \n  b.ref \n\n",
            b"\xEF\xBB\xBFa.ref\nb.ref\n",
            b"a.ref\nb.ref\n\0\0\0\0\0",
            &utf16,
        ];
        for list in lists {
            assert_eq!(names(list), expected, "{}", String::from_utf8_lossy(list));
        }
        assert_eq!(names(b"\0\0\0\0"), Vec::<String>::new());
    }

    #[test]
    fn a_name_is_near_if_a_few_characters_differ() {
        let table = "0x000000000001-0x000000000001-a1b2c3d4.ref";
        let other = "0x000000000001-0x000000000001-00ff00ff.ref";
        let near = |name: &str| near(name, [table, other].into_iter());
        for damaged in [
            table,
            "0X000000000001-0X000000000001-A1B2C3D4.REF",
            "0x000000000001-0x000000000001-a1b2c3d4.re",
            "0x000000000001-0x00000000001-a1b2c3d4.ref",
            "0x000000000001-0x000000000001-a1\u{FFFD}2c3d4.ref",
        ] {
            assert_eq!(near(damaged), Some(table), "{damaged}");
        }
        assert_eq!(near("0x000000000001-0x000000000001-11111111.ref"), None);
        assert_eq!(super::near("xa", ["ya", "za"].into_iter()), None, "two are as near");
        assert_eq!(distance(&characters("kitten"), &characters("sitting")), 3);
    }
}
