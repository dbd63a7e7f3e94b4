//! Error codes: every error that a user can see has a stable code, a cause and the next thing to do.
//!
//! Crates keep their own error enums; what reaches a user is a [`Fault`]: a code of this table and the
//! detail of the moment. `docs/errors.md` is generated from the table.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $id:ident $code:literal $retry:ident $cause:literal => $hint:literal;)*) => {
        /// A stable code; the documentation, the exit text and the JSON of every face use it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $cause] $id,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$id),*];

            /// The code as users see it.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$id => $code),* }
            }

            /// What happened, in one sentence without the details.
            pub const fn cause(self) -> &'static str {
                match self { $(ErrorCode::$id => $cause),* }
            }

            /// The next thing to do.
            pub const fn hint(self) -> &'static str {
                match self { $(ErrorCode::$id => $hint),* }
            }

            /// Whether the same request may simply be sent again: it had no effect.
            pub const fn is_retryable(self) -> bool {
                matches!(match self { $(ErrorCode::$id => Retry::$retry),* }, Retry::Again)
            }
        }
    };
}

enum Retry {
    Again,
    Never,
}

codes! {
    NotLeader "not-leader" Again "this replica does not lead its partition" => "nothing to do: gateways find the leader and try again";
    NoLeader "no-leader" Again "the partition has no leader at the moment" => "wait a second and try again; 'skein status' names partitions without a quorum";
    StaleRoute "stale-route" Again "the request was routed by an old copy of the catalog" => "nothing to do: gateways refresh their copy and try again";
    Overloaded "overloaded" Again "a queue of this node is full" => "send less at once, or add partitions or nodes; 'skein status' shows which node";
    Sealed "sealed" Again "this generation of the table accepts no more writes" => "nothing to do: the table is being cut over to its next generation";
    OutcomeUnknown "outcome-unknown" Never "the request may or may not have been carried out" => "read the key to see, then decide whether to send the request again";
    SessionExpired "session-expired" Never "the partition no longer remembers this gateway's session" => "read the key to see whether the request was carried out";
    RequestTooLarge "request-too-large" Never "a key, a value or a command is larger than its limit" => "keep keys up to 10 KiB and values up to 8 MiB, and split long commands";
    CrossPartition "cross-partition" Never "the keys of one command lie in different partitions" => "give the keys a common {tag}, or use a table with one partition";
    UnknownTable "unknown-table" Never "there is no such table" => "'skein table list' shows the tables; 'skein table create' makes one";
    UnknownNamespace "unknown-namespace" Never "there is no such namespace" => "'skein namespace list' shows the namespaces; 'skein namespace create' makes one";
    TableExists "table-exists" Never "a table of this name exists already" => "choose another name, or drop the table first";
    BadName "bad-name" Never "a name is empty, too long or has a character that is not allowed" => "use letters, digits and underscores, up to 255 of them";
    BadArgument "bad-argument" Never "an argument is outside what is allowed" => "correct the argument that the message names; '--help' after a command lists what it takes";
    NotEnoughNodes "not-enough-nodes" Never "there are fewer nodes than replicas asked for" => "ask for fewer replicas, or add a node with 'skein node add'";
    UnknownPartition "unknown-partition" Never "the table has no such partition" => "partitions are numbered from 0; 'skein table show TABLE' says how many there are";
    AlreadyThere "already-there" Never "the node has a replica of the partition already" => "choose another node with --to; 'skein explain partition TABLE N' shows where its replicas are";
    NotThere "not-there" Never "the node has no replica of the partition" => "'skein explain partition TABLE N' shows where its replicas are";
    NodeUnfit "node-unfit" Never "the node cannot take this at present" => "'skein explain node N' says why; choose another node, or mend this one first";
    NoRoom "no-room" Never "there is not enough space for the replicas" => "add a node with 'skein node add', or free some space; 'skein node list' shows the nodes";
    PlanOutdated "plan-outdated" Never "what the plan was made from has changed" => "ask for the plan again, and look at it";
    PartitionBusy "partition-busy" Never "another operation works on the partition" => "'skein op list' shows it; wait for it, or cancel it with 'skein op cancel ID'";
    UnknownOperation "unknown-operation" Never "there is no such operation" => "'skein op list' shows the operations";
    OperationActive "operation-active" Never "the operation has not ended" => "cancel it first with 'skein op cancel ID'";
    TooLate "too-late" Never "the operation cannot be cancelled any more" => "'skein op show ID' says how far it is, or how it ended";
    GaveUp "gave-up" Never "the operation waited too long for what was in its way" => "'skein op explain ID' says what it was; mend that, and start the operation again";
    Unsafe "unsafe" Never "it would put data or service at risk" => "'skein explain partition TABLE N' and 'skein status' say what is missing";
    NoPermit "no-permit" Never "the node must not be stopped now" => "wait until what the message names is over: 'skein explain node' says what would help, and --wait waits";
    NeedsConsent "needs-consent" Never "the command changes the cluster, and nobody has agreed to that" => "add --yes to agree to whatever the plan is ('recover-quorum': --name NAME), or --plan to only see it";
    UnknownNode "unknown-node" Never "there is no such node" => "'skein node list' shows the nodes";
    NodeRemoved "node-removed" Never "the node was removed from the cluster, and its id is not given out again" => "delete its directory; 'skein node add' and 'skein server --join' make a new node";
    NotMeta "not-meta" Again "this node does not keep the catalog" => "ask one of the nodes that the message names; the command line does so by itself";
    Unauthorized "unauthorized" Never "the connection did not prove the cluster's secret" => "name the cluster's directory with --dir, or its secret with --secret-file";
    WrongCluster "wrong-cluster" Never "the other side belongs to another cluster" => "check the address and the data directory; a data directory serves one cluster only";
    VersionUnsupported "version-unsupported" Never "the other side or the stored data is of a version that this program cannot work with" => "use a release that supports both versions";
    DuplicateNode "duplicate-node" Never "another process is alive with this node's identity; this data directory is a copy" => "stop the other process first; a copy must not run beside its original";
    DataNewer "data-newer" Never "the data directory was written by a newer release" => "start it with the release that wrote it, or a later one";
    DataDamaged "data-damaged" Never "stored data is damaged: a checksum or a structure does not fit" => "'skein node rebuild NODE --dir DIR' keeps the data aside and makes it anew from the other nodes; a cluster of one node needs a backup";
    BadFile "bad-file" Never "a file that people write is not what it should be" => "correct the file that the message names, or name the right one";
    DataUnreadable "data-unreadable" Never "the data directory cannot be read or written" => "check that it exists, that its owner is the user running skein, and the disk's health";
    DataInUse "data-in-use" Never "another process uses this data directory" => "stop it with 'skein down --dir DIR', or choose another directory";
    NodeRuns "node-runs" Never "the node runs" => "stop this node alone with 'kill PID', with the PID of 'skein node list', and give the same command again; its agent does not start it meanwhile";
    DiskFull "disk-full" Again "the disk is full" => "free some space; the node goes on by itself, nothing acknowledged is lost";
    PortInUse "port-in-use" Never "an address that the node must listen at is in use" => "stop the program that uses it, or choose other ports: --base-port of 'skein up', --port-base of 'skein server'";
    TopologyDiffers "topology-differs" Never "the directory holds a cluster of another shape than asked for" => "leave the option out to start the cluster as it is";
    NoCluster "no-cluster" Never "no cluster was found" => "start one with 'skein up', or name it with --dir DIR or --addr HOST:PORT";
    Unreachable "unreachable" Again "no node of the cluster answered" => "check the address; a cluster that is stopped is started with 'skein up --dir DIR'";
    NotReady "not-ready" Again "the node is still starting" => "wait a moment and try again";
    WireCorrupt "wire-corrupt" Never "bytes from the network are not what the protocol allows" => "check what connects to this port; the connection was closed";
    UnknownBackup "unknown-backup" Never "there is no such backup, or it was never completed" => "'skein backup list --at URL' shows the backups; one that was interrupted goes on with 'skein backup create --resume ID'";
    BackupDamaged "backup-damaged" Never "a file of the backup is not what was written" => "'skein backup verify' names every damaged file; take another backup, and copy the file from another copy if there is one";
    BackupTarget "backup-target" Again "the place of the backup does not answer, or refuses" => "check the URL, that every node reaches it under the same one, and the rights there; then run the same command again";
    BackupTargetFull "backup-target-full" Again "there is no room in the place of the backup" => "free some space there; then go on with '--resume ID'";
    BackupLost "backup-lost" Never "no replica holds the state of this backup's moment any more" => "remove what is there of it with 'skein backup delete', and take another backup";
    BackupParent "backup-parent" Never "a backup cannot stand on the other one that it names" => "the message says why; take a full backup, without '--incremental-from', and later ones from that";
    BackupNeeded "backup-needed" Never "other backups stand on this one, and would be lost with it" => "remove those first, or all of them with '--with-dependants'; 'skein backup list' shows which stand on which";
    ArchiveRuns "archive-runs" Never "there is an archive already" => "'skein backup archive status' shows it; end it with 'skein backup archive stop' first";
    NoArchive "no-archive" Never "there is no archive" => "'skein backup archive start --to URL' begins one";
    NotCovered "not-covered" Never "no backup and archive together tell that time" => "the message says which times can be restored; 'skein backup archive status' shows what the archive tells";
    ContentsDiffer "contents-differ" Never "what was restored is not what was saved" => "keep the backup and report the message; take another backup, and compare replicas with 'skein digest'";
    TableNotEmpty "table-not-empty" Never "the table that shall be restored into holds keys" => "say what happens to keys that exist with --on-conflict fail, skip or overwrite; or choose another table with --to-table";
    ClusterNotEmpty "cluster-not-empty" Never "the cluster holds keys already" => "add --merge to leave its tables as they are and make the others beside them";
    TableRestoring "table-restoring" Again "the table is being restored, and serves nobody before all of it is there" => "'skein op list' shows the operation that restores it; if that has failed, give 'skein restore' again, or drop the table";
    KeyExists "key-exists" Never "a key exists already" => "say --on-conflict skip to keep what is there, or overwrite to replace it";
    Cancelled "cancelled" Never "the work was cancelled" => "start it again; what is complete is not done twice";
    Internal "internal" Never "a bug in skein" => "please report it with the node's log";
}

/// An error as a user meets it: a code and the detail of the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of error.
    pub code: ErrorCode,
    /// What exactly: names, numbers, paths. May be empty.
    pub detail: String,
}

impl Fault {
    /// A fault with its detail.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::new(code, "")
    }
}

impl fmt::Display for Fault {
    /// `cause: detail [code]`; the hint is for faces that have room for it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.cause())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        write!(f, " [{}]", self.code.as_str())
    }
}

impl std::error::Error for Fault {}

impl std::str::FromStr for ErrorCode {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_parse_back() {
        for &code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert!(!code.cause().ends_with('.') && !code.hint().is_empty());
        }
    }
}
