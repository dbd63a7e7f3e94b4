//! `skein digest`: are the replicas of a table equal?

use api::admin::{DigestReport, TablePartition};
use serde::Serialize;
use types::{ErrorCode, Fault};

use crate::cli::Digest;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// A partition's digest, as printed.
#[derive(Serialize)]
struct Compared {
    /// The partition.
    partition: u64,
    #[serde(flatten)]
    report: DigestReport,
}

/// Compares one partition or all of a table. Replicas that differ are an error.
pub fn run(arguments: &Digest) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let partitions: Vec<u64> = match arguments.partition {
        Some(partition) => vec![partition],
        None => {
            let status = client.status()?;
            let of_table = status.partitions.iter().filter(|partition| partition.table == arguments.table);
            of_table.map(|partition| partition.partition).collect()
        }
    };
    if partitions.is_empty() {
        return Err(Fault::new(ErrorCode::UnknownTable, arguments.table.clone()));
    }
    let mut compared = Vec::new();
    for partition in partitions {
        let report = client.digest(&TablePartition { table: arguments.table.clone(), partition })?;
        compared.push(Compared { partition, report });
    }
    match arguments.output.form() {
        Form::Json => say::json(&compared),
        Form::Text => say::data(as_table(&compared)),
    }
    Ok(if compared.iter().all(|one| one.report.equal) { exit::OK } else { exit::ERROR })
}

fn as_table(compared: &[Compared]) -> String {
    let rows = compared.iter().flat_map(|one| {
        one.report.replicas.iter().map(|replica| {
            vec![
                one.partition.to_string(),
                one.report.index.to_string(),
                replica.node.to_string(),
                replica.replica.to_string(),
                replica.records.to_string(),
                replica.hash.clone(),
                if one.report.equal { "yes" } else { "NO" }.to_owned(),
            ]
        })
    });
    say::table(&["PARTITION", "INDEX", "NODE", "REPLICA", "RECORDS", "HASH", "EQUAL"], rows)
}
