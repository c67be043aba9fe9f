use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::Clock;

/// A clock that stands still until it is put forward.
#[derive(Debug)]
pub struct TestClock(Mutex<Timestamp>);

impl TestClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Puts it forward, or back.
    pub fn forward(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}
