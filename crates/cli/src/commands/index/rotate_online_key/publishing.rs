//! Waits until the published timestamp is signed by just these keys.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{Engine, JournalWriter, Lifetimes, OpenError};
use wheelmark_store::Store;
use wheelmark_tuf::{KeyId, RoleName};

use crate::commands::up::explain_open;
use crate::context::Context;
use crate::data::Data;
use crate::published;

/// How long the running index is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The published timestamp, and how it comes to be signed anew.
pub(super) struct Publishing<'a> {
    data: &'a Data,
    named: Option<&'a Path>,
}

impl<'a> Publishing<'a> {
    pub(super) fn new(data: &'a Data, named: Option<&'a Path>) -> Self {
        Self { data, named }
    }

    /// Waits until the keys `ids` and no others have signed the published timestamp, and says
    /// whether they have. The running index does it by itself; if there is none, this process does.
    pub(super) async fn signed_by(&self, ids: &[KeyId], context: &Context) -> anyhow::Result<bool> {
        let wanted: BTreeSet<KeyId> = ids.iter().cloned().collect();
        let deadline = Instant::now() + PATIENCE;
        while self.signers()? != wanted {
            if Instant::now() > deadline {
                return Ok(false);
            }
            if !self.turn(context).await? {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(true)
    }

    /// The keys that the published timestamp has signatures of, as it says.
    fn signers(&self) -> anyhow::Result<BTreeSet<KeyId>> {
        let name = RoleName::timestamp().file_name();
        let bytes = published::metadata(&self.data.tree(), &name)?.unwrap_or_default();
        let file: Value = serde_json::from_slice(&bytes)?;
        let signatures = file["signatures"].as_array().into_iter().flatten();
        let ids = signatures.filter_map(|signature| signature["keyid"].as_str());
        Ok(ids.map(|id| KeyId::from(id.to_owned())).collect())
    }

    /// A turn of an index that does not run; whether it does not.
    async fn turn(&self, context: &Context) -> anyhow::Result<bool> {
        let data = self.data;
        let tree = Arc::new(Directory::open(&data.tree()).await?);
        data.demand_plain_catalogue()?;
        let store = Store::open(&data.catalogue()).await?;
        let online = data.online_keys(self.named)?;
        let (clock, lifetimes) = (context.clock.clone(), Lifetimes::default());
        let opened = match data.settings().tree {
            None => {
                let orders = data.orders().await?;
                Engine::open_with_orders(tree, store.clone(), orders, online, clock, lifetimes)
                    .await
            }
            Some(_) => {
                let writer = JournalWriter::Operator;
                Engine::open(tree, store.clone(), online, clock, lifetimes, writer).await
            }
        };
        let is_free = match opened {
            Ok(mut engine) => {
                engine.turn().await?;
                engine.flush().await?;
                true
            }
            Err(OpenError::Lock(LockError::Held { .. })) => false,
            Err(error) => return Err(explain_open(error)),
        };
        store.close().await;
        Ok(is_free)
    }
}
