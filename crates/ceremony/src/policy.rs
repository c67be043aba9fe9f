//! How long what is signed offline may hold, and in how many hands it has to be.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::RoleName;

/// How far the clocks of two machines may be apart: one that travels without a network is set by
/// hand.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// How long a ceremony can be under way.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a role has to gain for signing it to be worth anything.
pub(crate) const LEAST_GAIN: SignedDuration = SignedDuration::from_hours(1);

/// By how much a role has to end earlier for that to be a purpose of its own.
pub(crate) const LEAST_CUT: SignedDuration = SignedDuration::from_hours(24);

/// For how long a role holds at least that is made to end earlier: time for another ceremony.
pub(crate) const LEAST_LEFT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long before its end a role is due, unless a policy says otherwise: three people in three
/// cities, and a month of holidays. A third of a life at most.
const SIGNING_PERIOD: SignedDuration = SignedDuration::from_hours(60 * 24);

/// The shortest life and signing period.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is asked of every ceremony. A policy can ask for more than [`Policy::new`] does, and for
/// nothing less: what passes a stricter one passes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    offline: SignedDuration,
    claimed: SignedDuration,
    lives: BTreeMap<RoleName, SignedDuration>,
    periods: BTreeMap<RoleName, SignedDuration>,
    threshold: u32,
    holders: usize,
    names: Option<BTreeSet<String>>,
}

/// A policy that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Shorter is possible, longer is not.
    #[error("{role} can hold for 1 to {most} days, and not for {days}")]
    Life {
        /// Which role.
        role: RoleName,
        /// What was asked for, in days.
        days: u32,
        /// The most, in days.
        most: i64,
    },
    /// A role cannot be due before it is signed.
    #[error("{role} can be due 1 to {most} days before its end, and not {days}")]
    Period {
        /// Which role.
        role: RoleName,
        /// What was asked for, in days.
        days: u32,
        /// The most, in days.
        most: i64,
    },
    /// More have to sign than there have to be.
    #[error("{threshold} have to sign where {holders} holders are enough")]
    Threshold {
        /// How many have to sign.
        threshold: u32,
        /// How many there have to be.
        holders: usize,
    },
}

impl Policy {
    /// The longest lives: that of `claimed`, and that of the other roles. Everything else is as the
    /// index has it.
    pub const fn new(offline: SignedDuration, claimed: SignedDuration) -> Self {
        Self {
            offline,
            claimed,
            lives: BTreeMap::new(),
            periods: BTreeMap::new(),
            threshold: 0,
            holders: 0,
            names: None,
        }
    }

    /// Lets a role hold for fewer days.
    ///
    /// # Errors
    ///
    /// When that is longer than it may hold already, or not a day.
    pub fn with_life(mut self, role: RoleName, days: u32) -> Result<Self, PolicyError> {
        let (life, most) = (of_days(days), self.life(&role));
        if life < DAY || life > most {
            let most = most.as_hours() / 24;
            return Err(PolicyError::Life { role, days, most });
        }
        self.lives.insert(role, life);
        Ok(self)
    }

    /// Says how many days before its end a role is due for a ceremony.
    ///
    /// # Errors
    ///
    /// When that is not shorter than its life, or not a day.
    pub fn with_period(mut self, role: RoleName, days: u32) -> Result<Self, PolicyError> {
        let (period, life) = (of_days(days), self.life(&role));
        if period < DAY || period >= life {
            let most = life.as_hours() / 24 - 1;
            return Err(PolicyError::Period { role, days, most });
        }
        self.periods.insert(role, period);
        Ok(self)
    }

    /// Asks for so many holders at least, of whom so many at least have to sign.
    ///
    /// # Errors
    ///
    /// When more have to sign than there have to be.
    pub fn with_holders(mut self, holders: usize, threshold: u32) -> Result<Self, PolicyError> {
        if threshold as usize > holders {
            return Err(PolicyError::Threshold { threshold, holders });
        }
        (self.holders, self.threshold) = (holders, threshold);
        Ok(self)
    }

    /// Lets those alone join who are called so; upper and lower case are the same.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names = Some(names.into_iter().map(|name| name.to_lowercase()).collect());
        self
    }

    /// How long a role may hold.
    pub fn life(&self, role: &RoleName) -> SignedDuration {
        match (self.lives.get(role), role.as_str()) {
            (Some(life), _) => *life,
            (None, "claimed") => self.claimed,
            (None, _) => self.offline,
        }
    }

    /// How long before its end a role is due for a ceremony.
    pub fn period(&self, role: &RoleName) -> SignedDuration {
        let period = self.periods.get(role).copied();
        period.unwrap_or_else(|| SIGNING_PERIOD.min(self.life(role) / 3))
    }

    /// From when on a role that ends then is due for a ceremony.
    pub fn due(&self, role: &RoleName, expires: Timestamp) -> Timestamp {
        let due = expires.checked_sub(self.period(role));
        due.unwrap_or(Timestamp::MIN)
    }

    /// How many have to sign at least; 0 where that is not said.
    pub(crate) fn threshold(&self) -> u32 {
        self.threshold
    }

    /// How many holders there have to be at least; 0 where that is not said.
    pub(crate) fn holders(&self) -> usize {
        self.holders
    }

    /// Whether somebody of this name may join.
    pub(crate) fn admits(&self, name: &str) -> bool {
        let names = self.names.as_ref();
        names.is_none_or(|names| names.contains(&name.to_lowercase()))
    }

    /// The expiry of a role that is signed now. TUF dates have whole seconds.
    pub fn expiry(&self, role: &RoleName, now: Timestamp) -> Timestamp {
        let seconds = now.as_second().saturating_add(self.life(role).as_secs());
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    }

    /// The latest expiry that a ceremony of that date signs now, by this clock.
    pub(crate) fn latest(&self, role: &RoleName, made_at: Timestamp, now: Timestamp) -> Timestamp {
        let by_clock = self.expiry(role, now).checked_add(CLOCKS_APART);
        let by_date = self.expiry(role, made_at);
        by_clock.unwrap_or(Timestamp::MAX).min(by_date)
    }

    /// Whether a ceremony of that date can be going on now, by this clock.
    pub(crate) fn is_under_way(&self, made_at: Timestamp, now: Timestamp) -> bool {
        let age = now.duration_since(made_at);
        -CLOCKS_APART <= age && age <= LONGEST
    }
}

fn of_days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}
