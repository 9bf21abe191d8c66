//! What was found, for people and for programs.

use std::fmt::Write;

use reftable_crash::Model;
use reftable_crash::trace::{Claim, Report, Verdict};
use serde_json::{Value, json};

fn name(model: Model) -> &'static str {
    match model {
        Model::Kill => "kill",
        Model::OnlySynced => "synced",
        Model::Ordered => "ordered",
        Model::Journaled => "journaled",
        Model::TornSectors => "torn",
        _ => "?",
    }
}

/// A table of claims by model, and the shortest story of each that is broken.
pub(crate) fn text(report: &Report, has_then: bool) -> String {
    let mut text = format!("{} operations were recorded.\n", report.operations);
    if report.is_without_effect {
        text.push_str("The judge reads the same before and after the command: nothing could be lost.\n");
        text.push_str("Is --dir what the command changes, and does the judge print what it reads?\n");
    }
    let _ = write!(text, "\n{:<9}{:>9}{:>9}", "model", "instants", "states");
    Claim::ALL.iter().for_each(|claim| {
        let _ = write!(text, "{:>14}", claim.to_string());
    });
    text.push('\n');
    for verdict in &report.verdicts {
        let _ = write!(text, "{:<9}{:>9}{:>9}", name(verdict.model), verdict.instants, verdict.states);
        for claim in Claim::ALL {
            let _ = write!(text, "{:>14}", cell(verdict, claim, has_then));
        }
        text.push_str(notes(verdict));
        text.push('\n');
    }
    for verdict in &report.verdicts {
        for (claim, broken) in &verdict.broken {
            let _ = write!(text, "\n{claim} is broken under {}:\n{}", name(verdict.model), broken.story);
        }
    }
    text
}

fn cell(verdict: &Verdict, claim: Claim, has_then: bool) -> String {
    match verdict.broken.get(&claim) {
        Some(broken) => format!("{} broken", broken.states),
        None if claim == Claim::Usable && !has_then => "not asked".to_owned(),
        None => "holds".to_owned(),
    }
}

fn notes(verdict: &Verdict) -> &'static str {
    if verdict.sampled > 0 { "  (some states were drawn)" } else { "" }
}

/// One object.
pub(crate) fn json(report: &Report) -> String {
    let verdicts = report.verdicts.iter().map(|verdict| {
        let broken = verdict.broken.iter().map(|(claim, broken)| {
            json!({
                "claim": claim.to_string(), "states": broken.states, "changes": broken.changes,
                "lost": broken.lost, "finding": broken.finding, "story": broken.story,
            })
        });
        json!({
            "model": name(verdict.model), "instants": verdict.instants, "sampled": verdict.sampled,
            "states": verdict.states, "broken": broken.collect::<Vec<Value>>(),
        })
    });
    let report = json!({
        "type": "trace", "operations": report.operations, "is_without_effect": report.is_without_effect,
        "verdicts": verdicts.collect::<Vec<Value>>(),
    });
    format!("{report}\n")
}
