//! The agenda: what will happen, in order of time, and for equal times in order of being planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Event;

/// Everything that will happen.
#[derive(Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<Planned>>,
    sequence: u64,
}

struct Planned {
    at: u64,
    sequence: u64,
    event: Event,
}

impl Agenda {
    /// Something will happen at a time, in nanoseconds of the world.
    pub fn plan(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse(Planned { at, sequence: self.sequence, event }));
    }

    /// The next thing and its time.
    pub fn take_next(&mut self) -> Option<(u64, Event)> {
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.event))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
