//! A point in time as people read it: the date, and how far away it is.

use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// `2026-11-21 08:00 UTC (in 23 hours)`.
pub(super) fn date(then: Timestamp, now: Timestamp) -> String {
    format!(
        "{} ({})",
        then.strftime("%Y-%m-%d %H:%M UTC"),
        away(then.duration_since(now))
    )
}

fn away(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let size = seconds.saturating_abs();
    let (count, unit) = match size {
        ..MINUTE => return "now".to_owned(),
        MINUTE..HOUR => (size / MINUTE, "minute"),
        HOUR..172_800 => (size / HOUR, "hour"),
        172_800..63_072_000 => (size / DAY, "day"),
        _ => (size / YEAR, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 {
        format!("{count} {unit}{plural} ago")
    } else {
        format!("in {count} {unit}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_away() {
        let check = |seconds, said: &str| {
            assert_eq!(away(SignedDuration::from_secs(seconds)), said, "{seconds}");
        };
        check(0, "now");
        check(-59, "now");
        check(60, "in 1 minute");
        check(-3_600, "1 hour ago");
        check(47 * HOUR, "in 47 hours");
        check(48 * HOUR, "in 2 days");
        check(-364 * DAY, "364 days ago");
        check(3 * YEAR, "in 3 years");
        check(i64::MIN, "292471208677 years ago");
    }
}
