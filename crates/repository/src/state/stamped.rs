//! What a timestamp says, and the state of a snapshot that has none.

use std::collections::BTreeSet;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_store::ListedHashes;
use wheelmark_tuf::{KeyId, Root, Sha256, TargetInfo, TimestampMetadata, Verified};

use super::{LoadError, State, check, newest_root, read};
use crate::channel::Followed;
use crate::listed;
use crate::online::OnlineKeys;
use crate::signing_log::Head;
use crate::snapshot_bytes::RoleFile;

/// What a state has from its timestamp, besides the snapshot that this names.
#[derive(Debug, Clone)]
pub(crate) struct Stamped {
    pub(crate) version: u64,
    pub(crate) expires: Timestamp,
    pub(crate) sha256: Sha256,
    pub(crate) signers: BTreeSet<KeyId>,
    pub(crate) followed: Followed,
    pub(crate) logged: Option<Head>,
}

impl Stamped {
    /// That of a timestamp with these bytes.
    pub(super) fn of(timestamp: &TimestampMetadata, bytes: &[u8]) -> Self {
        Self {
            version: timestamp.version,
            expires: timestamp.expires,
            sha256: Sha256::of(bytes),
            signers: signers(bytes),
            followed: Followed::of(timestamp),
            logged: Head::carried_by(timestamp),
        }
    }
}

impl Stamped {
    /// That of a timestamp of which nobody can say more than its digest.
    fn unread(bytes: &[u8], followed: Followed) -> Self {
        Self {
            version: 0,
            expires: Timestamp::UNIX_EPOCH,
            sha256: Sha256::of(bytes),
            signers: BTreeSet::new(),
            followed,
            logged: None,
        }
    }
}

/// What the timestamp in a tree says, where what it names cannot be read; `followed` where it is not this
/// index's own, or gone.
///
/// # Errors
///
/// When a file that root's keys have not signed lies in the place of the next root, or the file system fails.
pub(crate) async fn timestamp_alone(
    tree: &Directory,
    followed: Followed,
) -> Result<(Root, Stamped), LoadError> {
    let root = newest_root(tree).await?.alone()?;
    let path = ObjectPath::timestamp();
    let bytes = read(tree, &path).await?.unwrap_or_default();
    let timestamp: Result<Verified<TimestampMetadata>, _> =
        check(&path, &bytes, &root.keys, &root.roles.timestamp);
    let stamped = match timestamp {
        Ok(timestamp) => Stamped::of(&timestamp, &bytes),
        Err(_) => Stamped::unread(&bytes, followed),
    };
    Ok((root, stamped))
}

impl State {
    /// What this state has from its timestamp.
    pub(crate) fn stamped(&self) -> Stamped {
        Stamped {
            version: self.timestamp_version,
            expires: self.timestamp_expires,
            sha256: self.timestamp_sha256,
            signers: self.timestamp_signers.clone(),
            followed: self.followed,
            logged: self.logged,
        }
    }

    /// Reads and verifies the state of a snapshot in `tree` that no timestamp needs to name: it has the
    /// version and the digest that are given, and hangs on the newest root that `tree` has. What is
    /// made of it follows on the timestamp `on`, whatever that one names.
    ///
    /// Which hashes files are to list stands in timestamps alone; here it is what the pages of that
    /// state list.
    ///
    /// # Errors
    ///
    /// As [`State::load`].
    pub(crate) async fn load_snapshot(
        tree: &Directory,
        (version, sha256): (u64, Sha256),
        on: Stamped,
        online: &OnlineKeys,
    ) -> Result<Self, LoadError> {
        let root = newest_root(tree).await?.alone()?;
        let sha256 = Some(sha256);
        let snapshot = RoleFile { version, sha256 };
        Self::below(tree, root, snapshot, None, on, online).await
    }
}

/// Which hashes the targets of a state list.
#[derive(Debug, Default)]
pub(super) struct Seen {
    sha256: bool,
    sha512: bool,
}

impl Seen {
    pub(super) fn note<'a>(&mut self, targets: impl Iterator<Item = &'a TargetInfo>) {
        for listed in targets.filter_map(listed::of_target) {
            self.sha256 |= listed.sha256();
            self.sha512 |= listed.sha512();
        }
    }

    /// All that was seen; both, where one state has targets of either kind.
    pub(super) fn hashes(&self) -> ListedHashes {
        match (self.sha256, self.sha512) {
            (_, false) => ListedHashes::Sha256,
            (true, true) => ListedHashes::Both,
            (false, true) => ListedHashes::Sha512,
        }
    }
}

/// Whose signatures a verified timestamp has, as it says.
fn signers(timestamp: &[u8]) -> BTreeSet<KeyId> {
    #[derive(serde::Deserialize)]
    struct File {
        signatures: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        keyid: String,
    }
    let file = serde_json::from_slice(timestamp).map(|file: File| file.signatures);
    let signatures = file.unwrap_or_default().into_iter();
    signatures.map(|entry| KeyId::from(entry.keyid)).collect()
}
