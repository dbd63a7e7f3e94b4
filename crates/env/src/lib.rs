//! The outside world as two small traits: a [`Clock`] and a [`Disk`].
//!
//! Whatever keeps state that must survive a crash reaches the disk through [`Disk`], and whatever needs
//! the time is given it by a [`Clock`], so that the simulator can run the same code on a disk that
//! tears writes and a clock that jumps. [`OsClock`] and [`OsDisk`] are the real ones.

mod clock;
mod disk;

pub use clock::{Clock, Moment, OsClock};
pub use disk::{Disk, DiskFile, OsDisk};
