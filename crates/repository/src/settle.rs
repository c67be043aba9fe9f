//! Tells those who wait what became of their changes, once the snapshot stands.

use wheelmark_store::{Fence, Orders, Outcome, Seq, Store};

use crate::intent::{After, Ordered};
use crate::publish::PublishError;

/// Records what became of every change that a snapshot covers, and ends its record.
///
/// The record goes last: whatever a crash cuts off here, recovery finds it and does all of it
/// again.
pub(crate) async fn settle(
    store: &Store,
    orders: Option<&Orders>,
    fence: Fence,
    snapshot_version: u64,
    after: &After,
) -> Result<(), PublishError> {
    if !after.ordered.is_empty() {
        let done = after.ordered.iter().filter_map(Ordered::published);
        let done: Vec<_> = done.cloned().collect();
        store.follow(fence, &done).await?;
        let outcomes: Vec<(Seq, Outcome)> = after
            .ordered
            .iter()
            .map(|ordered| ordered.outcome(snapshot_version))
            .collect();
        match orders {
            Some(orders) => orders.settle(&outcomes).await?,
            None => tracing::warn!(
                orders = outcomes.len(),
                "orders were carried out, and nobody is told: their journal is not open"
            ),
        }
    }
    store
        .complete_intent(fence, snapshot_version, &after.outcomes(snapshot_version))
        .await?;
    Ok(())
}
