//! The one way in which an RSA key is written that we accept.
//!
//! One modulus and one exponent can be put into a `SubjectPublicKeyInfo` in many ways: lengths with
//! zeros in front, parameters left out or of another algorithm, bytes behind the end, or the bare
//! `RSAPublicKey` in its place. Libraries read most of them. A threshold counts keys, so each key has
//! to have one spelling; the one that everybody writes is that of RFC 8017 in DER.

/// `AlgorithmIdentifier`: `rsaEncryption`, with the `NULL` that RFC 8017 A.1 asks for.
const ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// Whether this is the DER of an RSA key's `SubjectPublicKeyInfo`, as everybody writes it.
pub(super) fn is_canonical(info: &[u8]) -> bool {
    read(info).is_some()
}

fn read(info: &[u8]) -> Option<()> {
    let info = alone(SEQUENCE, info)?;
    let bits = alone(BIT_STRING, info.strip_prefix(&ALGORITHM)?)?;
    // The first byte says how many bits of the last one are not used.
    let key = alone(SEQUENCE, bits.strip_prefix(&[0])?)?;
    let (modulus, rest) = element(INTEGER, key)?;
    let exponent = alone(INTEGER, rest)?;
    (is_positive(modulus) && is_positive(exponent)).then_some(())
}

/// The contents of the one element that is there.
fn alone(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (contents, rest) = element(tag, bytes)?;
    rest.is_empty().then_some(contents)
}

/// The contents of the element that comes first, and what stands behind it. Its length is written
/// with as few bytes as possible (X.690 10.1).
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        ..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        // No RSA key of up to 8192 bits is as long as that.
        _ => return None,
    };
    let shortest = match length {
        ..=0x7f => first < 0x80,
        0x80..=0xff => first == 0x81,
        _ => first == 0x82,
    };
    (found == tag && shortest).then_some(())?;
    rest.split_at_checked(length)
}

/// Whether an integer is above zero and has no byte too many in front (X.690 8.3.2).
fn is_positive(integer: &[u8]) -> bool {
    match integer {
        [] | [0] => false,
        [0, second, ..] => *second >= 0x80,
        [first, ..] => *first < 0x80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let length = contents.len();
        let mut bytes = vec![tag];
        match length {
            ..=0x7f => bytes.push(length as u8),
            0x80..=0xff => bytes.extend([0x81, length as u8]),
            _ => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        bytes.extend(contents);
        bytes
    }

    fn key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let both = [der(INTEGER, modulus), der(INTEGER, exponent)].concat();
        der(SEQUENCE, &both)
    }

    fn info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
        let bits = der(BIT_STRING, &[&[0], key].concat());
        der(SEQUENCE, &[algorithm, &bits].concat())
    }

    #[test]
    fn a_key_has_one_spelling() {
        let modulus = [&[0][..], &[0xc3; 256]].concat();
        let exponent = [1, 0, 1];
        let right = info(&ALGORITHM, &key(&modulus, &exponent));
        assert!(is_canonical(&right));

        let no_null = der(SEQUENCE, &ALGORITHM[2..13]);
        let mut behind = right.clone();
        behind.push(0);
        let mut indefinite = right.clone();
        indefinite[1] = 0x83;
        indefinite.insert(2, 0);
        let mut unused = right.clone();
        let at = right.len() - key(&modulus, &exponent).len() - 1;
        assert_eq!(unused[at], 0);
        unused[at] = 1;
        let pss = [0x0d, 0x01, 0x01, 0x0a];
        let mut other = ALGORITHM.to_vec();
        other[9..13].copy_from_slice(&pss);
        for (what, wrong) in [
            ("the bare key", key(&modulus, &exponent)),
            ("without NULL", info(&no_null, &key(&modulus, &exponent))),
            (
                "of another algorithm",
                info(&other, &key(&modulus, &exponent)),
            ),
            ("with a byte behind it", behind),
            ("with a long length", indefinite),
            ("with unused bits", unused),
            (
                "a zero in front",
                info(&ALGORITHM, &key(&[&[0][..], &modulus].concat(), &exponent)),
            ),
            (
                "a zero before the exponent",
                info(&ALGORITHM, &key(&modulus, &[0, 1, 0, 1])),
            ),
            ("negative", info(&ALGORITHM, &key(&modulus[1..], &exponent))),
            (
                "a third integer",
                info(
                    &ALGORITHM,
                    &der(
                        SEQUENCE,
                        &[
                            der(INTEGER, &modulus),
                            der(INTEGER, &exponent),
                            der(INTEGER, &[1]),
                        ]
                        .concat(),
                    ),
                ),
            ),
            (
                "an exponent of zero",
                info(&ALGORITHM, &key(&modulus, &[0])),
            ),
            ("nothing", Vec::new()),
        ] {
            assert!(!is_canonical(&wrong), "{what}");
        }
        for length in 0..right.len() {
            assert!(!is_canonical(&right[..length]), "{length} bytes");
        }
    }
}
