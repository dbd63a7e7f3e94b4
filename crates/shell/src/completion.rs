//! What may stand next on a line: from the usage of the command, and the names that the cluster has.

use crate::cluster::Seen;
use crate::commands::{self, Does};
use crate::show;

/// Where the word under the cursor begins, and what it may become. `before` is the line up to the cursor.
pub fn complete(before: &str, seen: Option<&Seen>, database: &str) -> (usize, Vec<String>) {
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (earlier, begun) = before.split_at(start);
    let mut earlier = earlier.split_whitespace();
    let candidates = match earlier.next() {
        None => command_names(),
        Some(name) => commands::named(name)
            .and_then(|command| command.usage.split(' ').nth(1 + earlier.count()))
            .map(|word| arguments(word, seen, database))
            .unwrap_or_default(),
    };
    (start, candidates.into_iter().filter(|candidate| candidate.starts_with(begun)).collect())
}

fn command_names() -> Vec<String> {
    let works = commands::ALL.iter().filter(|command| matches!(command.does, Does::Run(_)));
    works.map(|command| command.name.to_owned()).collect()
}

/// What may stand where the usage has this word: `table`, `[endpoint|auto]`, `yes|no`, …
fn arguments(word: &str, seen: Option<&Seen>, database: &str) -> Vec<String> {
    let mut found = Vec::new();
    for choice in word.trim_matches(['[', ']']).split('|') {
        match (choice, seen) {
            ("cmd", _) => found.extend(command_names()),
            ("table", Some(seen)) => found.extend(seen.tables_in(database).map(|table| table.name.clone())),
            ("db", Some(seen)) => found.extend(show::databases(&seen.tables)),
            (choice, Some(seen)) if choice.ends_with("endpoint") => {
                found.extend(seen.status.nodes.iter().map(|node| node.endpoint.clone()));
            }
            ("table" | "db" | "pid" | "pid_group" | "op_id" | "concurrency" | "*", _) => {}
            (choice, _) if choice.ends_with("endpoint") => {}
            ("need_restore", _) => found.extend(["true".to_owned(), "false".to_owned()]),
            (literal, _) => found.push(literal.to_owned()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_says_what_may_follow() {
        let next = |before: &str| complete(before, None, "").1;
        assert_eq!(next("showt"), ["showtable", "showtablet"]);
        assert_eq!(next("confset auto_failover t"), ["true"]);
        assert_eq!(next("confget "), ["auto_failover"]);
        assert_eq!(next("deleteop "), ["done", "failed", "canceled"]);
        assert_eq!(next("changeleader flow 0 a"), ["auto"]);
        assert_eq!(next("help mig"), ["migrate"]);
        assert!(next("unheard of").is_empty() && next("exit now").is_empty());
        assert_eq!(complete("  showtable", None, "").0, 2);
    }
}
