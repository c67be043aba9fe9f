//! How long a client waits, and for what: silence ends a request, slowness only sends us to
//! the next source.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::FetchError;

/// How long a connection may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Fewer bytes than this within [`SILENCE_WINDOW`] are silence. 1 KiB in 30 s is a thirtieth
/// of what the slowest modem carried; a byte now and then, which keeps a client waiting
/// for ever (PEP 458, Appendix A, *slow retrieval*), is below it.
pub const SILENCE: u64 = 1024;

/// How long the other side may be silent, before its answer and within it.
pub const SILENCE_WINDOW: Duration = Duration::from_secs(30);

/// The slowest average rate, in bytes a second, that we put up with while another source is
/// left (PEP 458, Appendix A, *slow retrieval*): less than any line that downloads packages
/// for a living. The last source may be slower.
pub const SLOWEST_RATE: u64 = 16 * 1024;

/// What a source gets before [`SLOWEST_RATE`] counts, and how long it may be silent, as long
/// as another one is left. Below the 15 s after which pip gives up on us, unless it is told
/// to wait.
pub const START_ALLOWANCE: Duration = Duration::from_secs(10);

/// How long the other sources are waited for when all were asked at once and one has answered
/// well: enough for a round trip around the world, and short for a person.
pub const GRACE: Duration = Duration::from_secs(2);

/// The times and rates of one client. [`Default`] gives the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// See [`SILENCE_WINDOW`].
    pub silence: Duration,
    /// See [`SLOWEST_RATE`].
    pub slowest_rate: u64,
    /// See [`START_ALLOWANCE`].
    pub start: Duration,
    /// See [`GRACE`].
    pub grace: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            silence: SILENCE_WINDOW,
            slowest_rate: SLOWEST_RATE,
            start: START_ALLOWANCE,
            grace: GRACE,
        }
    }
}

/// Whether slowness is a reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// There is another source to ask.
    AnotherSource,
    /// There is none: slow is better than nothing.
    NoOtherSource,
}

/// Watches one answer, or a part of it, come in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    patience: Patience,
    haste: Haste,
    begun: Instant,
    received: u64,
    /// Since when, and how much of [`SILENCE`] has been broken.
    window: (Instant, u64),
}

impl Watch {
    pub(crate) fn begin(patience: Patience, haste: Haste) -> Self {
        let begun = Instant::now();
        Self {
            patience,
            haste,
            begun,
            received: 0,
            window: (begun, 0),
        }
    }

    /// The same, from now on.
    pub(crate) fn again(&self) -> Self {
        Self::begin(self.patience, self.haste)
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(crate) fn haste(&self) -> Haste {
        self.haste
    }

    /// When waiting ends, if nothing more comes.
    pub(crate) fn deadline(&self) -> Instant {
        match self.haste {
            Haste::NoOtherSource => self.silent(),
            Haste::AnotherSource => self.silent().min(self.too_slow()),
        }
    }

    /// When it will have been silent for too long.
    fn silent(&self) -> Instant {
        let patience = &self.patience;
        self.window.0
            + match self.haste {
                Haste::NoOtherSource => patience.silence,
                Haste::AnotherSource => patience.silence.min(patience.start),
            }
    }

    /// When what has come so far will have been too slow.
    fn too_slow(&self) -> Instant {
        let rate = self.patience.slowest_rate.max(1);
        let earned = Duration::from_millis(self.received.saturating_mul(1000) / rate);
        self.begun + self.patience.start + earned
    }

    /// Something came.
    pub(crate) fn heard(&mut self, bytes: u64) {
        self.received += bytes;
        self.window.1 += bytes;
        if self.window.1 >= SILENCE {
            self.window = (Instant::now(), 0);
        }
    }

    /// Why waiting ended at [`Watch::deadline`].
    pub(crate) fn verdict(&self, url: &Url) -> FetchError {
        let url = url.clone();
        if self.haste == Haste::AnotherSource && self.too_slow() < self.silent() {
            FetchError::TooSlow {
                url,
                slowest: self.patience.slowest_rate,
                received: self.received,
                within: self.begun.elapsed(),
            }
        } else {
            let waited = self.deadline().duration_since(self.window.0);
            FetchError::Silent { url, waited }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// What comes each second, and in which second waiting ends and why, or never.
    fn check(haste: Haste, rates: &[u64], expected: Option<(u64, &str)>) {
        let url: Url = "http://a.example/x".parse().unwrap();
        let mut watch = Watch::begin(Patience::default(), haste);
        let begun = watch.begun;
        let mut ended = None;
        for (at, bytes) in rates.iter().enumerate() {
            let now = begun + second(at as u64);
            if now >= watch.deadline() {
                let why = match watch.verdict(&url) {
                    FetchError::Silent { .. } => "silent",
                    FetchError::TooSlow { .. } => "slow",
                    other => panic!("{other:?}"),
                };
                ended = Some(((watch.deadline() - begun).as_secs(), why));
                break;
            }
            watch.received += bytes;
            watch.window.1 += bytes;
            if watch.window.1 >= SILENCE {
                watch.window = (now, 0);
            }
        }
        assert_eq!(ended, expected, "{haste:?} {:?}…", &rates[..3]);
    }

    #[test]
    fn silence_ends_and_slowness_only_where_another_source_is_left() {
        let (next, last) = (Haste::AnotherSource, Haste::NoOtherSource);
        let hour = 3600;
        check(last, &vec![0; hour], Some((30, "silent")));
        check(next, &vec![0; hour], Some((10, "silent")));
        // A byte now and then is silence.
        check(last, &vec![1; hour], Some((30, "silent")));
        check(last, &vec![30; hour], Some((30, "silent")));
        check(next, &vec![30; hour], Some((10, "silent")));
        // A line of a modem's speed is slow, and no more than that.
        check(last, &vec![3_000; hour], None);
        check(next, &vec![3_000; hour], Some((12, "slow")));
        check(next, &vec![15_000; hour], Some((118, "slow")));
        check(next, &vec![20_000; hour], None);
        // Whoever stops in the middle is silent from there on.
        let mut stops = vec![50_000; 100];
        stops.extend(vec![0; hour]);
        check(last, &stops, Some((129, "silent")));
        check(next, &stops, Some((109, "silent")));
    }
}
