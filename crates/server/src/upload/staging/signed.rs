//! Who has signed what waits, and who still has to.
//!
//! ```text
//! metadata, its signatures, those that came later ─▶ Signed ─▶ Missing: enough? whose not?
//! ```
//!
//! Metadata that brings a handover is signed twice by each of them: itself, and the handover. A
//! signature counts where both hold.

use std::collections::BTreeMap;

use serde_json::Value;
use wheelmark_packaging::ProjectName;
use wheelmark_store::NewClaim;
use wheelmark_tuf::{
    Handover, HandoverError, Key, KeyId, KeySet, Missing, OWN_MEMBER, RoleKeys, Sha256, Signature,
    Targets, Verified, assemble, assemble_handing, canonical, verify,
};

use super::chain::{Claimed, project_role};
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
    /// Those of the handover that it brings.
    handover: Option<Vec<u8>>,
    /// The keys that can sign it.
    keys: BTreeMap<KeyId, Key>,
    by: BTreeMap<KeyId, Held>,
    /// What is lacking after these.
    missing: Missing,
}

/// What somebody has signed.
pub(super) struct Held {
    /// Over the metadata.
    sig: Vec<u8>,
    /// Over the handover, where there is one.
    handover: Option<Vec<u8>>,
}

/// Which signatures make what waits whole.
pub(super) enum Rule<'a> {
    /// Every key of a claim.
    Claim(KeySet),
    /// Those of the project's keys that have to sign, and those of a handover that it brings.
    Project(&'a ProjectName, &'a Claimed),
}

/// A signature as it is sent, in hexadecimal.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) keyid: &'a str,
    pub(super) sig: &'a str,
    pub(super) handover: Option<&'a str>,
}

/// The keys of a claim, every one of which has to sign.
pub(super) fn keys_of_claim(claim: &NewClaim) -> Result<KeySet, StagingError> {
    let mut keys = Vec::with_capacity(claim.keys.len());
    for stated in &claim.keys {
        let key = Key::from_value(stated.key.clone()).ok();
        let key = key.filter(|key| key.is_plain() && key.keyid().as_str() == stated.keyid);
        let key = key.ok_or_else(|| StagingError::Malformed {
            what: "a key of the claim is none, or has another id".to_owned(),
        })?;
        keys.push(key);
    }
    Ok(KeySet::new(keys, claim.threshold)?)
}

impl Rule<'_> {
    /// What a file lacks that waits.
    fn missing(&self, metadata: &[u8]) -> Result<Missing, StagingError> {
        Ok(match self {
            Self::Claim(keys) => Missing::of_claim(metadata, keys)?,
            Self::Project(project, claimed) => {
                let role = project_role(project)?;
                Missing::of(metadata, &role, &claimed.present, &claimed.handovers)?
            }
        })
    }

    /// All keys that can sign it, where it brings this handover.
    fn keys(&self, brings: Option<&Handover>) -> BTreeMap<KeyId, Key> {
        let mut sets: Vec<&KeySet> = Vec::new();
        match self {
            Self::Claim(keys) => sets.push(keys),
            Self::Project(_, claimed) => {
                sets.push(&claimed.present);
                sets.extend(claimed.handovers.reached());
            }
        }
        sets.extend(
            brings
                .into_iter()
                .flat_map(|brings| [&brings.from, &brings.to]),
        );
        let keys = sets.into_iter().flat_map(KeySet::keys);
        keys.map(|(id, key)| (id.clone(), key.clone())).collect()
    }
}

impl From<HandoverError> for StagingError {
    fn from(error: HandoverError) -> Self {
        StagingError::Malformed {
            what: crate::problem::chain(&error),
        }
    }
}

/// The signatures of a list, by their keys.
fn listed(list: Option<&Value>) -> Result<BTreeMap<String, String>, StagingError> {
    let list = list.and_then(Value::as_array);
    if list.is_some_and(|list| list.len() > MAX_SIGNATURES) {
        return Err(StagingError::Malformed {
            what: "it has too many signatures".to_owned(),
        });
    }
    let text = |entry: &Value, name| entry.get(name)?.as_str().map(str::to_owned);
    let entries = list.into_iter().flatten();
    let read = entries.filter_map(|entry| Some((text(entry, "keyid")?, text(entry, "sig")?)));
    Ok(read.collect())
}

impl Signed {
    /// Reads metadata, and signatures that came later. What does not hold is left out.
    pub(super) fn read(
        metadata: &[u8],
        later: &[KeptSignature],
        rule: &Rule<'_>,
    ) -> Result<Signed, StagingError> {
        let malformed = |what: &str| StagingError::Malformed {
            what: what.to_owned(),
        };
        let file = canonical::parse(metadata);
        let file = file.map_err(|error| malformed(&error.to_string()))?;
        let signed = file.get("signed");
        let signed = signed.ok_or_else(|| malformed("there is no signed part"))?;
        let first = listed(file.get("signatures"))?;
        let beside = listed(file.get(OWN_MEMBER).and_then(|own| own.get("handover")))?;
        let missing = rule.missing(metadata)?;
        let brings = missing.brings.as_ref();
        let mut read = Signed {
            canonical: canonical::encode(signed),
            handover: brings.map(Handover::to_canonical),
            keys: rule.keys(brings),
            by: BTreeMap::new(),
            missing,
        };
        let first = first.iter().map(|(keyid, sig)| Sent {
            keyid,
            sig,
            handover: beside.get(keyid).map(String::as_str),
        });
        for sent in first.chain(later.iter().map(KeptSignature::sent)) {
            // One signature by each key is looked at, as readers do.
            if read.by.contains_key(&KeyId::from(sent.keyid.to_owned())) {
                continue;
            }
            if let Ok((keyid, held)) = read.check(sent) {
                read.by.insert(keyid, held);
            }
        }
        read.missing = rule.missing(&read.metadata())?;
        Ok(read)
    }

    /// What cannot be read any more by the keys and handovers of today: nobody's signature counts.
    pub(super) fn unfit(metadata: &[u8]) -> Result<Signed, StagingError> {
        let file = canonical::parse(metadata);
        let file = file.map_err(|error| StagingError::Malformed {
            what: error.to_string(),
        })?;
        Ok(Signed {
            canonical: canonical::encode(file.get("signed").unwrap_or(&Value::Null)),
            handover: None,
            keys: BTreeMap::new(),
            by: BTreeMap::new(),
            missing: Missing {
                brings: None,
                handover: Vec::new(),
                metadata: Vec::new(),
            },
        })
    }

    /// A signature over this by a key that counts.
    pub(super) fn check(&self, sent: Sent<'_>) -> Result<(KeyId, Held), StagingError> {
        let id = KeyId::from(sent.keyid.to_owned());
        let key = self.keys.get(&id).filter(|key| *key.keyid() == id);
        let key = key.ok_or_else(|| StagingError::UnknownKey {
            keyid: sent.keyid.to_owned(),
        })?;
        let over = |canonical: &[u8], sig: &str| {
            let sig = hex::decode(sig).ok();
            let sig = sig.filter(|sig| sig.len() <= MAX_SIGNATURE_LEN);
            sig.filter(|sig| key.verify(canonical, sig).is_ok())
        };
        let bad = || StagingError::BadSignature {
            keyid: sent.keyid.to_owned(),
        };
        let sig = over(&self.canonical, sent.sig).ok_or_else(bad)?;
        let handover = match &self.handover {
            None => None,
            Some(canonical) => {
                let sig = sent.handover.and_then(|sig| over(canonical, sig));
                Some(sig.ok_or_else(bad)?)
            }
        };
        Ok((id, Held { sig, handover }))
    }

    /// What it is known by.
    pub(super) fn id(&self) -> Sha256 {
        Sha256::of(&self.canonical)
    }

    /// The handover that it brings.
    pub(super) fn brings(&self) -> Option<&Handover> {
        self.missing.brings.as_ref()
    }

    /// The metadata, with all signatures that count.
    pub(super) fn metadata(&self) -> Vec<u8> {
        let of = |sig: fn(&Held) -> Option<&Vec<u8>>| -> Vec<Signature> {
            let by = self.by.iter();
            let by = by.filter_map(|(keyid, held)| {
                let (keyid, sig) = (keyid.clone(), sig(held)?.clone());
                Some(Signature { keyid, sig })
            });
            by.collect()
        };
        let signatures = of(|held| Some(&held.sig));
        match &self.handover {
            None => assemble(&self.canonical, &signatures),
            Some(_) => {
                let handover = of(|held| held.handover.as_ref());
                assemble_handing(&self.canonical, &signatures, &handover)
            }
        }
    }

    /// The metadata as those are shown it who look through it: without the signatures of the handover.
    /// Together with a key that was to come in they would prove that handover to clients, also where it
    /// was taken back.
    pub(super) fn shown(&self) -> Vec<u8> {
        let signatures = self.by.iter().map(|(keyid, held)| Signature {
            keyid: keyid.clone(),
            sig: held.sig.clone(),
        });
        assemble(&self.canonical, &signatures.collect::<Vec<_>>())
    }

    /// The role, on the word of one of its keys.
    pub(super) fn role(&self, project: &str) -> Result<Verified<Targets>, StagingError> {
        if self.by.is_empty() {
            let project = project.to_owned();
            return Err(StagingError::Unsigned { project });
        }
        let one = RoleKeys::new(self.keys.values(), 1);
        let opened = verify(&self.metadata(), &self.keys, &one);
        opened.map_err(|error| StagingError::Malformed {
            what: error.to_string(),
        })
    }

    /// Whether all have signed who have to.
    pub(super) fn is_enough(&self) -> bool {
        self.missing.is_empty()
    }

    /// How many keys have to sign, all together.
    pub(super) fn threshold(&self) -> u32 {
        let signed = u32::try_from(self.by.len()).unwrap_or(u32::MAX);
        signed.saturating_add(self.missing.least())
    }

    /// Who has signed it, in hexadecimal: over the metadata, and over the handover.
    pub(super) fn signatures(&self) -> impl Iterator<Item = (&str, String, Option<String>)> {
        let by = self.by.iter();
        by.map(|(keyid, held)| {
            let handover = held.handover.as_ref().map(hex::encode);
            (keyid.as_str(), hex::encode(&held.sig), handover)
        })
    }

    /// The keys that have signed.
    pub(super) fn by(&self) -> Vec<String> {
        self.by.keys().map(|id| id.as_str().to_owned()).collect()
    }

    /// The keys of those of whom more have to sign.
    pub(super) fn others(&self) -> Vec<String> {
        let others = self.missing.keyids().into_iter();
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
    use wheelmark_tuf::{Handovers, Role as _};

    use super::*;

    const ROLE: &[u8] = br#"{"_type":"targets","expires":"2027-01-01T00:00:00Z","spec_version":"1.0.34","targets":{},"version":2}"#;

    fn key() -> Ed25519Key {
        Ed25519Key::generate(&mut UnwrapErr(SysRng))
    }

    fn claimed(keys: &[&Ed25519Key], threshold: u32) -> Claimed {
        Claimed {
            present: set(keys, threshold),
            handovers: Handovers::default(),
        }
    }

    fn set(keys: &[&Ed25519Key], threshold: u32) -> KeySet {
        KeySet::new(keys.iter().map(|key| key.key().clone()), threshold).unwrap()
    }

    fn flask() -> ProjectName {
        "flask".parse().unwrap()
    }

    fn kept(key: &Ed25519Key, message: &[u8]) -> KeptSignature {
        let signature = key.sign(message).unwrap();
        KeptSignature {
            keyid: signature.keyid.as_str().to_owned(),
            sig: hex::encode(signature.sig),
            handover: None,
            token: "t".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_key_that_counts_is_counted_once_and_no_other() {
        let (one, two, stranger) = (key(), key(), key());
        let metadata = sign_role(ROLE, &[&one, &stranger]).unwrap();
        let (project, claimed) = (flask(), claimed(&[&one, &two], 2));
        let read = |later: &[KeptSignature]| {
            Signed::read(&metadata, later, &Rule::Project(&project, &claimed)).unwrap()
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
        let (project, claimed) = (flask(), claimed(&[&one], 1));
        let read = Signed::read(&metadata, &[], &Rule::Project(&project, &claimed)).unwrap();
        let refused = read.role("flask");
        assert!(matches!(refused, Err(StagingError::Unsigned { .. })));
        let sent = |keyid, sig| {
            let handover = None;
            read.check(Sent {
                keyid,
                sig,
                handover,
            })
        };
        let refused = sent(one.key().keyid().as_str(), "zz");
        assert!(matches!(refused, Err(StagingError::BadSignature { .. })));
        let refused = sent("x", "00");
        assert!(matches!(refused, Err(StagingError::UnknownKey { .. })));
    }

    /// A change of keys is signed by those before, those from now on, and all that come in, each of
    /// whom signs the handover as well.
    #[test]
    fn a_change_of_keys_counts_those_who_sign_both() {
        let (one, two, new, stranger) = (key(), key(), key(), key());
        let project = flask();
        let claimed = claimed(&[&one, &two], 2);
        let role = project_role(&project).unwrap();
        let handover = Handover {
            role: role.clone(),
            number: 1,
            version: 2,
            made_at: Timestamp::UNIX_EPOCH,
            from: claimed.present.clone(),
            to: set(&[&two, &new], 1),
        };
        let mut targets = verify::<Targets>(
            &sign_role(ROLE, &[&one]).unwrap(),
            set(&[&one], 1).keys(),
            &set(&[&one], 1).role_keys(),
        );
        let mut targets = targets.as_mut().unwrap().clone().into_inner();
        targets.state_role(&role);
        targets.state_waiting(&claimed.handovers, &handover);
        let (canonical, statement) = (targets.to_canonical(), handover.to_canonical());
        let both = |by: &Ed25519Key| KeptSignature {
            handover: Some(hex::encode(by.sign(&statement).unwrap().sig)),
            ..kept(by, &canonical)
        };
        let first = [new.sign(&canonical).unwrap()];
        let metadata = assemble_handing(&canonical, &first, &[new.sign(&statement).unwrap()]);
        let read = |later: &[KeptSignature]| {
            Signed::read(&metadata, later, &Rule::Project(&project, &claimed)).unwrap()
        };
        let begun = read(&[]);
        assert_eq!(begun.brings(), Some(&handover));
        assert_eq!((begun.by().len(), begun.threshold()), (1, 3));
        // Signed without the handover, or over something else, or by somebody else: it counts for nothing.
        let alone = kept(&one, &canonical);
        let other = KeptSignature {
            handover: Some(hex::encode(one.sign(b"{}").unwrap().sig)),
            ..alone.clone()
        };
        for spoilt in [alone, other, both(&stranger)] {
            assert_eq!(read(&[spoilt]).by().len(), 1);
        }
        let more = read(&[both(&one)]);
        assert!(!more.is_enough() && more.others() == [two.key().keyid().as_str()]);
        let whole = read(&[both(&one), both(&two)]);
        assert!(whole.is_enough());
        // Those who look through it get no signature of the handover.
        let shown = canonical::parse(&whole.shown()).unwrap();
        assert!(
            shown.get(OWN_MEMBER).is_none() && shown["signatures"].as_array().unwrap().len() == 3
        );
        // It is what the snapshot process reads.
        let keys = &claimed.present;
        let opened = verify::<Targets>(&whole.metadata(), keys.keys(), &keys.role_keys()).unwrap();
        let read = opened.handovers(&role).unwrap();
        assert_eq!(read.reached(), Some(&handover.to));
        assert!(read.is_beside());
    }
}
