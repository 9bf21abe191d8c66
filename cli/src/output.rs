//! Standard output, buffered and locked once, and standard error.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::Value;

/// Standard output.
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Out {
        Out(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }

    /// One JSON value on one line.
    pub(crate) fn json(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, value)?;
        self.0.write_all(b"\n")
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Tells the user about a problem. If even that fails nobody is listening.
pub(crate) fn complain(message: &str) {
    let _nobody_listens = writeln!(io::stderr().lock(), "reftable: {message}");
}
