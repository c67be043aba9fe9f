//! What a certificate is called.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// The fingerprint of a certificate, or of one of its keys: 20 bytes for those of version 4, which
/// nearly all are, 32 for those of version 6 (RFC 9580, section 5.5.4).
///
/// Version 4 hashes with SHA-1. That somebody makes two certificates of their own with one
/// fingerprint gains them nothing here: what counts is the certificate that was registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Vec<u8>);

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 40 or 64 hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// That of a public key, by the body of its packet; `None` for versions that nobody should use
    /// any more, or that are not known.
    pub(super) fn of_key(body: &[u8]) -> Option<Self> {
        let algorithm = match body.first()? {
            4 => &SHA1_FOR_LEGACY_USE_ONLY,
            6 => &SHA256,
            _ => return None,
        };
        let mut hash = Context::new(algorithm);
        if body[0] == 4 {
            hash.update(&[0x99]);
            hash.update(&u16::try_from(body.len()).ok()?.to_be_bytes());
        } else {
            hash.update(&[0x9b]);
            hash.update(&u32::try_from(body.len()).ok()?.to_be_bytes());
        }
        hash.update(body);
        Some(Self(hash.finish().as_ref().to_vec()))
    }

    #[cfg(feature = "openpgp")]
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads it as people write it: spaces between the digits, small letters and `0x` are taken.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let text = text.trim();
        let text = text.strip_prefix("0x").unwrap_or(text);
        let digits = text.chars().filter(|digit| *digit != ' ');
        let digits: Option<Vec<u8>> = digits
            .map(|digit| digit.to_digit(16).map(|value| value as u8))
            .collect();
        match digits {
            Some(digits) if matches!(digits.len(), 40 | 64) => Ok(Self(
                digits
                    .chunks(2)
                    .map(|pair| pair[0] << 4 | pair[1])
                    .collect(),
            )),
            _ => Err(FingerprintError),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_write_it() {
        let plain = "0123456789ABCDEF0123456789ABCDEF01234567";
        for text in [
            plain,
            "0123 4567 89AB CDEF 0123  4567 89ab cdef 0123 4567",
            "0x0123456789abcdef0123456789abcdef01234567",
        ] {
            let read: Fingerprint = text.parse().unwrap();
            assert_eq!(read.to_string(), plain, "{text}");
        }
        for text in ["", "0123", &plain[1..], &format!("{}x", &plain[1..])] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }

    #[test]
    fn versions_that_are_not_known_have_none() {
        for body in [&[] as &[u8], &[2], &[3, 1, 2], &[5, 0], &[9]] {
            assert_eq!(Fingerprint::of_key(body), None, "{body:?}");
        }
    }
}
