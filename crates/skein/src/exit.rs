//! Exit codes: one table, for people, scripts and the agent.

use types::ErrorCode;

/// Why a command ends with the number it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The number.
    pub code: u8,
    /// What it means.
    pub about: &'static str,
}

/// Done. `status`: every replica is in sync.
pub const OK: Exit = Exit { code: 0, about: "done; 'status': healthy" };
/// Something failed; the same command may work later.
pub const ERROR: Exit = Exit { code: 1, about: "failed; the same command may work later" };
/// The command line is not one that Skein knows.
pub const USAGE: Exit = Exit { code: 2, about: "wrong usage: an option or argument is not allowed" };
/// Refused; the agent does not start a node again that ended so.
pub const REFUSED: Exit = Exit {
    code: 3,
    about: "refused, and nothing was changed: the same command will be refused again until its cause is gone",
};
/// Nobody answered.
pub const UNREACHABLE: Exit = Exit { code: 4, about: "no cluster was found, or none of its nodes answered" };
/// The request may have been carried out.
pub const UNKNOWN: Exit = Exit { code: 5, about: "the outcome is unknown: it may have been done" };
/// Somebody cancelled what was waited for.
pub const CANCELLED: Exit = Exit { code: 6, about: "the operation that was waited for was cancelled" };
/// `status` and less redundancy than wished.
pub const DEGRADED: Exit = Exit { code: 10, about: "'status': degraded, everything is served" };
/// `status` and a partition without a leader.
pub const UNAVAILABLE: Exit = Exit {
    code: 20,
    about: "'status', 'up': some data is unavailable, or no node of the directory answered",
};

/// Ctrl-C during `--wait`; the number that shells use for it.
pub const INTERRUPTED: Exit =
    Exit { code: 130, about: "Ctrl-C while waiting for an operation, which goes on without the command" };

/// All of them, in order.
pub const ALL: &[Exit] =
    &[OK, ERROR, USAGE, REFUSED, UNREACHABLE, UNKNOWN, CANCELLED, DEGRADED, UNAVAILABLE, INTERRUPTED];

/// All of them as text, for `--help`.
pub fn list() -> String {
    let lines = ALL.iter().map(|exit| format!("\n  {:>3}  {}", exit.code, exit.about));
    format!("Exit codes:{}", lines.collect::<String>())
}

/// How a command ends that met this error.
pub const fn of(code: ErrorCode) -> Exit {
    use ErrorCode as E;
    match code {
        E::NoCluster | E::Unreachable => UNREACHABLE,
        E::OutcomeUnknown | E::SessionExpired => UNKNOWN,
        E::BadArgument => USAGE,
        E::RequestTooLarge
        | E::CrossPartition
        | E::UnknownTable
        | E::TableExists
        | E::BadName
        | E::NotEnoughNodes
        | E::UnknownPartition
        | E::AlreadyThere
        | E::NotThere
        | E::NodeUnfit
        | E::NoRoom
        | E::PartitionBusy
        | E::UnknownOperation
        | E::OperationActive
        | E::TooLate
        | E::Unsafe
        | E::NoPermit
        | E::NeedsConsent
        | E::UnknownNode
        | E::NodeRemoved
        | E::Unauthorized
        | E::WrongCluster
        | E::VersionUnsupported
        | E::DuplicateNode
        | E::DataNewer
        | E::DataDamaged
        | E::BadFile
        | E::DataUnreadable
        | E::DataInUse
        | E::NodeRuns
        | E::PortInUse
        | E::TopologyDiffers
        | E::UnknownBackup
        | E::NoArchive
        | E::BackupDamaged
        | E::BackupParent
        | E::BackupNeeded
        | E::BackupLost
        | E::ContentsDiffer
        | E::TableNotEmpty
        | E::ClusterNotEmpty
        | E::UnknownNamespace
        | E::TableRestoring
        | E::KeyExists => REFUSED,
        E::Cancelled => CANCELLED,
        _ => ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_what_a_restart_cannot_cure_is_refused() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
        for code in [
            ErrorCode::DuplicateNode,
            ErrorCode::DataDamaged,
            ErrorCode::DataNewer,
            ErrorCode::PortInUse,
            ErrorCode::WrongCluster,
            ErrorCode::DataInUse,
            ErrorCode::NodeRemoved,
            ErrorCode::ClusterNotEmpty,
            ErrorCode::TableNotEmpty,
        ] {
            assert_eq!(of(code), REFUSED, "{code:?}");
        }
        for code in [ErrorCode::DiskFull, ErrorCode::Internal, ErrorCode::NotReady] {
            assert_eq!(of(code), ERROR, "{code:?}");
        }
    }
}
