//! How long each role's metadata is valid, and when it is renewed.

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::RoleName;

use crate::roles::CLAIMED;

/// How long before its end a role that lives a year is due for a ceremony: three people in three
/// cities, and a month of holidays.
const SIGNING_PERIOD: SignedDuration = SignedDuration::from_hours(60 * 24);

/// The same for `claimed`, a third of whose life it is.
const CLAIMED_SIGNING_PERIOD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Life of what each kind of role signs (PEP 458, *Metadata Expiry Times*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Root, `targets`, `simple`, `packages`: signed offline, a year.
    pub offline: SignedDuration,
    /// `claimed`: signed offline, 90 days, because it is the floor under which stolen online
    /// keys cannot push a fresh client.
    pub claimed: SignedDuration,
    /// `timestamp`, `snapshot`, the bins, `recently-claimed`, `status`: signed online, a day.
    pub online: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            offline: SignedDuration::from_hours(365 * 24),
            claimed: SignedDuration::from_hours(90 * 24),
            online: SignedDuration::from_hours(24),
        }
    }
}

impl Lifetimes {
    /// The expiry of something signed online now. TUF dates have whole seconds.
    pub fn online_from(&self, now: Timestamp) -> Timestamp {
        after(now, self.online)
    }

    /// The expiry that bin `position` of `count` gets at first: between half a life and a whole
    /// one, so that renewals spread over half a life ever after instead of falling on one moment.
    pub fn first_of_bin(&self, now: Timestamp, position: usize, count: usize) -> Timestamp {
        let half = self.online / 2;
        let part = half.as_secs() * position as i64 / count.max(1) as i64;
        after(now, half + SignedDuration::from_secs(part))
    }

    /// The expiry of the one at `position` of `due` roles that are renewed in one turn, out of
    /// `all`: a whole life, unless they are so many that they would fall due together for ever
    /// (they had all run down while the index was off); then they are spread as at first.
    pub fn of_renewed_bin(
        &self,
        now: Timestamp,
        position: usize,
        due: usize,
        all: usize,
    ) -> Timestamp {
        if due.saturating_mul(8) <= all {
            self.online_from(now)
        } else {
            self.first_of_bin(now, position + 1, due)
        }
    }

    /// Whether a bin or a small online role is to be signed again: a quarter of a life is left.
    pub fn bin_is_due(&self, expires: Timestamp, now: Timestamp) -> bool {
        expires.duration_since(now) <= self.online / 4
    }

    /// Whether timestamp and snapshot are to be signed again: half a life is left.
    pub fn top_is_due(&self, expires: Timestamp, now: Timestamp) -> bool {
        expires.duration_since(now) <= self.online / 2
    }

    /// From when on timestamp and snapshot are signed again.
    pub fn top_due(&self, expires: Timestamp) -> Timestamp {
        after(expires, -(self.online / 2))
    }

    /// From when on a bin or a small online role is signed again.
    pub fn bin_due(&self, expires: Timestamp) -> Timestamp {
        after(expires, -(self.online / 4))
    }

    /// Whether something that was due for renewal at `due` is late: a running index would have
    /// renewed it, failures and pauses included. A twelfth of an online life, two hours, is waited.
    pub fn is_late(&self, due: Timestamp, now: Timestamp) -> bool {
        now.duration_since(due) >= self.online / 12
    }

    /// From when on a role that offline keys sign is due for a ceremony: 60 days before it expires,
    /// 30 days for `claimed`.
    pub fn ceremony_due(&self, role: &RoleName, expires: Timestamp) -> Timestamp {
        let period = match role.as_str() {
            CLAIMED => CLAIMED_SIGNING_PERIOD.min(self.claimed / 3),
            _ => SIGNING_PERIOD.min(self.offline / 3),
        };
        after(expires, -period)
    }

    /// How often to look for what is due: a 96th of the online life, a second at least.
    pub fn tick(&self) -> std::time::Duration {
        std::time::Duration::from_secs((self.online.as_secs() / 96).max(1) as u64)
    }
}

/// A time cut to whole seconds, as TUF dates are.
pub(crate) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// `now` plus a duration, cut to whole seconds.
pub(crate) fn after(now: Timestamp, life: SignedDuration) -> Timestamp {
    let seconds = now.as_second().saturating_add(life.as_secs());
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_fall_due_one_after_the_other_and_stay_apart() {
        let lifetimes = Lifetimes::default();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a date");
        let count = 256;
        let mut expiries: Vec<_> = (0..count)
            .map(|i| lifetimes.first_of_bin(start, i, count))
            .collect();
        let mut most_at_once = 0;
        let ticks = 96 * 7;
        for tick in 1..=ticks {
            let now = after(start, SignedDuration::from_secs(tick * 900));
            assert!(
                expiries.iter().all(|expires| *expires > now),
                "a bin expired before it was renewed"
            );
            most_at_once = most_at_once.max(renew(&lifetimes, &mut expiries, now));
        }
        assert!(most_at_once <= count / 16, "{most_at_once} bins at once");
    }

    #[test]
    fn bins_that_ran_down_together_do_not_stay_together() {
        let lifetimes = Lifetimes::default();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a date");
        let count = 256;
        let mut expiries = vec![start; count];
        let back = after(start, SignedDuration::from_hours(30 * 24));
        assert_eq!(renew(&lifetimes, &mut expiries, back), count);
        let mut most_at_once = 0;
        for tick in 1..=96 * 7 {
            let now = after(back, SignedDuration::from_secs(tick * 900));
            assert!(expiries.iter().all(|expires| *expires > now));
            most_at_once = most_at_once.max(renew(&lifetimes, &mut expiries, now));
        }
        assert!(most_at_once <= count / 16, "{most_at_once} bins at once");
    }

    /// Signs what is due again, as a turn does; how many that were.
    fn renew(lifetimes: &Lifetimes, expiries: &mut [Timestamp], now: Timestamp) -> usize {
        let all = expiries.len();
        let due: Vec<usize> = (0..all)
            .filter(|i| lifetimes.bin_is_due(expiries[*i], now))
            .collect();
        for (position, i) in due.iter().enumerate() {
            expiries[*i] = lifetimes.of_renewed_bin(now, position, due.len(), all);
        }
        due.len()
    }
}
