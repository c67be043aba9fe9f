//! The seal on a recorded snapshot.
//!
//! What is about to be published is recorded in a database that other processes can reach. The
//! record carries a signature of the online key over all of it, so that recovery replays what
//! this index recorded and nothing else: not a row that somebody wrote, and not genuine bytes
//! put together anew.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wheelmark_signing::{SignError, Signer};
use wheelmark_store::Intent;
use wheelmark_tuf::{Key, RoleName, Sha256, Sha256Hasher, canonical};

use crate::intent::After;
use crate::roles;

/// What the sealed message begins with. TUF metadata begins with `{`, so that no seal can be
/// taken for a signature of metadata, nor the other way round.
const PURPOSE: &[u8] = b"wheelmark: a recorded snapshot, form 1\n";

/// `After` as it lies in the record.
#[derive(Serialize, Deserialize)]
struct Sealed {
    names: Value,
    seal: String,
}

/// What a record is going to publish, as fields of a fixed length.
pub(crate) struct Content(Vec<u8>);

impl Content {
    /// That of an intent, of which the digest of one object may be `known`.
    pub(crate) fn of(intent: &Intent, known: Option<(&str, Sha256)>) -> Self {
        let mut fields = Vec::with_capacity(64 * (intent.objects.len() + 1));
        for number in [
            intent.snapshot_version,
            intent.timestamp_version,
            intent.through.0,
            intent.objects.len() as u64,
        ] {
            fields.extend_from_slice(&number.to_be_bytes());
        }
        for (path, bytes) in &intent.objects {
            fields.extend_from_slice(Sha256::of(path.as_bytes()).as_bytes());
            let digest = match known {
                Some((known, digest)) if known == path => digest,
                _ => Sha256::of(bytes),
            };
            fields.extend_from_slice(digest.as_bytes());
        }
        fields.extend_from_slice(Sha256::of(&intent.timestamp).as_bytes());
        Self(fields)
    }

    /// Its digest, which the signing log has.
    pub(crate) fn sha256(&self) -> Sha256 {
        Sha256::of(&self.0)
    }
}

/// Puts `after` and the seal into an intent that is otherwise complete, and has this content.
pub(crate) fn seal(
    intent: &mut Intent,
    content: &Content,
    after: &After,
    online: &dyn Signer,
) -> Result<(), SignError> {
    let names = serde_json::to_value(after).expect("plain data serialises");
    let seal = online.sign(&message(content, &names))?;
    let sealed = Sealed {
        names,
        seal: hex::encode(seal.sig),
    };
    intent.after = serde_json::to_value(&sealed).expect("plain data serialises");
    Ok(())
}

/// What is left to do after an intent's timestamp; `None` when none of these keys sealed it.
pub(crate) fn open(intent: &Intent, keys: &[&Key]) -> Option<After> {
    let sealed: Sealed = serde_json::from_value(intent.after.clone()).ok()?;
    let seal = hex::decode(&sealed.seal).ok()?;
    let content = Content::of(intent, None);
    let message = message(&content, &sealed.names);
    let is_ours = keys.iter().any(|key| key.verify(&message, &seal).is_ok());
    if !is_ours {
        return None;
    }
    serde_json::from_value(sealed.names).ok()
}

/// Every role and version that an intent signs, the timestamp included. What a project's own people
/// have signed is not among them: its versions are theirs to give, and what they have signed can be
/// taken in again as it is.
pub(crate) fn versions(intent: &Intent) -> Vec<(RoleName, u64)> {
    let roles = intent.objects.iter();
    roles
        .filter_map(|(path, _)| role_and_version(path))
        .filter(|(role, _)| roles::project_of_role(role).is_none())
        .chain([(RoleName::timestamp(), intent.timestamp_version)])
        .collect()
}

/// The role and version in the path of a versioned metadata object.
pub(crate) fn role_and_version(path: &str) -> Option<(RoleName, u64)> {
    let name = path.strip_prefix("metadata/")?.strip_suffix(".json")?;
    let (version, role) = name.split_once('.')?;
    Some((role.parse().ok()?, version.parse().ok()?))
}

/// The bytes that are sealed: every field, each of a fixed length or led by its length.
fn message(content: &Content, names: &Value) -> Vec<u8> {
    let mut fields = Sha256Hasher::new();
    fields.update(&content.0);
    fields.update(Sha256::of(&canonical::encode(names)).as_bytes());
    [PURPOSE, fields.finish().as_bytes()].concat()
}
