//! The side of the leader, which has the lock.

use std::io;
use std::sync::Arc;

use super::record::{self, Kind, RequestRecord};
use super::{Claim, MAX_FILE, RequestOutcome, RequestState, is_of_later_version, parse};
use crate::dir::{Dir, DirFile, Writers};
use crate::error::{Error, Result};
use crate::list::Temporary;
use crate::mutant::{self, Mutant};

/// The request of another process, open for reading and answering.
#[derive(Debug)]
struct Request {
    dir: Arc<dyn Dir>,
    name: String,
    file: Box<dyn DirFile>,
}

/// A request that may be claimed.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    request: Request,
    payload: Vec<u8>,
}

impl OpenRequest {
    /// The changes, as bytes.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// What a leader says of a request before it publishes.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) update_index: u64,
    /// The values that it will replace, if its follower wants to know: at most
    /// [`crate::changeset::MAX_REPLACED`] bytes.
    pub(crate) replaced: Option<Vec<u8>>,
}

/// The request files among `names`.
fn requests(names: &[String]) -> impl Iterator<Item = &String> {
    names.iter().filter(|name| Temporary::of(name) == Some(Temporary::Request))
}

impl Request {
    /// Opens a request and reads it. `None` for what is not one. If its follower is dead it
    /// is removed.
    fn open(dir: &Arc<dyn Dir>, name: &str) -> io::Result<Option<(Request, Vec<u8>)>> {
        match Self::open_there(dir, name) {
            // Its follower has its answer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened,
        }
    }

    fn open_there(dir: &Arc<dyn Dir>, name: &str) -> io::Result<Option<(Request, Vec<u8>)>> {
        // Before opening it: opening a pipe would wait for a reader.
        let there = dir.stat(name)?;
        if !there.is_file || there.size > MAX_FILE {
            return Ok(None);
        }
        let file = dir.open_to_append(name)?;
        if !file.stat()?.is_same_file(&there) {
            return Ok(None);
        }
        if file.try_lock()? && !mutant::is_on(Mutant::ClaimFromDeadFollowers) {
            // For the next one to remove, if we cannot.
            let _ = dir.remove(name);
            return Ok(None);
        }
        let contents = file.contents()?.to_vec();
        let request = Request { dir: Arc::clone(dir), name: name.to_owned(), file };
        Ok(Some((request, contents)))
    }

    /// Whether one of `writers` has made it. Where the system does not say, it was.
    fn is_of(&self, writers: Option<Writers>) -> bool {
        let owner = self.file.owner().unwrap_or(None);
        writers.zip(owner).is_none_or(|(writers, owner)| writers.include(owner)) || mutant::is_on(Mutant::HonourAnybody)
    }

    /// Writes down what has become of it. Where that fails, takes its name away, so that the
    /// follower does not wait for it.
    fn answer(&mut self, record: &RequestRecord) {
        if self.file.write(&record.print()).is_err() {
            take_name_away(&self.dir, &self.name);
        }
    }
}

fn take_name_away(dir: &Arc<dyn Dir>, name: &str) {
    if !mutant::is_on(Mutant::KeepNameOfUnresolved) {
        // What cannot be removed keeps its follower waiting, until that has the lock itself.
        let _ = dir.remove(name);
    }
}

/// The requests that the lock holder may claim, with this `key`. What is wrong with a request is
/// for its follower to find out.
pub(crate) fn find(dir: &Arc<dyn Dir>, key: &[u8], limit: usize) -> Vec<OpenRequest> {
    let Ok(mut names) = dir.names() else { return Vec::new() };
    // So that models can repeat a run.
    names.sort_unstable();
    let mut requests = requests(&names).peekable();
    if requests.peek().is_none() {
        return Vec::new();
    }
    let Ok(writers) = dir.writers() else { return Vec::new() };
    let open = requests.filter_map(|name| {
        let (request, contents) = Request::open(dir, name).ok()??;
        let parsed = parse(&contents).filter(|parsed| parsed.state == RequestState::Open && parsed.key == key)?;
        request.is_of(writers).then(|| OpenRequest { payload: parsed.payload.to_vec(), request })
    });
    open.take(limit).collect()
}

/// Resolves in-doubt requests: writes down what a dead leader has done, while we hold the lock that
/// was taken over from it, and before the list that it left is changed. `list` names the tables of
/// that, oldest first.
///
/// A request that we cannot answer loses its name: its follower then says that it does not know. A
/// process that only refused to publish could be hindered for ever by one file.
///
/// # Errors
/// `Io` if it cannot be seen which requests there are: then nothing may be published.
pub(crate) fn resolve(dir: &Arc<dyn Dir>, list: &[&str]) -> Result<()> {
    if mutant::is_on(Mutant::LeaveUnresolved) {
        return Ok(());
    }
    let names = match dir.names() {
        Err(error) if !mutant::is_on(Mutant::PublishUnseen) => {
            let what = "cannot look for transactions that a dead process has taken along with its own";
            return Err(Error::io(what, dir.path(), error));
        }
        names => names.unwrap_or_default(),
    };
    for name in requests(&names) {
        if !resolve_one(dir, name, list).unwrap_or(false) {
            take_name_away(dir, name);
        }
    }
    Ok(())
}

/// False if it cannot be told what has become of it.
fn resolve_one(dir: &Arc<dyn Dir>, name: &str, list: &[&str]) -> io::Result<bool> {
    let Some((mut request, contents)) = Request::open(dir, name)? else { return Ok(true) };
    let claim = match parse(&contents).map(|parsed| parsed.state) {
        Some(RequestState::Claimed(claim)) => claim,
        Some(RequestState::Unknown) => return Ok(false),
        Some(_) => return Ok(true),
        None => return Ok(!is_of_later_version(&contents)),
    };
    match claim.resolution(list) {
        Some(record) => request.file.write(&record.print()).map(|()| true),
        None => Ok(false),
    }
}

impl Claim {
    /// What a new lock holder writes that finds this list.
    fn resolution(&self, list: &[&str]) -> Option<RequestRecord> {
        match self.outcome(list.iter().copied()) {
            RequestOutcome::Published { update_index } => {
                Some(RequestRecord::new(Kind::Published, self.leader, update_index))
            }
            RequestOutcome::NotPublished => Some(RequestRecord::new(Kind::Rejected, self.leader, 0)),
            RequestOutcome::Unknown => None,
        }
    }
}

/// Requests that we have claimed. Dropping it before they are published leaves them to their
/// followers.
#[derive(Debug, Default)]
pub(crate) struct ClaimedRequests {
    claimed: Vec<ClaimedRequest>,
    /// They may be published, so they are not rejected.
    is_decided: bool,
}

#[derive(Debug)]
struct ClaimedRequest {
    request: Request,
    leader: u64,
    /// Once that is known.
    update_index: Option<u64>,
}

impl ClaimedRequests {
    /// Claims a request, to be committed upon the state whose newest table is `base`. False if its
    /// follower was faster and has withdrawn it.
    pub(crate) fn claim(&mut self, open: OpenRequest, base: &str) -> bool {
        let OpenRequest { mut request, .. } = open;
        let leader = request.dir.random();
        if request.file.write(&RequestRecord::new(Kind::Claimed, leader, 0).of_table(base).print()).is_err() {
            return false;
        }
        let contents = request.file.contents();
        let is_ours = contents.is_ok_and(|contents| {
            let state = parse(&contents).map(|parsed| parsed.state);
            matches!(state, Some(RequestState::Claimed(claim)) if claim.leader == leader)
        });
        if is_ours || mutant::is_on(Mutant::ClaimUnread) {
            self.claimed.push(ClaimedRequest { request, leader, update_index: None });
            return true;
        }
        false
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.claimed.len()
    }

    /// Says which update index each will have in this table, in the order in which they were
    /// claimed. Those without one do not fit, and are rejected.
    ///
    /// If a plan cannot be written, and we die once we have published, no process can tell what has
    /// become of that request.
    pub(crate) fn plan(&mut self, table: &str, results: impl IntoIterator<Item = Option<Planned>>) {
        let mut results = results.into_iter();
        self.claimed.retain_mut(|claimed| {
            let planned = results.next().flatten();
            claimed.update_index = planned.as_ref().map(|planned| planned.update_index);
            match planned {
                Some(Planned { update_index, replaced }) => {
                    // Before the plan: a process that finds that this was published finds them,
                    // too.
                    let mut records =
                        replaced.map_or_else(Vec::new, |values| record::print_replaced(claimed.leader, &values));
                    records.extend(
                        RequestRecord::new(Kind::Planned, claimed.leader, update_index).of_table(table).print(),
                    );
                    let _ = claimed.request.file.write(&records);
                }
                None => claimed.reject(),
            }
            claimed.update_index.is_some()
        });
    }

    /// Says that all are published.
    pub(crate) fn publish(&mut self) {
        self.is_decided = true;
        self.claimed.iter_mut().for_each(|claimed| claimed.tell(Kind::Published));
        if mutant::is_on(Mutant::AnswerBeforeSync) {
            self.claimed.iter_mut().for_each(|claimed| claimed.tell(Kind::Durable));
        }
    }

    /// No process can tell whether they are published. Without a name, their followers look for the
    /// table that was planned.
    pub(crate) fn leave_unknown(&mut self) {
        self.is_decided = true;
        self.claimed.iter().for_each(|claimed| take_name_away(&claimed.request.dir, &claimed.request.name));
    }

    /// Says that all are durable.
    pub(crate) fn make_durable(mut self) {
        // A follower that does not read it syncs the directory itself, so its name may stay.
        for claimed in &mut self.claimed {
            let Some(update_index) = claimed.update_index else { continue };
            let record = RequestRecord::new(Kind::Durable, claimed.leader, update_index);
            let _ = claimed.request.file.write(&record.print());
        }
    }
}

impl ClaimedRequest {
    fn tell(&mut self, kind: Kind) {
        if let Some(update_index) = self.update_index {
            self.request.answer(&RequestRecord::new(kind, self.leader, update_index));
        }
    }

    fn reject(&mut self) {
        self.request.answer(&RequestRecord::new(Kind::Rejected, self.leader, 0));
    }
}

impl Drop for ClaimedRequests {
    fn drop(&mut self) {
        if !self.is_decided {
            self.claimed.iter_mut().for_each(ClaimedRequest::reject);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::dir::OsDir;
    use crate::stack::request::{OwnRequest, print};

    const KEY: &[u8] = b"key";
    /// The key of the first version was text, with the run of the kernel after it.
    const FIRST_KEY: &str = "None Off WriteOptions { block_size: 4096, restart_interval: 16, padding: true, object_index: true, deflate_level: 1, max_table_size: 4294967295 }cb0a093f-57ee-4856-89c5-9a0f3706e298";
    /// The payload that commit cd9ffad wrote with that key.
    const FIRST_PAYLOAD: &[u8] = b"\x01\x0e\x72\x65\x66\x73\x2f\x68\x65\x61\x64\x73\x2f\x6f\x6c\x64\x01\x00\x00\x00\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00";
    /// The check of both, and a claim upon update index 2 with a plan for 3, as that commit wrote
    /// them.
    const FIRST_CHECK: &[u8] = b"\x27\x6c\x28\x3b";
    const FIRST_RECORDS: &[u8] =
        b"\x43\x00\x00\x00\x00\x00\x00\x00\x02\xef\x18\x4a\x40\x50\x00\x00\x00\x00\x00\x00\x00\x03\x0d\x52\x04\x62";

    fn store() -> (TempDir, Arc<dyn Dir>) {
        let temp = tempfile::tempdir().unwrap();
        let dir: Arc<dyn Dir> = Arc::new(OsDir::new(temp.path(), None));
        (temp, dir)
    }

    /// There is a request, and a leader has claimed it upon `base` and died.
    fn claimed(dir: &Arc<dyn Dir>, base: &str) -> OwnRequest {
        let asked = OwnRequest::place(dir, KEY, b"payload").unwrap().unwrap();
        let mut claimed = ClaimedRequests::default();
        assert!(claimed.claim(find(dir, KEY, 1).pop().unwrap(), base));
        std::mem::forget(claimed);
        asked
    }

    fn request(dir: &Path) -> std::path::PathBuf {
        let mut entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.extension().is_some_and(|extension| extension == "request")).unwrap()
    }

    #[test]
    fn a_new_holder_that_cannot_tell_takes_the_name_away() {
        let (_temp, dir) = store();
        let asked = claimed(&dir, "base.ref");
        resolve(&dir, &["later.ref"]).unwrap();
        assert!(!asked.has_name());
        assert!(matches!(asked.state().unwrap(), RequestState::Claimed(_)));
    }

    #[test]
    fn a_new_holder_leaves_what_is_open() {
        let (_temp, dir) = store();
        let asked = OwnRequest::place(&dir, KEY, b"payload").unwrap().unwrap();
        resolve(&dir, &["later.ref"]).unwrap();
        assert!(asked.has_name());
        assert_eq!(asked.state().unwrap(), RequestState::Open);
    }

    #[test]
    fn a_new_holder_that_cannot_list_the_directory_fails() {
        let nowhere: Arc<dyn Dir> = Arc::new(OsDir::new("/does/not/exist", None));
        resolve(&nowhere, &["base.ref"]).unwrap_err();
    }

    #[test]
    fn a_record_that_is_cut_off_keeps_nobody_from_answering() {
        let (temp, dir) = store();
        let asked = OwnRequest::place(&dir, KEY, b"payload").unwrap().unwrap();
        let mut file = OpenOptions::new().append(true).open(request(temp.path())).unwrap();
        file.write_all(b"C\x01\x00\x20\x00\x00").unwrap();
        let mut claimed = ClaimedRequests::default();
        assert!(claimed.claim(find(&dir, KEY, 1).pop().unwrap(), "base.ref"));
        claimed.plan("table.ref", [Some(Planned { update_index: 4, replaced: None })]);
        claimed.publish();
        assert_eq!(asked.state().unwrap(), RequestState::Published { update_index: 4 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_who_may_write_here_is_served() {
        use std::os::unix::fs::{PermissionsExt, chown};
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can give files away");
            return;
        }
        for (mode, owner, is_served) in
            [(0o755, 0, true), (0o755, 4711, false), (0o775, 4711, true), (0o777, 4711, true), (0o1777, 0, false)]
        {
            let (temp, dir) = store();
            let _asked = OwnRequest::place(&dir, KEY, b"payload").unwrap().unwrap();
            chown(request(temp.path()), Some(owner), None).unwrap();
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find(&dir, KEY, 1).len(), usize::from(is_served), "{mode:o}, {owner}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn requests_may_be_answered_by_all_who_may_commit() {
        use std::os::unix::fs::PermissionsExt;
        for (directory, list, request_mode) in [
            (0o755, 0o644, 0o600),
            (0o775, 0o664, 0o660),
            (0o775, 0o644, 0o660),
            (0o770, 0o660, 0o660),
            (0o777, 0o644, 0o666),
            (0o777, 0o600, 0o600),
        ] {
            let (temp, dir) = store();
            let list_path = temp.path().join("tables.list");
            fs::write(&list_path, "").unwrap();
            fs::set_permissions(&list_path, fs::Permissions::from_mode(list)).unwrap();
            fs::set_permissions(temp.path(), fs::Permissions::from_mode(directory)).unwrap();
            let _asked = OwnRequest::place(&dir, KEY, b"payload").unwrap().unwrap();
            let mode = fs::metadata(request(temp.path())).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, request_mode, "{directory:o}, {list:o}: {mode:o}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_asks_in_a_sticky_directory() {
        use std::os::unix::fs::PermissionsExt;
        let (temp, dir) = store();
        fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        OwnRequest::place(&dir, KEY, b"payload").unwrap_err();
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    /// What commit cd9ffad has written, whose follower lives.
    fn of_the_first_version() -> Vec<u8> {
        let key = FIRST_KEY.as_bytes();
        let mut bytes = b"rtwants\x01".to_vec();
        bytes.extend((key.len() as u32).to_be_bytes());
        bytes.extend((FIRST_PAYLOAD.len() as u32).to_be_bytes());
        [&bytes, key, FIRST_PAYLOAD, FIRST_CHECK].concat()
    }

    /// A file of a living follower with these contents. It is not touched when requests are looked
    /// for, or the lock is taken over.
    fn is_left_alone(contents: &[u8], keeps_name: bool) {
        let (temp, dir) = store();
        let path = temp.path().join("reftable-0123456789abcdef.request");
        fs::write(&path, contents).unwrap();
        let follower = dir.open("reftable-0123456789abcdef.request").unwrap();
        assert!(follower.try_lock().unwrap());
        for key in [FIRST_KEY.as_bytes(), KEY] {
            assert!(find(&dir, key, 1).is_empty());
        }
        resolve(&dir, &["0x000000000001-0x000000000003-00000000.ref"]).unwrap();
        assert_eq!(follower.contents().unwrap().to_vec(), contents, "nothing is written to it");
        assert_eq!(path.exists(), keeps_name);
    }

    #[test]
    fn requests_of_the_first_version_are_left_alone() {
        let open = of_the_first_version();
        is_left_alone(&open, true);
        is_left_alone(&[open.as_slice(), FIRST_RECORDS].concat(), true);
    }

    /// What became of it cannot be told: so it loses its name, and no more.
    #[test]
    fn requests_of_later_versions_are_not_answered() {
        let mut later = print(KEY, b"payload");
        later[7] += 1;
        is_left_alone(&later, false);
    }

    #[test]
    fn the_key_is_stated_byte_for_byte() {
        use crate::stack::{Durability, Options};
        let key = Options::default().durability(Durability::Ordered).compatibility_key();
        assert_eq!(key, [1, 0, 2, 0, 0, 16, 0, 0, 16, 1, 1, 1, 0, 0, 0, 0, 255, 255, 255, 255]);
    }

    #[cfg(reftable_mutants)]
    #[test]
    fn mistakes_are_caught() {
        use crate::mutant::{Mutant, activate};
        let rules: [(Mutant, fn()); 5] = [
            (Mutant::KeepNameOfUnresolved, a_new_holder_that_cannot_tell_takes_the_name_away),
            (Mutant::PublishUnseen, a_new_holder_that_cannot_list_the_directory_fails),
            (Mutant::StopAtTornRecord, a_record_that_is_cut_off_keeps_nobody_from_answering),
            (Mutant::ClaimOtherVersions, requests_of_the_first_version_are_left_alone),
            #[cfg(target_os = "linux")]
            (Mutant::HonourAnybody, only_who_may_write_here_is_served),
        ];
        for (mutant, rule) in rules {
            activate(Some(mutant));
            let caught = std::panic::catch_unwind(rule).is_err();
            activate(None);
            let is_skipped = mutant == Mutant::HonourAnybody && !rustix::process::geteuid().is_root();
            assert!(caught || is_skipped, "{mutant:?} is not caught");
        }
    }
}
