//! The keys that sign online: one, or two while the next one takes over.
//!
//! ```text
//!                  prepared            ceremony             retired
//!   one key  ─────────┬───────────────────┬───────────────────┬──────▶ the next key alone
//!   root names        the present one     the next one
//!   timestamp,        both sign           both sign
//!   snapshot
//!   bins, …           the present one     the next one        those that targets, simple and
//!                                                             packages of the same snapshot name
//! ```
//!
//! Root is found by its number and the timestamp by its name, so a reader, or a copy of the tree,
//! can have the one of before with the other of after. While both keys sign, each timestamp and each
//! snapshot is good under either root, and there is nothing that could come between them. What
//! stands below is of one snapshot: its readers have keys and signatures of the same moment.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use wheelmark_signing::Signer;
use wheelmark_tuf::{Key, KeyId};

use crate::signing_log::LogPlace;

/// The online keys that the engine has.
#[derive(Clone)]
pub struct OnlineKeys {
    present: Arc<dyn Signer>,
    next: Option<Arc<dyn Signer>>,
    log: Option<LogPlace>,
}

impl OnlineKeys {
    /// The key that signs online, and the one that is to follow it.
    pub fn new(present: Arc<dyn Signer>, next: Option<Arc<dyn Signer>>) -> Self {
        let is_other = |next: &Arc<dyn Signer>| !next.key().is_same_key(present.key());
        let next = next.filter(is_other);
        let log = None;
        Self { present, next, log }
    }

    /// The same keys; what they sign is written to the log in `place`.
    pub fn logged(self, place: LogPlace) -> Self {
        let log = Some(place);
        Self { log, ..self }
    }

    /// Where their signatures are written down.
    pub fn log(&self) -> Option<&LogPlace> {
        self.log.as_ref()
    }

    /// Those whose seal on a record counts, where the newest root in the tree names `keyids`: once
    /// it names the next key, the one of before, which may have been stolen, seals nothing any
    /// more. All records from before that root are on the disk by then.
    pub(crate) fn sealers(&self, keyids: &[KeyId]) -> Vec<&Key> {
        let next = self.next.as_ref().map(|next| next.key());
        match next.filter(|next| keyids.contains(next.keyid())) {
            Some(next) => vec![next],
            None => self.keys(),
        }
    }

    /// All of them, for what both have to sign.
    pub(crate) fn all(&self) -> Vec<&dyn Signer> {
        let keys = std::iter::once(&self.present).chain(&self.next);
        keys.map(|key| &**key).collect()
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> BTreeSet<KeyId> {
        let keys = self.all().into_iter();
        keys.map(|signer| signer.key().keyid().clone()).collect()
    }

    /// Their public halves.
    pub(crate) fn keys(&self) -> Vec<&Key> {
        self.all().into_iter().map(Signer::key).collect()
    }

    /// The first of them that is among `keyids`.
    pub(crate) fn named(&self, keyids: &[KeyId]) -> Option<&Key> {
        let mut keys = self.keys().into_iter();
        keys.find(|key| keyids.contains(key.keyid()))
    }

    /// The one with this id.
    pub(crate) fn signer(&self, keyid: &KeyId) -> Option<&dyn Signer> {
        let mut signers = self.all().into_iter();
        signers.find(|signer| signer.key().keyid() == keyid)
    }
}

impl From<Arc<dyn Signer>> for OnlineKeys {
    fn from(present: Arc<dyn Signer>) -> Self {
        Self::new(present, None)
    }
}

impl<S: Signer + 'static> From<Arc<S>> for OnlineKeys {
    fn from(present: Arc<S>) -> Self {
        Self::new(present, None)
    }
}

impl fmt::Debug for OnlineKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}
