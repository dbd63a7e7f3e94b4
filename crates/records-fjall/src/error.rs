//! fjall's errors in the reader's categories: the disk refused, or the bytes are damaged.

use std::any::Any;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::EngineError;
use fjall::{Error, LsmError};

/// Sorts an error of fjall.
pub(crate) fn sort(error: Error) -> EngineError {
    match &error {
        Error::Io(io) | Error::Storage(LsmError::Io(io)) if io.kind() == ErrorKind::StorageFull => {
            return EngineError::Full(words(&error));
        }
        // What failed was told to the thread that met it; mostly a full disk. If it was more than that, the
        // next opening says so.
        Error::Poisoned => return EngineError::Full("the store stopped itself after a failed write".into()),
        _ => {}
    }
    // The words of fjall are for whoever knows it.
    tracing::warn!(?error, "the store failed");
    let is_damage = match &error {
        Error::Io(io) | Error::Storage(LsmError::Io(io)) => {
            // A file that ends too soon, or has bytes that make no sense.
            matches!(io.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound)
        }
        Error::Locked | Error::KeyspaceDeleted => false,
        _ => true,
    };
    match is_damage {
        true => EngineError::Damaged(words(&error)),
        false => EngineError::Storage(words(&error)),
    }
}

/// What fjall's error says to people, without its own names and quotes.
fn words(error: &Error) -> String {
    match error {
        Error::Io(io) | Error::Storage(LsmError::Io(io)) => match io.kind() {
            ErrorKind::NotFound => "a file of the store is missing".into(),
            ErrorKind::UnexpectedEof => "a file of the store ends too soon".into(),
            _ => format!("the store's files: {io}"),
        },
        Error::InvalidVersion(None) => "the store's version file cannot be read".into(),
        Error::InvalidVersion(Some(_)) | Error::Storage(LsmError::InvalidVersion(_)) => {
            "the store's files are of another version than this release's".into()
        }
        Error::Storage(LsmError::ChecksumMismatch { .. }) => "a checksum in the store does not fit".into(),
        Error::Storage(_) => "a table of the store is not what it should be".into(),
        Error::JournalRecovery(_) => "a journal of the store is not what it should be".into(),
        Error::Locked => "another process has the store open".into(),
        Error::KeyspaceDeleted => "the state was removed meanwhile".into(),
        _ => "the store's files are not what they should be".into(),
    }
}

/// Runs fjall code that may meet damaged files. It checks checksums, but not everything, and some of its
/// checks are assertions: a panic is damage too.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, EngineError> {
    // Nothing of ours is changed inside, and a store that has reported damage is not used again.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(sort),
        // fjall unwraps some of its writes.
        Err(panic) if text_of(&*panic).contains("StorageFull") => {
            Err(EngineError::Full("the store could not write".into()))
        }
        Err(panic) => Err(EngineError::Damaged(format!("the store panicked: {}", text_of(&*panic)))),
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_and_said_in_plain_words() {
        let io = |kind| Error::Io(std::io::Error::from(kind));
        for error in [io(ErrorKind::StorageFull), Error::Poisoned] {
            assert!(matches!(sort(error), EngineError::Full(_)));
        }
        for error in [
            io(ErrorKind::NotFound),
            io(ErrorKind::UnexpectedEof),
            Error::InvalidVersion(None),
            Error::Storage(LsmError::Unrecoverable),
            Error::Unrecoverable,
        ] {
            let EngineError::Damaged(words) = sort(error) else { panic!("damage") };
            let raw = ["Error", "Os {", "(", "None"];
            assert!(words.contains("store") && !raw.iter().any(|raw| words.contains(raw)), "{words}");
        }
        assert!(matches!(sort(io(ErrorKind::PermissionDenied)), EngineError::Storage(_)));
        assert!(matches!(sort(Error::Locked), EngineError::Storage(_)));
    }
}
