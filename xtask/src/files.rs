//! Source files: each begins by saying what it is for, and none grows beyond reading.

use anyhow::{Result, bail};

use crate::tools::{root, tracked_files};

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 1000;
/// Longest function, in lines with its signature. A screen is some 70; a `match` over many cases may need
/// more. This only ever goes down.
const FUNCTION_LINES_MAX: usize = 120;

/// Checks all Rust files.
///
/// # Errors
/// Every file or function that does not fit, one on a line.
pub fn check() -> Result<String> {
    let files = tracked_files()?;
    let sources: Vec<_> =
        files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect();
    let mut problems = Vec::new();
    for file in &sources {
        let text = std::fs::read_to_string(root().join(file))?;
        problems
            .extend(problems_of(&text).into_iter().map(|problem| format!("{}: {problem}", file.display())));
    }
    if problems.is_empty() {
        return Ok(format!("{} source files begin with their purpose and fit", sources.len()));
    }
    bail!("{}", problems.join("\n"))
}

fn problems_of(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let purpose = text.lines().next().unwrap_or_default();
    if !purpose.starts_with("//! ") {
        problems.push("the first line is no '//!' sentence that says what the file is for".to_owned());
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        problems.push(format!("{lines} lines, more than {FILE_LINES_MAX}"));
    }
    for (name, lines) in functions(text).into_iter().filter(|(_, lines)| *lines > FUNCTION_LINES_MAX) {
        problems.push(format!("function {name} has {lines} lines, more than {FUNCTION_LINES_MAX}"));
    }
    problems
}

/// Functions and their lines. Formatted code closes a function with a brace in the column of its first
/// line, so no parser is needed.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else { continue };
        let close = format!("{}}}", " ".repeat(indent));
        // A body on the line itself, or a declaration without one, ends in '}' or ';'.
        if line.ends_with('}') || line.ends_with(';') {
            continue;
        }
        if let Some(length) = lines[i..].iter().position(|other| *other == close) {
            found.push((name.to_owned(), length + 1));
        }
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line;
    loop {
        let (word, after) = rest.split_once(' ')?;
        match word {
            "fn" => return after.split(['(', '<']).next(),
            "pub" | "const" | "async" | "unsafe" => rest = after,
            word if word.starts_with("pub(") => rest = after,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_where_they_end() {
        let text = "//! A file.\nfn short() {}\npub(crate) const fn long<T>() {\n    if x {\n    }\n}\nfn no_body();\n";
        assert_eq!(functions(text), [("long".to_owned(), 4)]);
        assert_eq!(problems_of(text), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let long = format!("use x;\nfn f() {{\n{}}}\n", "    x();\n".repeat(1000));
        let problems = problems_of(&long);
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[2].contains("function f has 1002 lines"), "{problems:?}");
    }
}
