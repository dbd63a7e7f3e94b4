//! `skein explain`: why something is as it is, and what would change it.

use api::admin::{Blocker, Explanation};
use types::Fault;

use crate::cli::ExplainCommand;
use crate::exit::{self, Exit};
use crate::say::{self, Form};

/// Explains a partition or a node.
pub fn run(command: &ExplainCommand) -> Result<Exit, Fault> {
    let explanation = match command {
        ExplainCommand::Partition(which) => {
            let (namespace, table) = which.table.split_once(':').unwrap_or(("default", &which.table));
            which.find.lookup().client()?.explain_partition(namespace, table, which.partition)?
        }
        ExplainCommand::Node(which) => which.find.lookup().client()?.explain_node(which.node)?,
    };
    tell(&explanation, command.output().form())
}

/// Prints an explanation.
pub fn tell(explanation: &Explanation, form: Form) -> Result<Exit, Fault> {
    match form {
        Form::Json => say::json(explanation),
        Form::Text => say::data(text(explanation)),
    }
    Ok(exit::OK)
}

fn text(explanation: &Explanation) -> String {
    let mut text = explanation.summary.clone();
    for fact in &explanation.facts {
        text.push_str("\n  ");
        text.push_str(fact);
    }
    for blocker in &explanation.blockers {
        text.push_str(&format!("\nin the way: {}{}", place(blocker), blocker.why));
        if !blocker.unblock.is_empty() {
            text.push_str(&format!("\n      help: {}", blocker.unblock));
        }
    }
    for next in &explanation.next {
        text.push_str("\n next: ");
        text.push_str(next);
    }
    text
}

/// `flow/1, node 2: `, as far as it is about one.
fn place(blocker: &Blocker) -> String {
    let partition = match (&blocker.table, blocker.partition) {
        (Some(table), Some(partition)) => Some(format!("{table}/{partition}")),
        (Some(table), None) => Some(table.clone()),
        _ => None,
    };
    let node = blocker.node.map(|node| format!("node {node}"));
    let places: Vec<String> = partition.into_iter().chain(node).collect();
    if places.is_empty() { String::new() } else { format!("{}: ", places.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_way_comes_with_what_helps() {
        let explanation = Explanation {
            summary: "operation 3 waits".into(),
            facts: vec!["8 of 9 partitions have moved".into()],
            blockers: vec![Blocker {
                table: Some("flow".into()),
                partition: Some(1),
                node: Some(2),
                why: "node 2 is down".into(),
                unblock: "start node 2".into(),
            }],
            next: vec!["skein op cancel 3".into()],
        };
        let expected = "\
operation 3 waits
  8 of 9 partitions have moved
in the way: flow/1, node 2: node 2 is down
      help: start node 2
 next: skein op cancel 3";
        assert_eq!(text(&explanation), expected);
    }
}
