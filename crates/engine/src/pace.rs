//! The pace of long work: whoever goes through a whole state says how far it is, and its thread may rest.
//!
//! What takes minutes on a thread of its own competes with the threads that serve. The kernel lets a thread of the lowest
//! priority run on for milliseconds before one that has just woken gets its turn, and a write wakes a dozen threads
//! one after another. So long work offers to make room every few dozen microseconds. What is made of the offer is
//! for the thread to decide; without a pace there is none. Whoever can end early asks now and then whether it is over.

use std::cell::{Cell, RefCell};

/// After so many bytes of work the thread's pace is asked.
const STEP_BYTES: usize = 64 * 1024;

/// What hears how many bytes were worked on, and may rest.
type Listener = Box<dyn FnMut(usize)>;
/// Whether the thread is to end.
type End = Box<dyn Fn() -> bool>;

thread_local! {
    static WORKED: Cell<usize> = const { Cell::new(0) };
    static PACE: RefCell<Option<Listener>> = const { RefCell::new(None) };
    static END: RefCell<Option<End>> = const { RefCell::new(None) };
}

/// From now on `pace` hears of the work on this thread, every few dozen KiB of it, and may rest before it returns.
pub fn set(pace: impl FnMut(usize) + 'static) {
    PACE.set(Some(Box::new(pace)));
}

/// From now on `end` says whether work on this thread that can end early shall.
pub fn set_end(end: impl Fn() -> bool + 'static) {
    END.set(Some(Box::new(end)));
}

/// Whether work on this thread shall end early; never if nobody said when.
pub fn is_over() -> bool {
    END.with_borrow(|end| end.as_ref().is_some_and(|end| end()))
}

/// So many more bytes have been worked on.
pub fn worked(bytes: usize) {
    let worked = WORKED.get() + bytes;
    if worked < STEP_BYTES {
        WORKED.set(worked);
        return;
    }
    WORKED.set(0);
    PACE.with_borrow_mut(|pace| {
        if let Some(pace) = pace {
            pace(worked);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn a_pace_hears_of_all_work_in_steps() {
        worked(10 * STEP_BYTES);
        let heard = Rc::new(RefCell::new(Vec::new()));
        let told = heard.clone();
        set(move |bytes| told.borrow_mut().push(bytes));
        for _ in 0..20 {
            worked(STEP_BYTES / 8);
        }
        worked(3 * STEP_BYTES);
        assert_eq!(*heard.borrow(), [STEP_BYTES, STEP_BYTES, STEP_BYTES / 2 + 3 * STEP_BYTES]);
    }

    #[test]
    fn work_ends_when_its_thread_is_told_to() {
        assert!(!is_over());
        let over = Rc::new(Cell::new(false));
        let told = over.clone();
        set_end(move || told.get());
        assert!(!is_over());
        over.set(true);
        assert!(is_over());
    }
}
