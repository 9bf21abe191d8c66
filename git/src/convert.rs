//! From this crate's values to those of gix, and back.

#![cfg_attr(
    not(feature = "gix"),
    expect(dead_code, unreachable_pub, reason = "the feature gix makes all of it public")
)]

use gix_ref::FullName;
use reftable::escape::escaped;
use reftable::{HashKind, ObjectId, Ref, Target};

use crate::error::{Error, Result};

/// The kind of hash as gix names it.
#[must_use]
pub fn to_hash(hash: HashKind) -> gix_hash::Kind {
    match hash {
        HashKind::Sha256 => gix_hash::Kind::Sha256,
        _ => gix_hash::Kind::Sha1,
    }
}

/// An id as gix has it.
#[must_use]
pub fn to_object_id(id: &ObjectId) -> gix_hash::ObjectId {
    gix_hash::ObjectId::try_from(id.as_bytes()).unwrap_or(to_hash(id.kind()).null())
}

/// An id of gix.
#[must_use]
pub fn from_object_id(id: &gix_hash::oid) -> ObjectId {
    ObjectId::from_bytes(id.as_bytes()).unwrap_or(ObjectId::null(HashKind::Sha1))
}

/// A full name as gix has it.
///
/// # Errors
/// If gix takes it for none.
pub fn to_full_name(name: &[u8]) -> Result<FullName> {
    let full = FullName::try_from(bstr::BStr::new(name));
    full.map_err(|error| Error::invalid(format!("'{}' is not a valid reference name: {error}", escaped(name))))
}

/// What a reference points at, as gix has it, which keeps peeled ids elsewhere.
///
/// # Errors
/// If gix takes the name in it for none.
pub fn to_target(target: &Target) -> Result<gix_ref::Target> {
    match (target, target.id()) {
        (Target::Symbolic(name), _) => Ok(gix_ref::Target::Symbolic(to_full_name(name)?)),
        (_, Some(id)) => Ok(gix_ref::Target::Object(to_object_id(&id))),
        (_, None) => Err(Error::invalid("a target of a kind that gix does not know")),
    }
}

/// What a reference of gix points at.
#[must_use]
pub fn from_target(target: &gix_ref::Target) -> Target {
    match target {
        gix_ref::Target::Symbolic(name) => Target::symbolic(name.as_bstr()),
        gix_ref::Target::Object(id) => Target::Id(from_object_id(id)),
    }
}

/// A reference as gix has it.
///
/// # Errors
/// If gix takes its name for none.
pub fn to_reference(found: &Ref) -> Result<gix_ref::Reference> {
    let peeled = found.target.as_view().peeled().map(|id| to_object_id(&id));
    Ok(gix_ref::Reference { name: to_full_name(&found.name)?, target: to_target(&found.target)?, peeled })
}

/// A reference of gix. It has no update index.
#[must_use]
pub fn from_reference(found: &gix_ref::Reference) -> Ref {
    let target = match (&found.target, &found.peeled) {
        (gix_ref::Target::Object(id), Some(peeled)) if id != peeled => {
            Target::Tag { id: from_object_id(id), peeled: from_object_id(peeled) }
        }
        (target, _) => from_target(target),
    };
    Ref { name: found.name.as_bstr().to_vec(), update_index: 0, target }
}
