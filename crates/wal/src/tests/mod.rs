//! Tests of the whole log: the suite, crashes, damage, random histories.

mod basic;

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::ModelDisk;
use crate::{LogError, LogOptions, SegmentedLog};

/// Where the tests keep their log on a model disk.
const DIR: &str = "/node/log";

/// Segments small enough that a short test goes through many of them.
fn small() -> LogOptions {
    LogOptions { segment_bytes: 4096, secret: 42 }
}

fn open(disk: &ModelDisk) -> Result<SegmentedLog, LogError> {
    SegmentedLog::open(Arc::new(disk.clone()), PathBuf::from(DIR), small())
}
