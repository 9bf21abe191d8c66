//! Who has written which edition: what a writer asks whose answer was lost.
//!
//! A handle has one swap under way at a time. So a writer takes its line before this one out, and a
//! store has about as many lines as there are handles that write, however often they do. Lines of
//! handles that have gone are dropped when they are older than their writer asked for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::mutant::{self, Mutant};

/// So many lines are kept whatever the time: clocks may jump.
const FEWEST: usize = 16;

/// No more lines are kept, whatever was asked for: 700 KB of them. Where each commit is that of
/// another handle this is enough for 10 minutes of 27 swaps a second, or one minute of 273.
const MOST: usize = 16_384;

/// The latest editions, and which committers have written them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct History {
    /// Of editions up to this one lines were dropped that a writer may ask for.
    pub(crate) forgotten: u64,
    /// By their editions; the last is the newest.
    pub(crate) swaps: VecDeque<SwapLine>,
}

/// A swap that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SwapLine {
    /// Drawn by its writer, for this swap.
    pub(crate) id: u64,
    pub(crate) edition: u64,
    /// Seconds since the Unix epoch, by its writer's clock.
    pub(crate) time: u64,
    /// For so many seconds its writer may ask.
    pub(crate) keep: u64,
}

/// What is known of an edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The one who asks.
    Oneself,
    Another,
    /// The edition is not there yet.
    NotYet,
    /// The store has forgotten.
    Forgotten,
}

impl History {
    pub(crate) fn new() -> History {
        History { forgotten: 0, swaps: VecDeque::new() }
    }

    /// The newest edition.
    pub(crate) fn edition(&self) -> u64 {
        self.swaps.back().map_or(0, |swap| swap.edition)
    }

    /// Adds the newest swap. `settled` is one of the same handle, after which nobody asks any more.
    pub(crate) fn add(&mut self, swap: SwapLine, settled: Option<u64>) {
        self.swaps.retain(|known| Some(known.id) != settled);
        self.swaps.push_back(swap);
        self.drop_old(swap);
    }

    fn drop_old(&mut self, newest: SwapLine) {
        // A clock that runs far ahead of others' makes lines that would never grow old.
        let is_old = |swap: &SwapLine| newest.time.abs_diff(swap.time) > swap.keep;
        let asked = |swap: &SwapLine| match () {
            () if mutant::is_on(Mutant::ForgetThePast) => true,
            () if mutant::is_on(Mutant::ForgetByOwnWish) => newest.time.abs_diff(swap.time) > newest.keep,
            () => is_old(swap),
        };
        let fewest =
            if mutant::is_on(Mutant::ForgetThePast) || mutant::is_on(Mutant::ForgetByOwnWish) { 1 } else { FEWEST };
        let mut spare = self.swaps.len().saturating_sub(fewest);
        let mut excess = self.swaps.len().saturating_sub(MOST);
        let mut forgotten = self.forgotten;
        self.swaps.retain(|swap| {
            let is_dropped = spare > 0 && (excess > 0 || asked(swap));
            spare = spare.saturating_sub(1);
            if is_dropped {
                excess = excess.saturating_sub(1);
                forgotten = forgotten.max(swap.edition);
            }
            !is_dropped
        });
        self.forgotten = forgotten;
    }

    /// Who has written `edition`, to one who has drawn `id` for it.
    pub(crate) fn writer_of(&self, edition: u64, id: u64) -> Writer {
        match self.swaps.iter().find(|swap| swap.edition == edition) {
            Some(swap) if swap.id == id => Writer::Oneself,
            Some(_) => Writer::Another,
            None if edition > self.edition() => Writer::NotYet,
            None if edition <= self.forgotten => Writer::Forgotten,
            // Its writer knows what became of it, and has taken its line out.
            None => Writer::Another,
        }
    }

    /// The time from the oldest line to the newest, by the clocks of their writers.
    pub(crate) fn span(&self) -> Duration {
        let time = |swap: Option<&SwapLine>| swap.map_or(0, |swap| swap.time);
        Duration::from_secs(time(self.swaps.back()).saturating_sub(time(self.swaps.front())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a handle of its own.
    fn swap(edition: u64, time: u64) -> SwapLine {
        SwapLine { id: 1000 + edition, edition, time, keep: 10 }
    }

    fn of_each_second(editions: u64) -> History {
        let mut history = History::new();
        (1..=editions).for_each(|edition| history.add(swap(edition, edition), None));
        history
    }

    #[test]
    fn writers_are_remembered_for_as_long_as_they_asked() {
        let mut history = of_each_second(40);
        assert_eq!(history.writer_of(40, 1040), Writer::Oneself);
        assert_eq!(history.writer_of(40, 7), Writer::Another);
        assert_eq!(history.writer_of(41, 1041), Writer::NotYet);
        assert_eq!((history.forgotten, history.writer_of(24, 1024)), (24, Writer::Forgotten), "fewest are 16");
        assert_eq!(history.writer_of(0, 1000), Writer::Forgotten);
        history.add(SwapLine { keep: 100, ..swap(41, 41) }, None);
        (42..=130).for_each(|edition| history.add(swap(edition, edition), None));
        assert_eq!(history.writer_of(41, 1041), Writer::Oneself, "others who ask for less do not count");
        assert_eq!(history.writer_of(42, 1042), Writer::Forgotten);
        (131..=160).for_each(|edition| history.add(swap(edition, edition), None));
        assert_eq!(history.writer_of(41, 1041), Writer::Forgotten);
    }

    #[test]
    fn a_handle_has_one_line_however_often_it_writes() {
        let mut history = History::new();
        history.add(swap(1, 0), None);
        history.add(swap(2, 1), None);
        (3..=100_000).for_each(|edition| history.add(swap(edition, 1), Some(1000 + edition - 1)));
        assert_eq!(history.swaps.len(), 2);
        assert_eq!(history.writer_of(1, 1001), Writer::Oneself, "the other handle may still ask");
        assert_eq!(history.writer_of(2, 7), Writer::Another, "none but the two can have written it");
        assert_eq!(history.forgotten, 0);
    }

    #[test]
    fn there_is_a_most_and_what_it_drops_is_known_to_be_forgotten() {
        let mut history = History::new();
        let most = MOST as u64;
        (1..=most + 5).for_each(|edition| history.add(swap(edition, 1), None));
        assert_eq!((history.swaps.len(), history.forgotten), (MOST, 5));
        assert_eq!(history.writer_of(5, 1005), Writer::Forgotten);
        assert_eq!(history.writer_of(6, 1006), Writer::Oneself);
    }

    #[test]
    fn a_clock_that_jumps_leaves_the_latest() {
        for jump in [0, 1_000_000] {
            let mut history = History::new();
            (1..=20).for_each(|edition| history.add(swap(edition, 1000), None));
            history.add(swap(21, jump), None);
            assert_eq!(history.writer_of(6, 1006), Writer::Oneself, "{jump}");
            assert_eq!(history.writer_of(5, 1005), Writer::Forgotten, "{jump}");
        }
    }
}
