//! Digests as pages write them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256Hex(pub [u8; 32]);

/// Digests of one file, by algorithm.
///
/// Names of algorithms are lower-case letters, digits, `-` and `_`; digests are lower-case
/// hexadecimal. Digests of algorithms whose length is known have that length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes(BTreeMap<String, String>);

/// Why digests cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// The name of an algorithm has a character that it cannot have, or is too long.
    #[error("`{}` is not the name of a hash algorithm", algorithm.escape_debug())]
    Algorithm {
        /// What was given.
        algorithm: String,
    },
    /// A digest is not lower-case hexadecimal, or not as long as the algorithm's digests are.
    #[error("`{}` is not a {algorithm} digest", digest.escape_debug())]
    Digest {
        /// The algorithm.
        algorithm: String,
        /// What was given.
        digest: String,
    },
    /// More algorithms than anybody would use.
    #[error("{count} digests for one file are too many")]
    TooMany {
        /// How many were given.
        count: usize,
    },
}

/// Most digests of one file: Python's `hashlib` guarantees fourteen algorithms.
const MAX_HASHES: usize = 32;

/// Lengths in bytes of digests of the algorithms that Python's `hashlib` guarantees.
const LENGTHS: [(&str, usize); 10] = [
    ("md5", 16),
    ("sha1", 20),
    ("sha224", 28),
    ("sha256", 32),
    ("sha384", 48),
    ("sha512", 64),
    ("sha3_256", 32),
    ("sha3_512", 64),
    ("blake2b", 64),
    ("blake2s", 32),
];

impl Hashes {
    /// No digest at all.
    pub fn new() -> Hashes {
        Hashes::default()
    }

    /// A SHA-256 digest alone.
    pub fn of_sha256(digest: impl Into<Sha256Hex>) -> Hashes {
        Hashes(BTreeMap::from([(
            "sha256".to_owned(),
            digest.into().to_string(),
        )]))
    }

    /// Adds a digest in hexadecimal, in place of an earlier one of that algorithm.
    pub fn insert(&mut self, algorithm: &str, digest: &str) -> Result<(), HashError> {
        let named =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if algorithm.is_empty() || algorithm.len() > 32 || !algorithm.bytes().all(named) {
            return Err(HashError::Algorithm {
                algorithm: algorithm.to_owned(),
            });
        }
        let length = LENGTHS
            .iter()
            .find(|(name, _)| *name == algorithm)
            .map(|(_, length)| 2 * length);
        let fits = length.map_or((2..=256).contains(&digest.len()), |length| {
            digest.len() == length
        });
        if !fits
            || !digest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(HashError::Digest {
                algorithm: algorithm.to_owned(),
                digest: digest.to_owned(),
            });
        }
        self.0.insert(algorithm.to_owned(), digest.to_owned());
        if self.0.len() > MAX_HASHES {
            return Err(HashError::TooMany {
                count: self.0.len(),
            });
        }
        Ok(())
    }

    /// Takes the digest of an algorithm out.
    pub fn remove(&mut self, algorithm: &str) {
        self.0.remove(algorithm);
    }

    /// The digest of an algorithm, in hexadecimal.
    pub fn get(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// The SHA-256 digest.
    pub fn sha256(&self) -> Option<Sha256Hex> {
        self.get("sha256").and_then(|digest| digest.parse().ok())
    }

    /// Every algorithm with its digest in hexadecimal, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(algorithm, digest)| (algorithm.as_str(), digest.as_str()))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The digest that a URL's fragment should carry, as `algorithm=digest`: SHA-256 if there is
    /// one, else the longest of an algorithm that installers know.
    pub(super) fn fragment(&self) -> Option<String> {
        [
            "sha256", "sha512", "sha384", "sha3_512", "sha3_256", "blake2b", "blake2s", "sha224",
            "sha1", "md5",
        ]
        .iter()
        .find_map(|algorithm| Some(format!("{algorithm}={}", self.get(algorithm)?)))
    }
}

impl Sha256Hex {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256Hex {
    fn from(bytes: [u8; 32]) -> Sha256Hex {
        Sha256Hex(bytes)
    }
}

impl From<Sha256Hex> for [u8; 32] {
    fn from(digest: Sha256Hex) -> [u8; 32] {
        digest.0
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Sha256Hex {
    type Err = HashError;

    fn from_str(raw: &str) -> Result<Sha256Hex, HashError> {
        let invalid = || HashError::Digest {
            algorithm: "sha256".to_owned(),
            digest: raw.to_owned(),
        };
        if raw.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(raw, &mut bytes).map_err(|_| invalid())?;
        Ok(Sha256Hex(bytes))
    }
}

impl Serialize for Sha256Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sha256Hex, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
