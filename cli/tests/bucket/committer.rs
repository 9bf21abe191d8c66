//! Who is written into logs, where there is no repository.

use crate::server::Server;
use crate::{A, command, ok};

#[test]
fn the_committer_is_the_one_that_git_makes_outside_repositories() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".gitconfig"), "[user]\n name = Of Config\n email = of@config\n").unwrap();
    let update = |name: &str| {
        let mut command = command(&server, "s3://bucket/repos/42", &["update", name, A]);
        command.env("HOME", home.path()).env_remove("GIT_COMMITTER_NAME").env_remove("GIT_COMMITTER_EMAIL");
        command
    };
    let log = |name: &str| ok(&server, &["log", name]);
    assert!(update("refs/heads/a").status().unwrap().success());
    assert!(log("refs/heads/a").contains(" Of Config <of@config> 1 +0000"), "{}", log("refs/heads/a"));
    let mut by_environment = update("refs/heads/b");
    by_environment.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "committer.name");
    assert!(by_environment.env("GIT_CONFIG_VALUE_0", "Counted").status().unwrap().success());
    assert!(log("refs/heads/b").contains(" Counted <of@config> "), "{}", log("refs/heads/b"));
    let mut by_name = update("refs/heads/c");
    assert!(by_name.env("GIT_COMMITTER_NAME", "Named").status().unwrap().success());
    assert!(log("refs/heads/c").contains(" Named <of@config> "), "{}", log("refs/heads/c"));
    // A repository that one happens to stand in says nothing of a store in a bucket.
    let repo = home.path().join("repo/.git");
    std::fs::create_dir_all(repo.join("refs")).unwrap();
    std::fs::create_dir_all(repo.join("objects")).unwrap();
    std::fs::write(repo.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(repo.join("config"), "[core]\n repositoryformatversion = 0\n[user]\n name = Local\n").unwrap();
    assert!(update("refs/heads/d").current_dir(home.path().join("repo")).status().unwrap().success());
    assert!(log("refs/heads/d").contains(" Of Config <of@config> "), "{}", log("refs/heads/d"));
}
