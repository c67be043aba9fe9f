//! TUF §4.2: keys, their ids, and what counts as a signature.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wheelmark_tuf::{
    Key, KeyId, RoleKeys, Signature, TimestampMetadata, VerifyError, assemble, verify,
};

use crate::client::{check, explain};
use crate::repo::{Repo, Signer, pem_key};

fn keys<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> BTreeMap<KeyId, Key> {
    signers
        .into_iter()
        .map(|s| (s.key().keyid().clone(), s.key().clone()))
        .collect()
}

/// Signs a timestamp with `signing` and verifies it for a role of `listed`.
fn signed_by(signing: &[&Signer], listed: &[&Signer], threshold: u32) -> Result<(), VerifyError> {
    let canonical = Repo::new().canonical("timestamp");
    let signatures: Vec<_> = signing.iter().map(|s| s.sign(&canonical)).collect();
    let role = RoleKeys::new(listed.iter().map(|s| s.key()), threshold);
    let keys = keys(listed.iter().copied());
    verify::<TimestampMetadata>(&assemble(&canonical, &signatures), &keys, &role).map(drop)
}

#[test]
fn every_scheme_signs_and_every_other_byte_breaks_it() {
    for signer in [
        Signer::new("ed25519"),
        Signer::ecdsa("ecdsa"),
        Signer::ecdsa("ecdsa-sha2-nistp256"),
        Signer::rsa(),
    ] {
        let scheme = signer.key().to_value()["scheme"].clone();
        let good = signer.sign(b"message").sig;
        assert!(signer.key().verify(b"message", &good).is_ok(), "{scheme}");
        assert!(signer.key().verify(b"massage", &good).is_err(), "{scheme}");
        assert!(signer.key().verify(b"message", b"").is_err(), "{scheme}");
        for i in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[i] ^= 1;
            assert!(
                signer.key().verify(b"message", &bad).is_err(),
                "{scheme}, byte {i}"
            );
        }
        signed_by(&[&signer], &[&signer], 1).unwrap();
    }
}

#[test]
fn the_id_is_the_hash_of_the_canonical_key() {
    let id = |key: Value| Key::from_value(key).unwrap().keyid().to_string();
    // Computed with the reference implementation (securesystemslib 1.4).
    let plain = json!({
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": "edcd0a32a07dce33f7c7873aaffbff36d20ea30787574ead335eefd337e4dacd"},
    });
    assert_eq!(
        id(plain.clone()),
        "2345a90ad8d76f3677f9ad6695b0ba0b5c7b7fbf27fb0ed35fbdf7b71264a679"
    );
    let mut more = plain.clone();
    more["x-owner"] = json!("@someone");
    assert_ne!(id(more), id(plain));
}

#[test]
fn a_key_under_another_id_does_not_count() {
    let (signer, other) = (Signer::new("a"), Signer::new("b"));
    let canonical = Repo::new().canonical("timestamp");
    // `b`'s id for `a`'s key, and `a`'s signature in `b`'s name.
    let keyid = other.key().keyid().clone();
    let signature = Signature {
        keyid: keyid.clone(),
        ..signer.sign(&canonical)
    };
    let role = RoleKeys::new([other.key()], 1);
    let keys = BTreeMap::from([(keyid, signer.key().clone())]);
    let error =
        verify::<TimestampMetadata>(&assemble(&canonical, &[signature]), &keys, &role).unwrap_err();
    assert_eq!(explain(&error), "signed by 0 of the 1 keys that are needed");
}

#[test]
fn a_file_with_a_key_under_another_id_is_not_spoiled() {
    check(
        |repo| {
            let stranger = Signer::new("stranger").key().clone();
            repo.root
                .keys
                .insert(KeyId::from("not its id".to_owned()), stranger);
            repo.publish("root timestamp");
        },
        "ok",
        [2, 2, 1, 1],
    );
}

#[test]
fn one_key_counts_once_whatever_its_ids() {
    let (a, b) = (Signer::new("a"), Signer::new("b"));
    let a_again = Signer::new("a").with_field("x-owner", json!("someone else"));
    assert_ne!(a.key().keyid(), a_again.key().keyid());
    let short = "signed by 1 of the 2 keys that are needed";
    assert!(signed_by(&[&a, &b], &[&a, &b], 2).is_ok());
    assert_eq!(explain(&signed_by(&[&a], &[&a, &b], 2).unwrap_err()), short);
    assert_eq!(
        explain(&signed_by(&[&a, &a_again], &[&a, &a_again], 2).unwrap_err()),
        short
    );
    assert!(signed_by(&[&a, &a_again, &b], &[&a, &a_again, &b], 2).is_ok());

    // PEM has many spellings of one key.
    let e = Signer::ecdsa("ecdsa");
    let mut object = e.key().to_value();
    let pem = object["keyval"]["public"]
        .as_str()
        .unwrap()
        .replace('\n', "\r\n");
    object["keyval"]["public"] = json!(pem);
    let canonical = Repo::new().canonical("timestamp");
    let respelled = Key::from_value(object).unwrap();
    assert_ne!(respelled.keyid(), e.key().keyid());
    let signature = e.sign(&canonical);
    let twice = [
        signature.clone(),
        Signature {
            keyid: respelled.keyid().clone(),
            sig: signature.sig,
        },
    ];
    let role = RoleKeys::new([e.key(), &respelled], 2);
    let mut keys = keys([&e]);
    keys.insert(respelled.keyid().clone(), respelled);
    let error =
        verify::<TimestampMetadata>(&assemble(&canonical, &twice), &keys, &role).unwrap_err();
    assert_eq!(explain(&error), short);
}

#[test]
fn two_signatures_in_one_name_spoil_the_file() {
    let id = Signer::new("timestamp").key().keyid().to_string();
    check(
        |repo| {
            repo.publish("timestamp");
            repo.tamper("timestamp", |file| {
                let signature = file["signatures"][0].clone();
                file["signatures"].as_array_mut().unwrap().push(signature);
            });
        },
        &format!("timestamp is refused: the file holds two signatures by the key {id}"),
        [1, 1, 1, 1],
    );
}

#[test]
fn bad_signatures_beside_good_ones_do_no_harm() {
    let bad = [
        json!({"keyid": Signer::new("more").key().keyid().as_str(), "sig": "00"}),
        json!({"keyid": Signer::new("more").key().keyid().as_str(), "sig": ""}),
        json!({"keyid": Signer::new("more").key().keyid().as_str(), "sig": "not hex"}),
        json!({"keyid": Signer::new("stranger").key().keyid().as_str(), "sig": "00"}),
        json!({"keyid": "", "sig": "", "x-note": {"a": 1}}),
    ];
    for signature in bad {
        check(
            |repo| {
                repo.rotate(
                    "timestamp",
                    ["timestamp", "more"].map(Signer::new).into(),
                    1,
                );
                repo.signers.get_mut("timestamp").unwrap().pop();
                repo.publish("root timestamp");
                repo.tamper("timestamp", |file| {
                    file["signatures"]
                        .as_array_mut()
                        .unwrap()
                        .insert(0, signature);
                });
            },
            "ok",
            [2, 2, 0, 1].map(|version| if version == 0 { 1 } else { version }),
        );
    }
}

#[test]
fn a_signature_counts_only_for_keys_of_the_role() {
    let (a, b) = (Signer::new("a"), Signer::new("b"));
    let canonical = Repo::new().canonical("timestamp");
    // `b` is known, and not the role's.
    let role = RoleKeys::new([a.key()], 1);
    let file = assemble(&canonical, &[b.sign(&canonical)]);
    assert!(verify::<TimestampMetadata>(&file, &keys([&a, &b]), &role).is_err());
    // `a` is the role's, and not known.
    let file = assemble(&canonical, &[a.sign(&canonical)]);
    assert!(verify::<TimestampMetadata>(&file, &keys([&b]), &role).is_err());
}

#[test]
fn a_threshold_of_zero_is_never_met() {
    let a = Signer::new("a");
    let error = signed_by(&[&a], &[&a], 0).unwrap_err();
    assert!(matches!(error, VerifyError::ZeroThreshold));
}

#[test]
fn keys_that_cannot_be_used_verify_nothing_and_spoil_nothing() {
    let ed25519 = |public: &str| json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}});
    let p384 = {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        pem_key("ecdsa", "ecdsa-sha2-nistp256", der.as_ref()).to_value()
    };
    for object in [
        json!({"keytype": "sphincs", "scheme": "sphincs-shake", "keyval": {"public": "00"}}),
        json!({"keytype": "ed25519", "scheme": "ed25519ph", "keyval": {"public": "00"}}),
        json!({"keytype": "other", "scheme": "other", "keyval": {"uri": "x"}}),
        ed25519(""),
        ed25519("zz"),
        ed25519(&"00".repeat(31)),
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": 7}}),
        json!({"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": {"public": "-----BEGIN PUBLIC KEY-----"}}),
        json!({"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": ""}}),
        pem_key("rsa", "rsassa-pss-sha256", b"not der").to_value(),
        p384,
    ] {
        let key = Key::from_value(object.clone()).unwrap();
        assert!(key.verify(b"", b"").is_err(), "{object}");
        assert!(key.verify(b"message", &[0; 64]).is_err(), "{object}");
        check(
            |repo| {
                repo.root.roles.timestamp.keyids.push(key.keyid().clone());
                repo.root.keys.insert(key.keyid().clone(), key);
                repo.publish("root timestamp");
            },
            "ok",
            [2, 2, 1, 1],
        );
    }
    for object in [
        json!({}),
        json!([]),
        json!({"keytype": "ed25519", "scheme": 1, "keyval": {}}),
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": ""}),
    ] {
        assert!(Key::from_value(object.clone()).is_err(), "{object}");
    }
}
