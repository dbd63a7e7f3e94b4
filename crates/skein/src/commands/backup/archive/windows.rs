//! Times that can be restored: over each backup, and all of them together.

use backup::archive::Known;
use backup::{Listed, Target};
use serde::Serialize;
use types::Fault;

use crate::backups::at_time::Stretch;
use crate::backups::time;

/// Times that can be restored, whichever backup they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The first millisecond.
    pub from_ms: u64,
    /// The last one.
    pub to_ms: u64,
}

/// A backup that an archive does not go on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alone {
    /// The backup.
    pub backup: String,
    /// Why.
    pub why: String,
}

/// Which times can be restored over each complete backup, of all its tables; and over which no other time than their
/// own.
pub fn each(backups: &[Listed], known: &Known) -> (Vec<Stretch>, Vec<Alone>) {
    let (mut stretches, mut alone) = (Vec::new(), Vec::new());
    for listed in backups {
        let Some(manifest) = &listed.manifest else { continue };
        let backup = listed.id.clone();
        match known.covered(manifest, &|_| true) {
            Ok(covered) => {
                stretches.push(Stretch { backup, from_ms: covered.from_ms, to_ms: covered.to_ms });
            }
            Err(why) => alone.push(Alone { backup, why }),
        }
    }
    (stretches, alone)
}

/// The same, as the heads of the archives have it.
pub fn of_target(target: &dyn Target) -> Result<(Vec<Stretch>, Known), Fault> {
    let fault = |error: backup::BackupError| error.to_fault();
    let known = Known::read(target).map_err(fault)?;
    Ok((each(&backup::list(target).map_err(fault)?, &known).0, known))
}

/// Stretches that touch or overlap are one window.
pub fn windows(stretches: &[Stretch]) -> Vec<Window> {
    let mut sorted: Vec<Window> =
        stretches.iter().map(|stretch| Window { from_ms: stretch.from_ms, to_ms: stretch.to_ms }).collect();
    sorted.sort_by_key(|window| window.from_ms);
    let mut windows: Vec<Window> = Vec::new();
    for next in sorted {
        match windows.last_mut() {
            Some(last) if next.from_ms <= last.to_ms + 1 => last.to_ms = last.to_ms.max(next.to_ms),
            _ => windows.push(next),
        }
    }
    windows
}

/// Windows of time, a line for each.
pub fn window_lines(windows: &[Window]) -> String {
    let line = |window: &Window| {
        let (from, to) = (time(window.from_ms), time(window.to_ms));
        format!("  {from} ({}) to {to} ({})", window.from_ms, window.to_ms)
    };
    windows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_are_one_window() {
        let stretch = |from_ms, to_ms| Stretch { backup: String::new(), from_ms, to_ms };
        let joined = |stretches: &[Stretch]| -> Vec<(u64, u64)> {
            windows(stretches).iter().map(|window| (window.from_ms, window.to_ms)).collect()
        };
        assert_eq!(joined(&[stretch(50, 90), stretch(10, 90), stretch(91, 95)]), [(10, 95)]);
        assert_eq!(joined(&[stretch(10, 20), stretch(22, 30)]), [(10, 20), (22, 30)]);
        assert_eq!(joined(&[stretch(10, 90), stretch(20, 30)]), [(10, 90)]);
        assert!(joined(&[]).is_empty());
    }
}
