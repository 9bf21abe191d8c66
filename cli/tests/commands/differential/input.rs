//! What `update-ref --stdin` reads: whole conversations, quoted in every way, and then damaged.

use super::words::Source;

/// The command line, and the input for it.
pub(super) fn update_ref(source: &mut Source<'_>) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut words = vec![b"update-ref".to_vec(), b"--stdin".to_vec()];
    let has_nul = source.random.one_in(3);
    if has_nul {
        words.push(b"-z".to_vec());
    }
    for (flag, rarity) in [("--no-deref", 6), ("--create-reflog", 8), ("-mwhy", 3), ("-d", 60), ("main", 80)] {
        if source.random.one_in(rarity) {
            words.push(flag.into());
        }
    }
    if source.is_new && source.random.one_in(5) {
        words.push(b"--batch-updates".to_vec());
    }
    let mut input = conversation(source, has_nul);
    if source.random.one_in(4) {
        damage(source, &mut input);
    }
    (words, input)
}

/// Records, most of them in a sensible order.
fn conversation(source: &mut Source<'_>, has_nul: bool) -> Vec<u8> {
    let mut records: Vec<Vec<Vec<u8>>> = Vec::new();
    let turn = |word: &str| vec![word.as_bytes().to_vec()];
    for _ in 0..source.random.within(1..=2) {
        let has_turns = source.random.one_in(3);
        if has_turns {
            records.push(turn("start"));
        }
        for _ in 0..source.random.below(4) {
            if source.random.one_in(6) {
                records.push(vec![b"option".to_vec(), b"no-deref".to_vec()]);
            }
            records.push(change(source));
            if source.random.one_in(15) {
                records.push(records.last().cloned().unwrap());
            }
            if source.random.one_in(20) {
                records.push(turn(source.random.of(&["start", "prepare", "commit", "abort"])));
            }
        }
        if has_turns {
            let ends: [&[&str]; 5] = [&["commit"], &["prepare", "commit"], &["abort"], &["prepare", "abort"], &[]];
            records.extend(source.random.of(&ends).iter().map(|word| turn(word)));
        }
    }
    let mut input = Vec::new();
    for record in &records {
        put(source, record, has_nul, &mut input);
    }
    input
}

/// The words of one change.
fn change(source: &mut Source<'_>) -> Vec<Vec<u8>> {
    let command = source.random.of(&[
        "update",
        "update",
        "update",
        "create",
        "create",
        "delete",
        "delete",
        "verify",
        "symref-update",
        "symref-create",
        "symref-delete",
        "symref-verify",
    ]);
    let mut words = vec![command.as_bytes().to_vec(), source.name()];
    match command {
        "update" | "create" => words.push(source.id().into_bytes()),
        "symref-update" | "symref-create" => words.push(source.name()),
        _ => {}
    }
    match command {
        "update" | "delete" | "verify" if source.random.one_in(2) => words.push(source.id().into_bytes()),
        "symref-delete" | "symref-verify" if source.random.one_in(2) => words.push(source.name()),
        "symref-update" => match source.random.below(4) {
            0 => words.extend([b"ref".to_vec(), source.name()]),
            1 => words.extend([b"oid".to_vec(), source.id().into_bytes()]),
            2 if source.random.one_in(4) => words.push(b"ref".to_vec()),
            _ => {}
        },
        _ => {}
    }
    match source.random.below(40) {
        0 => drop(words.pop()),
        1 => words.push(source.name()),
        2 => words.push(Vec::new()),
        _ => {}
    }
    words
}

/// Writes a record as it should be written, or nearly.
fn put(source: &mut Source<'_>, words: &[Vec<u8>], has_nul: bool, input: &mut Vec<u8>) {
    if has_nul {
        // So many fields has a command, if need be empty ones.
        let fields = match words[0].as_slice() {
            b"update" => 4,
            b"delete" | b"verify" | b"symref-delete" | b"symref-verify" => 3,
            b"symref-update" if words.len() > 3 => 5,
            b"symref-update" => 4,
            _ => words.len(),
        };
        for (at, word) in words.iter().enumerate() {
            input.extend(word);
            input.push(if at == 0 && words.len() > 1 { b' ' } else { 0 });
        }
        input.extend(vec![0; fields.saturating_sub(words.len())]);
        return;
    }
    let line: Vec<Vec<u8>> = words.iter().map(|word| quoted(source, word)).collect();
    input.extend(line.join(b" ".as_slice()));
    input.push(b'\n');
}

/// The word, or a C string for it.
fn quoted(source: &mut Source<'_>, word: &[u8]) -> Vec<u8> {
    let is_plain = word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(byte));
    if is_plain && !source.random.one_in(8) || source.random.one_in(20) {
        return word.to_vec();
    }
    let mut text = vec![b'"'];
    for byte in word {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            b'\n' if source.random.one_in(2) => text.extend(b"\\n"),
            0x20..0x7f if !source.random.one_in(30) => text.push(*byte),
            _ => text.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    text.push(b'"');
    text
}

/// Changes a few bytes.
fn damage(source: &mut Source<'_>, input: &mut Vec<u8>) {
    const BYTES: &[u8] = b" \t\"\\\0\n\r\xff0ax";
    for _ in 0..source.random.within(1..=2) {
        let at = source.random.below(input.len() + 1);
        match source.random.below(10) {
            0..=2 => input.insert(at, BYTES[source.random.below(BYTES.len())]),
            3..=4 if at < input.len() => drop(input.remove(at)),
            5 => input.truncate(at),
            6 => {
                *input = input
                    .iter()
                    .flat_map(|byte| if *byte == b'\n' { vec![b'\r', b'\n'] } else { vec![*byte] })
                    .collect()
            }
            7 => drop(input.pop()),
            8 if source.random.one_in(4) => drop(input.splice(at..at, vec![b'x'; 70_000])),
            8 => {
                let copy = input[at..].to_vec();
                input.extend(copy);
            }
            _ => input.splice(at..at, b"\n".iter().copied()).for_each(drop),
        }
    }
}
