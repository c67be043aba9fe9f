//! Every role of an index, and how it stands.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_ceremony::{Policy, Standing};
use wheelmark_repository::Lifetimes;
use wheelmark_tuf::{
    DelegatedRoles, Delegations, KeyId, RoleKeys, RoleName, Root, Targets, Verified, verify,
    without_controls,
};

use super::table::minute;
use crate::data::Data;
use crate::published::{self, Online, version_and_expiry};

/// How a role stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Ok,
    /// Signed online, and a running index would have renewed it.
    Late,
    /// Signed offline, and a ceremony is due.
    Due,
    Expired,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Due => "due",
            Self::Expired => "expired",
        }
    }
}

/// One role, or all bins of a family.
pub(super) struct Row {
    pub(super) role: String,
    pub(super) offline: bool,
    /// Of bins, the highest.
    pub(super) version: u64,
    pub(super) threshold: u32,
    pub(super) keys: Vec<KeyId>,
    /// When the file was written here.
    pub(super) signed: Option<Timestamp>,
    /// Of bins, the first.
    pub(super) expires: Timestamp,
    /// From when on a ceremony is due, or the running index signs it again.
    pub(super) due: Timestamp,
    pub(super) state: State,
}

/// All roles of an index, as they are published.
pub(super) struct Roles {
    pub(super) rows: Vec<Row>,
    pub(super) standing: Standing,
    pub(super) online: Online,
}

impl Roles {
    /// Reads and verifies what is published. That something has expired is no error.
    pub(super) fn read(data: &Data, policy: &Policy, now: Timestamp) -> anyhow::Result<Self> {
        let tree = data.tree();
        let (files, online) = published::read(&tree)?;
        let mut with_claims = files.clone();
        let added = published::add_claims(&tree, &mut with_claims, &online);
        // The list of claims is shown beside the rest, and must not be in its way.
        let with_claims = added.ok().and_then(|()| Standing::verify(with_claims).ok());
        let standing = match with_claims {
            Some(standing) => standing,
            None => Standing::verify(files).context("what is published is damaged")?,
        };
        let looking = Looking {
            tree: &tree,
            standing: &standing,
            online: &online,
            policy,
            now,
        };
        let rows = looking.rows()?;
        Ok(Self {
            rows,
            standing,
            online,
        })
    }

    /// What lies in the place of the next root and keeps clients out, in words.
    pub(super) fn stray_root(&self) -> Option<String> {
        let stray = self.online.stray_root.as_ref()?;
        Some(format!(
            "a file lies in the place of the next root, root's keys have not signed it, and clients that are served it refuse the index ({}): {}",
            without_controls(stray),
            published::ABOUT_STRAY_ROOT
        ))
    }

    /// How the worst of them stands.
    pub(super) fn worst(&self) -> State {
        let worst = self.rows.iter().map(|row| row.state).max();
        worst.unwrap_or(State::Ok)
    }
}

/// What is looked at, and when.
struct Looking<'a> {
    tree: &'a Path,
    standing: &'a Standing,
    online: &'a Online,
    policy: &'a Policy,
    now: Timestamp,
}

impl Looking<'_> {
    /// Offline roles first, in the order in which clients come to them.
    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for role in self.standing.roles() {
            let keys = self.standing.keys_of(&role);
            let version_and_expiry = self.standing.version_and_expiry(&role);
            if let (Some((_, keys)), Some((version, expires))) = (keys, version_and_expiry) {
                rows.push(self.offline(&role, version, expires, keys));
            }
        }
        let root: &Root = self.standing.root();
        let name = RoleName::timestamp();
        let (version, expires) = version_and_expiry(&*self.online.timestamp);
        let signed = self.written(&name.file_name());
        rows.push(self.renewed(
            name.as_str(),
            version,
            expires,
            &root.roles.timestamp,
            signed,
        ));
        let name = RoleName::snapshot();
        let (version, expires) = version_and_expiry(&*self.online.snapshot);
        let signed = self.written(&name.versioned_file_name(version));
        rows.push(self.renewed(
            name.as_str(),
            version,
            expires,
            &root.roles.snapshot,
            signed,
        ));
        let top = self.standing.targets();
        for role in delegated(top) {
            if self.standing.role(&role).is_none() {
                rows.extend(self.of(std::slice::from_ref(&role), role.as_str(), top)?);
            }
        }
        for family in self.standing.roles() {
            let Some(below) = self.standing.role(&family) else {
                continue;
            };
            let bins = delegated(below);
            if family.is_top_level() || bins.is_empty() {
                continue;
            }
            let name = format!("{family}-* ({})", bins.len());
            rows.extend(self.of(&bins, &name, below)?);
        }
        Ok(rows)
    }

    /// Online roles that one role delegates to, together: the first expiry counts.
    fn of(&self, roles: &[RoleName], name: &str, by: &Targets) -> anyhow::Result<Option<Row>> {
        let Some(delegations) = &by.delegations else {
            return Ok(None);
        };
        let mut found: Option<Row> = None;
        for role in roles {
            let Some(keys) = delegations.role_keys(role) else {
                continue;
            };
            let metadata = self.open(role, delegations, keys)?;
            let (version, expires) = version_and_expiry(&*metadata);
            let signed = self.written(&role.versioned_file_name(version));
            let row = self.renewed(name, version, expires, keys, signed);
            found = Some(match found {
                Some(first) if first.expires <= row.expires => Row {
                    version: first.version.max(row.version),
                    ..first
                },
                Some(later) => Row {
                    version: later.version.max(row.version),
                    ..row
                },
                None => row,
            });
        }
        Ok(found)
    }

    fn open(
        &self,
        role: &RoleName,
        delegations: &Delegations,
        keys: &RoleKeys,
    ) -> anyhow::Result<Verified<Targets>> {
        let listed = self.online.snapshot.role(role);
        let version = listed
            .map(|meta| meta.version)
            .ok_or_else(|| anyhow!("the snapshot does not list {role}"))?;
        let name = role.versioned_file_name(version);
        let bytes = published::metadata(self.tree, &name)?
            .ok_or_else(|| anyhow!("{name} is missing from the tree"))?;
        verify(&bytes, &delegations.keys, keys)
            .with_context(|| format!("{name} is not as this index signed it"))
    }

    fn offline(&self, role: &RoleName, version: u64, expires: Timestamp, keys: &RoleKeys) -> Row {
        let due = self.policy.due(role, expires);
        let state = match self.now {
            now if now >= expires => State::Expired,
            now if now >= due => State::Due,
            _ => State::Ok,
        };
        Row {
            role: role.to_string(),
            offline: true,
            version,
            threshold: keys.threshold,
            keys: keys.keyids.clone(),
            signed: self.written(&role.versioned_file_name(version)),
            expires,
            due,
            state,
        }
    }

    fn renewed(
        &self,
        role: &str,
        version: u64,
        expires: Timestamp,
        keys: &RoleKeys,
        signed: Option<Timestamp>,
    ) -> Row {
        let lifetimes = Lifetimes::default();
        let due = match role {
            "timestamp" | "snapshot" => lifetimes.top_due(expires),
            _ => lifetimes.bin_due(expires),
        };
        Row {
            role: role.to_owned(),
            offline: false,
            version,
            threshold: keys.threshold,
            keys: keys.keyids.clone(),
            signed,
            expires,
            due,
            state: match self.now {
                now if now >= expires => State::Expired,
                now if lifetimes.is_late(due, now) => State::Late,
                _ => State::Ok,
            },
        }
    }

    /// When a metadata file was written: signed metadata does not say when it was signed.
    fn written(&self, name: &str) -> Option<Timestamp> {
        let file = self.tree.join("metadata").join(name);
        let modified = std::fs::metadata(file).ok()?.modified().ok()?;
        Timestamp::try_from(modified).ok()
    }
}

fn delegated(targets: &Targets) -> Vec<RoleName> {
    match targets.delegations.as_ref().map(|below| &below.roles) {
        Some(DelegatedRoles::Listed(roles)) => roles.iter().map(|role| role.name.clone()).collect(),
        Some(DelegatedRoles::Succinct(bins)) => bins.bins().collect(),
        None => Vec::new(),
    }
}

/// What is to be done about a role, and when.
pub(super) fn next(row: &Row) -> String {
    match (row.offline, row.state) {
        (true, State::Ok) => format!("a ceremony from {} on", minute(row.due)),
        (true, State::Late | State::Due) => "hold a ceremony now".to_owned(),
        (true, State::Expired) => "hold a ceremony: clients refuse the index".to_owned(),
        (false, State::Ok) => format!("renewed by the running index, {}", minute(row.due)),
        (false, State::Late | State::Due) => {
            "late: look whether the snapshot process runs".to_owned()
        }
        (false, State::Expired) => "start the index: clients refuse it".to_owned(),
    }
}
