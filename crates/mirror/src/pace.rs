//! A limit on how many bytes come in a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How much of a large file comes at a time where the rate is limited.
const STEP: usize = 64 * 1024;

/// How long an open connection rests at most, as far as that is in our hands: web servers give
/// up after a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Shared by all that fetch. Each says what came, and waits until that was due: so the average
/// holds, whatever the pieces are.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second.
    rate: Option<u64>,
    /// When the next byte is due.
    due: Mutex<Instant>,
}

impl Pace {
    /// No limit, or this many bytes a second.
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self {
            rate: rate.filter(|rate| *rate > 0),
            due: Mutex::new(Instant::now()),
        }
    }

    /// How many bytes of a large file are to be taken at a time, at most `whole`.
    pub(crate) fn step(&self, whole: usize) -> usize {
        self.rate.map_or(whole, |_| whole.min(STEP))
    }

    /// How many objects may come at a time, of `jobs`: each of them waits for all others after
    /// every step.
    pub(crate) fn streams(&self, jobs: usize) -> usize {
        let Some(rate) = self.rate else {
            return jobs;
        };
        let steps = rate.saturating_mul(LONGEST_PAUSE.as_secs()) / STEP as u64;
        jobs.min(usize::try_from(steps).unwrap_or(usize::MAX))
            .max(1)
    }

    /// These came: waits until they were due.
    pub(crate) async fn spend(&self, bytes: u64) {
        if let Some(due) = self.account(bytes) {
            tokio::time::sleep_until(due).await;
        }
    }

    fn account(&self, bytes: u64) -> Option<Instant> {
        let rate = self.rate?;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
        // What was not used before is gone.
        *due = (*due).max(Instant::now()) + takes;
        Some(*due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_average_is_kept_by_all_together() {
        let pace = Pace::new(Some(1000));
        let begun = Instant::now();
        tokio::join!(pace.spend(500), pace.spend(2000), pace.spend(500));
        let took = begun.elapsed();
        assert!((2990..3020).contains(&took.as_millis()), "{took:?}");
        // A pause earns nothing.
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        pace.spend(1000).await;
        assert!(begun.elapsed() >= Duration::from_millis(990));
    }

    #[test]
    fn a_low_rate_is_spread_over_few_streams() {
        let check = |rate, expected| {
            let pace = Pace::new(rate);
            assert_eq!(pace.streams(8), expected, "{rate:?}");
        };
        check(None, 8);
        check(Some(1), 1);
        check(Some(4 * 1024), 1);
        check(Some(10 * 1024), 3);
        check(Some(1 << 20), 8);
        assert_eq!(Pace::new(None).step(1 << 20), 1 << 20);
        assert_eq!(Pace::new(Some(1)).step(1 << 20), STEP);
        assert_eq!(Pace::new(Some(1)).step(10), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let begun = Instant::now();
        Pace::new(None).spend(u64::MAX).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
