//! Licences and advisories of everything that is built in.
//!
//! `deny.toml` is the list of both: licences that are allowed, and advisories that are accepted, each with
//! its reason. With `cargo-deny` installed it is asked for both; without it the licences are checked here
//! and the advisories, which need its database, are not: then that is said.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::metadata::Workspace;
use crate::tools::{cargo, is_installed, root, run};

/// Checks all packages.
///
/// # Errors
/// Every package whose licence is not allowed.
pub fn check(workspace: &Workspace) -> Result<String> {
    if is_installed("cargo-deny") {
        run(&mut cargo(["deny", "--offline", "check", "licenses", "bans", "sources"]))?;
        return Ok("cargo-deny agrees".to_owned());
    }
    let path = root().join("deny.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let allowed = allowed(&text)?;
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let licence = package.license.as_deref().unwrap_or("none");
        if !is_allowed(licence, &allowed) {
            problems.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    if !problems.is_empty() {
        bail!("not allowed by deny.toml:\n{}", problems.join("\n"));
    }
    Ok(format!("licences of {} packages are allowed", workspace.packages.len()))
}

/// Looks all packages up in the newest database of advisories. Where that cannot be had, the sentence says so.
///
/// # Errors
/// Every package with an advisory that `deny.toml` does not accept.
pub fn advisories() -> Result<String> {
    if !is_installed("cargo-deny") {
        return Ok(
            "NOT LOOKED UP: cargo-deny is not installed ('cargo install --locked cargo-deny')".to_owned()
        );
    }
    // By itself: a network that is away says nothing about the packages.
    let fetched = cargo(["deny", "fetch", "db"]).output().is_ok_and(|output| output.status.success());
    if !fetched {
        return Ok("NOT LOOKED UP: the database could not be fetched".to_owned());
    }
    run(&mut cargo(["deny", "--offline", "check", "advisories"]))?;
    Ok("no package has an advisory that deny.toml does not accept".to_owned())
}

/// The licences that `deny.toml` allows.
fn allowed(text: &str) -> Result<BTreeSet<String>> {
    let document: toml::Table = text.parse().context("deny.toml is not TOML")?;
    let licences = document.get("licenses").and_then(|licences| licences.get("allow"));
    let licences = licences.and_then(toml::Value::as_array).context("deny.toml has no licenses.allow")?;
    Ok(licences.iter().filter_map(|licence| licence.as_str()).map(str::to_owned).collect())
}

/// Whether an SPDX expression can be satisfied: `OR` offers a choice, `AND` and `/` (an old way to write a
/// choice) bind tighter. Parentheses occur around choices only.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace('/', " OR ");
    if let Some((before, after)) = expression.split_once('(') {
        let Some((inside, after)) = after.split_once(')') else { return false };
        if !is_allowed(inside, allowed) {
            return false;
        }
        // The group is satisfied, so it stands for any licence that is.
        let Some(any) = allowed.first() else { return false };
        return is_allowed(&format!("{before}{any}{after}"), allowed);
    }
    expression.split(" OR ").any(|choice| choice.split(" AND ").all(|one| allowed.contains(one.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_choices_and_duties() {
        let allowed =
            allowed("[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Unicode-3.0\"]").expect("a list");
        for (expression, wanted) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT/Apache-2.0", true),
            ("GPL-3.0 OR MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND Unicode-3.0", true),
            ("(GPL-2.0 OR GPL-3.0) AND Unicode-3.0", false),
            ("none", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), wanted, "{expression}");
        }
    }
}
