//! The transparency log (Rekor, version 1): a tree that grows, or is of one leaf and made anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::key::{Key, sha256};

/// What the log's checkpoints begin with.
const ORIGIN: &str = "rekor.private.invalid - 1";

/// A signed statement as a log takes it.
pub(crate) fn envelope(statement: &[u8], signature: &[u8]) -> String {
    let envelope = json!({
        "payload": STANDARD.encode(statement),
        "payloadType": crate::sigstore::PAYLOAD_TYPE,
        "signatures": [{ "sig": STANDARD.encode(signature) }],
    });
    envelope.to_string()
}

/// What the log records of a signed statement.
pub(crate) fn body(
    envelope: &str,
    statement: &[u8],
    signature: &[u8],
    certificate: &[u8],
) -> String {
    let signature = STANDARD.encode(signature);
    let verifier = STANDARD.encode(pem(certificate));
    let envelope = hex::encode(sha256(envelope.as_bytes()));
    let payload = hex::encode(sha256(statement));
    // Canonical JSON, by hand: members in order, nothing between them.
    format!(
        r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"envelopeHash":{{"algorithm":"sha256","value":"{envelope}"}},"payloadHash":{{"algorithm":"sha256","value":"{payload}"}},"signatures":[{{"signature":"{signature}","verifier":"{verifier}"}}]}}}}"#
    )
}

/// The leaves of a tree, hashed (RFC 6962, section 2.1).
#[derive(Default)]
pub(crate) struct Tree(Vec<[u8; 32]>);

impl Tree {
    /// Where something with this hash stands already.
    pub(crate) fn find(&self, leaf: &[u8; 32]) -> Option<usize> {
        self.0.iter().position(|other| other == leaf)
    }

    /// Takes one more leaf.
    pub(crate) fn add(&mut self, body: &str) -> usize {
        self.0.push(leaf(body));
        self.0.len() - 1
    }
}

/// What a tree has of a body.
pub(crate) fn leaf(body: &str) -> [u8; 32] {
    sha256(&[&[0], body.as_bytes()].concat())
}

/// The root of a tree (RFC 6962, section 2.1).
fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            sha256(&[&[1], &root(left)[..], &root(right)].concat())
        }
    }
}

/// The way from a leaf to the root (RFC 6962, section 2.1.1).
fn path(at: usize, leaves: &[[u8; 32]]) -> Vec<[u8; 32]> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut way, other) = if at < middle {
        (path(at, left), root(right))
    } else {
        (path(at - middle, right), root(left))
    };
    way.push(other);
    way
}

/// Everything that a log says of one entry.
pub(crate) struct Recorded {
    body: String,
    index: u64,
    integrated: Timestamp,
    log: [u8; 32],
    promise: Vec<u8>,
    leaf: usize,
    size: usize,
    root: [u8; 32],
    hashes: Vec<[u8; 32]>,
    checkpoint: String,
}

impl Recorded {
    /// In a tree of its own.
    pub(crate) fn alone(log: &Key, body: &str, index: u64, integrated: Timestamp) -> Recorded {
        let mut tree = Tree::default();
        tree.add(body);
        Recorded::at(log, &tree, 0, body, index, integrated)
    }

    /// As a leaf of a tree; `index` is its number among all trees of the log.
    pub(crate) fn at(
        log: &Key,
        tree: &Tree,
        leaf: usize,
        body: &str,
        index: u64,
        integrated: Timestamp,
    ) -> Recorded {
        let seconds = integrated.as_second();
        let encoded = STANDARD.encode(body);
        let id = hex::encode(log.id());
        let promised = format!(
            r#"{{"body":"{encoded}","integratedTime":{seconds},"logID":"{id}","logIndex":{index}}}"#
        );
        let size = tree.0.len();
        let root = root(&tree.0);
        let note = format!("{ORIGIN}\n{size}\n{}\n", STANDARD.encode(root));
        let signature = [&log.id()[..4], &log.sign(note.as_bytes())].concat();
        let (name, _) = ORIGIN.split_once(' ').expect("a name and a number");
        Recorded {
            body: encoded,
            index,
            integrated,
            log: log.id(),
            promise: log.sign(promised.as_bytes()),
            leaf,
            size,
            root,
            hashes: path(leaf, &tree.0),
            checkpoint: format!("{note}\n— {name} {}\n", STANDARD.encode(signature)),
        }
    }

    /// As protobuf's JSON, which attestations have.
    pub(crate) fn as_protobuf(&self) -> Value {
        let hashes: Vec<String> = self
            .hashes
            .iter()
            .map(|hash| STANDARD.encode(hash))
            .collect();
        json!({
            "logIndex": self.index.to_string(),
            "logId": { "keyId": STANDARD.encode(self.log) },
            "kindVersion": { "kind": "dsse", "version": "0.0.1" },
            "integratedTime": self.integrated.as_second().to_string(),
            "inclusionPromise": { "signedEntryTimestamp": STANDARD.encode(&self.promise) },
            "inclusionProof": {
                "logIndex": self.leaf.to_string(),
                "rootHash": STANDARD.encode(self.root),
                "treeSize": self.size.to_string(),
                "hashes": hashes,
                "checkpoint": { "envelope": self.checkpoint },
            },
            "canonicalizedBody": self.body,
        })
    }

    /// As the log's own API has it.
    pub(crate) fn as_answer(&self) -> Value {
        let hashes: Vec<String> = self.hashes.iter().map(hex::encode).collect();
        json!({
            "body": self.body,
            "integratedTime": self.integrated.as_second(),
            "logID": hex::encode(self.log),
            "logIndex": self.index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": self.checkpoint,
                    "hashes": hashes,
                    "logIndex": self.leaf,
                    "rootHash": hex::encode(self.root),
                    "treeSize": self.size,
                },
                "signedEntryTimestamp": STANDARD.encode(&self.promise),
            },
        })
    }
}

/// A certificate as text, in lines of 64 characters.
pub(crate) fn pem(certificate: &[u8]) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
