//! What a ceremony has brought: examined as the next version of what offline keys sign.
//!
//! Whoever hands it in is not believed. Each file has to follow on the one that is published, signed
//! by those whom clients ask. It may change expiries, keys of offline roles and thresholds. Of that
//! by which this engine goes it may change three things, in the one form that the engine would write
//! itself: which of the engine's own keys signs online, how many bins there are ([`transition`]), and
//! which claims stand in `claimed` and which in `recently-claimed` ([`claims`]).
//! Paths, names and the order of roles stay.

mod claims;
mod raised;
mod transition;

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_store::{HandedIn, Seq};
use wheelmark_tuf::{
    DelegatedRoles, Delegations, IndexRecovery, Key, KeyId, RoleKeys, RoleName, Root, Targets,
    Verified, VerifyError, verify, verify_next_root,
};

pub(crate) use self::claims::{MAX_SPLIT_ABOVE, Moved};
pub(crate) use self::raised::{Raised, examine_raised};
pub(crate) use self::transition::Transition;
use crate::lifetimes::whole_seconds;
use crate::online::OnlineKeys;
use crate::publish::PublishError;
use crate::roles::{self, CLAIMED, Family, role_name};
use crate::snapshot_bytes::RoleFile;
use crate::state::{OWN_METADATA_LIMIT, State};

/// Metadata of offline keys that belongs into the next snapshot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handed {
    /// What it is called in the operator's journal.
    pub(crate) seq: Seq,
    /// The version of root after it.
    pub(crate) root_version: u64,
    /// The roles that the snapshot lists, with what it says of their files.
    pub(crate) listed: Vec<(RoleName, RoleFile)>,
    /// All of it: object path and bytes.
    pub(crate) objects: Vec<(String, Vec<u8>)>,
    /// What it changes for everything that is signed online: all of that is signed anew then.
    pub(crate) transition: Option<Transition>,
    /// Which claims go over to the offline key, which come back, and whether any goes over to other keys.
    pub(crate) claims: Option<Moved>,
}

/// What is to become of what was handed in.
pub(crate) enum Examined {
    /// It belongs into the next snapshot.
    Next(Box<Handed>),
    /// It is published already.
    There,
    /// It is not published, for this reason.
    Refused(String),
}

/// Why it is not published.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it holds no metadata")]
    Empty,
    #[error("{} is no metadata file of an offline role", name.escape_debug())]
    Name { name: String },
    #[error("{role} is in it twice")]
    Twice { role: RoleName },
    #[error("version {found} of {role} does not follow on version {published}, which is published")]
    Version {
        role: RoleName,
        published: u64,
        found: u64,
    },
    #[error("another file stands under the name {path} in the tree")]
    Occupied { path: String },
    #[error("{role} is not signed as clients demand ({whose})")]
    Signatures {
        role: RoleName,
        whose: &'static str,
        #[source]
        source: VerifyError,
    },
    #[error("{role} says of itself that it has version {found}")]
    States { role: RoleName, found: u64 },
    #[error("{role} does not say that it is {role}")]
    OtherRole { role: RoleName },
    #[error("{role} expired at {expires}")]
    Expired { role: RoleName, expires: Timestamp },
    #[error("{role} changes {what}, which no ceremony can do")]
    Changes { role: RoleName, what: &'static str },
    #[error(
        "root names another key for timestamp and snapshot than this index has: the next online key \
         has to be beside the present one"
    )]
    OnlineKey,
    #[error("the online key changes, and {role} is not signed anew")]
    NotHandedOver { role: RoleName },
    #[error("claimed says something else of {role} than before, which no ceremony can do")]
    Kept { role: RoleName },
    #[error(
        "the keys of {role} are not those to which its people have handed over last: they have changed since the ceremony began"
    )]
    OtherKeys { role: RoleName },
    #[error(
        "{role} does not wait to be sealed any more: its claim has ended since the ceremony began"
    )]
    NotWaiting { role: RoleName },
    #[error(
        "the claim of {role} is not the one that the ceremony seals: it has changed since that began"
    )]
    OtherClaim { role: RoleName },
    #[error("so many claims cannot come back at once: take the seals off in several ceremonies")]
    NoRoom,
    #[error(
        "targets brings another statement of what a recovery of the index is about, and this is no recovery"
    )]
    Statement,
    #[error("{role} is to have version {floor} at least, and version {published} is published")]
    Floor {
        role: RoleName,
        floor: u64,
        published: u64,
    },
}

/// Examines what was handed in.
///
/// # Errors
///
/// When the tree cannot be read.
pub(crate) async fn examine(
    tree: &Directory,
    state: &State,
    handed: HandedIn,
    online: &OnlineKeys,
    now: Timestamp,
) -> Result<Examined, PublishError> {
    let files = match read_names(state, &handed.files) {
        Ok(files) => files,
        Err(refusal) => return Ok(Examined::Refused(said(&refusal))),
    };
    let mut there = 0;
    let mut occupied = None;
    for (role, file) in &files {
        let path = ObjectPath::metadata(role, file.version);
        match tree.read(&path, OWN_METADATA_LIMIT).await? {
            Some(bytes) if *bytes == *file.bytes => {
                // One that no snapshot names yet is in the way of nothing.
                there += usize::from(published(state, role) == Some(file.version));
            }
            Some(_) => occupied = Some(path.as_str().to_owned()),
            None => {}
        }
    }
    if there == files.len() {
        return Ok(Examined::There);
    }
    let next = demand_next(state, &files);
    let next = next.and_then(|()| follow(state, handed.seq, &files, online, now));
    let next = next.and_then(|next| match occupied {
        Some(path) => Err(Refusal::Occupied { path }),
        None => Ok(next),
    });
    let next = next.and_then(|next| {
        demand_same_statement(state, next.targets.as_deref())?;
        Ok(next)
    });
    let next = match next {
        Ok(next) => with_claims(state, tree, next, now).await?,
        Err(refusal) => Err(refusal),
    };
    Ok(match next {
        Ok(next) => Examined::Next(Box::new(next)),
        Err(refusal) => Examined::Refused(said(&refusal)),
    })
}

/// What a ceremony brings, with the claims that it moves.
async fn with_claims(
    state: &State,
    tree: &Directory,
    next: Following,
    now: Timestamp,
) -> Result<Result<Handed, Refusal>, PublishError> {
    let Following {
        mut handed,
        claimed,
        ..
    } = next;
    if let Some(claimed) = claimed {
        let handovers = claims::handovers(state, tree, &claimed).await?;
        match claims::next_claims(state, &claimed, &handovers, whole_seconds(now)) {
            Ok(moved) => handed.claims = moved,
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    Ok(Ok(handed))
}

/// A statement of what clients are to forget comes with a recovery ([`raised`]) and goes with none.
fn demand_same_statement(state: &State, next: Option<&Targets>) -> Result<(), Refusal> {
    let stated = |targets: &Targets| IndexRecovery::of(targets).map_err(|_| Refusal::Statement);
    let Some(next) = next else {
        return Ok(());
    };
    match stated(next)? == stated(&state.targets)? {
        true => Ok(()),
        false => Err(Refusal::Statement),
    }
}

/// A file that was handed in, not yet trusted.
struct File<'a> {
    version: u64,
    bytes: &'a [u8],
}

fn read_names<'a>(
    state: &State,
    handed: &'a [(String, Vec<u8>)],
) -> Result<BTreeMap<RoleName, File<'a>>, Refusal> {
    let mut files = BTreeMap::new();
    for (name, bytes) in handed {
        let no_name = || Refusal::Name { name: name.clone() };
        let (version, role) = name
            .strip_suffix(".json")
            .and_then(|name| name.split_once('.'))
            .ok_or_else(no_name)?;
        let role: RoleName = role.parse().map_err(|_| no_name())?;
        let version: u64 = version.parse().map_err(|_| no_name())?;
        let is_offline = state.offline.iter().any(|(offline, _)| *offline == role);
        if !is_offline || role.versioned_file_name(version) != *name {
            return Err(no_name());
        }
        let file = File {
            version,
            bytes: bytes.as_slice(),
        };
        if files.insert(role.clone(), file).is_some() {
            return Err(Refusal::Twice { role });
        }
    }
    if files.is_empty() {
        return Err(Refusal::Empty);
    }
    Ok(files)
}

/// The version of an offline role that is published.
fn published(state: &State, role: &RoleName) -> Option<u64> {
    match *role == RoleName::root() {
        true => Some(state.root.version),
        false => state.snapshot.role_version(role),
    }
}

/// Whether each file has the version behind the published one.
fn demand_next(state: &State, files: &BTreeMap<RoleName, File<'_>>) -> Result<(), Refusal> {
    for (role, file) in files {
        let (role, found) = (role.clone(), file.version);
        let published = published(state, &role).unwrap_or(0);
        if published.checked_add(1) != Some(found) {
            return Err(Refusal::Version {
                role,
                published,
                found,
            });
        }
    }
    Ok(())
}

/// What was verified of a ceremony's files.
struct Following {
    /// All of it, but for the claims that move.
    handed: Handed,
    /// `targets`, if it is among them.
    targets: Option<Verified<Targets>>,
    /// `claimed`, if it is among them: not yet held against the claims that there are.
    claimed: Option<Verified<Targets>>,
}

/// Verifies the files as what follows on `state`. Their versions were looked at before.
fn follow(
    state: &State,
    seq: Seq,
    files: &BTreeMap<RoleName, File<'_>>,
    online: &OnlineKeys,
    now: Timestamp,
) -> Result<Following, Refusal> {
    let root = next_root(state, files, now)?;
    let root = root.as_ref().map_or(&state.root, |root| &**root);
    let key = transition::next_key(state, root, online)?;
    let (mut families, mut claimed) = (BTreeMap::new(), None);
    let next = next_targets(state, root, files, key.as_ref(), now)?;
    let targets = next.as_ref().map_or(&state.targets, |targets| &**targets);
    let below = targets.delegations.as_ref();
    for (role, file) in files {
        if role.is_top_level() {
            continue;
        }
        let keys = below.and_then(|below| Some((&below.keys, roles::keys_of(below, role)?)));
        let Some((keys, role_keys)) = keys else {
            let role = role.clone();
            let what = "its place below targets";
            return Err(Refusal::Changes { role, what });
        };
        let whose = "by the keys that targets names";
        let signed = open(role, file, keys, role_keys, whose, now)?;
        match Family::ALL.into_iter().find(|f| f.name() == role.as_str()) {
            Some(family) => {
                let bins = transition::next_bins(state, family, &signed, key.as_ref())?;
                families.extend(bins.map(|bins| (family, bins)));
            }
            None if *role == role_name(CLAIMED) => {
                claimed = Some(signed);
            }
            None => {
                let (role, what) = (role.clone(), "what it delegates");
                return Err(Refusal::Changes { role, what });
            }
        }
    }
    if key.is_some() {
        for role in Family::ALL.map(|family| role_name(family.name())) {
            if !files.contains_key(&role) {
                return Err(Refusal::NotHandedOver { role });
            }
        }
    }
    let transition = transition::transition(state, key.as_ref(), families)?;
    let objects = files.iter().map(|(role, file)| {
        let path = ObjectPath::metadata(role, file.version);
        (path.as_str().to_owned(), file.bytes.to_vec())
    });
    let listed = files.iter().filter(|(role, _)| **role != RoleName::root());
    let handed = Handed {
        seq,
        root_version: root.version,
        listed: listed
            .map(|(role, file)| (role.clone(), RoleFile::of_others(file.version, file.bytes)))
            .collect(),
        objects: objects.collect(),
        transition,
        claims: None,
    };
    Ok(Following {
        handed,
        targets: next,
        claimed,
    })
}

/// The next root: signed by the keys of the present one and by its own.
fn next_root(
    state: &State,
    files: &BTreeMap<RoleName, File<'_>>,
    now: Timestamp,
) -> Result<Option<Verified<Root>>, Refusal> {
    let role = RoleName::root();
    let Some(file) = files.get(&role) else {
        return Ok(None);
    };
    let root = verify_next_root(&state.root, file.bytes).map_err(|source| {
        let (role, whose) = (role.clone(), "by the keys of now and by its own");
        Refusal::Signatures {
            role,
            whose,
            source,
        }
    })?;
    demand_current(&role, &*root, file, now)?;
    match root.consistent_snapshot {
        true => Ok(Some(root)),
        false => {
            let what = "how files are named";
            Err(Refusal::Changes { role, what })
        }
    }
}

/// The next targets. Clients go by the present root until they have followed the next one, which is
/// published after everything else: so both have to agree to it.
fn next_targets(
    state: &State,
    root: &Root,
    files: &BTreeMap<RoleName, File<'_>>,
    key: Option<&Key>,
    now: Timestamp,
) -> Result<Option<Verified<Targets>>, Refusal> {
    let role = RoleName::targets();
    let Some(file) = files.get(&role) else {
        // The targets that stand have to go on under the next root.
        if root.roles.targets != state.root.roles.targets {
            let what = "the keys of targets without signing targets anew";
            let role = RoleName::root();
            return Err(Refusal::Changes { role, what });
        }
        return match key {
            Some(_) => Err(Refusal::NotHandedOver { role }),
            None => Ok(None),
        };
    };
    let before = &state.root;
    let whose = "by the keys of the present root, which clients go by until they have the next one";
    open(&role, file, &before.keys, &before.roles.targets, whose, now)?;
    let whose = "by the keys of the next root";
    let next = open(&role, file, &root.keys, &root.roles.targets, whose, now)?;
    let changes = |what| {
        let role = role.clone();
        Refusal::Changes { role, what }
    };
    if next.targets != state.targets.targets {
        return Err(changes("the targets that it lists"));
    }
    let (Some(old), Some(new)) = (&state.targets.delegations, &next.delegations) else {
        return Err(changes("its delegations"));
    };
    let expected = match key {
        Some(key) => &transition::handed_over(state, old, key),
        None => old,
    };
    if without_offline_keys(state, expected) != without_offline_keys(state, new) {
        return Err(changes(
            "more of its delegations than the keys of offline roles",
        ));
    }
    for (role, _) in state
        .offline
        .iter()
        .filter(|(role, _)| !role.is_top_level())
    {
        let keys = |below: &Delegations| roles::keys_of(below, role).cloned();
        if keys(old) != keys(new) && !files.contains_key(role) {
            let what = "its keys without being signed anew";
            let role = role.clone();
            return Err(Refusal::Changes { role, what });
        }
    }
    Ok(Some(next))
}

/// Delegations with the keys of offline roles left out: what the engine goes by.
fn without_offline_keys(state: &State, delegations: &Delegations) -> Delegations {
    let mut left = delegations.clone();
    let DelegatedRoles::Listed(roles) = &mut left.roles else {
        return left;
    };
    for role in roles.iter_mut() {
        if state
            .offline
            .iter()
            .any(|(offline, _)| *offline == role.name)
        {
            role.keys.keyids.clear();
            role.keys.threshold = 0;
        }
    }
    let is_named = |id: &KeyId| roles.iter().any(|role| role.keys.keyids.contains(id));
    left.keys.retain(|id, _| is_named(id));
    left
}

fn open(
    role: &RoleName,
    file: &File<'_>,
    keys: &BTreeMap<KeyId, Key>,
    role_keys: &RoleKeys,
    whose: &'static str,
    now: Timestamp,
) -> Result<Verified<Targets>, Refusal> {
    let targets: Verified<Targets> = verify(file.bytes, keys, role_keys).map_err(|source| {
        let role = role.clone();
        Refusal::Signatures {
            role,
            whose,
            source,
        }
    })?;
    demand_current(role, &*targets, file, now)?;
    match targets.stated_role() {
        Some(stated) if stated == role.as_str() => Ok(targets),
        _ => {
            let role = role.clone();
            Err(Refusal::OtherRole { role })
        }
    }
}

fn demand_current(
    role: &RoleName,
    metadata: &impl wheelmark_tuf::Role,
    file: &File<'_>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let (found, expires) = (metadata.version(), metadata.expires());
    let role = role.clone();
    if found != file.version {
        return Err(Refusal::States { role, found });
    }
    if expires <= now {
        return Err(Refusal::Expired { role, expires });
    }
    Ok(())
}

/// An error with its causes, on one line.
pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
