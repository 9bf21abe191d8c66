//! The command line, of the parent and of the workers it starts.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use reftable::{HashKind, Options};

#[cfg(unix)]
use crate::bench::{args::BenchArgs, check::CheckArgs, ours::DriverArgs, spec::GitSpec};
#[cfg(unix)]
use crate::power_cut::machine::FileSystem;
use crate::roles::RoleKind;

/// Many processes, some of them git, commit to one repository at once; the result is verified.
///
/// Exits 0 when all is well, 1 on any violation, 2 for wrong usage or when the run says nothing, 3
/// when the run could not be carried out.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = RUN_EXAMPLES)]
pub(crate) struct Args {
    /// How the parent is to run.
    #[command(flatten)]
    pub(crate) run: RunArgs,
    /// What a started process is; absent in the parent.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What else it can do, and what only this program calls itself with.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One of the processes of a run.
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// Whether git fares worse beside us than beside as many of its own kind; exits with 1 if so
    #[command(after_help = NEIGHBOURS_EXAMPLES)]
    Neighbours(NeighboursArgs),
    /// Whether power failures lose what was acknowledged; needs root
    #[cfg(unix)]
    #[command(after_help = POWER_CUT_EXAMPLES)]
    PowerCut(PowerCutArgs),
    /// The first process after a power failure.
    #[cfg(unix)]
    #[command(hide = true)]
    PowerJudge(PowerJudgeArgs),
    /// Whether a store in an object store keeps its promises while requests and answers are lost;
    /// exits with 1 if not
    #[cfg(all(unix, feature = "bucket"))]
    #[command(after_help = crate::bucket::args::EXAMPLES)]
    Bucket(crate::bucket::args::BucketArgs),
    /// One of its processes.
    #[cfg(all(unix, feature = "bucket"))]
    #[command(hide = true)]
    BucketMachine(crate::bucket::args::MachineArgs),
    /// Ends a server when the program ends that has started it.
    #[cfg(all(unix, feature = "bucket"))]
    #[command(hide = true)]
    BucketGuard(crate::bucket::guard::GuardArgs),
    /// How many commits are lost when agents commit at once, each in a worktree, with the git that
    /// is given; exits with 1 if any is with the first
    Agents(AgentsArgs),
    /// Whether a git that is given goes on after kills; exits with 1 if the first does not
    KillGit(KillGitArgs),
    /// How many references a second loops of `git update-ref` write with the git that is given;
    /// exits with 1 if any fails with the first
    ///
    /// REFTABLE_POLICY in the environment is passed on to all.
    Loops(LoopsArgs),
    /// Whether threads on one repository lose or fail anything with the libgit2 that is given;
    /// exits with 1 if they do with the first
    ///
    /// It needs a C compiler, as `cc`. REFTABLE_POLICY in the environment is passed on.
    Libgit2(Libgit2Args),
    /// One of our loops beside git.
    #[command(hide = true)]
    Neighbour(NeighbourArgs),
    /// Judges a run that was kept, or a history of any origin; exits with 1 if a claim is broken
    #[cfg(unix)]
    Check(CheckArgs),
    /// This library as a driver that speaks the lines of docs/bench.md, or a liar
    #[cfg(unix)]
    Driver(DriverArgs),
}

/// The settings of `agents`.
#[derive(Debug, clap::Args)]
pub(crate) struct AgentsArgs {
    /// The git program; if given again, others beside it
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/git")]
    pub(crate) git: Vec<PathBuf>,
    /// Agents, each with a worktree
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) worktrees: u32,
    /// Commits of each
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) commits: u32,
}

/// The settings of `kill-git`.
#[derive(Debug, clap::Args)]
pub(crate) struct KillGitArgs {
    /// The git program; if given again, others beside it
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/git")]
    pub(crate) git: Vec<PathBuf>,
    /// Kills
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) times: u32,
    /// Decides when they come
    #[arg(long, default_value_t = 4711)]
    pub(crate) seed: u64,
}

/// The settings of `loops`.
#[derive(Debug, clap::Args)]
pub(crate) struct LoopsArgs {
    /// The git program; if given again, others beside it
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/git")]
    pub(crate) git: Vec<PathBuf>,
    /// Loops, each with names of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) loops: u32,
    /// Seconds that they go on in a round
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Rounds, in each of which all gits have their turn on repositories of their own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// A setting of the repositories
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) config: Vec<String>,
    /// A loop is one `update-ref --stdin` with many transactions, and not a process for each
    #[arg(long)]
    pub(crate) stdin: bool,
}

/// The settings of `libgit2`.
#[derive(Debug, clap::Args)]
pub(crate) struct Libgit2Args {
    /// The shared library; if given again, others beside it
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) library: Vec<PathBuf>,
    /// The git that makes the repositories, and looks at what is in them afterwards
    #[arg(long, value_name = "PATH", default_value = "/usr/bin/git")]
    pub(crate) git: PathBuf,
    /// Threads, each with a handle and references of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// References that each of them makes; it deletes one of four
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) changes: u32,
    /// Rounds, in each of which all libraries have their turn on repositories of their own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
}

/// The settings of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Seconds that the processes work
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Processes of this library [default: 6, or 0 where programs are driven]
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub(crate) processes: Option<u32>,
    /// Processes that drive `git update-ref --stdin`: a number, a path, or both with a colon
    /// [default: 2, or 0 where other programs are driven]
    ///
    /// With a path that git is driven and judged, as by --driver, and it makes the repository.
    #[arg(long, value_name = "[N:]PATH|N")]
    pub(crate) git: Option<GitSpec>,
    /// Processes that drive git as well, one transaction every 0.5 to 2 seconds
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub(crate) rare_git: u32,
    /// Processes run as so many users of one group, in a setgid directory; needs root, else the run
    /// is skipped
    ///
    /// With REFTABLE_REQUIRE_MOUNTS in the environment, it is an error not to be root.
    #[cfg(unix)]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) users: Option<u32>,
    /// Decides what every process chooses; random (and printed) if not given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Make the repository here and keep it; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Kill processes at random, ten a second, and start them again; stop others for a while.
    ///
    /// Where programs are driven all of them are killed, and so are gits with --processes 0; else
    /// our processes are, beside gits that are not. Each start draws a lock time-out from 0 to 60
    /// seconds. Where kernel locks are robust, the run fails if after a kill nobody could commit
    /// for more than 1 s; and, of at least 100 kills of processes with a commit in flight, if after
    /// more than one in a hundred nobody could for more than 100 ms, or one in ten of 20 to 99 such
    /// kills.
    #[arg(long)]
    pub(crate) chaos: bool,
    /// A control that must fail: with each kill a lock appears that nobody may break, for so many
    /// milliseconds.
    #[arg(long, hide = true, requires = "chaos", value_name = "MS", num_args = 0..=1, default_missing_value = "2500")]
    pub(crate) break_robustness: Option<u64>,
    /// A control that must fail: the newest table is lost after the run.
    #[arg(long, hide = true)]
    pub(crate) break_store: bool,
    /// Print a last line of JSON with all numbers
    #[arg(long)]
    pub(crate) json: bool,
    /// How other programs are driven.
    #[command(flatten)]
    pub(crate) bench: BenchArgs,
    /// What every process is told.
    #[command(flatten)]
    pub(crate) shared: Shared,
    /// What is in the environment of every process besides.
    #[arg(skip)]
    pub(crate) environment: Vec<(&'static str, OsString)>,
}

/// What parent and workers have in common.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Shared {
    /// What our commits sync
    #[arg(long, value_enum, default_value_t = Durability::Full)]
    pub(crate) durability: Durability,
    /// Make a SHA-256 repository
    #[arg(long)]
    pub(crate) sha256: bool,
    /// Threads of each of our processes that commits; they share one stack
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: u32,
    /// A control that must fail: our transfers are two commits instead of one.
    #[arg(long, hide = true)]
    pub(crate) break_atomicity: bool,
    /// A control that must fail: our writers now and then acknowledge what they never committed.
    #[arg(long, hide = true)]
    pub(crate) break_acks: bool,
}

/// `--durability`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// Table, list and directory
    Full,
    /// Table and list
    Ordered,
    /// Nothing
    Off,
}

/// The settings of one process.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct WorkerArgs {
    /// What it does.
    #[arg(long, value_enum)]
    pub(crate) role: RoleKind,
    /// Its name in histories, references and reflogs.
    #[arg(long)]
    pub(crate) name: String,
    /// Where the files of the run are.
    #[arg(long)]
    pub(crate) root: PathBuf,
    /// Its own seed.
    #[arg(long)]
    pub(crate) seed: u64,
    /// How long it works.
    #[arg(long)]
    pub(crate) millis: u64,
    /// How long it waits for the lock, in milliseconds; the library's default if not given.
    #[arg(long)]
    pub(crate) lock_timeout: Option<u64>,
    /// What every process is told.
    #[command(flatten)]
    pub(crate) shared: Shared,
}

impl WorkerArgs {
    /// How this process opens the store.
    pub(crate) fn options(&self) -> Options {
        let options = self.shared.options();
        match self.lock_timeout {
            Some(millis) => options.lock_timeout(Some(Duration::from_millis(millis))),
            None => options,
        }
    }
}

impl Shared {
    /// The hash function of the repository.
    pub(crate) fn hash(&self) -> HashKind {
        if self.sha256 { HashKind::Sha256 } else { HashKind::Sha1 }
    }

    /// How our processes open the store.
    pub(crate) fn options(&self) -> Options {
        let durability = match self.durability {
            Durability::Full => reftable::Durability::Full,
            Durability::Ordered => reftable::Durability::Ordered,
            Durability::Off => reftable::Durability::Off,
        };
        Options::default().hash(self.hash()).durability(durability)
    }

    /// How many threads a process of this role has.
    pub(crate) fn threads_of(&self, role: RoleKind) -> u32 {
        if role.commits_as_ours() { self.threads } else { 1 }
    }

    /// The same as arguments, for a worker.
    pub(crate) fn to_args(&self) -> Vec<String> {
        let durability = match self.durability {
            Durability::Full => "--durability=full",
            Durability::Ordered => "--durability=ordered",
            Durability::Off => "--durability=off",
        };
        let flags =
            [(self.sha256, "--sha256"), (self.break_atomicity, "--break-atomicity"), (self.break_acks, "--break-acks")];
        let set = flags.iter().filter(|(on, _)| *on).map(|(_, flag)| (*flag).to_owned());
        [durability.to_owned(), format!("--threads={}", self.threads)].into_iter().chain(set).collect()
    }
}

const RUN_EXAMPLES: &str = "\
Examples:
  reftable-stress                                    six processes of this library, two of git's, ten seconds
  reftable-stress --seconds 60 --threads 4 --git 0   ours alone, four threads each
  reftable-stress --chaos --seconds 22 --processes 5 --threads 4
                                                     kills; long enough to judge how soon others go on
  reftable-stress --chaos --git 0 --rare-git 1       kills beside a single git that commits now and then
  sudo reftable-stress --chaos --users 3             kills in a repository that three users share
  reftable-stress --driver 'my-git update-ref --stdin' --chaos
                                                     a program that speaks as git does
  reftable-stress --line-driver \"4:python3 $PWD/mine.py\" --ref-format own --chaos
                                                     a store of your own, of which git knows nothing";

const NEIGHBOURS_EXAMPLES: &str = "\
Examples:
  reftable-stress neighbours                        four loops of git beside four of this library
  reftable-stress neighbours --rare                 one git that tries now and then, 200 times a row: 13 minutes
  reftable-stress neighbours --rare --processes 8   the same beside eight
  reftable-stress neighbours --rare --fairness off  the control: without back-off for git, exits with 1";

/// Attempts of a rare git below which a row says nothing.
pub(crate) const ENOUGH_TRIES: u32 = 200;

#[cfg(unix)]
const POWER_CUT_EXAMPLES: &str = "\
Examples:
  reftable-stress power-cut                                   20 images of each of five file systems
  reftable-stress power-cut --file-system xfs --images 200    many of one
  reftable-stress power-cut --control                         exits with 1 unless those who promise nothing lose commits
  reftable-stress power-cut --scratch /dev/shm                images in memory, where cuts come thicker
  reftable-stress power-cut --git ../git/git --control        a git that is linked with the C library
  reftable-stress power-cut --record-writes 500 --file-system ext4-ordered
                                                              every state that a disk with a cache may be left in";

/// The settings of `power-cut`.
#[cfg(unix)]
#[derive(Debug, clap::Args)]
pub(crate) struct PowerCutArgs {
    /// Images of each file system, spread over all variants of writers
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) images: u32,
    /// Instead of images at random moments: record so many writes of the block device in each
    /// variant, and judge every state that a disk with a cache may be left in after each of them
    ///
    /// These are all writes until then, and the same without one that no flush has made durable, of
    /// the last 64. It is some five images a write, and some ten images a second.
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "WRITES", num_args = 0..=1, default_missing_value = "500", conflicts_with = "images")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) record_writes: Option<u32>,
    /// Only these file systems; one that cannot be had is an error then
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) file_system: Vec<FileSystem>,
    /// Decides what every process chooses, and the pauses between cuts; random (and printed) if not
    /// given
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where images are put, by default the directory for temporary files
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Fail unless `Ordered` or git was seen to lose what it had acknowledged
    #[arg(long)]
    pub(crate) control: bool,
    /// Judge this git, which is linked with the C library, in the place of this library: with the
    /// policy `full`, with `core.fsync=committed`, and with its defaults as a control
    #[arg(long, value_name = "PATH")]
    pub(crate) git: Option<PathBuf>,
    /// A control that must fail: our writers now and then acknowledge what they never committed.
    #[arg(long, hide = true)]
    pub(crate) break_acks: bool,
    /// Print a last line of JSON with all numbers
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(unix)]
impl PowerCutArgs {
    /// Those that were asked for, or all.
    pub(crate) fn file_systems(&self) -> Vec<FileSystem> {
        if self.file_system.is_empty() { FileSystem::value_variants().to_vec() } else { self.file_system.clone() }
    }

    /// How much is tried of each, in words.
    pub(crate) fn amount(&self) -> String {
        #[cfg(target_os = "linux")]
        if let Some(writes) = self.record_writes {
            return format!("{writes} recorded writes of each variant of writers on");
        }
        format!("{} images", self.images)
    }
}

/// The settings of the first process after a power failure.
#[cfg(unix)]
#[derive(Debug, clap::Args)]
pub(crate) struct PowerJudgeArgs {
    /// The store.
    #[arg(long)]
    pub(crate) store: PathBuf,
}

impl RunArgs {
    /// Processes of this library, where they are not drivers.
    pub(crate) fn ours(&self) -> u32 {
        self.processes.unwrap_or(6)
    }

    /// Processes of git's, where they are not drivers.
    pub(crate) fn gits(&self) -> u32 {
        self.git.as_ref().map_or(2, |git| git.count)
    }

    /// Processes of this library that are neither killed nor watched.
    #[cfg(unix)]
    pub(crate) fn for_writers(processes: u32, seconds: u64, seed: u64, shared: Shared) -> RunArgs {
        RunArgs {
            seconds,
            processes: Some(processes),
            git: Some(GitSpec { count: 0, program: None }),
            rare_git: 0,
            users: None,
            seed: Some(seed),
            dir: None,
            chaos: false,
            break_robustness: None,
            break_store: false,
            json: false,
            bench: BenchArgs::default(),
            shared,
            environment: Vec::new(),
        }
    }
}

/// The settings of `neighbours`.
#[derive(Debug, clap::Args)]
pub(crate) struct NeighboursArgs {
    /// Seconds that each of the three crowds of a round works
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// Rounds; each lets loose all three crowds in turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Processes of this library, and as many loops of git beside them, or in their place
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    /// Judge a single git that tries every 0.5 to 2 seconds, so often in each row, instead of busy
    /// ones
    #[arg(long, value_name = "TRIES", num_args = 0..=1, default_missing_value = "200", conflicts_with = "seconds")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rare: Option<u32>,
    /// Whether those who are judged back off for git; without them the program can be seen to
    /// exit with 1
    #[arg(long, value_enum, default_value_t = Switch::On)]
    pub(crate) fairness: Switch,
    /// Print a last line of JSON with all numbers
    #[arg(long)]
    pub(crate) json: bool,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// The settings of one loop of this library beside git.
#[derive(Debug, clap::Args)]
pub(crate) struct NeighbourArgs {
    /// Its name in references.
    #[arg(long)]
    pub(crate) name: String,
    /// The store.
    #[arg(long)]
    pub(crate) store: PathBuf,
    /// How long it works.
    #[arg(long)]
    pub(crate) millis: u64,
    /// Whether it backs off for git.
    #[arg(long)]
    pub(crate) fairness: bool,
}

/// An argument that is well-formed and still makes no sense.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
