//! Arguments of `backup archive`, and times as people write them.

use clap::{Args, Subcommand};

use super::backup::{Speed, bytes, rate};
use super::{Find, Output};

/// Commands about the archive.
#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Write what tables change to a URL, continuously, so that every later time can be restored
    ///
    /// Begins with a backup at the same URL: a restore to a time takes the newest backup before it, and carries out
    /// what was changed until then. Nodes write to the URL themselves. When they cannot for so long that a partition
    /// would have to keep more than --hold, there is a gap, and times after it can be restored once there is another
    /// backup.
    Start(ArchiveStart),
    /// End the archive; what it has told stays, and can be restored
    Stop(ArchiveStop),
    /// Show up to which time everything is told, how late that is and why, and which times can be restored
    Status(ArchiveStatus),
    /// Read all files of the archives at a URL, and say which times can really be restored
    ///
    /// Lengths, checksums, that each file goes on where the one before it has ended, and that the backups at the URL can
    /// be gone on from. What is damaged or missing is named, and does not keep it from reading the rest.
    Verify(ArchiveVerify),
    /// Remove what was told before a time, and no backup needs any more
    ///
    /// Every backup needs all changes since its moment, up to now: to keep fewer changes delete old backups first. An
    /// archive that was begun with --keep is thinned out by its cluster.
    Thin(ArchiveThin),
    /// Remove an archive that has ended
    Remove(ArchiveRemove),
}

/// Arguments of `backup archive start`.
#[derive(Debug, Args)]
pub struct ArchiveStart {
    /// Where to: file:///absolute/path or s3://bucket/prefix
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Only this table, NAME or NAMESPACE:NAME; may be repeated [default: all, and those that are made later]
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Only the tables of this namespace, and those that are made in it later; may be repeated
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Vec<String>,
    /// How often changes are written: what is lost at most with the whole cluster
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = every)]
    pub every: u64,
    /// Most bytes of changes that a partition keeps until they are written
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = bytes)]
    pub hold: u64,
    /// Remove what is older, as 14d or 12h, and needed by no backup; the cluster does so by itself [default: nothing]
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub keep: Option<u64>,
    /// Take no backup now; nothing can be restored until there is one
    #[arg(long)]
    pub no_backup: bool,
    #[command(flatten)]
    pub speed: Speed,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup archive stop`.
#[derive(Debug, Args)]
pub struct ArchiveStop {
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup archive status`.
#[derive(Debug, Args)]
pub struct ArchiveStatus {
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup archive verify`.
#[derive(Debug, Args)]
pub struct ArchiveVerify {
    /// The archive [default: all that are there]
    pub id: Option<String>,
    /// Where the archive is
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// Bytes of files per second, as in 50MiB/s
    #[arg(long, value_name = "BYTES/s", value_parser = rate)]
    pub rate: Option<u64>,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup archive thin`.
#[derive(Debug, Args)]
pub struct ArchiveThin {
    /// The archive [default: all that are there]
    pub id: Option<String>,
    /// Where the archive is
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// What was told before this time goes: 2026-11-27T02:15:00Z or milliseconds since 1970; the last minute stays
    #[arg(long, value_name = "TIME", value_parser = moment, required_unless_present = "keep")]
    pub before: Option<u64>,
    /// What is older than this goes, as 14d, 12h or 30m
    #[arg(long, value_name = "TIME", value_parser = span, conflicts_with = "before")]
    pub keep: Option<u64>,
    /// Show what would go, and what is needed by which backup, and stop
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `backup archive remove`.
#[derive(Debug, Args)]
pub struct ArchiveRemove {
    /// The archive
    pub id: String,
    /// Where the archive is
    #[arg(long, value_name = "URL")]
    pub at: String,
    /// Show which times could not be restored any more, and stop
    #[arg(long)]
    pub plan: bool,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

impl ArchiveCommand {
    /// How to print.
    pub fn output(&self) -> Output {
        match self {
            Self::Start(start) => start.output,
            Self::Stop(stop) => stop.output,
            Self::Status(status) => status.output,
            Self::Verify(verify) => verify.output,
            Self::Thin(thin) => thin.output,
            Self::Remove(remove) => remove.output,
        }
    }
}

/// `10s`, `500ms` or `2m`, in milliseconds.
fn every(text: &str) -> Result<u64, String> {
    let millis = millis(text).filter(|millis| (100..=3_600_000).contains(millis));
    millis.ok_or_else(|| "an interval is 500ms, 10s or 2m: from 100 ms to an hour".to_owned())
}

/// `14d`, `12h` or `30m`, in milliseconds.
fn span(text: &str) -> Result<u64, String> {
    let millis = millis(text).filter(|millis| *millis >= 60_000);
    millis.ok_or_else(|| "a time to keep is 14d, 12h or 30m, a minute at least".to_owned())
}

/// A number and a unit.
fn millis(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `2026-11-27T02:15:00Z`, `2026-11-27T03:15:00.250+01:00` or milliseconds since 1970, in milliseconds.
pub fn moment(text: &str) -> Result<u64, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| "these are too many milliseconds".to_owned());
    }
    rfc3339(text).ok_or_else(|| "a time is 2026-11-27T02:15:00Z, or milliseconds since 1970".to_owned())
}

fn rfc3339(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u64>().ok())
    };
    let separated =
        |place: usize, allowed: &str| text.get(place..=place).is_some_and(|c| allowed.contains(c));
    if !(separated(4, "-") && separated(7, "-") && separated(10, "Tt ")) {
        return None;
    }
    if !(separated(13, ":") && separated(16, ":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = backup::days_of(year, month, day)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        // What is finer than a millisecond has no meaning here.
        let padded: String = fraction.get(..digits)?.chars().chain("000".chars()).take(3).collect();
        millis = if digits == 0 { None } else { padded.parse::<u64>().ok() }?;
        rest = &fraction[digits..];
    }
    let local = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + millis;
    let shift = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = if rest.starts_with('+') {
                -1
            } else if rest.starts_with('-') {
                1
            } else {
                return None;
            };
            let (hours, minutes) = rest[1..].split_once(':')?;
            let valid = hours.len() == 2 && minutes.len() == 2;
            let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
            if !valid || !(0..24).contains(&hours) || !(0..60).contains(&minutes) {
                return None;
            }
            sign * (hours * 60 + minutes) * 60_000
        }
    };
    local.checked_add_signed(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(moment("1795735800123"), Ok(1_795_735_800_123));
        assert_eq!(moment("2026-11-26T23:30:00Z"), Ok(1_795_735_800_000));
        assert_eq!(moment("2026-11-26 23:30:00.25Z"), Ok(1_795_735_800_250));
        assert_eq!(moment("2026-11-27T00:30:00.123456+01:00"), Ok(1_795_735_800_123));
        assert_eq!(moment("2026-11-26T18:00:00-05:30"), Ok(1_795_735_800_000));
        for bad in
            ["", "now", "2026-11-26", "2026-11-26T23:30:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z"]
        {
            assert!(moment(bad).is_err(), "{bad}");
        }
        for bad in [
            "2026-11-26T24:00:00Z",
            "2026-11-26T23:30:00.Z",
            "2026-11-26T23:30:00+0100",
            "1970-01-01T00:00:00+23:00",
        ] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_have_units_and_limits() {
        assert_eq!(every("500ms"), Ok(500));
        assert_eq!(every("10s"), Ok(10_000));
        assert_eq!(every("2m"), Ok(120_000));
        for bad in ["", "10", "s", "1ms", "2h", "99999999999999999999s", "61m"] {
            assert!(every(bad).is_err(), "{bad}");
        }
        assert_eq!(span("14d"), Ok(14 * 86_400_000));
        assert_eq!(span("90m"), Ok(5_400_000));
        for bad in ["", "14", "59s", "2w", "99999999999999999999d"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
