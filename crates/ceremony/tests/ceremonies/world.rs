//! An index's offline metadata, and the people who hold its keys.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wheelmark_ceremony::{
    Ceremony, CeremonyError, HolderKeys, Plan, Policy, Published, SignatureFile, Standing,
    StandingError, Tally, key_name, proof_message,
};
use wheelmark_signing::{Ed25519Key, Seat, Signer, generate_seat, sign_role};
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Handovers, Key, PathPattern, PathSet, Role as _,
    RoleKeys, RoleName, Root, RootRoles, SPEC_VERSION, Targets,
};

pub(crate) const POLICY: Policy = Policy::new(
    SignedDuration::from_hours(365 * 24),
    SignedDuration::from_hours(90 * 24),
);

pub(crate) const DELEGATED: [&str; 3] = ["claimed", "simple", "packages"];

pub(crate) fn name(role: &str) -> RoleName {
    role.parse().unwrap()
}

/// The first day, and a number of days after it.
pub(crate) fn day(days: i64) -> Timestamp {
    let first: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    first + SignedDuration::from_hours(24 * days)
}

/// An index as its first run leaves it.
pub(crate) struct World {
    pub(crate) seats: Vec<Seat>,
    pub(crate) published: Published,
    pub(crate) online: Ed25519Key,
    rng: StdRng,
}

impl World {
    pub(crate) fn new(holders: usize, threshold: u32) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let seats: Vec<Seat> = (0..holders).map(|_| generate_seat(&mut rng)).collect();
        let online = Ed25519Key::generate(&mut rng);
        let keys_of = |role: &str| -> Vec<Key> {
            let key = |seat: &Seat| seat.signer(key_name(&name(role))).unwrap().key().clone();
            seats.iter().map(key).collect()
        };
        let role_keys = |role: &str| RoleKeys::new(&keys_of(role), threshold);
        let by_id = |roles: &[&str]| -> BTreeMap<_, _> {
            let keys = roles.iter().flat_map(|role| keys_of(role));
            keys.chain([online.key().clone()])
                .map(|key| (key.keyid().clone(), key))
                .collect()
        };
        let root = Root {
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires: POLICY.expiry(&name("root"), day(0)),
            consistent_snapshot: true,
            keys: by_id(&["root", "targets"]),
            roles: RootRoles {
                root: role_keys("root"),
                targets: role_keys("targets"),
                snapshot: RoleKeys::new([online.key()], 1),
                timestamp: RoleKeys::new([online.key()], 1),
                extra: BTreeMap::new(),
            },
            extra: BTreeMap::new(),
        };
        let delegated = |role: &str, keys: RoleKeys| DelegatedRole {
            name: name(role),
            keys,
            terminating: role != "claimed",
            paths: PathSet::Patterns(vec![PathPattern::from("simple/*/*")]),
        };
        let mut below: Vec<DelegatedRole> = DELEGATED
            .iter()
            .map(|role| delegated(role, role_keys(role)))
            .collect();
        for role in ["recently-claimed", "status"] {
            below.push(delegated(role, RoleKeys::new([online.key()], 1)));
        }
        let top = Delegations {
            keys: by_id(&DELEGATED),
            roles: DelegatedRoles::Listed(below),
            extra: BTreeMap::new(),
        };
        let mut world = Self {
            seats,
            published: Published::default(),
            online,
            rng,
        };
        let bytes = world.signed("root", &root.to_canonical());
        world.published.roots.push(bytes);
        world.put("targets", Some(top));
        for role in DELEGATED {
            world.put(role, None);
        }
        world
    }

    /// Publishes the first version of an offline role.
    pub(crate) fn put(&mut self, role: &str, delegations: Option<Delegations>) {
        let bytes = self.signed(role, &targets(role, 1, delegations).to_canonical());
        self.published.roles.insert(name(role), bytes);
    }

    /// Somebody's key, for a project.
    pub(crate) fn key(&mut self) -> Ed25519Key {
        Ed25519Key::generate(&mut self.rng)
    }

    /// Publishes what the online key says of claims.
    pub(crate) fn put_recently(&mut self, delegations: Delegations) {
        let canonical = targets("recently-claimed", 5, Some(delegations)).to_canonical();
        let bytes = sign_role(&canonical, &[&self.online]).unwrap();
        self.published.roles.insert(name("recently-claimed"), bytes);
    }

    /// Publishes the role of a project.
    pub(crate) fn put_project(&mut self, project: &str, bytes: Vec<u8>) {
        let role = name(&format!("project-{project}"));
        self.published.roles.insert(role, bytes);
    }

    pub(crate) fn signed(&self, role: &str, canonical: &[u8]) -> Vec<u8> {
        let signers: Vec<&dyn Signer> = self
            .seats
            .iter()
            .map(|seat| seat.signer(key_name(&name(role))).unwrap())
            .collect();
        sign_role(canonical, &signers).unwrap()
    }

    pub(crate) fn try_standing(&self) -> Result<Standing, StandingError> {
        Standing::verify(self.published.clone())
    }

    pub(crate) fn standing(&self) -> Standing {
        self.try_standing().unwrap()
    }

    pub(crate) fn plan(&self, now: Timestamp) -> Plan {
        Plan::renewal(&self.standing(), &[], &POLICY, now)
    }

    pub(crate) fn try_ceremony(
        &self,
        plan: Plan,
        now: Timestamp,
    ) -> Result<Ceremony, CeremonyError> {
        Ceremony::new(self.standing(), plan, &POLICY, now)
    }

    pub(crate) fn ceremony(&self, now: Timestamp) -> Ceremony {
        self.try_ceremony(self.plan(now), now).unwrap()
    }

    /// Somebody new, with keys of their own.
    pub(crate) fn newcomer(&mut self, who: &str) -> (Seat, HolderKeys) {
        let seat = generate_seat(&mut self.rng);
        let holder = public(who, &seat);
        (seat, holder)
    }

    /// Publishes what a ceremony has brought.
    pub(crate) fn publish(&mut self, files: Vec<(RoleName, u64, Vec<u8>)>) {
        for (role, version, bytes) in files {
            if role == RoleName::root() {
                assert_eq!(version, self.published.roots.len() as u64 + 1);
                self.published.roots.push(bytes);
            } else {
                self.published.roles.insert(role, bytes);
            }
        }
    }
}

/// A version of a project's own role.
pub(crate) fn project_role(project: &str, version: u64, keys: &[&Ed25519Key]) -> Vec<u8> {
    project_role_with(project, version, &Handovers::default(), keys)
}

/// The same, with handovers in it.
pub(crate) fn project_role_with(
    project: &str,
    version: u64,
    handovers: &Handovers,
    keys: &[&Ed25519Key],
) -> Vec<u8> {
    let role = format!("project-{project}");
    let mut targets = targets(&role, version, None);
    targets.state_handovers(handovers);
    let canonical = targets.to_canonical();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| *key as &dyn Signer).collect();
    sign_role(&canonical, &signers).unwrap()
}

/// A role that lists nothing.
fn targets(role: &str, version: u64, delegations: Option<Delegations>) -> Targets {
    let mut targets = Targets {
        spec_version: SPEC_VERSION.to_owned(),
        version,
        expires: POLICY.expiry(&name(role), day(0)),
        targets: BTreeMap::new(),
        delegations,
        extra: BTreeMap::new(),
    };
    targets.state_role(&name(role));
    targets
}

/// The public keys of a seat, with their proofs.
pub(crate) fn public(who: &str, seat: &Seat) -> HolderKeys {
    let keys: BTreeMap<String, Key> = seat
        .names()
        .map(|key| (key.to_owned(), seat.signer(key).unwrap().key().clone()))
        .collect();
    let message = proof_message(who, &keys);
    let proofs = seat.names().map(|key| {
        let proof = seat.signer(key).unwrap().sign(&message).unwrap();
        (key.to_owned(), proof)
    });
    let proofs = proofs.collect();
    HolderKeys::new(who, keys, proofs).unwrap()
}

/// What one holder signs of a ceremony, as files.
pub(crate) fn signatures(ceremony: &Ceremony, seat: &Seat) -> Vec<SignatureFile> {
    let mut signatures = Vec::new();
    for key in seat.names() {
        let signer = seat.signer(key).unwrap();
        for payload in ceremony.payloads_for(signer.key().keyid()) {
            let signature = signer.sign(payload.bytes()).unwrap();
            signatures.push(SignatureFile::of(ceremony, payload, signature));
        }
    }
    signatures
}

/// A tally with the signatures of these holders.
pub(crate) fn tally<'a>(
    ceremony: &'a Ceremony,
    seats: impl IntoIterator<Item = &'a Seat>,
) -> Tally<'a> {
    let mut tally = Tally::new(ceremony);
    for seat in seats {
        for signature in signatures(ceremony, seat) {
            let bytes = serde_json::to_vec(&signature.to_value()).unwrap();
            tally.admit(SignatureFile::read(&bytes).unwrap()).unwrap();
        }
    }
    tally
}
