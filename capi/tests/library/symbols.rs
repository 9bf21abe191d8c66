//! What the libraries define, and what they ask for: nothing of Rust's may show.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::{built, cc, run, source};

/// What a host provides.
const HOST: [&str; 15] = [
    "delete_tempfile",
    "flock_acquire",
    "flock_close",
    "flock_release",
    "reftable_fsync",
    "reftable_mmap",
    "reftable_munmap",
    "reftable_rand",
    "reftable_time_ms",
    "register_tempfile",
    "rename_tempfile",
    "tmpfile_close",
    "tmpfile_delete",
    "tmpfile_from_pattern",
    "tmpfile_rename",
];

fn exports() -> BTreeSet<String> {
    std::fs::read_to_string(source("exports.txt")).unwrap().lines().map(str::to_owned).collect()
}

/// The symbols of a file, by the letter that nm gives them.
fn symbols(file: &Path, flags: &[&str], letters: &[char]) -> BTreeSet<String> {
    let listed = run(Command::new("nm").args(flags).arg(file)).stdout;
    let listed = String::from_utf8(listed).unwrap();
    let mut found = BTreeSet::new();
    for line in listed.lines() {
        let mut words = line.split_whitespace().rev();
        if let (Some(name), Some(letter)) = (words.next(), words.next())
            && letters.iter().any(|wanted| letter == wanted.to_string())
        {
            found.insert(name.split('@').next().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn the_shared_library_exports_its_interface() {
    let library = built("libreftable_capi.so");
    assert_eq!(symbols(&library, &["-D", "--defined-only"], &['T', 'D', 'B', 'R', 'V', 'W', 'i']), exports());
    let weak = symbols(&library, &["-D", "--undefined-only"], &['w']);
    for name in HOST {
        assert!(weak.contains(name), "{name} is not asked for weakly: {weak:?}");
    }
    let asked = symbols(&library, &["-D", "--undefined-only"], &['U']);
    assert!(HOST.iter().all(|name| !asked.contains(*name)), "a host is required: {asked:?}");
}

/// The archive as `make` builds it, from the library of the tests: one object, all else local.
#[test]
fn the_archive_defines_its_interface_and_nothing_else() {
    let at = tempfile::tempdir().unwrap();
    let archive = at.path().join("libreftable.a");
    let mut make = Command::new("make");
    make.arg("-s").arg("-C").arg(source("")).arg(format!("OUT={}", at.path().display()));
    run(make.arg(format!("STATICLIB={}", built("libreftable_capi.a").display())).arg(&archive));
    assert_eq!(
        symbols(&archive, &["--extern-only", "--defined-only"], &['T', 'D', 'B', 'R', 'V', 'W', 'C', 'u']),
        exports()
    );
    let weak: BTreeSet<String> = HOST.iter().map(|name| (*name).to_owned()).collect();
    let asked = symbols(&archive, &["--undefined-only"], &['w']);
    assert!(weak.is_subset(&asked), "{asked:?}");

    // What reads lies together, in fewer pages than all of it.
    let sections = run(Command::new("readelf").arg("-SW").arg(at.path().join("reftable.o"))).stdout;
    let sections = String::from_utf8(sections).unwrap();
    assert!(sections.contains(" .text.hot.reftable "), "{sections}");
    for function in ["reftable_new_stack", "reftable_iterator_next_ref", "reftable_stack_reload"] {
        assert!(!sections.contains(&format!(" .text.{function} ")), "{function} lies by itself");
    }

    // It links into a program that has no host.
    let program = at.path().join("program.c");
    std::fs::write(&program, "#include <reftable.h>\nint main(void) { return reftable_has_host(); }\n").unwrap();
    let binary = at.path().join("program");
    let libraries = ["-lpthread", "-ldl", "-lm"];
    run(cc().arg(&program).arg(&archive).args(libraries).arg("-o").arg(&binary));
    run(&mut Command::new(&binary));
    if cfg!(target_arch = "x86_64") {
        // Not by the dynamic linker when a process starts, but when they are called first.
        let relocations = run(Command::new("readelf").args(["-rW"]).arg(&binary)).stdout;
        let relocations = String::from_utf8(relocations).unwrap();
        let at_start = |name: &str| relocations.lines().any(|line| line.contains("GLOB_DAT") && line.contains(name));
        assert!(relocations.contains("pthread_create"), "{relocations}");
        assert!(["pthread_create", "readdir64", "malloc"].iter().all(|name| !at_start(name)), "{relocations}");
    }
}

#[test]
fn the_header_declares_all_exports_and_what_a_host_provides() {
    let header = std::fs::read_to_string(source("include/reftable.h")).unwrap();
    let is_declared = |name: &str| {
        header.match_indices(&format!("{name}(")).any(|(at, _)| {
            let before = &header[..at];
            let line = before.rsplit('\n').next().unwrap();
            before.ends_with([' ', '*']) && !line.contains("/*") && !line.starts_with(" *")
        })
    };
    for name in exports() {
        assert!(is_declared(&name), "{name} is not declared");
    }
    for name in HOST {
        assert!(is_declared(name), "{name} is not declared");
    }
    assert!(!is_declared("reftable_nonsense"));
}
