//! Moments of the wall clock as people read them, in UTC.

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
}

/// The day of a moment, in milliseconds since 1970. The days are counted in years that begin in March (Howard
/// Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn date(millis: u64) -> Date {
    let days = millis / 86_400_000 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Date { year: year + era * 400 + u64::from(month <= 2), month, day }
}

/// `2026-11-26 20:29:49.123 UTC`, of milliseconds since 1970.
pub fn text(millis: u64) -> String {
    let Date { year, month, day } = date(millis);
    let of_day = millis % 86_400_000;
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(text(0), "1970-01-01 00:00:00.000 UTC");
        assert_eq!(date(951_782_400_000), Date { year: 2000, month: 2, day: 29 });
        assert_eq!(date(1_709_164_800_000), Date { year: 2024, month: 2, day: 29 });
        assert_eq!(text(1_795_724_989_123), "2026-11-26 20:29:49.123 UTC");
        assert_eq!(text(4_102_444_799_999), "2099-12-31 23:59:59.999 UTC");
    }
}
