//! Cycles of "came before": in the versions of a reference, in what was read, in real time.

use std::collections::{BTreeSet, VecDeque};

use super::ops::{ABSENT, Op, Ops, Outcome};
use super::versions::Versions;

/// Cycles are looked for from so many places.
const STARTS: usize = 64;
/// So many are told.
const MOST: usize = 5;

/// Who came before whom. The first nodes are operations; the others are moments: each completion
/// that is known has one, and each moment comes before the next. An operation comes before the
/// moment of its completion, and the last moment before its beginning before it: so real time takes
/// few edges.
struct Graph {
    after: Vec<Vec<usize>>,
    ops: usize,
}

/// Short cycles, as operations; none through those of which something was `told`.
pub(super) fn find(ops: &Ops, versions: &Versions, told: &BTreeSet<usize>) -> Vec<Vec<usize>> {
    let graph = Graph::of(ops, versions);
    let mut cycles: Vec<Vec<usize>> = Vec::new();
    let mut done = told.clone();
    for group in components(&graph.after) {
        let members: BTreeSet<usize> = group.into_iter().collect();
        let starts = members.iter().filter(|node| **node < graph.ops).take(STARTS);
        let short = starts.filter_map(|start| graph.cycle(*start, &members)).min_by_key(Vec::len);
        let Some(cycle) = short else { continue };
        // A cycle through what was told is what was told.
        if cycle.len() > 1 && members.iter().all(|node| !done.contains(node)) {
            done.extend(&cycle);
            cycles.push(cycle);
        }
        if cycles.len() >= MOST {
            break;
        }
    }
    cycles
}

impl Graph {
    fn of(ops: &Ops, versions: &Versions) -> Graph {
        let mut moments: Vec<usize> = ops.all.iter().map(Op::over).filter(|over| *over != usize::MAX).collect();
        moments.sort_unstable();
        let count = ops.all.len();
        let mut graph = Graph { after: vec![Vec::new(); count + moments.len()], ops: count };
        for moment in 1..moments.len() {
            graph.edge(count + moment - 1, count + moment);
        }
        for (number, op) in ops.all.iter().enumerate() {
            if op.outcome != Outcome::Ok && !versions.is_effective(number) {
                continue;
            }
            if let Ok(moment) = moments.binary_search(&op.over()) {
                graph.edge(number, count + moment);
            }
            if let Some(before) = moments.partition_point(|moment| *moment < op.invoked).checked_sub(1) {
                graph.edge(count + before, number);
            }
            graph.versions(number, op, versions);
        }
        graph
    }

    /// What an operation builds upon or reads comes before it; it comes before what takes that
    /// away.
    fn versions(&mut self, number: usize, op: &Op, versions: &Versions) {
        // Of one that was not acknowledged nobody knows what it has read.
        let reads = || op.reads.iter().filter(|_| op.has_read());
        let built_upon = op.swaps.iter().map(|swap| (swap.name, swap.old));
        for (name, value) in built_upon.chain(reads().copied()).filter(|(_, value)| *value != ABSENT) {
            if let Some(writer) = versions.writer(name, value).filter(|writer| *writer != number) {
                self.edge(writer, number);
            }
        }
        for (name, value) in reads() {
            for next in versions.next(*name, *value).iter().filter(|next| **next != number) {
                self.edge(number, *next);
            }
        }
    }

    fn edge(&mut self, from: usize, to: usize) {
        if let Some(after) = self.after.get_mut(from) {
            after.push(to);
        }
    }

    /// The shortest way from a node back to it within `members`, as operations.
    fn cycle(&self, start: usize, members: &BTreeSet<usize>) -> Option<Vec<usize>> {
        let mut came_from = vec![usize::MAX; self.after.len()];
        let mut open = VecDeque::from([start]);
        while let Some(node) = open.pop_front() {
            for next in self.after.get(node)?.iter().filter(|next| members.contains(next)) {
                if *next == start {
                    return Some(self.way(node, start, &came_from));
                }
                if let Some(from) = came_from.get_mut(*next).filter(|from| **from == usize::MAX) {
                    *from = node;
                    // Moments cost nothing: it is operations that people are to read.
                    if *next < self.ops { open.push_back(*next) } else { open.push_front(*next) }
                }
            }
        }
        None
    }

    fn way(&self, last: usize, start: usize, came_from: &[usize]) -> Vec<usize> {
        let mut way = Vec::new();
        let mut node = last;
        while node != start {
            if node < self.ops {
                way.push(node);
            }
            node = came_from.get(node).copied().unwrap_or(start);
        }
        way.push(start);
        way.reverse();
        way
    }
}

/// Groups of more than one node, of which each can be reached from each (Tarjan, without
/// recursion).
fn components(after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut walk = Walk { number: vec![0; after.len()], low: vec![0; after.len()], ..Walk::default() };
    for node in 0..after.len() {
        if walk.number.get(node) == Some(&0) {
            walk.from(node, after);
        }
    }
    walk.found
}

/// The state of that algorithm. Numbers begin with 1; 0 is for nodes not yet met.
#[derive(Default)]
struct Walk {
    number: Vec<usize>,
    low: Vec<usize>,
    is_open: BTreeSet<usize>,
    stack: Vec<usize>,
    next: usize,
    found: Vec<Vec<usize>>,
}

impl Walk {
    fn from(&mut self, root: usize, after: &[Vec<usize>]) {
        let mut path: Vec<(usize, usize)> = vec![(root, 0)];
        self.enter(root);
        while let Some((node, edge)) = path.pop() {
            if let Some(next) = after.get(node).and_then(|edges| edges.get(edge)).copied() {
                path.push((node, edge + 1));
                if self.number.get(next) == Some(&0) {
                    self.enter(next);
                    path.push((next, 0));
                } else if self.is_open.contains(&next) {
                    self.lower(node, self.number.get(next).copied().unwrap_or(0));
                }
                continue;
            }
            self.leave(node);
            if let Some((parent, _)) = path.last() {
                self.lower(*parent, self.low.get(node).copied().unwrap_or(0));
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.next += 1;
        for numbers in [&mut self.number, &mut self.low] {
            if let Some(number) = numbers.get_mut(node) {
                *number = self.next;
            }
        }
        self.stack.push(node);
        self.is_open.insert(node);
    }

    fn lower(&mut self, node: usize, to: usize) {
        if let Some(low) = self.low.get_mut(node) {
            *low = (*low).min(to);
        }
    }

    /// The first node of a group closes it.
    fn leave(&mut self, node: usize) {
        if self.low.get(node) != self.number.get(node) {
            return;
        }
        let mut group = Vec::new();
        while let Some(member) = self.stack.pop() {
            self.is_open.remove(&member);
            group.push(member);
            if member == node {
                break;
            }
        }
        if group.len() > 1 {
            self.found.push(group);
        }
    }
}
