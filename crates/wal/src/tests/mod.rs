//! Tests of the whole log: the suite, crashes, damage, random histories.

mod basic;
mod crash;
mod damage;
mod history;
mod random;
mod space;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use types::GroupId;

use crate::model::ModelDisk;
use crate::{LogError, LogOptions, LogPosition, LogStore, SegmentedLog};

/// Where the tests keep their log on a model disk.
const DIR: &str = "/node/log";

/// Segments small enough that a short test goes through many of them.
fn small() -> LogOptions {
    LogOptions { segment_bytes: 4096, secret: 42 }
}

fn open(disk: &ModelDisk) -> Result<SegmentedLog, LogError> {
    SegmentedLog::open(Arc::new(disk.clone()), PathBuf::from(DIR), small())
}

/// What a crash may not change of a log that was synced: all but how far it was cut.
fn uncut(log: &SegmentedLog) -> Vec<(GroupId, Bytes, LogPosition)> {
    log.groups().into_iter().map(|summary| (summary.group, summary.record, summary.last)).collect()
}
