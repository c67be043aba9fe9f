//! `/api/v1/log/entries`: what is signed is recorded once, in a tree that grows.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::authority::key_of_certificate;
use super::{BEFORE, Entries, Entry, Services, refused};
use crate::log::{Recorded, body, leaf};
use crate::sigstore::{PAYLOAD_TYPE, covered};

/// The number of the tree that is written to, which stands before the name of an entry.
const TREE: &str = "0123456789abcdef";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proposed {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    proposed_content: Content,
}

#[derive(Deserialize)]
struct Content {
    envelope: String,
    verifiers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

pub(super) async fn create(
    State(services): State<Arc<Services>>,
    Json(proposed): Json<Proposed>,
) -> Response {
    let Some(body) = body_of(&proposed) else {
        return refused(
            StatusCode::BAD_REQUEST,
            "error processing entry: could not verify envelope",
        );
    };
    let mut entries = services.entries();
    let leaf = leaf(&body);
    let name = name(&leaf);
    let place = (header::LOCATION, format!("/api/v1/log/entries/{name}"));
    if entries.tree.find(&leaf).is_some() {
        let said = "an equivalent entry already exists in the transparency log";
        return ([place], refused(StatusCode::CONFLICT, said)).into_response();
    }
    let at = entries.tree.add(&body);
    let integrated = Timestamp::from_second((services.now)().as_second()).expect("a time");
    entries.each.push(Entry { body, integrated });
    let answer = answer(&services, &entries, at, name);
    (StatusCode::CREATED, [place], Json(answer)).into_response()
}

pub(super) async fn read(
    State(services): State<Arc<Services>>,
    Path(name): Path<String>,
) -> Response {
    let entries = services.entries();
    let known = |name: &str| -> Option<usize> {
        let leaf = hex::decode(&name[name.len().checked_sub(64)?..]).ok()?;
        entries.tree.find(&leaf.try_into().ok()?)
    };
    match known(&name) {
        Some(at) => Json(answer(&services, &entries, at, name)).into_response(),
        None => refused(StatusCode::NOT_FOUND, "entry not found"),
    }
}

fn name(leaf: &[u8; 32]) -> String {
    format!("{TREE}{}", hex::encode(leaf))
}

fn answer(services: &Services, entries: &Entries, at: usize, name: String) -> Value {
    let entry = &entries.each[at];
    let index = BEFORE + u64::try_from(at).expect("few entries");
    let log = &services.sigstore.log;
    let recorded = Recorded::at(log, &entries.tree, at, &entry.body, index, entry.integrated);
    Value::Object(Map::from_iter([(name, recorded.as_answer())]))
}

/// What is recorded of an entry that holds.
fn body_of(proposed: &Proposed) -> Option<String> {
    if (proposed.api_version.as_str(), proposed.kind.as_str()) != ("0.0.1", "dsse") {
        return None;
    }
    let content = &proposed.spec.proposed_content;
    let [verifier] = content.verifiers.as_slice() else {
        return None;
    };
    let certificate = String::from_utf8(STANDARD.decode(verifier).ok()?).ok()?;
    let digits: String = certificate
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE-----")?
        .strip_suffix("-----END CERTIFICATE-----")?
        .split_ascii_whitespace()
        .collect();
    let certificate = STANDARD.decode(digits).ok()?;
    let envelope: Envelope = serde_json::from_str(&content.envelope).ok()?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return None;
    }
    let [signature] = envelope.signatures.as_slice() else {
        return None;
    };
    let statement = STANDARD.decode(&envelope.payload).ok()?;
    let signature = STANDARD.decode(&signature.sig).ok()?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key_of_certificate(&certificate)?);
    key.verify(&covered(&statement), &signature).ok()?;
    Some(body(
        &content.envelope,
        &statement,
        &signature,
        &certificate,
    ))
}
