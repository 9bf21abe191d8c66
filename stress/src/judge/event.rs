//! Histories that others can read: one JSON object a line (docs/history.schema.json).
//!
//! Lines stand in the order in which things happened: a completion that stands before an invocation
//! came before it. That, and not the clock, is what is judged by.

use std::fmt;

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Numbers from here on are not exact everywhere: JSON readers have them as floating point.
const EXACT: u64 = 1 << 53;

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something is begun.
    Invoke,
    /// It was done.
    Ok,
    /// It was not done, and never will be.
    Fail,
    /// Nobody knows; or something that no client did.
    Info,
}

/// Whose line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Process {
    /// A client: does one thing after the other.
    Client(u64),
    /// What kills and stops clients.
    Nemesis,
}

/// One thing that a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MicroOp {
    /// Reads a reference: its value, or `None` where it is absent.
    Read { name: String, value: Option<String> },
    /// Takes a reference from one value to another; `None` is absent.
    Swap { name: String, old: Option<String>, new: Option<String> },
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Nanoseconds since the run began; nothing is judged by it.
    pub(crate) time: u64,
    /// See [`Kind`].
    pub(crate) kind: Kind,
    /// See [`Process`].
    pub(crate) process: Process,
    /// The driver of the process, as people call it.
    pub(crate) driver: Option<String>,
    /// Why it failed, or why nobody knows.
    pub(crate) error: Option<String>,
    /// What is done.
    pub(crate) what: What,
}

/// The content of a line.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// `"f": "txn"`.
    Transaction(Vec<MicroOp>),
    /// Any other `f`, with what it says: of the nemesis.
    Other { f: String, value: Value },
}

impl Kind {
    /// As lines have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
            Kind::Info => "info",
        }
    }

    fn parse(name: &str) -> Result<Kind> {
        let all = [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info];
        all.into_iter()
            .find(|kind| kind.name() == name)
            .with_context(|| format!("\"type\" is {name:?}; it is to be \"invoke\", \"ok\", \"fail\" or \"info\""))
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => write!(f, "{number}"),
            Process::Nemesis => f.write_str("nemesis"),
        }
    }
}

impl MicroOp {
    /// The reference.
    pub(crate) fn name(&self) -> &str {
        match self {
            MicroOp::Read { name, .. } | MicroOp::Swap { name, .. } => name,
        }
    }

    fn to_value(&self) -> Value {
        match self {
            MicroOp::Read { name, value } => json!(["r", name, value]),
            MicroOp::Swap { name, old, new } => json!(["cas", name, old, new]),
        }
    }

    fn parse(value: &Value) -> Result<MicroOp> {
        let parts = value.as_array().context("an item of \"value\" is no array")?;
        let text = |at: usize| parts.get(at).and_then(Value::as_str).map(str::to_owned);
        let optional = |at: usize| match parts.get(at) {
            Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => bail!("{value} has an empty value; what is absent is null"),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            // Others are not read exactly: two of them may seem to be one.
            Some(Value::Number(number)) if number.as_i64().is_some_and(|number| number.unsigned_abs() < EXACT) => {
                Ok(Some(number.to_string()))
            }
            Some(Value::Number(number)) => bail!("{number} is no whole number below 2^53: write it as text"),
            _ => Err(anyhow!("{value} is neither [\"r\", name, value] nor [\"cas\", name, old, new]")),
        };
        match (text(0).as_deref(), text(1), parts.len()) {
            (Some("r"), Some(name), 3) => Ok(MicroOp::Read { name, value: optional(2)? }),
            (Some("cas"), Some(name), 4) => Ok(MicroOp::Swap { name, old: optional(2)?, new: optional(3)? }),
            _ => bail!("{value} is neither [\"r\", name, value] nor [\"cas\", name, old, new]"),
        }
    }
}

/// The fields in the order in which they are written.
#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    time: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    process: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'a str>,
    f: &'a str,
    value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Event {
    /// What it does, if it is of a transaction.
    pub(crate) fn transaction(&self) -> Option<&[MicroOp]> {
        match &self.what {
            What::Transaction(micro_ops) => Some(micro_ops),
            What::Other { .. } => None,
        }
    }

    /// As a line, without its newline.
    pub(crate) fn to_line(&self, index: u64) -> Result<String> {
        let (f, value) = match &self.what {
            What::Transaction(micro_ops) => ("txn", micro_ops.iter().map(MicroOp::to_value).collect()),
            What::Other { f, value } => (f.as_str(), value.clone()),
        };
        let process = match self.process {
            Process::Client(number) => json!(number),
            Process::Nemesis => json!("nemesis"),
        };
        let (driver, error) = (self.driver.as_deref(), self.error.as_deref());
        let line = Line { index, time: self.time, kind: self.kind.name(), process, driver, f, value, error };
        Ok(serde_json::to_string(&line)?)
    }

    /// From a line.
    ///
    /// # Errors
    /// When it is not as the schema has it; says what is wrong.
    pub(crate) fn parse(line: &str) -> Result<Event> {
        let fields: Map<String, Value> = serde_json::from_str(line).context("it is no JSON object")?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let number = |name: &str| match fields.get(name) {
            None => Ok(0),
            Some(value) => value
                .as_u64()
                .filter(|number| *number < EXACT)
                .with_context(|| format!("{name:?} is {value}; it is to be a whole number below 2^53")),
        };
        number("index")?;
        let kind = Kind::parse(&text("type").context("there is no \"type\"")?)?;
        let process = match fields.get("process") {
            Some(Value::Number(_)) => Process::Client(number("process")?),
            Some(Value::String(name)) if name == "nemesis" => Process::Nemesis,
            _ => bail!("\"process\" is to be a number, or \"nemesis\""),
        };
        let f = text("f").context("there is no \"f\"")?;
        let value = fields.get("value").cloned().unwrap_or(Value::Null);
        let what = match (process, f.as_str()) {
            (Process::Client(_), "txn") => {
                let items = value.as_array().context("\"value\" is no array of micro-operations")?;
                What::Transaction(items.iter().map(MicroOp::parse).collect::<Result<_>>()?)
            }
            (Process::Client(_), _) => bail!("\"f\" is {f:?}; of a client only \"txn\" is known"),
            (Process::Nemesis, _) => What::Other { f, value },
        };
        Ok(Event { time: number("time")?, kind, process, driver: text("driver"), error: text("error"), what })
    }
}

/// All events of a file. A last line without a newline was cut off with its writer.
///
/// # Errors
/// Names the line that is not as the schema has it.
pub(crate) fn parse_all(contents: &str) -> Result<Vec<Event>> {
    let whole = contents.rfind('\n').map_or(0, |last| last + 1);
    let lines = contents.get(..whole).unwrap_or_default().lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| Event::parse(line).with_context(|| format!("line {}", number + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let lines = [
            r#"{"index":0,"time":5,"type":"invoke","process":3,"driver":"git-0","f":"txn","value":[["r","a",null],["cas","b",null,"2"]]}"#,
            r#"{"index":1,"time":6,"type":"fail","process":3,"f":"txn","value":[["cas","b","1",null]],"error":"conflict"}"#,
            r#"{"index":2,"time":7,"type":"info","process":"nemesis","f":"kill","value":{"process":3}}"#,
        ];
        for (index, line) in (0..).zip(lines) {
            assert_eq!(Event::parse(line).unwrap().to_line(index).unwrap(), line);
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let said = |line: &str| format!("{:#}", parse_all(&format!("\n{line}\n")).unwrap_err());
        assert!(said("{").starts_with("line 2: it is no JSON object"), "{}", said("{"));
        assert!(said(r#"{"type":"done"}"#).contains("\"type\" is \"done\""));
        assert!(said(r#"{"type":"ok","process":9007199254740992,"f":"txn"}"#).contains("below 2^53"));
        assert!(said(r#"{"type":"ok","process":1,"f":"read"}"#).contains("only \"txn\""));
        assert!(said(r#"{"type":"ok","process":1,"f":"txn","value":[["w","a",1]]}"#).contains("neither"));
        assert!(said(r#"{"type":"ok","process":"bob","f":"txn","value":[]}"#).contains("or \"nemesis\""));
        assert!(said(r#"{"type":"ok","process":1,"f":"txn","value":[["r","a",""]]}"#).contains("absent is null"));
        for number in ["99999999999999999999", "9007199254740992", "1.5"] {
            let line = format!(r#"{{"type":"ok","process":1,"f":"txn","value":[["r","a",{number}]]}}"#);
            assert!(said(&line).contains("below 2^53"), "{}", said(&line));
        }
        assert!(parse_all("{\"type\":\"inv").unwrap().is_empty(), "cut off");
    }
}
