//! What jj does for each of its commits, in a repository that git uses, too: `HEAD` is detached at
//! the parent, bookmarks become branches unless another process has moved these, and the commit is
//! kept from being collected.
//!
//! `cargo run --example jj --features gix -- COMMIT PARENT BRANCH [WHERE-IT-WAS]`

use std::io::Write;

use gix_ref::transaction::{PreviousValue, RefEdit};
use reftable::{Ident, ObjectId};
use reftable_git::gix::{batch, gix_ref, to_full_name, to_object_id, to_target};
use reftable_git::{Error, Refusal, Repository, Stores, ident};

/// A bookmark that has moved.
pub(crate) struct Bookmark {
    pub(crate) name: String,
    /// Where the branch was when jj looked last; `None` if there was none.
    pub(crate) seen: Option<ObjectId>,
    pub(crate) now: ObjectId,
}

/// Says which bookmarks were not exported: by their place. All others have been, in one step.
pub(crate) fn export(
    stores: &Stores,
    bookmarks: &[Bookmark],
    commit: ObjectId,
    parent: ObjectId,
    committer: Ident,
) -> Result<Vec<Refusal>, Error> {
    // First, and by itself: as in git, who changes the branch of HEAD changes HEAD, too.
    let head = RefEdit::update(to_full_name(b"HEAD")?, to_object_id(&parent), PreviousValue::Any, "export from jj");
    batch([head], Some(committer.clone()))?.commit(stores)?;
    let mut edits = Vec::new();
    for Bookmark { name, seen, now } in bookmarks {
        // It may be gone, but if it is there it is where we have seen it.
        let expected = match seen {
            Some(seen) => PreviousValue::ExistingMustMatch(to_target(&(*seen).into())?),
            None => PreviousValue::MustNotExist,
        };
        let name = to_full_name(format!("refs/heads/{name}").as_bytes())?;
        edits.push(RefEdit::update(name, to_object_id(now), expected, "export from jj"));
    }
    let keep = to_full_name(format!("refs/jj/keep/{commit}").as_bytes())?;
    edits.push(RefEdit::update(keep, to_object_id(&commit), PreviousValue::Any, "keep"));
    let (_, refused) = batch(edits, Some(committer))?.commit_possible(stores)?;
    Ok(refused)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [commit, parent, name, seen @ ..] = args.as_slice() else {
        return Err("COMMIT PARENT BRANCH [WHERE-IT-WAS]".into());
    };
    let (commit, parent) = (commit.parse()?, parent.parse()?);
    let seen = seen.first().map(|seen| seen.parse()).transpose()?;
    let repository = Repository::find(None)?;
    let committer = ident::committer(repository.config()?)?;
    let bookmarks = [Bookmark { name: name.clone(), seen, now: commit }];
    for refusal in export(&repository.open_to_write()?, &bookmarks, commit, parent, committer)? {
        writeln!(std::io::stdout(), "not exported: {}", refusal.text)?;
    }
    Ok(())
}
