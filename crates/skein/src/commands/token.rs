//! `skein token`: what changes over HTTP must carry.

use serde::Serialize;
use types::Fault;

use crate::cli::Token;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// The token, as `token --json` prints it.
#[derive(Serialize)]
struct Shown {
    token: String,
}

/// Prints the admin token of the cluster.
pub fn run(arguments: &Token) -> Result<Exit, Fault> {
    let token = arguments.find.lookup().secret()?.admin_token();
    match arguments.output.form() {
        Form::Json => say::json(&Shown { token }),
        Form::Text => say::data(token),
    }
    Ok(exit::OK)
}
