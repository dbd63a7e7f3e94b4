//! `skein namespace`: namespaces as ZanKV means them.

use api::admin::{CreateNamespace, Namespace};
use types::Fault;

use crate::cli::{Ask, NamespaceCommand, NamespaceCreate, NamespaceDelete};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Carries out a command about namespaces.
pub fn run(command: &NamespaceCommand) -> Result<Exit, Fault> {
    match command {
        NamespaceCommand::Create(arguments) => create(arguments),
        NamespaceCommand::List(arguments) => list(arguments),
        NamespaceCommand::Delete(arguments) => delete(arguments),
    }
}

fn create(arguments: &NamespaceCreate) -> Result<Exit, Fault> {
    let namespace = arguments.find.lookup().client()?.create_namespace(&CreateNamespace {
        name: arguments.name.clone(),
        partitions: arguments.partitions,
        replicas: arguments.replicas,
        ..Default::default()
    })?;
    match arguments.output.form() {
        Form::Json => say::json(&namespace),
        Form::Text => say::data(as_table(&[namespace])),
    }
    Ok(exit::OK)
}

fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let namespaces = arguments.find.lookup().client()?.namespaces()?;
    match arguments.output.form() {
        Form::Json => say::json(&namespaces),
        Form::Text => say::data(as_table(&namespaces)),
    }
    Ok(exit::OK)
}

fn delete(arguments: &NamespaceDelete) -> Result<Exit, Fault> {
    arguments.find.lookup().client()?.drop_namespace(&arguments.name)?;
    match arguments.output.form() {
        Form::Json => say::json(&serde_json::Map::new()),
        Form::Text => say::note(format_args!("deleted namespace {}", arguments.name)),
    }
    Ok(exit::OK)
}

fn as_table(namespaces: &[Namespace]) -> String {
    let headings = ["NAMESPACE", "PARTITIONS", "REPLICAS", "DATA VERSION", "EXPIRATION POLICY"];
    let rows = namespaces.iter().map(|namespace| {
        vec![
            namespace.name.clone(),
            namespace.partitions.to_string(),
            namespace.replicas.to_string(),
            namespace.data_version.clone(),
            namespace.expiration_policy.clone(),
        ]
    });
    say::table(&headings, rows)
}
