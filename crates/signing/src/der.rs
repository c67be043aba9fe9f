//! The little DER (ITU-T X.690) that public keys and ECDSA signatures are written in.

/// Length of a number modulo the order of P-256, in bytes.
pub(crate) const P256_SCALAR_LEN: usize = 32;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// `AlgorithmIdentifier` of a point on P-256 (RFC 5480, §2.1.1).
const P256_ALGORITHM: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];

/// `AlgorithmIdentifier` of an RSA key (RFC 8017, §A.1).
pub(crate) const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// `SubjectPublicKeyInfo` up to the key, for Ed25519 (RFC 8410, §4).
pub(crate) const ED25519_INFO_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// `Ecdsa-Sig-Value` (RFC 3279, §2.2.3) of two unsigned numbers, big-endian and of any length;
/// none if one of them is zero or longer than 32 bytes.
pub(crate) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let number = |digits: &[u8]| {
        let significant = without_leading_zeros(digits);
        let fits = !significant.is_empty() && significant.len() <= P256_SCALAR_LEN;
        fits.then(|| unsigned(significant))
    };
    Some(element(SEQUENCE, &[number(r)?, number(s)?].concat()))
}

/// `SubjectPublicKeyInfo` of an uncompressed point on P-256.
pub(crate) fn p256_info(point: &[u8; 65]) -> Vec<u8> {
    key_info(&P256_ALGORITHM, point)
}

/// `SubjectPublicKeyInfo` of an RSA key.
pub(crate) fn rsa_info(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [modulus, exponent].map(|number| unsigned(without_leading_zeros(number)));
    key_info(&RSA_ALGORITHM, &element(SEQUENCE, &numbers.concat()))
}

fn key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    // A string of bits that are whole bytes.
    let bits = element(BIT_STRING, &[&[0], key].concat());
    element(SEQUENCE, &[algorithm, &bits].concat())
}

fn unsigned(significant: &[u8]) -> Vec<u8> {
    match significant.first() {
        Some(first) if first & 0x80 == 0 => element(INTEGER, significant),
        _ => element(INTEGER, &[&[0], significant].concat()),
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|digit| **digit == 0).count();
    &number[zeros..]
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let length = without_leading_zeros(&length);
    let mut written = vec![tag];
    match length {
        [] => written.push(0),
        [short] if *short < 0x80 => written.push(*short),
        long => {
            written.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            written.extend_from_slice(long);
        }
    }
    written.extend_from_slice(contents);
    written
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_der_wants_them() {
        let small = ecdsa_signature(&[0, 0, 5], &[0x80]).unwrap();
        assert_eq!(small, [0x30, 7, 2, 1, 5, 2, 2, 0, 0x80]);
        let long = ecdsa_signature(&[0xff; 32], &[0x7f; 32]).unwrap();
        assert_eq!(long.len(), 2 + 35 + 34);
        assert!(ecdsa_signature(&[0; 32], &[1]).is_none(), "zero");
        assert!(ecdsa_signature(&[], &[1]).is_none(), "nothing");
        assert!(ecdsa_signature(&[1; 33], &[1]).is_none(), "too long");
        assert_eq!(
            ecdsa_signature(&[&[0], [1_u8; 32].as_slice()].concat(), &[1]),
            ecdsa_signature(&[1; 32], &[1])
        );
    }

    #[test]
    fn lengths_of_one_two_and_three_bytes() {
        for (length, head) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (256, vec![4, 0x82, 1, 0]),
        ] {
            let written = element(4, &vec![7; length]);
            assert!(written.starts_with(&head), "{length}");
            assert_eq!(written.len(), head.len() + length);
        }
    }
}
