//! Command lines at random: right ones, nearly right ones, and wrong ones.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::input;
use super::random::Random;
use super::world::Objects;

/// What is run, without the name of the program.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) words: Vec<OsString>,
    pub(super) input: Vec<u8>,
}

/// What the words are made of.
pub(super) struct Source<'a> {
    pub(super) random: &'a mut Random,
    pub(super) objects: &'a Objects,
    /// Whether the newest commands of git may be used.
    pub(super) is_new: bool,
}

const NAMES: [&str; 22] = [
    "HEAD",
    "refs/heads/main",
    "refs/heads/main",
    "refs/heads/new",
    "refs/heads/new",
    "refs/heads/new/x",
    "refs/heads/topic",
    "refs/heads/topic/a",
    "refs/heads/sym",
    "refs/heads/far",
    "refs/heads/nowhere",
    "refs/heads/none",
    "refs/tags/v1",
    "refs/tags/plain",
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/bisect/bad",
    "refs/worktree/w",
    "refs/stash",
    "ORIG_HEAD",
    "refs/heads/gr\u{fc}n",
    "refs/odd",
];

/// Names that cannot be, are files, or are nearly others.
const ODD_NAMES: [&[u8]; 28] = [
    b"main",
    b"v1",
    b"",
    b"/",
    b"@",
    b"-",
    b"refs",
    b"refs/",
    b"refs/heads",
    b"refs/heads/",
    b"refs/heads/main/",
    b"refs/heads//main",
    b"refs/heads/a..b",
    b"refs/heads/a.lock",
    b"refs/heads/.a",
    b"refs/heads/a b",
    b"refs/heads/a\nb",
    b"refs/heads/\x1b[2J",
    b"refs/heads/\"q\"",
    b"refs/heads/back\\slash",
    b"refs/heads/\xff",
    b"refs/heads/HEAD",
    b"refs/heads/-x",
    b"FETCH_HEAD",
    b"MERGE_HEAD",
    b"NEW_ROOT",
    b"lower",
    b"HEAD/x",
];

impl Source<'_> {
    pub(super) fn name(&mut self) -> Vec<u8> {
        match self.random.below(30) {
            0 => [b"refs/heads/".as_slice(), &vec![b'x'; self.random.within(100..=300)]].concat(),
            1..=3 => self.random.of(&ODD_NAMES).to_vec(),
            _ => self.random.of(&NAMES).into(),
        }
    }

    pub(super) fn id(&mut self) -> String {
        let objects = self.objects;
        let usual: [&str; 6] = [&objects.one, &objects.one, &objects.two, &objects.two, &objects.zero, &objects.tag];
        match self.random.below(24) {
            0 => objects.missing.clone(),
            1 => objects.tree.clone(),
            2 => String::new(),
            3 => objects.one[..9].to_owned(),
            4 => objects.two.to_uppercase(),
            5 => "0".repeat(self.random.within(1..=70)),
            6 => objects.one[1..].to_owned(),
            7 => format!("{}0", objects.one),
            8 => self.random.of(&["HEAD", "main", "HEAD~1", "v1", "v1^{}", "topic/a", "@", "HEAD@{1}"]).to_owned(),
            9 => self.random.of(&["bogus", "HEAD~9", "main:", "-", "refs/heads/", "@{", ":/two"]).to_owned(),
            10 => "f".repeat(objects.one.len()),
            _ => self.random.of(&usual).to_owned(),
        }
    }

    /// A command of git that we have, too.
    pub(super) fn invocation(&mut self) -> Invocation {
        let mut input = Vec::new();
        let words = match self.random.below(if self.is_new { 16 } else { 12 }) {
            0..=2 => self.update_ref(),
            3..=6 => {
                let (words, lines) = input::update_ref(self);
                input = lines;
                words
            }
            7 => self.symbolic_ref(),
            8 => self.show_ref(&mut input),
            9..=10 => self.reflog(),
            11 => self.pack_refs(&["pack-refs"]),
            _ => self.refs(),
        };
        // No argument can have a NUL.
        let words = words.into_iter().map(|mut word| {
            word.retain(|byte| *byte != 0);
            OsString::from_vec(word)
        });
        Invocation { words: words.collect(), input }
    }

    fn flags(&mut self, words: &mut Vec<Vec<u8>>, flags: &[(&str, usize)]) {
        for (flag, rarity) in flags {
            if self.random.one_in(*rarity) {
                words.push(flag.as_bytes().to_vec());
            }
        }
    }

    fn reason(&mut self, words: &mut Vec<Vec<u8>>) {
        if self.random.one_in(4) {
            let reason: &[u8] = self.random.of(&[b"why".as_slice(), b"", b" two  words\t", b"a\nb\n", b"\xff", b"-x"]);
            words.extend([b"-m".to_vec(), reason.to_vec()]);
        }
    }

    /// Puts `behind` after the options in `words`, or some of it before.
    fn join(&mut self, mut words: Vec<Vec<u8>>, options: Vec<Vec<u8>>, behind: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        match self.random.below(12) {
            0 => words.extend(behind.into_iter().chain(options)),
            1 => words.extend(options.into_iter().chain([b"--".to_vec()]).chain(behind)),
            2 => words.extend(options.into_iter().chain([b"--end-of-options".to_vec()]).chain(behind)),
            _ => words.extend(options.into_iter().chain(behind)),
        }
        words
    }

    /// `usual` names, now and then one more.
    fn names_of(&mut self, usual: usize) -> Vec<Vec<u8>> {
        let most = usual + usize::from(self.random.one_in(6));
        (0..most).map(|_| self.name()).collect()
    }

    /// Up to so many names.
    fn names(&mut self, most: usize) -> Vec<Vec<u8>> {
        (0..self.random.within(0..=most)).map(|_| self.name()).collect()
    }

    fn update_ref(&mut self) -> Vec<Vec<u8>> {
        let mut options = Vec::new();
        self.reason(&mut options);
        let flags =
            [("--no-deref", 4), ("--create-reflog", 5), ("--deref", 20), ("-z", 40), ("--bogus", 60), ("--no-der", 40)];
        self.flags(&mut options, &flags);
        let mut behind = vec![self.name()];
        if self.random.one_in(3) {
            options.push(b"-d".to_vec());
        } else {
            behind.push(self.id().into_bytes());
        }
        if self.random.one_in(2) {
            behind.push(self.id().into_bytes());
        }
        match self.random.below(30) {
            0 => drop(behind.pop()),
            1 => behind.push(self.id().into_bytes()),
            2 => behind.clear(),
            _ => {}
        }
        self.join(vec![b"update-ref".to_vec()], options, behind)
    }

    fn symbolic_ref(&mut self) -> Vec<Vec<u8>> {
        let mut options = Vec::new();
        self.reason(&mut options);
        self.flags(&mut options, &[("-q", 3), ("--short", 4), ("--no-recurse", 4), ("-d", 4), ("--delete", 20)]);
        let behind = match self.random.below(2) {
            0 => self.names_of(1),
            _ => self.names_of(2),
        };
        self.join(vec![b"symbolic-ref".to_vec()], options, behind)
    }

    fn show_ref(&mut self, input: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let mut options = Vec::new();
        let flags = [("--head", 4), ("--heads", 4), ("--tags", 4), ("-d", 4), ("-s", 5), ("-q", 5), ("--verify", 3)];
        self.flags(&mut options, &flags);
        self.flags(&mut options, &[("--exists", 8), ("--exclude-existing", 12), ("--exclude-existing=refs/h", 20)]);
        let mut behind = self.names(3);
        for name in &mut behind {
            if self.random.one_in(3)
                && let Some(slash) = name.iter().rposition(|byte| *byte == b'/')
            {
                *name = name.split_off(slash + 1);
            }
        }
        for _ in 0..self.random.below(4) {
            let before: &[u8] = self.random.of(&[b"".as_slice(), b"x ", b"1 2\t"]);
            let after: &[u8] = self.random.of(&[b"\n".as_slice(), b"^{}\n", b"", b"\r\n"]);
            input.extend([before, &self.name(), after].concat());
        }
        self.join(vec![b"show-ref".to_vec()], options, behind)
    }

    fn reflog(&mut self) -> Vec<Vec<u8>> {
        let mut options = Vec::new();
        let short = ["HEAD", "main", "new", "refs/heads/main", "topic/a", "nothing", ""];
        let word = self.random.of(&["list", "exists", "delete", "delete", "expire", "expire", "write", "drop"]);
        let mut behind = Vec::new();
        match word {
            "list" if self.random.one_in(4) => behind.push(self.name()),
            "list" => {}
            "exists" => behind = self.names_of(1),
            "delete" => {
                self.flags(&mut options, &[("--rewrite", 3), ("--updateref", 3), ("-n", 4), ("--verbose", 4)]);
                for _ in 0..self.random.below(3) {
                    let which = self.random.of(&["0", "1", "2", "9", "-1", "1700000000", "", "x"]);
                    let which = if which == "x" { "" } else { which };
                    behind.push(format!("{}@{{{which}}}", self.random.of(&short)).into_bytes());
                }
                if self.random.one_in(10) {
                    behind.push(self.name());
                }
            }
            "expire" => {
                let flags = [("--rewrite", 3), ("--updateref", 3), ("-n", 4), ("--verbose", 4), ("--all", 3)];
                self.flags(&mut options, &flags);
                self.flags(&mut options, &[("--stale-fix", 6), ("--single-worktree", 6), ("--expire=all", 3)]);
                self.flags(&mut options, &[("--expire-unreachable=all", 3), ("--expire=never", 4)]);
                behind = (0..self.random.below(3)).map(|_| self.random.of(&short).into()).collect();
            }
            "write" if self.is_new => {
                behind = vec![self.name(), self.id().into_bytes(), self.id().into_bytes(), b"why".to_vec()];
                if self.random.one_in(8) {
                    behind.pop();
                }
            }
            "drop" if self.is_new => {
                self.flags(&mut options, &[("--all", 3), ("--single-worktree", 4)]);
                behind = (0..self.random.below(3)).map(|_| self.random.of(&short).into()).collect();
            }
            _ => return vec![b"reflog".to_vec(), b"list".to_vec()],
        }
        self.join(vec![b"reflog".to_vec(), word.into()], options, behind)
    }

    fn pack_refs(&mut self, words: &[&str]) -> Vec<Vec<u8>> {
        let mut options = Vec::new();
        let flags = [("--all", 2), ("--prune", 3), ("--no-prune", 3), ("--auto", 3), ("--include=refs/x*", 6)];
        self.flags(&mut options, &flags);
        self.flags(&mut options, &[("--exclude=refs/tags/*", 6), ("--bogus", 40)]);
        let behind = if self.random.one_in(20) { self.names(1) } else { Vec::new() };
        self.join(words.iter().map(|word| word.as_bytes().to_vec()).collect(), options, behind)
    }

    fn refs(&mut self) -> Vec<Vec<u8>> {
        let word =
            self.random.of(&["list", "exists", "create", "update", "update", "delete", "rename", "optimize", "bogus"]);
        let (mut options, mut behind) = (Vec::new(), Vec::new());
        match word {
            "optimize" => return self.pack_refs(&["refs", "optimize"]),
            "list" => {
                let flags = [("--count=2", 4), ("--sort=-refname", 4), ("--sort=objectname", 5), ("--bogus", 40)];
                self.flags(&mut options, &flags);
                let formats = [("--format=%(refname) %(symref)", 4), ("--format=%(objecttype) %(refname:short)", 4)];
                self.flags(&mut options, &formats);
                self.flags(&mut options, &[("--include-root-refs", 4), ("--exclude=refs/tags", 5), ("--count=-1", 20)]);
                behind = self.names(2);
            }
            "exists" => behind = self.names_of(1),
            _ => {
                self.reason(&mut options);
                for option in options.iter_mut().filter(|option| *option == b"-m") {
                    *option = b"--message".to_vec();
                }
                let flags = [("--no-deref", 4), ("--create-reflog", 5), ("--bogus", 60)];
                self.flags(&mut options, &flags);
                behind.push(self.name());
                match word {
                    "rename" => behind.push(self.name()),
                    "delete" if self.random.one_in(2) => {}
                    _ => behind.push(self.id().into_bytes()),
                }
                if word == "update" && self.random.one_in(2) || self.random.one_in(20) {
                    behind.push(self.id().into_bytes());
                }
            }
        }
        self.join(vec![b"refs".to_vec(), word.into()], options, behind)
    }
}
