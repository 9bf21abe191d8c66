//! `reftable dump`

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use reftable::Stack;
use reftable::bytes::{Bytes, Reading};
use reftable::dir::OsDir;
use reftable::escape::command;
use reftable::table::{BlockDump, RecordView, Table};
use reftable_git::{Repository, for_reading};

use super::dump_json::JsonDump;
use super::dump_text::TextDump;
use crate::failure::{Code, Failure, Voice};
use crate::output::{Out, fail};

/// Show tables byte by byte: header, blocks, records, footer
///
/// For a directory, every table in its list, oldest first; tables that cannot be read are skipped,
/// and the exit code is 3. Relative paths count from -C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  reftable dump .git/reftable
  reftable dump .git/reftable/0x000000000001-0x000000000001-5aa1a0b2.ref
  reftable dump --json . | jq 'select(.type == \"block\") | .kind'")]
pub(crate) struct Dump {
    /// A table, a 'reftable' directory, or a repository
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
}

/// One way to show a table.
pub(super) trait Show {
    fn header(&mut self, table: &Table, out: &mut Out) -> io::Result<()>;
    fn block(&mut self, block: &BlockDump<'_>, out: &mut Out) -> io::Result<()>;
    /// A record and its position in its block.
    fn record(&mut self, pos: u64, record: &RecordView<'_>, out: &mut Out) -> io::Result<()>;
    fn footer(&mut self, table: &Table, out: &mut Out) -> io::Result<()>;
}

impl Dump {
    pub(crate) fn run(&self, dir: Option<&Path>, out: &mut Out) -> Result<Code, Failure> {
        let path = dir.unwrap_or(Path::new("")).join(&self.path);
        let mut show: Box<dyn Show> = if out.wants_json() { Box::new(JsonDump::default()) } else { Box::new(TextDump) };
        if !path.is_dir() {
            dump(&open(&path)?, &mut *show, out)?;
            return Ok(Code::Done);
        }
        let mut code = Code::Done;
        let repo = Repository::at(&path)?;
        repo.check_storage()?;
        for store in repo.directories() {
            for table in tables(store, out)? {
                match table.and_then(|table| dump(&table, &mut *show, out)) {
                    Ok(()) => {}
                    Err(failure @ Failure::Output(_)) => return Err(failure),
                    Err(failure) => {
                        fail(&failure, Voice::Own, out.wants_json());
                        code = Code::Broken;
                    }
                }
            }
        }
        Ok(code)
    }
}

/// The tables of a store: as a snapshot has them or, when they make up none, one by one.
fn tables(store: &Path, out: &Out) -> Result<Vec<Result<Arc<Table>, Failure>>, Failure> {
    let error = match Stack::open(store, for_reading(Reading::Copied)).and_then(|stack| stack.snapshot()) {
        Ok(snapshot) => return Ok(snapshot.tables().iter().cloned().map(Ok).collect()),
        Err(error) => error,
    };
    fail(&Failure::broken(format!("{error}; showing what can be read")), Voice::Own, out.wants_json());
    let list = store.join("tables.list");
    let names = read(&list)?;
    let names = String::from_utf8_lossy(&names);
    let mut tables: Vec<_> = names.lines().map(|name| open(&store.join(name)).map(Arc::new)).collect();
    // What is wrong may be how they fit together; the exit code says so in any case.
    let verify = command(store, "verify");
    tables.push(Err(Failure::broken(format!("the store is damaged; {verify} names all that is wrong"))));
    Ok(tables)
}

fn read(path: &Path) -> Result<Bytes, Failure> {
    let bytes = OsDir::open_file(path).and_then(|file| Bytes::of_file(&file, Reading::Copied));
    bytes.map_err(|error| Failure::file(path, error))
}

fn open(path: &Path) -> Result<Table, Failure> {
    Ok(Table::open(path, read(path)?)?)
}

fn dump(table: &Table, show: &mut dyn Show, out: &mut Out) -> Result<(), Failure> {
    show.header(table, out)?;
    let mut blocks = table.blocks();
    while let Some(block) = blocks.next()? {
        show.block(&block, out)?;
        let mut written = Ok(());
        block.records(|pos, record| {
            if written.is_ok() {
                written = show.record(pos, &record, out);
            }
        })?;
        written?;
    }
    Ok(show.footer(table, out)?)
}
