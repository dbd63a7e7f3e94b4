//! Scores as ZanKV writes them: in its backup files and in the replies of `FULLSCAN`.

/// Exponents that are written without one, as Go decides it for the shortest text.
const PLAIN_EXPONENTS: std::ops::Range<i32> = -4..6;

/// A score as Go's `strconv.FormatFloat(score, 'g', -1, 64)` writes it: the fewest digits that tell it, with an
/// exponent below -4 and from 6 on: `1.5`, `1e+06`, `1.2e-05`, `+Inf`.
///
/// Redis writes scores in another way; this one is only for what ZanKV's own tools read.
pub fn zankv_score(score: f64) -> String {
    if score.is_infinite() {
        return if score > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let scientific = format!("{score:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !PLAIN_EXPONENTS.contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{score}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_written_as_go_writes_them() {
        let scores = [
            (1.5, "1.5"),
            (0.0, "0"),
            (-2.0, "-2"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
            (-2.5e-7, "-2.5e-07"),
            (1e-300, "1e-300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (score, text) in scores {
            assert_eq!(zankv_score(score), text);
            assert_eq!(text.parse::<f64>().unwrap(), score);
        }
    }
}
