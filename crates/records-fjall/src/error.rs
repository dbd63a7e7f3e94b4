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
            return EngineError::Full(error.to_string());
        }
        // What failed was told to the thread that met it; mostly a full disk. If it was more than that, the
        // next opening says so.
        Error::Poisoned => return EngineError::Full("the store stopped itself after a failed write".into()),
        _ => {}
    }
    let is_damage = match &error {
        Error::Io(io) | Error::Storage(LsmError::Io(io)) => {
            // A file that ends too soon, or has bytes that make no sense.
            matches!(io.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound)
        }
        Error::Locked | Error::KeyspaceDeleted => false,
        _ => true,
    };
    match is_damage {
        true => EngineError::Damaged(error.to_string()),
        false => EngineError::Storage(error.to_string()),
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
