//! `skein node`: the nodes of a cluster.

use types::Fault;

use super::status::nodes_table;
use crate::cli::Ask;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Lists all nodes.
pub fn list(arguments: &Ask) -> Result<Exit, Fault> {
    let nodes = arguments.find.lookup().client()?.nodes()?;
    match arguments.output.form() {
        Form::Json => say::json(&nodes),
        Form::Text => say::data(nodes_table(&nodes)),
    }
    Ok(exit::OK)
}
