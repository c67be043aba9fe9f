//! Everything about an attestation is changed, one thing at a time, and each time it is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{Predicate, TrustedRoots};
use wheelmark_provenance_testing::{Signer, provenance};

use crate::subjects::{REAL, Subject, making};

/// A change, given the attestation of another file to take parts from.
type Change = fn(&mut Subject, &mut Subject);

/// Every kind of change, by name, with what its refusal says, or one of two things that it says.
const KINDS: &[(&str, &str, Change)] = &[
    ("the file has another name", "and not about", |it, _| {
        let other = it.file.as_str().replacen("-20", "-19", 1);
        let other = other.replacen("-0.0.19", "-0.0.20", 1);
        let other = other.replacen("-1.0", "-1.1", 1);
        it.file = other.parse().unwrap();
    }),
    (
        "the file has other bytes",
        "and this one has 0101",
        |it, _| {
            it.sha256 = Sha256Hex([1; 32]);
        },
    ),
    (
        "it is looked at before it was made",
        "the log recorded it at",
        |it, _| {
            let integrated = it.entry()["integratedTime"].as_str().unwrap().parse();
            it.now = jiff::Timestamp::from_second(integrated.unwrap()).unwrap()
                - SignedDuration::from_secs(1);
        },
    ),
    (
        "nobody is believed",
        "which no trusted root knows",
        |it, _| it.roots = TrustedRoots::empty(),
    ),
    (
        "the statement is of another file",
        "and not about",
        |it, other| {
            it.attestation()["envelope"]["statement"] =
                other.attestation()["envelope"]["statement"].take();
        },
    ),
    (
        "the statement names another file",
        "it is about other-1.0.tar.gz",
        |it, _| {
            restate(it, |said| {
                said["subject"][0]["name"] = "other-1.0.tar.gz".into()
            });
        },
    ),
    (
        "the statement has another digest",
        "SHA-256 0000",
        |it, _| {
            restate(it, |said| {
                said["subject"][0]["digest"]["sha256"] = "00".repeat(32).into();
            });
        },
    ),
    (
        "the statement has a second subject",
        "it is about 2 files",
        |it, _| {
            restate(it, |said| {
                let one = said["subject"][0].clone();
                said["subject"].as_array_mut().unwrap().push(one);
            });
        },
    ),
    (
        "the statement has another predicate",
        "the signature does not hold",
        |it, _| {
            restate(it, |said| {
                said["predicateType"] = "https://slsa.dev/provenance/v1".into();
            });
        },
    ),
    (
        "the statement says more",
        "the signature does not hold",
        |it, _| {
            restate(it, |said| said["note"] = "true all the same".into());
        },
    ),
    (
        "the statement is spaced otherwise",
        "the signature does not hold",
        |it, _| {
            let text = decoded(&it.attestation()["envelope"]["statement"]);
            let said: Value = serde_json::from_slice(&text).unwrap();
            it.attestation()["envelope"]["statement"] = STANDARD.encode(format!("{said:#}")).into();
        },
    ),
    (
        "the signature is another's",
        "the signature does not hold",
        |it, other| {
            it.attestation()["envelope"]["signature"] =
                other.attestation()["envelope"]["signature"].take();
        },
    ),
    (
        "the signature is empty",
        "the signature does not hold",
        |it, _| {
            it.attestation()["envelope"]["signature"] = "".into();
        },
    ),
    (
        "the signature is gone",
        "missing field `signature`",
        |it, _| {
            remove(&mut it.attestation()["envelope"], "signature");
        },
    ),
    (
        "the certificate is another's",
        "the signature does not hold|the certificate does not hold",
        |it, other| {
            it.attestation()["verification_material"]["certificate"] =
                other.attestation()["verification_material"]["certificate"].take();
        },
    ),
    (
        "the certificate is cut short",
        "malformed certificate",
        |it, _| {
            let whole = decoded(&it.attestation()["verification_material"]["certificate"]);
            it.attestation()["verification_material"]["certificate"] =
                STANDARD.encode(&whole[..whole.len() - 1]).into();
        },
    ),
    (
        "something follows the certificate",
        "malformed certificate",
        |it, _| {
            let mut whole = decoded(&it.attestation()["verification_material"]["certificate"]);
            whole.push(0);
            it.attestation()["verification_material"]["certificate"] =
                STANDARD.encode(whole).into();
        },
    ),
    (
        "signature and certificate are another's",
        "the signature does not hold",
        |it, other| {
            let other = other.attestation();
            it.attestation()["envelope"]["signature"] = other["envelope"]["signature"].take();
            it.attestation()["verification_material"] = other["verification_material"].take();
        },
    ),
    (
        "there is no log entry",
        "0 entries of a transparency log",
        |it, _| {
            it.attestation()["verification_material"]["transparency_entries"] = json!([]);
        },
    ),
    (
        "there are two log entries",
        "2 entries of a transparency log",
        |it, _| {
            let one = it.entry().clone();
            it.attestation()["verification_material"]["transparency_entries"] = json!([one, one]);
        },
    ),
    (
        "the log entry is another's",
        "does not match|the certificate does not hold",
        |it, other| {
            *it.entry() = other.entry().take();
        },
    ),
    (
        "the log entry has another number",
        "inclusion promise",
        |it, _| {
            let number: u64 = it.entry()["logIndex"].as_str().unwrap().parse().unwrap();
            it.entry()["logIndex"] = (number + 1).to_string().into();
        },
    ),
    (
        "the log entry is of a second later",
        "inclusion promise",
        |it, _| shift(it, 1),
    ),
    (
        "the log entry is of a year before",
        "inclusion promise",
        |it, _| shift(it, -31_536_000),
    ),
    (
        "the log entry is of another log",
        "which no trusted root knows",
        |it, _| {
            it.entry()["logId"]["keyId"] = STANDARD.encode([9; 32]).into();
        },
    ),
    (
        "the log entry is of another kind",
        "of the kind intoto/0.0.1",
        |it, _| {
            it.entry()["kindVersion"]["kind"] = "intoto".into();
        },
    ),
    (
        "the log entry is of another version",
        "of the kind dsse/0.0.2",
        |it, _| {
            it.entry()["kindVersion"]["version"] = "0.0.2".into();
        },
    ),
    (
        "the log's promise is another's",
        "inclusion promise",
        |it, other| {
            it.entry()["inclusionPromise"] = other.entry()["inclusionPromise"].take();
        },
    ),
    (
        "the log's promise is gone",
        "missing field `inclusionPromise`",
        |it, _| {
            remove(it.entry(), "inclusionPromise");
        },
    ),
    (
        "the log's time is gone",
        "missing field `integratedTime`",
        |it, _| {
            remove(it.entry(), "integratedTime");
        },
    ),
    (
        "the proof is gone",
        "missing field `inclusionProof`",
        |it, _| {
            remove(it.entry(), "inclusionProof");
        },
    ),
    ("the proof is another's", "inclusion proof", |it, other| {
        it.entry()["inclusionProof"] = other.entry()["inclusionProof"].take();
    }),
    (
        "the proof is of another leaf",
        "inclusion proof|out of range",
        |it, _| {
            let leaf = &mut it.entry()["inclusionProof"]["logIndex"];
            let number: u64 = leaf.as_str().unwrap().parse().unwrap();
            *leaf = (number ^ 1).to_string().into();
        },
    ),
    ("the proof has a hash more", "proof hashes, got", |it, _| {
        let hashes = it.entry()["inclusionProof"]["hashes"].as_array_mut();
        hashes.unwrap().push(STANDARD.encode([3; 32]).into());
    }),
    (
        "the proof has a hash less, or another root",
        "proof",
        |it, _| {
            let proof = &mut it.entry()["inclusionProof"];
            if proof["hashes"].as_array_mut().unwrap().pop().is_none() {
                proof["rootHash"] = STANDARD.encode([3; 32]).into();
            }
        },
    ),
    (
        "the proof has another root",
        "inclusion proof root hash does not match",
        |it, _| {
            it.entry()["inclusionProof"]["rootHash"] = STANDARD.encode([3; 32]).into();
        },
    ),
    (
        "the proof is of a larger tree",
        "of a tree of another size",
        |it, _| {
            let size = &mut it.entry()["inclusionProof"]["treeSize"];
            let number: u64 = size.as_str().unwrap().parse().unwrap();
            *size = (number + 1).to_string().into();
        },
    ),
    ("the checkpoint is another's", "checkpoint", |it, other| {
        it.entry()["inclusionProof"]["checkpoint"] =
            other.entry()["inclusionProof"]["checkpoint"].take();
    }),
    (
        "the checkpoint is of a larger tree",
        "checkpoint|proof hashes",
        |it, _| {
            let size = it.entry()["inclusionProof"]["treeSize"].take();
            let number: u64 = size.as_str().unwrap().parse().unwrap();
            let larger = (number + 1).to_string();
            edit_checkpoint(it, &format!("\n{number}\n"), &format!("\n{larger}\n"));
            it.entry()["inclusionProof"]["treeSize"] = larger.into();
        },
    ),
    (
        "the checkpoint has another origin",
        "No valid Rekor signature",
        |it, _| {
            edit_checkpoint(it, "rekor", "Rekor");
        },
    ),
    (
        "the checkpoint is not signed",
        "does not end with its last line",
        |it, _| {
            let text = checkpoint(it);
            let (note, _) = text.split_once("\n\n").unwrap();
            it.entry()["inclusionProof"]["checkpoint"]["envelope"] = format!("{note}\n\n").into();
        },
    ),
    (
        "the checkpoint has a second part",
        "something else among its signatures",
        |it, _| {
            let text = checkpoint(it);
            it.entry()["inclusionProof"]["checkpoint"]["envelope"] = format!("{text}\nx\n").into();
        },
    ),
    (
        "what was recorded is another's",
        "inclusion promise",
        |it, other| {
            it.entry()["canonicalizedBody"] = other.entry()["canonicalizedBody"].take();
        },
    ),
    (
        "what was recorded is spaced otherwise",
        "inclusion promise",
        |it, _| {
            let mut body = decoded(&it.entry()["canonicalizedBody"]);
            body.push(b' ');
            it.entry()["canonicalizedBody"] = STANDARD.encode(body).into();
        },
    ),
    (
        "the attestation is of version 2",
        "it is of version 2",
        |it, _| {
            it.attestation()["version"] = 2.into();
        },
    ),
    (
        "the provenance is of version 2",
        "it is of version 2",
        |it, _| {
            it.provenance["version"] = 2.into();
        },
    ),
    (
        "the attestation has a member more",
        "unknown field `trusted`",
        |it, _| {
            it.attestation()["trusted"] = true.into();
        },
    ),
    (
        "the log entry has a member more",
        "unknown field `trusted`",
        |it, _| {
            it.entry()["trusted"] = true.into();
        },
    ),
    (
        "there is no attestation",
        "there is no attestation in it",
        |it, _| {
            it.provenance["attestation_bundles"][0]["attestations"] = json!([]);
        },
    ),
    (
        "there is no publisher with attestations",
        "there is no attestation in it",
        |it, _| {
            it.provenance["attestation_bundles"] = json!([]);
        },
    ),
    (
        "the index states another repository or account",
        "and is not: its ",
        |it, _| {
            let stated = &mut it.provenance["attestation_bundles"][0]["publisher"];
            let member = if stated["email"].is_null() {
                "repository"
            } else {
                "email"
            };
            stated[member] = if member == "email" {
                "a@b.org"
            } else {
                "evil/x"
            }
            .into();
        },
    ),
    (
        "the index states another workflow or account",
        "and is not: its ",
        |it, _| {
            let stated = &mut it.provenance["attestation_bundles"][0]["publisher"];
            for (member, other) in [
                ("workflow", "x.yml"),
                ("workflow_filepath", "x.yml"),
                ("email", "x@project.iam.gserviceaccount.com"),
            ] {
                if !stated[member].is_null() {
                    stated[member] = other.into();
                }
            }
        },
    ),
    (
        "the index states another kind of publisher",
        "its issuer is",
        |it, _| {
            it.provenance["attestation_bundles"][0]["publisher"] = json!({"kind": "OIDC", "subject": "a@example.org", "issuer": "https://example.org"});
        },
    ),
    (
        "a second attestation does not hold",
        "attestation 2 proves nothing",
        |it, _| {
            let mut second = it.attestation().clone();
            second["envelope"]["signature"] = "AAAA".into();
            let attestations = &mut it.provenance["attestation_bundles"][0]["attestations"];
            attestations.as_array_mut().unwrap().push(second);
        },
    ),
];

/// The members that hold bytes: each is changed bit by bit as well.
const BYTES: [&str; 8] = [
    "/envelope/statement",
    "/envelope/signature",
    "/verification_material/certificate",
    "/verification_material/transparency_entries/0/canonicalizedBody",
    "/verification_material/transparency_entries/0/logId/keyId",
    "/verification_material/transparency_entries/0/inclusionPromise/signedEntryTimestamp",
    "/verification_material/transparency_entries/0/inclusionProof/rootHash",
    "/verification_material/transparency_entries/0/inclusionProof/hashes/0",
];

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn remove(value: &mut Value, member: &str) {
    value.as_object_mut().unwrap().remove(member).unwrap();
}

/// Writes the statement anew, and leaves the signature.
fn restate(it: &mut Subject, change: impl FnOnce(&mut Value)) {
    let statement = &mut it.attestation()["envelope"]["statement"];
    let mut said: Value = serde_json::from_slice(&decoded(statement)).unwrap();
    change(&mut said);
    *statement = STANDARD.encode(said.to_string()).into();
}

fn shift(it: &mut Subject, seconds: i64) {
    let time = &mut it.entry()["integratedTime"];
    let before: i64 = time.as_str().unwrap().parse().unwrap();
    *time = (before + seconds).to_string().into();
}

fn checkpoint(it: &mut Subject) -> String {
    let text = &it.entry()["inclusionProof"]["checkpoint"]["envelope"];
    text.as_str().unwrap().to_owned()
}

fn edit_checkpoint(it: &mut Subject, from: &str, to: &str) {
    let text = checkpoint(it);
    assert!(text.contains(from), "{text}");
    it.entry()["inclusionProof"]["checkpoint"]["envelope"] = text.replacen(from, to, 1).into();
}

/// What PyPI serves, and what was made for the test: each with a name, and with the attestation of
/// another file whose parts would be believed.
fn subjects() -> Vec<(String, Subject, Subject)> {
    let real = REAL.iter().enumerate().map(|(number, name)| {
        let other = REAL[usize::from(number == 0)];
        let other = Subject::real(other);
        ((*name).to_owned(), Subject::real(name), other)
    });
    let private = [
        "github:o/r@release.yml",
        "github:o/r@release.yml#pypi",
        "gitlab:g/p@.gitlab-ci.yml",
        "google:robot@project.iam.gserviceaccount.com",
    ];
    let private = private.map(|name| {
        let (subject, sigstore) = Subject::private(name);
        let publisher = name.parse().unwrap();
        let made = sigstore.attest(
            &Signer::of(&publisher, "refs/tags/v2.0"),
            "demo-2.0-py3-none-any.whl",
            &[8; 32],
            Predicate::Publish,
            &making(),
        );
        let other = Subject {
            provenance: provenance(&publisher, &[made]),
            ..subject.clone()
        };
        (name.to_owned(), subject, other)
    });
    real.chain(private).collect()
}

#[test]
fn every_kind_of_tampering_is_refused() {
    let subjects = subjects();
    let mut refused = 0;
    let mut wrong = Vec::new();
    for (name, subject, other) in &subjects {
        assert!(subject.verify().is_ok(), "{name}");
        for (kind, because, change) in KINDS {
            let mut changed = subject.clone();
            change(&mut changed, &mut other.clone());
            match changed.verify() {
                Err(said) if because.split('|').any(|words| said.contains(words)) => refused += 1,
                verdict => wrong.push(format!("{name}: {kind}: {verdict:?}")),
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    let (kinds, of) = (KINDS.len(), subjects.len());
    println!(
        "{kinds} kinds of tampering with {of} attestations: {refused} of {} refused",
        kinds * of
    );
    assert!(kinds >= 20);
    assert_eq!(refused, kinds * of);
}

#[test]
fn every_changed_bit_is_refused() {
    let mut refused = 0;
    for (name, subject, _) in subjects() {
        for (member, path) in BYTES.iter().enumerate() {
            let mut subject = subject.clone();
            let Some(value) = subject.attestation().pointer(path).cloned() else {
                // A tree of one leaf has no hashes.
                continue;
            };
            let whole = decoded(&value);
            for (at, step) in (0..whole.len()).step_by(23).zip(member..) {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << (step % 8);
                *subject.attestation().pointer_mut(path).unwrap() = STANDARD.encode(bytes).into();
                let verdict = subject.verify();
                assert!(verdict.is_err(), "{name}: {path} at {at}: {verdict:?}");
                refused += 1;
            }
        }
    }
    println!("{refused} of {refused} changed bits refused");
    assert!(refused > 1_000);
}
