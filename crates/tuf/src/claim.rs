//! The delegation to a project's own role, as `claimed` and `recently-claimed` have it (PEP 480).
//!
//! ```text
//! recently-claimed: keys, threshold, paths, claimed-at ──sealed──▶ claimed: the same, floor, sealed-at
//!                                                      ◀─unsealed─
//! ```
//!
//! Whoever seals a claim changes nothing of it but that: so the two lists can be held against each
//! other, by those who sign and by those who publish. Where the project's people have handed over
//! since, a later ceremony puts the keys into `claimed` to which they did
//! ([`DelegatedRole::taken_over`]), and changes nothing else of it either.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::handover::KeySet;
use crate::model::{DelegatedRole, OWN_MEMBER, PathPattern, PathSet, RoleKeys};
use crate::name::RoleName;

/// How the role of a claimed project begins; its name follows.
const PROJECT_PREFIX: &str = "project-";

const CLAIMED_AT: &str = "claimed-at";
const KEYS_SINCE: &str = "keys-since";
const SEALED_AT: &str = "sealed-at";
const FLOOR: &str = "floor";
const MAINTAINERS: &str = "maintainers";
const UNSEALED_AT: &str = "unsealed-at";

/// What a delegation to a project's own role says of its claim, under `_wheelmark`.
///
/// In `recently-claimed` all of it is the word of the online key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClaimMarks {
    /// When the project was claimed.
    pub claimed_at: Option<Timestamp>,
    /// Since when these keys sign, where that is later.
    pub keys_since: Option<Timestamp>,
    /// When the ceremony began that took it over.
    pub sealed_at: Option<Timestamp>,
    /// The version of the project's role below which none counts.
    pub floor: Option<u64>,
    /// When a ceremony gave it back to the online key.
    pub unsealed_at: Option<Timestamp>,
}

impl ClaimMarks {
    /// Reads them. What is not there, or not as it should be, is none.
    pub fn of(keys: &RoleKeys) -> Self {
        let own = keys.extra.get(OWN_MEMBER);
        let time = |name| own?.get(name)?.as_str()?.parse().ok();
        Self {
            claimed_at: time(CLAIMED_AT),
            keys_since: time(KEYS_SINCE),
            sealed_at: time(SEALED_AT),
            floor: own.and_then(|own| own.get(FLOOR)?.as_u64()),
            unsealed_at: time(UNSEALED_AT),
        }
    }

    /// Since when the keys have stood unchanged: the later of the claim and the last change. None where
    /// nothing says so.
    pub fn unchanged_since(&self) -> Option<Timestamp> {
        self.claimed_at.max(self.keys_since)
    }
}

impl DelegatedRole {
    /// Whether this is a claim in the one form in which an index writes it: the role of a project,
    /// terminating, for the project's own paths and no others, and without members of others.
    ///
    /// Whoever has the online key could write something else, and an offline key is not to sign it.
    pub fn is_claim(&self) -> bool {
        let Some(project) = self.name.project() else {
            return false;
        };
        let own = [
            format!("simple/{project}/*"),
            format!("packages/{project}/*"),
        ];
        let own = own.into_iter().map(PathPattern::from).collect();
        let has_own_alone = self.keys.extra.keys().all(|name| name == OWN_MEMBER);
        let is_object = self.keys.extra.values().all(Value::is_object);
        self.terminating && self.paths == PathSet::Patterns(own) && has_own_alone && is_object
    }

    /// The claim as `claimed` has it: the same keys for the same paths, no version of the role below
    /// `floor`, sealed by a ceremony that began at that time.
    #[must_use]
    pub fn sealed(&self, floor: u64, at: Timestamp) -> Self {
        let mut sealed = self.clone();
        let own = sealed.keys.extra.entry(OWN_MEMBER.to_owned());
        let own = own.or_insert_with(|| json!({}));
        if let Some(own) = own.as_object_mut() {
            own.insert(FLOOR.to_owned(), floor.into());
            own.insert(SEALED_AT.to_owned(), at.to_string().into());
            own.remove(UNSEALED_AT);
        }
        sealed
    }

    /// A sealed claim with the keys to which its people have handed over on `since`: no version of the
    /// role below `floor` counts, by a ceremony that began at that time.
    ///
    /// For whom keys are registered stays with those that stay. Of those that come in, nothing that is
    /// signed says it.
    #[must_use]
    pub fn taken_over(&self, to: &KeySet, since: Timestamp, floor: u64, at: Timestamp) -> Self {
        let mut taken = self.clone();
        let extra = std::mem::take(&mut taken.keys.extra);
        taken.keys = to.role_keys();
        taken.keys.extra = extra;
        let own = taken.keys.extra.entry(OWN_MEMBER.to_owned());
        let own = own.or_insert_with(|| json!({}));
        if let Some(own) = own.as_object_mut() {
            own.insert(KEYS_SINCE.to_owned(), since.to_string().into());
            if let Some(users) = own.get_mut(MAINTAINERS).and_then(Value::as_object_mut) {
                users.retain(|id, _| to.keys().keys().any(|key| key.as_str() == id));
            }
        }
        taken.sealed(floor, at)
    }

    /// The claim as `recently-claimed` has it: without what sealing added, and since when.
    #[must_use]
    pub fn unsealed(&self, at: Timestamp) -> Self {
        let mut unsealed = self.clone();
        let own = unsealed.keys.extra.get_mut(OWN_MEMBER);
        if let Some(own) = own.and_then(Value::as_object_mut) {
            own.remove(FLOOR);
            own.remove(SEALED_AT);
            own.insert(UNSEALED_AT.to_owned(), at.to_string().into());
        }
        unsealed
    }
}

impl RoleName {
    /// The role by which the people of a project sign.
    ///
    /// # Errors
    ///
    /// When that is not the normalised name of a project.
    pub fn of_project(project: &str) -> Result<Self, ParseProjectRoleError> {
        let role = format!("{PROJECT_PREFIX}{project}");
        let role: RoleName = role.parse().map_err(|_| ParseProjectRoleError)?;
        match role.project() {
            Some(_) => Ok(role),
            None => Err(ParseProjectRoleError),
        }
    }

    /// The project whose people sign this role; none for any other role. Its name is normalised (PEP
    /// 503): lower-case letters and digits, with single `-` between them.
    pub fn project(&self) -> Option<&str> {
        let project = self.as_str().strip_prefix(PROJECT_PREFIX)?;
        let is_part = |part: &str| {
            let mut letters = part.bytes();
            !part.is_empty() && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        project.split('-').all(is_part).then_some(project)
    }
}

/// The text is not the name of a project, as the name of its role has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not the normalised name of a project: lower-case letters, digits and single hyphens"
)]
pub struct ParseProjectRoleError;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;
    use crate::Key;

    fn claim(own: Value) -> DelegatedRole {
        let key = Key::ed25519([7; 32]);
        let mut keys = RoleKeys::new([&key], 1);
        keys.extra.insert(OWN_MEMBER.to_owned(), own);
        let paths = ["simple/acme-tools/*", "packages/acme-tools/*"];
        DelegatedRole {
            name: RoleName::of_project("acme-tools").unwrap(),
            keys,
            terminating: true,
            paths: PathSet::Patterns(paths.into_iter().map(PathPattern::from).collect()),
        }
    }

    #[test]
    fn sealing_adds_two_marks_and_unsealing_takes_them_away() {
        let own = json!({ "claimed-at": "2026-03-01T12:00:00Z", "maintainers": { "a": "alice" } });
        let plain = claim(own);
        assert!(plain.is_claim());
        let at = "2026-06-01T00:00:00Z".parse().unwrap();
        let sealed = plain.sealed(7, at);
        let marks = ClaimMarks::of(&sealed.keys);
        assert_eq!((marks.floor, marks.sealed_at), (Some(7), Some(at)));
        assert_eq!(marks.unchanged_since(), marks.claimed_at);
        assert!(sealed.is_claim() && sealed.keys.keyids == plain.keys.keyids);
        let back = sealed.unsealed(at);
        let marks = ClaimMarks::of(&back.keys);
        assert_eq!((marks.floor, marks.unsealed_at), (None, Some(at)));
        assert_eq!(back.sealed(7, at), sealed);
        assert_eq!(ClaimMarks::of(&plain.keys).floor, None);
    }

    #[test]
    fn taking_over_changes_keys_and_marks_alone() {
        let (stays, comes) = (Key::ed25519([7; 32]), Key::ed25519([8; 32]));
        let id = stays.keyid().as_str().to_owned();
        let own = json!({ "claimed-at": "2026-03-01T12:00:00Z", "maintainers": { &id: "alice", "gone": "bob" } });
        let [first, since, at] = ["2026-04-01", "2026-05-01", "2026-06-01"]
            .map(|day| format!("{day}T00:00:00Z").parse::<Timestamp>().unwrap());
        let sealed = claim(own).sealed(7, first);
        let to = KeySet::new([stays, comes], 2).unwrap();
        let taken = sealed.taken_over(&to, since, 9, at);
        let marks = ClaimMarks::of(&taken.keys);
        assert_eq!((marks.floor, marks.sealed_at), (Some(9), Some(at)));
        assert_eq!(marks.unchanged_since(), Some(since));
        assert_eq!(marks.claimed_at, ClaimMarks::of(&sealed.keys).claimed_at);
        assert_eq!(
            taken.keys.extra[OWN_MEMBER]["maintainers"],
            json!({ id: "alice" })
        );
        assert_eq!((taken.keys.keyids.len(), taken.keys.threshold), (2, 2));
        assert!(taken.is_claim() && taken.paths == sealed.paths);
    }

    #[test]
    fn the_later_of_claim_and_change_counts() {
        let marks = |own| ClaimMarks::of(&claim(own).keys).unchanged_since();
        let (first, then) = ("2026-03-01T12:00:00Z", "2026-04-01T12:00:00Z");
        let changed = marks(json!({ "claimed-at": first, "keys-since": then }));
        assert_eq!(changed, Some(then.parse().unwrap()));
        let earlier = marks(json!({ "claimed-at": then, "keys-since": first }));
        assert_eq!(earlier, Some(then.parse().unwrap()));
        assert_eq!(marks(json!({ "claimed-at": "yesterday" })), None);
    }

    #[test]
    fn what_an_index_does_not_write_is_no_claim() {
        let refused = |change: &dyn Fn(&mut DelegatedRole)| {
            let mut role = claim(json!({}));
            change(&mut role);
            assert!(!role.is_claim(), "{role:?}");
        };
        refused(&|role| role.terminating = false);
        refused(&|role| role.paths = PathSet::Patterns(vec![PathPattern::from("simple/*/*")]));
        refused(&|role| role.paths = PathSet::HashPrefixes(vec![String::new()]));
        refused(&|role| role.name = RoleName::of_project("other").unwrap());
        refused(&|role| drop(role.keys.extra.insert("more".to_owned(), json!({}))));
        refused(&|role| drop(role.keys.extra.insert(OWN_MEMBER.to_owned(), json!(1))));
        for name in ["", "a--b", "-a", "a-", "A", "a.b", "a/b", "*", "a*", "ä"] {
            assert_eq!(
                RoleName::of_project(name),
                Err(ParseProjectRoleError),
                "{name}"
            );
        }
    }
}
