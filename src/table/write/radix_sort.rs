//! MSD radix sort in place (American flag sort: McIlroy, Bostic and McIlroy, "Engineering radix
//! sort", 1993) of the ids of an object index, by as many threads as may work on it, until it is
//! told to end.

use std::ops::Range;
use std::thread;
use std::{mem, vec};

use super::object_index::{PART, is_same_id};
use crate::error::{Error, ErrorKind, Result};
use crate::pool::ThreadBudget;
use crate::sync::Mutex;

/// Ids that are sorted in one go: some ten milliseconds.
const LARGEST: usize = 256 * 1024;

/// Ids to be handled between two questions: a few milliseconds.
const STEP: usize = 128 * 1024;

/// Bits of a digit: ids are distributed by one digit at a time.
const DIGIT: u32 = 8;

/// Whether to go on, asked by the thread that wants the ids sorted.
pub(crate) struct Question<'a> {
    ask: &'a mut dyn FnMut() -> Result<()>,
    /// Ids that were handled since.
    handled: usize,
}

impl Question<'_> {
    pub(crate) fn new(ask: &mut dyn FnMut() -> Result<()>) -> Question<'_> {
        Question { ask, handled: 0 }
    }

    /// Some ids more have been handled.
    fn after(&mut self, ids: usize) -> Result<()> {
        self.handled += ids;
        if self.handled < STEP {
            return Ok(());
        }
        self.handled = 0;
        (self.ask)()
    }
}

/// Sorts in place, and returns how many bytes an id shares with another one at most.
///
/// If they are many, they are distributed by their first bits, and the parts sorted one by one, or
/// side by side: they have nothing to do with each other.
///
/// # Errors
/// That of the question; `Panicked`, which does not happen.
pub(crate) fn sort(objects: &mut [u128], budget: &ThreadBudget, mut question: Question<'_>) -> Result<usize> {
    if objects.len() < 2 * PART {
        objects.sort_unstable();
    }
    if objects.is_sorted() {
        return Ok(most_shared(objects));
    }
    let mut ends = Vec::new();
    partition_by_digit(objects, 0, &mut ends, &mut question)?;
    let helpers = (objects.len() / PART).min(budget.threads()) - 1;
    let within = sort_parts(split(objects, &ends), helpers, budget, &mut question)?;
    let seams = ends.iter().filter_map(|end| objects.get(end.checked_sub(1)?..=*end));
    Ok(seams.map(most_shared).fold(within, usize::max))
}

/// Distributes ids by the first bits that they differ in, and again those that are too many still.
/// Adds the ends of the parts, `start` being where the ids are among all.
fn partition_by_digit(
    objects: &mut [u128],
    start: usize,
    ends: &mut Vec<usize>,
    question: &mut Question<'_>,
) -> Result<()> {
    let shift = differing(objects, question)?.saturating_sub(DIGIT);
    let mut buckets = Buckets::count(objects, shift, question)?;
    buckets.permute(objects, question)?;
    for part in buckets.parts() {
        match objects.get_mut(part.clone()) {
            Some(many) if many.len() > LARGEST && shift > 0 => {
                partition_by_digit(many, start + part.start, ends, question)?
            }
            Some([]) | None => {}
            Some(_) => ends.push(start + part.end),
        }
    }
    Ok(())
}

/// How many bits they may differ in: the last ones.
fn differing(objects: &[u128], question: &mut Question<'_>) -> Result<u32> {
    let (first, mut bits) = (objects.first().copied().unwrap_or_default(), 0);
    for some in objects.chunks(STEP) {
        bits = some.iter().fold(bits, |bits, object| bits | (object ^ first));
        question.after(some.len())?;
    }
    Ok(u128::BITS - bits.leading_zeros())
}

/// Where the ids with each digit belong.
struct Buckets {
    /// The bits after it.
    shift: u32,
    ends: Vec<usize>,
    /// The first place for each digit that has no such id yet.
    next: Vec<usize>,
}

impl Buckets {
    fn of(object: &u128, shift: u32) -> usize {
        usize::from((object >> shift) as u8)
    }

    fn count(objects: &[u128], shift: u32, question: &mut Question<'_>) -> Result<Buckets> {
        let mut counts = [0usize; 1 << DIGIT];
        for some in objects.chunks(STEP) {
            for object in some {
                if let Some(count) = counts.get_mut(Buckets::of(object, shift)) {
                    *count += 1;
                }
            }
            question.after(some.len())?;
        }
        let ends: Vec<usize> =
            counts.iter().scan(0, |end, count| Some(mem::replace(end, *end + count) + count)).collect();
        let next = ends.iter().zip(counts).map(|(end, count)| end - count).collect();
        Ok(Buckets { shift, ends, next })
    }

    /// Puts all ids into the parts that they belong to. Whatever is found in a part goes where it
    /// belongs, and what was there comes in its place, for the next round. So one
    /// id need not wait for another to come from memory.
    fn permute(&mut self, objects: &mut [u128], question: &mut Question<'_>) -> Result<()> {
        let mut open: Vec<usize> = (0..self.ends.len()).collect();
        while !open.is_empty() {
            for &digit in &open {
                let rest = self.rest(digit);
                let handled = rest.len();
                for at in rest {
                    let place = objects.get(at).and_then(|object| self.next.get_mut(Buckets::of(object, self.shift)));
                    if let Some(place) = place {
                        objects.swap(at, mem::replace(place, *place + 1));
                    }
                }
                question.after(handled)?;
            }
            open.retain(|digit| !self.rest(*digit).is_empty());
        }
        Ok(())
    }

    /// The places of a digit that may have other ids.
    fn rest(&self, digit: usize) -> Range<usize> {
        let (next, end) = (self.next.get(digit), self.ends.get(digit));
        next.copied().unwrap_or_default()..end.copied().unwrap_or_default()
    }

    /// In order. Together they are all ids.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        self.ends.iter().scan(0, |start, end| Some(mem::replace(start, *end)..*end))
    }
}

/// Parts that no thread has begun to sort.
type UnsortedParts<'a> = Mutex<vec::IntoIter<&'a mut [u128]>>;

fn split<'a>(mut objects: &'a mut [u128], ends: &[usize]) -> Vec<&'a mut [u128]> {
    let starts = [0].iter().chain(ends);
    let lens = ends.iter().zip(starts).map(|(end, start)| end - start);
    lens.filter_map(|len| objects.split_off_mut(..len)).collect()
}

/// Sorts the parts, and returns how many bytes two ids of one part share at most.
fn sort_parts(
    parts: Vec<&mut [u128]>,
    helpers: usize,
    budget: &ThreadBudget,
    question: &mut Question<'_>,
) -> Result<usize> {
    let line = &Mutex::new(parts.into_iter());
    thread::scope(|scope| {
        let start = |_| {
            let helper = thread::Builder::new().name("reftable-pool".to_owned());
            // If the system gives none, those that are there do the work.
            let helper = helper.spawn_scoped(scope, move || sort_next(line, |_| Ok(()))).ok();
            helper.inspect(|_| budget.note_start())
        };
        let helpers: Vec<_> = (0..helpers).filter_map(start).collect();
        let mut sorted = sort_next(line, |ids| question.after(ids));
        if sorted.is_err() {
            // Helpers come to an end, too.
            *line.lock() = Vec::new().into_iter();
        }
        for helper in helpers {
            let panicked = |_| Error::new(ErrorKind::Panicked, "the sorting of the ids has panicked");
            let helped = helper.join().map_err(panicked).and_then(|helped| helped);
            sorted = sorted.and_then(|most| Ok(most.max(helped?)));
        }
        sorted
    })
}

/// Sorts parts until none is left; `after` is called with the ids of each.
fn sort_next(line: &UnsortedParts<'_>, mut after: impl FnMut(usize) -> Result<()>) -> Result<usize> {
    let mut most = 0;
    loop {
        let next = line.lock().next();
        let Some(part) = next else { return Ok(most) };
        part.sort_unstable();
        most = most.max(most_shared(part));
        after(part.len())?;
    }
}

fn most_shared(objects: &[u128]) -> usize {
    let neighbours = objects.windows(2).map(|pair| match pair {
        [a, b] => shared(a, b),
        _ => 0,
    });
    neighbours.max().unwrap_or(0)
}

/// How many bytes two ids have in common from the first on; none if they are the same.
fn shared(a: &u128, b: &u128) -> usize {
    if is_same_id(a, b) { 0 } else { (a ^ b).leading_zeros() as usize / 8 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ids_to_sort as objects;
    use super::*;

    fn sorted(mut objects: Vec<u128>, budget: &ThreadBudget) -> (Vec<u128>, usize) {
        let shared = sort(&mut objects, budget, Question::new(&mut || Ok(()))).unwrap();
        (objects, shared)
    }

    #[test]
    fn any_number_of_threads_sorts_to_the_same() {
        let mut expected = objects(500_000);
        expected.sort();
        let shared = most_shared(&expected);
        assert_eq!(shared, 7);
        for threads in [1, 2, 3, 8] {
            let budget = ThreadBudget::new(threads);
            assert!(sorted(objects(500_000), &budget) == (expected.clone(), shared), "{threads} threads");
            assert_eq!(budget.started(), (threads as u64 - 1).min(6));
        }
    }

    /// Most parts are large still after one distribution, others have one id, and one has ids
    /// that are all the same.
    #[test]
    fn ids_of_any_shape_are_sorted() {
        let random = objects(900_000);
        let few_bits = random.iter().map(|object| object >> 90 << 40);
        let shapes: [Vec<u128>; 7] = [
            random.iter().rev().map(|object| object >> 60).collect(),
            random
                .iter()
                .enumerate()
                .map(|(at, object)| if at % 3 == 0 { *object } else { (5 << 64) | (object % 7) })
                .collect(),
            few_bits.collect(),
            (0..600_000).rev().collect(),
            [vec![7; 600_000], vec![5]].concat(),
            // Two that share five bytes, which only where their parts meet can be seen.
            (0..300_000).map(|at| ((at % 2) << 84) | at).collect(),
            vec![7; 600_000],
        ];
        for (shape, objects) in shapes.into_iter().enumerate() {
            let mut expected = objects.clone();
            expected.sort();
            let shared = most_shared(&expected);
            assert!(sorted(objects, &ThreadBudget::new(2)) == (expected, shared), "shape {shape}");
        }
    }

    #[test]
    fn no_part_is_too_large_to_wait_for() {
        let mut many: Vec<u128> = objects(1_000_000).into_iter().map(|object| object >> 1 >> (object % 64)).collect();
        let mut ends = Vec::new();
        partition_by_digit(&mut many, 0, &mut ends, &mut Question::new(&mut || Ok(()))).unwrap();
        assert_eq!(ends.last(), Some(&many.len()));
        let parts = split(&mut many, &ends);
        assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= LARGEST));
        assert!(parts.windows(2).all(|pair| pair[0].iter().max() < pair[1].iter().min()));
    }

    #[test]
    fn few_are_sorted_by_one() {
        let budget = ThreadBudget::new(8);
        assert!(sorted(objects(100_000), &budget).0.is_sorted());
        assert_eq!(budget.started(), 0);
    }

    /// Every id is handled four times: looked at, counted, distributed and sorted. The first three
    /// times it is by the owner.
    #[test]
    fn it_ends_at_any_question() {
        const COUNT: usize = 1_500_000;
        let stop = || Error::new(ErrorKind::Cancelled, "enough");
        for (threads, all) in [(1, 4), (3, 3)] {
            let (budget, mut left_alone) = (ThreadBudget::new(threads), false);
            for stop_at in 0.. {
                let (mut many, mut questions) = (objects(COUNT as u128), 0);
                let mut ask = || {
                    questions += 1;
                    if questions > stop_at { Err(stop()) } else { Ok(()) }
                };
                match sort(&mut many, &budget, Question::new(&mut ask)) {
                    Err(error) => {
                        assert_eq!((error.kind(), questions), (ErrorKind::Cancelled, stop_at + 1));
                        left_alone |= stop_at > 3 * COUNT / STEP && !many.is_sorted();
                    }
                    Ok(_) => {
                        // A step that is not full by then counts with the next.
                        assert!(stop_at > all * (COUNT / STEP - 2), "{stop_at} questions");
                        assert!(left_alone, "{threads} threads sort on when it has ended");
                        break;
                    }
                }
            }
        }
    }
}
