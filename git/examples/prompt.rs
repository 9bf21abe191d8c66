//! The branch, for the prompt of a shell: in repositories of both formats, in every worktree.

use std::io::Write;
use std::path::Path;

use reftable_git::Repository;

pub(crate) fn prompt(dir: &Path) -> Option<String> {
    let head = Repository::find(Some(dir)).ok()?.head().ok()?;
    Some(match (head.branch(), head.id()) {
        (Some(branch), _) => String::from_utf8_lossy(branch).into_owned(),
        (None, id) => format!("({:.7})", id?.to_string()),
    })
}

fn main() -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{}", prompt(Path::new(".")).unwrap_or_default())
}
