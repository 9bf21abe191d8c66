//! One file for each subcommand: its arguments, its help, what it does.

pub(crate) mod change;
pub(crate) mod compact;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod dump;
mod dump_json;
mod dump_text;
pub(crate) mod exists;
pub(crate) mod get;
mod handed_over;
pub(crate) mod head;
pub(crate) mod list;
mod list_by_git;
mod list_format;
pub(crate) mod log;
pub(crate) mod pack_refs;
pub(crate) mod reflog;
pub(crate) mod refs;
pub(crate) mod rename;
pub(crate) mod repair;
pub(crate) mod show_ref;
pub(crate) mod stats;
mod stdin;
pub(crate) mod symbolic_ref;
pub(crate) mod update;
pub(crate) mod update_ref;
pub(crate) mod verify;

use reftable_git::Repository;

use crate::cli::{Cli, Command};
use crate::failure::{Code, Failure};
use crate::output::Out;
use crate::pager::Paging;

/// Does what the arguments say.
pub(crate) fn run(cli: &Cli, out: &mut Out) -> Result<Code, Failure> {
    if let Command::Dump(dump) = &cli.command {
        out.page(Paging::of(cli, None));
        return dump.run(cli.dir.as_deref(), out);
    }
    if let Some(address) = crate::bucket::address(cli.dir.as_deref()) {
        out.page(Paging::of(cli, None));
        return crate::bucket::run(cli, address, out);
    }
    let repo = Repository::find(cli.dir.as_deref())?;
    repo.check_storage()?;
    out.page(Paging::of(cli, Some(&repo)));
    match &cli.command {
        Command::List(list) => list.run(false, &repo, out),
        Command::Get(get) => get.run(&repo, out),
        Command::Head(head) => head.run(&repo, out),
        Command::Rename(rename) => rename.run(&repo, out),
        Command::Log(log) => log.run(&repo, out),
        Command::Exists(exists) => exists.run(&repo),
        Command::Create(create) => create.run(&repo, out),
        Command::Update(update) => update.run(&repo, out),
        Command::Delete(delete) => delete.run(&repo, out),
        Command::SymbolicRef(symbolic_ref) => symbolic_ref.run(&repo, out),
        Command::UpdateRef(update_ref) => update_ref.run(&repo, out),
        Command::ShowRef(show_ref) => show_ref.run(&repo, out),
        Command::Reflog(reflog) => reflog.run(&repo, out),
        Command::PackRefs(pack_refs) | Command::Optimize(pack_refs) => pack_refs.run(&repo),
        Command::Refs(refs) => refs.run(&repo, out),
        Command::Compact(compact) => compact.run(&repo, out),
        Command::Verify(verify) => verify.run(false, &repo, out),
        Command::Dump(dump) => dump.run(cli.dir.as_deref(), out),
        Command::Repair(repair) => repair.run(&repo, out),
        Command::Stats(stats) => stats.run(&repo, out),
        #[cfg(feature = "object-store")]
        Command::Clean(_) | Command::Probe(_) | Command::Export(_) | Command::Import(_) => {
            Err(Failure::usage("this command is for stores in buckets: -C s3://BUCKET/PREFIX or az://CONTAINER/PREFIX"))
        }
    }
}
