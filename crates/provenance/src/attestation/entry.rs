//! The entry of a transparency log (Rekor) that comes with an attestation.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::{
    AttestationError, MAX_CHECKPOINT_LEN, MAX_CHECKPOINT_SIGNATURES, MAX_ENTRY_BODY_LEN,
    MAX_PROOF_HASHES, limited,
};
use crate::json::{Base64, Decimal, Digest};

/// The kind of entry that records a signed statement in version 1 of the log. Version 2 dates
/// nothing and needs a timestamp besides, for which PEP 740 has no place.
const KIND: (&str, &str) = ("dsse", "0.0.1");

/// What a log says: that it recorded this, when, and how to see that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The entry's number in the log.
    pub(crate) index: u64,
    /// The log, by the SHA-256 of its key.
    pub(crate) log: [u8; 32],
    /// When the log recorded it, in seconds.
    pub(crate) integrated: Timestamp,
    /// The log's signature over number, time and body.
    pub(crate) promise: Vec<u8>,
    /// What the log recorded, in its canonical form.
    pub(crate) body: Vec<u8>,
    /// The leaf's number in the tree that the proof is about.
    pub(crate) leaf: u64,
    /// That tree's size.
    pub(crate) tree_size: u64,
    /// That tree's root.
    pub(crate) tree_root: [u8; 32],
    /// The way from the leaf to the root.
    pub(crate) hashes: Vec<[u8; 32]>,
    /// The log's signed word about the tree.
    pub(crate) checkpoint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Wire {
    log_index: Decimal,
    log_id: LogId,
    kind_version: KindVersion,
    integrated_time: Seconds,
    inclusion_promise: Promise,
    inclusion_proof: Proof,
    canonicalized_body: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct LogId {
    key_id: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Proof {
    // Protobuf leaves out what is zero, and what is empty.
    #[serde(default = "zero")]
    log_index: Decimal,
    root_hash: Digest,
    tree_size: Decimal,
    #[serde(default)]
    hashes: Vec<Digest>,
    checkpoint: Checkpoint,
}

fn zero() -> Decimal {
    Decimal(0)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint {
    envelope: String,
}

/// A time as protobuf writes 64 bits: a string of digits.
#[derive(Clone, Copy)]
struct Seconds(Timestamp);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.as_second().to_string())
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        let Decimal(seconds) = Decimal::deserialize(deserializer)?;
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .map(Seconds)
            .ok_or_else(|| D::Error::custom("not a time"))
    }
}

impl TryFrom<Wire> for Entry {
    type Error = AttestationError;

    fn try_from(wire: Wire) -> Result<Entry, AttestationError> {
        let KindVersion { kind, version } = wire.kind_version;
        if (kind.as_str(), version.as_str()) != KIND {
            return Err(AttestationError::EntryKind { kind, version });
        }
        limited("log entry", &wire.canonicalized_body.0, MAX_ENTRY_BODY_LEN)?;
        let proof = wire.inclusion_proof;
        if proof.hashes.len() > MAX_PROOF_HASHES {
            return Err(AttestationError::ProofHashes {
                count: proof.hashes.len(),
                most: MAX_PROOF_HASHES,
            });
        }
        let checkpoint = proof.checkpoint.envelope;
        check_checkpoint(&checkpoint, proof.tree_size.0)?;
        Ok(Entry {
            index: wire.log_index.0,
            log: wire.log_id.key_id.0,
            integrated: wire.integrated_time.0,
            promise: wire.inclusion_promise.signed_entry_timestamp.0,
            body: wire.canonicalized_body.0,
            leaf: proof.log_index.0,
            tree_size: proof.tree_size.0,
            tree_root: proof.root_hash.0,
            hashes: proof.hashes.into_iter().map(|Digest(hash)| hash).collect(),
            checkpoint,
        })
    }
}

/// A checkpoint is a signed note: three lines or more, an empty one, and signatures, nothing else.
/// Its tree is the proof's, whose size the log's signature covers here alone.
fn check_checkpoint(text: &str, tree_size: u64) -> Result<(), AttestationError> {
    let refused = |reason| AttestationError::Checkpoint { reason };
    if text.len() > MAX_CHECKPOINT_LEN {
        return Err(refused("is too long"));
    }
    let (note, signatures) = text
        .split_once("\n\n")
        .ok_or_else(|| refused("has no signatures"))?;
    let signatures = signatures
        .strip_suffix('\n')
        .ok_or_else(|| refused("does not end with its last line"))?;
    if !signatures.split('\n').all(|line| line.starts_with("— ")) {
        return Err(refused("has something else among its signatures"));
    }
    if signatures.split('\n').count() > MAX_CHECKPOINT_SIGNATURES {
        return Err(refused("has too many signatures"));
    }
    if note.split('\n').nth(1) != Some(tree_size.to_string().as_str()) {
        return Err(refused(
            "is of a tree of another size than its inclusion proof",
        ));
    }
    Ok(())
}

impl From<&Entry> for Wire {
    fn from(entry: &Entry) -> Wire {
        Wire {
            log_index: Decimal(entry.index),
            log_id: LogId {
                key_id: Digest(entry.log),
            },
            kind_version: KindVersion {
                kind: KIND.0.to_owned(),
                version: KIND.1.to_owned(),
            },
            integrated_time: Seconds(entry.integrated),
            inclusion_promise: Promise {
                signed_entry_timestamp: Base64(entry.promise.clone()),
            },
            inclusion_proof: Proof {
                log_index: Decimal(entry.leaf),
                root_hash: Digest(entry.tree_root),
                tree_size: Decimal(entry.tree_size),
                hashes: entry.hashes.iter().copied().map(Digest).collect(),
                checkpoint: Checkpoint {
                    envelope: entry.checkpoint.clone(),
                },
            },
            canonicalized_body: Base64(entry.body.clone()),
        }
    }
}
