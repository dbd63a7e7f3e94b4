//! The thinner: removes what an archive with a time to keep has told before it, and no backup needs.
//!
//! The node that leads the catalog does it, on a thread of its own, because there may be much to remove. Should two
//! nodes do it at the same time for a moment, then no harm comes of it (see `backup::archive`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backup::archive::{Thinning, carry_out, plan};
use backup::write::Progress;
use backup::{BackupError, sweep};
use node::Node;
use types::GroupId;
use types::limits::{ARCHIVE_THIN_EVERY_MAX, ARCHIVE_THIN_EVERY_MIN};

/// What is remembered between two looks; another node that leads the catalog begins without.
#[derive(Default)]
pub(super) struct Thinner {
    looked: Option<Instant>,
    /// It is at it.
    works: Arc<AtomicBool>,
}

impl Thinner {
    /// Begins to thin out if it is time and this node is the one to do it.
    pub(super) fn look(&mut self, node: &Node) {
        let catalog = node.catalog();
        let Some(archive) = catalog.archive().filter(|archive| !archive.ended && archive.keep_ms > 0) else {
            return;
        };
        let leads = node.leader_of(GroupId::CATALOG) == Some(node.id());
        let every = Duration::from_millis(archive.keep_ms / 10);
        let every = every.clamp(ARCHIVE_THIN_EVERY_MIN, ARCHIVE_THIN_EVERY_MAX);
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= every);
        if !leads || !is_due || self.works.swap(true, Ordering::AcqRel) {
            return;
        }
        self.looked = Some(Instant::now());
        let works = self.works.clone();
        let (id, url, now_ms) = (archive.id.clone(), archive.url.clone(), node.wall_millis());
        let before_ms = now_ms.saturating_sub(archive.keep_ms);
        let run = move || {
            env::stand_back();
            match thin(&url, &id, before_ms, now_ms) {
                Ok(thinned) if thinned == Thinning::default() => {}
                Ok(thinned) => {
                    tracing::info!(archive = id, files = thinned.files, "the archive is thinned out")
                }
                Err(error) => tracing::warn!(archive = id, %error, "the archive is not thinned out"),
            }
            works.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("thinner".into()).spawn(run).is_err() {
            self.works.store(false, Ordering::Release);
        }
    }
}

fn thin(url: &str, id: &str, before_ms: u64, now_ms: u64) -> Result<Thinning, BackupError> {
    let (target, progress) = (backup::open(url)?, Progress::default());
    let thinned = carry_out(&*target, &plan(&*target, id, before_ms, now_ms, &progress)?, &progress)?;
    sweep::among_archives(&*target)?;
    Ok(thinned)
}
