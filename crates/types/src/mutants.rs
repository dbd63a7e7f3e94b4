//! Planted bugs: what a crate needs to have some, so that the simulator can prove that its checkers see.
//!
//! A crate lists its bugs by [`mutants!`](crate::mutants!), and asks for them by a `mutant!` of its own, which
//! names its own module. Without the crate's feature `mutants` the answer is `false` and the compiler removes the bug.
//! With it, one bug at a time can be switched on for the current thread.

/// Makes `Mutant`, `is_planted` and, with the feature `mutants` of the crate that lists them, `plant`.
#[macro_export]
macro_rules! mutants {
    ($($(#[$about:meta])+ $name:ident,)+) => {
        /// The bugs that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$about])+ $name,)+
        }

        impl Mutant {
            /// Every mutant.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$name),+];
        }

        #[cfg(feature = "mutants")]
        thread_local! {
            static ACTIVE: ::std::cell::Cell<Option<Mutant>> = const { ::std::cell::Cell::new(None) };
        }

        /// Switches one mutant on for this thread, or all off.
        #[cfg(feature = "mutants")]
        pub fn plant(mutant: Option<Mutant>) {
            ACTIVE.set(mutant);
        }

        /// Whether a mutant is on.
        #[cfg(feature = "mutants")]
        pub fn is_planted(mutant: Mutant) -> bool {
            ACTIVE.get() == Some(mutant)
        }

        /// Whether a mutant is on: never without the `mutants` feature.
        #[cfg(not(feature = "mutants"))]
        pub const fn is_planted(mutant: Mutant) -> bool {
            let _ = mutant;
            false
        }
    };
}
