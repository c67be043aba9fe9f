//! What the engine does with what ceremonies bring.

use jiff::{SignedDuration, Timestamp};
use wheelmark_objects::ObjectPath;
use wheelmark_store::{Orders, Outcome, Seq};
use wheelmark_tuf::RoleName;

use super::{Engine, OpenError};
use crate::handed::{Examined, Handed, examine};
use crate::publish::PublishError;
use crate::state::LoadError;

/// How often people are told that a ceremony is due.
const REMIND_EVERY: SignedDuration = SignedDuration::from_hours(24);

impl Engine {
    /// Says in the log which offline roles are due for a ceremony, or have ended; once a day. Turns
    /// that publish do so by themselves, and an index renews its timestamp twice a day.
    pub fn remind(&mut self) {
        let now = self.clock.now();
        let told = self.reminded.map(|told| now.duration_since(told));
        if told.is_some_and(|ago| ago < REMIND_EVERY) {
            return;
        }
        self.reminded = Some(now);
        for (role, expires) in &self.state.offline {
            if now >= *expires {
                tracing::error!(
                    %role,
                    %expires,
                    "this role is signed with offline keys and has ended: clients refuse the index \
                     until a ceremony renews it (wheelmark ceremony begin)"
                );
            } else if now >= self.lifetimes.ceremony_due(role, *expires) {
                tracing::warn!(
                    %role,
                    %expires,
                    "this role is signed with offline keys and ends soon: hold a ceremony \
                     (wheelmark ceremony begin); clients refuse the index after that"
                );
            }
        }
    }

    /// Takes what ceremonies bring out of the operator's journal, for an index that takes no orders
    /// from it: [`Engine::open_with_orders`] does so by itself.
    pub fn take_ceremonies_from(&mut self, orders: Orders) {
        self.ceremonies = Some(orders);
    }

    /// What a ceremony has brought and the next snapshot is to publish. What is there already, or
    /// cannot follow on what is published, gets its answer.
    pub(super) async fn handed_in(&self, now: Timestamp) -> Result<Option<Handed>, PublishError> {
        let Some(ceremonies) = &self.ceremonies else {
            return Ok(None);
        };
        while let Some(handed) = ceremonies.handed_in().await? {
            let seq = handed.seq;
            match examine(&self.tree, &self.state, handed, &self.online, now).await? {
                Examined::Next(next) => return Ok(Some(*next)),
                Examined::There => {
                    let snapshot_version = self.state.snapshot.version();
                    self.answer(seq, Outcome::Published { snapshot_version })
                        .await?;
                }
                Examined::Refused(reason) => {
                    self.answer(seq, Outcome::Refused { reason }).await?;
                }
            }
        }
        Ok(None)
    }

    /// Says what became of what a ceremony has brought.
    pub(super) async fn answer(&self, seq: Seq, outcome: Outcome) -> Result<(), PublishError> {
        match &outcome {
            Outcome::Published { snapshot_version } => tracing::info!(
                snapshot = snapshot_version,
                root = self.state.root.version,
                "published what a ceremony has brought"
            ),
            Outcome::Refused { reason } => {
                tracing::error!(reason, "what a ceremony has brought is refused");
            }
        }
        if let Some(ceremonies) = &self.ceremonies {
            let now = self.clock.now();
            ceremonies.answer_ceremony(seq, &outcome, now).await?;
        }
        Ok(())
    }
}

/// Refuses to go on under the root of a version where a ceremony has brought the one behind it: that one is
/// damaged, and clients go by it. `problem` is what is wrong with the file in its place.
pub(super) async fn demand_never_published(
    orders: &Orders,
    version: u64,
    problem: &str,
) -> Result<(), OpenError> {
    let (role, next) = (RoleName::root(), version.saturating_add(1));
    let published = orders.published_at(&role.versioned_file_name(next)).await?;
    let Some(at) = published else {
        return Ok(());
    };
    let error = LoadError::DamagedRoot {
        path: ObjectPath::metadata(&role, next).as_str().to_owned(),
        at,
        problem: problem.to_owned(),
    };
    Err(PublishError::from(error).into())
}

/// The answer to a ceremony whose snapshot stands, by whether its root does, too.
pub(super) fn published_or_not(published: bool, snapshot_version: u64) -> Outcome {
    match published {
        true => Outcome::Published { snapshot_version },
        false => Outcome::Refused {
            reason: "the next root could not be published: another file stands in its place"
                .to_owned(),
        },
    }
}
