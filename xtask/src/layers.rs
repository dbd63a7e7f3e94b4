//! Layers: every crate declares one, and uses only crates of lower ones.
//!
//! Dependencies of tests are free: a test may bring any world. Crates up to the laws must also not name
//! what they must not know, clocks, threads, sockets and files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::Workspace;
use crate::tools::root;

/// The names of layers, by number; ARCHITECTURE.md says what lives in each.
const NAMES: &[&str] =
    &["words", "words", "contracts", "laws", "matter", "drive", "member", "faces", "world", "edge", "edge"];

/// Crates that are deterministic functions: words and laws.
const PURE: &[&str] = &["types", "api", "catalog", "ops", "proto-redis"];

/// What those must not name, and why.
const BANNED: &[(&str, &str)] = &[
    ("std::net", "sockets belong to the faces"),
    ("std::fs", "files belong to matter"),
    ("std::thread", "threads belong to the drive and above"),
    ("Instant::now", "time is an argument"),
    ("SystemTime::now", "time is an argument"),
    ("std::env::var", "configuration is an argument"),
    ("getrandom", "chance is an argument"),
    ("tokio", "async belongs to the faces"),
];

/// Checks all crates.
///
/// # Errors
/// Every use that is not allowed, one on a line.
pub fn check(workspace: &Workspace) -> Result<String> {
    let mut problems = Vec::new();
    let mut layers = BTreeMap::new();
    for package in workspace.own() {
        match package.layer() {
            Some(layer) if (layer as usize) < NAMES.len() => {
                layers.insert(package.name.as_str(), layer);
            }
            Some(layer) => problems.push(format!("{}: there is no layer {layer}", package.name)),
            None => {
                problems.push(format!("{}: Cargo.toml has no [package.metadata.skein] layer", package.name))
            }
        }
    }
    for package in workspace.own() {
        let uses = package.dependencies.iter().filter(|used| used.path.is_some());
        for used in uses.filter(|used| used.kind.as_deref() != Some("dev")) {
            let (Some(own), Some(other)) = (layers.get(&*package.name), layers.get(&*used.name)) else {
                continue;
            };
            if other >= own {
                problems.push(format!(
                    "{} (layer {own}, {}) must not use {} (layer {other}, {}): only lower layers",
                    package.name, NAMES[*own as usize], used.name, NAMES[*other as usize]
                ));
            }
        }
    }
    for name in PURE {
        scan(&root().join("crates").join(name).join("src"), &mut problems)?;
    }
    if problems.is_empty() {
        return Ok(format!("{} crates use lower layers only", layers.len()));
    }
    bail!("{}", problems.join("\n"))
}

/// Looks for banned names in all source files of a folder. Tests may use them.
fn scan(folder: &Path, problems: &mut Vec<String>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            scan(&path, problems)?;
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (i, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for (name, why) in BANNED.iter().filter(|(name, _)| line.contains(name)) {
                let path = path.strip_prefix(root()).unwrap_or(&path).display();
                problems.push(format!("{path}:{}: names {name}: {why}", i + 1));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of two crates, the lower one with this layer; `kind` is how the upper one uses it.
    fn workspace(lower: &str, kind: &str) -> Workspace {
        let text = format!(
            r#"{{"packages": [
                {{"name": "upper", "version": "1.0.0", "license": null, "source": null,
                  "dependencies": [{{"name": "lower", "kind": {kind}, "path": "/lower"}}],
                  "metadata": {{"skein": {{"layer": 3}}}}}},
                {{"name": "lower", "version": "1.0.0", "license": null, "source": null,
                  "dependencies": [], "metadata": {lower}}}]}}"#
        );
        serde_json::from_str(&text).expect("metadata")
    }

    #[test]
    fn a_use_of_the_same_or_a_higher_layer_is_found() {
        for (layer, kind, allowed) in [
            (2, "null", true),
            (3, "null", false),
            (4, "null", false),
            (4, "\"build\"", false),
            (4, "\"dev\"", true),
        ] {
            let workspace = workspace(&format!(r#"{{"skein": {{"layer": {layer}}}}}"#), kind);
            assert_eq!(check(&workspace).is_ok(), allowed, "{layer} {kind}");
        }
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let error = check(&workspace("null", "null")).expect_err("no layer");
        assert!(error.to_string().contains("lower: Cargo.toml has no"), "{error}");
    }
}
