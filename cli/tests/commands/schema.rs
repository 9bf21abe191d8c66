//! `docs/cli.schema.json`, and what is wrong with an object by it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use serde_json::Value;

/// The types that only stores in buckets have.
pub(crate) const OF_BUCKETS: [&str; 4] = ["cleaning", "probe", "import", "export"];

pub(crate) fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/cli.schema.json")).unwrap()
}

/// What is wrong with `object`.
pub(crate) fn problem(schema: &Value, object: &Value) -> Option<String> {
    let Some(kind) = object["type"].as_str() else { return Some("no type".to_owned()) };
    let Some(rules) = schema["$defs"].get(kind) else { return Some(format!("no type '{kind}'")) };
    for field in rules["required"].as_array().unwrap() {
        if object.get(field.as_str().unwrap()).is_none() {
            return Some(format!("{field} is missing"));
        }
    }
    for (field, value) in object.as_object().unwrap() {
        let Some(rule) = rules["properties"].get(field) else {
            if field.ends_with("_hex") {
                continue;
            }
            return Some(format!("'{field}' is not in the schema"));
        };
        let is_right = match rule["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            _ if rule["enum"].is_array() => rule["enum"].as_array().unwrap().contains(value),
            _ => rule["const"] == *value,
        };
        if !is_right {
            return Some(format!("'{field}' is {value}"));
        }
    }
    None
}
