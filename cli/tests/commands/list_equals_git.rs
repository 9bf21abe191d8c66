//! `reftable list` shows what `git for-each-ref` shows.

use crate::support::{Repo, for_each_hash};

fn populate(repo: &Repo) {
    repo.commit("one");
    repo.git(["tag", "-a", "-m", "annotated", "v1"]);
    repo.git(["tag", "plain"]);
    repo.git(["branch", "topic/a"]);
    repo.commit("two");
    repo.git(["branch", "tópic"]);
    repo.git(["branch", "gone"]);
    repo.git(["branch", "-D", "gone"]);
    repo.git(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main"]);
    repo.git(["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(["update-ref", "ORIG_HEAD", "HEAD~"]);
}

const FORMAT: &str = "--format=%(if)%(symref)%(then)ref: %(symref)%(else)%(objectname)%(end) %(refname)";

#[test]
fn all_references_and_those_below_a_prefix() {
    for_each_hash(|repo| {
        assert_eq!(repo.ours(["list"]), "ref: refs/heads/main HEAD");
        populate(repo);
        assert_eq!(repo.ours(["list"]), repo.git(["for-each-ref", "--include-root-refs", FORMAT]));
        let heads = repo.git(["for-each-ref", FORMAT, "refs/heads/"]);
        assert_eq!(repo.ours(["list", "--prefix", "refs/heads/"]), heads);
        assert_eq!(repo.ours(["list", "--prefix", "refs/nothing"]), "");
    });
}

#[test]
fn references_that_point_at_an_object() {
    for_each_hash(|repo| {
        populate(repo);
        for commit in ["HEAD", "HEAD~", "v1"] {
            let id = repo.git(["rev-parse", commit]);
            let args = ["for-each-ref", "--include-root-refs", FORMAT, "--points-at", &id];
            let git: Vec<String> =
                repo.git(args).lines().filter(|line| !line.starts_with("ref: ")).map(str::to_owned).collect();
            assert_eq!(repo.ours(["list", "--points-at", &id]), git.join("\n"));
        }
        let id = repo.git(["rev-parse", "HEAD"]);
        let tags = repo.ours(["list", "--prefix", "refs/tags/", "--points-at", &id]);
        assert_eq!(tags, repo.git(["for-each-ref", FORMAT, "--points-at", &id, "refs/tags/"]));
    });
}

#[test]
fn json_has_the_same_fields_and_no_others() {
    for_each_hash(|repo| {
        populate(repo);
        let format = "--format=%(refname) %(objectname) %(*objectname) %(symref)";
        let git = repo.git(["for-each-ref", "--include-root-refs", format]);
        let ours = repo.run(["list", "--json"]).json();
        assert_eq!(ours.len(), git.lines().count());
        for (object, line) in ours.iter().zip(git.lines()) {
            let [name, id, peeled, symref] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let or_missing = |text: &'static str, there: bool| there.then_some(text);
            assert_eq!((&object["type"], &object["name"]), (&"reference".into(), &name.into()));
            if symref.is_empty() {
                assert_eq!(object["id"], id);
                assert_eq!(object.get("peeled").and_then(|peeled| peeled.as_str()).unwrap_or_default(), peeled);
            } else {
                assert_eq!(object["symref"], symref);
            }
            let mut fields: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
            fields.retain(|field| !["type", "name", "update_index"].contains(field));
            let expected = [
                or_missing("id", symref.is_empty()),
                or_missing("peeled", !peeled.is_empty() && symref.is_empty()),
                or_missing("symref", !symref.is_empty()),
            ];
            assert_eq!(fields, expected.into_iter().flatten().collect::<Vec<_>>());
        }
    });
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_come_as_c_strings_and_in_hexadecimal() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    for_each_hash(|repo| {
        let id = repo.commit("one");
        let name = OsStr::from_bytes(b"refs/heads/\xff\xfe");
        repo.git([OsStr::new("update-ref"), name, OsStr::new(&id)]);
        let listed = repo.run(["list", "--prefix", "refs/heads/"]).raw;
        assert!(listed.ends_with(b" \"refs/heads/\\377\\376\"\n"));
        let json = repo.run(["list", "--prefix", "refs/heads/", "--json"]).json();
        assert_eq!(json[1]["name"], "refs/heads/\u{fffd}\u{fffd}");
        assert_eq!(json[1]["name_hex"], "726566732f68656164732ffffe");
        assert_eq!(json[0].get("name_hex"), None);
        assert_eq!(repo.ours([OsStr::new("get"), name]), id);
    });
}
