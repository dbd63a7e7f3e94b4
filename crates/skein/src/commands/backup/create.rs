//! `backup create` and `backup verify --drill`: operations of the cluster, started and followed.
//!
//! The cluster does the work, whoever leads it; this command may end at any time.

use api::admin::{OperationRequest, StartOperation};
use api::saving::BackupRequest;
use client::Client;
use types::Fault;

use crate::cli::{BackupCreate, BackupVerify, Find};
use crate::commands::operate;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Saves tables.
pub fn run(arguments: &BackupCreate) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let request = request(arguments)?;
    if arguments.plan {
        operate::show_plan(&client.plan(&request)?, form);
        return Ok(exit::OK);
    }
    let exit = start(&client, request, arguments.waiting.wait, &arguments.find, form)?;
    if exit == exit::OK && arguments.waiting.wait && form == Form::Text {
        let url = &arguments.to;
        say::note(format_args!(" next: skein backup verify ID --at {url} --drill proves that it restores"));
    }
    Ok(exit)
}

fn request(arguments: &BackupCreate) -> Result<OperationRequest, Fault> {
    let backup = BackupRequest {
        url: arguments.to.clone(),
        backup: arguments.resume.clone(),
        parent: arguments.incremental_from.clone(),
        tables: arguments.which.table.clone(),
        namespaces: arguments.which.namespace.clone(),
        kinds: arguments.which.kinds()?,
        partitions: None,
        bytes_per_second: arguments.speed.rate,
        keys_per_second: arguments.speed.qps,
    };
    Ok(OperationRequest { kind: "backup".into(), backup: Some(backup), ..Default::default() })
}

/// Restores a backup into scratch tables, and records that the copies are equal.
pub fn drill(arguments: &BackupVerify) -> Result<Exit, Fault> {
    let backup = BackupRequest {
        url: arguments.at.clone(),
        backup: Some(arguments.id.clone()),
        partitions: arguments.partitions,
        bytes_per_second: arguments.speed.rate,
        keys_per_second: arguments.speed.qps,
        ..BackupRequest::default()
    };
    let request = OperationRequest { kind: "drill".into(), backup: Some(backup), ..Default::default() };
    let client = arguments.find.lookup().client()?;
    start(&client, request, arguments.waiting.wait, &arguments.find, arguments.output.form())
}

fn start(
    client: &Client,
    request: OperationRequest,
    wait: bool,
    find: &Find,
    form: Form,
) -> Result<Exit, Fault> {
    operate::start(client, &StartOperation { request, planned: None, by: None }, wait, find, form)
}
