//! Decides the next snapshot. Pure: what goes in decides what comes out.

mod changes;
mod draft;
mod entry;
mod judge;
mod lists;
mod recovery;
mod release;
mod taken_away;
mod transition;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use wheelmark_objects::{page_target, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_store::{Change, ListedHashes};
use wheelmark_tuf::{Delegations, KeyId, RoleName, Sha256, TargetInfo, Targets};

pub use self::entry::MAX_REASON_LEN;
pub use self::recovery::USUAL_RECOVERY_DELAY;
pub(crate) use self::release::{
    MAX_RELEASED_FILES, MOST_PASSED_OVER, demand_signed, end_delegation,
};
pub(crate) use self::taken_away::TakenDraft;

use self::changes::Changes;
use self::draft::Drafts;
use self::entry::as_signed;
pub(crate) use self::entry::target_info;
use self::release::Accepted;
use crate::channel::{Channel, Followed, Pending, Place};
use crate::gather::Gathered;
use crate::handed::Handed;
use crate::intent::{GoneFile, NamedCertificates, NamedFile, NamedPage};
use crate::journal_writer::JournalWriter;
use crate::lifetimes::Lifetimes;
use crate::listed::{SecondName, conforms, page_target_of};
use crate::roles::{Family, RECENTLY_CLAIMED, STATUS, role_name};
use crate::snapshot_bytes::{RoleFile, SnapshotBytes};
use crate::state::State;

/// What the next snapshot is to be.
#[derive(Debug)]
pub(crate) struct Plan {
    /// New content of online roles, with their new versions and expiries.
    pub(crate) roles: BTreeMap<RoleName, Targets>,
    /// The key that signs them.
    pub(crate) signs: KeyId,
    /// Which hashes of files are to be listed from now on.
    pub(crate) listed: ListedHashes,
    /// Whether all pages are to be gone through for that.
    pub(crate) all_anew: bool,
    /// Whether the new pages list them, by project.
    pub(crate) conforming: Vec<(ProjectName, bool)>,
    /// New pages, as the bytes that are hashed, stored and served.
    pub(crate) pages: BTreeMap<ProjectName, Vec<u8>>,
    /// New lists of what is taken away from claimed projects, as the bytes that are hashed, stored and
    /// served.
    pub(crate) lists: BTreeMap<ProjectName, Vec<u8>>,
    /// Which lists there are from now on, where that changes.
    pub(crate) taken_away: Vec<(ProjectName, Option<Sha256>)>,
    /// What projects' own people have signed: the role, its version, its bytes.
    pub(crate) signed: Vec<(RoleName, u64, Vec<u8>)>,
    /// What `recently-claimed` and its shards delegate to from now on, as far as they are signed anew.
    pub(crate) claims: Vec<(RoleName, Delegations)>,
    /// New certificates of projects, as the bytes that are hashed, stored and served.
    pub(crate) certificates: BTreeMap<ProjectName, Vec<u8>>,
    /// The patched snapshot; `None` where only the timestamp is renewed.
    pub(crate) snapshot: Option<SnapshotBytes>,
    pub(crate) timestamp_version: u64,
    pub(crate) timestamp_expires: Timestamp,
    /// How far the journals are followed.
    pub(crate) through: Followed,
    /// What became of each pending change, in the order in which they were taken.
    pub(crate) outcomes: Vec<(Place, Decision)>,
    /// Second names to be made before the timestamp stands.
    pub(crate) seconds: Vec<SecondName>,
    /// Plain names to be made once the snapshot stands, and those to be taken away.
    pub(crate) files: Vec<NamedFile>,
    pub(crate) gone: Vec<GoneFile>,
    pub(crate) named_pages: Vec<NamedPage>,
    pub(crate) named_certificates: Vec<NamedCertificates>,
    /// Projects that appear for the first time.
    pub(crate) new_projects: BTreeSet<ProjectName>,
    /// Projects that have no page any more: those that a recovery takes away.
    pub(crate) gone_projects: Vec<ProjectName>,
    /// Whether this is the snapshot of a recovery.
    pub(crate) goes_back: bool,
    /// What a ceremony has brought, signed already.
    pub(crate) handed: Option<Handed>,
}

/// What is decided about one pending change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is part of this snapshot (or was part of an earlier one already).
    Published(Box<Change>),
    /// It is not, and never will be.
    Refused(String),
}

/// Version numbers that must not be used again, because another file stands under them.
pub(crate) type Skipped = HashMap<RoleName, u64>;

/// The projects of which whoever runs the index wants something.
fn ordered(rows: &[Pending]) -> BTreeSet<ProjectName> {
    let orders = rows
        .iter()
        .filter(|row| row.place.channel == Channel::Orders);
    let projects = orders.filter_map(|row| row.change.project());
    projects.cloned().collect()
}

/// Plans the next snapshot: every pending change, the roles in `due`, and what follows from them;
/// `top_due` says that snapshot and timestamp lack the signature of a key that there is.
#[expect(
    clippy::too_many_arguments,
    reason = "what goes in decides what comes out"
)]
pub(crate) fn plan(
    state: &State,
    gathered: Gathered,
    due: &[RoleName],
    top_due: bool,
    skipped: &Skipped,
    lifetimes: &Lifetimes,
    writer: JournalWriter,
    now: Timestamp,
) -> Plan {
    let mut through = state.followed;
    let mut outcomes = Vec::with_capacity(gathered.rows.len());
    let mut changes = Changes {
        state,
        now,
        roles: gathered.roles,
        pages: Drafts::new(gathered.pages),
        present: gathered.present,
        flaws: gathered.flaws,
        provenance_below: gathered.provenance_below,
        changed: due.iter().cloned().collect(),
        names: BTreeMap::new(),
        certificates: BTreeMap::new(),
        listed: state.listed,
        all_anew: false,
        sha512: gathered.sha512,
        seconds: Vec::new(),
        releases: gathered.releases,
        released: BTreeMap::new(),
        takes_claims: gathered.takes_claims,
        recovery_delay: gathered.recovery_delay,
        taken: gathered.taken,
        ordered: ordered(&gathered.rows),
        returned: BTreeSet::new(),
        split_above: gathered.split_above,
        skipped,
    };
    for row in gathered.rows {
        through.reach(row.place);
        let decided = match gathered.damaged.get(&row.place) {
            Some(why) => Err(format!("the index's own state is damaged: {why}")),
            None => changes.take(&row, writer),
        };
        let decision = match decided {
            Ok(()) => Decision::Published(Box::new(as_signed(row.change))),
            Err(why) => Decision::Refused(why),
        };
        outcomes.push((row.place, decision));
    }
    for project in &gathered.relist {
        changes.relist(project);
    }
    let handed = gathered.handed;
    if let Some(moved) = handed.as_ref().and_then(|handed| handed.claims.as_ref()) {
        changes.move_claims(moved);
    }
    changes.split_lists();
    let Changes {
        mut roles,
        pages,
        mut changed,
        names,
        certificates,
        listed,
        all_anew,
        mut seconds,
        released,
        taken,
        returned,
        ..
    } = changes;

    let (mut lists, mut taken_away) = (BTreeMap::new(), Vec::new());
    let mut listed_pages = BTreeMap::new();
    for (project, draft) in taken {
        if !draft.is_touched() {
            continue;
        }
        let status = role_name(STATUS);
        let targets = &mut roles
            .get_mut(&status)
            .expect("gathered with the change")
            .targets;
        let (target, list) = (status_target(&project), draft.list());
        let sha256 = match list.is_empty() {
            true => {
                targets.remove(&target);
                None
            }
            false => {
                let bytes = list.to_json();
                let sha256 = Sha256::of(&bytes);
                targets.insert(target, TargetInfo::new(bytes.len() as u64, sha256));
                lists.insert(project.clone(), bytes);
                Some(sha256)
            }
        };
        changed.insert(status);
        taken_away.push((project.clone(), sha256));
        if !returned.contains(&project) {
            listed_pages.insert(project, (draft.page(), sha256));
        }
    }

    let mut new_pages = BTreeMap::new();
    let mut named_pages = Vec::new();
    let mut new_projects = BTreeSet::new();
    let mut conforming = Vec::new();
    for page in pages.touched() {
        let bytes = page.to_json();
        let conforms = page.files.iter().all(|file| conforms(file, listed));
        let project = page.name;
        let sha256 = Sha256::of(&bytes);
        let (info, second) = page_target_of(&project, &bytes, listed, conforms);
        seconds.extend(second);
        conforming.push((project.clone(), conforms));
        let target = page_target(&project);
        let bin = state.bin(Family::Simple, &target);
        roles
            .get_mut(&bin)
            .expect("gathered with the change")
            .targets
            .insert(target, info);
        changed.insert(bin);
        named_pages.push(NamedPage {
            project: project.clone(),
            sha256,
            taken_away: None,
        });
        if !state.projects.contains(&project) {
            new_projects.insert(project.clone());
        }
        new_pages.insert(project, bytes);
    }
    let mut signed = Vec::with_capacity(released.len());
    for (project, release) in released {
        let Accepted {
            role,
            version,
            metadata,
            page,
            ..
        } = release;
        let list = listed_pages.remove(&project).map(|(_, list)| list);
        named_pages.push(NamedPage {
            project: project.clone(),
            sha256: Sha256::of(&page),
            taken_away: list.unwrap_or_else(|| state.taken_away.get(&project).copied()),
        });
        // What the index lists of others is no matter of this page any more.
        conforming.push((project.clone(), true));
        if !state.projects.contains(&project) {
            new_projects.insert(project.clone());
        }
        new_pages.insert(project, page);
        signed.push((role, version, metadata));
    }
    // Pages that stay as they were signed, and of which everybody sees something else.
    for (project, (page, taken_away)) in listed_pages {
        named_pages.extend(page.map(|sha256| NamedPage {
            project,
            sha256,
            taken_away,
        }));
    }
    named_pages.sort_by(|one, other| one.project.cmp(&other.project));
    let (mut files, mut gone) = (Vec::new(), Vec::new());
    for ((project, filename), named) in names {
        match named {
            Some(file) => files.push(file),
            None => gone.push(GoneFile { project, filename }),
        }
    }

    let mut new_certificates = BTreeMap::new();
    let mut named_certificates = Vec::new();
    for (project, text) in certificates {
        named_certificates.push(NamedCertificates {
            project: project.clone(),
            sha256: text.as_ref().map(|text| Sha256::of(text.as_bytes())),
        });
        new_certificates.extend(text.map(|text| (project, text.into_bytes())));
    }

    let place_in_due: HashMap<&RoleName, usize> = due.iter().zip(0..).collect();
    let next = |role: &str, current: u64| {
        let floor = role
            .parse::<RoleName>()
            .ok()
            .and_then(|role| skipped.get(&role).copied())
            .unwrap_or(0);
        current.max(floor) + 1
    };
    roles.retain(|role, _| changed.contains(role));
    let snapshot_due = top_due || lifetimes.top_is_due(state.snapshot.expires(), now);
    let transition = handed
        .as_ref()
        .and_then(|handed| handed.transition.as_ref());
    let recently = role_name(RECENTLY_CLAIMED);
    let claims = roles.iter().filter_map(|(role, content)| {
        let is_list = *role == recently || role.shard_of(&recently).is_some();
        let below = content.delegations.clone().filter(|_| is_list)?;
        Some((role.clone(), below))
    });
    let claims = claims.collect();
    if let Some(transition) = transition {
        roles = transition::spread(state, transition, roles, lifetimes, now);
    }
    let signs = transition.map_or(&state.signs, |transition| &transition.signs);
    let signs = signs.clone();
    let signs_anew = snapshot_due || handed.is_some() || listed != state.listed;
    let snapshot = (!roles.is_empty() || !signed.is_empty() || signs_anew).then(|| {
        let mut snapshot = state.snapshot.clone();
        for (role, content) in &mut roles {
            content.version = next(role.as_str(), content.version);
            content.expires = match place_in_due.get(role) {
                // Everything is new, and spread already.
                _ if transition.is_some() => continue,
                Some(place) => {
                    lifetimes.of_renewed_bin(now, *place, due.len(), state.schedule.len())
                }
                None => lifetimes.online_from(now),
            };
            snapshot.set_role(role, RoleFile::own(content.version));
        }
        if transition.is_some() {
            let own = roles.iter();
            snapshot.set_roles(
                own.map(|(role, content)| (role.clone(), RoleFile::own(content.version))),
            );
        }
        for (role, version, metadata) in &signed {
            snapshot.set_role(role, RoleFile::of_others(*version, metadata));
        }
        for (role, file) in handed.iter().flat_map(|handed| &handed.listed) {
            snapshot.set_role(role, *file);
        }
        snapshot.set_header(
            next("snapshot", snapshot.version()),
            lifetimes.online_from(now),
        );
        snapshot
    });

    Plan {
        roles: roles.into_iter().collect(),
        signs,
        listed,
        all_anew,
        conforming,
        pages: new_pages,
        lists,
        taken_away,
        signed,
        claims,
        certificates: new_certificates,
        snapshot,
        timestamp_version: next("timestamp", state.timestamp_version),
        timestamp_expires: lifetimes.online_from(now),
        through,
        outcomes,
        seconds,
        files,
        gone,
        named_pages,
        named_certificates,
        new_projects,
        gone_projects: Vec::new(),
        goes_back: false,
        handed,
    }
}
