//! `verify` tells every rule that a store breaks: which file, where in it, and which rule. Each
//! table here is put together by hand to break exactly one, or several.

use crate::support::forge::{Forge, Row, entry, object, reference, tag};
use crate::support::hostile::{id, mend_checksum};
use crate::support::mem_dir::MemDir;
use reftable::table::{LogRecordView, RefRecordView};
use reftable::table::{RecordView, Table, TableWriter, WriteOptions};
use reftable::verify::{Finding, Report, Severity, verify_dir};
use reftable::{HashKind, TargetView};

const SIZE: usize = 256;
/// The length of abbreviated ids, as the footer has it beside the offset of the objects.
const ID_LEN: u64 = 2;

/// What a table of three reference blocks says. [`Draft::sound`] breaks no rule.
struct Draft {
    refs: [Vec<Row>; 3],
    /// From the offsets of the reference blocks.
    index: fn([u64; 3]) -> Vec<Row>,
    /// A second index block, after the objects.
    stray: bool,
    objects: fn([u64; 3]) -> Vec<Row>,
    /// The footer's fields, and a chance to change them.
    footer: fn(&mut [u64; 5]),
}

/// Where the blocks of the draft lie.
const FIRST: u64 = 0;
const SECOND: u64 = 256;
const THIRD: u64 = 512;
const INDEX: u64 = 768;
const OBJECTS: u64 = 1024;

impl Draft {
    fn sound() -> Draft {
        Draft {
            refs: [
                vec![reference("a", 0, 1), reference("b", 1, 2)],
                vec![reference("c", 2, 1), tag("d", 3, 4)],
                vec![reference("e", 0, 2), reference("f", 0, 1)],
            ],
            index: |at| vec![entry(b"b", at[0]), entry(b"d", at[1]), entry(b"f", at[2])],
            stray: false,
            objects: |at| vec![object(1, &at), object(2, &[at[0], at[2]]), object(3, &[at[1]]), object(4, &[at[1]])],
            footer: |_| (),
        }
    }

    fn build(self) -> Vec<u8> {
        let mut table = Forge::new(SIZE, 5, 9);
        let at = self.refs.map(|rows| table.block(b'r', &rows, true));
        assert_eq!(at, [FIRST, SECOND, THIRD]);
        assert_eq!(table.block(b'i', &(self.index)(at), true), INDEX);
        assert_eq!(table.block(b'o', &(self.objects)(at), self.stray), OBJECTS);
        if self.stray {
            table.block(b'i', &[entry(b"f", THIRD)], false);
        }
        let mut footer = [INDEX, OBJECTS << 5 | ID_LEN, 0, 0, 0];
        (self.footer)(&mut footer);
        table.finish(footer)
    }
}

/// Without the notes: the tables have no names that git would give them.
fn verify(tables: &[Vec<u8>]) -> Report {
    above_notes(&MemDir::of_tables(tables))
}

fn above_notes(dir: &MemDir) -> Report {
    let mut report = verify_dir(dir).unwrap();
    report.findings.retain(|finding| finding.severity > Severity::Note);
    report
}

/// Whether one of the findings is of this file and place and says this.
fn has(findings: &[Finding], file: &str, offset: Option<u64>, rule: &str) -> bool {
    findings.iter().any(|found| found.file == file && found.offset == offset && found.message.contains(rule))
}

/// The table breaks these rules and no others, at these places.
fn breaks_all(table: Vec<u8>, rules: &[(Option<u64>, &str)]) {
    let report = verify(&[table]);
    for (offset, rule) in rules {
        assert!(has(&report.findings, "0.ref", *offset, rule), "{rule} at {offset:?}: {:#?}", report.findings);
    }
    assert_eq!(report.findings.len(), rules.len(), "{:#?}", report.findings);
    assert_eq!(report.worst(), Some(Severity::Error));
    assert_eq!(report.tables, ["0.ref"]);
    for finding in &report.findings {
        let shown = finding.to_string();
        assert!(shown.starts_with("0.ref: ") && shown.ends_with(&finding.message), "{shown}");
    }
}

fn breaks(table: Vec<u8>, offset: u64, rule: &str) {
    breaks_all(table, &[(Some(offset), rule)]);
}

#[test]
fn a_sound_table_has_no_findings() {
    let report = verify(&[Draft::sound().build()]);
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!((report.blocks, report.refs, report.logs), (5, 6, 0));
}

#[test]
fn an_index_entry_with_a_wrong_last_key() {
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"dd", at[1]), entry(b"f", at[2])];
    breaks(Draft { index, ..Draft::sound() }.build(), INDEX, "the block at 256 ends with 'dd', it does not");
    let index = |at: [u64; 3]| vec![entry(b"a", at[0]), entry(b"d", at[1]), entry(b"f", at[2])];
    breaks(Draft { index, ..Draft::sound() }.build(), INDEX, "the block at 0 ends with 'a', it does not");
}

#[test]
fn blocks_that_the_index_leaves_out() {
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"f", at[2])];
    breaks(Draft { index, ..Draft::sound() }.build(), SECOND, "a ref block that its index does not lead to");
    let index = |at: [u64; 3]| vec![entry(b"d", at[1])];
    let rule = "a ref block that its index does not lead to";
    breaks_all(Draft { index, ..Draft::sound() }.build(), &[(Some(FIRST), rule), (Some(THIRD), rule)]);
}

#[test]
fn an_index_that_leads_elsewhere() {
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"d", at[1]), entry(b"f", at[2]), entry(b"g", OBJECTS)];
    breaks(Draft { index, ..Draft::sound() }.build(), INDEX, "leads to 1024, where no ref block is");
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"d", at[1]), entry(b"f", at[2]), entry(b"g", 300)];
    breaks(Draft { index, ..Draft::sound() }.build(), INDEX, "leads to 300, where no ref block is");
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"d", at[1]), entry(b"f", at[2]), entry(b"g", INDEX)];
    let findings = verify(&[Draft { index, ..Draft::sound() }.build()]).findings;
    assert!(has(&findings, "0.ref", Some(INDEX), "an index block that is reached twice"), "{findings:#?}");
}

#[test]
fn an_index_that_has_a_block_twice() {
    // Two roots side by side lead to the same block.
    let mut table = Forge::new(SIZE, 5, 9);
    let first = table.block(b'r', &[reference("a", 0, 1)], true);
    let root = table.block(b'i', &[entry(b"a", first)], true);
    let sibling = table.block(b'i', &[entry(b"a", first)], false);
    breaks(table.finish([root, 0, 0, 0, 0]), sibling.min(root), "the block at 0 is indexed twice");
}

/// The format allows it; JGit reads such an index only with one block at the top.
#[test]
fn a_topmost_level_of_several_blocks_is_noted() {
    let mut table = Forge::new(SIZE, 5, 9);
    let first = table.block(b'r', &[reference("a", 0, 1)], true);
    let second = table.block(b'r', &[reference("b", 0, 1)], true);
    let root = table.block(b'i', &[entry(b"a", first)], true);
    table.block(b'i', &[entry(b"b", second)], false);
    let rule = "JGit reads a ref index only if its topmost level is one block; here it has 2";
    let noted = |table: Vec<u8>| {
        let report = verify_dir(&MemDir::of_tables(&[table])).unwrap();
        assert!(report.is_clean(), "{:#?}", report.findings);
        has(&report.findings, "0.ref", Some(root), rule)
    };
    assert!(noted(table.finish([root, 0, 0, 0, 0])));
    assert!(!noted(Draft::sound().build()), "one block is what JGit wants");
}

#[test]
fn an_index_block_that_nothing_leads_to() {
    let table = Draft { stray: true, ..Draft::sound() }.build();
    let findings = verify(&[table]).findings;
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!(finding.file, "0.ref");
    assert!(finding.message.contains("nothing leads to"), "{finding}");
    assert_eq!(finding.offset, Some(OBJECTS + SIZE as u64), "where it is");
}

#[test]
fn an_index_that_the_footer_does_not_know() {
    let table = Draft { footer: |footer| footer[0] = 0, ..Draft::sound() }.build();
    let findings = verify(&[table]).findings;
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert!(finding.message.contains("nothing leads to"), "{finding}");
}

#[test]
fn object_records_that_are_wrong() {
    let rule = "does not list the blocks that have it";
    let wrong_block =
        |at: [u64; 3]| vec![object(1, &at), object(2, &[at[1], at[2]]), object(3, &[at[1]]), object(4, &[at[1]])];
    breaks(Draft { objects: wrong_block, ..Draft::sound() }.build(), OBJECTS, &format!("0202 {rule}"));
    let block_too_many = |at: [u64; 3]| vec![object(1, &at), object(2, &at), object(3, &[at[1]]), object(4, &[at[1]])];
    breaks(Draft { objects: block_too_many, ..Draft::sound() }.build(), OBJECTS, &format!("0202 {rule}"));
    let missing_block =
        |at: [u64; 3]| vec![object(1, &at), object(2, &[at[2]]), object(3, &[at[1]]), object(4, &[at[1]])];
    breaks(Draft { objects: missing_block, ..Draft::sound() }.build(), OBJECTS, &format!("0202 {rule}"));
    let unknown_id = |at: [u64; 3]| {
        vec![object(1, &at), object(2, &[at[0], at[2]]), object(3, &[at[1]]), object(4, &[at[1]]), object(5, &[at[1]])]
    };
    breaks(Draft { objects: unknown_id, ..Draft::sound() }.build(), OBJECTS, &format!("0505 {rule}"));
    let unknown_everywhere = |at: [u64; 3]| {
        let overflown: Row = (vec![5; 2], 0, vec![0]);
        vec![object(1, &at), object(2, &[at[0], at[2]]), object(3, &[at[1]]), object(4, &[at[1]]), overflown]
    };
    breaks(Draft { objects: unknown_everywhere, ..Draft::sound() }.build(), OBJECTS, &format!("0505 {rule}"));
}

#[test]
fn ids_without_an_object_record() {
    let no_peeled = |at: [u64; 3]| vec![object(1, &at), object(2, &[at[0], at[2]]), object(3, &[at[1]])];
    breaks(Draft { objects: no_peeled, ..Draft::sound() }.build(), OBJECTS, "no object record for 0404");
    let one_only = |at: [u64; 3]| vec![object(1, &at)];
    let rules = ["0202", "0303", "0404"].map(|id| format!("no object record for {id}"));
    let rules: Vec<_> = rules.iter().map(|rule| (Some(OBJECTS), rule.as_str())).collect();
    breaks_all(Draft { objects: one_only, ..Draft::sound() }.build(), &rules);
}

#[test]
fn records_out_of_order() {
    let rule = |key: &str| format!("the record '{key}' is not above the one before it");
    let mut draft = Draft::sound();
    draft.refs[1].insert(0, reference("cc", 0, 1));
    breaks(draft.build(), SECOND, &rule("c"));
    let mut draft = Draft::sound();
    draft.refs[1].insert(0, reference("c", 0, 1));
    breaks(draft.build(), SECOND, &rule("c"));
    // Across the border of two blocks.
    let mut draft = Draft::sound();
    draft.refs[2].insert(0, reference("d", 0, 1));
    breaks(draft.build(), THIRD, &rule("d"));
    let objects =
        |at: [u64; 3]| vec![object(1, &at), object(3, &[at[1]]), object(2, &[at[0], at[2]]), object(4, &[at[1]])];
    breaks(Draft { objects, ..Draft::sound() }.build(), OBJECTS, "is not above the one before it");
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"f", at[2]), entry(b"d", at[1])];
    breaks(Draft { index, ..Draft::sound() }.build(), INDEX, &rule("d"));
}

#[test]
fn update_indexes_outside_of_the_header() {
    let mut draft = Draft::sound();
    draft.refs[2][0] = reference("e", 4, 2);
    assert!(verify(&[draft.build()]).is_clean(), "9 is the last that the header allows");
    let mut draft = Draft::sound();
    draft.refs[2][0] = reference("e", 5, 2);
    breaks(draft.build(), THIRD, "update index 10 lies outside of the header's range");
}

#[test]
fn padding_that_is_not_zero() {
    let mut table = Draft::sound().build();
    // The byte directly after a block tells whether there is padding at all; this is a later one.
    table[THIRD as usize - 1] = 1;
    breaks(table, SECOND, "the padding after a block is not zero");
}

#[test]
fn a_restart_in_the_middle_of_a_record() {
    let mut table = Draft::sound().build();
    let stated = &table[SECOND as usize + 1..SECOND as usize + 4];
    let len = usize::from(stated[1]) << 8 | usize::from(stated[2]);
    // The second of two restarts: two bytes of count, three of its own.
    let at = SECOND as usize + len - 3;
    assert_eq!(table[at], 28, "the second record, after 24 bytes of the first");
    // After the key of the first record: the zero of its update index could be that of a key.
    table[at] = 4 + 2;
    let findings = verify(&[table.clone()]).findings;
    assert!(findings.iter().any(|found| found.offset.is_some_and(|at| at > SECOND && at < THIRD)), "{findings:#?}");
    // A byte that reads as "nothing shared" within the id.
    let mut draft = Draft::sound();
    draft.refs[1][0] = reference("c", 2, 0);
    let mut table = draft.build();
    table[at] = 10;
    let findings = verify(&[table]).findings;
    let rule = "a restart points into the middle of a record";
    assert!(has(&findings, "0.ref", Some(SECOND + 10), rule), "{findings:#?}");
}

#[test]
fn footers_that_lead_astray() {
    // Two sections of a real table, with every one of its five offsets off by some bytes or
    // missing.
    let mut writer =
        TableWriter::new(Vec::new(), HashKind::Sha1, 1..=1, &WriteOptions::default().block_size(256)).unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("refs/heads/{number:02}-{}", "n".repeat(20))).collect();
    for (number, name) in names.iter().enumerate() {
        let id = id(HashKind::Sha1, number as u8 * 5 + 1);
        let target = Some(TargetView::Id(id.as_view()));
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index: 1, target }).unwrap();
    }
    for name in &names {
        for update_index in (0..9).rev() {
            writer.add_log(&LogRecordView { refname: name.as_bytes(), update_index, entry: None }).unwrap();
        }
    }
    let (sound, _) = writer.finish().unwrap();
    assert!(verify(std::slice::from_ref(&sound)).is_clean());
    let table = Table::open("0.ref", sound.clone()).unwrap();
    let (footer, end) = (*table.footer(), sound.len() as u64 - 68);
    assert!([footer.ref_index, footer.obj, footer.log, footer.log_index].iter().all(|offset| *offset > 0));
    let with = |field: usize, value: u64| {
        let mut table = sound.clone();
        let at = end as usize + 24 + 8 * field;
        table[at..at + 8].copy_from_slice(&value.to_be_bytes());
        mend_checksum(&mut table);
        verify(&[table]).findings
    };
    let lens = u64::from(footer.obj_id_len);
    let says = |findings: Vec<Finding>, offset: u64, rule: &str| {
        assert!(has(&findings, "0.ref", Some(offset), rule), "{rule}: {findings:#?}");
    };
    says(with(0, 256), 256, "the footer's index offset does not lead to an index block");
    says(with(0, footer.ref_index + 1), footer.ref_index + 1, "does not lead to an index block");
    says(with(1, 256 << 5 | lens), end, "the footer has the object section at 256, it is at");
    says(with(1, 0), end, "the footer has the object section at 0, it is at");
    says(with(2, footer.obj), footer.obj, "the footer's index offset does not lead to an index block");
    says(with(3, footer.obj), end, "the footer has the log section at");
    says(with(3, 0), end, "the footer has the log section at 0, it is at");
    says(with(4, footer.log), footer.log, "the footer's index offset does not lead to an index block");
    for field in [0, 4] {
        assert!(with(field, 0).iter().any(|found| found.message.contains("an index block that nothing leads to")));
    }
    // Abbreviated ids of another length than those of the records.
    assert!(!with(1, footer.obj << 5 | (lens + 1)).is_empty());
    // One section's index for another's.
    assert!(!with(0, footer.log_index).is_empty());
    assert!(!with(4, footer.ref_index).is_empty());
}

fn small(min: u64, max: u64) -> Vec<u8> {
    let mut table = Forge::new(SIZE, min, max);
    table.block(b'r', &[reference("refs/a", 0, 1)], false);
    table.finish([0; 5])
}

/// A directory of tables by name.
fn dir_of(tables: &[(&str, Vec<u8>)]) -> MemDir {
    let mut files = MemDir::default();
    let mut list = String::new();
    for (name, table) in tables {
        list += &format!("{name}\n");
        files.0.insert((*name).to_owned(), table.clone());
    }
    files.0.insert("tables.list".to_owned(), list.into_bytes());
    files
}

#[test]
fn a_name_that_contradicts_the_header() {
    let right = "0x000000000005-0x000000000009-00000000.ref";
    assert!(verify_dir(&dir_of(&[(right, small(5, 9))])).unwrap().is_clean());
    for (min, max) in [(4, 9), (5, 8), (6, 10)] {
        let findings = verify_dir(&dir_of(&[(right, small(min, max))])).unwrap().findings;
        let rule = format!("the name states update indexes 5 to 9, the header {min} to {max}");
        assert!(has(&findings, right, Some(8), &rule) && findings.len() == 1, "{findings:#?}");
        assert_eq!(findings[0].severity, Severity::Note);
    }
}

#[test]
fn a_name_that_git_would_not_give_is_a_note() {
    let report = verify_dir(&dir_of(&[("1.ref", small(5, 9))])).unwrap();
    assert!(has(&report.findings, "1.ref", None, "is not of the form that git gives"), "{report:#?}");
    assert_eq!((report.findings.len(), report.worst(), report.is_clean()), (1, Some(Severity::Note), true));
    assert_eq!((report.count(Severity::Note), report.count(Severity::Error)), (1, 0));
}

/// A copy that took the place of another table: what that one held is gone, and all readers read
/// on.
#[test]
fn a_table_that_is_a_copy_of_another() {
    let (first, second) = ("0x000000000005-0x000000000009-00000000.ref", "0x00000000000a-0x00000000000a-00000000.ref");
    let findings = verify_dir(&dir_of(&[(first, small(5, 9)), (second, small(5, 9))])).unwrap().findings;
    let copy = format!("has the same bytes as {first}: what belongs into this file may be lost");
    assert!(has(&findings, second, None, &copy), "{findings:#?}");
    let worst: Vec<&Finding> = findings.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(worst.len() == 1 && worst[0].message == copy, "{worst:#?}");
    // A table of the same length that says something else is none.
    let findings = verify_dir(&dir_of(&[(first, small(5, 9)), (second, small(10, 10))])).unwrap().findings;
    assert_eq!(findings, []);
}

#[test]
fn neighbours_that_overlap() {
    for (below, above) in [((1, 5), (5, 9)), ((1, 5), (1, 5)), ((6, 9), (1, 5))] {
        let mut findings = verify(&[small(below.0, below.1), small(above.0, above.1)]).findings;
        // Tables of the same update indexes are the same here.
        findings.retain(|found| !found.message.contains("has the same bytes"));
        let rule = format!("begins with update index {}, but 0.ref below it ends with {}", above.0, below.1);
        assert!(has(&findings, "1.ref", Some(8), &rule) && findings.len() == 1, "{findings:#?}");
        assert_eq!(findings[0].severity, Severity::Warning);
    }
    assert!(verify(&[small(1, 5), small(6, 9), small(100, 100)]).is_clean());
}

#[test]
fn a_table_of_a_foreign_hash() {
    let writer = TableWriter::new(Vec::new(), HashKind::Sha256, 10..=10, &WriteOptions::default()).unwrap();
    let findings = verify(&[small(1, 5), writer.finish().unwrap().0, small(11, 12)]).findings;
    assert!(has(&findings, "1.ref", Some(4), "holds sha256 ids, 0.ref below it sha1 ids"), "{findings:#?}");
}

#[test]
fn several_at_once() {
    // Within one table ...
    let mut draft = Draft::sound();
    draft.refs[0][1] = reference("b", 200, 2);
    draft.refs[2].insert(0, reference("d", 0, 2));
    let mut table = draft.build();
    table[THIRD as usize - 1] = 1;
    breaks_all(
        table,
        &[
            (Some(FIRST), "update index 205 lies outside"),
            (Some(SECOND), "the padding after a block is not zero"),
            (Some(THIRD), "the record 'd' is not above"),
        ],
    );
    // ... in its index and its objects ...
    let index = |at: [u64; 3]| vec![entry(b"bb", at[0]), entry(b"f", at[2])];
    let objects = |at: [u64; 3]| vec![object(1, &at[..2]), object(2, &[at[0], at[2]]), object(3, &[at[1]])];
    breaks_all(
        Draft { index, objects, ..Draft::sound() }.build(),
        &[
            (Some(INDEX), "ends with 'bb', it does not"),
            (Some(SECOND), "its index does not lead to"),
            (Some(OBJECTS), "the object record 0101"),
            (Some(OBJECTS), "no object record for 0404"),
        ],
    );
}

#[test]
fn a_table_that_cannot_be_opened_does_not_end_the_search() {
    let mut cut = small(6, 6);
    cut.truncate(cut.len() - 1);
    let mut strange = small(8, 8);
    strange[4] = 9;
    let mut late = Draft::sound();
    late.refs[2][0] = reference("e", 5, 2);
    let sound = "0x000000000001-0x000000000004-00000000.ref";
    let mut dir = dir_of(&[
        (sound, small(1, 4)),
        ("cut.ref", cut),
        ("strange.ref", strange),
        ("gone.ref", Vec::new()),
        ("empty.ref", Vec::new()),
        ("0x000000000007-0x000000000007-00000000.ref", late.build()),
        ("overlaps.ref", small(9, 9)),
    ]);
    dir.0.remove("gone.ref");
    let report = above_notes(&dir);
    let at = |file: &str, rule: &str| {
        let found = report.findings.iter().find(|found| found.file == file && found.message.contains(rule));
        found.unwrap_or_else(|| panic!("{file}, {rule}: {:#?}", report.findings)).offset
    };
    assert!(at("cut.ref", "footer").is_some());
    assert_eq!(at("strange.ref", "format version 9 is not known"), Some(4));
    assert_eq!(at("gone.ref", "cannot read the table"), None);
    assert_eq!(at("empty.ref", "the table is empty"), Some(0));
    let misnamed = "0x000000000007-0x000000000007-00000000.ref";
    assert_eq!(at(misnamed, "update index 10 lies outside"), Some(THIRD));
    assert_eq!(at("overlaps.ref", "begins with update index 9, but"), Some(8));
    assert_eq!(report.findings.len(), 6, "{:#?}", report.findings);
    assert_eq!(report.tables, [sound, misnamed, "overlaps.ref"]);
}

/// A damaged frame is one thing, an index that lies about other blocks is another.
#[test]
fn damage_in_one_block_does_not_hide_that_of_the_index() {
    let index = |at: [u64; 3]| vec![entry(b"b", at[0]), entry(b"dd", at[1]), entry(b"f", at[2])];
    let objects = |at: [u64; 3]| vec![object(1, &at), object(2, &[at[0], at[2]]), object(3, &[at[1]])];
    let mut table = Draft { index, objects, ..Draft::sound() }.build();
    table[SECOND as usize - 1] = 1;
    breaks_all(
        table,
        &[
            (Some(FIRST), "the padding after a block is not zero"),
            (Some(INDEX), "ends with 'dd', it does not"),
            (Some(OBJECTS), "no object record for 0404"),
        ],
    );
}

#[test]
fn a_list_that_is_damaged_is_named() {
    let mut dir = dir_of(&[("a.ref", small(1, 1))]);
    dir.0.insert("tables.list".to_owned(), b"a.ref\na.ref\n".to_vec());
    let findings = verify_dir(&dir).unwrap().findings;
    assert!(has(&findings, "tables.list", Some(6), "names a.ref twice"), "{findings:#?}");
    dir.0.insert("tables.list".to_owned(), b"a.ref".to_vec());
    let findings = verify_dir(&dir).unwrap().findings;
    assert!(has(&findings, "tables.list", Some(5), "does not end with a newline"), "{findings:#?}");
    dir.0.remove("tables.list");
    let findings = verify_dir(&dir).unwrap().findings;
    assert!(has(&findings, "tables.list", None, "the table list is missing"), "{findings:#?}");
}

/// One id in more blocks than fit into an object record: "look everywhere".
#[test]
fn objects_without_offsets_are_in_order() {
    let options = WriteOptions::default().block_size(256);
    let mut writer = TableWriter::new(Vec::new(), HashKind::Sha1, 1..=1, &options).unwrap();
    for number in 0..2000 {
        let (name, byte) = (format!("refs/heads/{number:04}"), if number == 1000 { 2 } else { 1 });
        let id = id(HashKind::Sha1, byte);
        let target = Some(TargetView::Id(id.as_view()));
        writer.add_ref(&RefRecordView { name: name.as_bytes(), update_index: 1, target }).unwrap();
    }
    let (table, _) = writer.finish().unwrap();
    let opened = Table::open("0.ref", table.clone()).unwrap();
    let mut objects = Vec::new();
    let mut blocks = opened.blocks();
    while let Some(block) = blocks.next().unwrap() {
        block
            .records(|_, record| {
                if let RecordView::Object { blocks, .. } = record {
                    objects.push(blocks.len());
                }
            })
            .unwrap();
    }
    assert_eq!(objects, [0, 1]);
    let report = verify(&[table]);
    assert!(report.is_clean(), "{:#?}", report.findings);
    assert_eq!(report.refs, 2000);
}
