use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
    RSA_PSS_SHA256, RsaKeyPair,
};

use super::*;

const MESSAGE: &[u8] = b"what is signed";

fn point(pair: &EcdsaKeyPair) -> [u8; 65] {
    pair.public_key().as_ref().try_into().unwrap()
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::generate(algorithm).unwrap()
}

fn signed(pair: &EcdsaKeyPair) -> Vec<u8> {
    let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
    signature.as_ref().to_vec()
}

#[test]
fn ecdsa_is_accepted_in_both_of_its_forms_and_kept_in_one() {
    for algorithm in [
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &ECDSA_P256_SHA256_FIXED_SIGNING,
    ] {
        let pair = ecdsa(algorithm);
        let public = PublicKey::p256(&point(&pair)).unwrap();
        assert_eq!(public.algorithm(), Algorithm::EcdsaP256);
        for _ in 0..20 {
            let signature = public.accept(MESSAGE, &signed(&pair)).unwrap();
            assert_eq!(&signature.keyid, public.key().keyid());
            public.key().verify(MESSAGE, &signature.sig).unwrap();
            assert_eq!(signature.sig[0], 0x30, "der");
        }
    }
}

#[test]
fn what_does_not_verify_is_no_signature() {
    let pair = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let public = PublicKey::p256(&point(&pair)).unwrap();
    let good = signed(&pair);
    let mut changed = good.clone();
    changed[40] ^= 1;
    let other = signed(&ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING));
    for answer in [changed, other, good[..63].to_vec(), vec![0; 64], Vec::new()] {
        let refused = public.accept(MESSAGE, &answer);
        assert!(matches!(refused, Err(SignError::Wrong { .. })));
    }
    let refused = public.accept(b"something else", &good);
    assert!(matches!(refused, Err(SignError::Wrong { .. })));
}

#[test]
fn an_rsa_key_from_its_numbers_is_the_one_in_pem() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // `RSAPublicKey` (RFC 8017, §A.1.1) with 2048 bits: two numbers, of 257 bytes and of 3.
    let public = pair.public_key().as_ref();
    assert_eq!(public.len(), 270);
    let (modulus, exponent) = (&public[9..265], &public[267..]);
    let key = PublicKey::rsa(modulus, exponent).unwrap();
    // Tokens may write zeros in front.
    let padded = PublicKey::rsa(&[&[0, 0], modulus].concat(), exponent).unwrap();
    assert_eq!(key, padded);
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PSS_SHA256,
        &SystemRandom::new(),
        MESSAGE,
        &mut signature,
    )
    .unwrap();
    assert!(key.accept(MESSAGE, &signature).is_ok());
    let text = key.key().to_value()["keyval"]["public"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(PublicKey::read(&text).unwrap(), key);
    assert!(text.lines().all(|line| line.len() <= PEM_LINE));
}

#[test]
fn a_public_key_is_read_as_openssl_and_as_metadata_write_it() {
    // `openssl genpkey -algorithm ed25519 | openssl pkey -pubout`
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
               -----END PUBLIC KEY-----\n";
    let key = PublicKey::read(pem).unwrap();
    assert_eq!(key.algorithm(), Algorithm::Ed25519);
    let json = key.key().to_value().to_string();
    assert!(json.contains("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
    assert_eq!(PublicKey::read(&json).unwrap(), key);
    // What else an object has is not taken over: it would be published, and be another id.
    let more = r#"{"keyid":"x","keytype":"ed25519","scheme":"ed25519","keyval":{"private":"5ec4e7",
        "public":"D75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}}"#;
    assert_eq!(PublicKey::read(more).unwrap(), key);
}

#[test]
fn what_metadata_is_not_signed_with_is_refused() {
    let curve = ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING);
    let info = [
        &hex::decode("3076301006072a8648ce3d020106052b81040022036200").unwrap(),
        curve.public_key().as_ref(),
    ]
    .concat();
    let truncated = &pem(&ED25519_INFO_PREFIX);
    for text in [&pem(&info), truncated, &pem(&[]), &pem(&[4; 65])] {
        assert_eq!(
            PublicKey::read(text),
            Err(PublicKeyError::Algorithm),
            "{text}"
        );
    }
    let mut off = point(&ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING));
    off[64] ^= 1;
    assert_eq!(PublicKey::p256(&off), Err(PublicKeyError::Algorithm));
    let scheme = r#"{"keytype":"rsa","scheme":"rsa-pkcs1v15-sha256","keyval":{"public":""}}"#;
    assert_eq!(PublicKey::read(scheme), Err(PublicKeyError::Algorithm));
    let empty = r#"{"keytype":"ed25519","scheme":"ed25519","keyval":{"public":"00"}}"#;
    assert_eq!(PublicKey::read(empty), Err(PublicKeyError::Algorithm));
    for text in ["", "{", "{}", "key", "-----BEGIN PUBLIC KEY-----", PEM_END] {
        assert_eq!(PublicKey::read(text), Err(PublicKeyError::Form), "{text}");
    }
}
