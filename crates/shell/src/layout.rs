//! How a table looks: the layout of the original clients, and columns that each of them shows.
//!
//! ```text
//!   name  tid  pid  endpoint           role      is_alive     each cell: two blanks, then the text,
//! ------------------------------------------------------      padded to the widest of its column
//!   flow  4    0    172.24.4.40:10921  leader    yes
//! ```
//!
//! The line is as long as all columns and two more. Scripts in the field skip to it and split what
//! follows on blanks, so nothing here may change.

/// Longest cell; what is longer is cut, as in the originals.
const CELL_BYTES_MAX: usize = 256;

/// Whose columns and words are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// FEDB and RTIDB, as in the FEDB operations guide.
    Fedb,
    /// OpenMLDB 0.9.2.
    Openmldb,
}

/// Where a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// In both views.
    Both,
    /// In that of FEDB only.
    Fedb,
    /// In that of OpenMLDB only.
    Openmldb,
}

/// A column of a table whose rows are `R`.
pub struct Column<R> {
    /// Its heading.
    pub name: &'static str,
    /// Who shows it.
    pub shown: In,
    /// What a row has in it; empty prints `-`.
    pub cell: fn(&R, View) -> String,
}

impl In {
    fn includes(self, view: View) -> bool {
        matches!((self, view), (In::Both, _) | (In::Fedb, View::Fedb) | (In::Openmldb, View::Openmldb))
    }
}

/// Rows as a view shows them.
pub fn table<R>(columns: &[Column<R>], view: View, rows: &[R]) -> String {
    let shown: Vec<&Column<R>> = columns.iter().filter(|column| column.shown.includes(view)).collect();
    let headings = shown.iter().map(|column| column.name.to_owned()).collect();
    let cells = rows.iter().map(|row| shown.iter().map(|column| (column.cell)(row, view)).collect());
    grid(headings, cells.collect())
}

/// A heading and rows in the layout above, a line break behind each line.
pub fn grid(headings: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let lines: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows)
        .map(|line| line.into_iter().map(|cell| fitted(&cell)).collect())
        .collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let rule = "-".repeat(widths.iter().map(|width| width + 2).sum::<usize>() + 2);
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("  {cell:<width$}"));
        }
        text.push('\n');
        if place == 0 {
            text.push_str(&rule);
            text.push('\n');
        }
    }
    text
}

/// A cell's text as printed.
fn fitted(cell: &str) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    let end = (0..=CELL_BYTES_MAX.min(cell.len())).rev().find(|&at| cell.is_char_boundary(at));
    cell[..end.unwrap_or_default()].to_owned()
}

/// Bytes as the originals print them: three digits behind the point, powers of 1024, no unit below.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 7] = ["", " K", " M", " G", " T", " P", " E"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.3}{}", UNITS[unit])
}

/// A time span as one whole number with its unit.
pub fn age(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis}ms"),
        1_000..60_000 => format!("{}s", millis / 1_000),
        60_000..3_600_000 => format!("{}m", millis / 60_000),
        3_600_000..86_400_000 => format!("{}h", millis / 3_600_000),
        _ => format!("{}d", millis / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_originals() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = grid(row(["key", "value"]), vec![row(["auto_failover", "true"])]);
        assert_eq!(text, "  key            value\n------------------------\n  auto_failover  true \n");
        assert_eq!(grid(row(["a", "b"]), vec![row(["", "x"])]).lines().last(), Some("  -  x"));
        let long = "ä".repeat(200);
        let cut = grid(row(["a", "b"]), vec![row([&long, ""])]);
        assert!(cut.contains(&"ä".repeat(128)) && !cut.contains(&"ä".repeat(129)));
    }

    #[test]
    fn sizes_and_ages_have_their_units() {
        let sizes =
            [(0, "0.000"), (498, "498.000"), (1345, "1.313 K"), (8854, "8.646 K"), (1 << 30, "1.000 G")];
        for (number, text) in sizes {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(u64::MAX), "16.000 E");
        let ages =
            [(999, "999ms"), (59_999, "59s"), (420_000, "7m"), (10_800_000, "3h"), (1_300_000_000, "15d")];
        for (millis, text) in ages {
            assert_eq!(age(millis), text);
        }
    }
}
