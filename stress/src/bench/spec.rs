//! `--driver [N:]COMMAND` and its like.

use std::path::PathBuf;
use std::str::FromStr;

/// How many sessions a driver has where that is not said.
const SESSIONS: u32 = 2;
/// The most.
const MOST: u32 = 256;

/// A program that is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Sessions of it at once.
    pub(crate) count: u32,
    /// What the shell runs for each.
    pub(crate) command: String,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Spec, String> {
        let (count, command) = counted(text)?;
        if command.trim().is_empty() {
            return Err("there is no command".to_owned());
        }
        Ok(Spec { count: count.unwrap_or(SESSIONS), command: command.to_owned() })
    }
}

/// `--git N`, `--git PATH` or `--git N:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitSpec {
    /// How many processes drive it.
    pub(crate) count: u32,
    /// The program, where it is not the one on the path.
    pub(crate) program: Option<PathBuf>,
}

impl FromStr for GitSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<GitSpec, String> {
        if let Ok(count) = text.parse() {
            return Ok(GitSpec { count: within(count)?, program: None });
        }
        let (count, program) = counted(text)?;
        if program.is_empty() {
            return Err("there is no path".to_owned());
        }
        Ok(GitSpec { count: count.unwrap_or(SESSIONS), program: Some(program.into()) })
    }
}

/// A number and a colon may stand first.
fn counted(text: &str) -> Result<(Option<u32>, &str), String> {
    match text.split_once(':') {
        Some((count, rest)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
            let count = count.parse().map_err(|_| format!("at most {MOST}"))?;
            if count == 0 {
                return Err("a driver without sessions does nothing".to_owned());
            }
            Ok((Some(within(count)?), rest))
        }
        _ => Ok((None, text)),
    }
}

fn within(count: u32) -> Result<u32, String> {
    if count > MOST { Err(format!("at most {MOST}")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_stand_first() {
        let spec = |count, command: &str| Ok(Spec { count, command: command.to_owned() });
        assert_eq!("4:git update-ref --stdin".parse(), spec(4, "git update-ref --stdin"));
        assert_eq!("PATH=/x:/y prog".parse(), spec(2, "PATH=/x:/y prog"));
        assert!("0:x".parse::<Spec>().is_err() && "257:x".parse::<Spec>().is_err() && "3:".parse::<Spec>().is_err());
    }

    #[test]
    fn git_is_a_number_or_a_path_or_both() {
        let git = |count, program: Option<&str>| Ok(GitSpec { count, program: program.map(PathBuf::from) });
        assert_eq!("4".parse(), git(4, None));
        assert_eq!("/opt/git".parse(), git(2, Some("/opt/git")));
        assert_eq!("3:/opt/git".parse(), git(3, Some("/opt/git")));
        assert!("300".parse::<GitSpec>().is_err() && "".parse::<GitSpec>().is_err());
    }
}
