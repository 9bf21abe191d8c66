//! Which system calls change a directory, and what a stop of one tells.

use std::os::fd::RawFd;

use nix::libc;
use nix::unistd::Pid;

/// A system call at its entry: its number and its arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    number: i64,
    args: [u64; 6],
}

/// What a system call may change, and by which file it can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// None that a directory could show.
    None,
    /// The contents of the file that this descriptor stands for.
    Contents(RawFd),
    /// The contents of files that are known by their path.
    ContentsByPath,
    /// Names. `opens` says that the result is a descriptor, whose file may be new or cut.
    Names { opens: bool },
    /// What is stored beside the contents: attributes and modes.
    Attributes(Option<RawFd>),
    /// All that the file of this descriptor has is made durable.
    Sync(RawFd),
    /// All files of the file system are made durable.
    SyncAll,
    /// The file of this descriptor is mapped, so that it can be written without any call.
    Maps(RawFd),
    /// Calls follow that cannot be seen.
    Unseen(&'static str),
}

impl Call {
    /// The call that a process has stopped in.
    pub(super) fn at_entry(pid: Pid) -> nix::Result<Call> {
        registers::entry(pid)
    }

    /// What it returned, once the process has stopped at its end; an error is negative.
    pub(super) fn result(pid: Pid) -> nix::Result<i64> {
        registers::result(pid)
    }

    #[expect(clippy::cast_possible_truncation, reason = "descriptors and flags are 32 bits wide in the call itself")]
    fn arg(&self, index: usize) -> i32 {
        self.args.get(index).map_or(-1, |arg| *arg as i32)
    }

    /// What it may change if it succeeds.
    pub(super) fn effect(&self) -> Effect {
        const NAMES: Effect = Effect::Names { opens: false };
        match self.number {
            libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 | libc::SYS_pwritev => {
                Effect::Contents(self.arg(0))
            }
            libc::SYS_pwritev2 | libc::SYS_sendfile | libc::SYS_fallocate => Effect::Contents(self.arg(0)),
            libc::SYS_ftruncate | libc::SYS_ioctl => Effect::Contents(self.arg(0)),
            libc::SYS_copy_file_range | libc::SYS_splice => Effect::Contents(self.arg(2)),
            libc::SYS_truncate => Effect::ContentsByPath,
            libc::SYS_openat if changes(self.arg(2)) => Effect::Names { opens: true },
            libc::SYS_openat2 => Effect::Names { opens: true },
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat | libc::SYS_unlinkat => NAMES,
            libc::SYS_mkdirat | libc::SYS_symlinkat | libc::SYS_mknodat => NAMES,
            libc::SYS_setxattr | libc::SYS_lsetxattr | libc::SYS_removexattr => Effect::Attributes(None),
            libc::SYS_lremovexattr | libc::SYS_fchmodat => Effect::Attributes(None),
            libc::SYS_fsetxattr | libc::SYS_fremovexattr | libc::SYS_fchmod => Effect::Attributes(Some(self.arg(0))),
            libc::SYS_fsync | libc::SYS_fdatasync => Effect::Sync(self.arg(0)),
            libc::SYS_sync | libc::SYS_syncfs => Effect::SyncAll,
            libc::SYS_mmap if self.maps_for_writing() => Effect::Maps(self.arg(4)),
            libc::SYS_io_uring_setup => Effect::Unseen("io_uring"),
            number => registers::older_call(number, self.arg(1)),
        }
    }

    fn maps_for_writing(&self) -> bool {
        let is_shared = self.arg(3) & libc::MAP_TYPE != libc::MAP_PRIVATE;
        is_shared && self.arg(2) & libc::PROT_WRITE != 0 && self.arg(3) & libc::MAP_ANONYMOUS == 0
    }
}

/// Whether such an open can make a file, or cut one.
fn changes(flags: i32) -> bool {
    flags & (libc::O_CREAT | libc::O_TRUNC) != 0 || flags & libc::O_TMPFILE == libc::O_TMPFILE
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use nix::libc;
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    use super::{Call, Effect, changes};

    pub(super) fn entry(pid: Pid) -> nix::Result<Call> {
        let regs = ptrace::getregs(pid)?;
        let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        Ok(Call { number: regs.orig_rax.cast_signed(), args })
    }

    pub(super) fn result(pid: Pid) -> nix::Result<i64> {
        Ok(ptrace::getregs(pid)?.rax.cast_signed())
    }

    /// Calls that newer machines no longer have.
    pub(super) fn older_call(number: i64, second: i32) -> Effect {
        const NAMES: Effect = Effect::Names { opens: false };
        match number {
            libc::SYS_open if changes(second) => Effect::Names { opens: true },
            libc::SYS_creat => Effect::Names { opens: true },
            libc::SYS_rename | libc::SYS_link | libc::SYS_unlink | libc::SYS_symlink => NAMES,
            libc::SYS_mkdir | libc::SYS_rmdir | libc::SYS_mknod => NAMES,
            libc::SYS_chmod => Effect::Attributes(None),
            _ => Effect::None,
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod registers {
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    use super::{Call, Effect};

    pub(super) fn entry(pid: Pid) -> nix::Result<Call> {
        let [a, b, c, d, e, f, _, _, number, ..] = ptrace::getregs(pid)?.regs;
        Ok(Call { number: number.cast_signed(), args: [a, b, c, d, e, f] })
    }

    pub(super) fn result(pid: Pid) -> nix::Result<i64> {
        let [result, ..] = ptrace::getregs(pid)?.regs;
        Ok(result.cast_signed())
    }

    pub(super) fn older_call(_number: i64, _second: i32) -> Effect {
        Effect::None
    }
}
