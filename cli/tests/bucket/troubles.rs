//! Whatever is wrong with the way to an object store is told in words, with exit code 3, in time,
//! and without a word of the credentials.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{Mood, Server};
use crate::{A, command};

/// Each command that speaks with the object store, and gives up soon where it can be told so.
const COMMANDS: [&[&str]; 10] = [
    &["list"],
    &["get", "HEAD"],
    &["log", "HEAD"],
    &["stats"],
    &["verify"],
    &["clean"],
    &["probe"],
    &["update", "--wait", "1", "refs/heads/main", A],
    &["compact", "--wait", "1"],
    &["export", "--wait", "1", "/nonexistent/x"],
];

/// How long those may take that have no time-out of their own: 10 s, and processes start slowly on
/// a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// What nobody may read anywhere.
const SECRETS: [&str; 3] = ["SECRET", "SGVsbG9TRUNSRVQ", "sig="];

#[track_caller]
fn check(output: &Output, began: Instant, limit: Duration, text: &str, what: &str) {
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{what}: {told}");
    assert!(told.contains(text), "{what}: {told}");
    assert!(began.elapsed() < limit, "{what} took {:?}", began.elapsed());
    for secret in SECRETS {
        let all = [&output.stdout[..], &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&all).contains(secret), "{what}: {told}");
    }
    let lines = told.lines().count();
    assert_eq!(lines, 1, "{what}: {told}");
}

/// Runs `words` in both voices.
fn try_all(make: impl Fn(&[&str]) -> Command + Sync, commands: &[&[&str]], text: &str, limit: Duration) {
    thread::scope(|scope| {
        for words in commands {
            for json in [&[][..], &["--json"]] {
                let (make, words) = (&make, [json, words].concat());
                scope.spawn(move || {
                    let mut command = make(&words);
                    command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
                    let began = Instant::now();
                    check(&command.output().unwrap(), began, limit, text, &format!("{words:?}"));
                });
            }
        }
    });
}

fn at(server: &Server) -> impl Fn(&[&str]) -> Command {
    let server = server.clone();
    move |words| command(&server, "s3://bucket/repos/42", words)
}

#[test]
fn refusals_are_told_at_once() {
    for (mood, text) in [
        (Mood::Forbidding, "s3://bucket answers 403 InvalidAccessKeyId: no such key"),
        (Mood::Bucketless, "s3://bucket does not exist"),
        (Mood::InAnotherRegion, "answers 400 AuthorizationHeaderMalformed: the region 'x' is wrong"),
        (Mood::PermanentRedirect, "is the region right?"),
    ] {
        let server = Server::start();
        server.set_mood(mood);
        try_all(at(&server), &COMMANDS, text, Duration::from_secs(9));
        assert_eq!(server.keys(), Vec::<String>::new());
    }
}

#[test]
fn a_store_that_is_too_busy_is_given_up_in_time() {
    for (mood, text) in [
        (Mood::SlowDown, "answers 503 SlowDown: please reduce your request rate"),
        (Mood::TooManyRequests, "answers 429 TooManyRequests: later"),
    ] {
        let server = Server::start();
        server.set_mood(mood);
        try_all(at(&server), &COMMANDS[7..], text, Duration::from_secs(9));
        try_all(at(&server), &COMMANDS[..1], text, SOON);
    }
}

#[test]
fn answers_that_make_no_sense_are_told() {
    let server = Server::start();
    server.set_mood(Mood::PortalPage);
    let text = "repos/42/root: this is not the root of a reference store";
    try_all(at(&server), &COMMANDS[..6], text, Duration::from_secs(9));
    server.set_mood(Mood::CutsAnswers);
    server.set("repos/42/root", "reftable root 1\n and more");
    try_all(at(&server), &COMMANDS[7..8], "s3://bucket", Duration::from_secs(9));
}

/// Who may not list can do all but clean.
#[test]
fn what_needs_no_list_works_without_the_right_to_list() {
    let server = Server::start();
    let run = |words: &[&str]| command(&server, "s3://bucket/repos/42", words).output().unwrap();
    server.set_mood(Mood::NoLists);
    for words in [&["update", "refs/heads/main", A][..], &["list"], &["stats"], &["compact", "--all"], &["verify"]] {
        let output = run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let told = String::from_utf8(run(&["verify"]).stdout).unwrap();
    assert!(told.contains("0 errors") && told.contains("403 AccessDenied: no lists for you"), "{told}");
    let text = "answers 403 AccessDenied: no lists for you";
    try_all(at(&server), &[&["clean"], &["probe"]], text, Duration::from_secs(9));
    assert_eq!(server.keys(), ["repos/42/root"], "the probe leaves nothing");
}

#[test]
fn whoever_sends_us_elsewhere_gets_no_credentials_there() {
    let (server, elsewhere) = (Server::start(), Server::start());
    elsewhere.set_mood(Mood::Forbidding);
    server.set_mood(Mood::Redirecting(elsewhere.port()));
    try_all(at(&server), &COMMANDS[7..], "s3://bucket answers 403", Duration::from_secs(9));
    assert!(server.saw_credentials() && !elsewhere.saw_credentials());
    assert!(!elsewhere.taken().is_empty());
}

#[test]
fn ways_that_lead_nowhere_are_told_in_time() {
    let server = Server::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (endpoint, text) in [
        (format!("http://{nobody}"), "onnection refused"),
        ("http://no-such-host.invalid".to_owned(), "s3://bucket: "),
        // A server without TLS.
        (server.endpoint().replace("http:", "https:"), "s3://bucket: "),
    ] {
        let make = |words: &[&str]| {
            let mut command = command(&server, "s3://bucket/repos/42", words);
            command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_ALLOW_HTTP", "true");
            command
        };
        try_all(make, &COMMANDS[7..], text, Duration::from_secs(9));
    }
    // In the clear with another machine: not unless it is asked for.
    let make = |words: &[&str]| {
        let mut command = command(&server, "s3://bucket/repos/42", words);
        command.env("AWS_ENDPOINT_URL", "http://192.0.2.1:9");
        command
    };
    try_all(make, &COMMANDS[7..8], "AWS_ALLOW_HTTP", Duration::from_secs(9));
}

/// The other dialect has its secrets in other places, one of them the address of each request.
#[test]
fn nothing_of_azures_credentials_is_told() {
    for (mood, text) in [
        (Mood::Forbidding, "403"),
        (Mood::SlowDown, "503"),
        (Mood::Redirecting(1), "az://box"),
        (Mood::PermanentRedirect, "az://box"),
        (Mood::CutsAnswers, "az://box"),
        (Mood::Mute, "has not answered"),
    ] {
        let server = Server::start();
        server.set_mood(mood);
        server.set("repos/42/root", "reftable root 1\n and more");
        for variable in ["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_TOKEN"] {
            let make = |words: &[&str]| {
                let mut command = command(&server, "az://box/repos/42", words);
                command.env("AZURE_STORAGE_ACCOUNT_NAME", "account");
                command.env("AZURE_ENDPOINT", format!("{}/account", server.endpoint()));
                let sas = variable == "AZURE_STORAGE_SAS_TOKEN";
                command.env(variable, if sas { "?sv=2024-01-01&sig=SGVsbG9TRUNSRVQ" } else { "SGVsbG9TRUNSRVQ=" });
                command
            };
            try_all(make, &COMMANDS[7..8], text, Duration::from_secs(9));
        }
    }
}
