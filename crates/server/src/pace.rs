//! The speed that the other end of a connection has to keep, whichever way the bytes go.
//!
//! Being silent and being slow are one thing here: waiting uses up credit, bytes that move earn
//! it. The credit never exceeds what it began with, so no speed of earlier pays for a silence
//! later, and one byte now and then pays for nothing.

mod stream;

use std::time::Duration;

pub(crate) use self::stream::PacedStream;

/// How long the other end may be waited for: for its first byte, or for its next one after it
/// has kept a good speed. People on bad networks lose their link for seconds, not for minutes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Least speed over any longer time, in bytes per second: a slow modem of the 1990s has three
/// times as much.
pub const MIN_SPEED: u64 = 1024;

/// What is left of the patience with one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    patience: Duration,
    min_speed: u64,
    credit: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new(PATIENCE, MIN_SPEED)
    }
}

impl Pace {
    pub(crate) fn new(patience: Duration, min_speed: u64) -> Pace {
        Pace {
            patience,
            min_speed: min_speed.max(1),
            credit: patience,
        }
    }

    /// How long can be waited now.
    pub(crate) fn credit(&self) -> Duration {
        self.credit
    }

    /// Whether nothing of the patience is used up.
    pub(crate) fn is_untouched(&self) -> bool {
        self.credit == self.patience
    }

    /// In bytes per second.
    pub(crate) fn min_speed(&self) -> u64 {
        self.min_speed
    }

    /// Says that so many bytes moved after so long a wait.
    pub(crate) fn moved(&mut self, bytes: u64, waited: Duration) {
        let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / self.min_speed);
        let left = self.credit.saturating_sub(waited);
        self.credit = left.saturating_add(earned).min(self.patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a peer is borne with that sends `bytes` each `interval`.
    fn borne(bytes: u64, interval: Duration) -> Option<Duration> {
        let mut pace = Pace::default();
        let mut total = Duration::ZERO;
        for _ in 0..100_000 {
            if interval > pace.credit() {
                return Some(total + pace.credit());
            }
            pace.moved(bytes, interval);
            total += interval;
        }
        None
    }

    #[test]
    fn slow_is_borne_and_slower_is_not() {
        let second = Duration::from_secs(1);
        assert_eq!(borne(MIN_SPEED, second), None);
        assert_eq!(borne(MIN_SPEED * 30, second * 30), None);
        let half = borne(MIN_SPEED / 2, second).map(|borne| borne.as_secs());
        assert_eq!(half, Some(119));
        for interval in [1, 30, 59] {
            let trickle = borne(1, second * interval);
            assert!(
                trickle.is_some_and(|borne| borne < PATIENCE * 2),
                "{trickle:?}"
            );
        }
        assert_eq!(borne(0, second * 61), Some(PATIENCE));
    }

    #[test]
    fn speed_is_not_saved_up() {
        let mut pace = Pace::default();
        pace.moved(1 << 40, Duration::from_secs(1));
        assert_eq!(pace.credit(), PATIENCE);
        pace.moved(u64::MAX, Duration::MAX);
        assert_eq!(pace.credit(), PATIENCE);
    }
}
