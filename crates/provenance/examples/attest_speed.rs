//! What verifying costs, for `cargo xtask bench attest`.
//!
//! ```text
//! attest_speed real FOLDER ROUNDS     every FILE.provenance beside its FILE; prints JSON
//! attest_speed hostile ROUNDS         the costliest uploads that we could think of, one by one
//! ```
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks to whoever runs it, and stops where something is missing"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{
    Attestation, MAX_ATTESTATIONS_LEN, Predicate, Provenance, Publisher, TrustedRoots,
    verify_provenance, verify_upload,
};
use wheelmark_provenance_testing::{Making, PrivateSigstore, Signer, statement};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["real", folder, rounds] => real(Path::new(folder), rounds.parse().unwrap()),
        ["hostile", rounds] => hostile(rounds.parse().unwrap()),
        _ => panic!("attest_speed real FOLDER ROUNDS, or attest_speed hostile ROUNDS"),
    }
}

/// Reads and verifies each provenance object, from bytes to verdict.
fn real(folder: &Path, rounds: usize) {
    let begun = Instant::now();
    let roots = TrustedRoots::public_good().unwrap();
    let roots_ms = begun.elapsed().as_secs_f64() * 1e3;
    let now = Timestamp::now();
    let mut subjects = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|ending| ending == "provenance")
        {
            let file = path.with_extension("");
            let name: DistributionFilename =
                file.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let bytes = std::fs::read(&file).unwrap();
            let sha256 = Sha256Hex(digest(&SHA256, &bytes).as_ref().try_into().unwrap());
            subjects.push((name, sha256, std::fs::read(&path).unwrap()));
        }
    }
    let mut milliseconds = Vec::new();
    for _ in 0..rounds {
        for (name, sha256, bytes) in &subjects {
            let begun = Instant::now();
            let provenance = Provenance::parse(bytes).unwrap();
            let verified = verify_provenance(name, sha256, &provenance, &roots, now).unwrap();
            milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
            assert_eq!(verified.len(), 1);
        }
    }
    milliseconds.sort_by(f64::total_cmp);
    let median = milliseconds[milliseconds.len() / 2];
    let figures = json!({
        "files": subjects.len(), "verifications": milliseconds.len(),
        "median_ms": median, "least_ms": milliseconds[0], "roots_ms": roots_ms,
    });
    println!("{figures}");
}

/// Uploads that are as long, as deep and as laborious as the limits allow.
fn hostile(rounds: usize) {
    let from: Timestamp = "2025-12-31T00:00:00Z".parse().unwrap();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let sigstore = PrivateSigstore::new(from);
    let roots = TrustedRoots::empty()
        .with("private", sigstore.trusted_root().as_bytes())
        .unwrap();
    let publisher: Publisher = "github:o/r@release.yml".parse().unwrap();
    let file: DistributionFilename = "demo-1.0-py3-none-any.whl".parse().unwrap();
    let digest = [7; 32];
    let mut least = serde_json::Map::new();
    for (name, upload) in uploads(&sigstore, &publisher, file.as_str(), &digest, from) {
        assert!(upload.len() <= MAX_ATTESTATIONS_LEN, "{name}");
        let mut milliseconds = f64::INFINITY;
        let mut taken = false;
        for _ in 0..rounds {
            let begun = Instant::now();
            let verdict = Attestation::parse_list(&upload)
                .ok()
                .and_then(|attestations| {
                    verify_upload(
                        &file,
                        &Sha256Hex(digest),
                        &attestations,
                        std::slice::from_ref(&publisher),
                        &roots,
                        now,
                    )
                    .ok()
                });
            taken = black_box(verdict).is_some();
            milliseconds = milliseconds.min(begun.elapsed().as_secs_f64() * 1e3);
        }
        least.insert(
            name.to_owned(),
            json!({ "bytes": upload.len(), "least_ms": milliseconds, "taken": taken }),
        );
    }
    println!("{}", Value::Object(least));
}

fn uploads(
    sigstore: &PrivateSigstore,
    publisher: &Publisher,
    file: &str,
    digest: &[u8; 32],
    from: Timestamp,
) -> Vec<(&'static str, Vec<u8>)> {
    let signer = Signer::of(publisher, "refs/tags/v1.0");
    let making = Making::at(from);
    let small = |predicate| sigstore.attest(&signer, file, digest, predicate, &making);
    // Statements with as many small values as there is room for.
    let mut large = statement(file, digest, Predicate::Slsa);
    large["predicate"]["materials"] = vec![json!({"a": [1, {}]}); 3_900].into();
    let large = sigstore.attest_statement(&signer, large.to_string().as_bytes(), &making);
    let mut other = statement(file, digest, Predicate::Publish);
    other["more"] = vec![json!({"a": [1, {}]}); 3_900].into();
    let other = sigstore.attest_statement(&signer, other.to_string().as_bytes(), &making);
    // Checkpoints with as many signatures by the log's key, by its hint, as there may be, and the
    // one that holds at the end.
    let laborious = |attestation: &Value| {
        let mut attestation = attestation.clone();
        let text = attestation
            .pointer_mut(
                "/verification_material/transparency_entries/0/inclusionProof/checkpoint/envelope",
            )
            .unwrap();
        let whole = text.as_str().unwrap().to_owned();
        let (note, signature) = whole.split_once("\n\n").unwrap();
        let (name, encoded) = signature.trim_end().rsplit_once(' ').unwrap();
        let mut wrong = STANDARD.decode(encoded).unwrap();
        *wrong.last_mut().unwrap() ^= 1;
        let wrong = format!("{name} {}\n", STANDARD.encode(wrong)).repeat(15);
        *text = format!("{note}\n\n{wrong}{signature}").into();
        attestation
    };
    let list = |attestations: &[Value]| serde_json::to_vec(attestations).unwrap();
    let fill = |unit: &str, end: &str| {
        let mut text = "[".to_owned();
        while text.len() + unit.len() + end.len() < MAX_ATTESTATIONS_LEN {
            text.push_str(unit);
        }
        text.push_str(end);
        text.into_bytes()
    };
    vec![
        (
            "two in order",
            list(&[small(Predicate::Publish), small(Predicate::Slsa)]),
        ),
        (
            "two of the largest statements",
            list(&[other.clone(), large.clone()]),
        ),
        (
            "the largest statements, and checkpoints with 16 signatures",
            list(&[laborious(&other), laborious(&large)]),
        ),
        ("as many empty objects as fit", fill("{},", "{}]")),
        ("as many empty lists as fit", fill("[],", "[]]")),
    ]
}
