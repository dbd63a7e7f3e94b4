//! One line of the table: what was measured, what it is compared with, and the bar.

use std::fmt;

/// A measured figure.
pub struct Figure {
    /// What.
    pub measure: String,
    /// Skein's value.
    pub value: String,
    /// What it stands beside, if that is installed.
    pub beside: String,
    /// What was to be reached.
    pub bar: String,
    /// Whether it was; unknown without what it stands beside.
    pub verdict: Verdict,
}

/// Whether a bar was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Reached,
    /// It was not.
    Below,
    /// It cannot be said here.
    Unknown,
}

impl Verdict {
    /// Reached if so, below if not.
    pub fn of(reached: bool) -> Self {
        if reached { Verdict::Reached } else { Verdict::Below }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Reached => "reached",
            Verdict::Below => "BELOW",
            Verdict::Unknown => "-",
        })
    }
}

/// Prints all of them, aligned.
pub fn print(figures: &[Figure]) {
    let heading = ["MEASURE", "SKEIN", "BESIDE", "BAR", "VERDICT"].map(str::to_owned).to_vec();
    let rows = figures.iter().map(|figure| {
        vec![
            figure.measure.clone(),
            figure.value.clone(),
            figure.beside.clone(),
            figure.bar.clone(),
            figure.verdict.to_string(),
        ]
    });
    let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        println!("{}", cells.collect::<String>().trim_end());
    }
}
