//! A time to be restored: which backup and which archive tell it.

use backup::archive;
use backup::{Manifest, TableRecord, Target};
use types::{ErrorCode, Fault};

use super::restore::chosen;
use crate::backups::at_time::{AtTime, Stretch, stretches};
use crate::backups::time;
use crate::cli::Which;

/// The newest backup of the tables that were chosen from which a time can be reached.
///
/// # Errors
/// `NotCovered`, naming the times that can be restored; what the target says.
pub fn find(target: &dyn Target, which: &Which, to_ms: u64) -> Result<(Manifest, AtTime), Fault> {
    let fault = |error: backup::BackupError| error.to_fault();
    let mut known = Vec::new();
    for listed in backup::list(target).map_err(fault)?.into_iter().rev() {
        let Some(manifest) = listed.manifest else { continue };
        // One without the tables is none for this purpose.
        let Ok(tables) = chosen(&manifest, which) else { continue };
        let titles: Vec<String> = tables.iter().map(|table| table.title()).collect();
        let is_wanted = |place: usize| titles.contains(&manifest.begun.tables[place].title());
        let Some(covered) = archive::covered(target, &manifest, &is_wanted).map_err(fault)? else { continue };
        if (covered.from_ms..=covered.to_ms).contains(&to_ms) {
            let tables = manifest.begun.tables.iter().map(TableRecord::directory).collect();
            return Ok((manifest, AtTime { to_ms, covered, tables }));
        }
        known.push(Stretch { backup: listed.id, from_ms: covered.from_ms, to_ms: covered.to_ms });
    }
    known.reverse();
    let times = match known.is_empty() {
        true => "none can".to_owned(),
        false => format!("these can:\n{}", stretches(&known)),
    };
    let detail = format!("{} ({to_ms}) cannot be restored from {}; {times}", time(to_ms), target.url());
    Err(Fault::new(ErrorCode::NotCovered, detail))
}
