//! The allocator of every process of Skein: mimalloc.
//!
//! A write allocates on one thread and frees on another: the request, its entry, its answer, the records of the
//! store. mimalloc has lists for each thread and gives free pages back by itself, also those of large values. What was
//! measured, and why this version of it, is in `docs/decisions/2026-11-27-allocator.md`.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;
