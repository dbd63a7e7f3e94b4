//! The workspace and its dependencies, as cargo tells them.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::tools::{cargo, output};

/// All packages of the build.
#[derive(Debug, Deserialize)]
pub struct Workspace {
    /// Own ones and those of others.
    pub packages: Vec<Package>,
}

/// A package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licences, as an SPDX expression.
    pub license: Option<String>,
    /// Where it was fetched from; absent for packages of this workspace.
    pub source: Option<String>,
    /// What it uses.
    pub dependencies: Vec<Dependency>,
    /// `[package.metadata]`.
    pub metadata: Option<serde_json::Value>,
}

/// A use of another package.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// Which.
    pub name: String,
    /// `dev`, `build`, or absent for a normal one.
    pub kind: Option<String>,
    /// The folder, for packages of this workspace.
    pub path: Option<String>,
}

impl Workspace {
    /// The packages that a build on this machine uses.
    ///
    /// # Errors
    /// Cargo cannot tell them.
    pub fn load() -> Result<Self> {
        let mut rustc = std::process::Command::new("rustc");
        let version = output(rustc.arg("-vV"))?;
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host.context("rustc -vV tells no host")?;
        let text = output(&mut cargo(["metadata", "--format-version", "1", "--filter-platform", host]))?;
        serde_json::from_str(&text).context("cargo metadata prints something else than it should")
    }

    /// The packages of this workspace.
    pub fn own(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }
}

impl Package {
    /// Its layer, from `[package.metadata.skein]`.
    pub fn layer(&self) -> Option<u64> {
        self.metadata.as_ref()?.get("skein")?.get("layer")?.as_u64()
    }
}
