//! Commands that change the cluster through an operation: plan, question, start, wait.
//!
//! ```text
//!   --plan ──► plan ──► shown                                     nothing changes
//!   --yes ─────────────────────────────► start ──► (--wait) follow
//!   terminal ─► plan ─► shown ─► asked ─► start, if the plan still holds ──► (--wait) follow
//!   neither ──► refused
//! ```
//!
//! What gives up acknowledged writes is not agreed to by `--yes`: the cluster's name has to be typed.

use std::io::{IsTerminal, Write};

use api::admin::{Operation, OperationRequest, Plan, StartOperation};
use client::Client;
use types::{ErrorCode, Fault};

use super::{follow, recover_catalog};
use crate::cli::{Change, Find, RecoverQuorum};
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Asks for an operation, in the way that the command line says.
pub fn run(request: &OperationRequest, change: &Change) -> Result<Exit, Fault> {
    let form = change.output.form();
    let client = change.find.lookup().client()?;
    if change.plan {
        show_plan(&client.plan(request)?, form);
        return Ok(exit::OK);
    }
    let planned = match agreement(&client, request, change)? {
        Agreement::Given(planned) => planned,
        Agreement::Refused => {
            say::note("nothing was changed");
            return Ok(exit::ERROR);
        }
    };
    let wish = StartOperation { request: request.clone(), planned, by: None };
    start(&client, &wish, change.wait, &change.find, form)
}

/// Starts an operation, and follows it if that is wanted.
pub(super) fn start(
    client: &Client,
    wish: &StartOperation,
    wait: bool,
    find: &Find,
    form: Form,
) -> Result<Exit, Fault> {
    let operation = client.start_operation(wish)?;
    if wait {
        return follow::until_ended(client, operation, find, form);
    }
    tell_started(&operation, find, form);
    Ok(exit::OK)
}

/// Gives up what partitions without a majority have lost, once the cluster's name was typed.
pub fn recover_quorum(arguments: &RecoverQuorum) -> Result<Exit, Fault> {
    let form = arguments.output.form();
    let client = arguments.find.lookup().client()?;
    let request = arguments.request();
    let plan = match client.plan(&request) {
        // Without the catalog nothing can be planned: it comes first.
        Err(fault) if fault.code == ErrorCode::NoLeader => {
            if !recover_catalog::run(&client, arguments)? {
                return Ok(exit::OK);
            }
            client.plan(&request)?
        }
        planned => planned?,
    };
    if arguments.plan || plan.parts.is_empty() {
        show_plan(&plan, form);
        return Ok(exit::OK);
    }
    if form == Form::Text {
        say::note(plan_text(&plan));
    }
    typed_name(&client, arguments)?;
    let wish = StartOperation { request, planned: Some(plan.catalog_version), by: None };
    start(&client, &wish, arguments.wait, &arguments.find, form)
}

/// The cluster's name, typed by somebody who gives up acknowledged writes.
///
/// # Errors
/// `NeedsConsent` if nobody is there to type it, or it is another one.
pub(super) fn typed_name(client: &Client, arguments: &RecoverQuorum) -> Result<String, Fault> {
    let name = client.identity()?.name;
    let typed = match &arguments.name {
        Some(typed) => typed.clone(),
        None if is_terminal() && arguments.output.form() == Form::Text => {
            ask("\nthis gives up acknowledged writes; type the cluster's name to do it: ")
        }
        None => {
            let detail = "this gives up acknowledged writes; say the cluster's name with --name NAME";
            return Err(Fault::new(ErrorCode::NeedsConsent, detail));
        }
    };
    if typed != name {
        let detail = format!("the cluster is called '{name}', not '{typed}'; nothing was changed");
        return Err(Fault::new(ErrorCode::NeedsConsent, detail));
    }
    Ok(name)
}

/// Whether the user agrees.
pub(super) enum Agreement {
    /// To the plan of this catalog version, or to any.
    Given(Option<u64>),
    Refused,
}

fn agreement(client: &Client, request: &OperationRequest, change: &Change) -> Result<Agreement, Fault> {
    if change.yes {
        return Ok(Agreement::Given(None));
    }
    if !is_terminal() || change.output.form() == Form::Json {
        return Err(Fault::new(ErrorCode::NeedsConsent, request.kind.clone()));
    }
    agreed_at_terminal(client, request)
}

/// Shows the plan and asks, if somebody is there; what harms nobody goes on where nobody is.
pub(super) fn agreed_at_terminal(client: &Client, request: &OperationRequest) -> Result<Agreement, Fault> {
    if !is_terminal() {
        return Ok(Agreement::Given(None));
    }
    let plan = client.plan(request)?;
    say::note(plan_text(&plan));
    if plan.joins.is_some() || plan.idle {
        // Nothing is to be agreed to: it goes on whatever the answer is, or there is nothing to do.
        return Ok(Agreement::Given(Some(plan.catalog_version)));
    }
    let agrees = matches!(ask("\ndo it? [y/N] ").as_str(), "y" | "Y" | "yes");
    Ok(if agrees { Agreement::Given(Some(plan.catalog_version)) } else { Agreement::Refused })
}

/// Whether somebody is there to be asked.
fn is_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn ask(question: &str) -> String {
    let _ = write!(std::io::stderr(), "{question}");
    let mut answer = String::new();
    // An input that ends, or cannot be read, is no agreement.
    let _ = std::io::stdin().read_line(&mut answer);
    answer.trim().to_owned()
}

/// A plan, and how it is carried out.
pub(super) fn show_plan(plan: &Plan, form: Form) {
    match form {
        Form::Json => say::json(plan),
        Form::Text => {
            say::data(plan_text(plan));
            if let Some(words) = next(plan) {
                say::note(format_args!(" next: {words}"));
            }
        }
    }
}

/// How a plan is carried out, if there is something to do.
fn next(plan: &Plan) -> Option<&'static str> {
    (!plan.idle).then_some("the same command without --plan does it")
}

/// A plan for people.
fn plan_text(plan: &Plan) -> String {
    let mut text = plan.summary.clone();
    match plan.parts.as_slice() {
        [] => {}
        parts if parts.iter().all(|part| part.steps.is_empty()) => {
            let rows = parts.iter().map(|part| vec![part.what.clone(), say::bytes(part.bytes)]);
            let (bytes, seconds) = (say::bytes(plan.bytes), say::duration_s(plan.seconds));
            let table = say::table(&["WHAT", "ABOUT"], rows);
            text.push_str(&format!("\n\n{table}\n\nwrites about {bytes} in about {seconds}"));
        }
        [part] => {
            text.push_str(&format!("\nsteps: {}\n{}", part.steps.join(", "), cost(plan)));
        }
        parts => {
            let moves = |bytes| if bytes == 0 { "-".into() } else { say::bytes(bytes) };
            let rows =
                parts.iter().map(|part| vec![part.what.clone(), moves(part.bytes), part.steps.join(", ")]);
            text.push_str("\n\n");
            text.push_str(&say::table(&["WHAT", "MOVES", "STEPS"], rows));
            text.push_str("\n\n");
            text.push_str(&cost(plan));
        }
    }
    for note in &plan.notes {
        text.push_str("\nnote: ");
        text.push_str(note);
    }
    text
}

/// `moves 12.3 MiB in about 2 s; at every moment any 1 node may be lost`.
fn cost(plan: &Plan) -> String {
    let moves = match plan.bytes {
        0 => "moves no data".to_owned(),
        bytes => format!("moves {} in about {}", say::bytes(bytes), say::duration_s(plan.seconds)),
    };
    let tolerance = match plan.lowest_fault_tolerance {
        0 => "at its worst moment no node may be lost".to_owned(),
        nodes => format!("at every moment any {} may be lost", say::count(u64::from(nodes), "node")),
    };
    format!("{moves}; {tolerance}")
}

fn tell_started(operation: &Operation, find: &Find, form: Form) {
    match form {
        Form::Json => say::json(operation),
        Form::Text => {
            let how = if operation.joined { "does this already" } else { "goes on by itself" };
            say::note(format_args!("operation {} {how}: {}", operation.id, operation.what));
            say::note(format_args!(" next: skein op watch {}{}", operation.id, find.words()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::admin::PlannedPart;

    #[test]
    fn a_plan_says_what_is_done_and_what_it_costs() {
        let part = PlannedPart {
            kind: "migrate".into(),
            what: "flow/0 moves from node 1 to node 4".into(),
            table: "flow".into(),
            partition: 0,
            steps: ["add", "catch-up", "evidence", "remove"].map(String::from).to_vec(),
            bytes: 12_902_400,
        };
        let plan = Plan {
            catalog_version: 7,
            summary: "flow/0 moves from node 1 to node 4".into(),
            parts: vec![part],
            bytes: 12_902_400,
            seconds: 2,
            lowest_fault_tolerance: 1,
            notes: vec!["node 3 is down".into()],
            joins: None,
            idle: false,
        };
        let expected = "\
flow/0 moves from node 1 to node 4
steps: add, catch-up, evidence, remove
moves 12.3 MiB in about 2 s; at every moment any 1 node may be lost
note: node 3 is down";
        assert_eq!(plan_text(&plan), expected);
        let other = PlannedPart { what: "flow/1 moves".into(), bytes: 0, ..plan.parts[0].clone() };
        let many = Plan { parts: vec![plan.parts[0].clone(), other], notes: Vec::new(), ..plan.clone() };
        let expected = "\
flow/0 moves from node 1 to node 4

WHAT                                MOVES     STEPS
flow/0 moves from node 1 to node 4  12.3 MiB  add, catch-up, evidence, remove
flow/1 moves                        -         add, catch-up, evidence, remove

moves 12.3 MiB in about 2 s; at every moment any 1 node may be lost";
        assert_eq!(plan_text(&many), expected);
        let nothing = Plan { parts: Vec::new(), notes: Vec::new(), ..plan };
        assert_eq!(plan_text(&nothing), nothing.summary);
        assert_eq!(
            next(&nothing),
            Some("the same command without --plan does it"),
            "flags of a node, for one"
        );
        assert_eq!(next(&Plan { idle: true, ..nothing.clone() }), None);
        let bare = Plan { bytes: 0, lowest_fault_tolerance: 0, ..nothing };
        assert_eq!(cost(&bare), "moves no data; at its worst moment no node may be lost");
    }
}
