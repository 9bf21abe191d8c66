//! What a branch follows: `branch.NAME.remote`, `branch.NAME.merge` and `remote.NAME.fetch`.

use crate::config::Config;

/// What a branch follows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
#[non_exhaustive]
pub struct Upstream {
    /// The remote's name, or its address; `.` is the repository itself.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::name"))]
    pub remote: Vec<u8>,
    /// The full name of the branch there.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::name"))]
    pub merge: Vec<u8>,
    /// The reference here that says where that branch was when it was fetched; `None` if none is
    /// configured. It need not exist.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde::optional_name"))]
    pub tracking: Option<Vec<u8>>,
}

impl Upstream {
    /// What `branch` follows, a full name; `None` if it is no branch, or follows nothing.
    pub(crate) fn of(branch: &[u8], config: &Config) -> Option<Upstream> {
        let short = branch.strip_prefix(b"refs/heads/")?;
        let last = |name| config.all_of("branch", Some(short), name).pop().flatten().filter(|value| !value.is_empty());
        // With several branches to merge, git takes the first one for this.
        let first = config.all_of("branch", Some(short), "merge").into_iter().flatten().find(|value| !value.is_empty());
        let (remote, merge) = (last("remote")?, first?);
        let tracking = match remote.as_slice() {
            b"." => Some(merge.clone()),
            _ => tracking(&remote, &merge, config),
        };
        Some(Upstream { remote, merge, tracking })
    }
}

/// Where `name` of a remote goes when it is fetched.
fn tracking(remote: &[u8], name: &[u8], config: &Config) -> Option<Vec<u8>> {
    let specs = config.all_of("remote", Some(remote), "fetch");
    // As in git, a `^` that leaves the branch out of what is fetched does not count here.
    specs.into_iter().flatten().filter(|spec| !spec.starts_with(b"^")).find_map(|spec| {
        let spec = spec.strip_prefix(b"+").unwrap_or(&spec);
        let colon = spec.iter().position(|byte| *byte == b':')?;
        let (from, to) = (spec.get(..colon)?, spec.get(colon + 1..)?);
        let star = matched(from, name)?;
        match (to.iter().position(|byte| *byte == b'*'), to) {
            (_, b"") => None,
            (Some(at), _) => Some([to.get(..at)?, star, to.get(at + 1..)?].concat()),
            (None, _) => Some(to.to_vec()),
        }
    })
}

/// What the `*` of a pattern stands for in `name`, nothing if it has none; `None` if it does not
/// match.
fn matched<'a>(pattern: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    match pattern.iter().position(|byte| *byte == b'*') {
        Some(at) => name.strip_prefix(pattern.get(..at)?)?.strip_suffix(pattern.get(at + 1..)?),
        None => (pattern == name).then_some(b""),
    }
}
