//! Planted bugs of commands, so that the simulator can prove that its checkers see.
//!
//! They lie in `engine-kv` and `proto-redis`, and are kept here, below both of them. Without the `mutants` feature
//! `mutant!(…)` is `false` and the compiler removes it. With it, one mutant at a time can be switched on for the
//! current thread.

/// The bugs that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// A client that waits for an element is told that there is none while one is being popped for it.
    EndsThoughPopping,
    /// A transaction happens whether watched keys have changed or not.
    WatchNotCompared,
    /// An element that is moved stays where it was.
    MovedAndKept,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: &'static [Mutant] =
        &[Mutant::EndsThoughPopping, Mutant::WatchNotCompared, Mutant::MovedAndKept];
}

#[cfg(feature = "mutants")]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Switches one mutant on for this thread, or all off.
    pub fn plant(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
    }

    /// Whether a mutant is on.
    pub fn is_planted(mutant: Mutant) -> bool {
        ACTIVE.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use switch::{is_planted, plant};

/// Whether a mutant is on: never without the `mutants` feature.
#[cfg(not(feature = "mutants"))]
pub const fn is_planted(mutant: Mutant) -> bool {
    let _ = mutant;
    false
}

/// Whether a planted bug is on: always `false` without the `mutants` feature.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$name)
    };
}
