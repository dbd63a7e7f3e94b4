//! What can be wrong with a backup, or with the place where it lies.

use std::io;

use engine::EngineError;
use types::{ErrorCode, Fault};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is not what was written. Nothing of it is to be used.
    #[error("{file}, byte {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where the first thing that does not fit begins.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// A file that must be there is not.
    #[error("{0} is missing")]
    Missing(String),
    /// A file is there that must not be.
    #[error("{0} exists already")]
    Exists(String),
    /// There is no such backup, or it was never finished.
    #[error("{0}")]
    NoBackup(String),
    /// A backup cannot stand on another one, or does not any more.
    #[error("{0}")]
    Parent(String),
    /// Other backups stand on the one that shall go.
    #[error("{} on {id}: {}", if needed_by.len() == 1 { "a backup stands" } else { "backups stand" }, needed_by.join(", "))]
    Needed {
        /// The backup.
        id: String,
        /// Those that stand on it.
        needed_by: Vec<String>,
    },
    /// A URL that names no place for backups.
    #[error("{0}")]
    BadUrl(String),
    /// There is no room for more.
    #[error("{file}: no room: {detail}")]
    Full {
        /// The file.
        file: String,
        /// What was said.
        detail: String,
    },
    /// The place does not answer, or refuses.
    #[error("{file}: {detail}")]
    Target {
        /// The file.
        file: String,
        /// What was said.
        detail: String,
    },
    /// The state that is saved cannot be read.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Whoever wanted it has changed his mind.
    #[error("cancelled")]
    Cancelled,
}

impl BackupError {
    /// An error of the file system about a file.
    pub(crate) fn io(file: &str, error: &io::Error) -> Self {
        let (file, detail) = (file.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(file),
            io::ErrorKind::AlreadyExists => Self::Exists(file),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { file, detail },
            _ => Self::Target { file, detail },
        }
    }

    /// Something in a file that does not fit.
    pub(crate) fn damaged(file: &str, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what: what.into() }
    }

    /// What a user is told.
    pub fn to_fault(&self) -> Fault {
        let code = match self {
            Self::Damaged { .. } | Self::Missing(_) => ErrorCode::BackupDamaged,
            Self::NoBackup(_) => ErrorCode::UnknownBackup,
            Self::Parent(_) => ErrorCode::BackupParent,
            Self::Needed { .. } => ErrorCode::BackupNeeded,
            Self::Exists(_) | Self::BadUrl(_) => ErrorCode::BadArgument,
            Self::Full { .. } => ErrorCode::BackupTargetFull,
            Self::Target { .. } => ErrorCode::BackupTarget,
            Self::Engine(_) => ErrorCode::DataUnreadable,
            Self::Cancelled => ErrorCode::Cancelled,
        };
        Fault::new(code, self.to_string())
    }
}
