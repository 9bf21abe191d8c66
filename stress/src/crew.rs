//! The processes of a run: starting, killing, starting again, waiting.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::args::RunArgs;
use crate::chaos::Chaos;
use crate::history::History;
use crate::list_lock::ListLock;
use crate::names;
use crate::progress::Progress;
use crate::repo::Layout;
use crate::roles::RoleKind;
#[cfg(unix)]
use crate::users;
use crate::violations::Violations;

/// How long a process may take to finish its last step.
const GRACE: Duration = Duration::from_secs(30);
/// Lock time-outs that `--chaos` draws from, in milliseconds: mostly long ones, so that often all
/// that are left alive have one, and what only the end of a short one would mend is seen.
const TIMEOUTS: [u64; 8] = [0, 100, 1_000, 10_000, 10_000, 60_000, 60_000, 60_000];
/// How often the parent looks.
const LOOK: Duration = Duration::from_millis(100);

/// How many processes drive git.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Drivers {
    /// Without a pause.
    pub(crate) busy: u32,
    /// Now and then.
    pub(crate) rare: u32,
}

/// All processes of a run.
pub(crate) struct Crew<'a> {
    args: &'a RunArgs,
    layout: &'a Layout,
    seeds: fastrand::Rng,
    begin: Instant,
    /// Those that run; one that was killed is replaced.
    pub(crate) members: Vec<Member>,
    /// Those that were replaced, and whether it was the kill that ended them.
    dead: Vec<(Identity, bool)>,
}

impl Drop for Crew<'_> {
    /// Whatever goes wrong, nobody goes on alone.
    fn drop(&mut self) {
        self.end_all();
    }
}

/// A process that was started.
pub(crate) struct Member {
    pub(crate) identity: Identity,
    pub(crate) child: Child,
}

/// What a process is called and does.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Its name without the number of times that it was started.
    place: String,
    life: u32,
    /// Among all processes; it says whose process it is where there are several users.
    #[cfg_attr(not(unix), expect(dead_code, reason = "there is one user"))]
    number: u32,
    pub(crate) role: RoleKind,
}

impl Identity {
    pub(crate) fn name(&self) -> String {
        if self.life == 0 { self.place.clone() } else { format!("{}-r{}", self.place, self.life) }
    }
}

impl<'a> Crew<'a> {
    /// Starts all processes.
    pub(crate) fn start(args: &'a RunArgs, seed: u64, drivers: Drivers, layout: &'a Layout) -> Result<Crew<'a>> {
        let ours = (0..args.ours()).map(|number| (format!("ours-{number}"), RoleKind::ours(number)));
        let git = (0..drivers.busy).map(|number| (format!("git-{number}"), RoleKind::git(number)));
        let seeds = fastrand::Rng::with_seed(seed);
        let mut crew = Crew { args, layout, seeds, begin: Instant::now(), members: Vec::new(), dead: Vec::new() };
        let rare = (0..drivers.rare).map(|number| (format!("rare-git-{number}"), RoleKind::GitRare));
        for (number, (place, role)) in (0..).zip(ours.chain(git).chain(rare)) {
            let identity = Identity { place, life: 0, number, role };
            let child = crew.spawn(&identity)?;
            crew.members.push(Member { identity, child });
        }
        Ok(crew)
    }

    fn spawn(&mut self, identity: &Identity) -> Result<Child> {
        let role = clap::ValueEnum::to_possible_value(&identity.role).context("a role without a name")?;
        let left = Duration::from_secs(self.args.seconds).saturating_sub(self.begin.elapsed());
        let mut timeout = None;
        if self.args.chaos {
            timeout = self.seeds.choice(TIMEOUTS).map(|millis| format!("--lock-timeout={millis}"));
        }
        self.command(identity)?
            .envs(self.args.environment.iter().map(|(name, value)| (name, value)))
            .arg("worker")
            .args(["--role", role.get_name(), "--name", &identity.name()])
            .arg("--root")
            .arg(&self.layout.root)
            .args(["--seed", &self.seeds.u64(..).to_string(), "--millis", &left.as_millis().to_string()])
            .args(timeout)
            .args(self.args.shared.to_args())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start a process")
    }

    /// This program, to be run by whom the process belongs to.
    fn command(&self, identity: &Identity) -> Result<Command> {
        #[cfg(unix)]
        if let Some(users) = self.args.users {
            let mut command = Command::new(users::program_in(&self.layout.root));
            users::run_as(&mut command, identity.number % users, &self.layout.root);
            return Ok(command);
        }
        let _ = identity;
        Ok(Command::new(std::env::current_exe().context("cannot find this program")?))
    }

    /// Kills a member as nothing else does (SIGKILL), and starts it again under another name, with
    /// a history of its own. Returns the name of who was killed, and who had the list lock.
    pub(crate) fn kill_and_restart(&mut self, number: usize) -> Result<(String, ListLock)> {
        let store = self.store();
        let member = self.members.get_mut(number).context("nobody has this number")?;
        member.child.kill().context("cannot kill a process")?;
        let status = member.child.wait().context("cannot wait for a process")?;
        let list_lock = ListLock::after_death_of(member.child.id(), &store);
        let before = member.identity.clone();
        let after = Identity { life: before.life + 1, ..before.clone() };
        // One that has a status of its own was faster: then it must have come to its end.
        self.dead.push((before.clone(), status.code().is_none()));
        let child = self.spawn(&after)?;
        if let Some(member) = self.members.get_mut(number) {
            *member = Member { identity: after, child };
        }
        Ok((before.name(), list_lock))
    }

    /// Waits for all processes. One that does not end is ended, and that is a violation.
    pub(crate) fn wait(
        &mut self,
        mut chaos: Option<&mut Chaos>,
        progress: &mut Progress,
        violations: &mut Violations,
    ) -> Result<()> {
        let seconds = Duration::from_secs(self.args.seconds);
        loop {
            let mut pause = LOOK;
            if let Some(chaos) = &mut chaos {
                pause = chaos.step(self, self.begin.elapsed() < seconds)?.min(LOOK);
            }
            let mut running = false;
            for member in &mut self.members {
                running |= member.child.try_wait().context("cannot wait for a process")?.is_none();
            }
            progress.update(self.begin.elapsed(), || self.paths());
            if !running {
                break;
            }
            if self.begin.elapsed() > seconds + GRACE {
                violations.add("a process did not end in time");
                self.end_all();
            }
            thread::sleep(pause);
        }
        for member in &mut self.members {
            let status = member.child.wait().context("cannot wait for a process")?;
            // With 1 it says that its history has violations; they are counted there.
            if !matches!(status.code(), Some(0 | 1)) {
                violations.add(format!("{} ended with {status}", member.identity.name()));
            }
        }
        Ok(())
    }

    /// Ends all that run.
    pub(crate) fn end_all(&mut self) {
        for member in &mut self.members {
            // One that has ended already is as well.
            let _ = member.child.kill();
            let _ = member.child.wait();
        }
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.layout.store()
    }

    /// All processes that ever were, and whether each was killed.
    fn all_processes(&self) -> impl Iterator<Item = (&Identity, bool)> {
        let living = self.members.iter().map(|member| (&member.identity, false));
        living.chain(self.dead.iter().map(|(identity, was_killed)| (identity, *was_killed)))
    }

    /// The names of the threads of a process.
    fn threads(&self, identity: &Identity) -> impl Iterator<Item = String> + use<> {
        let name = identity.name();
        (0..self.args.shared.threads_of(identity.role)).map(move |number| names::thread(&name, number))
    }

    fn paths(&self) -> Vec<PathBuf> {
        let all = self.all_processes().flat_map(|(identity, _)| self.threads(identity));
        all.map(|name| self.layout.history(&name)).collect()
    }

    /// [`Self::histories`] after [`Self::end_all`]: nobody had to come to an end.
    #[cfg(unix)]
    pub(crate) fn histories_of_killed(&mut self) -> Result<Vec<History>> {
        let killed = self.members.drain(..).map(|member| (member.identity, true));
        self.dead.extend(killed);
        self.histories()
    }

    /// Reads what every process wrote down.
    pub(crate) fn histories(&self) -> Result<Vec<History>> {
        let mut histories = Vec::new();
        for (identity, was_killed) in self.all_processes() {
            for (number, name) in self.threads(identity).enumerate() {
                let path = self.layout.history(&name);
                // One that was killed may not have come to its first line.
                if was_killed && !path.exists() {
                    continue;
                }
                let mut history = History::load(&path, &name, identity.role)?;
                (history.was_killed, history.is_first) = (was_killed, number == 0);
                histories.push(history);
            }
        }
        Ok(histories)
    }
}
