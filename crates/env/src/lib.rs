//! The outside world as two small traits: a [`Clock`] and a [`Disk`].
//!
//! Whatever keeps state that must survive a crash reaches the disk through [`Disk`], and whatever needs
//! the time is given it by a [`Clock`], so that the simulator can run the same code on a disk that
//! tears writes and a clock that jumps. [`OsClock`] and [`OsDisk`] are the real ones.
//! And [`stand_back`] makes room on a busy machine.

mod clock;
mod disk;
mod thread;

pub use clock::{Clock, Moment, OsClock};
pub use disk::{Disk, DiskFile, OsDisk};
pub use thread::stand_back;
