//! SHA-512, which metadata can state beside SHA-256 or in its place.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;

/// A SHA-512 digest. Shown, parsed and serialised as 128 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha512(pub [u8; 64]);

impl Sha512 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Sha512Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }
}

/// SHA-512 of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Sha512Hasher(digest::Context);

impl Sha512Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Self {
        Sha512Hasher(digest::Context::new(&digest::SHA512))
    }

    /// Takes in the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Sha512 {
        let mut out = [0; 64];
        out.copy_from_slice(self.0.finish().as_ref());
        Sha512(out)
    }
}

impl Default for Sha512Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha512Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha512Hasher")
    }
}

impl fmt::Display for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha512({self})")
    }
}

/// The text is not a SHA-512 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sha512 digest: 128 lower-case hexadecimal digits")]
pub struct ParseSha512Error(String);

impl FromStr for Sha512 {
    type Err = ParseSha512Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseSha512Error(text.chars().take(160).collect());
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut out = [0; 64];
        hex::decode_to_slice(text, &mut out).map_err(|_| refused())?;
        Ok(Sha512(out))
    }
}

impl serde::Serialize for Sha512 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Sha512 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_names() {
        let abc = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        let mut pieces = Sha512Hasher::new();
        pieces.update(b"ab");
        pieces.update(b"c");
        assert_eq!(pieces.finish().to_string(), abc);
        assert_eq!(abc.parse::<Sha512>().unwrap(), Sha512::of(b"abc"));
        for text in ["", &"0".repeat(64), &"A".repeat(128), &"0".repeat(130)] {
            assert!(text.parse::<Sha512>().is_err(), "{text}");
        }
    }
}
