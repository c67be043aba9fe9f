//! Which online keys the engine has, while one takes the place of another.

use super::Engine;
use crate::online::OnlineKeys;

impl Engine {
    /// Looks for the online keys in `source` before each turn from now on: a next one that appears
    /// signs along with the present one, and the present one can go once the next is in its place.
    /// `source` says nothing where the keys cannot be read.
    pub fn follow_online_keys(
        &mut self,
        source: impl FnMut() -> Option<OnlineKeys> + Send + Sync + 'static,
    ) {
        self.keys = Some(Box::new(source));
    }

    /// Takes the keys that are there now, if what is published can go on with them.
    pub(super) fn look_for_keys(&mut self) {
        if let Some(found) = self.keys.as_mut().and_then(|source| source()) {
            self.found_keys = Some(found);
        }
        // What does not fit now may fit once a snapshot has been finished.
        let Some(found) = self.found_keys.clone() else {
            return;
        };
        if found.ids() == self.online.ids() {
            return;
        }
        let of_root = found.named(&self.state.root.roles.timestamp.keyids);
        if of_root.is_some() && found.signer(&self.state.signs).is_some() {
            tracing::info!(keys = ?found, "signing with the online keys that are there now");
            self.online = found;
            self.other_keys = None;
        } else if self.other_keys.as_ref() != Some(&found.ids()) {
            tracing::error!(
                keys = ?found,
                "the online keys that are there now do not include the one that this index's \
                 metadata names; the index goes on with those that it has"
            );
            self.other_keys = Some(found.ids());
        }
    }

    /// Whether the published timestamp lacks the signature of a key that is there, or has one of a
    /// key that is not any more.
    pub(super) fn keys_differ(&self) -> bool {
        self.state.timestamp_signers != self.online.ids()
    }
}
