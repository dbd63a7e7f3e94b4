//! Planted bugs of commands, so that the simulator can prove that its checkers see.
//!
//! They lie in `engine-kv` and `proto-redis`, and are kept here, below both of them. Without the `mutants` feature
//! `mutant!(…)` is `false` and the compiler removes it. With it, one mutant at a time can be switched on for the
//! current thread.

types::mutants! {
    /// A client that waits for an element is told that there is none while one is being popped for it.
    EndsThoughPopping,
    /// A transaction happens whether watched keys have changed or not.
    WatchNotCompared,
    /// An element that is moved stays where it was.
    MovedAndKept,
}

/// Whether a planted bug is on: always `false` without the `mutants` feature.
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutants::is_planted($crate::mutants::Mutant::$name)
    };
}
