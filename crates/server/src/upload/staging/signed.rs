//! Who has signed what waits, and who still has to.

use std::collections::BTreeMap;

use serde_json::Value;
use wheelmark_store::NewClaim;
use wheelmark_tuf::{
    Key, KeyId, RoleKeys, Sha256, Signature, Targets, Verified, assemble, canonical, verify,
};

use super::chain::Signers;
use super::error::StagingError;
use super::folder::KeptSignature;

/// Longest signature that is kept, in bytes: that of an RSA key of 8192 bits.
pub(super) const MAX_SIGNATURE_LEN: usize = 1024;

/// Most signatures of one file that are looked at, each of which is a hash of all of it.
const MAX_SIGNATURES: usize = 32;

/// What waits, with the signatures over it that count.
pub(super) struct Signed {
    /// The bytes that are signed.
    canonical: Vec<u8>,
    by: BTreeMap<KeyId, Vec<u8>>,
    signers: Signers,
}

/// The keys of a claim, every one of which has to sign.
pub(super) fn signers_of_claim(claim: &NewClaim) -> Result<Signers, StagingError> {
    let mut keys = BTreeMap::new();
    for stated in &claim.keys {
        let key = Key::from_value(stated.key.clone()).ok();
        let key = key.filter(|key| key.is_plain() && key.keyid().as_str() == stated.keyid);
        let key = key.ok_or_else(|| StagingError::Malformed {
            what: "a key of the claim is none, or has another id".to_owned(),
        })?;
        keys.insert(key.keyid().clone(), key);
    }
    let role = RoleKeys::new(keys.values(), u32::try_from(keys.len()).unwrap_or(u32::MAX));
    Ok(Signers { keys, role })
}

impl Signed {
    /// Reads metadata, and signatures that came later. What does not hold is left out.
    pub(super) fn read(
        metadata: &[u8],
        later: &[KeptSignature],
        signers: Signers,
    ) -> Result<Signed, StagingError> {
        let malformed = |what: &str| StagingError::Malformed {
            what: what.to_owned(),
        };
        let file = canonical::parse(metadata);
        let mut file = file.map_err(|error| malformed(&error.to_string()))?;
        let mut take = |name| file.get_mut(name).map(Value::take);
        let signed = take("signed").ok_or_else(|| malformed("there is no signed part"))?;
        let signatures = take("signatures");
        let signatures = signatures.as_ref().and_then(Value::as_array);
        let text = |entry: &Value, name| entry.get(name)?.as_str().map(str::to_owned);
        if signatures.is_some_and(|signatures| signatures.len() > MAX_SIGNATURES) {
            return Err(malformed("it has too many signatures"));
        }
        let first = signatures.into_iter().flatten();
        let first = first.filter_map(|entry| Some((text(entry, "keyid")?, text(entry, "sig")?)));
        let later = later.iter();
        let later = later.map(|kept| (kept.keyid.clone(), kept.sig.clone()));
        let mut read = Signed {
            canonical: canonical::encode(&signed),
            by: BTreeMap::new(),
            signers,
        };
        for (keyid, sig) in first.chain(later) {
            // One signature by each key is looked at, as readers do.
            if read.by.contains_key(&KeyId::from(keyid.clone())) {
                continue;
            }
            if let Ok((keyid, sig)) = read.check(&keyid, &sig) {
                read.by.insert(keyid, sig);
            }
        }
        Ok(read)
    }

    /// A signature over this by a key that counts.
    pub(super) fn check(&self, keyid: &str, sig: &str) -> Result<(KeyId, Vec<u8>), StagingError> {
        let id = KeyId::from(keyid.to_owned());
        let unknown = || StagingError::UnknownKey {
            keyid: keyid.to_owned(),
        };
        let key = self.signers.keys.get(&id);
        let key = key.filter(|key| *key.keyid() == id && self.signers.role.keyids.contains(&id));
        let key = key.ok_or_else(unknown)?;
        let sig = hex::decode(sig)
            .ok()
            .filter(|sig| sig.len() <= MAX_SIGNATURE_LEN);
        let sig = sig.filter(|sig| key.verify(&self.canonical, sig).is_ok());
        let sig = sig.ok_or_else(|| StagingError::BadSignature {
            keyid: keyid.to_owned(),
        })?;
        Ok((id, sig))
    }

    /// What it is known by.
    pub(super) fn id(&self) -> Sha256 {
        Sha256::of(&self.canonical)
    }

    /// The metadata, with all signatures that count.
    pub(super) fn metadata(&self) -> Vec<u8> {
        let signatures = self.by.iter().map(|(keyid, sig)| Signature {
            keyid: keyid.clone(),
            sig: sig.clone(),
        });
        assemble(&self.canonical, &signatures.collect::<Vec<_>>())
    }

    /// The role, on the word of one of its keys.
    pub(super) fn role(&self, project: &str) -> Result<Verified<Targets>, StagingError> {
        if self.by.is_empty() {
            let project = project.to_owned();
            return Err(StagingError::Unsigned { project });
        }
        let one = RoleKeys {
            threshold: 1,
            ..self.signers.role.clone()
        };
        let opened = verify(&self.metadata(), &self.signers.keys, &one);
        opened.map_err(|error| StagingError::Malformed {
            what: error.to_string(),
        })
    }

    /// Whether enough have signed: as clients count.
    pub(super) fn is_enough(&self) -> bool {
        let (keys, role) = (&self.signers.keys, &self.signers.role);
        verify::<Targets>(&self.metadata(), keys, role).is_ok()
    }

    /// How many have to sign.
    pub(super) fn threshold(&self) -> u32 {
        self.signers.role.threshold
    }

    /// The signatures that count, by key, in hexadecimal.
    pub(super) fn signatures(&self) -> impl Iterator<Item = (&str, String)> {
        let by = self.by.iter();
        by.map(|(keyid, sig)| (keyid.as_str(), hex::encode(sig)))
    }

    /// The keys that have signed.
    pub(super) fn by(&self) -> Vec<String> {
        self.by.keys().map(|id| id.as_str().to_owned()).collect()
    }

    /// The keys that have not.
    pub(super) fn others(&self) -> Vec<String> {
        let others = self.signers.role.keyids.iter();
        let others = others.filter(|id| !self.by.contains_key(*id));
        others.map(|id| id.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use jiff::Timestamp;
    use rand::rand_core::UnwrapErr;
    use rand::rngs::SysRng;
    use wheelmark_signing::{Ed25519Key, Signer, sign_role};

    use super::*;

    const ROLE: &[u8] = br#"{"_type":"targets","expires":"2027-01-01T00:00:00Z","spec_version":"1.0.34","targets":{},"version":2}"#;

    fn key() -> Ed25519Key {
        Ed25519Key::generate(&mut UnwrapErr(SysRng))
    }

    fn signers(keys: &[&Ed25519Key], threshold: u32) -> Signers {
        let keys: Vec<Key> = keys.iter().map(|key| key.key().clone()).collect();
        Signers {
            role: RoleKeys::new(&keys, threshold),
            keys: keys
                .into_iter()
                .map(|key| (key.keyid().clone(), key))
                .collect(),
        }
    }

    fn kept(key: &Ed25519Key, message: &[u8]) -> KeptSignature {
        let signature = key.sign(message).unwrap();
        KeptSignature {
            keyid: signature.keyid.as_str().to_owned(),
            sig: hex::encode(signature.sig),
            token: "t".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_key_that_counts_is_counted_once_and_no_other() {
        let (one, two, stranger) = (key(), key(), key());
        let metadata = sign_role(ROLE, &[&one, &stranger]).unwrap();
        let read = |later: &[KeptSignature]| {
            Signed::read(&metadata, later, signers(&[&one, &two], 2)).unwrap()
        };
        let first = read(&[]);
        assert_eq!(first.by(), [one.key().keyid().as_str()]);
        assert_eq!(first.others(), [two.key().keyid().as_str()]);
        assert!(!first.is_enough() && first.role("flask").unwrap().version == 2);
        assert_eq!(first.id(), Sha256::of(ROLE));
        // The same key again, a stranger's, and one over other bytes.
        for later in [kept(&one, ROLE), kept(&stranger, ROLE), kept(&two, b"{}")] {
            assert!(!read(&[later]).is_enough());
        }
        let enough = read(&[kept(&two, b"{}"), kept(&two, ROLE)]);
        assert!(enough.is_enough() && enough.others().is_empty());
    }

    #[test]
    fn what_nobody_signed_whose_key_counts_is_nothing() {
        let (one, stranger) = (key(), key());
        let metadata = sign_role(ROLE, &[&stranger]).unwrap();
        let read = Signed::read(&metadata, &[], signers(&[&one], 1)).unwrap();
        let refused = read.role("flask");
        assert!(matches!(refused, Err(StagingError::Unsigned { .. })));
        let refused = read.check(one.key().keyid().as_str(), "zz");
        assert!(matches!(refused, Err(StagingError::BadSignature { .. })));
        let refused = read.check("x", "00");
        assert!(matches!(refused, Err(StagingError::UnknownKey { .. })));
    }
}
