//! What was refused, in the audit log: a bounded number of rows, whoever tries how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::SignedDuration;
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Actor, AuditAction, AuditEntry, Bearer, Store, UserName};
use wheelmark_tuf::Clock;

use super::AuthError;
use crate::client_address::From;
use crate::problem::chain;
use crate::rate::{Rate, Rates};

/// How many refused credentials are written down, wherever they came from. At this rate a year of
/// uninterrupted attempts is half a million rows, some hundred megabytes.
pub const REFUSALS_NOTED: Rate = Rate {
    burst: 600,
    every: SignedDuration::from_mins(1),
};

/// How many refused uploads of one user are written down.
pub const USERS_REFUSALS_NOTED: Rate = Rate {
    burst: 200,
    every: SignedDuration::from_mins(1),
};

/// Writes refusals down.
pub(crate) struct Notebook {
    store: Store,
    clock: Arc<dyn Clock>,
    strangers: Rates<()>,
    users: Rates<UserName>,
    /// How many were not written down since the last that was.
    skipped: AtomicU64,
}

impl Notebook {
    pub(super) fn new(store: Store, clock: Arc<dyn Clock>) -> Notebook {
        Notebook {
            store,
            clock,
            strangers: Rates::new(REFUSALS_NOTED),
            users: Rates::new(USERS_REFUSALS_NOTED),
            skipped: AtomicU64::new(0),
        }
    }

    /// Counts a refused credential that is not written down.
    pub(super) fn skip_failure(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes a refused credential down.
    ///
    /// A name is written down only if it is that of a user: people type other secrets there.
    pub(super) async fn failure(&self, why: &AuthError, name: Option<UserName>, from: From) {
        let now = self.clock.now();
        if self.strangers.count(&(), now).is_err() {
            self.skip_failure();
            return;
        }
        let skipped = self.skipped.swap(0, Ordering::Relaxed);
        let detail = match skipped {
            0 => why.to_string(),
            more => format!("{why} (and {more} more before it that are not written down)"),
        };
        let ended = match why {
            AuthError::Ended(ended) => Some(ended.id().to_string()),
            _ => None,
        };
        let entry = AuditEntry {
            subject: ended,
            ..AuditEntry::new(now, Actor::Stranger, AuditAction::AccessRefused)
                .from_address(from.0)
                .saying(detail)
        };
        let store = self.store.clone();
        finished(async move {
            let subject = match (entry.subject, name) {
                (None, Some(name)) if known(&store, &name).await => Some(name.to_string()),
                (subject, _) => subject,
            };
            write(&store, &AuditEntry { subject, ..entry }).await;
        })
        .await;
    }

    /// Writes down that an identity token was not exchanged.
    pub(super) async fn refused_exchange(&self, why: &str, from: From) {
        let now = self.clock.now();
        if self.strangers.count(&(), now).is_err() {
            self.skip_failure();
            return;
        }
        let entry = AuditEntry::new(now, Actor::Stranger, AuditAction::ExchangeRefused)
            .from_address(from.0)
            .saying(why);
        let store = self.store.clone();
        finished(async move { write(&store, &entry).await }).await;
    }

    /// Writes down that somebody with a good token was refused a file.
    pub(crate) async fn refused_upload(
        &self,
        bearer: &Bearer,
        file: Option<(&ProjectName, &str)>,
        why: &str,
        from: From,
    ) {
        let now = self.clock.now();
        if self.users.count(bearer.user(), now).is_err() {
            return;
        }
        let entry = AuditEntry {
            project: file.map(|(project, _)| project.clone()),
            subject: file.map(|(_, filename)| filename.to_owned()),
            ..AuditEntry::new(now, bearer.actor(), AuditAction::UploadRefused)
                .from_address(from.0)
                .saying(why)
        };
        let store = self.store.clone();
        finished(async move { write(&store, &entry).await }).await;
    }
}

/// Waits for work that is done whether or not somebody waits: who hangs up does not get round it.
async fn finished(work: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = tokio::spawn(work).await {
        tracing::error!(error = chain(&error), "the audit log cannot be written");
    }
}

/// Whether there is such a user. If that cannot be told, the name is not written down.
async fn known(store: &Store, name: &UserName) -> bool {
    store.has_user(name).await.unwrap_or(false)
}

/// A refusal stays one if it cannot be written down.
async fn write(store: &Store, entry: &AuditEntry) {
    if let Err(error) = store.audit(entry).await {
        tracing::error!(error = chain(&error), "the audit log cannot be written");
    }
}
