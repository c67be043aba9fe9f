//! What the offline keys say of the day after a break-in: the statement of an index's recovery.
//!
//! ```text
//! targets: "_wheelmark": { "recovery": { "at", "since", "bulletin", "claims": { project: digest of its keys } } }
//! ```
//!
//! Whoever had the online key could write into `recently-claimed` what he liked, and clients remember
//! what they have seen there. PEP 480 lets an index that was broken into clear that role, restore what is
//! unclaimed, and keep what the claimed keys signed ("PEP 480, Key compromise analysis"). A cleared list
//! alone says nothing to a client that remembers: a claim that is gone is refused as an attack. So the
//! statement says it, in `targets`, which no online key signs: whose claims go on, with which keys, and that
//! everything else which is not sealed is to be forgotten.
//!
//! A client knows a statement by its digest, never by a number or a date: those a thief of the online key
//! cannot write either, but one who once had enough of the offline keys could have driven them up. Later
//! versions of `targets` carry the statement on as it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::canonical;
use crate::model::fields::{self, Extra, Fields, write_time};
use crate::model::{ModelError, OWN_MEMBER, RoleKeys, Targets};
use crate::name::RoleName;
use crate::sha256::Sha256;
use crate::shown::without_controls;

/// By how much a recovery raises the version of each role that the index or its holders sign, root aside:
/// above everything that was ever published, by anybody who did not drive the numbers up on purpose (PEP
/// 458, "In the Event of a Key Compromise", step 4: their version numbers are incremented).
/// Whoever did drive them up gains nothing, since clients forget timestamp and snapshot when root names
/// other keys for them (TUF §5.3.11).
///
/// A million snapshots are more than a century of one an hour; a version has 53 bits in every reader, and
/// so there is room for eight thousand million recoveries.
pub const RECOVERY_RAISE: u64 = 1 << 20;

/// The longest bulletin, in bytes: a page of text, which every client fetches with `targets`.
pub const MAX_BULLETIN_LEN: usize = 4_096;

/// The member of our own that has it, in the signed part of `targets`.
const MEMBER: &str = "recovery";

const AT: &str = "at";
const SINCE: &str = "since";
const BULLETIN: &str = "bulletin";
const CLAIMS: &str = "claims";

/// What the offline keys say of the last recovery of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRecovery {
    /// When the ceremony of the recovery began, in whole seconds.
    pub at: Timestamp,
    /// The last moment at which the index is known to have been good, in whole seconds: what clients have
    /// taken for granted since then is to be forgotten.
    pub since: Timestamp,
    /// What happened, for people: see [`bulletin`](fn@check_bulletin).
    pub bulletin: String,
    /// The claims that no offline key vouches for and that go on all the same, by the project's normalised
    /// name: the digest of their keys ([`claim_digest`]).
    pub claims: BTreeMap<String, Sha256>,
    /// Unknown fields, which are signed and count for the digest.
    pub extra: Extra,
}

/// A statement of a recovery that nobody can go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexRecoveryError {
    /// It is not in its form.
    #[error("the statement of the index's recovery cannot be read")]
    Model(#[from] ModelError),
    /// Its two dates are the wrong way round.
    #[error("the index's recovery would be of {at}, before the last good state of {since}")]
    Dates {
        /// When it is said to have been.
        at: Timestamp,
        /// Of when the last good state is said to be.
        since: Timestamp,
    },
    /// The bulletin is not a text that people can be shown.
    #[error(transparent)]
    Bulletin(#[from] BulletinError),
    /// What goes on is no project's claim.
    #[error("the statement of the index's recovery lets a claim go on that is no project's")]
    Project,
}

/// A text is no bulletin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BulletinError {
    /// There is nothing to read.
    #[error("a bulletin says something, and this is empty")]
    Empty,
    /// Longer than anybody reads in the middle of an install.
    #[error("a bulletin has at most {MAX_BULLETIN_LEN} bytes, and this has {length}")]
    Long {
        /// How many it has.
        length: usize,
    },
    /// A character that terminals obey, or that turns the direction of text.
    #[error(
        "a bulletin has plain lines, and line {line} of this has a character that is not shown as it is (a control character, a tab, or one that turns the direction of text)"
    )]
    Control {
        /// Which line, from 1.
        line: usize,
    },
}

/// Whether a text can be shown to people as a bulletin: 1 to [`MAX_BULLETIN_LEN`] bytes of plain lines,
/// each ended by a line feed or by the end, without any other control character and without those that
/// turn the direction of text.
///
/// # Errors
///
/// [`BulletinError`] says what it is instead.
pub fn check_bulletin(text: &str) -> Result<(), BulletinError> {
    if text.trim().is_empty() {
        return Err(BulletinError::Empty);
    }
    if text.len() > MAX_BULLETIN_LEN {
        let length = text.len();
        return Err(BulletinError::Long { length });
    }
    let mut lines = text.split('\n').zip(1..);
    match lines.find(|(line, _)| without_controls(line) != *line) {
        Some((_, line)) => Err(BulletinError::Control { line }),
        None => Ok(()),
    }
}

/// The digest of whose signatures a project's role needs: of the canonical form of the sorted ids of the
/// keys and the threshold, and of nothing else that stands there.
pub fn claim_digest(keys: &RoleKeys) -> Sha256 {
    let mut ids: Vec<&str> = keys.keyids.iter().map(|id| id.as_str()).collect();
    ids.sort_unstable();
    let stated = json!({ "keyids": ids, "threshold": keys.threshold });
    Sha256::of(&canonical::encode(&stated))
}

impl IndexRecovery {
    /// The statement that `targets` carries; none where the index was never recovered.
    ///
    /// # Errors
    ///
    /// When something stands there that cannot be read. `targets` is signed offline, so this is not
    /// the work of an online thief; a client that goes on without it would remember what it should forget.
    pub fn of(targets: &Targets) -> Result<Option<Self>, IndexRecoveryError> {
        let own = targets.extra.get(OWN_MEMBER);
        let stated = own.and_then(|own| own.get(MEMBER));
        stated.cloned().map(Self::from_value).transpose()
    }

    /// Lets `targets` carry it, in the place of one of before, beside whatever stands in the same member.
    pub fn state(&self, targets: &mut Targets) {
        let own = targets.extra.entry(OWN_MEMBER.to_owned()).or_default();
        if !own.is_object() {
            *own = Value::Object(Map::new());
        }
        own[MEMBER] = self.to_value();
    }

    /// Reads what [`IndexRecovery::to_value`] gave.
    ///
    /// # Errors
    ///
    /// As those of [`IndexRecovery::of`].
    pub fn from_value(value: Value) -> Result<Self, IndexRecoveryError> {
        let mut fields = Fields::of(value, MEMBER)?;
        let (at, since) = (fields.time(AT)?, fields.time(SINCE)?);
        if since > at {
            return Err(IndexRecoveryError::Dates { at, since });
        }
        let bulletin = fields.string(BULLETIN)?;
        check_bulletin(&bulletin)?;
        let listed = fields.object(CLAIMS)?.rest();
        let mut claims = BTreeMap::new();
        for (project, digest) in listed {
            RoleName::of_project(&project).map_err(|_| IndexRecoveryError::Project)?;
            let digest = digest.as_str().and_then(|digest| digest.parse().ok());
            let digest = digest.ok_or(ModelError::Invalid {
                field: CLAIMS,
                expected: "an object of sha256 digests",
            })?;
            claims.insert(project, digest);
        }
        Ok(Self {
            at,
            since,
            bulletin,
            claims,
            extra: fields.rest(),
        })
    }

    /// The statement as JSON, as `targets` carries it. Parts of a second are dropped.
    pub fn to_value(&self) -> Value {
        let mut object = fields::object(&self.extra);
        object.insert(AT.to_owned(), write_time(self.at).into());
        object.insert(SINCE.to_owned(), write_time(self.since).into());
        object.insert(BULLETIN.to_owned(), self.bulletin.as_str().into());
        let claims = self.claims.iter();
        let claims: Map<String, Value> = claims
            .map(|(project, digest)| (project.clone(), digest.to_string().into()))
            .collect();
        object.insert(CLAIMS.to_owned(), claims.into());
        object.into()
    }

    /// By what a statement is told from another: the digest of its canonical form, unknown fields included.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&canonical::encode(&self.to_value()))
    }

    /// Whether the claim of a project goes on that is not sealed: with these keys, and no others.
    pub fn goes_on(&self, project: &str, keys: &RoleKeys) -> bool {
        self.claims.get(project) == Some(&claim_digest(keys))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;
    use crate::{Key, SPEC_VERSION};

    fn keys(order: [u8; 2], threshold: u32) -> RoleKeys {
        let keys = order.map(|byte| Key::ed25519([byte; 32]));
        RoleKeys::new(&keys, threshold)
    }

    fn statement() -> IndexRecovery {
        IndexRecovery {
            at: "2026-06-02T09:00:00Z".parse().unwrap(),
            since: "2026-05-30T22:00:00Z".parse().unwrap(),
            bulletin: "The online key was stolen.\nWhat it signed since Saturday is gone.\n"
                .to_owned(),
            claims: BTreeMap::from([("acme-tools".to_owned(), claim_digest(&keys([1, 2], 1)))]),
            extra: Extra::new(),
        }
    }

    fn targets() -> Targets {
        let mut targets = Targets {
            spec_version: SPEC_VERSION.to_owned(),
            version: 7,
            expires: "2027-06-02T09:00:00Z".parse().unwrap(),
            targets: BTreeMap::new(),
            delegations: None,
            extra: Extra::new(),
        };
        targets.state_role(&RoleName::targets());
        targets
    }

    #[test]
    fn stands_in_targets_beside_the_name_of_the_role() {
        let mut targets = targets();
        assert_eq!(IndexRecovery::of(&targets), Ok(None));
        let said = statement();
        said.state(&mut targets);
        assert_eq!(IndexRecovery::of(&targets), Ok(Some(said.clone())));
        assert_eq!(targets.stated_role(), Some("targets"));
        let mut next = said.clone();
        next.bulletin = "Again.".to_owned();
        next.state(&mut targets);
        assert_eq!(IndexRecovery::of(&targets), Ok(Some(next.clone())));
        assert_ne!(next.digest(), said.digest());
    }

    #[test]
    fn what_is_unknown_counts_for_the_digest() {
        let mut value = statement().to_value();
        value["later"] = json!({ "x": 1 });
        let read = IndexRecovery::from_value(value.clone()).unwrap();
        assert_eq!(read.to_value(), value);
        assert_ne!(read.digest(), statement().digest());
    }

    #[test]
    fn a_claim_goes_on_with_its_keys_alone() {
        let said = statement();
        assert!(said.goes_on("acme-tools", &keys([2, 1], 1)), "in any order");
        let mut marked = keys([1, 2], 1);
        marked
            .extra
            .insert(OWN_MEMBER.to_owned(), json!({ "claimed-at": "x" }));
        assert!(
            said.goes_on("acme-tools", &marked),
            "whatever stands beside"
        );
        assert!(!said.goes_on("acme-tools", &keys([1, 2], 2)));
        assert!(!said.goes_on("acme-tools", &keys([1, 3], 1)));
        assert!(!said.goes_on("acme", &keys([1, 2], 1)));
    }

    #[test]
    fn refuses_what_nobody_can_go_by() {
        let with = |member: &str, value: Value| {
            let mut stated = statement().to_value();
            stated[member] = value;
            IndexRecovery::from_value(stated).unwrap_err()
        };
        for (member, value) in [
            (AT, json!(3)),
            (SINCE, json!("2026-05-30")),
            (BULLETIN, Value::Null),
            (CLAIMS, json!([])),
            (CLAIMS, json!({ "acme": "0" })),
        ] {
            let refused = with(member, value);
            assert!(
                matches!(refused, IndexRecoveryError::Model(_)),
                "{refused:?}"
            );
        }
        let digest = Sha256::of(b"").to_string();
        for project in ["Acme", "../x", "", "a--b"] {
            let claims = json!({ project: &digest });
            assert_eq!(
                with(CLAIMS, claims),
                IndexRecoveryError::Project,
                "{project}"
            );
        }
        let refused = with(SINCE, json!("2026-06-02T09:00:01Z"));
        assert!(matches!(refused, IndexRecoveryError::Dates { .. }));
        let said = |text: &str| with(BULLETIN, text.into());
        assert_eq!(said(" \n"), BulletinError::Empty.into());
        let long = MAX_BULLETIN_LEN + 1;
        assert_eq!(
            said(&"x".repeat(long)),
            BulletinError::Long { length: long }.into()
        );
        for text in [
            "one\n\u{1b}[2J",
            "one\na\tb",
            "one\r\n2\r",
            "one\n\u{202e}two",
        ] {
            let line = if text.starts_with("one\r") { 1 } else { 2 };
            assert_eq!(
                said(text),
                BulletinError::Control { line }.into(),
                "{text:?}"
            );
        }
        assert_eq!(check_bulletin(&"é".repeat(MAX_BULLETIN_LEN / 2)), Ok(()));
    }
}
