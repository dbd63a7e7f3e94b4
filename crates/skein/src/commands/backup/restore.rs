//! `restore`: an operation of the cluster, planned, started and followed.
//!
//! The cluster does the work, whoever leads it; this command may end at any time, and given again it joins what goes on.
//! What an operation that has failed has left is gone on with by the same command as well.

use api::admin::{OperationRequest, StartOperation};
use api::restoring::RestoreRequest;
use types::Fault;

use crate::cli::Restore;
use crate::commands::operate;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Restores what was asked for.
pub fn run(arguments: &Restore) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let request = request(arguments)?;
    if arguments.plan {
        operate::show_plan(&client.plan(&request)?, form);
        return Ok(exit::OK);
    }
    let planned = match arguments.yes || form == Form::Json {
        true => None,
        false => match operate::agreed_at_terminal(&client, &request)? {
            operate::Agreement::Given(planned) => planned,
            operate::Agreement::Refused => {
                say::note("nothing was changed");
                return Ok(exit::ERROR);
            }
        },
    };
    let wish = StartOperation { request, planned, by: None };
    operate::start(&client, &wish, arguments.waiting.wait, &arguments.find, form)
}

fn request(arguments: &Restore) -> Result<OperationRequest, Fault> {
    let restore = RestoreRequest {
        url: arguments.from.clone(),
        backup: arguments.id.clone(),
        at_ms: arguments.at,
        tables: arguments.which.table.clone(),
        namespaces: arguments.which.namespace.clone(),
        kinds: arguments.which.kinds()?,
        to_table: arguments.to_table.clone(),
        partitions: arguments.partitions,
        replicas: arguments.replicas,
        on_conflict: arguments.on_conflict.map(|conflict| conflict.word().to_owned()),
        restart: arguments.restart,
        bytes_per_second: arguments.speed.rate,
        keys_per_second: arguments.speed.qps,
        sources: Vec::new(),
    };
    Ok(OperationRequest { kind: "restore".into(), restore: Some(restore), ..Default::default() })
}
