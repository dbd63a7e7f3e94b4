//! `skein leader`: move partition leaders.

use api::admin::MoveLeader;
use types::Fault;

use crate::cli::LeaderMove;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Lets another replica lead.
pub fn r#move(arguments: &LeaderMove) -> Result<Exit, Fault> {
    let wish =
        MoveLeader { table: arguments.table.clone(), partition: arguments.partition, to: arguments.to };
    arguments.find.lookup().client()?.move_leader(&wish)?;
    match arguments.output.form() {
        Form::Json => say::json(&wish),
        Form::Text => {
            say::note(format_args!(
                "partition {} of {} is led by node {}",
                wish.partition, wish.table, wish.to
            ));
        }
    }
    Ok(exit::OK)
}
