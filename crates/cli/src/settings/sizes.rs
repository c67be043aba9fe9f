//! Sizes and times, as people write them.

use std::time::Duration;

/// The units of a size, and how many bytes each has.
const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads a number of bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size, such as 500MB or 4GiB");
    let unit = UNITS.iter().find_map(|(unit, bytes)| {
        let number = text.strip_suffix(unit)?;
        Some((number.trim_end(), *bytes))
    });
    let (number, bytes) = unit.unwrap_or((text, 1));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let size = number.checked_mul(bytes).filter(|size| *size > 0);
    size.ok_or_else(wrong)
}

/// Reads a time of seconds or minutes, of an hour at most.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time from 1s to 60m");
    let (number, seconds) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 60),
        (None, None) => (text, 1),
    };
    let number: u64 = number.trim_end().parse().map_err(|_| wrong())?;
    let time = number.checked_mul(seconds);
    let time = time.filter(|time| (1..=3600).contains(time));
    time.map(Duration::from_secs).ok_or_else(wrong)
}
