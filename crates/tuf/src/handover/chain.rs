//! All handovers of a role, each of them verified.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Handover, HandoverError, KeySet, MAX_HANDOVERS, MAX_HANDOVERS_LEN, MAX_SET_KEYS};
use crate::canonical;
use crate::claim::ClaimMarks;
use crate::envelope::{Envelope, Signature, assemble, read_signatures, write_signatures};
use crate::key::{Key, KeyId};
use crate::model::fields::{self, Fields};
use crate::model::{OWN_MEMBER, RoleKeys, Targets};
use crate::name::RoleName;
use crate::verify::check_signatures;

/// In the own member of a role's metadata: its handovers, oldest first.
const MEMBER: &str = "handovers";

/// In the own member of the first metadata of a claim: whose keys it is made with.
const CLAIM: &str = "claim";

/// In the own member beside what is signed: the signatures of the handover that it brings.
const BESIDE: &str = "handover";

/// Most signatures of one file: three sets of keys.
const MOST_SIGNATURES: usize = 3 * MAX_SET_KEYS;

/// Longest id of a key that signs, and longest signature, in hexadecimal: that of an RSA key of 8192 bits.
const MAX_KEYID_LEN: usize = 128;
const MAX_SIG_LEN: usize = 2048;

/// The handovers of a role, from the first on: each begins where the one before it ended, and is
/// signed by a threshold of those whom it is from and by every key that comes in.
///
/// It can be made only by the functions of this module, which check that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handovers {
    /// Each with its value, signatures included.
    list: Vec<(Handover, Value)>,
    /// Whether the signatures of the last one stood beside what is signed.
    is_beside: bool,
}

/// A handover with its signatures, which may be too few.
pub(super) struct Opened {
    pub(super) handover: Handover,
    pub(super) envelope: Envelope,
    pub(super) value: Value,
}

impl Opened {
    fn from_value(value: Value, role: &RoleName) -> Result<Self, HandoverError> {
        let mut file = Fields::of(value.clone(), "handovers")?;
        let mut envelope = Envelope::of_fields(&mut file)?;
        let handover = Handover::from_signed(envelope.signed.take(), role)?;
        let number = handover.number;
        if !file.rest().is_empty() {
            return Err(HandoverError::OtherForm { number });
        }
        Ok(Self {
            handover,
            envelope,
            value,
        })
    }

    /// Whether its signatures are looked for beside what is signed.
    pub(super) fn is_open(&self) -> bool {
        self.envelope.signatures.is_empty()
    }

    /// Takes the signatures that stand beside what is signed: those that hold, by keys of either set.
    /// Later versions carry it with these.
    pub(super) fn take_beside(&mut self, beside: &Value) -> Result<(), HandoverError> {
        let mut found = self::beside(beside)?;
        let Handover { from, to, .. } = &self.handover;
        let keys = to.keys().iter().chain(from.keys());
        let keys: BTreeMap<&KeyId, &Key> = keys.collect();
        let mut good = Vec::new();
        for (keyid, key) in keys {
            let Some(Some(sig)) = found.remove(keyid) else {
                continue;
            };
            if key.verify(&self.envelope.canonical, &sig).is_ok() {
                let keyid = keyid.clone();
                good.push(Signature { keyid, sig });
            }
        }
        self.value["signatures"] = write_signatures(&good);
        let good = good.into_iter().map(|one| (one.keyid, Some(one.sig)));
        self.envelope.signatures = good.collect();
        Ok(())
    }

    fn verify(&self) -> Result<(), HandoverError> {
        let Handover { number, from, .. } = &self.handover;
        let number = *number;
        check_signatures(&self.envelope, from.keys(), &from.role_keys())
            .map_err(|source| HandoverError::From { number, source })?;
        let added = self.handover.added();
        if added.is_empty() {
            return Ok(());
        }
        let to = self.handover.to.keys();
        check_signatures(&self.envelope, to, &all_of(&added))
            .map_err(|source| HandoverError::To { number, source })
    }
}

/// All of these keys have to sign.
pub(super) fn all_of(keys: &[&Key]) -> RoleKeys {
    let all = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    RoleKeys::new(keys.iter().copied(), all)
}

impl Handovers {
    /// Reads the list as it stands in metadata; none where there is no list.
    ///
    /// # Errors
    ///
    /// When one of them is malformed, of another role, out of its order, or not signed as it has to
    /// be; or there are more than [`MAX_HANDOVERS`], or more bytes than [`MAX_HANDOVERS_LEN`].
    pub fn read(list: Option<&Value>, role: &RoleName) -> Result<Self, HandoverError> {
        Self::read_with(list, role, |_| None)
    }

    /// The same, where the signatures of the last one may stand beside what is signed: `beside` says
    /// what stands there.
    fn read_with<'a>(
        list: Option<&Value>,
        role: &RoleName,
        beside: impl FnOnce(&Handover) -> Option<&'a Value>,
    ) -> Result<Self, HandoverError> {
        let mut opened = open(list, role)?;
        let mut is_beside = false;
        if let Some(last) = opened.last_mut().filter(|last| last.is_open())
            && let Some(beside) = beside(&last.handover)
        {
            last.take_beside(beside)?;
            is_beside = true;
        }
        let mut verified = Vec::with_capacity(opened.len());
        for one in opened {
            one.verify()?;
            verified.push((one.handover, one.value));
        }
        let read = Self {
            list: verified,
            is_beside,
        };
        // The next version has to be able to carry them.
        demand_short(&read.to_value())?;
        Ok(read)
    }

    /// The same with one more: the file of a signed handover, as [`crate::assemble`] writes it.
    ///
    /// # Errors
    ///
    /// As [`Handovers::read`].
    pub fn and(&self, file: &[u8], role: &RoleName) -> Result<Self, HandoverError> {
        let file = canonical::parse(file).map_err(crate::EnvelopeError::from)?;
        let mut list: Vec<Value> = self.list.iter().map(|(_, value)| value.clone()).collect();
        list.push(file);
        Self::read(Some(&list.into()), role)
    }

    /// The handovers, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Handover> {
        self.list.iter().map(|(handover, _)| handover)
    }

    /// The same as files, signatures included, as [`Handovers::and`] takes them.
    pub fn files(&self) -> impl Iterator<Item = Vec<u8>> {
        let values = self.list.iter().map(|(_, value)| value.to_string());
        values.map(String::into_bytes)
    }

    /// Whether there are none: the first keys still sign.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the signatures of the last one stood beside what is signed, as where its signers were
    /// not at one place.
    pub fn is_beside(&self) -> bool {
        self.is_beside
    }

    /// The keys that the last one leads to; none where there are none.
    pub fn reached(&self) -> Option<&KeySet> {
        self.list.last().map(|(handover, _)| &handover.to)
    }

    /// The number that comes next.
    pub fn next_number(&self) -> u64 {
        self.list.len() as u64 + 1
    }

    /// What these have more than those that were published: nothing, or one handover. Those that
    /// were published have to be here to the letter.
    ///
    /// # Errors
    ///
    /// [`HandoverError::Rewritten`].
    pub fn beyond(&self, published: &Handovers) -> Result<Option<&Handover>, HandoverError> {
        let more = self.list.strip_prefix(published.list.as_slice());
        match more {
            Some([]) => Ok(None),
            Some([(handover, _)]) => Ok(Some(handover)),
            _ => Err(HandoverError::Rewritten),
        }
    }

    /// Whether these lead from some keys, as version `after` of the role had them, to others: the first
    /// handover that a later version brought is from the first, and the last one of all leads to the
    /// second.
    ///
    /// Keys may come back to what they once were. A handover of the time before leads nobody away from
    /// there who has seen that: whoever had signed in between does so no longer.
    pub fn lead(
        &self,
        from: (&BTreeSet<String>, u32),
        after: u64,
        to: (&BTreeSet<String>, u32),
    ) -> bool {
        let reached = self.reached().is_some_and(|set| set.is(to.0, to.1));
        let mut later = self.list.iter().map(|(handover, _)| handover);
        let first = later.find(|handover| handover.version > after);
        reached && first.is_some_and(|first| first.from.is(from.0, from.1))
    }

    /// The last handover, if these lead from the keys that a ceremony has sealed to others: the first
    /// that came after the version which it sealed is from those keys, with that threshold. None where
    /// the sealed keys still are the project's, or nothing leads on from them.
    pub fn from_sealed(&self, sealed: &RoleKeys) -> Option<&Handover> {
        let floor = ClaimMarks::of(sealed).floor?;
        let (last, _) = self.list.last()?;
        let ids = sealed.keyids.iter().map(|id| id.as_str().to_owned());
        let ids: BTreeSet<String> = ids.collect();
        let reached: BTreeSet<String> = last
            .to
            .keys
            .keys()
            .map(|id| id.as_str().to_owned())
            .collect();
        let leads = self.lead(
            (&ids, sealed.threshold),
            floor,
            (&reached, last.to.threshold),
        );
        (leads && !last.to.is(&ids, sealed.threshold)).then_some(last)
    }

    /// Whether a handover of these, whenever it was, is from some keys, and the last one of all leads to
    /// others.
    ///
    /// It says nothing of what has happened in between: keys that came back once lead on from there, too.
    /// So it counts only beside somebody else's word for the second keys.
    pub fn pass(&self, from: (&BTreeSet<String>, u32), to: (&BTreeSet<String>, u32)) -> bool {
        let reached = self.reached().is_some_and(|set| set.is(to.0, to.1));
        let mut all = self.list.iter();
        reached && all.any(|(handover, _)| handover.from.is(from.0, from.1))
    }

    /// Whether the first of these is this one, to the letter; and so on.
    pub(super) fn begins(&self, opened: &[Opened]) -> bool {
        let mut both = self.list.iter().zip(opened);
        both.all(|((handover, value), one)| one.handover == *handover && one.value == *value)
    }

    fn to_value(&self) -> Value {
        let values: Vec<Value> = self.list.iter().map(|(_, value)| value.clone()).collect();
        values.into()
    }
}

/// Opens a list whose signatures are not looked at: form, roles, order.
pub(super) fn open(list: Option<&Value>, role: &RoleName) -> Result<Vec<Opened>, HandoverError> {
    let Some(list) = list else {
        return Ok(Vec::new());
    };
    demand_short(list)?;
    let list = fields::array(list.clone(), MEMBER)?;
    let found = list.len();
    if found > MAX_HANDOVERS {
        return Err(HandoverError::TooMany { found });
    }
    let mut opened: Vec<Opened> = Vec::with_capacity(found);
    for (expected, value) in (1..).zip(list) {
        let one = Opened::from_value(value, role)?;
        let number = one.handover.number;
        if number != expected {
            let found = number;
            return Err(HandoverError::Number { found, expected });
        }
        let before = opened.last();
        let version = one.handover.version;
        if before.is_some_and(|before| before.handover.version >= version) {
            return Err(HandoverError::Version { number, version });
        }
        if before.is_some_and(|before| before.handover.to != one.handover.from) {
            return Err(HandoverError::Broken { number });
        }
        opened.push(one);
    }
    Ok(opened)
}

fn demand_short(value: &Value) -> Result<(), HandoverError> {
    match canonical::encode(value).len() {
        len if len > MAX_HANDOVERS_LEN => Err(HandoverError::TooLong { len }),
        _ => Ok(()),
    }
}

/// The signatures over a handover that stand beside what is signed.
fn beside(own: &Value) -> Result<BTreeMap<KeyId, Option<Vec<u8>>>, HandoverError> {
    let Some(list) = own.get(BESIDE) else {
        return Ok(BTreeMap::new());
    };
    demand_short(list)?;
    Ok(read_signatures(fields::array(list.clone(), BESIDE)?)?)
}

/// The metadata file of a signed part that brings a handover, as [`crate::assemble`] writes it, with the
/// signatures of that handover beside it: `{"_wheelmark":{"handover":[…]},"signatures":[…],"signed":…}`.
///
/// Each of those who sign the one signs the other as well, and nobody has to wait for the signatures
/// of others, as they would if those stood inside of what they sign.
pub fn assemble_handing(
    signed_canonical: &[u8],
    signatures: &[Signature],
    handover: &[Signature],
) -> Vec<u8> {
    let mut own = Map::new();
    own.insert(BESIDE.to_owned(), write_signatures(handover));
    let mut file = Vec::new();
    file.extend_from_slice(format!("{{\"{OWN_MEMBER}\":").as_bytes());
    file.extend_from_slice(&canonical::encode(&own.into()));
    file.push(b',');
    let rest = assemble(signed_canonical, signatures);
    file.extend_from_slice(rest.get(1..).unwrap_or_default());
    file
}

/// Whether a metadata file has signatures, and perhaps those of a handover that it brings, beside what is
/// signed, and nothing else that nobody has signed: what goes out byte for byte goes to every reader.
pub fn is_plain_file(bytes: &[u8], brings_handover: bool) -> bool {
    let Ok(Value::Object(mut file)) = canonical::parse(bytes) else {
        return false;
    };
    let own = file.remove(OWN_MEMBER);
    let is_own_plain = own.is_none_or(|own| {
        let Value::Object(mut own) = own else {
            return false;
        };
        let list = own.remove(BESIDE);
        brings_handover && own.is_empty() && list.is_some_and(|list| are_plain(&list))
    });
    let signatures = file.remove("signatures");
    let is_signed = file.remove("signed").is_some() && file.is_empty();
    is_own_plain && is_signed && signatures.is_some_and(|list| are_plain(&list))
}

/// Whether these are signatures of a possible number and length, and nothing else.
fn are_plain(list: &Value) -> bool {
    let is_text = |value: Option<&Value>, most: usize| {
        let text = value.and_then(Value::as_str);
        text.is_some_and(|text| text.len() <= most)
    };
    let Some(list) = list.as_array() else {
        return false;
    };
    list.len() <= MOST_SIGNATURES
        && list.iter().all(|entry| {
            let members = entry.as_object().map(Map::len);
            members == Some(2)
                && is_text(entry.get("keyid"), MAX_KEYID_LEN)
                && is_text(entry.get("sig"), MAX_SIG_LEN)
        })
}

/// The list as it stands in the signed part of metadata.
pub(super) fn listed(signed: &Value) -> Option<&Value> {
    signed.get(OWN_MEMBER)?.get(MEMBER)
}

impl Targets {
    /// The handovers that this metadata of `role` carries, all of which have their signatures in it.
    /// What was verified may have those of the newest [beside it](crate::Verified::handovers).
    ///
    /// # Errors
    ///
    /// As [`Handovers::read`].
    pub fn handovers(&self, role: &RoleName) -> Result<Handovers, HandoverError> {
        self.handovers_with(role, None)
    }

    /// The same, with what stands beside this metadata: there may be the signatures of the handover that
    /// this very version brings.
    pub(crate) fn handovers_with(
        &self,
        role: &RoleName,
        beside: Option<&Value>,
    ) -> Result<Handovers, HandoverError> {
        let own = self.extra.get(OWN_MEMBER);
        let list = own.and_then(|own| own.get(MEMBER));
        let brought = |last: &Handover| beside.filter(|_| last.version == self.version);
        let handovers = Handovers::read_with(list, role, brought)?;
        if let Some((last, _)) = handovers.list.last()
            && last.version > self.version
        {
            let (number, version) = (last.number, last.version);
            return Err(HandoverError::Version { number, version });
        }
        Ok(handovers)
    }

    /// States the handovers of the role, beside whatever stands in the same member; nothing where
    /// there are none.
    pub fn state_handovers(&mut self, handovers: &Handovers) {
        let own = self.extra.entry(OWN_MEMBER.to_owned()).or_default();
        if !own.is_object() {
            *own = Value::Object(Map::new());
        }
        if handovers.is_empty() {
            if let Some(own) = own.as_object_mut() {
                own.remove(MEMBER);
            }
            return;
        }
        own[MEMBER] = handovers.to_value();
    }

    /// States that this metadata is the first of a claim, whose keys are these: whoever signs it signs for
    /// them, and for how many of them have to sign from then on.
    pub fn state_claim(&mut self, keys: &KeySet) {
        let own = self.extra.entry(OWN_MEMBER.to_owned()).or_default();
        let ids = keys.keys().keys().map(KeyId::as_str);
        let ids: Vec<&str> = ids.collect();
        own[CLAIM] = json!({"keyids": ids, "threshold": keys.threshold()});
    }

    /// Whether this metadata says that it is the first of a claim.
    pub fn states_claim(&self) -> bool {
        let own = self.extra.get(OWN_MEMBER);
        own.is_some_and(|own| own.get(CLAIM).is_some())
    }

    /// States them as the metadata does from which they were read: without the signatures of the last
    /// one, where those stood beside.
    pub fn restate_handovers(&mut self, handovers: &Handovers) {
        self.state_handovers(handovers);
        if handovers.is_beside
            && let Some(last) = self.listed_mut().and_then(|list| list.last_mut())
        {
            last["signatures"] = Value::Array(Vec::new());
        }
    }

    /// States these handovers and one more, whose signatures are to stand beside what is signed.
    pub fn state_waiting(&mut self, published: &Handovers, handover: &Handover) {
        self.state_handovers(published);
        let waiting = json!({"signatures": [], "signed": handover.to_value()});
        match self.listed_mut() {
            Some(list) => list.push(waiting),
            None => self.extra.entry(OWN_MEMBER.to_owned()).or_default()[MEMBER] = json!([waiting]),
        }
    }

    fn listed_mut(&mut self) -> Option<&mut Vec<Value>> {
        let own = self.extra.get_mut(OWN_MEMBER)?;
        own.get_mut(MEMBER)?.as_array_mut()
    }
}
