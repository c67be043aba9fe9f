//! Which signatures a ceremony has, and which it lacks.

use std::collections::BTreeMap;

use wheelmark_tuf::{KeyId, RoleName, Signature};

use crate::ceremony::Ceremony;
use crate::signature::{SignatureError, SignatureFile};

/// The signatures of a ceremony that count.
#[derive(Clone, Debug)]
pub struct Tally<'a> {
    ceremony: &'a Ceremony,
    signatures: BTreeMap<RoleName, BTreeMap<KeyId, Signature>>,
}

/// What one threshold asks for, and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Whose payload.
    pub role: RoleName,
    /// Whether these are the keys of before the ceremony.
    pub in_force: bool,
    /// How many have to sign.
    pub threshold: u32,
    /// Who has signed.
    pub signed: Vec<KeyId>,
    /// Who could.
    pub missing: Vec<KeyId>,
}

impl Need {
    /// Whether enough have signed.
    pub fn is_met(&self) -> bool {
        self.signed.len() >= self.threshold as usize
    }
}

impl<'a> Tally<'a> {
    /// No signatures yet.
    pub fn new(ceremony: &'a Ceremony) -> Self {
        let signatures = BTreeMap::new();
        Self {
            ceremony,
            signatures,
        }
    }

    /// Takes a signature in.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if it does not count; then nothing changes.
    pub fn admit(&mut self, file: SignatureFile) -> Result<(), SignatureError> {
        let expected = self.ceremony.id();
        let found = file.ceremony;
        if found != expected {
            return Err(SignatureError::OtherCeremony { expected, found });
        }
        let (role, version) = (file.role, file.version);
        let payload = self.ceremony.payload(&role);
        let Some(payload) = payload.filter(|payload| payload.version() == version) else {
            return Err(SignatureError::OtherRole { role, version });
        };
        if *payload.sha256() != file.payload {
            return Err(SignatureError::OtherPayload { role });
        }
        let keyid = file.signature.keyid.clone();
        let requests = self.ceremony.requests(&role);
        let key = requests.iter().find_map(|request| request.key(&keyid));
        let Some(key) = key else {
            return Err(SignatureError::WrongKey { keyid, role });
        };
        if key.verify(payload.bytes(), &file.signature.sig).is_err() {
            return Err(SignatureError::Bad { keyid, role });
        }
        let of_role = self.signatures.entry(role.clone()).or_default();
        let is_known = |id: &KeyId| {
            let known = requests.iter().find_map(|request| request.key(id));
            *id == keyid || known.is_some_and(|known| known.is_same_key(key))
        };
        if of_role.keys().any(is_known) {
            return Err(SignatureError::Twice { keyid, role });
        }
        of_role.insert(keyid, file.signature);
        Ok(())
    }

    /// What every threshold has, in the order of the payloads.
    pub fn needs(&self) -> Vec<Need> {
        let roles = self.ceremony.payloads().iter();
        let needs = roles.flat_map(|payload| {
            let role = payload.role();
            let requests = self.ceremony.requests(role).into_iter();
            requests.map(|request| {
                let keyids = request.role_keys.keyids.iter().cloned();
                let has = |id: &KeyId| self.has(role, id);
                let (signed, missing) = keyids.partition(has);
                Need {
                    role: role.clone(),
                    in_force: request.in_force,
                    threshold: request.role_keys.threshold,
                    signed,
                    missing,
                }
            })
        });
        needs.collect()
    }

    /// Whether every threshold is met.
    pub fn is_complete(&self) -> bool {
        self.needs().iter().all(Need::is_met)
    }

    /// Whether a key has signed for a role.
    pub fn has(&self, role: &RoleName, keyid: &KeyId) -> bool {
        let of_role = self.signatures.get(role);
        of_role.is_some_and(|of_role| of_role.contains_key(keyid))
    }

    /// The ceremony.
    pub fn ceremony(&self) -> &'a Ceremony {
        self.ceremony
    }

    /// The signatures of a role, by the ids of the keys.
    pub(crate) fn of(&self, role: &RoleName) -> Vec<Signature> {
        let of_role = self.signatures.get(role).into_iter().flatten();
        of_role.map(|(_, signature)| signature.clone()).collect()
    }
}
