//! The agenda: what will happen, in order of time, and for equal times in order of being planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Event;

/// Everything that will happen.
#[derive(Default)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<Planned>>,
    sequence: u64,
    /// The events, by place; large things that the heap need not move.
    events: Vec<Option<Event>>,
    /// Places of `events` that are free.
    free: Vec<usize>,
}

/// When something happens, and the place of what it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Planned {
    at: u64,
    sequence: u64,
    place: usize,
}

impl Agenda {
    /// Something will happen at a time, in nanoseconds of the world.
    pub fn plan(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[place] = Some(event);
        self.heap.push(Reverse(Planned { at, sequence: self.sequence, place }));
    }

    /// The next thing and its time.
    pub fn take_next(&mut self) -> Option<(u64, Event)> {
        let Reverse(planned) = self.heap.pop()?;
        self.free.push(planned.place);
        self.events[planned.place].take().map(|event| (planned.at, event))
    }
}
