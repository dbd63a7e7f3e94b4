//! `server.exit`: what a node's process says at its end, for an agent that may not be its parent.

use serde::{Deserialize, Serialize};
use types::{ErrorCode, Fault};

use crate::agent::Ending;
use crate::exit;
use crate::node_file::NodePlace;
use crate::process::Process;

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerExit {
    /// The code of its error; empty if it was stopped cleanly.
    code: String,
    /// What exactly.
    detail: String,
    /// The process, so that another one's words are not taken for its own.
    process: Process,
}

impl ServerExit {
    /// Makes sure that there is room for the last word: a disk that is full by then is what it may be about.
    ///
    /// # Errors
    /// `DiskFull`, `DataUnreadable`.
    pub fn reserve(place: &NodePlace) -> Result<(), Fault> {
        let path = place.exit_file();
        let written = write_over(&path, "").map_err(|error| crate::files::fault(&error, &path));
        // Whoever finds it full already can still use what an earlier run has left.
        written.or_else(|fault| if path.exists() { Ok(()) } else { Err(fault) })
    }

    /// Leaves word of how this process ends. It ends anyway, so a failure only costs the word.
    pub fn write(place: &NodePlace, outcome: &Result<(), Fault>) {
        let (code, detail) = match outcome {
            Ok(()) => (String::new(), String::new()),
            Err(fault) => (fault.code.as_str().to_owned(), fault.detail.clone()),
        };
        let exit = Self { code, detail, process: Process::current() };
        let text = toml::to_string(&exit).expect("plain values under text names");
        // Over the old bytes, not atomically: a new file would need room, and half a word is known as such.
        let path = place.exit_file();
        if let Err(error) = write_over(&path, &text) {
            let fault = crate::files::fault(&error, &path);
            crate::say::note(format_args!("cannot leave word of the end: {fault}"));
        }
    }

    /// What this process said at its end, if it said anything.
    pub fn read(place: &NodePlace, process: Process) -> Option<Self> {
        Self::last(place).filter(|exit| exit.process == process)
    }

    /// What the last process said at its end, if it said anything.
    pub fn last(place: &NodePlace) -> Option<Self> {
        toml::from_str(&std::fs::read_to_string(place.exit_file()).ok()?).ok()
    }

    /// The same as the agent's law knows it.
    pub fn ending(self) -> Ending {
        let Self { code, detail, .. } = self;
        if code.is_empty() {
            return Ending::Clean;
        }
        let known = code.parse::<ErrorCode>().unwrap_or(ErrorCode::Internal);
        // A wrong argument in a node's file will be as wrong at the next start.
        match exit::of(known) {
            exit::REFUSED | exit::USAGE => Ending::Refused { code, detail },
            _ => Ending::Failed { code, detail },
        }
    }
}

/// Bytes of the file, always the same, so that its blocks are there when they are needed.
const FILE_BYTES: usize = 8 * 1024;

/// Replaces a file's content without giving back its blocks; what is left over becomes blank lines.
fn write_over(path: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    let padded = format!("{text:\n<FILE_BYTES$}");
    file.write_all_at(padded.as_bytes(), 0)?;
    file.set_len(padded.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_words_of_a_process_are_its_own() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = NodePlace::new(dir.path());
        let current = Process::current();
        assert_eq!(ServerExit::read(&place, current), None);
        let copy = Fault::new(ErrorCode::DuplicateNode, "node 1\nis alive");
        for (outcome, ending) in [
            (Ok(()), Ending::Clean),
            (Err(copy), Ending::Refused { code: "duplicate-node".into(), detail: "node 1\nis alive".into() }),
            (
                Err(ErrorCode::DiskFull.into()),
                Ending::Failed { code: "disk-full".into(), detail: String::new() },
            ),
        ] {
            ServerExit::write(&place, &outcome);
            let told = ServerExit::read(&place, current).expect("told");
            assert_eq!(told.ending(), ending);
        }
        // The words need no room that is not there already.
        let file = std::fs::metadata(place.exit_file()).expect("there");
        ServerExit::reserve(&place).expect("reserved");
        assert_eq!(ServerExit::last(&place), None, "an earlier run's words are gone");
        let reserved = std::fs::metadata(place.exit_file()).expect("there");
        assert_eq!((file.ino(), file.blocks()), (reserved.ino(), reserved.blocks()));
        ServerExit::write(&place, &Err(ErrorCode::DiskFull.into()));
        let written = std::fs::metadata(place.exit_file()).expect("there");
        assert_eq!((file.ino(), file.blocks()), (written.ino(), written.blocks()));
        let other = Process { started: current.started + 1, ..current };
        assert_eq!(ServerExit::read(&place, other), None);
    }
}
