//! What one source shows, verified from the common root.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_tuf::{
    Awaited, RefreshError, RoleError, RoleName, Sha256, Sighting, TrustedSet, Walk, canonical,
    signed_digest,
};

use super::{A_SECOND, CrossCheckOptions, Position};
use crate::audit::{Heads, with_causes};
use crate::chain::{Broken, Chain, ChainError, follow};
use crate::place::Place;

/// Bytes of delegated roles that are kept of each source for a proof. What is beyond is compared
/// by its digest and asked for again.
const KEPT: usize = 64 * 1024 * 1024;

/// A role as a source shows it: what a client of that source accepts.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) signed: Sha256,
    pub(super) delegator: Option<RoleName>,
    /// Since when a client refuses it, because a project's people have let it expire.
    pub(super) ended: Option<Timestamp>,
    path: String,
    bytes: Option<Bytes>,
}

/// What one source shows.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) name: String,
    pub(super) heads: Option<Heads>,
    /// Where it stands by itself, if that is not among the others.
    pub(super) failed: Option<Position>,
    /// Every root behind the common one, and the one before them.
    pub(super) roots: Vec<Bytes>,
    /// Roots from before the common one.
    pub(super) earlier_roots: Vec<Bytes>,
    pub(super) roles: BTreeMap<RoleName, Seen>,
    /// A time at which a client accepts all of it.
    at: Timestamp,
}

/// Goes the way of a client of one source alone.
pub(super) fn observe<P: Place>(
    name: &str,
    place: &P,
    root: &[u8],
    options: &CrossCheckOptions,
    asked: &(dyn Fn(u64) + Sync),
) -> Observation {
    let mut seen = Observation {
        name: name.to_owned(),
        heads: None,
        failed: None,
        roots: Vec::new(),
        earlier_roots: Vec::new(),
        roles: BTreeMap::new(),
        at: options.now,
    };
    let chain = match follow(place, root, options.now) {
        Ok(chain) => Some(chain),
        Err(broken) => seen.without_a_fresh_chain(place, root, *broken),
    };
    seen.earlier_roots = earlier_roots(place, root);
    let Some(chain) = chain else {
        return seen;
    };
    seen.heads = Some(Heads::of(&chain.set));
    let set = chain.set.clone();
    seen.take_chain(&chain);
    if !options.quick {
        let gathering = Gathering::of(&set, asked);
        std::thread::scope(|scope| {
            for _ in 0..place.at_once() {
                scope.spawn(|| gathering.toil(place));
            }
        });
        let gathered = gathering.held.into_inner();
        let gathered = gathered.unwrap_or_else(PoisonError::into_inner);
        seen.roles.extend(gathered.roles);
        if let (None, Some(why)) = (&seen.failed, gathered.trouble) {
            seen.failed = Some(Position::Refused { why });
        }
    }
    seen
}

impl Observation {
    /// What is left of a source whose chain does not hold now: if it only has expired, all of it.
    fn without_a_fresh_chain<P: Place>(
        &mut self,
        place: &P,
        root: &[u8],
        broken: Broken,
    ) -> Option<Chain> {
        let why = with_causes(&broken.error);
        let expired = matches!(
            &broken.error,
            ChainError::Refused { source, .. }
                if matches!(&**source, RefreshError::Refused { reason: RoleError::Expired { .. }, .. })
        );
        if expired && let Ok(chain) = follow(place, root, Timestamp::UNIX_EPOCH) {
            let set = &chain.set;
            let ends = [
                set.root().expires,
                set.timestamp().expires,
                set.snapshot().expires,
                set.targets().expires,
            ];
            let first = ends.into_iter().min().unwrap_or(self.at);
            self.at = self.at.min(first - A_SECOND);
            self.failed = Some(Position::Expired { why });
            // Its roles are judged as of the time when it was good.
            return follow(place, root, self.at).ok();
        }
        self.failed = Some(match broken.error {
            ChainError::Place { .. } => Position::Unreachable { why },
            _ => Position::Refused { why },
        });
        self.roots = broken.roots;
        self.take_files(&broken.files);
        None
    }

    fn take_chain(&mut self, chain: &Chain) {
        self.roots.clone_from(&chain.roots);
        self.take_files(&chain.files);
    }

    fn take_files(&mut self, files: &[(RoleName, String, Bytes)]) {
        for (role, path, bytes) in files {
            let seen = Seen::of(None, path, bytes.clone());
            self.roles.extend(seen.map(|seen| (role.clone(), seen)));
        }
        for root in &self.roots {
            let seen = Seen::of(None, "", root.clone());
            if let Some(seen) = seen {
                let path = RoleName::root().versioned_file_name(seen.version);
                let seen = Seen { path, ..seen };
                self.roles.insert(RoleName::root(), seen);
            }
        }
    }

    /// The roots behind the common one, by the names that a client asks for.
    pub(super) fn named_roots(&self) -> Vec<(String, Bytes)> {
        let named = self.roots.iter().filter_map(|root| {
            let name = RoleName::root().versioned_file_name(version_of(root)?);
            Some((name, root.clone()))
        });
        named.collect()
    }

    /// All that a client of this source received on its way to a role; `None` where not all of
    /// it was kept.
    pub(super) fn sighting(&self, role: &RoleName) -> Option<Sighting> {
        let mut below = Vec::new();
        let mut next = Some(role.clone());
        let mut at = self.at;
        while let Some(role) = next.take() {
            let seen = self.roles.get(&role)?;
            // What has expired is judged as of when it was good: all else was good then as well.
            let good = seen.ended.map(|ended| ended.checked_sub(A_SECOND));
            at = good.and_then(Result::ok).map_or(at, |good| at.min(good));
            next.clone_from(&seen.delegator);
            below.push((role, seen));
            if below.len() > wheelmark_tuf::limits::MAX_DELEGATIONS {
                return None;
            }
        }
        below.reverse();
        let via = below.iter().take(below.len().saturating_sub(1));
        let via: Vec<RoleName> = via.map(|(role, _)| role.clone()).collect();
        let mut files = Vec::new();
        let top = [
            RoleName::timestamp(),
            RoleName::snapshot(),
            RoleName::targets(),
        ];
        if *role != RoleName::root() {
            for name in &top {
                files.push(self.roles.get(name)?.file()?);
                if name == role {
                    break;
                }
            }
        }
        let known = |role: &RoleName| top.contains(role);
        for (role, seen) in below.iter().filter(|(role, _)| !known(role)) {
            tracing::trace!(%role, "part of a proof");
            files.push(seen.file()?);
        }
        Some(Sighting {
            source: self.name.clone(),
            at,
            via,
            files,
        })
    }
}

impl Seen {
    fn of(delegator: Option<RoleName>, path: &str, bytes: Bytes) -> Option<Self> {
        Some(Self {
            version: version_of(&bytes)?,
            signed: signed_digest(&bytes).ok()?,
            delegator,
            ended: None,
            path: path.to_owned(),
            bytes: Some(bytes),
        })
    }

    fn file(&self) -> Option<(String, Vec<u8>)> {
        Some((self.path.clone(), self.bytes.as_ref()?.to_vec()))
    }
}

pub(super) fn version_of(bytes: &[u8]) -> Option<u64> {
    canonical::parse(bytes).ok()?["signed"]["version"].as_u64()
}

/// Roots from before the common one, as far back as the source has them: a third person may
/// have begun with any of them. Whether they are right, the proof says.
fn earlier_roots<P: Place>(place: &P, root: &[u8]) -> Vec<Bytes> {
    let Some(version) = version_of(root) else {
        return Vec::new();
    };
    let mut earlier = Vec::new();
    for version in (1..version).rev() {
        let name = RoleName::root().versioned_file_name(version);
        let found = place.metadata(&name, wheelmark_tuf::limits::MAX_ROOT_LENGTH);
        match found {
            Ok(Some(root)) if version_of(&root) == Some(version) => earlier.push(root),
            _ => break,
        }
    }
    earlier.reverse();
    earlier
}

/// The delegated roles of a source, asked for by several threads.
struct Gathering<'a> {
    held: Mutex<Gathered>,
    changed: Condvar,
    asked: &'a (dyn Fn(u64) + Sync),
}

struct Gathered {
    walk: Walk,
    busy: usize,
    kept: usize,
    roles: BTreeMap<RoleName, Seen>,
    trouble: Option<String>,
    ended: bool,
}

/// Somebody is at work, until this is dropped: also by a panic, for which nobody must wait.
struct Busy<'a, 'b>(&'a Gathering<'b>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        let mut held = self.0.held();
        held.busy -= 1;
        held.ended |= std::thread::panicking();
        self.0.changed.notify_all();
    }
}

impl<'a> Gathering<'a> {
    fn of(set: &TrustedSet, asked: &'a (dyn Fn(u64) + Sync)) -> Self {
        let (mut walk, top) = set.walk();
        walk.enter(&top);
        Self {
            held: Mutex::new(Gathered {
                walk,
                busy: 0,
                kept: 0,
                roles: BTreeMap::new(),
                trouble: None,
                ended: false,
            }),
            changed: Condvar::new(),
            asked,
        }
    }

    fn held(&self) -> MutexGuard<'_, Gathered> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn toil<P: Place>(&self, place: &P) {
        while let Some(awaited) = self.next() {
            let _busy = Busy(self);
            (self.asked)(1);
            let trouble = self.one(place, &awaited);
            if let Some(trouble) = trouble {
                let mut held = self.held();
                held.walk.pass_by(awaited);
                held.trouble.get_or_insert(trouble);
            }
        }
    }

    fn next(&self) -> Option<Awaited> {
        let mut held = self.held();
        loop {
            if !held.ended {
                match held.walk.next() {
                    Ok(Some(awaited)) => {
                        held.busy += 1;
                        return Some(awaited);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        held.trouble.get_or_insert(with_causes(&error));
                        held.ended = true;
                    }
                }
            }
            if held.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            held = self
                .changed
                .wait(held)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks for a role; what is wrong with it, if anything is.
    fn one<P: Place>(&self, place: &P, awaited: &Awaited) -> Option<String> {
        let fetch = awaited.fetch();
        let path = &fetch.fetch.path;
        let bytes = match place.metadata(path, fetch.fetch.max_len) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Some(format!("{path} is not there")),
            Err(error) => return Some(format!("{path}: {}", with_causes(&error))),
        };
        let visited = match awaited.open_for_copy(&bytes) {
            Ok(visited) => visited,
            Err(error) => return Some(format!("{path}: {}", with_causes(&error))),
        };
        let delegates = visited.metadata().delegations.is_some();
        let seen = Seen::of(visited.delegator().cloned(), path, bytes);
        let seen = seen.map(|seen| Seen {
            ended: visited.ended(),
            ..seen
        });
        let mut held = self.held();
        held.walk.enter(&visited);
        if let Some(mut seen) = seen {
            let length = seen.bytes.as_ref().map_or(0, Bytes::len);
            // Those that delegate are part of every proof below them.
            if held.kept + length > KEPT && !delegates {
                seen.bytes = None;
            } else {
                held.kept += length;
            }
            held.roles.entry(visited.role().clone()).or_insert(seen);
        }
        None
    }
}
