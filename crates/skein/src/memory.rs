//! The allocator, told to give large pieces back.
//!
//! glibc takes pieces of 128 KiB and more from the system one by one, and gives each back when it is freed;
//! but with every such piece that is freed it moves that bound up, as far as 32 MiB. After some values of
//! 8 MiB all of them come from heaps, one or more for each thread, of which a single small piece at the end
//! keeps everything before it. Measured with 16 clients, 4 times a `SET` and a `GET` of 8 MiB each, on three
//! nodes: 420 to 600 MiB resident in each, for good. With bounds that stay where they are: 80 to 220 MiB, and
//! no difference in throughput with small values.

/// Pieces of this size and more come from the system and go back to it one by one. Values that most users
/// have are far below: a piece of its own costs a system call and its pages.
const LARGE_BYTES: i32 = 1024 * 1024;
/// What may be free at the end of the main heap before it is given back.
const FREE_BYTES: i32 = 1024 * 1024;

/// Fixes the allocator's bounds for this process.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_large_pieces() {
    // SAFETY: `mallopt` takes two numbers, touches nothing but the allocator's own parameters, and takes the
    // allocator's lock for that.
    #[allow(unsafe_code, reason = "the C library has no other way, and the standard library no way at all")]
    let (large, free) = unsafe {
        (
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES),
            libc::mallopt(libc::M_TRIM_THRESHOLD, FREE_BYTES),
        )
    };
    if large == 0 || free == 0 {
        tracing::warn!("the allocator does not take its bounds: memory of large values may stay");
    }
}

/// Other C libraries have allocators that give back by themselves, or none that could be told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back_large_pieces() {}
