//! A proxy that loses requests and answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// How long a request that is late may be.
const LATEST_MS: u64 = 1500;

/// What went through.
#[derive(Debug, Default)]
pub(super) struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    deletions: AtomicU64,
    never_arrived: AtomicU64,
    answers_lost: AtomicU64,
    late: AtomicU64,
}

impl Counts {
    pub(super) fn to_value(&self) -> Value {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        json!({
            "reads": of(&self.reads), "writes": of(&self.writes), "deletions": of(&self.deletions),
            "never_arrived": of(&self.never_arrived), "answers_lost": of(&self.answers_lost), "late": of(&self.late),
        })
    }
}

/// A running proxy. It ends with the process.
pub(super) struct Proxy {
    pub(super) port: u16,
    pub(super) counts: Arc<Counts>,
}

/// What becomes of a request.
enum Fate {
    Answered,
    NeverArrives,
    AnswerLost,
    Late(Duration),
}

impl Proxy {
    /// Stands before the server at `upstream`; of a thousand requests `lost` are.
    pub(super) fn start(upstream: SocketAddr, lost: u64, seed: u64) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        let port = listener.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for (number, stream) in (0..).zip(listener.incoming().flatten()) {
                let counts = Arc::clone(&shared);
                let dice = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
                thread::spawn(move || {
                    // A connection that breaks is what this is for.
                    let _ = serve(&stream, upstream, lost, dice, &counts);
                });
            }
        });
        Ok(Proxy { port, counts })
    }
}

fn fate(lost: u64, dice: &mut fastrand::Rng) -> Fate {
    if dice.u64(0..1000) >= lost {
        return Fate::Answered;
    }
    match dice.u64(0..3) {
        0 => Fate::NeverArrives,
        1 => Fate::AnswerLost,
        _ => Fate::Late(Duration::from_millis(dice.u64(0..LATEST_MS))),
    }
}

fn serve(
    client: &TcpStream,
    upstream: SocketAddr,
    lost: u64,
    mut dice: fastrand::Rng,
    counts: &Counts,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(upstream)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut from_server) = (BufReader::new(client), BufReader::new(&server));
    let (mut to_client, mut to_server) = (client, &server);
    while let Some(request) = message(&mut from_client, false)? {
        let count = match request.first() {
            Some(b'G') => &counts.reads,
            Some(b'D') => &counts.deletions,
            _ => &counts.writes,
        };
        count.fetch_add(1, Ordering::Relaxed);
        match fate(lost, &mut dice) {
            Fate::Answered => {
                to_server.write_all(&request)?;
                let Some(answer) = message(&mut from_server, true)? else { return Ok(()) };
                to_client.write_all(&answer)?;
            }
            Fate::NeverArrives => {
                counts.never_arrived.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Fate::AnswerLost => {
                counts.answers_lost.fetch_add(1, Ordering::Relaxed);
                to_server.write_all(&request)?;
                message(&mut from_server, true)?;
                return Ok(());
            }
            Fate::Late(time) => {
                counts.late.fetch_add(1, Ordering::Relaxed);
                // Who asked sees a broken connection now, and goes on.
                client.shutdown(std::net::Shutdown::Both)?;
                thread::sleep(time);
                to_server.write_all(&request)?;
                message(&mut from_server, true)?;
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The bytes of one request or answer; `None` at the end of the connection.
fn message(reader: &mut impl BufRead, is_answer: bool) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut bytes = Vec::new();
        let (mut len, mut is_chunked) = (0, false);
        loop {
            let start = bytes.len();
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            let line = bytes.get(start..).unwrap_or_default().to_ascii_lowercase();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            if let Some(value) = line.strip_prefix("content-length:") {
                len = value.trim().parse().unwrap_or(0);
            }
            is_chunked |= line == "transfer-encoding: chunked";
            if line.is_empty() {
                break;
            }
        }
        let status = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default().to_vec();
        if is_answer && status.starts_with(b"1") {
            continue;
        }
        let has_body = !(is_answer && (status == b"204" || status == b"304"));
        if is_chunked {
            chunks(reader, &mut bytes)?;
        } else if has_body {
            reader.take(len).read_to_end(&mut bytes)?;
        }
        return Ok(Some(bytes));
    }
}

fn chunks(reader: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let start = bytes.len();
        reader.read_until(b'\n', bytes)?;
        let line = String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).trim().to_owned();
        let len = u64::from_str_radix(line.split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
        // The line after it, too.
        reader.take(len).read_to_end(bytes)?;
        reader.read_until(b'\n', bytes)?;
        if len == 0 {
            return Ok(());
        }
    }
}
