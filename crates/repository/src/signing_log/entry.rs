//! One line of the signing log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use wheelmark_tuf::{KeyId, OWN_MEMBER, RoleName, Sha256, TimestampMetadata, canonical};

/// The member of a timestamp's own member that carries a head.
pub(crate) const LOGGED: &str = "signing-log";

/// What the online key signed at one time, chained to what it signed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 1 on.
    pub number: u64,
    /// The SHA-256 of the line before it; zeros in the first one.
    pub previous: Sha256,
    /// When it was signed.
    pub time: Timestamp,
    /// The keys that signed.
    pub keys: Vec<KeyId>,
    /// The roles that were signed.
    pub signed: BTreeMap<RoleName, SignedRole>,
    /// The digest of a recorded snapshot that was sealed: the seal is a signature, too.
    pub record: Option<Sha256>,
    /// Where the log begins, or goes on after entries were lost.
    pub follows: Option<Follows>,
}

/// A role as it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRole {
    /// Its version.
    pub version: u64,
    /// The SHA-256 of the bytes that were signed: of `signed` in the metadata file.
    pub sha256: Sha256,
}

/// The published timestamp that the log goes on from, where it does not have what led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follows {
    /// The version of the timestamp.
    pub version: u64,
    /// The SHA-256 of its file.
    pub sha256: Sha256,
    /// The head that it carries, which was to be in this log and is not.
    pub lost: Option<Head>,
}

/// An entry by its number and the SHA-256 of its line: it stands for everything up to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The entry's number.
    pub number: u64,
    /// The SHA-256 of its line, without the line's end.
    pub sha256: Sha256,
}

impl Head {
    /// Where the log begins: no entry, and zeros.
    pub(crate) const NONE: Self = Self {
        number: 0,
        sha256: Sha256([0; 32]),
    };

    /// The head that the line of entry `number` is.
    pub fn of(number: u64, line: &[u8]) -> Self {
        let sha256 = Sha256::of(line);
        Self { number, sha256 }
    }

    /// The head that a timestamp carries: everything that was signed before the timestamp itself.
    pub fn carried_by(timestamp: &TimestampMetadata) -> Option<Self> {
        Self::from_json(timestamp.extra.get(OWN_MEMBER)?.get(LOGGED)?)
    }

    /// As it stands in signed metadata and in the log.
    pub(crate) fn to_json(self) -> Value {
        json!({ "entry": self.number, "sha256": self.sha256.to_string() })
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            number: value.get("entry")?.as_u64()?,
            sha256: value.get("sha256")?.as_str()?.parse().ok()?,
        })
    }
}

impl Entry {
    /// An entry behind `head` in which nothing is signed yet.
    pub(crate) fn behind(head: Head, time: Timestamp) -> Self {
        Self {
            number: head.number + 1,
            previous: head.sha256,
            time,
            keys: Vec::new(),
            signed: BTreeMap::new(),
            record: None,
            follows: None,
        }
    }

    /// The line: canonical JSON, without the line's end.
    pub fn to_line(&self) -> String {
        let mut members = Map::from_iter([
            ("entry".to_owned(), self.number.into()),
            ("previous".to_owned(), self.previous.to_string().into()),
            ("time".to_owned(), self.time.to_string().into()),
        ]);
        if !self.keys.is_empty() {
            let keys = self.keys.iter().map(KeyId::as_str);
            members.insert("keys".to_owned(), keys.collect());
        }
        if !self.signed.is_empty() {
            let roles = self.signed.iter().map(|(role, signed)| {
                let sha256 = signed.sha256.to_string();
                let signed = json!({ "version": signed.version, "sha256": sha256 });
                (role.as_str().to_owned(), signed)
            });
            members.insert("signed".to_owned(), Value::Object(roles.collect()));
        }
        if let Some(record) = self.record {
            members.insert("record".to_owned(), record.to_string().into());
        }
        if let Some(follows) = self.follows {
            let sha256 = follows.sha256.to_string();
            let mut said = json!({ "timestamp": follows.version, "sha256": sha256 });
            if let Some(lost) = follows.lost {
                said["lost"] = lost.to_json();
            }
            members.insert("follows".to_owned(), said);
        }
        // Hexadecimal digits, dates, and names of roles, which have no line's end in them.
        let line = canonical::encode(&Value::Object(members));
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Reads a line; none if it is no entry. Members that are not known are passed over.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(line).ok()?;
        let digest = |value: &Value| -> Option<Sha256> { value.as_str()?.parse().ok() };
        let keys = match value.get("keys") {
            None => Vec::new(),
            Some(keys) => {
                let keys = keys.as_array()?.iter();
                let keys: Option<Vec<KeyId>> = keys
                    .map(|id| Some(KeyId::from(id.as_str()?.to_owned())))
                    .collect();
                keys?
            }
        };
        let signed = match value.get("signed") {
            None => BTreeMap::new(),
            Some(roles) => {
                let roles = roles.as_object()?.iter();
                let roles: Option<BTreeMap<RoleName, SignedRole>> = roles
                    .map(|(role, signed)| {
                        let version = signed.get("version")?.as_u64()?;
                        let sha256 = digest(signed.get("sha256")?)?;
                        Some((role.parse().ok()?, SignedRole { version, sha256 }))
                    })
                    .collect();
                roles?
            }
        };
        let record = match value.get("record") {
            None => None,
            Some(record) => Some(digest(record)?),
        };
        let follows = match value.get("follows") {
            None => None,
            Some(said) => Some(Follows {
                version: said.get("timestamp")?.as_u64()?,
                sha256: digest(said.get("sha256")?)?,
                lost: said.get("lost").and_then(Head::from_json),
            }),
        };
        Some(Self {
            number: value.get("entry")?.as_u64()?,
            previous: digest(value.get("previous")?)?,
            time: value.get("time")?.as_str()?.parse().ok()?,
            keys,
            signed,
            record,
            follows,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_the_entry_says_and_is_one_line() {
        let mut entry = Entry::behind(Head::of(6, b"the line before"), Timestamp::UNIX_EPOCH);
        entry.keys.push(KeyId::from("a".repeat(64)));
        let sha256 = Sha256::of(b"signed");
        let signed = SignedRole { version: 3, sha256 };
        entry.signed.insert("packages-0f".parse().unwrap(), signed);
        entry.record = Some(Sha256::of(b"record"));
        entry.follows = Some(Follows {
            version: 2,
            sha256,
            lost: Some(Head::of(5, b"lost")),
        });
        let line = entry.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Entry::parse(line.as_bytes()), Some(entry));
        assert_eq!(Entry::parse(&line.as_bytes()[..line.len() - 1]), None);
        assert_eq!(Entry::parse(b"{\"entry\":1}"), None);
    }
}
