//! How long what is signed offline may hold.

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::RoleName;

/// How far the clocks of two machines may be apart: one that travels without a network is set by
/// hand.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// How long a ceremony can be under way.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a role has to gain for signing it to be worth anything.
pub(crate) const LEAST_GAIN: SignedDuration = SignedDuration::from_hours(1);

/// The longest life of each kind of role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Root, `targets` and the roles that hand out bins.
    pub offline: SignedDuration,
    /// `claimed`.
    pub claimed: SignedDuration,
}

impl Policy {
    /// How long a role may hold.
    pub fn life(&self, role: &RoleName) -> SignedDuration {
        match role.as_str() {
            "claimed" => self.claimed,
            _ => self.offline,
        }
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
