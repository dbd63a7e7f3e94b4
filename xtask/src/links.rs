//! Links between documents: each points to a file that is there.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::tools::{root, tracked_files};

/// Checks the links of all documents.
///
/// # Errors
/// Every link to a file that does not exist, one on a line.
pub fn check() -> Result<String> {
    let files = tracked_files()?;
    let documents: Vec<PathBuf> = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .collect();
    let (mut links, mut problems) = (0, Vec::new());
    for document in &documents {
        let text = std::fs::read_to_string(root().join(document))?;
        for target in targets(&text) {
            links += 1;
            let folder = document.parent().unwrap_or(Path::new(""));
            if !root().join(folder).join(&target).exists() {
                problems.push(format!("{}: there is no {target}", document.display()));
            }
        }
    }
    if problems.is_empty() {
        return Ok(format!("{links} links of {} documents lead somewhere", documents.len()));
    }
    bail!("{}", problems.join("\n"))
}

/// The files that a document links to: `[words](file)` and `[words](file#part)`.
fn targets(text: &str) -> Vec<String> {
    let starts = text.match_indices("](").map(|(at, mark)| &text[at + mark.len()..]);
    let targets = starts.filter_map(|rest| rest.split([')', '\n']).next());
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    files.filter(|file| !file.is_empty() && !file.contains("://")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_are_found() {
        let text = "[a](b.md), [c](../d.md#part) and [e](https://f) and [g](#h)";
        assert_eq!(targets(text), ["b.md", "../d.md"]);
    }
}
