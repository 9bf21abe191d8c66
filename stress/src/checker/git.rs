//! What git says to the store: it must be content, and see what we see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

use super::state::State;
use super::{Checked, Evidence};
use crate::git::{command, output};
use crate::violations::Violations;

/// Asks git everything.
pub(super) fn check(
    evidence: &Evidence<'_>,
    state: &State,
    violations: &mut Violations,
    checked: &mut Checked,
) -> Result<()> {
    let dir = evidence.repository.layout.work_tree();
    content(&dir, &["fsck", "--no-dangling", "--no-progress"], violations)?;
    // There is such a command since 2.47.
    let help = command(&dir).args(["refs", "verify", "-h"]).output()?;
    if help.stdout.starts_with(b"usage: git refs verify") {
        checked.refs_verify = true;
        content(&dir, &["refs", "verify", "--strict"], violations)?;
    }
    same_refs(&dir, state, violations, checked)?;
    same_logs(&dir, state, violations, checked)
}

/// A command that must succeed and find nothing to complain about.
fn content(dir: &Path, args: &[&str], violations: &mut Violations) -> Result<()> {
    let output = command(dir).args(args).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if !output.status.success() || !said.trim().is_empty() {
        violations.add(format!("git {} is not content: {}", args.join(" "), said.trim()));
    }
    Ok(())
}

fn same_refs(dir: &Path, state: &State, violations: &mut Violations, checked: &mut Checked) -> Result<()> {
    let listed = output(dir, &["for-each-ref", "--format=%(refname) %(objectname) %(symref)"])?;
    let mut git: BTreeMap<String, String> = BTreeMap::new();
    for line in listed.lines() {
        let mut parts = line.split(' ').map(str::to_owned);
        if let (Some(name), Some(id), Some(target)) = (parts.next(), parts.next(), parts.next()) {
            git.insert(name, if target.is_empty() { id } else { format!("ref: {target}") });
        }
    }
    let head = output(dir, &["symbolic-ref", "HEAD"])?;
    git.insert("HEAD".to_owned(), format!("ref: {}", head.trim()));
    let names: BTreeSet<&String> = git.keys().chain(state.refs.keys()).collect();
    for name in names {
        let (theirs, ours) = (git.get(name), state.refs.get(name).map(|(target, _)| target));
        if theirs != ours {
            violations.add(format!("git lists {name} as {theirs:?}, we as {ours:?}"));
        }
        checked.git_refs += 1;
    }
    Ok(())
}

fn same_logs(dir: &Path, state: &State, violations: &mut Violations, checked: &mut Checked) -> Result<()> {
    let listed = output(dir, &["reflog", "list"])?;
    let theirs: BTreeSet<&str> = listed.lines().collect();
    let ours: BTreeSet<&str> = state.logs.keys().map(String::as_str).collect();
    for name in theirs.symmetric_difference(&ours) {
        let who = if ours.contains(name) { "only we list" } else { "only git lists" };
        violations.add(format!("{who} a log of {name}"));
    }
    for (name, log) in &state.logs {
        // git shows the log of a reference that exists.
        if !state.refs.contains_key(name) {
            continue;
        }
        let shown = output(dir, &["reflog", "show", "--format=%H %gs", name, "--"])?;
        let ours: Vec<String> = log.iter().rev().map(|entry| format!("{} {}", entry.new, entry.message)).collect();
        let differs = shown.lines().ne(ours.iter().map(String::as_str));
        if differs {
            let (theirs, ours) = (shown.lines().count(), ours.len());
            violations.add(format!("git shows another log of {name} ({theirs} entries) than we do ({ours})"));
        }
        checked.git_log_entries += ours.len() as u64;
    }
    Ok(())
}
