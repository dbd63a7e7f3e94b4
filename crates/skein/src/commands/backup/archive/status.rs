//! `backup archive status`: how far behind each partition is, why, and which times can be restored.

use std::collections::BTreeMap;

use api::admin::PartitionStatus;
use api::archive::{ArchiveReport, ArchivedPartition};
use backup::archive::Known;
use client::Client;
use serde::Serialize;
use types::{ErrorCode, Fault};

use super::behind::{self, Why};
use super::reports;
use super::windows::{self, Window};
use crate::backups::at_time::{Stretch, stretches};
use crate::backups::crew::Crew;
use crate::backups::{now_ms, split_title, time, title};
use crate::cli::ArchiveStatus;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// The archive, for programs.
#[derive(Debug, Serialize)]
struct Status {
    id: String,
    url: String,
    ended: bool,
    begun_ms: u64,
    every_ms: u64,
    hold_bytes_max: u64,
    /// What is older goes, if no backup needs it; 0 is nothing.
    keep_ms: u64,
    /// Partitions that shall be in it.
    expected: usize,
    /// Every write below this millisecond is told, of all partitions; absent if some partition has not begun.
    complete_ms: Option<u64>,
    /// How late that is.
    lag_ms: Option<u64>,
    partitions: Vec<Served>,
    /// Times that can be restored, whichever backup they take.
    windows: Vec<Window>,
    /// The same, each stretch over one backup.
    restorable: Vec<Stretch>,
    /// Why it is not known which times can be restored; empty if it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    target_problem: String,
}

#[derive(Debug, Serialize)]
struct Served {
    /// Who writes it; absent if no node says so.
    node: Option<u64>,
    #[serde(flatten)]
    partition: ArchivedPartition,
    /// Why it is behind; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

pub(super) fn run(arguments: &ArchiveStatus) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let crew = Crew::of(&client)?;
    of(&client, &crew, arguments.output.form())
}

pub(super) fn of(client: &Client, crew: &Crew, form: Form) -> Result<Exit, Fault> {
    let report = client.archive()?;
    if report.id.is_empty() {
        return Err(Fault::new(ErrorCode::NoArchive, "this cluster never had one"));
    }
    // Neither a target nor a node that does not answer is a reason not to tell the rest.
    let target = backup::open(&report.url).map_err(|error| error.to_fault());
    let (restorable, known, target_problem) = match target.and_then(|target| windows::of_target(&*target)) {
        Ok((restorable, known)) => (restorable, known, String::new()),
        Err(fault) => (Vec::new(), Known::default(), fault.to_string()),
    };
    let partitions = match report.ended {
        true => Vec::new(),
        false => {
            let shown = client.status().map(|status| status.partitions).unwrap_or_default();
            partitions(&report, reports(crew), &shown, &known)
        }
    };
    let complete = partitions.iter().map(|served| served.partition.complete_ms).min();
    let complete_ms = complete.filter(|ms| *ms > 0);
    let status = Status {
        expected: report.groups.len(),
        id: report.id,
        url: report.url,
        ended: report.ended,
        begun_ms: report.begun_ms,
        every_ms: report.every_ms,
        hold_bytes_max: report.hold_bytes_max,
        keep_ms: report.keep_ms,
        complete_ms,
        lag_ms: complete_ms.and(partitions.iter().map(|served| served.partition.lag_ms).max()),
        partitions,
        windows: windows::windows(&restorable),
        restorable,
        target_problem,
    };
    match form {
        Form::Json => say::json(&status),
        Form::Text => say::data(words(&status)),
    }
    Ok(exit::OK)
}

/// All partitions that shall be in the archive, in order of their tables.
fn partitions(
    report: &ArchiveReport,
    reports: BTreeMap<u64, ArchiveReport>,
    shown: &[PartitionStatus],
    known: &Known,
) -> Vec<Served> {
    let answered: Vec<u64> = reports.keys().copied().collect();
    // Two nodes may believe to lead a partition; the one that is farther does.
    let mut found: BTreeMap<u64, Served> = BTreeMap::new();
    for (node, theirs) in reports.into_iter().filter(|(_, theirs)| theirs.id == report.id) {
        for partition in theirs.partitions {
            let is_behind = found
                .get(&partition.group)
                .is_some_and(|served| served.partition.complete_ms >= partition.complete_ms);
            if !is_behind {
                let why = behind::written(&partition, report.every_ms, report.hold_bytes_max);
                found.insert(partition.group, Served { node: Some(node), partition, why });
            }
        }
    }
    for group in &report.groups {
        found.entry(*group).or_insert_with(|| {
            let partition = unwritten(report, *group, shown, known);
            let why = behind::unwritten(shown, *group, &answered);
            Served { node: None, partition, why: Some(why) }
        });
    }
    let mut partitions: Vec<Served> = found.into_values().collect();
    partitions.sort_by_key(|served| {
        let partition = &served.partition;
        (partition.namespace.clone(), partition.table.clone(), partition.partition)
    });
    partitions
}

/// A partition that no node says it writes, as far as the cluster and the target tell of it.
fn unwritten(
    report: &ArchiveReport,
    group: u64,
    shown: &[PartitionStatus],
    known: &Known,
) -> ArchivedPartition {
    let shown = shown.iter().find(|one| one.group == group);
    let (namespace, table) = shown.map(|shown| split_title(&shown.table)).unwrap_or_default();
    let complete_ms = known.complete_ms(&report.id, group).unwrap_or(0);
    let told_ms = if complete_ms > 0 { complete_ms } else { report.begun_ms };
    ArchivedPartition {
        namespace,
        table,
        partition: shown.map_or(0, |shown| shown.partition as u32),
        group,
        complete_ms,
        lag_ms: now_ms().saturating_sub(told_ms),
        ..Default::default()
    }
}

fn words(status: &Status) -> String {
    let mut text = match (status.ended, status.complete_ms) {
        (true, _) => format!("{}: ended", status.id),
        (false, Some(ms)) => {
            let lag = say::duration_ms(status.lag_ms.unwrap_or(0));
            format!("{}: everything before {} is told, {lag} ago", status.id, time(ms))
        }
        (false, None) => {
            let told = status.partitions.iter().filter(|served| served.partition.complete_ms > 0).count();
            format!("{}: {told} of {} partitions are told", status.id, status.expected)
        }
    };
    text.push_str(&format!("\n{}, every {}", status.url, say::duration_ms(status.every_ms)));
    if status.keep_ms > 0 {
        let keep = say::duration_ms(status.keep_ms);
        text.push_str(&format!(", {keep} are kept, and what backups need"));
    }
    text.push('\n');
    if !status.partitions.is_empty() {
        let heads = ["TABLE", "PARTITION", "NODE", "COMPLETE BEFORE", "LAG", "ENTRIES", "WAITING", "STATE"];
        text.push_str(&format!("\n{}\n", say::table(&heads, status.partitions.iter().map(row))));
    }
    for (why, partitions) in reasons(&status.partitions) {
        text.push_str(&format!("\n{}: {}", say::count(partitions, "partition"), why.text));
        if !why.next.is_empty() {
            text.push_str(&format!("\n  next: {}", why.next));
        }
        text.push('\n');
    }
    text.push_str(&restorable(status));
    text
}

fn row(served: &Served) -> Vec<String> {
    let partition = &served.partition;
    vec![
        title(&partition.namespace, &partition.table),
        partition.partition.to_string(),
        served.node.map_or("-".into(), |node| node.to_string()),
        if partition.complete_ms == 0 { "-".into() } else { time(partition.complete_ms) },
        say::duration_ms(partition.lag_ms),
        partition.behind_entries.to_string(),
        say::bytes(partition.kept_bytes),
        served.why.as_ref().map_or("goes on", |why| word(why.kind)).to_owned(),
    ]
}

/// A kind of reason in a column.
fn word(kind: &str) -> &str {
    match kind {
        "target" => "refused",
        "node" => "node away",
        "leader" => "no leader",
        "slow" => "late",
        "gap" => "after a gap",
        other => other,
    }
}

/// Each reason once, with how many partitions it is that of.
fn reasons(partitions: &[Served]) -> Vec<(&Why, u64)> {
    let mut reasons: Vec<(&Why, u64)> = Vec::new();
    for why in partitions.iter().filter_map(|served| served.why.as_ref()) {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    reasons
}

fn restorable(status: &Status) -> String {
    if !status.target_problem.is_empty() {
        return format!("\nwhich times can be restored is not known: {}", status.target_problem);
    }
    match status.restorable.is_empty() {
        true => "\nno time can be restored yet: that takes a backup (skein backup create --to URL) and an interval \
                 after it"
            .to_owned(),
        false => format!(
            "\ncan be restored:\n{}\nof which over each backup:\n{}",
            windows::window_lines(&status.windows),
            stretches(&status.restorable)
        ),
    }
}
