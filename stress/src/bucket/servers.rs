//! Servers that are started for a run, and end with it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::args::{BucketArgs, Kind};
use super::guard::Guarded;

pub(super) const BUCKET: &str = "stress-bucket";

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Azurite's only account. Its key is in its manual, and opens nothing else.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running server.
pub(super) struct Server {
    guarded: Guarded,
    pub(super) at: SocketAddr,
    kind: Kind,
}

impl Server {
    /// Starts it, waits until it answers, and makes a bucket.
    pub(super) fn start(args: &BucketArgs) -> Result<Server> {
        let dir = tempfile::tempdir().context("cannot make a directory")?;
        let (command, port) = command(args, dir.path())?;
        let guarded = Guarded::start(&command, dir.path())?;
        // The guard deletes it, also when nobody of us can.
        let _ = dir.keep();
        let mut server = Server { guarded, at: ([127, 0, 0, 1], port).into(), kind: args.server };
        server.make_bucket()?;
        Ok(server)
    }

    /// What it is called by clients of the server, or of a proxy before it.
    pub(super) fn address(&self) -> String {
        let scheme = if self.kind == Kind::Azurite { "az" } else { "s3" };
        format!("{scheme}://{BUCKET}/stress")
    }

    /// The environment of clients that reach it by this port.
    pub(super) fn environment(&self, port: u16) -> Vec<(&'static str, String)> {
        let endpoint = format!("http://127.0.0.1:{port}");
        match self.kind {
            Kind::Azurite => vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY.to_owned()),
                ("AZURE_ENDPOINT", format!("{endpoint}/{ACCOUNT}")),
            ],
            _ => vec![
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_ACCESS_KEY_ID", "stress".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "stress".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ],
        }
    }

    fn make_bucket(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut last = "no answer".to_owned();
        while Instant::now() < end {
            match self.try_to_make_bucket() {
                Ok(status) if matches!(status.as_str(), "200" | "201" | "204" | "409") => return Ok(()),
                Ok(_) if self.kind == Kind::S3sFs => return Ok(()),
                Ok(status) => last = format!("it answers {status}"),
                Err(error) => last = format!("{error:#}"),
            }
            if self.guarded.has_ended()? {
                bail!("the server has not started");
            }
            thread::sleep(Duration::from_millis(250));
        }
        bail!("the server is not ready after {} s: {last}", PATIENCE.as_secs())
    }

    /// The status of the answer.
    fn try_to_make_bucket(&self) -> Result<String> {
        let (target, headers) = match self.kind {
            Kind::Azurite => super::azure::container_request(ACCOUNT, ACCOUNT_KEY, BUCKET)?,
            _ => (format!("/{BUCKET}"), String::new()),
        };
        let mut stream = TcpStream::connect_timeout(&self.at, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let host = self.at;
        write!(
            stream,
            "PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
    }
}

fn command(args: &BucketArgs, dir: &Path) -> Result<(Command, u16)> {
    let port = free_port()?;
    let text = port.to_string();
    Ok(match args.server {
        Kind::Seaweedfs => {
            // It is beside the Python that it was installed for.
            let weed = args.python.parent().map_or("weed".into(), |dir| dir.join("weed"));
            let mut command = Command::new(weed);
            command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-metricsPort=0"]);
            command.args(["-master.volumeSizeLimitMB=64", "-volume.max=50"]);
            command.arg(format!("-dir={}", dir.display())).arg(format!("-s3.port={port}"));
            // All of its ports, so that two may run at once.
            for service in ["master.port", "volume.port", "filer.port", "s3.port.iceberg", "s3.port.lance"] {
                command.arg(format!("-{service}={}", free_port()?));
            }
            (command, port)
        }
        Kind::Azurite => {
            let mut command = Command::new(&args.azurite);
            command.args(["--silent", "--skipApiVersionCheck", "--inMemoryPersistence", "--blobHost", "127.0.0.1"]);
            command.args(["--disableTelemetry", "--blobPort", &text]);
            (command, port)
        }
        Kind::Moto => {
            let mut command = Command::new(&args.python);
            command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &text]);
            (command, port)
        }
        Kind::S3sFs => {
            let mut command = Command::new(&args.s3s_fs);
            // It takes signed requests only if it knows a key, and then no others, such as the one
            // for a bucket.
            command.args(["--access-key", "stress", "--secret-key", "stress"]);
            command.args(["--host", "127.0.0.1", "--port", &text]).arg(dir);
            std::fs::create_dir(dir.join(BUCKET)).context("cannot make a bucket")?;
            (command, port)
        }
    })
}

/// A port that nobody listens on, nor on the one 10,000 above it: SeaweedFS takes that, too.
fn free_port() -> Result<u16> {
    for _ in 0..100 {
        let port = fastrand::u16(20_000..50_000);
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return Ok(port);
        }
    }
    bail!("no port is free")
}
