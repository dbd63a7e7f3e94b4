//! Errors of the cluster and of the engine, as Redis clients read them.
//!
//! A Redis client looks at the first word of an error. Some words make common clients send the command
//! again by themselves (`CLUSTERDOWN`, `TRYAGAIN`, `LOADING`), so only errors of requests without any
//! effect may carry them. After the word come the cause, the detail, the stable code in brackets and the
//! next thing to do.

use crate::text::{self, ErrorText};
use api::kv::KvError;
use types::limits::{EDIT_BYTES_MAX, REPLY_PART_BYTES_MAX, RESULT_BYTES_MAX};
use types::{ErrorCode, Fault};

/// Words after which common clients repeat the command by themselves.
pub const RETRIED_BY_CLIENTS: [&str; 3] = ["CLUSTERDOWN", "TRYAGAIN", "LOADING"];

/// The first word of an error reply for each code.
pub const fn prefix(code: ErrorCode) -> &'static str {
    use ErrorCode::*;
    match code {
        NotLeader | NoLeader | Unreachable => "CLUSTERDOWN",
        StaleRoute | Overloaded | Sealed => "TRYAGAIN",
        NotReady | TableRestoring => "LOADING",
        OutcomeUnknown | SessionExpired => "UNKNOWN",
        CrossPartition => "CROSSSLOT",
        Unauthorized => "NOAUTH",
        DiskFull | DataUnreadable | DataDamaged => "MISCONF",
        RequestTooLarge | UnknownTable | UnknownNamespace | TableExists | BadName | BadArgument
        | NotEnoughNodes | WrongCluster | VersionUnsupported | DuplicateNode | DataNewer | DataInUse
        | NodeRuns | PortInUse | TopologyDiffers | BadFile | NoCluster | WireCorrupt | Internal
        | PlanOutdated | PartitionBusy | UnknownOperation | OperationActive | UnknownPartition
        | AlreadyThere | NotThere | NodeUnfit | NoRoom | TooLate | GaveUp | Unsafe | NoPermit
        | NeedsConsent | NodeRemoved | UnknownNode | NotMeta | UnknownBackup | BackupDamaged
        | BackupTarget | BackupTargetFull | BackupLost | BackupParent | BackupNeeded | ContentsDiffer
        | ArchiveRuns | NoArchive | NotCovered | ClusterNotEmpty | TableNotEmpty | KeyExists | Cancelled => {
            "ERR"
        }
    }
}

/// `PREFIX cause: detail [code]; hint`.
pub fn fault_error(fault: &Fault) -> ErrorText {
    format!("{} {fault}; {}", prefix(fault.code), fault.code.hint()).into()
}

/// What the engine's refusal reads like. `code` is a [`KvError`], perhaps of a newer release.
pub(crate) fn engine_error(code: i32, command: &str) -> ErrorText {
    match KvError::try_from(code) {
        Ok(KvError::WrongType) => text::WRONG_TYPE,
        Ok(KvError::NotInteger) => text::NOT_INTEGER,
        Ok(KvError::NotFloat) => text::NOT_FLOAT,
        Ok(KvError::Overflow) => ErrorText::fixed("ERR increment or decrement would overflow"),
        Ok(KvError::NotFinite) => ErrorText::fixed("ERR increment would produce NaN or Infinity"),
        Ok(KvError::TooLong) => {
            ErrorText::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        }
        Ok(KvError::NoSuchKey) => ErrorText::fixed("ERR no such key"),
        Ok(KvError::InvalidExpiry) => text::invalid_expire(command),
        Ok(KvError::ReplyTooLarge) => too_large(format!(
            "the reply would have more than {REPLY_PART_BYTES_MAX} bytes: ask for less at once"
        )),
        Ok(KvError::EditTooLarge) => too_large(format!(
            "it would rewrite more than {EDIT_BYTES_MAX} bytes of a collection: edit near its ends, or split it"
        )),
        Ok(KvError::ResultTooLarge) => too_large(format!(
            "the result would have more than {RESULT_BYTES_MAX} bytes: combine fewer or smaller collections"
        )),
        Ok(KvError::Unsupported) => {
            fault_error(&Fault::new(ErrorCode::VersionUnsupported, "the leader does not know this command"))
        }
        Err(_) => fault_error(&Fault::new(ErrorCode::VersionUnsupported, "an error of a newer release")),
    }
}

fn too_large(detail: String) -> ErrorText {
    fault_error(&Fault::new(ErrorCode::RequestTooLarge, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_repeat_only_what_had_no_effect() {
        for &code in ErrorCode::ALL {
            if RETRIED_BY_CLIENTS.contains(&prefix(code)) {
                assert!(code.is_retryable(), "{} would be repeated by clients", code.as_str());
            }
        }
    }

    #[test]
    fn an_error_has_prefix_cause_detail_code_and_hint() {
        let text = fault_error(&Fault::new(ErrorCode::NoLeader, "partition 3")).to_string();
        assert_eq!(
            text,
            "CLUSTERDOWN the partition has no leader at the moment: partition 3 [no-leader]; wait a second and try again; 'skein status' names partitions without a quorum"
        );
    }
}
