//! The references of a run: accounts that all share, and what belongs to one process alone.

/// Accounts among which amounts move.
pub(crate) const ACCOUNTS: u8 = 8;
/// What every account has in the beginning.
pub(crate) const OPENING: u8 = 100;
/// What all accounts hold together, always.
pub(crate) const TOTAL: u64 = ACCOUNTS as u64 * OPENING as u64;
/// Where the accounts are.
pub(crate) const ACCOUNT_PREFIX: &str = "refs/stress/account/";
/// Where everything of a run is.
pub(crate) const PREFIX: &str = "refs/stress/";

/// The name of a thread of a process, in histories, references and reflogs. The first one has the
/// process's.
pub(crate) fn thread(process: &str, number: u32) -> String {
    if number == 0 { process.to_owned() } else { format!("{process}-t{number}") }
}

/// The reference of an account.
pub(crate) fn account(number: u8) -> String {
    format!("{ACCOUNT_PREFIX}{number:02}")
}

/// A reference that only `process` writes.
pub(crate) fn own(process: &str, what: &str) -> String {
    format!("{PREFIX}{process}/{what}")
}
