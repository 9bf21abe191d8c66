//! The objects of a repository: whether a reference may point at one.
//!
//! With the feature `objects`, through gix-odb.

use std::collections::{BTreeSet, HashSet};
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_object::commit::ref_iter::Token;
use gix_object::{CommitRefIter, Find, TagRefIter};
use gix_odb::Store;
use reftable::escape::escaped;
use reftable::{ObjectId, Target};

use crate::convert::{from_object_id, to_hash, to_object_id};
use crate::discover::named;
use crate::error::{Error, Result};

/// So many annotated tags in a row are followed.
const MOST_TAGS: usize = 100;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A blob.
    Blob,
    /// An annotated tag.
    Tag,
}

impl ObjectKind {
    fn word(self) -> &'static str {
        match self {
            ObjectKind::Commit => "a commit",
            ObjectKind::Tree => "a tree",
            ObjectKind::Blob => "a blob",
            ObjectKind::Tag => "an annotated tag",
        }
    }
}

/// The objects of a repository and its alternates. Packs that come later are found, too. Objects
/// that a partial clone has left where it came from are not there.
#[derive(Clone)]
pub struct Objects {
    /// The directory of objects first, then those of the environment.
    stores: Vec<Arc<Store>>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let directories = self.stores.iter().map(|store| store.path());
        f.debug_list().entries(directories).finish()
    }
}

impl Objects {
    /// The objects of the repository with this common directory. As for git,
    /// `GIT_OBJECT_DIRECTORY` names another place, and `GIT_ALTERNATE_OBJECT_DIRECTORIES` more of
    /// them: a hook that runs while objects are received sees those in quarantine.
    pub(crate) fn open(common_dir: &Path, hash: reftable::HashKind) -> Result<Objects> {
        let here = Path::new("");
        let first = named("GIT_OBJECT_DIRECTORY", here).unwrap_or_else(|| common_dir.join("objects"));
        let more = env::var_os("GIT_ALTERNATE_OBJECT_DIRECTORIES").unwrap_or_default();
        let more = env::split_paths(&more).filter(|path| path.is_dir());
        let open = |path: PathBuf| {
            let store = Store::at_opts(path.clone(), to_hash(hash), &mut std::iter::empty(), Default::default());
            store.map(Arc::new).map_err(|error| Error::file(&path, error))
        };
        Ok(Objects { stores: std::iter::once(first).chain(more).map(open).collect::<Result<_>>()? })
    }

    /// What the object is; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn kind(&self, id: &ObjectId) -> Result<Option<ObjectKind>> {
        for store in &self.stores {
            let found = gix_odb::Header::try_header(&store.to_handle_arc(), &to_object_id(id));
            if let Some(header) = found.map_err(|error| Error::file(store.path(), error))? {
                return Ok(Some(match header.kind() {
                    gix_object::Kind::Commit => ObjectKind::Commit,
                    gix_object::Kind::Tree => ObjectKind::Tree,
                    gix_object::Kind::Blob => ObjectKind::Blob,
                    gix_object::Kind::Tag => ObjectKind::Tag,
                }));
            }
        }
        // As for git, the tree without entries need not be stored.
        let is_empty_tree = to_object_id(id) == gix_hash::ObjectId::empty_tree(to_hash(id.kind()));
        Ok(is_empty_tree.then_some(ObjectKind::Tree))
    }

    /// The objects whose ids begin with these hexadecimal digits; none if there are fewer than
    /// four, as for git.
    pub(crate) fn abbreviated(&self, digits: &[u8]) -> Result<BTreeSet<ObjectId>> {
        let mut found = BTreeSet::new();
        for store in &self.stores {
            let Some(prefix) = prefix(digits, store.object_hash()) else { continue };
            let mut ids = HashSet::new();
            let looked = store.to_handle_arc().lookup_prefix(prefix, Some(&mut ids));
            looked.map_err(|error| Error::file(store.path(), error))?;
            found.extend(ids.iter().map(|id| from_object_id(id)));
        }
        Ok(found)
    }

    /// The parents of a commit.
    pub(crate) fn parents(&self, commit: &ObjectId) -> Result<Vec<ObjectId>> {
        self.read(commit, |data, hash| {
            let tokens = CommitRefIter::from_bytes(data, hash);
            let mut parents = Vec::new();
            for token in tokens {
                match token.map_err(|error| error.to_string())? {
                    Token::Tree { .. } => {}
                    Token::Parent { id } => parents.push(from_object_id(&id)),
                    _ => break,
                }
            }
            Ok(parents)
        })
    }

    /// The tree of a commit.
    pub(crate) fn tree(&self, commit: &ObjectId) -> Result<ObjectId> {
        self.read(commit, |data, hash| {
            let tree = CommitRefIter::from_bytes(data, hash).tree_id();
            tree.map(|id| from_object_id(&id)).map_err(|error| error.to_string())
        })
    }

    /// What an annotated tag leads to in the end; of another object the id itself.
    ///
    /// # Errors
    /// If one of the tags is not there or cannot be read, or there are too many of them.
    pub fn peel(&self, id: &ObjectId) -> Result<ObjectId> {
        let mut id = *id;
        for _ in 0..MOST_TAGS {
            match self.tagged(&id)? {
                Some(next) => id = next,
                None => return Ok(id),
            }
        }
        Err(Error::invalid(format!("more than {MOST_TAGS} annotated tags lead to {id}")))
    }

    /// What an annotated tag is of; `None` for another object.
    fn tagged(&self, id: &ObjectId) -> Result<Option<ObjectId>> {
        match self.kind(id)? {
            None => Err(Error::invalid(format!("there is no object {id}"))),
            Some(ObjectKind::Tag) => self.read_tag(id).map(Some),
            Some(_) => Ok(None),
        }
    }

    pub(crate) fn read_tag(&self, id: &ObjectId) -> Result<ObjectId> {
        self.read(id, |data, hash| {
            let target = TagRefIter::from_bytes(data, hash).target_id();
            target.map(|id| from_object_id(&id)).map_err(|error| error.to_string())
        })
    }

    /// What `parse` makes of the contents of an object that is there.
    fn read<T>(
        &self,
        id: &ObjectId,
        parse: impl FnOnce(&[u8], gix_hash::Kind) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let mut buffer = Vec::new();
        for store in &self.stores {
            let broken = |error: &dyn std::fmt::Display| Error::file(store.path(), format!("the object {id}: {error}"));
            let handle = store.to_cache_arc();
            let found = handle.try_find(&to_object_id(id), &mut buffer).map_err(|error| broken(&error))?;
            if let Some(found) = found {
                return parse(found.data, to_hash(id.kind())).map_err(|error| broken(&error));
            }
        }
        Err(Error::invalid(format!("there is no object {id}")))
    }

    /// `target` as the reference `name` may have it, with the peeled id of an annotated tag.
    ///
    /// # Errors
    /// If the object is not there, or `name` is a branch and the object is no commit.
    pub(crate) fn checked(&self, name: &[u8], target: &Target) -> Result<Target> {
        let Some(id) = target.id() else { return Ok(target.clone()) };
        let refused = |why: &str| Error::invalid(format!("'{}' cannot point at {id}: {why}", escaped(name)));
        let kind = self.kind(&id)?.ok_or_else(|| refused("there is no such object"))?;
        let is_branch = name == b"HEAD" || name.starts_with(b"refs/heads/");
        match kind {
            ObjectKind::Commit => Ok(Target::Id(id)),
            kind if is_branch => Err(refused(&format!("it is {}, and a branch has commits", kind.word()))),
            ObjectKind::Tag => Ok(Target::Tag { id, peeled: self.peel(&id)? }),
            _ => Ok(Target::Id(id)),
        }
    }
}

/// The beginning of ids of this hash; `None` if it is too short or too long for one. What reads
/// prefixes would take it for one of SHA-1.
fn prefix(digits: &[u8], hash: gix_hash::Kind) -> Option<gix_hash::Prefix> {
    let mut hex = digits.to_vec();
    hex.resize(hash.len_in_hex().max(digits.len()), b'0');
    gix_hash::Prefix::new(&gix_hash::ObjectId::from_hex(&hex).ok()?, digits.len()).ok()
}
