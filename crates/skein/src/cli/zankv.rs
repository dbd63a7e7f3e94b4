//! The part of the command line that stands for what operators of ZanKV do over HTTP: namespaces, compaction, and
//! the token that changes over HTTP need.

use std::str::FromStr;

use api::admin::OperationRequest;
use clap::{Args, Subcommand};

use super::{Ask, Change, Find, Output};

/// Commands about namespaces.
#[derive(Debug, Subcommand)]
pub enum NamespaceCommand {
    /// Make a namespace
    ///
    /// It has the partitions. On the ZanKV port a key is NAMESPACE:TABLE:REST, and every table name works in it
    /// without being made.
    Create(NamespaceCreate),
    /// List all namespaces
    List(Ask),
    /// Delete a namespace and everything in it
    Delete(NamespaceDelete),
}

/// Arguments of `namespace create`.
#[derive(Debug, Args)]
pub struct NamespaceCreate {
    /// Its name: letters, digits and underscores
    pub name: String,
    /// How many partitions [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub partitions: Option<u32>,
    /// How many replicas of each partition [default: 3, or as many as there are nodes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=7))]
    pub replicas: Option<u32>,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `namespace delete`.
#[derive(Debug, Args)]
pub struct NamespaceDelete {
    /// Its name
    pub name: String,
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

/// Arguments of `optimize`.
#[derive(Debug, Args)]
pub struct Optimize {
    /// Only tables of this namespace
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Only this table: NAME or NAMESPACE:NAME; with --namespace its bare name
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Let the cluster do it by itself, as often as this: 90d, 12h, or 'off'
    #[arg(long, value_name = "TIME", conflicts_with_all = ["namespace", "table", "plan", "wait"])]
    pub every: Option<Every>,
    /// Begin it by itself only at these times of the day, in UTC: 02:00-05:00
    #[arg(long, value_name = "FROM-TO", conflicts_with_all = ["namespace", "table", "plan", "wait"])]
    pub window: Option<Window>,
    #[command(flatten)]
    pub change: Change,
}

impl Optimize {
    /// The operation that it asks for, and how; `None` if it is about the schedule.
    pub fn request(&self) -> Option<(OperationRequest, &Change)> {
        if self.every.is_some() || self.window.is_some() {
            return None;
        }
        let request = OperationRequest {
            kind: "optimize".into(),
            namespace: self.namespace.clone(),
            table: self.table.clone(),
            ..Default::default()
        };
        Some((request, &self.change))
    }
}

/// How often something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// In hours; 0 is never.
    pub hours: u64,
}

impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self { hours: 0 });
        }
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let hours = number.parse::<u64>().ok().filter(|number| (1..=36_500).contains(number));
        let hours = hours.and_then(|number| match unit {
            "d" => Some(24 * number),
            "h" => Some(number),
            _ => None,
        });
        hours.map(|hours| Self { hours }).ok_or_else(|| "as in 90d, 12h or off".to_owned())
    }
}

/// A part of the day, in minutes since midnight. It may go over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first minute in it.
    pub from: u64,
    /// The first minute after it.
    pub until: u64,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str, below: u64| {
                let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<u64>().ok().filter(|number| is_plain && *number < below)
            };
            Some(number(hour, 24)? * 60 + number(minute, 60)?)
        };
        let found = text.split_once('-').and_then(|(from, until)| Some((minute(from)?, minute(until)?)));
        match found {
            Some((from, until)) if from != until => Ok(Self { from, until }),
            _ => Err("as in 02:00-05:00".to_owned()),
        }
    }
}

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct Token {
    #[command(flatten)]
    pub find: Find,
    #[command(flatten)]
    pub output: Output,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let every = |text: &str| text.parse::<Every>().ok().map(|every| every.hours);
        assert_eq!((every("90d"), every("12h"), every("off")), (Some(2160), Some(12), Some(0)));
        assert!(["", "d", "0d", "90", "90x", "-1d", "99999d", "é"].iter().all(|bad| every(bad).is_none()));
        let window = |text: &str| text.parse::<Window>().ok().map(|window| (window.from, window.until));
        assert_eq!(window("02:00-05:30"), Some((120, 330)));
        assert_eq!(window("23:00-01:00"), Some((1380, 60)));
        for bad in ["", "2:00-5:00", "02:00", "02:00-02:00", "24:00-01:00", "02:60-03:00", "+2:00-03:00"] {
            assert!(window(bad).is_none(), "{bad}");
        }
    }
}
