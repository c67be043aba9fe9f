//! The list of claims that a holder saw last, held against what the next one says of their age.
//!
//! Since when the keys of a claim stand is the online key's word, and whoever has that key can write any
//! date. But the list of all claims travels with every ceremony, and a holder remembers the last one: a
//! claim that is said to be older has to be in it, with the same keys.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wheelmark_ceremony::{Ceremony, Claim};
use wheelmark_tuf::{Sha256, canonical};

/// How far the clocks of the index and of whoever began a ceremony may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// How many bytes of a digest are remembered: as many as nobody finds another set of keys for.
const DIGEST_LEN: usize = 16;

/// All claims as a holder saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenClaims {
    /// When the ceremony began that showed them.
    pub(super) at: Timestamp,
    /// A digest of the keys and the threshold of each project.
    keys: BTreeMap<String, String>,
}

/// A claim that was sealed on an earlier date than it can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooOld {
    pub(super) project: String,
    /// Since when its keys are said to stand.
    pub(super) since: Timestamp,
    /// When other keys were seen, or none.
    pub(super) seen: Timestamp,
    /// Whether there were others.
    pub(super) others: bool,
}

impl SeenClaims {
    /// What a ceremony shows; none where the list did not come along.
    pub(super) fn of(ceremony: &Ceremony) -> Option<Self> {
        let standing = ceremony.standing();
        let all = standing.waiting()?.into_iter().chain(standing.sealed());
        let keys = all.map(|claim| (claim.project().to_owned(), digest(&claim)));
        Some(Self {
            at: ceremony.plan().made_at,
            keys: keys.collect(),
        })
    }

    /// The first of the claims that a ceremony seals whose keys are said to have stood when this list
    /// was seen, and did not.
    pub(super) fn refutes(&self, ceremony: &Ceremony) -> Option<TooOld> {
        let sealed = ceremony.newly_sealed();
        sealed.iter().find_map(|claim| self.refutes_claim(claim))
    }

    fn refutes_claim(&self, claim: &Claim) -> Option<TooOld> {
        let since = claim.marks.unchanged_since()?;
        let known = self.keys.get(claim.project());
        let is_later = self.at.duration_since(since) < CLOCKS_APART;
        if is_later || known.is_some_and(|known| *known == digest(claim)) {
            return None;
        }
        Some(TooOld {
            project: claim.project().to_owned(),
            since,
            seen: self.at,
            others: known.is_some(),
        })
    }

    /// Whether the keys of a claim are those that were seen then.
    pub(super) fn has(&self, claim: &Claim) -> bool {
        self.keys.get(claim.project()) == Some(&digest(claim))
    }
}

fn digest(claim: &Claim) -> String {
    let mut ids: Vec<&str> = claim.keys.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    let keys = json!({ "keys": ids, "threshold": claim.threshold });
    let digest = Sha256::of(&canonical::encode(&keys));
    hex::encode(&digest.0[..DIGEST_LEN])
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use wheelmark_tuf::{ClaimMarks, KeyId, RoleName};

    use super::*;

    fn claim(project: &str, key: &str, since: &str) -> Claim {
        Claim {
            role: RoleName::of_project(project).unwrap(),
            keys: vec![(KeyId::from(key.to_owned()), None)],
            threshold: 1,
            marks: ClaimMarks {
                claimed_at: Some(since.parse().unwrap()),
                ..ClaimMarks::default()
            },
        }
    }

    #[test]
    fn a_date_from_before_the_last_list_needs_the_same_keys_in_it() {
        let at: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let keys = [("flask", "a"), ("jinja", "b")];
        let keys = keys.map(|(project, key)| {
            let claim = claim(project, key, "2026-01-01T00:00:00Z");
            (project.to_owned(), digest(&claim))
        });
        let seen = SeenClaims {
            at,
            keys: keys.into_iter().collect(),
        };
        let refuted = |project, key, since| seen.refutes_claim(&claim(project, key, since));
        let (before, after) = ("2026-05-01T00:00:00Z", "2026-06-02T00:00:00Z");
        assert_eq!(refuted("flask", "a", before), None);
        assert_eq!(
            refuted("flask", "evil", after),
            None,
            "later than what was seen"
        );
        let found = refuted("flask", "evil", before).unwrap();
        assert!(found.others && found.seen == at, "{found:?}");
        let found = refuted("new-one", "evil", before).unwrap();
        assert!(!found.others, "{found:?}");
        assert_eq!(
            refuted("new-one", "c", "2026-05-31T12:00:00Z"),
            None,
            "clocks differ"
        );
        assert!(seen.has(&claim("jinja", "b", after)) && !seen.has(&claim("jinja", "a", after)));
    }
}
