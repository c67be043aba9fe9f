//! The snapshot as canonical bytes that are patched, not rebuilt.
//!
//! With 16,384 bins in each family a snapshot is 1.2 MB, and serialising it anew would cost
//! more than everything else a publish does. Here a new version of a bin is a change of a few
//! digits at a known place.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_tuf::RoleName;

use crate::lifetimes::whole_seconds;

/// The signed part of a snapshot that lists versions only.
///
/// The bytes are at all times exactly the canonical JSON that TUF signs (TUF §4.2.2, OLPC
/// canonical JSON): `{"_type":"snapshot","expires":"…","meta":{"<role>.json":{"version":N},…},
/// "spec_version":"…","version":N}`.
#[derive(Debug, Clone)]
pub struct SnapshotBytes {
    bytes: Vec<u8>,
    /// Sorted by name, as the members of `meta` are.
    entries: Vec<Entry>,
    version: u64,
    expires: Timestamp,
}

#[derive(Debug, Clone)]
struct Entry {
    role: RoleName,
    version: u64,
    /// Where the digits of the version start in `bytes`.
    digits_at: usize,
}

const HEAD: &str = r#"{"_type":"snapshot","expires":""#;
const EXPIRES_LENGTH: usize = "2026-01-01T00:00:00Z".len();

impl SnapshotBytes {
    /// Lays out a snapshot that lists `roles` with their versions.
    pub fn new(
        roles: impl IntoIterator<Item = (RoleName, u64)>,
        version: u64,
        expires: Timestamp,
    ) -> Self {
        let mut entries: Vec<Entry> = roles
            .into_iter()
            .map(|(role, version)| Entry {
                role,
                version,
                digits_at: 0,
            })
            .collect();
        // The member names are "<role>.json"; '.' sorts before '0' and after '-', so the order
        // of the roles alone would differ from the order of the names.
        entries.sort_by(|a, b| member(&a.role).cmp(member(&b.role)));
        entries.dedup_by(|later, earlier| later.role == earlier.role);
        let mut this = Self {
            bytes: Vec::new(),
            entries,
            version,
            expires,
        };
        this.lay_out();
        this
    }

    /// The canonical bytes, which are what gets signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The snapshot's own version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// When the snapshot expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The version of a role, `None` if the snapshot does not list it.
    pub fn role_version(&self, role: &RoleName) -> Option<u64> {
        self.find(role).map(|i| self.entries[i].version)
    }

    /// Every role with its version, in the order of the bytes.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, u64)> {
        self.entries.iter().map(|e| (&e.role, e.version))
    }

    /// Gives a listed role its new version. A role that is not listed yet is added, which
    /// rebuilds the bytes.
    pub fn set_role(&mut self, role: &RoleName, version: u64) {
        let Some(at) = self.find(role) else {
            let place = self
                .entries
                .partition_point(|e| member(&e.role).lt(member(role)));
            self.entries.insert(
                place,
                Entry {
                    role: role.clone(),
                    version,
                    digits_at: 0,
                },
            );
            self.lay_out();
            return;
        };
        let old = digits(self.entries[at].version).len();
        let new = digits(version);
        let start = self.entries[at].digits_at;
        self.entries[at].version = version;
        if new.len() == old {
            self.bytes[start..start + old].copy_from_slice(new.as_bytes());
            return;
        }
        self.bytes.splice(start..start + old, new.bytes());
        for entry in &mut self.entries[at + 1..] {
            entry.digits_at = entry.digits_at + new.len() - old;
        }
    }

    /// Gives many roles their new versions, or adds them: the bytes are built anew, once.
    pub fn set_roles(&mut self, roles: impl IntoIterator<Item = (RoleName, u64)>) {
        let listed = self.roles().map(|(role, version)| (role.clone(), version));
        let mut all: BTreeMap<RoleName, u64> = listed.collect();
        all.extend(roles);
        *self = Self::new(all, self.version, self.expires);
    }

    /// Sets the snapshot's own version and expiry.
    pub fn set_header(&mut self, version: u64, expires: Timestamp) {
        self.expires = expires;
        self.bytes[HEAD.len()..HEAD.len() + EXPIRES_LENGTH]
            .copy_from_slice(date(expires).as_bytes());
        let tail = tail(self.version).len();
        self.bytes.truncate(self.bytes.len() - tail);
        self.version = version;
        self.bytes.extend_from_slice(self::tail(version).as_bytes());
    }

    fn find(&self, role: &RoleName) -> Option<usize> {
        self.entries
            .binary_search_by(|e| member(&e.role).cmp(member(role)))
            .ok()
    }

    fn lay_out(&mut self) {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(HEAD.as_bytes());
        bytes.extend_from_slice(date(self.expires).as_bytes());
        bytes.extend_from_slice(br#"","meta":{"#);
        for (i, entry) in self.entries.iter_mut().enumerate() {
            if i > 0 {
                bytes.push(b',');
            }
            let name = serde_json::Value::String(format!("{}.json", entry.role.as_str()));
            bytes.extend_from_slice(&wheelmark_tuf::canonical::encode(&name));
            bytes.extend_from_slice(br#":{"version":"#);
            entry.digits_at = bytes.len();
            bytes.extend_from_slice(digits(entry.version).as_bytes());
            bytes.push(b'}');
        }
        bytes.extend_from_slice(tail(self.version).as_bytes());
    }
}

/// The name of a role's member in `meta`, as something that compares like the whole name
/// without being built: the role's bytes followed by `.json`.
fn member(role: &RoleName) -> impl Iterator<Item = u8> + '_ {
    role.as_str().bytes().chain(*b".json")
}

/// A date as TUF writes it: whole seconds, `Z` (TUF §4.2.1).
fn date(time: Timestamp) -> String {
    whole_seconds(time).to_string()
}

fn digits(version: u64) -> String {
    version.to_string()
}

fn tail(version: u64) -> String {
    format!(
        r#"}},"spec_version":"{}","version":{version}}}"#,
        wheelmark_tuf::SPEC_VERSION
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn role(name: &str) -> RoleName {
        name.parse().unwrap()
    }

    /// What a plain serialiser makes of the same snapshot.
    fn rebuilt(snapshot: &SnapshotBytes) -> Vec<u8> {
        let meta: serde_json::Map<String, serde_json::Value> = snapshot
            .roles()
            .map(|(role, version)| {
                (
                    format!("{}.json", role.as_str()),
                    serde_json::json!({ "version": version }),
                )
            })
            .collect();
        wheelmark_tuf::canonical::encode(&serde_json::json!({
            "_type": "snapshot",
            "expires": date(snapshot.expires()),
            "meta": meta,
            "spec_version": wheelmark_tuf::SPEC_VERSION,
            "version": snapshot.version(),
        }))
    }

    #[test]
    fn names_are_ordered_as_members_not_as_roles() {
        // "a-1.json" sorts before "a.json", though "a" sorts before "a-1".
        let snapshot = SnapshotBytes::new([(role("a"), 1), (role("a-1"), 1)], 1, at(0));
        assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
    }

    proptest! {
        #[test]
        fn patched_bytes_are_the_bytes_a_serialiser_makes(
            names in proptest::collection::btree_set("[a-c][a-c0-1-]{0,3}", 1..12),
            changes in proptest::collection::vec(
                (any::<proptest::sample::Index>(), 1u64..2_000, 1u64..2_000, 0i64..4_000_000_000), 0..20),
            added in proptest::option::of("[d-f]{1,3}"),
        ) {
            let names: Vec<RoleName> = names.iter().map(|n| role(n)).collect();
            let mut snapshot =
                SnapshotBytes::new(names.iter().map(|n| (n.clone(), 1)), 1, at(1_700_000_000));
            prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            for (which, version, own, expires) in changes {
                let name = which.get(&names);
                snapshot.set_role(name, version);
                snapshot.set_header(own, at(expires));
                prop_assert_eq!(snapshot.role_version(name), Some(version));
                prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            }
            if let Some(name) = added {
                snapshot.set_role(&role(&name), 7);
                prop_assert_eq!(snapshot.role_version(&role(&name)), Some(7));
                prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            }
        }
    }
}
