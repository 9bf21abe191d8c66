//! What the subcommands do with a store in a bucket.

use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use reftable_bucket::{Blocking, Bucket, Client, ErrorKind, Options, Store};
use reftable_git::View;

use super::keep;
use crate::cli::{Cli, Command};
use crate::failure::{Code, Failure};
use crate::output::Out;

/// How long commands that only read wait for the object store.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address, open.
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) prefix: String,
    /// As it was given.
    pub(super) address: String,
}

impl Place {
    fn open(address: &str) -> Result<Place, Failure> {
        let (client, prefix) = Client::open(address)?;
        if prefix.is_empty() {
            let address = reftable::escape::escaped(address.as_bytes());
            return Err(Failure::usage(format!("'{address}' names no store: put its place after the bucket")));
        }
        Ok(Place { client, prefix, address: address.to_owned() })
    }

    pub(super) fn store(&self, patience: Option<Duration>) -> Result<Blocking<Client>, Failure> {
        self.store_in(Arc::new(self.client.clone()), patience)
    }

    /// The same through another client.
    pub(super) fn store_in<B: Bucket>(
        &self,
        bucket: Arc<B>,
        patience: Option<Duration>,
    ) -> Result<Blocking<B>, Failure> {
        // For ever is longer than any caller waits, and short enough to be added up.
        let patience = patience.unwrap_or(Duration::from_secs(365 * 24 * 3600));
        Ok(Store::new(bucket, &self.prefix, Options::default().timeout(patience))?.blocking())
    }

    fn view(&self) -> Result<View, Failure> {
        Ok(self.store(Some(PATIENCE))?.snapshot()?.into())
    }

    /// The newest state, also where there is no store yet.
    pub(super) fn newest<B: Bucket>(&self, store: &Blocking<B>) -> Result<View, Failure> {
        match store.snapshot() {
            Err(error)
                if error.kind() == ErrorKind::Missing && error.object() == Some(&format!("{}/root", self.prefix)) =>
            {
                Ok(reftable::engine::snapshot(Vec::new(), None)?.into())
            }
            snapshot => Ok(snapshot?.into()),
        }
    }

    /// The address, for a person.
    pub(super) fn shown(&self) -> impl Display + '_ {
        reftable::escape::quoted(self.address.as_bytes())
    }
}

/// Does what the arguments say with the store at `address`.
pub(crate) fn run(cli: &Cli, address: &str, out: &mut Out) -> Result<Code, Failure> {
    let place = Place::open(address)?;
    match &cli.command {
        Command::List(list) => list.run_alone(&place.view()?, out),
        Command::Get(get) => get.print(&place.view()?, out),
        Command::Log(log) => log.print(&place.view()?, out),
        Command::Update(update) => update.run_in_bucket(&place, out),
        Command::Verify(_) => keep::verify(&place, out),
        Command::Stats(_) => keep::stats(&place, out),
        Command::Compact(compact) => keep::compact(compact, &place, out),
        Command::Clean(clean) => clean.run(&place, out),
        Command::Probe(probe) => probe.run(&place, out),
        Command::Export(export) => export.run(&place, out),
        Command::Import(import) => import.run(&place, out),
        _ => Err(Failure::usage(
            "this command is for directories; in a bucket there are list, get, log, update, verify, stats, compact, \
             clean, probe, export and import",
        )),
    }
}

/// Prints a line that says what was done, or nothing in its place.
pub(super) fn say(out: &mut Out, text: &str) -> Result<(), Failure> {
    Ok(writeln!(out, "{text}")?)
}
