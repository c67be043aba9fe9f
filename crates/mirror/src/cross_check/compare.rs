//! Who is where, and what exists twice.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::SignedDuration;
use wheelmark_tuf::{Evidence, RoleName};

use super::observation::{Observation, version_of};
use super::{Checked, Contradiction, CrossCheckOptions, Position, Proof};
use crate::audit::{Heads, with_causes};

/// Contradictions that are worked out; one is enough to act upon.
const MOST: usize = 16;

/// Where every source stands.
pub(super) fn positions(seen: &[Observation], options: &CrossCheckOptions) -> Vec<Checked> {
    let fresh = |observation: &&Observation| observation.failed.is_none();
    let own = options.reference.and_then(|place| seen.get(place));
    let newest = seen
        .iter()
        .filter(fresh)
        .filter_map(|observation| observation.heads)
        .max_by_key(|heads| heads.timestamp);
    let reference = own.filter(fresh).and_then(|own| own.heads).or(newest);
    let place = |observation: &Observation| {
        let position = match (&observation.failed, observation.heads, reference) {
            (Some(failed), ..) => failed.clone(),
            (None, Some(heads), Some(reference)) => position(&heads, &reference),
            (None, ..) => Position::Equal,
        };
        Checked {
            name: observation.name.clone(),
            heads: observation.heads,
            roles: observation.roles.len(),
            ended: ended(observation),
            position,
        }
    };
    seen.iter().map(place).collect()
}

/// The roles that a client of this source refuses because a project's people let them expire.
fn ended(observation: &Observation) -> Vec<RoleName> {
    let roles = observation.roles.iter();
    let ended = roles.filter(|(_, seen)| seen.ended.is_some());
    ended.map(|(role, _)| role.clone()).collect()
}

/// How a state stands to another one. A timestamp does not say when it was signed; when it ends
/// is as far after that for both, as long as the index signs them for the same time.
fn position(heads: &Heads, reference: &Heads) -> Position {
    let time = heads
        .timestamp_expires
        .duration_since(reference.timestamp_expires);
    match heads.timestamp.cmp(&reference.timestamp) {
        std::cmp::Ordering::Equal => Position::Equal,
        std::cmp::Ordering::Less => Position::Behind {
            versions: reference.timestamp - heads.timestamp,
            time: Some(-time).filter(|time| *time >= SignedDuration::ZERO),
        },
        std::cmp::Ordering::Greater => Position::Ahead {
            versions: heads.timestamp - reference.timestamp,
            time: Some(time).filter(|time| *time >= SignedDuration::ZERO),
        },
    }
}

/// Every version of a role that two sources show with two contents.
pub(super) fn contradictions(seen: &[Observation], root: &[u8]) -> Vec<Contradiction> {
    let mut found = root_contradictions(seen, root);
    let order = |role: &RoleName| {
        let top = [
            RoleName::timestamp(),
            RoleName::snapshot(),
            RoleName::targets(),
        ];
        top.iter()
            .position(|name| name == role)
            .unwrap_or(top.len())
    };
    let mut roles: Vec<&RoleName> = seen.iter().flat_map(|one| one.roles.keys()).collect();
    roles.sort_by(|a, b| order(a).cmp(&order(b)).then(a.cmp(b)));
    roles.dedup();
    for role in roles {
        if *role == RoleName::root() {
            continue;
        }
        let mut first: BTreeMap<u64, &Observation> = BTreeMap::new();
        for other in seen {
            let Some(shown) = other.roles.get(role) else {
                continue;
            };
            let one = *first.entry(shown.version).or_insert(other);
            let same = one
                .roles
                .get(role)
                .is_none_or(|one| one.signed == shown.signed);
            if same {
                continue;
            }
            found.push(Contradiction {
                role: role.clone(),
                version: shown.version,
                sources: [one.name.clone(), other.name.clone()],
                proof: prove(role, shown.version, one, other, root),
            });
            if found.len() >= MOST {
                return found;
            }
        }
    }
    found
}

/// Two roots of one version: those before them are common.
fn root_contradictions(seen: &[Observation], root: &[u8]) -> Vec<Contradiction> {
    let mut found = Vec::new();
    let mut first: BTreeMap<u64, (&Observation, &Bytes)> = BTreeMap::new();
    for other in seen {
        for (place, theirs) in other.roots.iter().enumerate() {
            let Some(version) = version_of(theirs) else {
                continue;
            };
            let (one, ours) = *first.entry(version).or_insert((other, theirs));
            let digests = [ours, theirs].map(|root| wheelmark_tuf::signed_digest(root).ok());
            if digests[0] == digests[1] {
                continue;
            }
            let sighting = |observation: &Observation, bytes: &Bytes| {
                let mut sighting = observation.sighting(&RoleName::root())?;
                let name = RoleName::root().versioned_file_name(version);
                sighting.files = vec![(name, bytes.to_vec())];
                Some(sighting)
            };
            let mut roots = chain_of(one, root);
            let common = roots.len() - one.roots.len() + place;
            roots.truncate(common);
            let evidence = match (sighting(one, ours), sighting(other, theirs)) {
                (Some(one), Some(other)) => Ok(Evidence {
                    role: RoleName::root(),
                    version,
                    roots,
                    sightings: [one, other],
                }),
                _ => Err(NOT_KEPT.to_owned()),
            };
            found.push(Contradiction {
                role: RoleName::root(),
                version,
                sources: [one.name.clone(), other.name.clone()],
                proof: evidence.and_then(|evidence| verified(evidence, root)),
            });
            // What follows from two roots follows from two keys.
            return found;
        }
    }
    found
}

const NOT_KEPT: &str = "not everything that led to it could be kept";

fn prove(
    role: &RoleName,
    version: u64,
    one: &Observation,
    other: &Observation,
    root: &[u8],
) -> Result<Proof, String> {
    let (Some(first), Some(second)) = (one.sighting(role), other.sighting(role)) else {
        return Err(NOT_KEPT.to_owned());
    };
    let evidence = |roots| Evidence {
        role: role.clone(),
        version,
        roots,
        sightings: [first.clone(), second.clone()],
    };
    // One of them may know of a newer root, under which the other's files may count as well.
    let (longer, shorter) = if one.roots.len() >= other.roots.len() {
        (one, other)
    } else {
        (other, one)
    };
    let newest = verified(evidence(chain_of(longer, root)), root);
    newest.or_else(|why| {
        let behind = verified(evidence(chain_of(shorter, root)), root);
        // Without the roots from before, of which there may be too many.
        let alone = || verified(evidence(chain_from(longer, root)), root);
        behind.or_else(|_| alone()).map_err(|_| why)
    })
}

/// Only what somebody else can verify is a proof: it is read and verified as they would.
fn verified(evidence: Evidence, root: &[u8]) -> Result<Proof, String> {
    let evidence = Evidence::parse(&evidence.to_json()).map_err(|error| with_causes(&error))?;
    match evidence.verify(root) {
        Ok(found) => Ok(Proof {
            evidence: Box::new(evidence),
            found,
        }),
        Err(error) => Err(with_causes(&error)),
    }
}

/// The roots from as far back as the source has them to its newest; without those from before
/// the common root, if they do not lead to it.
fn chain_of(seen: &Observation, root: &[u8]) -> Vec<Vec<u8>> {
    let whole: Vec<Vec<u8>> = seen
        .earlier_roots
        .iter()
        .map(|root| root.to_vec())
        .chain(chain_from(seen, root))
        .collect();
    let mut earlier: Option<wheelmark_tuf::Verified<wheelmark_tuf::Root>> = None;
    for root in &whole {
        let next = match &earlier {
            None => wheelmark_tuf::verify_trusted_root(root),
            Some(earlier) => wheelmark_tuf::verify_next_root(earlier, root),
        };
        match next {
            Ok(next) => earlier = Some(next),
            Err(_) => return chain_from(seen, root),
        }
    }
    whole
}

/// The roots from the common one on.
fn chain_from(seen: &Observation, root: &[u8]) -> Vec<Vec<u8>> {
    let behind = seen.roots.iter().map(|root| root.to_vec());
    std::iter::once(root.to_vec()).chain(behind).collect()
}
