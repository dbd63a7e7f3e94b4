//! The first part of `recover-quorum` where the catalog's own majority is lost: without a catalog nothing can be
//! planned.
//!
//! The nodes that are left are asked what they have of the catalog. The one with the longest log goes on alone, once
//! the cluster's name was typed; it refuses by itself what is not needed or not the best.

use std::time::{Duration, Instant};

use api::recovery::{CatalogSurvivor, GiveUpCatalogMajority};
use client::Client;
use types::{ErrorCode, Fault, utc};

use super::operate::typed_name;
use crate::cli::RecoverQuorum;
use crate::say::{self, Form};

/// How long a survivor may take to come to rest and to elect itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(250);

/// Gives the catalog a leader again. Whether it has one afterwards: not if only the plan was wanted.
///
/// # Errors
/// `NoLeader` if the nodes that are there can elect one; `NeedsConsent`; `Unreachable` if no node that keeps the
/// catalog answers; `Unsafe` if a node knows better.
pub fn run(client: &Client, arguments: &RecoverQuorum) -> Result<bool, Fault> {
    let form = arguments.output.form();
    let mut survivors: Vec<(Client, CatalogSurvivor)> = Vec::new();
    for alone in client.apart() {
        if let Ok(survivor) = alone.catalog_survivor() {
            survivors.push((alone, survivor));
        }
    }
    if survivors.iter().any(|(_, survivor)| survivor.has_leader) {
        return Ok(true);
    }
    let Some((node, best)) = survivors.iter().max_by_key(|(_, one)| (one.last_term, one.last_index)) else {
        return Err(Fault::new(ErrorCode::Unreachable, "no node that keeps the catalog answers"));
    };
    if best.heard.len() > best.voters.len() / 2 {
        let detail = format!("nodes {} keep the catalog and are there: they elect", listed(&best.heard));
        return Err(Fault::new(ErrorCode::NoLeader, detail));
    }
    match form {
        Form::Json if arguments.plan => say::json(best),
        Form::Text if arguments.plan => {
            say::data(plan_text(best));
            say::note(" next: the same command without --plan does it, and goes on with the partitions");
        }
        Form::Json | Form::Text => say::note(plan_text(best)),
    }
    if arguments.plan {
        return Ok(false);
    }
    let wish = GiveUpCatalogMajority { name: typed_name(node, arguments)? };
    let begun = Instant::now();
    while !node.catalog_survivor()?.has_leader {
        match node.give_up_catalog_majority(&wish) {
            // It has become leader between the two questions.
            Err(fault) if fault.code == ErrorCode::Unsafe && node.catalog_survivor()?.has_leader => {}
            other => other?,
        }
        if begun.elapsed() > PATIENCE {
            let detail = format!("node {} does not lead the catalog after {PATIENCE:?}", best.node);
            return Err(Fault::new(ErrorCode::NoLeader, detail));
        }
        std::thread::sleep(LOOK);
    }
    say::note(format!("node {} leads the catalog, alone for now\n", best.node));
    wait_for_plans(client, arguments, begun)?;
    Ok(true)
}

/// The new leader has to learn who it is before it plans.
fn wait_for_plans(client: &Client, arguments: &RecoverQuorum, begun: Instant) -> Result<(), Fault> {
    loop {
        match client.plan(&arguments.request()) {
            Err(fault) if fault.code == ErrorCode::NoLeader && begun.elapsed() < PATIENCE => {
                std::thread::sleep(LOOK);
            }
            Err(fault) if fault.code == ErrorCode::NoLeader => return Err(fault),
            _ => return Ok(()),
        }
    }
}

fn plan_text(best: &CatalogSurvivor) -> String {
    let lost = best.voters.iter().filter(|node| !best.heard.contains(node)).copied().collect::<Vec<_>>();
    format!(
        "the catalog has lost its majority: of nodes {}, which keep it, {} are not there\n\
         node {} goes on with what it has: its log ends at entry {} of term {}\n\
         lost is what the catalog acknowledged after {}, if anything: tables, settings, moves of replicas\n\
         note: the others must be stopped or gone; together and cut off from node {}, they would go on by themselves",
        listed(&best.voters),
        listed(&lost),
        best.node,
        best.last_index,
        best.last_term,
        utc::text(best.stamp_ms),
        best.node
    )
}

fn listed(nodes: &[u64]) -> String {
    nodes.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
