//! The shipped alert rules name metrics that there are, and say what to do next.

#![allow(clippy::unwrap_used)] // the whole file is a test

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use types::metrics;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/prometheus")
}

fn rules() -> String {
    std::fs::read_to_string(folder().join("skein.rules.yml")).unwrap()
}

/// Every name in a text that looks like a metric of ours.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    text.split(|byte| !is_name(byte)).filter(|word| word.starts_with("skein_")).collect()
}

#[test]
fn every_metric_of_the_rules_is_one_of_a_node() {
    let text = rules();
    let named = metrics_in(&text);
    assert!(named.len() >= 10, "{named:?}");
    let known: BTreeSet<&str> = metrics::ALL.iter().map(|metric| metric.name).collect();
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "no node tells {unknown:?}");
}

#[test]
fn every_alert_has_a_summary_and_the_next_command() {
    let text = rules();
    let alerts: Vec<&str> = text.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 10, "{} alerts", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["expr:", "severity:", "summary:", "description:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let next = alert.split("Next: ").nth(1);
        assert!(
            next.is_some_and(|next| next.starts_with("skein ") || next.starts_with("redis-cli ")),
            "{name} does not say what to type next"
        );
    }
}

/// Prometheus' own check and test of the rules, where its tool is installed.
#[test]
fn prometheus_takes_the_rules() {
    for arguments in [["check", "rules", "skein.rules.yml"], ["test", "rules", "skein.rules.test.yml"]] {
        match Command::new("promtool").args(arguments).current_dir(folder()).output() {
            Ok(output) => {
                let words = String::from_utf8_lossy(&output.stdout).into_owned();
                let words = words + &String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "promtool {}: {words}", arguments.join(" "));
            }
            Err(error) => {
                eprintln!("SKIPPED: promtool {} was not run: {error}", arguments.join(" "));
            }
        }
    }
}
