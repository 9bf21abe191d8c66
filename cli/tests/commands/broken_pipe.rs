//! A reader that has seen enough is no failure.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::for_each_hash;

#[test]
fn output_may_be_cut_off() {
    for_each_hash(|repo| {
        let id = repo.commit("one");
        let mut input = String::new();
        for number in 0..5000 {
            writeln!(input, "create refs/heads/branch-{number} {id}").unwrap();
        }
        repo.run_with(["update", "--stdin"], input.as_bytes()).ok();
        let mut child = repo.command().arg("list").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut reader = BufReader::with_capacity(100, child.stdout.take().unwrap());
        reader.read_line(&mut first).unwrap();
        drop(reader);
        assert!(first.ends_with("HEAD\n"));
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!((child.wait().unwrap().code(), error.as_str()), (Some(0), ""));
    });
}
