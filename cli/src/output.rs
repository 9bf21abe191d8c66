//! Standard output, buffered and locked once, and standard error. Neither gets control characters
//! of a store.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

use reftable::{Commit, escape};
use serde_json::Value;

use crate::failure::{Failure, Voice};
use crate::json::Object;
use crate::pager::{Pager, Paging};

/// Standard output, perhaps through a pager.
pub(crate) struct Out {
    stream: BufWriter<Sink>,
    paging: Paging,
    wants_json: bool,
}

/// Where output goes.
enum Sink {
    Stdout(StdoutLock<'static>),
    /// Through this pager, which is started with the first bytes.
    Due(OsString),
    Pager(Pager),
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Sink::Due(command) = self {
            *self = Sink::Pager(Pager::start(command)?);
        }
        match self {
            Sink::Stdout(stream) => stream.write(buf),
            Sink::Pager(pager) => pager.write(buf),
            Sink::Due(_) => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(stream) => stream.flush(),
            Sink::Pager(pager) => pager.flush(),
            Sink::Due(_) => Ok(()),
        }
    }
}

impl Out {
    pub(crate) fn new(wants_json: bool) -> Out {
        let stream = BufWriter::with_capacity(64 * 1024, Sink::Stdout(io::stdout().lock()));
        Out { stream, paging: Paging::default(), wants_json }
    }

    /// Sends what will be written through a pager, if there is to be one.
    pub(crate) fn page(&mut self, paging: Paging) {
        if let Some(command) = paging.command() {
            self.stream = BufWriter::with_capacity(64 * 1024, Sink::Due(command.to_owned()));
        }
        self.paging = paging;
    }

    /// Whether it goes through a pager.
    pub(crate) fn paging(&self) -> &Paging {
        &self.paging
    }

    /// Writes what is left, and waits for the pager.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// Whether data is for programs.
    pub(crate) fn wants_json(&self) -> bool {
        self.wants_json
    }

    /// One JSON value on one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        put_json(&mut self.stream, value)
    }
}

/// One JSON value on one line. What JSON need not escape and a terminal would obey or hide is
/// escaped, too.
fn put_json(stream: &mut impl Write, value: &Value) -> io::Result<()> {
    let text = value.to_string();
    if text.bytes().all(|byte| byte < 0x7f) {
        stream.write_all(text.as_bytes())?;
        return stream.write_all(b"\n");
    }
    for c in text.chars() {
        if escape::is_hidden(c) {
            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(stream, "\\u{unit:04x}"))?;
        } else {
            stream.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
        }
    }
    stream.write_all(b"\n")
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A path, as [`escape::quoted`] shows it.
pub(crate) fn shown_path(path: &Path) -> impl Display + '_ {
    escape::quoted(path.as_os_str().as_encoded_bytes())
}

/// Appends a text of a store as [`escape::quoted_word`] shows it. Nearly all of them are plain, and
/// not formatted.
pub(crate) fn put_quoted(line: &mut Vec<u8>, text: &[u8]) {
    let is_plain = text.iter().all(|byte| (b'!'..0x7f).contains(byte)) && !text.starts_with(b"\"");
    if is_plain {
        line.extend_from_slice(text);
    } else {
        line.extend_from_slice(escape::quoted_word(text).to_string().as_bytes());
    }
}

/// Tells the user something, as git's commands begin to tell it: with `error` or `warning`.
pub(crate) fn complain_as(prefix: &str, message: &str) {
    let message = escape::escaped_message(message);
    let _nobody_listens = writeln!(io::stderr().lock(), "{prefix}: {message}");
}

/// Tells why a command ended early.
pub(crate) fn fail(failure: &Failure, voice: Voice, wants_json: bool) {
    let Some(message) = failure.message() else { return };
    let message = escape::escaped_message(&message).to_string();
    let mut stream = io::stderr().lock();
    // If even that fails nobody is listening.
    let _nobody_listens = match wants_json {
        true => put_json(&mut stream, &failure.object(&message).build()),
        false => writeln!(stream, "{}: {message}", failure.prefix(voice)),
    };
}

/// Tells of something that does not end the command.
pub(crate) fn warn(message: &str, out: &Out) {
    if !out.wants_json() {
        return complain_as("warning", message);
    }
    let warning = Object::of("warning").put("message", escape::escaped_message(message).to_string());
    let _nobody_listens = put_json(&mut io::stderr().lock(), &warning.build());
}

/// Tells what went wrong after changes that are done.
pub(crate) fn tell(commits: &[Commit], out: &Out) {
    for error in commits.iter().filter_map(|commit| commit.compaction.as_ref()?.as_ref().err()) {
        warn(&format!("the change is done, but the compaction after it failed: {error}"), out);
    }
}
