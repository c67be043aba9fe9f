//! What the ceremony of a recovery brings: examined as what follows on the last good state.
//!
//! Three things are allowed here that no other ceremony may do, and therefore this is another type
//! ([`Raised`]) with an examination of its own. Versions rise by [`RECOVERY_RAISE`] at least and not by one
//! (root's excepted: its chain has no gaps); `targets` states what clients are to forget
//! ([`IndexRecovery`]); and claims that no offline key vouches for end, unless that statement names them.
//! Three things are demanded that no other ceremony has to do: another online key signs from now on (PEP
//! 458: timestamp, snapshot, targets and bins), every offline role is signed anew, and all of it is
//! free in the tree. Everything else is judged as with any ceremony.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_store::Seq;
use wheelmark_tuf::{
    Bins, DelegatedRole, DelegatedRoles, IndexRecovery, RECOVERY_RAISE, RoleName, Targets,
};

use super::{File, Handed, Refusal, follow, published, read_names, said, with_claims};
use crate::online::OnlineKeys;
use crate::publish::PublishError;
use crate::roles::{self, Family};
use crate::state::{OWN_METADATA_LIMIT, State};

/// What the ceremony of a recovery has brought. It can be made by [`examine_raised`] alone.
#[derive(Debug)]
pub(crate) struct Raised {
    handed: Handed,
    ended: Vec<ProjectName>,
    statement: IndexRecovery,
}

impl Raised {
    /// What `targets` states of the recovery.
    pub(crate) fn statement(&self) -> &IndexRecovery {
        &self.statement
    }

    /// What belongs into the snapshot.
    pub(crate) fn handed(&self) -> &Handed {
        &self.handed
    }

    /// Projects that sign for themselves in the last good state, by the word of its online key alone, and
    /// that the index answers for from now on.
    pub(crate) fn ended(&self) -> &[ProjectName] {
        &self.ended
    }
}

/// Why the ceremony of a recovery is not taken.
#[derive(Debug, thiserror::Error)]
enum Amiss {
    #[error(transparent)]
    Ordinary(#[from] Refusal),
    #[error("version {found} of {role} is not raised: it has to be {least} at least")]
    NotRaised {
        role: RoleName,
        least: u64,
        found: u64,
    },
    #[error("version {found} of root does not follow on version {published}")]
    Root { published: u64, found: u64 },
    #[error("{role} is not signed anew, and a recovery does that with every offline role")]
    Lacks { role: RoleName },
    #[error("the online key stays, and a recovery replaces it")]
    OnlineKeyStays,
    #[error("{what} would change, and a recovery changes nothing of that kind")]
    Besides { what: &'static str },
    #[error("targets does not state what the recovery is about")]
    NoStatement,
    #[error("targets states the recovery of before once more")]
    StatementOfBefore,
    #[error("what targets states of the recovery cannot be read: {0}")]
    Unreadable(String),
    #[error(
        "{project} is to sign on for itself, and has no claim with these keys in the last good state"
    )]
    UnknownClaim { project: String },
}

/// Examines the ceremony of a recovery, whose last good state is `good` (in the folder `last_good`), for
/// the tree `tree`; the reason, where it is refused.
///
/// # Errors
///
/// When a tree cannot be read.
pub(crate) async fn examine_raised(
    tree: &Directory,
    last_good: &Directory,
    good: &State,
    files: &[(String, Vec<u8>)],
    online: &OnlineKeys,
    now: Timestamp,
) -> Result<Result<Raised, String>, PublishError> {
    let read = match read_names(good, files) {
        Ok(files) => files,
        Err(refusal) => return Ok(Err(said(&refusal))),
    };
    for (role, file) in &read {
        let path = ObjectPath::metadata(role, file.version);
        let there = tree.read(&path, OWN_METADATA_LIMIT).await?;
        if there.is_some_and(|bytes| *bytes != *file.bytes) {
            let path = path.as_str().to_owned();
            return Ok(Err(said(&Refusal::Occupied { path })));
        }
    }
    let followed = demand_raised(good, &read).and_then(|()| {
        let followed = follow(good, Seq::default(), &read, online, now)?;
        let statement = statement(good, followed.targets.as_deref())?;
        let ended = ended(good, &statement)?;
        Ok((followed, ended, statement))
    });
    let (followed, ended, statement) = match followed {
        Ok(followed) => followed,
        Err(amiss) => return Ok(Err(said(&amiss))),
    };
    let replaces = |handed: &Handed| {
        let transition = handed.transition.as_ref();
        transition.is_some_and(|transition| transition.signs != good.signs)
    };
    if !replaces(&followed.handed) {
        return Ok(Err(said(&Amiss::OnlineKeyStays)));
    }
    if bins(good) != next_bins(&followed.handed) {
        let what = "the number of bins";
        return Ok(Err(said(&Amiss::Besides { what })));
    }
    let handed = with_claims(good, last_good, followed, now).await?;
    Ok(match handed {
        Ok(handed) if handed.claims.is_some() => {
            let what = "which claims are sealed, or by which keys";
            Err(said(&Amiss::Besides { what }))
        }
        Ok(handed) => Ok(Raised {
            handed,
            ended,
            statement,
        }),
        Err(refusal) => Err(said(&refusal)),
    })
}

/// How many bins the last good state has.
fn bins(good: &State) -> Option<u32> {
    Bins::of(good.family(Family::Simple)).map(|bins| bins.count())
}

/// How many it has from then on.
fn next_bins(handed: &Handed) -> Option<u32> {
    let families = &handed.transition.as_ref()?.families;
    Bins::of(families.get(&Family::Simple)?).map(|bins| bins.count())
}

/// Whether every offline role is there, root with the version behind its last one, and the others raised.
fn demand_raised(good: &State, files: &BTreeMap<RoleName, File<'_>>) -> Result<(), Amiss> {
    for (role, _) in &good.offline {
        let role = role.clone();
        let Some(file) = files.get(&role) else {
            return Err(Amiss::Lacks { role });
        };
        let (published, found) = (published(good, &role).unwrap_or(0), file.version);
        if role == RoleName::root() {
            if published.checked_add(1) != Some(found) {
                return Err(Amiss::Root { published, found });
            }
            continue;
        }
        let least = published.saturating_add(RECOVERY_RAISE);
        if found < least {
            return Err(Amiss::NotRaised { role, least, found });
        }
    }
    Ok(())
}

/// The statement of this recovery.
fn statement(good: &State, next: Option<&Targets>) -> Result<IndexRecovery, Amiss> {
    let stated = |targets: &Targets| {
        let stated = IndexRecovery::of(targets);
        stated.map_err(|error| Amiss::Unreadable(said(&error)))
    };
    let next = next.map(stated).transpose()?.flatten();
    let next = next.ok_or(Amiss::NoStatement)?;
    match stated(&good.targets)? {
        Some(before) if before.digest() == next.digest() => Err(Amiss::StatementOfBefore),
        _ => Ok(next),
    }
}

/// The claims of the last good state's online key that end with this statement. Each that it names is there
/// with these keys.
fn ended(good: &State, statement: &IndexRecovery) -> Result<Vec<ProjectName>, Amiss> {
    let (mut ended, mut left) = (Vec::new(), statement.claims.clone());
    for role in recent_roles(good) {
        let Some(project) = roles::project_of_role(&role.name) else {
            continue;
        };
        if good.is_sealed(&project) {
            continue;
        }
        match statement.goes_on(project.as_str(), &role.keys) {
            true => drop(left.remove(project.as_str())),
            false => ended.push(project),
        }
    }
    match left.into_keys().next() {
        Some(project) => Err(Amiss::UnknownClaim { project }),
        None => Ok(ended),
    }
}

/// What `recently-claimed` and its shards delegate to.
fn recent_roles(good: &State) -> impl Iterator<Item = &DelegatedRole> {
    good.claims.recent().flat_map(|below| match &below.roles {
        DelegatedRoles::Listed(listed) => listed.as_slice(),
        DelegatedRoles::Succinct(_) => &[],
    })
}
