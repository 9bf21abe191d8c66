//! `dump` and `stats` over all kinds of blocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Repo, for_each_hash};
use serde_json::Value;

const REFS: usize = 5000;

/// Enough references and log entries for index and object blocks, in one table.
fn large(repo: &Repo) {
    let ids = [repo.commit("one"), repo.commit("two")];
    let mut input = String::new();
    for (number, id) in ids.iter().cycle().take(REFS).enumerate() {
        input.push_str(&format!("create refs/heads/branch-{number} {id}\n"));
    }
    repo.run_with(["update", "--stdin", "-m", "many"], input.as_bytes()).ok();
    repo.git(["tag", "-a", "-m", "annotated", "v1"]);
    repo.ours(["delete", "refs/heads/branch-7"]);
    repo.ours(["compact", "--all"]);
}

fn kinds(dump: &[Value], kind: &str) -> BTreeSet<String> {
    let of_kind = dump.iter().filter(|object| object["type"] == kind);
    of_kind.filter_map(|object| object["kind"].as_str()).map(str::to_owned).collect()
}

#[test]
fn all_kinds_of_blocks_are_shown() {
    for_each_hash(|repo| {
        large(repo);
        let dump = repo.run(["dump", ".git/reftable", "--json"]).json();
        let all: BTreeSet<String> = ["index", "log", "object", "ref"].map(str::to_owned).into();
        assert_eq!(kinds(&dump, "block"), all);
        assert_eq!(kinds(&dump, "record"), all);
        assert_eq!(dump[0]["type"], "header");
        assert_eq!(dump[0]["hash"], repo.hash);
        let footer = dump.last().unwrap();
        assert_eq!(footer["type"], "footer");
        assert!(footer["ref_index"].as_u64() > Some(0));
        // Blocks lie one after the other.
        let mut end = 0;
        for block in dump.iter().filter(|object| object["type"] == "block") {
            assert_eq!(block["offset"], end);
            end += block["file_length"].as_u64().unwrap();
        }
        assert!(end < dump[0]["file_size"].as_u64().unwrap());

        let text = repo.ours(["dump", "."]);
        for line in ["header: version", "block at 0: ref, ", " is in the blocks at ", ": up to refs/heads/", "footer: "]
        {
            assert!(text.contains(line), "{line}");
        }
    });
}

#[test]
fn one_table_can_be_shown_and_every_record_agrees_with_the_listing() {
    for_each_hash(|repo| {
        large(repo);
        let list = std::fs::read_to_string(repo.store().join("tables.list")).unwrap();
        let file = repo.store().join(list.trim());
        let dump = repo.run(["dump", "--json", file.to_str().unwrap()]);
        let refs: BTreeMap<String, Value> = dump
            .json()
            .into_iter()
            .filter(|object| object["type"] == "record" && object["kind"] == "ref")
            .map(|object| (object["name"].as_str().unwrap().to_owned(), object))
            .collect();
        let listed = repo.run(["list", "--json"]).json();
        assert_eq!(refs.len(), listed.len());
        for object in listed {
            let shown = &refs[object["name"].as_str().unwrap()];
            for field in ["id", "peeled", "symref", "update_index"] {
                assert_eq!(object.get(field), shown.get(field));
            }
        }
    });
}

#[test]
fn stats_count_what_is_there() {
    for_each_hash(|repo| {
        large(repo);
        let stats = repo.run(["stats", "--json"]).json();
        let [table, store] = &stats[..] else { panic!("{stats:?}") };
        // HEAD, main and v1, and one branch is gone.
        assert_eq!(table["refs"], REFS + 3 - 1);
        assert_eq!(table["deleted_refs"], 0);
        for kind in ["ref_blocks", "log_blocks", "obj_blocks", "index_blocks"] {
            assert!(table[kind].as_u64() > Some(0), "{kind}");
        }
        assert_eq!((&store["tables"], &store["compaction_due"]), (&1.into(), &false.into()));
        let journal = store["journal"].as_str().unwrap();
        assert!(["yes", "no", "unknown"].contains(&journal), "{journal}");
        assert_eq!(repo.ours(["stats"]).lines().next().unwrap().contains("no journal"), journal == "no");

        let id = repo.git(["rev-parse", "HEAD"]);
        repo.ours(["delete", "refs/heads/branch-8"]);
        let text = repo.ours(["stats"]);
        assert_eq!(text.lines().count(), 5, "{text}");
        let widths: BTreeSet<usize> = text.lines().skip(1).take(3).map(str::len).collect();
        assert_eq!(widths.len(), 1, "{text}");
        assert!(text.ends_with("no compaction is due: commits merge tables when 16 have piled up"), "{text}");
        let before = repo.run(["stats", "--json"]).json();
        assert_eq!(before[1]["deleted_refs"], 1);

        repo.git_adds_a_table(["update-ref", "refs/heads/x", &id]);
        // Three tables are not many for us; what the repository's configuration says is what
        // counts.
        assert_eq!(repo.run(["stats", "--json"]).json().last().unwrap()["compaction_due"], false);
        repo.git(["config", "reftable.geometricFactor", "2"]);
        let due = repo.run(["stats", "--json"]).json();
        let compacted = repo.run(["compact", "--json"]).json();
        let merged: Vec<&Value> =
            due.iter().filter(|o| o["type"] == "table" && o["compaction_due"] == true).map(|o| &o["table"]).collect();
        assert_eq!(merged.len(), 2);
        assert_eq!(compacted[0]["merged"].as_array().unwrap().iter().collect::<Vec<_>>(), merged);
        let rule = "no compaction is due: commits merge tables until each is 2 times as large as the next";
        assert!(repo.ours(["stats"]).ends_with(rule));
    });
}
