//! The allocator of every process of Skein: mimalloc.
//!
//! A write allocates on one thread and frees on another: the request, its entry, its answer, the records of the
//! store. mimalloc has lists for each thread and gives free pages back by itself, also those of large values. What was
//! measured, and why this version of it, is in `docs/decisions/2026-11-27-allocator.md`.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// For how many milliseconds free pages are kept: `mi_option_purge_delay` of `mimalloc.h`, version 2, which the bindings
/// do not name.
const PURGE_DELAY: mi_option_t = 15;

/// Free memory goes back to the machine at once.
///
/// mimalloc looks for pages whose time has come when their thread next has something to do. On a node that has nothing
/// to do any more that was never: it kept hundreds of MiB of large values that were long gone.
#[expect(unsafe_code, reason = "the bindings have no other way to set an option")]
pub(crate) fn give_back_at_once() {
    // SAFETY: an option that there is, set by the only thread; the environment (MIMALLOC_PURGE_DELAY) goes before it.
    unsafe { mi_option_set_default(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "see above")]
    fn the_option_is_the_one_that_is_meant() {
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 10, "the option's own default");
        give_back_at_once();
        assert_eq!(delay(), 0);
    }
}
