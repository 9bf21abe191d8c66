//! `bucket`: many processes commit to one store in an object store, over a network that loses
//! requests and answers; the history is judged as all others are.

pub(crate) mod args;
mod azure;
mod counting;
mod figures;
pub(crate) mod guard;
pub(crate) mod machine;
mod proxy;
mod servers;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures_lite::future::block_on;
use reftable_bucket::{Bucket, Client, ErrorKind};
use serde_json::json;

use crate::judge::claims::{Claim, Verdict};
use crate::judge::event::{Event, Kind as EventKind, MicroOp, Process, What, parse_all};
use crate::judge::judge;
use crate::run::tell;
use args::{BucketArgs, Kind};
use machine::Tally;
use proxy::Proxy;
use servers::Server;

/// How many threads make and delete many stores.
const THREADS: usize = 32;

/// Where the store is, and how it is reached.
struct Place {
    address: String,
    /// By those who commit.
    environment: Vec<(&'static str, String)>,
    proxy: Option<Proxy>,
    server: Option<Server>,
}

/// Returns whether all went as promised.
pub(crate) fn main(args: &BucketArgs) -> Result<bool> {
    if args.server == Kind::S3sFs && args.address.is_none() {
        return refuse(args);
    }
    let place = Place::open(args)?;
    let (client, prefix) = place.client()?;
    if args.probe || args.address.is_some() {
        block_on(reftable_bucket::probe(&client, &prefix))?;
        tell(&format!("probe      {}: fit for stores", client.name()))?;
        if args.probe {
            return Ok(true);
        }
    }
    let result = match args.figures {
        true => figures::main(args, &client, &prefix).map(|()| true),
        false => run(args, &place),
    };
    // A server that this program has started goes as it is.
    if args.address.is_some() {
        delete_all(&client, &prefix)?;
    }
    result
}

/// Machines commit, and what they were told is judged.
fn run(args: &BucketArgs, place: &Place) -> Result<bool> {
    let dir = tempfile::tempdir().context("cannot make a directory")?;
    let began = Instant::now();
    let tally = machines(args, place, dir.path())?;
    let seconds = began.elapsed().as_secs_f64();
    let verdict = verdict(args, place, dir.path())?;
    report(args, place, tally, seconds, &verdict)
}

/// The server that must be refused.
fn refuse(args: &BucketArgs) -> Result<bool> {
    let place = Place::open(args)?;
    let (client, prefix) = place.client()?;
    let began = Instant::now();
    match block_on(reftable_bucket::probe(&client, &prefix)) {
        Err(error) if error.kind() == ErrorKind::Unfit => {
            tell(&format!("probe      refused after {:.1} s: {error}", began.elapsed().as_secs_f64()))?;
            Ok(true)
        }
        Err(error) => Err(error.into()),
        Ok(()) => {
            tell("probe      NOT refused, although it loses updates")?;
            Ok(false)
        }
    }
}

impl Place {
    fn open(args: &BucketArgs) -> Result<Place> {
        if let Some(address) = &args.address {
            let address = format!("{}/{:08x}", address.trim_end_matches('/'), fastrand::u32(..));
            return Ok(Place { address, environment: Vec::new(), proxy: None, server: None });
        }
        let server = Server::start(args)?;
        let proxy = Proxy::start(server.at, args.lost, args.seed)?;
        let (address, environment) = (server.address(), server.environment(proxy.port));
        Ok(Place { address, environment, proxy: Some(proxy), server: Some(server) })
    }

    /// A client that nothing of is lost, and the prefix of the store.
    fn client(&self) -> Result<(Client, String)> {
        let Some(server) = &self.server else { return Ok(Client::open(&self.address)?) };
        let variables = server.environment(server.at.port());
        let variables = variables.iter().map(|(name, value)| (*name, value.as_str()));
        Ok(Client::open_with(&self.address, variables)?)
    }
}

/// Starts the machines, and waits for them.
fn machines(args: &BucketArgs, place: &Place, dir: &Path) -> Result<Tally> {
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
    let (mut children, mut lifelines) = (Vec::new(), Vec::new());
    for machine in 0..args.machines {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bucket-machine").args(["--address", &place.address]);
        let numbers = [
            ("--machine", machine),
            ("--tasks", args.tasks),
            ("--commits", args.commits),
            ("--wait", args.wait),
            ("--seed", args.seed),
            ("--began", u64::try_from(began)?),
        ];
        for (name, value) in numbers {
            command.arg(name).arg(value.to_string());
        }
        command.arg("--history").arg(dir.join(format!("{machine}.jsonl")));
        command
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a machine")?;
        // It ends with us: see `guard`.
        lifelines.push(child.stdin.take());
        children.push(child);
    }
    let mut all = Tally::default();
    for child in children {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("a machine has failed: {}", output.status);
        }
        all.add(serde_json::from_slice(&output.stdout).context("a machine said nothing")?);
    }
    all.micros.sort_unstable();
    Ok(all)
}

/// All events in the order of their times, and at the end what is there.
fn verdict(args: &BucketArgs, place: &Place, dir: &Path) -> Result<Verdict> {
    let mut events = Vec::new();
    for machine in 0..args.machines {
        let path = dir.join(format!("{machine}.jsonl"));
        events.extend(parse_all(&std::fs::read_to_string(path)?)?);
    }
    // Of two of one moment the invocation is first: then they may have met.
    events.sort_by_key(|event| (event.time, event.kind != EventKind::Invoke));
    let snapshot = machine::store(place.client()?, args.wait)?.snapshot()?;
    let mut found = BTreeMap::new();
    let mut refs = snapshot.refs()?;
    while let Some(reference) = refs.next()? {
        let name = String::from_utf8_lossy(reference.name).into_owned();
        found.insert(name, reference.to_ref().target.id().map(|id| id.to_string()));
    }
    let names: std::collections::BTreeSet<String> =
        events.iter().filter_map(Event::transaction).flatten().map(|op| op.name().to_owned()).collect();
    let last = events.last().map_or(0, |event| event.time);
    for kind in [EventKind::Invoke, EventKind::Ok] {
        let value = |name: &String| if kind == EventKind::Ok { found.get(name).cloned().flatten() } else { None };
        let reads = names.iter().map(|name| MicroOp::Read { name: name.clone(), value: value(name) }).collect();
        events.push(Event {
            time: last,
            kind,
            process: Process::Client(u64::from(u32::MAX)),
            driver: Some("final reader".to_owned()),
            error: None,
            what: What::Transaction(reads),
        });
    }
    let mut verdict = judge(&events)?;
    entries(&events, &snapshot, &mut verdict)?;
    Ok(verdict)
}

/// Each acknowledged change has one entry in the log of its reference, and none has two.
fn entries(events: &[Event], snapshot: &reftable_bucket::Snapshot, verdict: &mut Verdict) -> Result<()> {
    let mut logged: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut logs = snapshot.logs()?;
    while let Some(log) = logs.next()? {
        let key = (String::from_utf8_lossy(log.refname).into_owned(), log.entry.new.to_string());
        *logged.entry(key).or_default() += 1;
    }
    for ((name, new), count) in &logged {
        verdict.looked_at(Claim::Kept, 1);
        if *count > 1 {
            verdict.broken(Claim::Kept, format!("doubled: {name} has {count} log entries of its change to {new}"));
        }
    }
    for event in events.iter().filter(|event| event.kind == EventKind::Ok) {
        for op in event.transaction().unwrap_or_default() {
            let MicroOp::Swap { name, new: Some(new), .. } = op else { continue };
            if !logged.contains_key(&(name.clone(), new.clone())) {
                verdict.broken(Claim::Kept, format!("lost: {name} has no log entry of its change to {new}"));
            }
        }
    }
    Ok(())
}

fn report(args: &BucketArgs, place: &Place, tally: Tally, seconds: f64, verdict: &Verdict) -> Result<bool> {
    let quantile = |thousandth: usize| {
        let at = tally.micros.len().saturating_sub(1) * thousandth / 1000;
        tally.micros.get(at).copied().unwrap_or_default() as f64 / 1000.0
    };
    let (p50, p99, rate) = (quantile(500), quantile(990), tally.done as f64 / seconds);
    tell(&format!(
        "commits    {} in {seconds:.1} s: {rate:.0} a second, p50 {p50:.0} ms, p99 {p99:.0} ms; {} rescued",
        tally.done, tally.rescued
    ))?;
    tell(&format!(
        "told       {} conflicts ({} false), {} indeterminate, {} given up",
        tally.conflicts, tally.false_conflicts, tally.indeterminate, tally.given_up
    ))?;
    let requests = place.proxy.as_ref().map(|proxy| proxy.counts.to_value());
    if let Some(requests) = &requests {
        tell(&format!("requests   {requests}"))?;
    }
    for judged in verdict.claims.iter().filter(|judged| judged.looked_at > 0) {
        let word = if judged.broken == 0 { "held" } else { "BROKEN" };
        tell(&format!("claim      {}: {word} ({} looked at)", judged.claim.words(), judged.looked_at))?;
        for finding in judged.findings.iter().take(5) {
            tell(&format!("           {}", finding.what))?;
        }
    }
    let is_good = verdict.count() == 0 && tally.false_conflicts == 0 && tally.indeterminate == 0;
    if args.json {
        let told = json!({
            "done": tally.done, "seconds": seconds, "rate": rate, "p50_ms": p50, "p99_ms": p99,
            "rescued": tally.rescued, "conflicts": tally.conflicts, "false_conflicts": tally.false_conflicts,
            "indeterminate": tally.indeterminate, "given_up": tally.given_up, "violations": verdict.count(),
            "requests": requests,
        });
        tell(&told.to_string())?;
    }
    Ok(is_good)
}

/// Deletes all below the prefix, many at once.
fn delete_all(client: &Client, prefix: &str) -> Result<()> {
    let keys = block_on(client.list(&format!("{prefix}/")))?;
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let delete = || {
            let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            while let Some(key) = keys.get(index(next.fetch_add(1, Ordering::Relaxed))) {
                block_on(client.delete(key))?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(delete)).collect();
        threads.into_iter().try_for_each(joined)
    })
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| bail!("a thread has died"))
}
