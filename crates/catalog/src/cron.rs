//! When something is due by itself: the five fields that cron has, in UTC.
//!
//! ```text
//!   30 2 * * 1-5        minute, hour, day of the month, month, day of the week
//!   │  │ │ │ └ 0 to 7 or sun … sat; 0 and 7 are Sunday
//!   │  │ │ └── 1 to 12 or jan … dec
//!   │  │ └──── 1 to 31
//!   │  └────── 0 to 23          each: *  or a list of  N  N-M  with  /STEP
//!   └───────── 0 to 59
//! ```
//!
//! As everywhere: if both days are restricted, either is enough. `@hourly`, `@daily`, `@weekly` and `@monthly` stand
//! for the usual fields.

use types::utc::{Date, date};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
/// February 29 comes every fourth year but for most turns of a century, so within nine years.
const DAYS_MAX: u64 = 9 * 366;

/// The times that an expression names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    /// One bit for each number that fits.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both days are restricted: either is enough.
    either_day: bool,
}

/// A field: what it is called, its numbers, and names for them.
struct Field {
    name: &'static str,
    first: u64,
    last: u64,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of the month", first: 1, last: 31, names: &[] },
    Field { name: "month", first: 1, last: 12, names: &MONTHS },
    Field { name: "day of the week", first: 0, last: 7, names: &WEEKDAYS },
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it; also that no day is ever like that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            other => other,
        };
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = words[..] else {
            let detail = "a schedule has five fields: minute, hour, day of the month, month, day of the week";
            return Err(format!("{detail}; this has {}", words.len()));
        };
        let mut cron = Self {
            minutes: FIELDS[0].read(minutes)?,
            hours: FIELDS[1].read(hours)?,
            days: FIELDS[2].read(days)?,
            months: FIELDS[3].read(months)?,
            weekdays: FIELDS[4].read(weekdays)?,
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        };
        cron.weekdays |= cron.weekdays >> 7;
        // Of all calendars those of the leap years have every day.
        match cron.next_after(946_684_800_000) {
            Some(_) => Ok(cron),
            None => Err(format!("no day is ever like '{days} {months}'")),
        }
    }

    /// The first time after a moment, both in milliseconds since 1970.
    pub fn next_after(&self, millis: u64) -> Option<u64> {
        let first = (millis / MINUTE_MS + 1) * MINUTE_MS;
        let days = first / DAY_MS..first / DAY_MS + DAYS_MAX;
        days.filter(|day| self.has_day(*day)).find_map(|day| {
            let from = first.saturating_sub(day * DAY_MS) / MINUTE_MS;
            let minute = (from..24 * 60).find(|minute| self.has_minute(*minute))?;
            Some(day * DAY_MS + minute * MINUTE_MS)
        })
    }

    /// The last time up to a moment and after an earlier one, all in milliseconds since 1970.
    pub fn last_until(&self, millis: u64, after: u64) -> Option<u64> {
        let (first, last) = (after / DAY_MS, millis / DAY_MS);
        let days = (first..=last).rev().take(DAYS_MAX as usize);
        let found = days.filter(|day| self.has_day(*day)).find_map(|day| {
            let until = (millis - day * DAY_MS).min(DAY_MS - 1) / MINUTE_MS;
            let minute = (0..=until).rev().find(|minute| self.has_minute(*minute))?;
            Some(day * DAY_MS + minute * MINUTE_MS)
        });
        found.filter(|at| *at > after)
    }

    fn has_day(&self, day: u64) -> bool {
        let Date { month, day: of_month, .. } = date(day * DAY_MS);
        // The first day of 1970 was a Thursday.
        let weekday = has(self.weekdays, (day + 4) % 7);
        let of_month = has(self.days, of_month);
        let fits = if self.either_day { weekday || of_month } else { weekday && of_month };
        fits && has(self.months, month)
    }

    fn has_minute(&self, of_day: u64) -> bool {
        has(self.hours, of_day / 60) && has(self.minutes, of_day % 60)
    }
}

fn has(bits: u64, number: u64) -> bool {
    bits >> number & 1 == 1
}

impl Field {
    /// The numbers that a field names, a bit each.
    fn read(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, piece| Ok(bits | self.piece(piece)?))
    }

    fn piece(&self, piece: &str) -> Result<u64, String> {
        let (range, step) = match piece.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (piece, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (self.first, self.last),
            (_, Some((first, last))) => (self.number(first, piece)?, self.number(last, piece)?),
            // `5/10` is from 5 on.
            _ if step.is_some() => (self.number(range, piece)?, self.last),
            _ => (self.number(range, piece)?, self.number(range, piece)?),
        };
        let step = match step.map(|step| step.parse::<u8>()) {
            None => 1,
            Some(Ok(step)) if step > 0 => usize::from(step),
            Some(_) => return Err(self.wrong(piece)),
        };
        if first > last {
            return Err(format!("{}: the range '{piece}' ends before it begins", self.name));
        }
        Ok((first..=last).step_by(step).fold(0, |bits, number| bits | 1 << number))
    }

    fn number(&self, text: &str, piece: &str) -> Result<u64, String> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => Some(place as u64 + self.first),
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            None => None,
        };
        number.filter(|number| (self.first..=self.last).contains(number)).ok_or_else(|| self.wrong(piece))
    }

    fn wrong(&self, piece: &str) -> String {
        format!(
            "{}: '{piece}' is not *, a number from {} to {}, or a range, with or without /STEP",
            self.name, self.first, self.last
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-27 02:01 UTC, a Friday.
    const NOW: u64 = 1_795_744_860_000;

    fn next(text: &str, after: u64) -> String {
        let next = Cron::parse(text).unwrap().next_after(after).unwrap();
        types::utc::text(next)[..16].to_owned()
    }

    #[test]
    fn the_next_time_is_found() {
        assert_eq!(types::utc::text(NOW), "2026-11-27 02:01:00.000 UTC");
        for (cron, expected) in [
            ("* * * * *", "2026-11-27 02:02"),
            ("30 2 * * *", "2026-11-27 02:30"),
            ("1 2 * * *", "2026-11-28 02:01"),
            ("*/20 * * * *", "2026-11-27 02:20"),
            ("5/20 3 * * *", "2026-11-27 03:05"),
            ("0 0 * * 0", "2026-11-29 00:00"),
            ("0 0 * * 7", "2026-11-29 00:00"),
            ("0 3 * * mon-wed", "2026-11-30 03:00"),
            ("15 4,16 1 * *", "2026-12-01 04:15"),
            ("0 0 29 feb *", "2028-02-29 00:00"),
            ("0 0 31 */2 *", "2027-01-31 00:00"),
            // Either day is enough.
            ("0 12 13 * fri", "2026-11-27 12:00"),
            ("0 12 28 * sun", "2026-11-28 12:00"),
            ("@monthly", "2026-12-01 00:00"),
            ("@hourly", "2026-11-27 03:00"),
        ] {
            assert_eq!(next(cron, NOW), expected, "{cron}");
        }
    }

    #[test]
    fn what_was_missed_is_due_once() {
        let nightly = Cron::parse("30 2 * * *").unwrap();
        let week = 7 * DAY_MS;
        let last = nightly.last_until(NOW, NOW - week).unwrap();
        assert_eq!(&types::utc::text(last)[..16], "2026-11-26 02:30");
        assert_eq!(nightly.last_until(NOW, last), None);
        assert_eq!(nightly.last_until(NOW, NOW), None);
        let due = last + DAY_MS;
        assert_eq!(nightly.last_until(due, last), Some(due));
        assert_eq!(nightly.last_until(due - 1, last), None);
        // Nothing before a moment is due after it.
        assert_eq!(nightly.last_until(NOW - week, NOW), None);
    }

    #[test]
    fn both_directions_agree() {
        for text in ["*/7 3-5 * * *", "0 0 1,15 * tue", "59 23 31 12 *"] {
            let cron = Cron::parse(text).unwrap();
            let mut at = NOW;
            for _ in 0..50 {
                let next = cron.next_after(at).unwrap();
                assert_eq!(cron.last_until(next, at), Some(next), "{text}");
                assert_eq!(cron.last_until(next - 1, at), None, "{text}");
                at = next;
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 8",
            "*/0 * * * *",
            "5-1 * * * *",
            "a * * * *",
            "-1 * * * *",
            "+1 * * * *",
            "1,,2 * * * *",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
            "@yearly",
            "1-2-3 * * * *",
            "*/1000 * * * *",
        ] {
            assert!(Cron::parse(bad).is_err(), "{bad}");
        }
    }
}
