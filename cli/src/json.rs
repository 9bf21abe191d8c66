//! What all JSON output has in common.

use std::fmt::Write;

use reftable::{Conflict, ConflictKind, Ref, Target};
use serde_json::{Map, Value};

/// An object under construction; fields keep their order.
#[derive(Default)]
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// An object that says what it is.
    pub(crate) fn of(kind: &str) -> Object {
        Object::default().put("type", kind)
    }

    /// A field.
    pub(crate) fn put(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// A field that is left out when there is no value.
    pub(crate) fn put_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(key, value),
            None => self,
        }
    }

    /// A text field. Bytes that are not UTF-8 are replaced there, and all are given in hexadecimal
    /// beside it.
    pub(crate) fn put_text(self, key: &str, bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.put(key, text),
            Err(_) => self.put(key, String::from_utf8_lossy(bytes)).put(&format!("{key}_hex"), hex(bytes)),
        }
    }

    /// The fields `id`, `peeled` and `symref`, as far as they apply.
    pub(crate) fn put_target(self, target: &Target) -> Self {
        let object = self
            .put_some("id", target.id().map(|id| id.to_string()))
            .put_some("peeled", target.as_view().peeled().map(|id| id.to_string()));
        match target {
            Target::Symbolic(name) => object.put_text("symref", name),
            _ => object,
        }
    }

    pub(crate) fn build(self) -> Value {
        Value::Object(self.0)
    }
}

/// A reference as it is stored.
pub(crate) fn reference(found: &Ref) -> Value {
    Object::of("reference")
        .put_text("name", &found.name)
        .put_target(&found.target)
        .put("update_index", found.update_index)
        .build()
}

/// What stands in the way of a change.
pub(crate) fn conflict(conflict: &Conflict) -> Value {
    let object = Object::of("conflict").put_text("name", &conflict.name);
    match &conflict.kind {
        ConflictKind::Mismatch { expected, actual } => object
            .put("expected", expected.to_string())
            .put_some("actual", actual.as_ref().map(ToString::to_string))
            .build(),
        ConflictKind::Name { other } => object.put_text("other", other).build(),
        other => object.put("problem", format!("{other:?}")).build(),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _strings_do_not_fail = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_utf8_is_given_in_hexadecimal_too() {
        let line = Object::default().put_text("a", b"ok").put_text("b", b"x\xff").build().to_string();
        assert_eq!(line, "{\"a\":\"ok\",\"b\":\"x\u{fffd}\",\"b_hex\":\"78ff\"}");
    }
}
