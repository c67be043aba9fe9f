//! Identities that are expected because they were seen before.
//!
//! ```text
//! what is remembered of a project ─┐
//! a file: version, age             ├▶ weigh ─▶ Standing: remember it, known, older, or refused
//! who attested to it, verified     ─┘
//! ```
//!
//! Whoever attested to the first file of a project that was seen is who is expected from then on. It
//! proves nothing of that first file; it shows when the project changes hands, and when attestations
//! stop coming, which is what an intruder without the project's own pipeline would have to do.
//!
//! What was seen while somebody else spoke for the index can be taken back: see
//! [`Remembered::forget_since`].

mod forgetting;
mod moment;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wheelmark_packaging::Version;

use crate::identity::Identity;
use crate::publisher::Publisher;

/// Most identities that are remembered of one project, accepted and revoked together.
pub const MAX_REMEMBERED: usize = 64;

/// What is remembered of who attests to a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Remembered {
    /// Whose attestations count.
    #[serde(default)]
    pub accepted: Vec<Accepted>,
    /// Whose do not any more.
    #[serde(default)]
    pub revoked: Vec<Revoked>,
    /// The file from which on attestations are expected.
    #[serde(default)]
    pub since: Option<Since>,
}

/// An identity whose attestations count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Accepted {
    /// Who.
    pub publisher: Publisher,
    /// How it came to count.
    pub by: AcceptedBy,
    /// When.
    #[serde(with = "moment")]
    pub at: Timestamp,
    /// The file with which it was seen first, where it was.
    #[serde(default)]
    pub file: Option<String>,
    /// The number of the account that its repository belongs to, as the first attestation that counted
    /// said it. Names can be given up and taken by others, and numbers cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When that number was seen, by the clock of whoever saw it; none of one that was written down by a
    /// version of this program that did not ask.
    #[serde(
        default,
        with = "moment::or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub account_at: Option<Timestamp>,
}

/// How an identity came to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptedBy {
    /// It attested to the first file that was seen.
    FirstUse,
    /// A person said so.
    Hand,
}

/// An identity whose attestations do not count any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Revoked {
    /// Who.
    pub publisher: Publisher,
    /// Since when.
    #[serde(with = "moment")]
    pub at: Timestamp,
}

/// The oldest file that was seen with an attestation, by version and by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Since {
    /// The lowest version.
    pub version: Version,
    /// The earliest time, as far as pages said it.
    #[serde(default, with = "moment::or_none")]
    pub uploaded: Option<Timestamp>,
    /// When it was first seen that files are attested, by the clock of whoever saw it.
    #[serde(
        default,
        with = "moment::or_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub began: Option<Timestamp>,
    /// What stood here before, the oldest first: a few are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Before>,
}

/// What a [`Since`] was until an older file was seen attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Before {
    /// Until when it stood, by the clock of whoever saw the older file.
    #[serde(with = "moment")]
    pub until: Timestamp,
    /// The lowest version.
    pub version: Version,
    /// The earliest time.
    #[serde(default, with = "moment::or_none")]
    pub uploaded: Option<Timestamp>,
}

/// How a file stands to what is remembered of its project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody attests to it, and nobody is expected to.
    Unattested,
    /// Nobody attests to it, and it is older than all that were seen attested.
    Older,
    /// These attest to it, and nobody is expected yet: they are from now on.
    First(Vec<Publisher>),
    /// One of those that are expected attests to it.
    Known(Publisher),
    /// Nobody attests to it, and somebody is expected to.
    Vanished {
        /// Who is expected.
        expected: Vec<Publisher>,
    },
    /// Others attest to it than those that are expected.
    ChangedHands {
        /// Who is expected.
        expected: Vec<Publisher>,
        /// Who does.
        found: Vec<Publisher>,
    },
    /// Who is expected has the name that it had, and is another account.
    OtherAccount {
        /// The name.
        publisher: Publisher,
        /// The number of the account that is expected.
        expected: String,
        /// That of the one that attests to it, if it says any.
        found: Option<String>,
    },
    /// Those alone attest to it whose attestations do not count any more.
    RevokedOnly {
        /// Who does.
        found: Vec<Publisher>,
    },
}

impl Remembered {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How a file stands to what is remembered, by those who attested to it: their identities are
    /// from verified attestations.
    pub fn weigh(
        &self,
        version: &Version,
        uploaded: Option<Timestamp>,
        attested: &[&Identity],
    ) -> Standing {
        let expected = || {
            self.accepted
                .iter()
                .map(|one| one.publisher.clone())
                .collect()
        };
        if attested.is_empty() {
            return match &self.since {
                None if self.accepted.is_empty() => Standing::Unattested,
                Some(since) if since.comes_after(version, uploaded) => Standing::Older,
                _ => Standing::Vanished {
                    expected: expected(),
                },
            };
        }
        let found: Vec<Publisher> = attested.iter().map(|one| as_kept(one)).collect();
        // What was revoked counts for nothing, whatever else is remembered of it.
        let revoked = |identity: &&&Identity| {
            let mut revoked = self.revoked.iter();
            revoked.any(|gone| identity.matches(&gone.publisher).is_ok())
        };
        let counting: Vec<&&Identity> = attested.iter().filter(|one| !revoked(one)).collect();
        if counting.is_empty() {
            return Standing::RevokedOnly { found };
        }
        let mut other = None;
        for accepted in &self.accepted {
            let named = |one: &&&&Identity| one.matches(&accepted.publisher).is_ok();
            for identity in counting.iter().filter(named) {
                let found = identity.claims().owner_id.as_ref();
                match &accepted.account {
                    Some(expected) if found != Some(expected) => {
                        other.get_or_insert_with(|| Standing::OtherAccount {
                            publisher: accepted.publisher.clone(),
                            expected: expected.clone(),
                            found: found.cloned(),
                        });
                    }
                    _ => return Standing::Known(accepted.publisher.clone()),
                }
            }
        }
        if let Some(other) = other {
            return other;
        }
        if self.accepted.is_empty() && self.revoked.is_empty() {
            return Standing::First(found);
        }
        Standing::ChangedHands {
            expected: expected(),
            found,
        }
    }

    /// The same, and remembers what comes of it: an identity that is the first, and that the file is
    /// attested. Whoever keeps this for several at a time holds its lock meanwhile.
    pub fn weigh_and_remember(
        &mut self,
        file: (&str, &Version, Option<Timestamp>),
        attested: &[&Identity],
        now: Timestamp,
    ) -> Standing {
        let (name, version, uploaded) = file;
        let standing = self.weigh(version, uploaded, attested);
        match &standing {
            Standing::First(found) => {
                for publisher in found {
                    let file = Some(name.to_owned());
                    self.add(publisher.clone(), AcceptedBy::FirstUse, now, file);
                    self.keep_account(publisher, attested, now);
                }
                self.attested(version, uploaded, now);
            }
            Standing::Known(publisher) => {
                self.keep_account(publisher, attested, now);
                self.attested(version, uploaded, now);
            }
            _ => {}
        }
        standing
    }

    /// Writes down whose account a publisher is, where that is not known yet and nobody contradicts it.
    fn keep_account(&mut self, publisher: &Publisher, attested: &[&Identity], now: Timestamp) {
        let mut numbers: Vec<&String> = attested
            .iter()
            .filter(|one| one.matches(publisher).is_ok())
            .filter_map(|one| one.claims().owner_id.as_ref())
            .collect();
        numbers.dedup();
        // Of two accounts by one name nobody here knows which is meant.
        let account = match numbers[..] {
            [one] => Some(one.clone()),
            _ => None,
        };
        let mut accepted = self.accepted.iter_mut();
        if let Some(known) = accepted.find(|one| one.publisher == *publisher)
            && known.account.is_none()
        {
            known.account_at = account.as_ref().map(|_| now);
            known.account = account;
        }
    }

    /// Moves what attestations are expected from on back to this file, if that is older.
    fn attested(&mut self, version: &Version, uploaded: Option<Timestamp>, now: Timestamp) {
        let since = self.since.get_or_insert_with(|| Since {
            version: version.clone(),
            uploaded,
            began: Some(now),
            before: Vec::new(),
        });
        since.reach_back(version, uploaded, now);
    }

    /// Lets an identity count from now on, because a person says so: whatever account has its name now.
    pub fn accept(&mut self, publisher: Publisher, now: Timestamp) {
        let same = |gone: &Revoked| is_same(&gone.publisher, &publisher);
        self.revoked.retain(|gone| !same(gone));
        for known in &mut self.accepted {
            if is_same(&known.publisher, &publisher) {
                (known.account, known.account_at) = (None, None);
            }
        }
        self.add(publisher, AcceptedBy::Hand, now, None);
    }

    fn add(&mut self, publisher: Publisher, by: AcceptedBy, at: Timestamp, file: Option<String>) {
        let known = self.accepted.iter().any(|one| one.publisher == publisher);
        if known || self.accepted.len() + self.revoked.len() >= MAX_REMEMBERED {
            return;
        }
        self.accepted.push(Accepted {
            publisher,
            by,
            at,
            file,
            account: None,
            account_at: None,
        });
    }

    /// Lets an identity count no more, in whatever case and environment it is written; `false` if it
    /// did not count. It is not taken up again by itself.
    pub fn revoke(&mut self, publisher: &Publisher, now: Timestamp) -> bool {
        let before = self.accepted.len();
        self.accepted
            .retain(|one| !is_same(&one.publisher, publisher));
        let counted = self.accepted.len() < before;
        let known = self.revoked.iter().any(|gone| gone.publisher == *publisher);
        if !known {
            self.revoked.push(Revoked {
                publisher: publisher.clone(),
                at: now,
            });
        }
        counted
    }
}

impl Since {
    /// Whether a file is plainly older than all that were seen attested: in its version, and in its
    /// time, as far as that is told.
    fn comes_after(&self, version: &Version, uploaded: Option<Timestamp>) -> bool {
        let earlier = match (uploaded, self.uploaded) {
            (Some(file), Some(first)) => file < first,
            (None, Some(_)) => false,
            // Where no page ever told a time, the version alone can be held against.
            (_, None) => true,
        };
        *version < self.version && earlier
    }
}

/// Whether two publishers are one: environments aside, and the case of letters, in which no two of
/// them differ.
fn is_same(one: &Publisher, other: &Publisher) -> bool {
    let plain = |publisher: &Publisher| publisher.without_environment().to_string();
    plain(one).eq_ignore_ascii_case(&plain(other))
}

/// An identity as it is kept: in any environment, which not every certificate names.
fn as_kept(identity: &Identity) -> Publisher {
    identity.publisher().without_environment()
}

#[cfg(test)]
mod tests;
