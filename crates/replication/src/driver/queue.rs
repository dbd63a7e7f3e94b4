//! A queue for one consumer that takes everything at once, so that work comes in batches.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of many producers and one consumer.
pub struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
}

struct Inner<T> {
    items: Vec<T>,
    waiting: bool,
    closed: bool,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        let inner = Inner { items: Vec::new(), waiting: false, closed: false };
        Self { inner: Mutex::new(inner), filled: Condvar::new() }
    }

    /// Adds an item. For work whose amount is bounded elsewhere.
    pub fn push(&self, item: T) {
        let mut inner = self.lock();
        inner.items.push(item);
        self.wake(inner);
    }

    /// Adds items at once: the consumer wakes once, and finds them all.
    pub fn push_all(&self, items: impl IntoIterator<Item = T>) {
        let mut inner = self.lock();
        inner.items.extend(items);
        if inner.items.is_empty() {
            return;
        }
        self.wake(inner);
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Adds an item unless there are `limit` already. Returns whether it did.
    pub fn try_push(&self, item: T, limit: usize) -> bool {
        let mut inner = self.lock();
        if inner.items.len() >= limit {
            return false;
        }
        inner.items.push(item);
        self.wake(inner);
        true
    }

    /// Whether there will be no more items.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No more items: the consumer gets what is there, and then `None`.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        self.wake(inner);
    }

    /// Waits for items, at most this long, and takes them all into `taken`, which must be empty.
    /// Returns `false` once the queue is closed and empty.
    pub fn take(&self, taken: &mut Vec<T>, wait: Duration) -> bool {
        debug_assert!(taken.is_empty());
        let mut inner = self.lock();
        if inner.items.is_empty() && !inner.closed && !wait.is_zero() {
            inner.waiting = true;
            (inner, _) = self.filled.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner);
            inner.waiting = false;
        }
        std::mem::swap(&mut inner.items, taken);
        !(inner.closed && taken.is_empty())
    }

    fn wake(&self, inner: MutexGuard<'_, Inner<T>>) {
        let waiting = inner.waiting;
        drop(inner);
        if waiting {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
