//! A server that moves references for many clients, with tokio: each sends lines `NAME OLD NEW` and
//! gets `ok`, `conflict ID` with what is there, `busy` or `error WHY`.
//!
//! Clients whose commits wait for the lock at the same time share it: one of the threads publishes
//! the changes of all of them.

use std::sync::Arc;
use std::time::Duration;

use reftable::{Expect, ObjectId, Target};
use reftable_git::{Batch, Change, Error, ErrorKind, Repository, Stores};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// So often a lock that is not to be had is asked for again.
const ATTEMPTS: u32 = 5;

pub(crate) async fn serve(listener: TcpListener, stores: Arc<Stores>) -> std::io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(answer(client, stores.clone()));
    }
}

async fn answer(client: TcpStream, stores: Arc<Stores>) -> std::io::Result<()> {
    let (from, mut to) = client.into_split();
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match parse(&line) {
            Some(change) => update(change, &stores).await,
            None => "error NAME OLD NEW".to_owned(),
        };
        to.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

fn parse(line: &str) -> Option<Change> {
    let mut words = line.split(' ');
    let (name, old, new): (_, ObjectId, ObjectId) =
        (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let expect = if old.is_null() { Expect::Absent } else { Expect::Is(old.into()) };
    Some(if new.is_null() { Change::delete(name, expect) } else { Change::set(name, expect, new) })
}

async fn update(change: Change, stores: &Arc<Stores>) -> String {
    for attempt in 0..ATTEMPTS {
        let batch = Batch { changes: vec![change.clone()], ..Batch::default() };
        let stores = stores.clone();
        // A commit waits for locks and for the disk: not on a thread that serves others.
        let done = tokio::task::spawn_blocking(move || batch.commit(&stores).map(drop)).await;
        match done {
            Ok(Ok(())) => return "ok".to_owned(),
            // Another client was faster: this one knows what to do with that.
            Ok(Err(error)) => match (error.kind(), actual(&error), error.store()) {
                (ErrorKind::Store, Some(actual), _) => return format!("conflict {actual}"),
                (_, _, Some(store)) if store.is_retryable() => {}
                _ => return format!("error {error}"),
            },
            Err(error) => return format!("error {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10 << attempt)).await;
    }
    "busy".to_owned()
}

/// What a reference points at that is not as expected; all zeroes if it does not exist.
fn actual(error: &Error) -> Option<String> {
    match &error.store()?.conflicts().first()?.kind {
        reftable::ConflictKind::Mismatch { actual, .. } => Some(match actual {
            Some(Target::Symbolic(name)) => format!("ref:{}", String::from_utf8_lossy(name)),
            Some(target) => target.id()?.to_string(),
            None => "0".repeat(40),
        }),
        _ => None,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stores = Arc::new(Repository::find(None)?.open_to_write()?);
    serve(TcpListener::bind("127.0.0.1:9419").await?, stores).await?;
    Ok(())
}
