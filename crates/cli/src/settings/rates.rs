//! How often something may happen, as people write it.

use jiff::SignedDuration;
use wheelmark_server::Rate;

/// The units of time, and how many seconds each has.
const UNITS: [(&str, i64); 3] = [("s", 1), ("min", 60), ("h", 3600)];

/// Largest number in a rate, so that none needs more than a few decades until it has recovered.
const MOST: u32 = 1_000_000;

/// Reads a rate: how many at once, and how many more in a second, a minute or an hour.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || {
        format!(
            "`{text}` is not a rate such as `30, then 10/min`: how many at once, and how many more in a second (s), a minute (min) or an hour (h), each from 1 to {MOST}"
        )
    };
    let (burst, more) = text.split_once(',').ok_or_else(wrong)?;
    let more = more.trim_start().strip_prefix("then ").ok_or_else(wrong)?;
    let (number, unit) = more.split_once('/').ok_or_else(wrong)?;
    let number_of = |text: &str| -> Option<u32> {
        let number = text.trim().parse().ok()?;
        (1..=MOST).contains(&number).then_some(number)
    };
    let burst = number_of(burst).ok_or_else(wrong)?;
    let number = number_of(number).ok_or_else(wrong)?;
    let unit = unit.trim();
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, seconds) = unit.ok_or_else(wrong)?;
    let every = SignedDuration::from_secs(*seconds) / i32::try_from(number).map_err(|_| wrong())?;
    Ok(Rate { burst, every })
}
