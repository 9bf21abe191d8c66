//! `--html`: one page with a run, to be looked at with a browser. It asks for nothing on any
//! network, and whatever comes from a run is escaped.

mod charts;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::bench::stalls::Stalls;
use crate::judge::claims::{Judged, Verdict};
use crate::judge::event::Event;
use charts::Charts;

/// The page, with places for what a run has.
const PAGE: &str = include_str!("page.html");

/// What the page has places for.
#[derive(Serialize)]
struct Values<'a> {
    title: &'a str,
    rows: Vec<Row>,
    findings: Vec<Shown>,
    stalls: &'a Stalls,
    charts: Charts,
    violations: u64,
    version: &'static str,
}

/// A row of the verdict.
#[derive(Serialize)]
struct Row {
    claim: &'static str,
    said: &'static str,
    looked_at: u64,
    broken: u64,
}

/// Something that was found.
#[derive(Serialize)]
struct Shown {
    claim: &'static str,
    what: String,
    excerpt: Vec<String>,
}

/// Writes the page of a run.
pub(crate) fn write(path: &Path, title: &str, events: &[Event], verdict: &Verdict, stalls: &Stalls) -> Result<()> {
    fs::write(path, page(title, events, verdict, stalls)?).with_context(|| format!("cannot write {}", path.display()))
}

fn page(title: &str, events: &[Event], verdict: &Verdict, stalls: &Stalls) -> Result<String> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_template("page", PAGE)?;
    let rows: Vec<Row> = verdict.claims.iter().map(row).collect();
    let findings = verdict.claims.iter().flat_map(|judged| &judged.findings);
    let findings: Vec<Shown> = findings
        .map(|finding| Shown {
            claim: finding.claim.words(),
            what: finding.what.clone(),
            excerpt: finding.excerpt(events),
        })
        .collect();
    let page = templates.get_template("page")?;
    let values = Values {
        title,
        rows,
        findings,
        stalls,
        charts: Charts::of(events),
        violations: verdict.count(),
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render(Serde(&values))?)
}

fn row(judged: &Judged) -> Row {
    let said = match (judged.broken, judged.looked_at) {
        (0, 0) => "not judged",
        (0, _) => "held",
        _ => "broken",
    };
    Row { claim: judged.claim.words(), said, looked_at: judged.looked_at, broken: judged.broken }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::event::parse_all;
    use crate::judge::judge;

    #[test]
    fn what_a_run_says_is_escaped_and_nothing_is_fetched() {
        let text = r#"
{"time":1000,"type":"invoke","process":1,"driver":"<script>a-0","f":"txn","value":[["cas","refs/</pre>",null,"1"]]}
{"time":3000,"type":"ok","process":1,"driver":"<script>a-0","f":"txn","value":[["cas","refs/</pre>",null,"1"]]}
{"time":4000,"type":"info","process":"nemesis","f":"kill","value":{"driver":"<script>a-0","process":1}}
{"time":5000,"type":"invoke","process":2,"driver":"final \"b\"","f":"txn","value":[["r","refs/</pre>",null]]}
{"time":6000,"type":"ok","process":2,"driver":"final \"b\"","f":"txn","value":[["r","refs/</pre>",null]]}
"#;
        let events = parse_all(text).unwrap();
        let verdict = judge(&events).unwrap();
        let page = page("<b>\"title\"", &events, &verdict, &Stalls::default()).unwrap();
        assert_eq!(verdict.count(), 1);
        assert!(!page.contains("<script>a") && !page.contains("<b>\"title") && !page.contains("refs/</pre>"), "{page}");
        assert!(page.contains("&lt;script&gt;a-0"), "{page}");
        // The name of the format of SVG looks like an address.
        let addresses = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!addresses.contains("http") && !addresses.contains("src=") && !addresses.contains("@import"), "{page}");
    }
}
