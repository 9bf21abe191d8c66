//! Repositories are found where git finds them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use reftable::bytes::Reading;
use reftable::{Expect, ObjectId, Options, Stack};
use reftable_git::{Batch, Change, ConfiguredExpiry, ErrorKind, Repository};

use crate::support::{git, git_knows_reftables, init, repository};

fn at_head(repository: &Repository) -> String {
    let chain = repository.view(Reading::Checked).unwrap().follow(b"HEAD").unwrap();
    chain.target.and_then(|target| target.id()).map(|id| id.to_string()).unwrap_or_default()
}

/// The same directories as git's, and the same `HEAD`.
#[track_caller]
fn assert_found_as_git_finds_it(place: &Path) {
    let repository = Repository::at(place).unwrap();
    for (what, ours) in [("--absolute-git-dir", repository.git_dir()), ("--git-common-dir", repository.common_dir())] {
        let told = git(place, ["rev-parse", what]);
        // A path that is not UTF-8 is compared by what is in it.
        if !told.contains(char::REPLACEMENT_CHARACTER) {
            assert_eq!(ours.unwrap().canonicalize().unwrap(), place.join(told).canonicalize().unwrap(), "{place:?}");
        }
    }
    assert_eq!(at_head(&repository), git(place, ["rev-parse", "HEAD"]), "{place:?}");
}

#[test]
fn repositories_are_found_where_git_finds_them() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let top = top.path();
    init(top, "repo", &[]);
    let repo = top.join("repo");
    fs::create_dir_all(repo.join("a/b")).unwrap();
    git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
    git(&top.join("linked"), ["commit", "-q", "--allow-empty", "-m", "second"]);
    init(top, "other", &["--separate-git-dir", "apart.git"]);
    git(&repo, ["submodule", "--quiet", "add", "../other", "sub"]);
    git(top, ["clone", "-q", "--bare", "--ref-format=reftable", "repo", "bare.git"]);
    std::os::unix::fs::symlink(repo.join("a"), top.join("link")).unwrap();
    let odd = OsStr::from_bytes(b"od\xff d\n");
    git(top, [OsStr::new("clone"), OsStr::new("-q"), OsStr::new("--ref-format=reftable"), OsStr::new("repo"), odd]);
    git(&top.join(odd), ["worktree", "add", "-q", "../of-odd"]);
    let places = "repo repo/a/b repo/.git repo/.git/refs linked linked/.. repo/.git/worktrees/linked other apart.git repo/sub \
                  repo/.git/modules/sub bare.git bare.git/objects link link/b";
    let places = places.split(' ').filter(|place| !place.ends_with("..")).map(|place| top.join(place));
    for place in places.chain([top.join(odd), top.join("of-odd"), top.join(odd).join(".git")]) {
        assert_found_as_git_finds_it(&place);
    }
}

#[test]
fn a_git_file_that_leads_nowhere_is_an_error_that_names_it() {
    let top = tempfile::tempdir().unwrap();
    let inner = top.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let file = inner.join(".git");
    for (contents, problem) in [
        ("gitdir: ../nowhere\n", "which is no git directory"),
        ("gitdir: \n", "names no git directory"),
        ("gitdir:../nowhere\n", "not a 'gitdir:' file"),
        ("", "not a 'gitdir:' file"),
        (&"x".repeat(1 << 21), "too large"),
    ] {
        fs::write(&file, contents).unwrap();
        let error = Repository::at(&inner).unwrap_err();
        let text = error.to_string();
        assert!(error.kind() == ErrorKind::Broken && text.contains(problem), "{text}");
        assert!(text.contains("inner/.git"), "{text}");
    }
    fs::remove_file(&file).unwrap();
    std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert!(Repository::at(&inner).unwrap_err().to_string().contains("neither a git directory nor a file"));
}

#[test]
fn what_git_takes_for_no_git_directory_is_passed_by() {
    let Some((_top, repo)) = repository() else { return };
    let inner = repo.join("inner/.git");
    fs::create_dir_all(inner.join("objects")).unwrap();
    type Break = fn(&Path);
    let breaks: [(&str, Break); 4] = [
        ("no HEAD", |_| {}),
        ("a HEAD out of refs/", |dir| fs::write(dir.join("HEAD"), "ref: heads/main\n").unwrap()),
        ("a HEAD that is no id", |dir| fs::write(dir.join("HEAD"), "main\n").unwrap()),
        ("no refs", |dir| fs::write(dir.join("HEAD"), "ref: refs/heads/.invalid\n").unwrap()),
    ];
    for (what, make) in breaks {
        make(&inner);
        let found = Repository::at(inner.parent().unwrap()).unwrap();
        assert_eq!(
            found.git_dir().unwrap().canonicalize().unwrap(),
            repo.join(".git").canonicalize().unwrap(),
            "{what}"
        );
        assert_eq!(git(inner.parent().unwrap(), ["rev-parse", "--show-toplevel"]), repo.to_str().unwrap(), "{what}");
    }
    fs::create_dir(inner.join("refs")).unwrap();
    let found = Repository::at(inner.parent().unwrap()).unwrap();
    assert_eq!(found.git_dir().unwrap().canonicalize().unwrap(), inner.canonicalize().unwrap());
}

/// Moves the stores of a repository to another place, as newer versions of git lay them out.
fn move_stores(git_dir: &Path, place: &Path, value: &str) {
    fs::create_dir_all(place.join("worktrees/linked")).unwrap();
    fs::rename(git_dir.join("reftable"), place.join("reftable")).unwrap();
    let own = git_dir.join("worktrees/linked/reftable");
    if own.exists() {
        fs::rename(own, place.join("worktrees/linked/reftable")).unwrap();
    }
    let config = git_dir.join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, text.replace("refstorage = reftable", &format!("refstorage = {value}"))).unwrap();
}

#[test]
fn stores_may_be_at_another_place() {
    if !git_knows_reftables() {
        return;
    }
    for is_absolute in [false, true] {
        let top = tempfile::tempdir().unwrap();
        init(top.path(), "repo", &[]);
        let repo = top.path().join("repo");
        git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
        let linked = top.path().join("linked");
        git(&linked, ["commit", "-q", "--allow-empty", "-m", "second"]);
        let heads = [git(&repo, ["rev-parse", "HEAD"]), git(&linked, ["rev-parse", "HEAD"])];
        let (place, value) = match is_absolute {
            true => (top.path().join("refs here"), format!("\"reftable://{}/refs here\"", top.path().display())),
            false => (repo.join(".git/place"), "reftable://place".to_owned()),
        };
        move_stores(&repo.join(".git"), &place, &value);
        let found: Vec<Repository> = [&repo, &linked].map(|dir| Repository::at(dir).unwrap()).into();
        assert_eq!([at_head(&found[0]), at_head(&found[1])], heads, "{value}");
        let stores: Vec<PathBuf> = found[1].directories().map(|dir| dir.canonicalize().unwrap()).collect();
        let place = place.canonicalize().unwrap();
        assert_eq!(stores, [place.join("reftable"), place.join("worktrees/linked/reftable")]);
    }
}

#[test]
fn the_store_of_a_submodule_may_be_at_another_place() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "origin", &[]);
    init(top.path(), "repo", &[]);
    let (repo, place) = (top.path().join("repo"), top.path().join("refs here"));
    git(&repo, ["submodule", "add", "-q", "../origin", "sub"]);
    let id = git(&repo.join("sub"), ["rev-parse", "HEAD"]);
    move_stores(&repo.join(".git/modules/sub"), &place, &format!("\"reftable://{}\"", place.display()));
    let sub = Repository::at(&repo.join("sub")).unwrap();
    assert_eq!(at_head(&sub), id);
    let change = Change::set("refs/heads/new", Expect::Absent, id.parse::<ObjectId>().unwrap());
    Batch { changes: vec![change], ..Batch::default() }.commit(&sub.open_to_write().unwrap()).unwrap();
    let written = Stack::open(place.join("reftable"), Options::default()).unwrap().snapshot().unwrap();
    assert!(written.get("refs/heads/new").unwrap().is_some());
    assert!(!at_head(&Repository::at(&repo).unwrap()).is_empty());
}

#[test]
fn files_may_be_at_another_place() {
    if !git_knows_reftables() {
        return;
    }
    let top = tempfile::tempdir().unwrap();
    init(top.path(), "repo", &["--ref-format=files"]);
    let (repo, linked) = (top.path().join("repo"), top.path().join("linked"));
    git(&repo, ["worktree", "add", "-q", "--detach", "../linked"]);
    git(&linked, ["commit", "-q", "--allow-empty", "-m", "second"]);
    git(&repo, ["pack-refs", "--all"]);
    let heads = [git(&repo, ["rev-parse", "HEAD"]), git(&linked, ["rev-parse", "HEAD"])];
    // As newer versions of git lay them out; what is left in the git directory is a stub.
    let (git_dir, place) = (repo.join(".git"), top.path().join("refs here"));
    fs::create_dir_all(place.join("worktrees/linked")).unwrap();
    for name in ["HEAD", "refs", "packed-refs", "logs", "worktrees/linked/HEAD"] {
        fs::rename(git_dir.join(name), place.join(name)).unwrap();
    }
    fs::create_dir(git_dir.join("refs")).unwrap();
    for stub in ["HEAD", "worktrees/linked/HEAD"] {
        fs::write(git_dir.join(stub), "ref: refs/heads/.invalid\n").unwrap();
    }
    let config = git_dir.join("config");
    let text = fs::read_to_string(&config).unwrap().replace("version = 0", "version = 1");
    fs::write(config, format!("{text}[extensions]\n\trefStorage = \"files://{}\"\n", place.display())).unwrap();
    let found: Vec<Repository> = [&repo, &linked].map(|dir| Repository::at(dir).unwrap()).into();
    assert_eq!([at_head(&found[0]), at_head(&found[1])], heads);
    let view = found[1].view(Reading::Checked).unwrap();
    assert_eq!(view.resolve(b"refs/heads/main").unwrap().unwrap().to_string(), heads[0]);
    assert_eq!(view.log_entries(b"refs/heads/main").unwrap().len(), 1);
    assert_eq!(view.resolve(b"main-worktree/HEAD").unwrap().unwrap().to_string(), heads[0]);
}

#[test]
fn a_broken_configuration_is_named_with_its_line_and_nothing_is_written() {
    let Some((_top, repo)) = repository() else { return };
    let config = repo.join(".git/config");
    let good = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{good}[core\n")).unwrap();
    let text = Repository::at(&repo).unwrap_err().to_string();
    let line = good.lines().count() + 1;
    assert!(text.contains(".git/config") && text.contains(&format!("line {line}")), "{text}");

    // What is included is read only to write; the error names that file.
    fs::write(&config, format!("{good}[include]\n\tpath = more\n")).unwrap();
    fs::write(repo.join(".git/more"), "[core]\n\tfsync = all\n[a b\n").unwrap();
    let found = Repository::at(&repo).unwrap();
    assert!(found.view(Reading::Checked).unwrap().get(b"HEAD").unwrap().is_some());
    let error = found.open(&reftable::Options::default(), None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(".git/more") && text.contains("line 3"), "{text}");

    for (key, value) in
        [("core.sharedRepository", "0060"), ("reftable.blockSize", "big"), ("reftable.restartInterval", "-1")]
    {
        let (section, name) = key.split_once('.').unwrap();
        fs::write(&config, format!("{good}[{section}]\n\t{name} = {value}\n")).unwrap();
        let error = Repository::at(&repo).unwrap().open(&reftable::Options::default(), None).unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with(key), "{error}");
    }
}

#[test]
fn what_the_environment_adds_counts_last_and_may_include() {
    let Some((top, repo)) = repository() else { return };
    git(&repo, ["config", "core.fsync", "none"]);
    git(&repo, ["config", "reftable.lockTimeout", "-1"]);
    let more = top.path().join("more");
    fs::write(&more, "[branch \"A.b\"]\n\tremote = from-include\n[gc]\n\treflogExpire = never\n").unwrap();
    let me = std::env::current_exe().unwrap();
    let told = |environment: &[(&str, &str)]| {
        let mut command = std::process::Command::new(&me);
        command.args(["--exact", "finding::tells_its_configuration", "--nocapture", "--ignored"]);
        command.env("REFTABLE_TOLD", &repo).envs(environment.iter().copied());
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let plain = told(&[]);
    assert!(plain.contains("Off None [] true"), "{plain}");
    let include = format!("'include.path'='{}' 'Core.FSYNC'='all' 'branch.A.b.Remote'='by-c'", more.display());
    let by_c = told(&[("GIT_CONFIG_PARAMETERS", include.as_str())]);
    assert!(by_c.contains(r#"Full None [Some("from-include"), Some("by-c")] false"#), "{by_c}");
    let more = more.to_str().unwrap();
    let counted = told(&[
        ("GIT_CONFIG_COUNT", "2"),
        ("GIT_CONFIG_KEY_0", "include.path"),
        ("GIT_CONFIG_VALUE_0", more),
        ("GIT_CONFIG_KEY_1", "reftable.lockTimeout"),
        ("GIT_CONFIG_VALUE_1", "150"),
    ]);
    assert!(counted.contains(r#"Off Some(150ms) [Some("from-include")] false"#), "{counted}");
    for (key, problem) in [("include.path", "relative"), ("nothing", "no section")] {
        let refused = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", key), ("GIT_CONFIG_VALUE_0", "more")];
        let refused = told(&refused);
        assert!(refused.contains("Invalid") && refused.contains(problem), "{refused}");
    }
}

/// Not a test: the other half of the one above, in an environment of its own.
#[test]
#[ignore = "the test above runs it"]
fn tells_its_configuration() {
    let Some(repo) = std::env::var_os("REFTABLE_TOLD") else { return };
    let found = Repository::at(Path::new(&repo)).unwrap();
    let (durability, patience) = (found.durability().unwrap(), found.patience().unwrap());
    let config = found.config().unwrap().unwrap();
    let remotes = config.all_of("branch", Some(b"A.b"), "remote");
    let remotes: Vec<_> =
        remotes.into_iter().map(|value| value.map(|value| String::from_utf8(value).unwrap())).collect();
    let expires = ConfiguredExpiry::read(Some(config)).unwrap().others.is_some();
    println!("{durability:?} {patience:?} {remotes:?} {expires}");
    drop(found.open_to_write().unwrap());
}
