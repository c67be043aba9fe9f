//! How often something may happen: so many at once, and one more every so often.
//!
//! What is remembered is bounded: where more would have to be, those go that would have been
//! forgotten first. That is to the advantage of who was counted, and never counts anybody twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How many of those that are counted are remembered at once, in each table: an entry takes some
/// hundred bytes, so a table stays below two megabytes.
pub const MAX_COUNTED: usize = 16_384;

/// So many at once, and one more every so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many can come at once.
    pub burst: u32,
    /// How long it takes until one more can come.
    pub every: SignedDuration,
}

/// How often each one may still.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    rate: Rate,
    /// When each is as if nothing had happened.
    recovered: Mutex<HashMap<K, Timestamp>>,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    pub(crate) fn new(rate: Rate) -> Rates<K> {
        Rates {
            rate,
            recovered: Mutex::new(HashMap::new()),
        }
    }

    /// Counts once more, or says after what time that will be possible again.
    pub(crate) fn count(&self, key: &K, now: Timestamp) -> Result<(), SignedDuration> {
        let all = self.rate.every * i32::try_from(self.rate.burst).unwrap_or(i32::MAX);
        // A count changes in one step, so a panic elsewhere leaves the table sound.
        let mut table = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // If the clock was set back, nobody waits for longer than from the very beginning.
        let before = table.get(key).copied().unwrap_or(now);
        let before = before.clamp(now, now.saturating_add(all).unwrap_or(now));
        let after = before.saturating_add(self.rate.every).unwrap_or(before);
        let owed = after.duration_since(now);
        if owed > all {
            return Err(owed - all);
        }
        if !table.contains_key(key) && table.len() >= MAX_COUNTED {
            make_room(&mut table, now);
        }
        table.insert(key.clone(), after);
        Ok(())
    }
}

/// Forgets who has recovered, and if that is not enough an eighth of the others.
fn make_room<K: Clone + Eq + Hash>(table: &mut HashMap<K, Timestamp>, now: Timestamp) {
    table.retain(|_, recovered| *recovered > now);
    let enough = MAX_COUNTED - MAX_COUNTED / 8;
    if table.len() <= enough {
        return;
    }
    let mut times: Vec<Timestamp> = table.values().copied().collect();
    let excess = times.len() - enough;
    let (_, last, _) = times.select_nth_unstable(excess - 1);
    let last = *last;
    table.retain(|_, recovered| *recovered > last);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SECOND * i32::try_from(seconds).unwrap_or(0)
    }

    fn three() -> Rates<u32> {
        Rates::new(Rate {
            burst: 3,
            every: SECOND * 10,
        })
    }

    #[test]
    fn so_many_at_once_and_one_more_every_so_often() {
        let rates = three();
        for _ in 0..3 {
            assert_eq!(rates.count(&1, at(100)), Ok(()));
        }
        assert_eq!(rates.count(&1, at(100)), Err(SECOND * 10));
        assert_eq!(rates.count(&1, at(104)), Err(SECOND * 6));
        // Who is refused is not counted.
        assert_eq!(rates.count(&1, at(110)), Ok(()));
        assert_eq!(rates.count(&1, at(110)), Err(SECOND * 10));
        assert_eq!(rates.count(&2, at(110)), Ok(()));
        for _ in 0..3 {
            assert_eq!(rates.count(&1, at(1000)), Ok(()));
        }
        assert_eq!(rates.count(&1, at(1000)), Err(SECOND * 10));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let rates = three();
        for _ in 0..3 {
            assert_eq!(rates.count(&1, at(1_000_000)), Ok(()));
        }
        assert_eq!(rates.count(&1, at(0)), Err(SECOND * 10));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rates = three();
        let many = u32::try_from(MAX_COUNTED).unwrap_or(0) * 3;
        for key in 0..many {
            assert_eq!(rates.count(&key, at(i64::from(key) / 1000)), Ok(()));
        }
        let table = rates.recovered.lock();
        let table = table.unwrap_or_else(PoisonError::into_inner);
        assert!(table.len() <= MAX_COUNTED, "{}", table.len());
        // The last ones are still known.
        assert!(table.contains_key(&(many - 1)));
    }

    #[test]
    fn many_of_one_moment_are_bounded_as_well() {
        let rates = three();
        let many = u32::try_from(MAX_COUNTED).unwrap_or(0) * 2;
        for key in 0..many {
            assert_eq!(rates.count(&key, at(0)), Ok(()));
        }
        let table = rates.recovered.lock();
        let table = table.unwrap_or_else(PoisonError::into_inner);
        assert!(table.len() <= MAX_COUNTED, "{}", table.len());
    }
}
