//! The digests that a source states, computed over what it sends.
//!
//! They say whether a file arrived as its source has it, and nothing about trust: what is signed
//! is the SHA-256 of what arrived.

use aws_lc_rs::digest::{self, Context};
use md5::{Digest as _, Md5};
use wheelmark_packaging::simple::Hashes;
use wheelmark_tuf::Sha256;

/// The digests of a file that are stated and that can be computed here.
pub(crate) struct Stated {
    sha256: Option<String>,
    others: Vec<(Running, String)>,
}

enum Running {
    Known(Context),
    Md5(Box<Md5>),
}

/// A digest that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {algorithm} is {found}, its source states {stated}")]
pub(crate) struct Mismatch {
    pub(crate) algorithm: String,
    pub(crate) stated: String,
    pub(crate) found: String,
}

impl Stated {
    /// Beside a SHA-256 others add nothing.
    pub(crate) fn of(hashes: &Hashes) -> Self {
        let sha256 = hashes.get("sha256").map(str::to_owned);
        let others = match sha256 {
            Some(_) => Vec::new(),
            None => hashes.iter().filter_map(running).collect(),
        };
        Self { sha256, others }
    }

    /// Whether anything is compared at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.others.is_empty()
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        for (running, _) in &mut self.others {
            match running {
                Running::Known(context) => context.update(piece),
                Running::Md5(context) => context.update(piece),
            }
        }
    }

    /// Compares; `sha256` is that of the same bytes.
    pub(crate) fn check(self, sha256: &Sha256) -> Result<(), Mismatch> {
        let of_sha256 = self.sha256.map(|stated| (sha256.to_string(), stated));
        let others = self.others.into_iter().map(|(running, stated)| {
            let found = match running {
                Running::Known(context) => hex::encode(context.finish()),
                Running::Md5(context) => hex::encode(context.finalize()),
            };
            (found, stated)
        });
        for (found, stated) in of_sha256.into_iter().chain(others) {
            if found != stated {
                let algorithm = match found.len() {
                    32 => "md5",
                    40 => "sha1",
                    56 => "sha224",
                    64 => "sha256",
                    96 => "sha384",
                    _ => "sha512",
                };
                return Err(Mismatch {
                    algorithm: algorithm.to_owned(),
                    stated,
                    found,
                });
            }
        }
        Ok(())
    }
}

fn running((algorithm, stated): (&str, &str)) -> Option<(Running, String)> {
    let running = match algorithm {
        "sha512" => Running::Known(Context::new(&digest::SHA512)),
        "sha384" => Running::Known(Context::new(&digest::SHA384)),
        "sha224" => Running::Known(Context::new(&digest::SHA224)),
        "sha1" => Running::Known(Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY)),
        "md5" => Running::Md5(Box::default()),
        _ => return None,
    };
    Some((running, stated.to_owned()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// Digests of `abc`, as the standards give them.
    const ABC: [(&str, &str); 4] = [
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "sha256",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            "sha384",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
    ];

    fn check(algorithm: &str, stated: &str, content: &[u8]) -> Result<(), Mismatch> {
        let mut hashes = Hashes::new();
        hashes.insert(algorithm, stated).unwrap();
        let mut stated = Stated::of(&hashes);
        content.chunks(2).for_each(|piece| stated.update(piece));
        stated.check(&Sha256::of(content))
    }

    #[test]
    fn each_stated_digest_has_to_hold() {
        for (algorithm, digest) in ABC {
            assert_eq!(check(algorithm, digest, b"abc"), Ok(()), "{algorithm}");
            let refused = check(algorithm, digest, b"abd").unwrap_err();
            assert_eq!(
                (refused.algorithm.as_str(), refused.stated.as_str()),
                (algorithm, digest)
            );
        }
        assert!(Stated::of(&Hashes::new()).is_empty());
        let mut unknown = Hashes::new();
        unknown.insert("blake2s", &"0".repeat(64)).unwrap();
        assert!(Stated::of(&unknown).is_empty());
    }
}
