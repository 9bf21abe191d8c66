//! What a person sees of long work, and how they end it.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reftable::compact::Progress;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// What takes less time shows nothing.
const PATIENCE: Duration = Duration::from_millis(300);

/// Looks after one long piece of work.
pub(crate) struct Watch {
    interrupt: Interrupt,
    start: Instant,
    /// Made when it has taken long enough; `None` also when nobody wants it.
    bar: Option<ProgressBar>,
    is_quiet: bool,
}

impl Watch {
    /// From now on Ctrl-C asks, and does not end the process. Shows a bar, unless it is to be quiet
    /// or standard error is no terminal.
    pub(crate) fn new(is_quiet: bool) -> io::Result<Watch> {
        Ok(Watch { interrupt: Interrupt::catch()?, start: Instant::now(), bar: None, is_quiet })
    }

    /// To be called with the progress of the work. Says whether it should go on.
    pub(crate) fn look(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.bar.is_none() && !self.is_quiet && self.start.elapsed() >= PATIENCE {
            self.bar = Some(bar(progress.total));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(progress.done);
        }
        if self.signal() != 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.start = Instant::now();
    }

    /// The signal that has asked for the end; 0 for none.
    pub(crate) fn signal(&self) -> i32 {
        self.interrupt.signal()
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("compacting {bar:30} {bytes} of {total_bytes}, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Signals that ask the process to end. A second one does not ask.
struct Interrupt {
    /// The one that was caught; 0 for none.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    fn catch() -> io::Result<Interrupt> {
        let (signal, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for number in [SIGINT, SIGTERM] {
            // In this order: the first signal finds that nobody has asked yet.
            flag::register_conditional_default(number, Arc::clone(&asked))?;
            flag::register(number, Arc::clone(&asked))?;
            flag::register_usize(number, Arc::clone(&signal), usize::try_from(number).unwrap_or(1))?;
        }
        Ok(Interrupt { signal })
    }

    fn signal(&self) -> i32 {
        i32::try_from(self.signal.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
