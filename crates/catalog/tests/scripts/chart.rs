//! Charts of where replicas and leaders are.

use std::fmt::Write;

use catalog::Catalog;
use catalog::place::SPREAD_LABELS;
use types::GroupId;

/// Replicas (`#`, and `L` for those of rank 0) of a table on each node, and who would take over.
pub fn of_table(catalog: &Catalog, name: &str) -> String {
    let table = catalog.find(name).expect("the table exists");
    let mut out = String::new();
    for node in catalog.nodes() {
        let mut bar = String::new();
        let mut heirs: Vec<u64> = Vec::new();
        for group in &table.groups {
            let replicas = &catalog.partition(GroupId(*group)).expect("a partition of the table").replicas;
            match replicas.iter().position(|replica| replica.node == node.id) {
                Some(0) => {
                    bar.insert(0, 'L');
                    heirs.extend(replicas.get(1).map(|heir| heir.node));
                }
                Some(_) => bar.push('#'),
                None => {}
            }
        }
        heirs.sort_unstable();
        let labels = SPREAD_LABELS.iter().filter_map(|name| {
            node.labels.iter().find(|label| label.name == *name).map(|label| label.value.as_str())
        });
        let place = format!("{} {}", node.id, labels.collect::<Vec<_>>().join("/"));
        let leads = bar.chars().filter(|mark| *mark == 'L').count();
        let heirs = heirs.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        writeln!(out, "node {place:<10} |{bar:<24}| replicas={} leads={leads} heirs={heirs}", bar.len())
            .unwrap();
    }
    out
}
