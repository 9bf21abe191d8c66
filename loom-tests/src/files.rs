//! The files of a model, and what must be true of every change of the list and of every removal.

use std::collections::BTreeMap;
use std::io;

use reftable::dir::FileStat;

pub(crate) const LIST: &str = "tables.list";
pub(crate) const LIST_LOCK: &str = "tables.list.lock";

#[derive(Debug, Default)]
struct Inode {
    contents: Vec<u8>,
    /// The process that made it.
    creator: u64,
    /// How often it is open.
    opens: usize,
    /// The process and the open file description that has the kernel's lock, by what it belongs to:
    /// the file, which has no name here, or a name.
    locked: BTreeMap<String, (u64, u64)>,
    attribute: Option<Vec<u8>>,
    /// When it was made, and when its names changed last, by [`Files::clock`].
    created: u64,
    changed: u64,
}

impl Inode {
    fn is_locked_by(&self, process: u64) -> bool {
        self.locked.values().any(|(holder, _)| *holder == process)
    }
}

/// Names, files, and kernel locks.
#[derive(Debug, Default)]
pub(crate) struct Files {
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Inode>,
    next_open: u64,
    /// Counts what happens to names.
    clock: u64,
    /// The list that was published last.
    published: Vec<String>,
    /// The largest update index that was ever in the list.
    highest: u64,
    /// How often a process released a lock that another one had taken.
    pub(crate) taken_over: u32,
    reuse_open_inodes: bool,
}

impl Files {
    pub(crate) fn new(initial: &[(String, Vec<u8>)], reuse_open_inodes: bool) -> Files {
        let mut files = Files { reuse_open_inodes, ..Files::default() };
        for (name, contents) in initial {
            let inode = files.new_inode(0);
            files.append(inode, contents);
            files.names.insert(name.clone(), inode);
        }
        files.published = files.listed();
        files.highest = files.published.iter().filter_map(|name| range(name)).map(|(_, max)| max).max().unwrap_or(0);
        files
    }

    /// The smallest number that is free: numbers are used again as soon as a real file system
    /// might.
    fn new_inode(&mut self, creator: u64) -> u64 {
        let is_free = |inode: &u64| {
            let open = self.inodes.get(inode).is_some_and(|inode| inode.opens > 0 && !self.reuse_open_inodes);
            !open && !self.names.values().any(|named| named == inode)
        };
        let inode = (1..).find(is_free).unwrap_or_default();
        self.clock += 1;
        let (created, changed) = (self.clock, self.clock);
        self.inodes.insert(inode, Inode { creator, created, changed, ..Inode::default() });
        inode
    }

    /// Remembers that a name of this file has come or gone.
    fn touch(&mut self, inode: u64) {
        self.clock += 1;
        self.inodes.entry(inode).or_default().changed = self.clock;
    }

    pub(crate) fn inode(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn stat(&self, inode: u64) -> FileStat {
        let about = self.inodes.get(&inode);
        let size = about.map_or(0, |about| about.contents.len()) as u64;
        // Times tell files of one number from one another.
        let timed = about.filter(|_| !self.reuse_open_inodes);
        let (created, changed) = timed.map_or((0, 0), |about| (about.created.into(), about.changed.into()));
        let mut stat = FileStat::new(0, inode, size, 0);
        (stat.created, stat.changed) = (created, changed);
        stat
    }

    pub(crate) fn contents(&self, inode: u64) -> Vec<u8> {
        self.inodes.get(&inode).map(|inode| inode.contents.clone()).unwrap_or_default()
    }

    pub(crate) fn creator(&self, inode: u64) -> u64 {
        self.inodes.get(&inode).map_or(0, |inode| inode.creator)
    }

    pub(crate) fn append(&mut self, inode: u64, bytes: &[u8]) {
        self.inodes.entry(inode).or_default().contents.extend_from_slice(bytes);
    }

    pub(crate) fn attribute(&self, inode: u64) -> Option<Vec<u8>> {
        self.inodes.get(&inode).and_then(|inode| inode.attribute.clone())
    }

    pub(crate) fn set_attribute(&mut self, inode: u64, attribute: &[u8]) {
        self.inodes.entry(inode).or_default().attribute = Some(attribute.to_vec());
    }

    /// The inode, and a number for the open file description.
    pub(crate) fn open(&mut self, name: &str) -> io::Result<(u64, u64)> {
        let inode = self.inode(name)?;
        Ok(self.opened(inode))
    }

    fn opened(&mut self, inode: u64) -> (u64, u64) {
        self.inodes.entry(inode).or_default().opens += 1;
        self.next_open += 1;
        (inode, self.next_open)
    }

    pub(crate) fn close(&mut self, inode: u64) {
        if let Some(inode) = self.inodes.get_mut(&inode) {
            inode.opens = inode.opens.saturating_sub(1);
        }
    }

    pub(crate) fn create(&mut self, name: &str, creator: u64) -> io::Result<(u64, u64)> {
        if self.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.new_inode(creator);
        self.names.insert(name.to_owned(), inode);
        self.open(name)
    }

    /// A file without a name.
    pub(crate) fn create_unnamed(&mut self, creator: u64) -> (u64, u64) {
        let inode = self.new_inode(creator);
        self.opened(inode)
    }

    pub(crate) fn link(&mut self, inode: u64, new: &str, replace: bool) -> io::Result<()> {
        if self.names.contains_key(new) && !replace {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.names.insert(new.to_owned(), inode);
        self.touch(inode);
        Ok(())
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(crate) fn try_lock(&mut self, (inode, of): (u64, &str), open: u64, process: u64) -> bool {
        let inode = self.inodes.entry(inode).or_default();
        inode.locked.entry(of.to_owned()).or_insert((process, open)).1 == open
    }

    pub(crate) fn is_locked_by(&self, (inode, of): (u64, &str), open: u64) -> bool {
        let locked = self.inodes.get(&inode).and_then(|inode| inode.locked.get(of));
        locked.is_some_and(|(_, holder)| *holder == open)
    }

    pub(crate) fn unlock(&mut self, (inode, of): (u64, &str), open: u64) {
        if self.is_locked_by((inode, of), open) {
            self.inodes.entry(inode).or_default().locked.remove(of);
        }
    }

    /// Who made the files that this process has locked.
    pub(crate) fn kernel_locks_of(&self, process: u64) -> Vec<u64> {
        self.inodes.values().filter(|inode| inode.is_locked_by(process)).map(|inode| inode.creator).collect()
    }

    /// Frees the kernel locks that a process has on one file.
    pub(crate) fn free_kernel_lock_on(&mut self, inode: u64, process: u64) {
        self.inodes.entry(inode).or_default().locked.retain(|_, (holder, _)| *holder != process);
    }

    pub(crate) fn free_kernel_locks_of(&mut self, process: u64) {
        for inode in self.inodes.values_mut() {
            inode.locked.retain(|_, (holder, _)| *holder != process);
        }
    }

    /// A rename's first half, where it is not atomic.
    pub(crate) fn tear(&mut self, from: &str, to: &str) -> io::Result<()> {
        let whole = self.contents(self.inode(from)?);
        let inode = self.new_inode(0);
        self.append(inode, whole.get(..whole.len() * 2 / 3).unwrap_or_default());
        self.names.insert(to.to_owned(), inode);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str, process: u64) -> io::Result<Result<(), String>> {
        let inode = self.inode(from)?;
        // It may be the lock itself that becomes the list.
        let has_lock = self.inode(LIST_LOCK).is_ok_and(|lock| self.has(process, lock));
        self.names.remove(from);
        self.names.insert(to.to_owned(), inode);
        self.touch(inode);
        Ok(if to == LIST { self.check_publication(process, has_lock) } else { Ok(()) })
    }

    pub(crate) fn remove(&mut self, name: &str, process: u64) -> io::Result<Result<(), String>> {
        let inode = self.inode(name)?;
        if name.ends_with(".lock") {
            if !self.has(process, inode) {
                return Ok(Err(format!("process {process} removed {name}, which another one holds")));
            }
            self.taken_over += u32::from(self.creator(inode) != process);
        }
        if self.published.iter().any(|listed| listed == name) {
            return Ok(Err(format!("process {process} removed {name}, which is in the list")));
        }
        self.names.remove(name);
        self.touch(inode);
        Ok(Ok(()))
    }

    /// Whether a lock that is this file is held by this process: it made the file, or has the
    /// kernel's lock on it.
    fn has(&self, process: u64, inode: u64) -> bool {
        let about = self.inodes.get(&inode);
        about.is_some_and(|about| about.creator == process || about.is_locked_by(process))
    }

    fn listed(&self) -> Vec<String> {
        let contents = self.inode(LIST).map(|inode| self.contents(inode)).unwrap_or_default();
        String::from_utf8_lossy(&contents).lines().map(str::to_owned).collect()
    }

    /// The table that the list in the file `from` is the first to name.
    pub(crate) fn first_named_by(&self, from: &str) -> Option<String> {
        let (list, listed) = (self.contents(self.inode(from).ok()?), self.listed());
        let list = String::from_utf8_lossy(&list);
        list.lines().find(|table| !listed.iter().any(|old| old == table)).map(str::to_owned)
    }

    /// The names that are neither the list nor in it.
    pub(crate) fn unlisted(&self) -> Vec<String> {
        let listed = self.listed();
        self.names.keys().filter(|name| *name != LIST && !listed.contains(name)).cloned().collect()
    }

    /// A process that replaces the list has the lock, and either adds one table with unused update
    /// indexes at the end or puts one table, or none, in the place of neighbours.
    fn check_publication(&mut self, process: u64, has_lock: bool) -> Result<(), String> {
        let new = self.listed();
        let old = std::mem::replace(&mut self.published, new.clone());
        let told = format!("process {process} replaced the list {old:?} by {new:?}");
        if !has_lock {
            return Err(format!("{told} without the lock"));
        }
        if let Some(missing) = new.iter().find(|name| !self.names.contains_key(*name)) {
            return Err(format!("{told}, and {missing} is not there"));
        }
        let head = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
        let shorter = old.len().min(new.len()) - head;
        let tail = old.iter().rev().zip(new.iter().rev()).take(shorter).take_while(|(old, new)| old == new).count();
        let gone = old.get(head..old.len() - tail).unwrap_or_default();
        let come = new.get(head..new.len() - tail).unwrap_or_default();
        let is_fine = match (gone, come) {
            ([], []) => true,
            ([], [added]) => tail == 0 && range(added).is_some_and(|(min, _)| min > self.highest),
            ([..], []) => tail > 0,
            ([first, .., last], [merged]) => covers(first, last, merged),
            ([only], [merged]) => covers(only, only, merged),
            _ => false,
        };
        let highest = new.iter().filter_map(|name| range(name)).map(|(_, max)| max).max().unwrap_or(0);
        if !is_fine || highest < self.highest {
            return Err(format!("{told}, which is neither a commit nor a compaction"));
        }
        self.highest = highest;
        Ok(())
    }
}

fn covers(first: &str, last: &str, merged: &str) -> bool {
    let (first, last, merged) = (range(first), range(last), range(merged));
    merged.is_some() && first.zip(last).map(|((min, _), (_, max))| (min, max)) == merged
}

/// The update indexes in the name of a table.
fn range(name: &str) -> Option<(u64, u64)> {
    let mut parts = name.split('-').map(|part| u64::from_str_radix(part.trim_start_matches("0x"), 16));
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}
