//! Command lines and inputs at random, right and wrong, for git in one copy of a repository and for
//! us in the other: exit code, output, references, logs and what hooks are told must be the same.
//! With a git as new as the one whose words we have, so must the first line of a message.
//!
//! `REFTABLE_CASES` sets how many repositories, `REFTABLE_SEED` with which seed they begin,
//! `REFTABLE_GIT` which git is the other.

mod explained;
mod input;
mod random;
mod words;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reftable::escape::escaped;

use crate::effort::{bound, loudly};
use crate::support::{for_each_hash, isolated};
use random::Random;
use words::{Invocation, Source};
use world::{End, World, difference, furnish};

/// How many commands each repository gets.
const ROUNDS: usize = 12;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

/// Whether this git has the commands and the messages of 2.55; `None` if nobody has looked at it.
fn is_new(git: &Path) -> Option<bool> {
    let version = isolated(git).arg("version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let mut numbers = version.trim_start_matches("git version ").split('.').map_while(|part| part.parse::<u32>().ok());
    match numbers.next().zip(numbers.next()) {
        Some((2, 47)) => Some(false),
        Some(version) if version >= (2, 55) => Some(true),
        _ => None,
    }
}

fn shown(invocation: &Invocation) -> String {
    let words: Vec<String> =
        invocation.words.iter().map(|word| format!("'{}'", escaped(word.as_encoded_bytes()))).collect();
    let input: String = escaped(&invocation.input).to_string().chars().take(2000).collect();
    format!("{}\n  input: {input}", words.join(" "))
}

/// What has come of it so far.
#[derive(Default)]
struct Counts {
    done: usize,
    refused: usize,
    explained: BTreeMap<&'static str, usize>,
    /// By what they look like: the first of that kind, and how many.
    differences: BTreeMap<String, (String, usize)>,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.done += other.done;
        self.refused += other.refused;
        for (why, count) in other.explained {
            *self.explained.entry(why).or_default() += count;
        }
        for (kind, (first, count)) in other.differences {
            self.differences.entry(kind).or_insert((first, 0)).1 += count;
        }
    }
}

#[test]
fn random_commands_end_as_with_git() {
    let git = std::env::var_os("REFTABLE_GIT").map_or(PathBuf::from("git"), PathBuf::from);
    let Some(is_new) = is_new(&git) else {
        return loudly("SKIPPED: random commands are compared with git 2.47, and with 2.55 and newer");
    };
    let counts = Mutex::new(Counts::default());
    for_each_hash(|repo| {
        let cases = number("REFTABLE_CASES").unwrap_or_else(|| bound("repositories for random commands", 40, 6));
        let objects = furnish(repo);
        for case in 0..cases {
            let random = &mut Random::new(number("REFTABLE_SEED").unwrap_or(19), case);
            let world = World::new(repo, random);
            let source = Source { random, objects: &objects, is_new };
            let played = play(&world, &git, source, &format!("{}, case {case}", repo.hash));
            counts.lock().unwrap().add(played);
        }
    });
    let Counts { done, refused, explained, differences } = counts.into_inner().unwrap();
    println!("{done} done, {refused} refused, explained: {explained:#?}");
    for (first, count) in differences.values() {
        println!("{count} times, first {first}");
    }
    assert!(differences.is_empty(), "{} kinds of differences", differences.len());
    assert!(done * 4 > refused && refused * 4 > done, "too one-sided: {done} done, {refused} refused");
    assert!(explained.values().sum::<usize>() * 6 < done + refused, "too much is explained: {explained:?}");
}

/// Runs some commands, until one ends differently.
fn play(world: &World, git: &Path, mut source: Source<'_>, which: &str) -> Counts {
    let mut counts = Counts::default();
    for round in 0..ROUNDS {
        let invocation = source.invocation();
        let (mut theirs, mut ours) = (world.by_git(git, &invocation), world.by_us(&invocation));
        if let Some(place) = ours.said.rfind("; line ") {
            // We say in which line.
            ours.said.truncate(place);
        }
        // An older git says other things, and what is said about wrong arguments is ours. Hooks did
        // not hear of the first phase then.
        let says_the_same = !source.is_new || theirs.code == Some(129) || theirs.said == ours.said;
        if !source.is_new {
            theirs.told.clone_from(&ours.told);
        }
        let is_alike =
            (theirs.code, &theirs.out, &theirs.state, &theirs.told) == (ours.code, &ours.out, &ours.state, &ours.told);
        if is_alike && says_the_same {
            *if ours.code == Some(0) { &mut counts.done } else { &mut counts.refused } += 1;
            continue;
        }
        if let Some(why) = explained::why(&invocation, &theirs, &ours) {
            *counts.explained.entry(why).or_default() += 1;
        } else {
            let first = || format!("{which}, round {round}: {}", differing(&invocation, &theirs, &ours));
            counts.differences.entry(kind(&invocation, &theirs, &ours)).or_insert_with(|| (first(), 0)).1 += 1;
        }
        if (&theirs.state, &theirs.told) != (&ours.state, &ours.told) {
            // What follows would build on the difference.
            break;
        }
    }
    counts
}

/// All that is to be known about a difference.
fn differing(invocation: &Invocation, git: &End, ours: &End) -> String {
    format!(
        "{}\n  git: {:?} '{}' {:?}\n  we:  {:?} '{}' {:?}\n{}",
        shown(invocation),
        git.code,
        git.said,
        git.out,
        ours.code,
        ours.said,
        ours.out,
        difference(&git.state, &ours.state) + &difference(&git.told, &ours.told)
    )
}

/// What differences of one kind have in common: the command, the codes, and what is said without
/// names and ids.
fn kind(invocation: &Invocation, git: &End, ours: &End) -> String {
    let words: Vec<_> = invocation.words.iter().take(2).map(|word| word.to_string_lossy()).collect();
    let outlines = [git, ours].map(|end| {
        let words = end.said.split([' ', '\'']).filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
        format!("{:?} {}", end.code, words.collect::<Vec<_>>().join(" "))
    });
    format!("{words:?} {outlines:?} {} {}", git.out == ours.out, (&git.state, &git.told) == (&ours.state, &ours.told))
}
