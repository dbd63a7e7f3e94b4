//! Arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use types::limits::BACKUP_CHAIN_MAX;

use super::archive::{ArchiveCommand, moment};
use super::{Ask, Find, Output};

/// Commands about backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Save tables as of one point in time, while clients go on
    ///
    /// It is an operation of the cluster: it goes on whatever becomes of this command or of any node, and 'skein op
    /// list', 'watch', 'explain' and 'cancel' know it.
    ///
    /// Nodes write to the URL themselves, so that every node must reach it: file:///path is a directory that all of
    /// them have, s3://bucket/prefix a bucket, with AWS_... variables in the environment of the nodes.
    Create(BackupCreate),
    /// List the backups at a URL, and when each was last restored to prove it
    List(BackupList),
    /// Show a backup
    Show(BackupNamed),
    /// Read a whole backup and compare it with what was written
    ///
    /// With --drill the cluster restores it into scratch tables with another number of partitions and compares them with
    /// their sources; that is what makes it a proven one. It is an operation, as taking a backup is.
    Verify(BackupVerify),
    /// Remove a backup, complete or not
    ///
    /// One that others stand on is not removed without them.
    Delete(BackupDelete),
    /// Let the cluster take backups by itself
    #[command(subcommand)]
    Schedule(ScheduleCommand),
    /// Write what changes, continuously, so that every later time can be restored
    #[command(subcommand)]
    Archive(ArchiveCommand),
}

/// How fast it may go.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Speed {
    /// Bytes of contents per second in all, as in 50MiB/s
    #[arg(long, value_name = "BYTES/s", value_parser = rate)]
    pub rate: Option<u64>,
    /// Keys per second in all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub qps: Option<u64>,
}

/// Whether a command waits for the operation that it begins.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waiting {
    /// Return when it has ended; with --wait=false once it has begun
    ///
    /// Ctrl-C ends the waiting, not the operation.
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub wait: bool,
}

/// Which tables.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Only this table, NAME or NAMESPACE:NAME; may be repeated
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Only the tables of this namespace; may be repeated
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Vec<String>,
    /// Only keys of these kinds: kv, hash, list, set, zset [default: all]
    #[arg(long = "type", value_name = "KIND", value_delimiter = ',', value_parser = ["all", "kv", "hash", "list", "set", "zset"])]
    pub kind: Vec<String>,
}

/// Arguments of `backup create`.
#[derive(Debug, Args)]
pub struct BackupCreate {
    /// Where to: file:///absolute/path or s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub to: String,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub speed: Speed,
    /// Save what has changed since this backup at the same URL, and stand on it
    ///
    /// The tables and kinds of keys must be the same. It is restored with all that it stands on, none of which can be
    /// removed without it.
    #[arg(long, value_name = "ID")]
    pub incremental_from: Option<String>,
    /// Go on with a backup that was interrupted
    #[arg(long, value_name = "ID", conflicts_with_all = ["table", "namespace", "kind", "incremental_from"])]
    pub resume: Option<String>,
    /// Show what would be saved by whom, and stop
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub waiting: Waiting,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Commands about schedules.
#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// Make a schedule, or change it
    ///
    /// Tables that are made later belong to it, unless it names single tables: with --namespace those of the namespace.
    ///
    /// A time that was missed, because no node was there or the backup before it still went on, is made up for once.
    Set(ScheduleSet),
    /// List the schedules, when each is due next, and what came of it
    List(Ask),
    /// Remove a schedule; its backups stay
    Remove(ScheduleNamed),
}

/// Arguments of `backup schedule set`.
#[derive(Debug, Args)]
pub struct ScheduleSet {
    /// Its name: a-z, 0-9 and _
    pub name: String,
    /// When, in UTC: minute, hour, day of the month, month, day of the week, as in '30 2 * * 1-5', or @daily
    #[arg(long, value_name = "CRON")]
    pub cron: String,
    /// Where to: file:///absolute/path or s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub to: String,
    #[command(flatten)]
    pub which: Which,
    /// Complete backups of the schedule that stay; the last proven one always does [default: all]
    ///
    /// Older ones go once a newer one is complete, with --drill once it is proven.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Restore each into scratch tables and compare
    #[arg(long)]
    pub drill: bool,
    /// Every Nth is a full backup; those between save what has changed since the one before, and stand on it
    /// [default: every one is full]
    ///
    /// One that cannot stand on the one before is full as well: after a failure, or when a table was made or dropped.
    /// What a backup stands on that is kept is kept too.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=BACKUP_CHAIN_MAX as i64))]
    pub full_every: Option<u32>,
    #[command(flatten)]
    pub speed: Speed,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of commands about one schedule.
#[derive(Debug, Args)]
pub struct ScheduleNamed {
    /// The schedule
    pub name: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup list`.
#[derive(Debug, Args)]
pub struct BackupList {
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// Taken as by the commands beside it; the place tells all, and no cluster is asked
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of commands about one backup.
#[derive(Debug, Args)]
pub struct BackupNamed {
    /// The backup
    pub id: String,
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    pub at: String,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup delete`.
#[derive(Debug, Args)]
pub struct BackupDelete {
    /// The backup
    pub id: String,
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// Remove all backups that stand on it as well
    #[arg(long)]
    pub with_dependants: bool,
    /// Taken as by the commands beside it; the place tells all, and no cluster is asked
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup verify`.
#[derive(Debug, Args)]
pub struct BackupVerify {
    /// The backup
    pub id: String,
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// Restore it into scratch tables and compare
    #[arg(long)]
    pub drill: bool,
    /// Partitions of the scratch tables [default: one less than the source, or 2]
    #[arg(long, value_name = "N", requires = "drill", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,
    #[command(flatten)]
    pub waiting: Waiting,
    #[command(flatten)]
    pub speed: Speed,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Where the backups are
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The backup [default: the latest complete one]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// As of this time, 2026-11-27T02:15:00Z or milliseconds since 1970: every write up to that millisecond and none
    /// after, by the newest backup before it and the archive at the same URL
    #[arg(long, value_name = "TIME", conflicts_with = "id", value_parser = moment)]
    pub at: Option<u64>,
    #[command(flatten)]
    pub which: Which,
    /// Restore the one table that is chosen under this name, NAME or NAMESPACE:NAME
    #[arg(long, value_name = "TABLE")]
    pub to_table: Option<String>,
    /// Partitions of a table that is made [default: as it had]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,
    /// Replicas of a table that is made [default: as it had, or as many as there are nodes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=7))]
    pub replicas: Option<u32>,
    /// What happens to keys that exist; without it a table that holds keys is refused
    #[arg(long, value_enum)]
    pub on_conflict: Option<Conflict>,
    /// Begin anew, although an earlier restore of the same has not ended well: what it left is dropped, or written over
    #[arg(long)]
    pub restart: bool,
    #[command(flatten)]
    pub speed: Speed,
    /// Show what would be made and written, the room on each node, and stop
    #[arg(long, conflicts_with = "yes")]
    pub plan: bool,
    /// Do it without a question; where no terminal is there to ask at, none is asked
    #[arg(long, short = 'y')]
    pub yes: bool,
    #[command(flatten)]
    pub waiting: Waiting,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// What happens to keys that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Conflict {
    /// The restore ends, naming the key
    Fail,
    /// The key stays as it is
    Skip,
    /// The key is replaced
    Overwrite,
}

impl BackupCommand {
    /// How to print.
    pub fn output(&self) -> Output {
        match self {
            Self::Create(create) => create.output,
            Self::List(list) => list.output,
            Self::Show(named) => named.output,
            Self::Delete(delete) => delete.output,
            Self::Verify(verify) => verify.output,
            Self::Schedule(ScheduleCommand::Set(set)) => set.output,
            Self::Schedule(ScheduleCommand::List(list)) => list.output,
            Self::Schedule(ScheduleCommand::Remove(named)) => named.output,
            Self::Archive(archive) => archive.output(),
        }
    }
}

impl Conflict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Conflict::Fail => "fail",
            Conflict::Skip => "skip",
            Conflict::Overwrite => "overwrite",
        }
    }
}

impl Which {
    /// Kinds by name; none means all.
    pub fn kinds(&self) -> Result<Vec<String>, types::Fault> {
        match self.kind.iter().any(|kind| kind == "all") {
            false => Ok(self.kind.clone()),
            true if self.kind.len() == 1 => Ok(Vec::new()),
            true => {
                let detail = "--type all stands alone";
                Err(types::Fault::new(types::ErrorCode::BadArgument, detail))
            }
        }
    }
}

/// `50MiB/s`, `50MiB` or `52428800`.
pub fn rate(text: &str) -> Result<u64, String> {
    let rate = bytes(text.strip_suffix("/s").unwrap_or(text));
    rate.map_err(|_| "a rate is 50MiB/s, 500KiB/s or bytes per second".to_owned())
}

/// `1GiB`, `50MiB` or `52428800`.
pub fn bytes(amount: &str) -> Result<u64, String> {
    let digits = amount.find(|c: char| !c.is_ascii_digit()).unwrap_or(amount.len());
    let (number, unit) = amount.split_at(digits);
    let factor = match unit {
        "" | "B" => Some(1),
        "K" | "KiB" => Some(1 << 10),
        "M" | "MiB" => Some(1 << 20),
        "G" | "GiB" => Some(1 << 30),
        _ => None,
    };
    let rate = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
    rate.filter(|rate| *rate > 0).ok_or_else(|| "an amount is 1GiB, 50MiB, 500KiB or bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        assert_eq!(rate("50MiB/s"), Ok(50 << 20));
        assert_eq!(rate("3K"), Ok(3072));
        assert_eq!(rate("100"), Ok(100));
        for bad in ["", "0", "MiB", "5 MiB", "99999999999999GiB", "-1"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_kinds_stand_alone() {
        let kinds = |kinds: &[&str]| {
            Which { kind: kinds.iter().map(ToString::to_string).collect(), ..Default::default() }.kinds()
        };
        assert_eq!(kinds(&[]).unwrap(), Vec::<String>::new());
        assert_eq!(kinds(&["all"]).unwrap(), Vec::<String>::new());
        assert_eq!(kinds(&["kv", "hash"]).unwrap(), ["kv", "hash"]);
        assert!(kinds(&["all", "kv"]).is_err());
    }
}
