//! An object store of S3's dialect in this process, as far as the client speaks it. It can be told
//! to do what real ones do on bad days.

#![allow(dead_code, reason = "each program of tests uses a part of this")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// Credentials are wrong.
    Forbidding,
    /// There is no such bucket.
    Bucketless,
    /// Takes requests, and says nothing.
    Mute,
    /// The bucket is in another region, and the answer says in which.
    InAnotherRegion,
    /// The same as the oldest endpoints say it: a redirection that leads nowhere.
    PermanentRedirect,
    /// Sends everybody to another server, that of this port.
    Redirecting(u16),
    /// Answers all but lists.
    NoLists,
    /// Takes all but roots.
    NoRoots,
    /// Has too much to do.
    SlowDown,
    /// The same in other words.
    TooManyRequests,
    /// Answers, and hangs up in the middle of it.
    CutsAnswers,
    /// Something else listens there, and answers 200 with a page for people.
    PortalPage,
    /// The bytes of objects come in ten pieces, with a pause before each.
    Trickles,
    /// Every third write is carried out, and answered by 500.
    FailsAfterWriting,
    /// Every third write is carried out, and the connection is closed.
    HangsUpAfterWriting,
    /// Checks the condition of a write, waits, and writes: as those do that hold nothing between.
    ChecksThenWrites,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, (u64, Vec<u8>)>,
    writes: u64,
    requests: Vec<String>,
    mood: Option<Mood>,
    /// Whether any request had credentials.
    saw_credentials: bool,
}

/// A running server. It ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    /// Another header.
    header: String,
    tag: Option<u64>,
    body: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server { address: listener.local_addr().unwrap(), state: Arc::default() };
        let shared = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = shared.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state().mood = Some(mood);
    }

    /// The keys of all objects, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state().objects.get(key).map(|(_, bytes)| bytes.clone())
    }

    pub(crate) fn set(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let mut state = self.state();
        state.writes += 1;
        let version = state.writes;
        state.objects.insert(key.to_owned(), (version, bytes.into()));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state().objects.remove(key);
    }

    /// Method and key of all requests since the last time.
    pub(crate) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn saw_credentials(&self) -> bool {
        self.state().saw_credentials
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Ok(Some(request)) = read(&mut reader) {
            let Some(answer) = self.answer(&request) else { return };
            let tag =
                answer.tag.map(|tag| format!("ETag: \"{tag}\"\r\nLast-Modified: Mon, 30 Nov 2026 12:00:00 GMT\r\n"));
            let (tag, len) = (tag.unwrap_or_default(), answer.body.len());
            let head = format!("HTTP/1.1 {}\r\nContent-Length: {len}\r\n{}{tag}\r\n", answer.status, answer.header);
            let all = [head.as_bytes(), &answer.body].concat();
            let mood = self.state().mood;
            let is_cut = mood == Some(Mood::CutsAnswers);
            let sent = if is_cut { &all[..all.len() - answer.body.len() / 2 - 1] } else { &all[..] };
            let (piece, pause) = match mood {
                Some(Mood::Trickles) => (sent.len().div_ceil(10), 300),
                _ => (sent.len(), 0),
            };
            for piece in sent.chunks(piece.max(1)) {
                thread::sleep(Duration::from_millis(pause));
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
            if is_cut {
                return;
            }
        }
    }

    /// `None` hangs up.
    fn answer(&self, request: &Request) -> Option<Answer> {
        let (bucket, key) = request.path.trim_start_matches('/').split_once('/').unwrap_or((&request.path, ""));
        let mood = {
            let mut state = self.state();
            state.requests.push(format!("{} {key}", request.method));
            state.saw_credentials |= request.headers.contains_key("authorization") || request.query.contains("sig=");
            state.mood.unwrap_or(Mood::Good)
        };
        match mood {
            Mood::Forbidding => return Some(refusal("403 Forbidden", "InvalidAccessKeyId", "no such key")),
            Mood::Bucketless => return Some(refusal("404 Not Found", "NoSuchBucket", "no such bucket")),
            Mood::Mute => thread::sleep(Duration::from_secs(60)),
            Mood::InAnotherRegion => {
                let message = "the region 'x' is wrong; expecting 'eu-west-1'";
                return Some(refusal("400 Bad Request", "AuthorizationHeaderMalformed", message));
            }
            Mood::PermanentRedirect => {
                return Some(refusal("301 Moved Permanently", "PermanentRedirect", "use another endpoint"));
            }
            Mood::Redirecting(port) => {
                let answer = refusal("307 Temporary Redirect", "TemporaryRedirect", "over there");
                return Some(Answer {
                    header: format!("Location: http://127.0.0.1:{port}/bucket/there\r\n"),
                    ..answer
                });
            }
            Mood::NoLists if request.method == "GET" && key.is_empty() => {
                return Some(refusal("403 Forbidden", "AccessDenied", "no lists for you"));
            }
            Mood::NoRoots if request.method == "PUT" && key.ends_with("/root") => {
                return Some(refusal("403 Forbidden", "AccessDenied", "no roots from you"));
            }
            Mood::SlowDown => return Some(refusal("503 Slow Down", "SlowDown", "please reduce your request rate")),
            Mood::TooManyRequests => return Some(refusal("429 Too Many Requests", "TooManyRequests", "later")),
            Mood::PortalPage => {
                let body = b"<html>log in, please</html>".to_vec();
                return Some(Answer { status: "200 OK", header: String::new(), tag: Some(1), body });
            }
            _ => {}
        }
        // The other dialect has the account in this place.
        assert!(["bucket", "account"].contains(&bucket.trim_matches('/')), "{bucket}");
        match request.method.as_str() {
            "GET" if key.is_empty() => Some(self.list(&request.query)),
            "GET" => Some(self.read(request, key)),
            "PUT" => self.write(request, key, mood),
            "DELETE" => {
                self.remove(key);
                Some(Answer { status: "204 No Content", header: String::new(), tag: None, body: Vec::new() })
            }
            _ => Some(refusal("405 Method Not Allowed", "MethodNotAllowed", "what?")),
        }
    }

    fn list(&self, query: &str) -> Answer {
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default();
        let prefix = prefix.replace("%2F", "/");
        let mut body = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (key, (version, bytes)) in self.state().objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let len = bytes.len();
            let _ = write!(
                body,
                "<Contents><Key>{key}</Key><Size>{len}</Size><ETag>\"{version}\"</ETag>\
                 <LastModified>2026-11-30T12:00:00.000Z</LastModified></Contents>"
            );
        }
        body.push_str("</ListBucketResult>");
        Answer { status: "200 OK", header: String::new(), tag: None, body: body.into_bytes() }
    }

    fn read(&self, request: &Request, key: &str) -> Answer {
        let state = self.state();
        let Some((version, bytes)) = state.objects.get(key) else {
            return refusal("404 Not Found", "NoSuchKey", "no such object");
        };
        let tag = Some(*version);
        if request.headers.get("if-none-match") == Some(&format!("\"{version}\"")) {
            return Answer { status: "304 Not Modified", header: String::new(), tag, body: Vec::new() };
        }
        let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        match range {
            Some((start, _)) if start.parse::<usize>().unwrap() >= bytes.len() => {
                refusal("416 Requested Range Not Satisfiable", "InvalidRange", "not there")
            }
            Some((start, end)) => {
                let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
                let body = bytes[start..bytes.len().min(end + 1)].to_vec();
                let last = start + body.len() - 1;
                let header = format!("Content-Range: bytes {start}-{last}/{}\r\n", bytes.len());
                Answer { status: "206 Partial Content", header, tag, body }
            }
            None => Answer { status: "200 OK", header: String::new(), tag, body: bytes.clone() },
        }
    }

    fn write(&self, request: &Request, key: &str, mood: Mood) -> Option<Answer> {
        let holds = |state: &State| {
            let version = state.objects.get(key).map(|(version, _)| format!("\"{version}\""));
            let is_new = request.headers.get("if-none-match").is_some_and(|any| any == "*");
            let wanted = request.headers.get("if-match");
            (!is_new || version.is_none()) && (wanted.is_none() || wanted == version.as_ref())
        };
        let mut state = self.state();
        if !holds(&state) {
            return Some(refusal("412 Precondition Failed", "PreconditionFailed", "another version"));
        }
        if mood == Mood::ChecksThenWrites {
            drop(state);
            thread::sleep(Duration::from_millis(20));
            state = self.state();
        }
        state.writes += 1;
        let version = state.writes;
        state.objects.insert(key.to_owned(), (version, request.body.clone()));
        match mood {
            Mood::FailsAfterWriting if version.is_multiple_of(3) => {
                Some(refusal("500 Internal Server Error", "InternalError", "try again"))
            }
            Mood::HangsUpAfterWriting if version.is_multiple_of(3) => None,
            _ => Some(Answer { status: "200 OK", header: String::new(), tag: Some(version), body: Vec::new() }),
        }
    }
}

fn refusal(status: &'static str, code: &str, message: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Answer { status, header: String::new(), tag: None, body: body.into_bytes() }
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let len = headers.get("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body }))
}
