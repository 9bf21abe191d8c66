//! The client for object stores, against a server of S3's dialect in this process.

#![cfg(all(test, feature = "object_store"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{ClientConfigKey, RetryConfig};
use reftable::{Expect, ObjectId};
use reftable_bucket::{Blocking, Bucket, Changeset, Client, Compact, ErrorKind, Options, Read, Store, probe};
use server::{Mood, Server};

const PLACE: &str = "repos/42";

fn client(server: &Server) -> Client {
    // TLS is not spoken here, but its client is made.
    let _ = Client::open("s3://bucket/x").unwrap();
    let client = object_store::aws::AmazonS3ConfigKey::Client;
    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(server.endpoint())
        .with_allow_http(true)
        .with_access_key_id("AKSECRET")
        .with_secret_access_key("SKSECRET")
        .with_config(client(ClientConfigKey::ConnectTimeout), "1 second")
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap();
    Client::new(Arc::new(store), "s3://bucket").unwrap().patience(Duration::from_millis(500))
}

fn store(server: &Server, timeout: Duration) -> Blocking<Client> {
    Store::new(Arc::new(client(server)), PLACE, Options::default().timeout(timeout)).unwrap().blocking()
}

fn set(number: usize, expect: Expect) -> Changeset {
    let mut changes = Changeset::new();
    let id = ObjectId::from_hex(format!("{:040x}", number + 1).as_bytes()).unwrap();
    changes.set(format!("refs/heads/{number}"), expect, id);
    changes
}

const SOON: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(20);

#[test]
fn a_good_store_is_fit_and_holds_commits() {
    let server = Server::start();
    block_on(probe(&client(&server), "probe")).unwrap();
    assert_eq!(server.keys(), Vec::<String>::new(), "the probe leaves nothing");
    let store = store(&server, LATE);
    for number in 0..40 {
        store.commit(set(number, Expect::Absent)).unwrap();
    }
    assert_eq!(server.keys(), ["repos/42/root"]);
    server.taken();
    assert_eq!(self::store(&server, LATE).snapshot().unwrap().refs().unwrap().into_iter().count(), 40);
    assert_eq!(server.taken(), ["GET repos/42/root"], "one request opens a small store");
}

#[test]
fn large_tables_are_objects_and_go_when_they_are_merged() {
    let server = Server::start();
    let options = Options::default().inline(0, 0).timeout(LATE);
    let store = Store::new(Arc::new(client(&server)), PLACE, options).unwrap().blocking();
    for number in 0..5 {
        store.commit(set(number, Expect::Absent)).unwrap();
    }
    store.compact(Compact::All).unwrap();
    store.commit(set(5, Expect::Absent)).unwrap();
    store.clean(false).unwrap();
    assert_eq!(self::store(&server, LATE).snapshot().unwrap().refs().unwrap().into_iter().count(), 6);
    assert!(server.keys().len() <= 3, "{:?}", server.keys());
}

#[test]
fn answers_that_are_lost_after_the_write_are_found_out() {
    for mood in [Mood::FailsAfterWriting, Mood::HangsUpAfterWriting] {
        let server = Server::start();
        server.set_mood(mood);
        let store = store(&server, LATE);
        let mut rescued = 0;
        for number in 0..30 {
            rescued += usize::from(store.commit(set(number, Expect::Absent)).unwrap().rescued);
        }
        assert!(rescued >= 5, "{mood:?}: {rescued} rescued");
        assert_eq!(store.snapshot().unwrap().refs().unwrap().into_iter().count(), 30, "{mood:?}");
    }
}

#[test]
fn a_store_that_checks_and_then_writes_is_refused() {
    let server = Server::start();
    server.set_mood(Mood::ChecksThenWrites);
    let error = block_on(probe(&client(&server), "probe")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unfit, "{error}");
}

#[test]
fn wrong_credentials_and_missing_buckets_are_words_at_once() {
    for (mood, text) in [(Mood::Forbidding, "InvalidAccessKeyId: no such key"), (Mood::Bucketless, "does not exist")] {
        let server = Server::start();
        server.set_mood(mood);
        let (store, began) = (store(&server, LATE), Instant::now());
        for error in [store.snapshot().unwrap_err(), store.commit(set(1, Expect::Any)).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(block_on(probe(&client(&server), "probe")).unwrap_err().kind(), ErrorKind::Denied);
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(server.keys(), Vec::<String>::new());
    }
}

#[test]
fn a_store_that_is_mute_or_away_is_given_up_in_time() {
    let server = Server::start();
    server.set_mood(Mood::Mute);
    let away = Server::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _ = &away;
    let began = Instant::now();
    let error = store(&server, SOON).snapshot().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("has not answered within 0.5 s"), "{error}");
    let client = object_store::aws::AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://{gone}"))
        .with_allow_http(true)
        .with_access_key_id("a")
        .with_secret_access_key("b")
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .build()
        .unwrap();
    let client = Client::new(Arc::new(client), "s3://bucket").unwrap();
    let options = Options::default().timeout(SOON);
    let store = Store::new(Arc::new(client), PLACE, options).unwrap().blocking();
    // Nothing was sent: it is known that nothing happened.
    let error = store.commit(set(1, Expect::Any)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn threads_share_requests() {
    let server = Server::start();
    let store = store(&server, LATE);
    store.commit(set(100, Expect::Absent)).unwrap();
    server.taken();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let store = store.clone();
            scope.spawn(move || store.commit(set(number, Expect::Absent)).unwrap());
        }
    });
    let requests = server.taken();
    assert!(requests.len() < 20, "{requests:?}");
    assert_eq!(store.snapshot().unwrap().refs().unwrap().into_iter().count(), 33);
}

#[test]
fn parts_of_objects_are_read() {
    let server = Server::start();
    server.set("repos/42/x", "0123456789");
    let client = client(&server);
    let part = |range| block_on(client.read_range("repos/42/x", range)).unwrap();
    assert_eq!(part(2..5).as_deref(), Some(&b"234"[..]));
    assert_eq!(part(8..20).as_deref(), Some(&b"89"[..]));
    assert!(block_on(client.read_range("repos/42/y", 0..1)).unwrap().is_none());
    assert!(matches!(block_on(client.read("repos/42/y", None)), Ok(Read::Missing)));
}

#[test]
fn credentials_are_in_no_text() {
    let server = Server::start();
    let client = client(&server);
    server.set_mood(Mood::Forbidding);
    let error = block_on(client.read("x/root", None)).unwrap_err();
    for text in [format!("{client:?}"), error.to_string(), format!("{error:?}")] {
        assert!(!text.contains("SECRET"), "{text}");
    }
}

#[test]
fn what_comes_slowly_is_waited_for_as_long_as_it_comes() {
    let server = Server::start();
    server.set("repos/42/big", vec![7; 100_000]);
    server.set_mood(Mood::Trickles);
    // Longer than the client waits for an answer, and piece by piece.
    let Read::Object { bytes, .. } = block_on(client(&server).read("repos/42/big", None)).unwrap() else { panic!() };
    assert_eq!(bytes, vec![7; 100_000]);
}

#[test]
fn a_part_behind_the_end_has_no_bytes() {
    let server = Server::start();
    server.set("repos/42/short", "0123456789");
    let part = |range| block_on(client(&server).read_range("repos/42/short", range)).unwrap();
    assert_eq!(part(5..100).unwrap(), "56789");
    assert_eq!(part(10..20).unwrap(), "");
    assert_eq!(block_on(client(&server).read_range("repos/42/none", 0..3)).unwrap(), None);
}
