//! Tells those who wait what became of their changes, once the snapshot stands.

use wheelmark_store::{Change, Fence, IntentId, Orders, Outcome, Seq, Settlement, Store};

use crate::channel::Followed;
use crate::intent::{After, Ordered};
use crate::publish::PublishError;

/// Records what became of every change that a snapshot covers, and completes its record. `followed`
/// is what its timestamp says.
///
/// The record is completed last, and with the catalogue's own changes: whatever a crash cuts off
/// here, recovery finds it open and does all of it again. Answers to orders that are there stay.
pub(crate) async fn settle(
    store: &Store,
    orders: Option<&Orders>,
    fence: Fence,
    id: IntentId,
    snapshot_version: u64,
    followed: Followed,
    after: &After,
) -> Result<(), PublishError> {
    if !after.ordered.is_empty() {
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
    let done = after.ordered.iter().filter_map(Ordered::published);
    let done: Vec<Change> = done.cloned().collect();
    let settlement = Settlement {
        serial: followed.serial(),
        outcomes: &after.outcomes(snapshot_version),
        ordered: &done,
    };
    store.complete_intent(fence, id, settlement).await?;
    Ok(())
}
