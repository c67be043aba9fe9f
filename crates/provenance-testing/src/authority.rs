//! The authority (Fulcio) and its certificate log.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    date_time_ymd,
};

use crate::der::{octets, to_be_signed, utf8};
use crate::key::{Key, sha256};
use crate::signer::Signer;
use crate::sigstore::Making;

/// Where Fulcio's extensions are.
const FULCIO: [u64; 8] = [1, 3, 6, 1, 4, 1, 57264, 1];
/// The list of what certificate logs say (RFC 6962, section 3.3).
const SCTS: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// An authority's own certificate.
pub(crate) fn root(key: &Key, from: Timestamp) -> Vec<u8> {
    let params = root_params(from);
    params
        .self_signed(&key.pair)
        .expect("a certificate")
        .der()
        .to_vec()
}

fn root_params(from: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("a private authority, for tests");
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(from);
    params.not_after = epoch + since_1970(from) + Duration::from_secs(10 * 365 * 24 * 3600);
    params
}

/// A certificate for whoever asks, which the certificate log has recorded unless it is to be
/// without.
pub(crate) fn certify(
    authority: &Key,
    authority_from: Timestamp,
    log: &Key,
    signer: &Signer,
    key: &impl PublicKeyData,
    making: &Making,
) -> Vec<u8> {
    let authority_params = root_params(authority_from);
    let issuer = Issuer::from_params(&authority_params, &authority.pair);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let serial = sha256(&key.subject_public_key_info());
    params.serial_number = Some(SerialNumber::from_slice(&[&[1], &serial[..15]].concat()));
    params.subject_alt_names = vec![if signer.is_email() {
        SanType::Rfc822Name(signer.subject().try_into().expect("an address"))
    } else {
        SanType::URI(signer.subject().try_into().expect("a URI"))
    }];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.use_authority_key_identifier_extension = true;
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(making.certified);
    params.not_after = epoch + since_1970(making.certified) + making.lifetime;
    params.custom_extensions = extensions(signer);
    let signed = |params: &CertificateParams| {
        params
            .signed_by(key, &issuer)
            .expect("a certificate")
            .der()
            .to_vec()
    };
    let recorded = signed(&params);
    if !making.recorded {
        return recorded;
    }
    let timestamp = recording(authority, log, to_be_signed(&recorded), making.certified);
    params
        .custom_extensions
        .push(CustomExtension::from_oid_content(&SCTS, timestamp));
    signed(&params)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::OrganizationName, "wheelmark tests");
    named.push(DnType::CommonName, name);
    named
}

fn since_1970(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.as_second()).expect("a time after 1970"))
}

/// What the issuer said, as extensions.
fn extensions(signer: &Signer) -> Vec<CustomExtension> {
    let numbered = |number: u64, content: Vec<u8>| {
        let oid: Vec<u64> = FULCIO.into_iter().chain([number]).collect();
        CustomExtension::from_oid_content(&oid, content)
    };
    let mut extensions = Vec::new();
    if let Some(issuer) = signer.issuer() {
        extensions.push(numbered(1, issuer.as_bytes().to_vec()));
        extensions.push(numbered(8, utf8(issuer)));
    }
    for (number, value) in signer.claims() {
        extensions.push(numbered(*number, utf8(value)));
    }
    extensions
}

/// The certificate log's word that it has recorded this (RFC 6962, sections 3.2 and 3.3): a list
/// of one.
fn recording(authority: &Key, log: &Key, to_be_signed: &[u8], when: Timestamp) -> Vec<u8> {
    let milliseconds = u64::try_from(when.as_millisecond()).expect("a time after 1970");
    let length = u32::try_from(to_be_signed.len()).expect("a short certificate");
    let mut said = vec![0, 0]; // version 1, of a certificate
    said.extend(milliseconds.to_be_bytes());
    said.extend([0, 1]); // before it was issued
    said.extend(sha256(&authority.public()));
    said.extend(&length.to_be_bytes()[1..]);
    said.extend(to_be_signed);
    said.extend([0, 0]); // without extensions
    let signature = log.sign(&said);

    let short = |bytes: &[u8]| u16::try_from(bytes.len()).expect("few bytes").to_be_bytes();
    let mut timestamp = vec![0];
    timestamp.extend(log.id());
    timestamp.extend(milliseconds.to_be_bytes());
    timestamp.extend([0, 0]);
    timestamp.extend([4, 3]); // SHA-256, ECDSA
    timestamp.extend(short(&signature));
    timestamp.extend(&signature);
    let one = [&short(&timestamp)[..], &timestamp].concat();
    octets(&[&short(&one)[..], &one].concat())
}
