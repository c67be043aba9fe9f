//! How long a file has to have been there: `7 days`.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;

const HOUR: u64 = 3600;

/// The longest age that can be asked for, in seconds: ten years. More is a slip of the keyboard.
const MAX_SECONDS: u64 = 3652 * 24 * HOUR;

/// The words for a span of time, and the seconds of each.
const UNITS: [(&str, u64); 4] = [
    ("week", 7 * 24 * HOUR),
    ("day", 24 * HOUR),
    ("hour", HOUR),
    ("minute", 60),
];

/// An age in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Age(u64);

/// A text that is no age.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgeError {
    /// Not a number and a unit.
    #[error("an age is a whole number and a unit, such as \"7 days\", \"36 hours\" or \"2 weeks\"")]
    Form,
    /// Longer than anybody means.
    #[error("an age is ten years at most")]
    TooLong,
}

impl Age {
    /// No age at all, which everything has.
    pub const NONE: Self = Self(0);

    /// As a span of time.
    pub fn duration(self) -> SignedDuration {
        // At most ten years.
        SignedDuration::from_secs(self.0 as i64)
    }
}

impl FromStr for Age {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.ok_or(AgeError::Form)?);
        let unit = unit.trim();
        let singular = unit.strip_suffix('s').unwrap_or(unit);
        let (_, seconds) = UNITS
            .iter()
            .find(|(name, _)| *name == singular)
            .ok_or(AgeError::Form)?;
        if number.is_empty() {
            return Err(AgeError::Form);
        }
        let number: u64 = number.parse().map_err(|_| AgeError::TooLong)?;
        let all = number.checked_mul(*seconds);
        all.filter(|all| *all <= MAX_SECONDS)
            .map(Self)
            .ok_or(AgeError::TooLong)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, seconds) = UNITS
            .iter()
            .copied()
            // Nobody counts in weeks what was written in days.
            .filter(|(unit, _)| *unit != "week")
            .find(|(_, seconds)| self.0.is_multiple_of(*seconds))
            .unwrap_or(("minute", 60));
        let number = self.0 / seconds;
        let plural = if number == 1 { "" } else { "s" };
        write!(f, "{number} {unit}{plural}")
    }
}

/// How long ago something was, for a sentence.
pub(super) fn ago(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    if seconds < 0 {
        return "in the future".to_owned();
    }
    if seconds < 60 {
        return "just now".to_owned();
    }
    let (number, unit) = match seconds.unsigned_abs() {
        s if s >= 48 * HOUR => (s / (24 * HOUR), "day"),
        s if s >= HOUR => (s / HOUR, "hour"),
        s => (s / 60, "minute"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural} ago")
}
