//! The records of snapshots: completed, kept until all is on the disk, or dropped.

use wheelmark_store::IntentId;

use super::Engine;
use crate::going_back::{Side, put_right};
use crate::intent::After;
use crate::publish::{self, PublishError};
use crate::record;
use crate::roles;
use crate::settle::settle;

impl Engine {
    /// Waits until all that was published is on the disk, and ends the records of it. Whoever goes
    /// without this leaves it to the next start.
    ///
    /// # Errors
    ///
    /// When the file system or the store fails. Nothing is lost by it.
    pub async fn flush(&mut self) -> Result<(), PublishError> {
        match self.keeping.flush().await {
            Ok(Some(last)) => self.store.forget_intents(self.fence, last).await?,
            Ok(None) => {}
            Err(error) => {
                self.unsettled.get_or_insert_default();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Ends the records of what is on the disk by now, and sees to it that more gets there.
    pub(super) async fn forget_what_is_durable(&mut self) -> Result<(), PublishError> {
        match self.keeping.tend().await {
            Ok(Some(last)) => self.store.forget_intents(self.fence, last).await?,
            Ok(None) => {}
            Err(error) => {
                // The next turn writes all of it again.
                self.unsettled.get_or_insert_default();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Gives names and answers once a snapshot stands.
    pub(super) async fn finish(
        &self,
        after: &After,
        id: IntentId,
        snapshot_version: u64,
    ) -> Result<(), PublishError> {
        publish::name(&self.writing, &self.lock, after, &self.state.projects).await?;
        for (seq, reason) in &after.refused {
            tracing::warn!(seq, reason, "a pending change was refused");
        }
        let side = Side {
            tree: &self.tree,
            state: &self.state,
        };
        put_right(side, &self.store, self.fence, after).await?;
        settle(
            &self.store,
            self.orders.as_ref(),
            self.fence,
            id,
            snapshot_version,
            self.state.followed,
            after,
        )
        .await
    }

    /// Another file stands under a version that was just signed. The record of it is dropped, for
    /// it can never be published whole, and none of the versions in it is signed again.
    pub(super) async fn skip(&mut self, path: &str) -> Result<(), PublishError> {
        tracing::warn!(
            path,
            "another file stands under this version; the versions of this snapshot are skipped"
        );
        // Its record goes, and its lines are built on.
        if let Some(log) = &mut self.log {
            log.flush()?;
        }
        self.store.clear_intent(self.fence).await?;
        self.skipped
            .extend(self.unsettled.take().unwrap_or_default());
        // A project's version is its people's to give: the release that has it is refused, and they
        // sign the next one.
        let taken = record::role_and_version(path);
        let taken = taken.filter(|(role, _)| roles::project_of_role(role).is_some());
        self.skipped.extend(taken);
        Ok(())
    }
}
