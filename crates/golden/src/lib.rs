//! For tests: files that say what must come out.
//!
//! A test that compares with a file is read in the file. When what comes out changes on purpose,
//! `SKEIN_REWRITE=1 cargo test …` writes it instead, and the difference is read before it is committed.
//!
//! Scripts are the usual form: commands with what came of them below each. Documents have parts that are made from the
//! program, between two marks:
//!
//! ```text
//! <!-- made: commands -->
//! (what the program says)
//! <!-- end: commands -->
//! ```
//!
//! Everything here panics, as tests do, and says how the file is written anew.

use std::fs;
use std::path::{Path, PathBuf};

/// The variable that has files written instead of compared.
const REWRITE: &str = "SKEIN_REWRITE";

/// Replays every script (`*.txt`) of a folder. `replay` returns the script as it comes out now.
///
/// # Panics
/// If one comes out otherwise, naming the first line of each that does; if there are fewer than `at_least` scripts:
/// then somebody has moved them.
pub fn scripts(folder: &Path, at_least: usize, mut replay: impl FnMut(&str) -> String) {
    let paths = scripts_of(folder);
    assert!(paths.len() >= at_least, "only {} scripts in {}", paths.len(), folder.display());
    let mut differing = Vec::new();
    for path in paths {
        let written = read(&path);
        let came = replay(&written);
        differing.extend(difference(&path, &written, &came, is_rewriting()));
    }
    assert!(differing.is_empty(), "{}", told(&differing));
}

/// Compares the part of a document between its two marks of this name; there is an empty line on both sides of it.
///
/// # Panics
/// If it is something else, or a mark is missing.
pub fn part(document: &Path, name: &str, wanted: &str) {
    let text = read(document);
    let (begin, end) = (format!("<!-- made: {name} -->\n"), format!("<!-- end: {name} -->"));
    let missing = |mark: &str| -> usize { panic!("{} has no mark {mark}", document.display()) };
    let from = text.find(&begin).unwrap_or_else(|| missing(&begin)) + begin.len();
    let to = from + text[from..].find(&end).unwrap_or_else(|| missing(&end));
    let made = format!("{}\n{}\n\n{}", &text[..from], wanted.trim(), &text[to..]);
    let differing = difference(document, &text, &made, is_rewriting());
    assert!(differing.is_none(), "{name}: {}", told(differing.as_slice()));
}

/// Whether files are written instead of compared.
pub fn is_rewriting() -> bool {
    std::env::var_os(REWRITE).is_some()
}

fn scripts_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the two differ first; nothing if they do not, or if the file was written anew.
fn difference(path: &Path, written: &str, came: &str, rewrite: bool) -> Option<String> {
    if written == came {
        return None;
    }
    if rewrite {
        fs::write(path, came).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return None;
    }
    let (mut old, mut new) = (written.lines(), came.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (old.next(), new.next()) {
            (None, None) => return Some(format!("{}: only in the ends of lines", path.display())),
            (old, new) if old == new => {}
            (old, new) => {
                let shown = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
                let (old, new) = (shown(old), shown(new));
                return Some(format!("{}:{number}\n  written: {old}\n  came:    {new}", path.display()));
            }
        }
    }
}

fn told(differing: &[String]) -> String {
    format!(
        "{}\n\n{REWRITE}=1 with the same test writes what came; read the difference",
        differing.join("\n\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shout(script: &str) -> String {
        script.to_uppercase()
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let path = Path::new("a.txt");
        let told = difference(path, "same\nold\n", "same\nnew\n", false);
        assert_eq!(told.as_deref(), Some("a.txt:2\n  written: old\n  came:    new"));
        let told = difference(path, "same\n", "same\nmore\n", false);
        assert_eq!(told.as_deref(), Some("a.txt:2\n  written: (the end)\n  came:    more"));
        assert_eq!(
            difference(path, "same\n", "same", false).as_deref(),
            Some("a.txt: only in the ends of lines")
        );
        assert_eq!(difference(path, "same\n", "same\n", false), None);
    }

    #[test]
    fn a_file_is_written_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.txt");
        fs::write(&path, "old").expect("written");
        assert_eq!(difference(&path, "old", "new", true), None);
        assert_eq!(read(&path), "new");
    }

    #[test]
    fn scripts_that_come_out_as_written_are_well() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.txt"), "LOUD").expect("written");
        fs::write(directory.path().join("notes.md"), "quiet").expect("written");
        scripts(directory.path(), 1, shout);
    }

    #[test]
    #[should_panic(expected = "only 0 scripts")]
    fn scripts_that_are_gone_are_missed() {
        let directory = tempfile::tempdir().expect("a directory");
        scripts(directory.path(), 1, shout);
    }

    #[test]
    fn a_part_lies_between_its_marks() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.md");
        fs::write(&path, "by hand\n<!-- made: rows -->\n\n| 1 |\n\n<!-- end: rows -->\nmore\n")
            .expect("written");
        part(&path, "rows", "| 1 |\n");
    }
}
