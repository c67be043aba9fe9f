//! The snapshot as canonical bytes that are patched, not rebuilt.
//!
//! With 16,384 bins in each family a snapshot is 1.2 MB, and serialising it anew would cost
//! more than everything else a publish does. Here a new version of a bin is a change of a few
//! digits at a known place.
//!
//! Of a role that the snapshot's own key signs, the version is enough: whoever could sign another file of
//! that version could sign another snapshot as well. Of every other role the SHA-256 of its file is listed,
//! too. Without it, whoever has that role's key and answers readers could hand out another file of
//! the version that is listed (PEP 480, Table 1, row 4).

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_tuf::{MetaFile, RoleName, Sha256};

use crate::lifetimes::whole_seconds;

/// What a snapshot says of one role's file (TUF §4.4, `METAFILES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleFile {
    /// The version that it has to have.
    pub version: u64,
    /// The SHA-256 that it has to have, of a role that the snapshot's own key does not sign.
    pub sha256: Option<Sha256>,
}

impl RoleFile {
    /// One that the snapshot's own key signs, too: by its version alone.
    pub fn own(version: u64) -> Self {
        Self {
            version,
            sha256: None,
        }
    }

    /// One that other keys sign: by its version and the digest of its bytes.
    pub fn of_others(version: u64, bytes: &[u8]) -> Self {
        Self {
            version,
            sha256: Some(Sha256::of(bytes)),
        }
    }

    /// What a snapshot says that was published. Digests of other kinds are not looked at: this engine
    /// writes none.
    pub(crate) fn of_meta(meta: &MetaFile) -> Self {
        Self {
            version: meta.version,
            sha256: meta.hashes.as_ref().and_then(wheelmark_tuf::Hashes::sha256),
        }
    }

    /// The value of its member in `meta`.
    fn to_canonical(self) -> String {
        let version = self.version;
        match self.sha256 {
            None => format!(r#"{{"version":{version}}}"#),
            Some(sha256) => {
                format!(r#"{{"hashes":{{"sha256":"{sha256}"}},"version":{version}}}"#)
            }
        }
    }
}

/// The signed part of a snapshot.
///
/// The bytes are at all times exactly the canonical JSON that TUF signs (TUF §4.2.2, OLPC
/// canonical JSON): `{"_type":"snapshot","expires":"…","meta":{"<role>.json":{"version":N},
/// "<role>.json":{"hashes":{"sha256":"…"},"version":N},…},"spec_version":"…","version":N}`.
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
    file: RoleFile,
    /// Where what is said of it starts in `bytes`.
    value_at: usize,
}

const HEAD: &str = r#"{"_type":"snapshot","expires":""#;
const EXPIRES_LENGTH: usize = "2026-01-01T00:00:00Z".len();

impl SnapshotBytes {
    /// Lays out a snapshot that lists `roles`.
    pub fn new(
        roles: impl IntoIterator<Item = (RoleName, RoleFile)>,
        version: u64,
        expires: Timestamp,
    ) -> Self {
        let mut entries: Vec<Entry> = roles
            .into_iter()
            .map(|(role, file)| Entry {
                role,
                file,
                value_at: 0,
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

    /// What it says of a role, `None` if it does not list it.
    pub fn role(&self, role: &RoleName) -> Option<RoleFile> {
        self.find(role).map(|i| self.entries[i].file)
    }

    /// The version of a role, `None` if the snapshot does not list it.
    pub fn role_version(&self, role: &RoleName) -> Option<u64> {
        self.role(role).map(|file| file.version)
    }

    /// Every role with what is said of it, in the order of the bytes.
    pub fn roles(&self) -> impl Iterator<Item = (&RoleName, RoleFile)> {
        self.entries.iter().map(|e| (&e.role, e.file))
    }

    /// Says something else of a listed role. A role that is not listed yet is added, which
    /// rebuilds the bytes.
    pub fn set_role(&mut self, role: &RoleName, file: RoleFile) {
        let Some(at) = self.find(role) else {
            let place = self
                .entries
                .partition_point(|e| member(&e.role).lt(member(role)));
            self.entries.insert(
                place,
                Entry {
                    role: role.clone(),
                    file,
                    value_at: 0,
                },
            );
            self.lay_out();
            return;
        };
        let old = self.entries[at].file.to_canonical().len();
        let new = file.to_canonical();
        let start = self.entries[at].value_at;
        self.entries[at].file = file;
        if new.len() == old {
            self.bytes[start..start + old].copy_from_slice(new.as_bytes());
            return;
        }
        self.bytes.splice(start..start + old, new.bytes());
        for entry in &mut self.entries[at + 1..] {
            entry.value_at = entry.value_at + new.len() - old;
        }
    }

    /// Says something else of many roles, or adds them: the bytes are built anew, once.
    pub fn set_roles(&mut self, roles: impl IntoIterator<Item = (RoleName, RoleFile)>) {
        let listed = self.roles().map(|(role, file)| (role.clone(), file));
        let mut all: BTreeMap<RoleName, RoleFile> = listed.collect();
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
            bytes.push(b':');
            entry.value_at = bytes.len();
            bytes.extend_from_slice(entry.file.to_canonical().as_bytes());
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
            .map(|(role, file)| {
                let mut said = serde_json::json!({ "version": file.version });
                if let Some(sha256) = file.sha256 {
                    said["hashes"] = serde_json::json!({ "sha256": sha256.to_string() });
                }
                (format!("{}.json", role.as_str()), said)
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

    /// What is said of the files of roles: of some the version alone.
    fn files() -> impl Strategy<Value = RoleFile> {
        let sha256 = proptest::option::of(any::<[u8; 32]>());
        (1u64..2_000, sha256).prop_map(|(version, sha256)| RoleFile {
            version,
            sha256: sha256.map(Sha256),
        })
    }

    #[test]
    fn names_are_ordered_as_members_not_as_roles() {
        // "a-1.json" sorts before "a.json", though "a" sorts before "a-1".
        let roles = [
            (role("a"), RoleFile::own(1)),
            (role("a-1"), RoleFile::own(1)),
        ];
        let snapshot = SnapshotBytes::new(roles, 1, at(0));
        assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
    }

    #[test]
    fn others_are_listed_by_the_digest_of_their_bytes() {
        let file = RoleFile::of_others(3, b"metadata");
        let snapshot = SnapshotBytes::new([(role("project-a"), file)], 1, at(0));
        let said = format!(
            r#""meta":{{"project-a.json":{{"hashes":{{"sha256":"{}"}},"version":3}}}}"#,
            Sha256::of(b"metadata")
        );
        let bytes = String::from_utf8(snapshot.as_bytes().to_vec()).unwrap();
        assert!(bytes.contains(&said), "{bytes}");
    }

    proptest! {
        #[test]
        fn patched_bytes_are_the_bytes_a_serialiser_makes(
            names in proptest::collection::btree_map("[a-c][a-c0-1-]{0,3}", files(), 1..12),
            changes in proptest::collection::vec(
                (any::<proptest::sample::Index>(), files(), 1u64..2_000, 0i64..4_000_000_000), 0..20),
            added in proptest::option::of(("[d-f]{1,3}", files())),
            many in proptest::collection::btree_map("[a-f]{1,2}", files(), 0..6),
        ) {
            let listed = names.iter().map(|(name, file)| (role(name), *file));
            let mut snapshot = SnapshotBytes::new(listed, 1, at(1_700_000_000));
            let names: Vec<RoleName> = names.keys().map(|name| role(name)).collect();
            prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            for (which, file, own, expires) in changes {
                let name = which.get(&names);
                snapshot.set_role(name, file);
                snapshot.set_header(own, at(expires));
                prop_assert_eq!(snapshot.role(name), Some(file));
                prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            }
            if let Some((name, file)) = added {
                snapshot.set_role(&role(&name), file);
                prop_assert_eq!(snapshot.role(&role(&name)), Some(file));
                prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
            }
            snapshot.set_roles(many.iter().map(|(name, file)| (role(name), *file)));
            for (name, file) in many {
                prop_assert_eq!(snapshot.role(&role(&name)), Some(file));
            }
            prop_assert_eq!(snapshot.as_bytes(), rebuilt(&snapshot));
        }
    }
}
