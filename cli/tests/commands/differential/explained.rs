//! Differences that are meant: each with its reason.

use super::words::Invocation;
use super::world::End;

/// Both ends of one command.
struct Ends<'a> {
    invocation: &'a Invocation,
    git: &'a End,
    ours: &'a End,
}

/// Why both may end as they did, if there is a reason.
pub(super) fn why(invocation: &Invocation, git: &End, ours: &End) -> Option<&'static str> {
    let ends = Ends { invocation, git, ours };
    ends.words_differ().or_else(|| ends.we_refuse()).or_else(|| ends.logs_differ()).or_else(|| ends.git_refuses())
}

impl Ends<'_> {
    fn has_word(&self, word: &str) -> bool {
        self.invocation.words.iter().any(|other| *other == *word)
    }

    fn is_of(&self, command: &str) -> bool {
        self.invocation.words.first().is_some_and(|word| word == command)
    }

    fn has_same_state(&self) -> bool {
        self.git.state == self.ours.state
    }

    /// The same happens, and other words are said.
    fn words_differ(&self) -> Option<&'static str> {
        let (git, ours) = (self.git, self.ours);
        if !self.has_same_state() || (git.code, &git.out) != (ours.code, &ours.out) || ours.said.is_empty() {
            return None;
        }
        if ours.said.starts_with(git.said.as_str()) {
            // Of two mistakes git may find the first before it asks the hook.
            return Some("we say more, or a hook has heard of what is refused");
        }
        let same = git.said.bytes().zip(ours.said.bytes()).take_while(|(git, ours)| git == ours).count();
        let rest = ours.said.as_bytes().get(same..).unwrap_or_default();
        if rest.starts_with(b"\\") || rest.first().is_some_and(|byte| !byte.is_ascii()) {
            return Some("control characters, and what is not UTF-8, are shown as in C");
        }
        if self.has_word("--stdin") && self.invocation.input.split(|byte| b"\n\0".contains(byte)).count() > 2 {
            return Some("of several mistakes another one is named");
        }
        if ours.said.contains(" ids, the store has ") {
            return Some("an id of the other hash is called one");
        }
        if ours.said.contains("is not a valid reference name") || ours.said.contains("with bad name") {
            return Some("a bad name is called one");
        }
        if git.said.replace("git refs ", "") == ours.said || ours.said.contains("renaming it is not supported") {
            return Some("the command has another name");
        }
        None
    }

    /// Whether a word is an id with one digit more.
    fn has_long_id(&self) -> bool {
        let is_long = |word: &str| [41, 65].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let input = String::from_utf8_lossy(&self.invocation.input);
        let mut words = self.invocation.words.iter().filter_map(|word| word.to_str());
        words.any(is_long) || input.split([' ', '"', '\n', '\0']).any(is_long)
    }

    /// We refuse what git takes, for a reason.
    fn we_refuse(&self) -> Option<&'static str> {
        let said = |text: &str| self.ours.code != Some(0) && self.ours.said.contains(text);
        if self.has_long_id() && (said("not a valid") || said("invalid")) {
            return Some("what comes after an id is not ignored");
        }
        if said("ends within the line") {
            return Some("input that ends within a line is refused: it may be a part of a longer one");
        }
        if self.is_of("symbolic-ref") && said("with bad name") {
            return Some("symbolic references with bad names are not made: git cannot delete them");
        }
        if self.is_of("reflog") {
            return match () {
                () if self.ours.code == Some(129) => Some("a second name is refused, not ignored"),
                () if said("is not understood") => Some("a time that is not understood is not taken for now"),
                () if said("would be taken for an empty log") => {
                    Some("an entry from nothing to nothing marks an empty log")
                }
                () => None,
            };
        }
        if self.has_same_state() && (said("with nonexistent object") || said("non-commit object")) {
            return Some("an object is looked at when it is named, as by newer gits");
        }
        if self.has_same_state() && said("is not a valid reference name") {
            return Some("to delete a bad name that is not there is a mistake");
        }
        if self.has_word("-z") && said("extra input") {
            return Some("with -z a command that another one swallows is refused");
        }
        if self.has_word("--batch-updates") && said("multiple updates") {
            return Some("two changes of one reference refuse the whole batch");
        }
        None
    }

    /// Only logs differ.
    fn logs_differ(&self) -> Option<&'static str> {
        if self.is_of("symbolic-ref") && self.ours.state.iter().any(|line| is_circle(line)) {
            return Some("HEAD's log of what leads to itself");
        }
        let (theirs, ours) = (only_in(self.git, self.ours), only_in(self.ours, self.git));
        let are_ids = theirs.iter().chain(&ours).all(|line| line.contains(" Id("));
        if self.git.code == self.ours.code && self.has_word("--updateref") && are_ids {
            return Some("a reference is set back only if an entry of its log goes");
        }
        let are_logs = theirs.iter().chain(&ours).all(|line| line.starts_with("log of ") || line.starts_with("  "));
        if self.git.code != self.ours.code || !are_logs {
            return None;
        }
        match (theirs.is_empty(), ours.is_empty()) {
            (false, true) => {
                Some("git keeps logs of symbolic references that go, and makes some for what was not there")
            }
            (true, false) if self.has_word("expire") => {
                Some("git lets all entries of logs of symbolic references expire, as if nothing led to them")
            }
            _ => None,
        }
    }

    /// git refuses what we do, for a reason.
    fn git_refuses(&self) -> Option<&'static str> {
        let said = |text: &str| self.git.code != Some(0) && self.git.said.contains(text);
        if !self.has_same_state() {
            return None;
        }
        if said("exists; cannot create") && !self.ours.said.contains("cannot create") {
            return Some("to delete or verify what is not there does nothing, whatever has a name beside it");
        }
        if self.is_of("refs") && said("invalid old object ID: ''") {
            return Some("nothing in the place of an old id says that there is none, as for update-ref");
        }
        if said("invalid ref format") {
            return Some("a bad name can be deleted if it is there");
        }
        None
    }
}

/// Whether a line is that of a symbolic reference to itself.
fn is_circle(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(name, target)| target == format!("Symbolic({name:?})"))
}

/// The lines that one state has more often than the other.
fn only_in(left: &End, right: &End) -> Vec<String> {
    let mut rest = right.state.clone();
    let mut is_only = |line: &&String| match rest.iter().position(|other| other == *line) {
        Some(at) => {
            rest.swap_remove(at);
            false
        }
        None => true,
    };
    left.state.iter().filter(|line| is_only(line)).cloned().collect()
}
