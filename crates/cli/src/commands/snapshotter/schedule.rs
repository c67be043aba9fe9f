//! Garbage collections by the clock: what somebody would ask for with `wheelmark index gc`, the
//! process asks of itself.
//!
//! It goes by the operator's journal like any other wish, and so by the engine's fence, and what came
//! of it is kept there. When one was asked for last stands there, too: a start does not begin the time
//! anew.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use wheelmark_store::{Orders, StoreError};
use wheelmark_tuf::Clock;

use crate::settings::Collecting;

/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Who asks, for people.
const BY: &str = "gc-every in the settings";

/// Asks for collections from now on, until it is aborted.
pub(super) fn start(schedule: Collecting, orders: Orders, clock: Arc<dyn Clock>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            if let Err(error) = ask(&schedule, &orders, clock.now()).await {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a garbage collection is due and cannot be asked for");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
}

async fn ask(schedule: &Collecting, orders: &Orders, now: Timestamp) -> Result<(), StoreError> {
    if orders.collection_asked().await?.is_some() {
        return Ok(());
    }
    let last = orders.last_collection_at().await?;
    if is_due(last, schedule.every, now) {
        let keep = serde_json::to_string(&schedule.keep).unwrap_or_default();
        orders.ask_to_collect(&keep, now, BY).await?;
    }
    Ok(())
}

/// Whether another one is due. One that was asked for by a clock that was ahead does not count.
fn is_due(last: Option<Timestamp>, every: SignedDuration, now: Timestamp) -> bool {
    last.is_none_or(|last| {
        let passed = now.duration_since(last);
        passed.is_negative() || passed >= every
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_does_not_hold_it_up() {
        let every = SignedDuration::from_hours(24);
        let at = |hours| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        assert!(is_due(None, every, at(0)));
        assert!(!is_due(Some(at(0)), every, at(23)));
        assert!(is_due(Some(at(0)), every, at(24)));
        assert!(is_due(Some(at(1000)), every, at(24)));
    }
}
