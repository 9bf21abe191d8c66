//! How values are written and read with the feature `serde`: ids in hexadecimal, names as text, or
//! as bytes where they are no UTF-8.
//!
//! The modules are for fields of other types: `#[serde(with = "reftable_git::serde::name")]`.

use std::fmt;

use ::serde::de::{Error, SeqAccess, Visitor};
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ids, in hexadecimal.
pub mod id {
    use super::*;
    use reftable::ObjectId;

    /// Writes an id.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    /// Reads an id.
    ///
    /// # Errors
    /// If it is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Names and other bytes.
pub mod name {
    use super::*;

    /// Writes text, or bytes if it is no UTF-8.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(name: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(name) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_bytes(name),
        }
    }

    /// Reads text or bytes.
    ///
    /// # Errors
    /// If it is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_any(Bytes)
    }
}

/// Names that need not be there.
pub mod optional_name {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Name(#[serde(with = "super::name")] Vec<u8>);

    /// Writes as [`super::name`] does, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(name: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        name.clone().map(Name).serialize(serializer)
    }

    /// Reads as [`super::name`] does, or nothing.
    ///
    /// # Errors
    /// If it is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Name>::deserialize(deserializer)?.map(|Name(name)| name))
    }
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.as_bytes().to_vec())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<u8>, A::Error> {
        let mut all = Vec::new();
        while let Some(byte) = bytes.next_element()? {
            all.push(byte);
        }
        Ok(all)
    }
}
