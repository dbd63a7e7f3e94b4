//! `skein table`: list, show, make and drop tables.

use api::admin::{CreateTable, PartitionStatus, Table};
use clap::ValueEnum;
use serde::Serialize;
use types::Fault;

use super::status::partitions_table;
use crate::cli::{Ask, TableCreate, TableNamed};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// A table with its partitions, as `table show --json` prints it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    table: Table,
    /// How they are.
    state: Vec<PartitionStatus>,
}

/// Makes a table.
pub fn create(arguments: &TableCreate) -> Result<Exit, Fault> {
    let engine = arguments.engine.to_possible_value().map(|value| value.get_name().to_owned());
    let table = arguments.find.lookup().client()?.create_table(&CreateTable {
        namespace: Some(arguments.namespace.clone()),
        name: arguments.name.clone(),
        engine,
        partitions: arguments.partitions,
        replicas: arguments.replicas,
    })?;
    match arguments.output.form() {
        Form::Json => say::json(&table),
        Form::Text => say::data(as_table(&[table])),
    }
    Ok(exit::OK)
}

/// Lists all tables.
pub fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let tables = arguments.find.lookup().client()?.tables()?;
    match arguments.output.form() {
        Form::Json => say::json(&tables),
        Form::Text => say::data(as_table(&tables)),
    }
    Ok(exit::OK)
}

/// Shows a table and its partitions.
pub fn show(arguments: &TableNamed) -> Result<Exit, Fault> {
    let client = arguments.find.lookup().client()?;
    let table = client.table(&arguments.namespace, &arguments.name)?;
    let name = full_name(&table);
    let partitions = client.status()?.partitions.into_iter();
    let state = partitions.filter(|partition| partition.table == name).collect();
    match arguments.output.form() {
        Form::Json => say::json(&Shown { table, state }),
        Form::Text => say::data(format_args!("{}\n\n{}", as_table(&[table]), partitions_table(&state))),
    }
    Ok(exit::OK)
}

/// Drops a table.
pub fn drop(arguments: &TableNamed) -> Result<Exit, Fault> {
    arguments.find.lookup().client()?.drop_table(&arguments.namespace, &arguments.name)?;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::Map::new()),
        Form::Text => say::note(format_args!("dropped {}:{}", arguments.namespace, arguments.name)),
    }
    Ok(exit::OK)
}

/// `namespace:name`, or just the name in the default namespace, as statuses name tables.
fn full_name(table: &Table) -> String {
    if table.namespace == "default" {
        table.name.clone()
    } else {
        format!("{}:{}", table.namespace, table.name)
    }
}

fn as_table(tables: &[Table]) -> String {
    let headings = ["TID", "NAMESPACE", "NAME", "ENGINE", "PARTITIONS", "REPLICAS", "GENERATION", "HASH"];
    let rows = tables.iter().map(|table| {
        vec![
            table.tid.to_string(),
            table.namespace.clone(),
            table.name.clone(),
            table.engine.clone(),
            table.partitions.to_string(),
            table.replicas.to_string(),
            table.generation.to_string(),
            table.hash.clone(),
        ]
    });
    say::table(&headings, rows)
}
