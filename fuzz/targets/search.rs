//! The search through delegations against a recursive one that follows TUF §5.6.7 word by word.
//!
//! The input makes a graph of roles: lists with globs and hash prefixes, succinct bins, cycles,
//! terminating delegations, roles that are expired, unlisted, absent, of another version, signed
//! by the wrong key or those of another name. Both searches must come to the same answer: the
//! same role's file, nothing, or a refusal.
#![no_main]

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::keys::Signer;
use wheelmark_fuzz::repository::time;
use wheelmark_fuzz::script::Script;
use wheelmark_tuf::{
    Cached, DelegatedRole, DelegatedRoles, Delegations, Found, Limits, MetaFile, PathSet, Refresh,
    Role, RoleKeys, RoleName, Root, RootRoles, SPEC_VERSION, Sha256, Snapshot, SuccinctRoles,
    TargetInfo, TargetPath, Targets, TimestampMetadata,
};

/// Roles below `targets`, by number. The last four are the bins of `b`.
const NAMES: [&str; 10] = ["a", "c", "d", "e/f", "g", "h", "b-0", "b-1", "b-2", "b-3"];

static SIGNERS: LazyLock<[Signer; 2]> = LazyLock::new(|| [1, 2].map(Signer::new));

/// What stands in one file.
struct Drawn {
    targets: Targets,
    /// Which key signs it.
    signer: usize,
    /// Whether it is there, listed, of its version, in time, and its own.
    whole: Whole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Sound,
    Absent,
    Unlisted,
    OtherVersion,
    Expired,
    OtherName,
}

/// What a search comes to.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Found(String),
    Absent,
    Refused,
}

fuzz_target!(|input: &[u8]| {
    let mut script = Script(input);
    let path: TargetPath = ["simple/x", "packages/x/y", "x"][usize::from(script.byte() % 3)]
        .parse()
        .expect("the path is well-formed");
    let limits = Limits {
        delegations: usize::from(script.byte() % 16),
        ..Limits::default()
    };
    let top = draw(&mut script, &path, None);
    let roles: BTreeMap<&str, Drawn> = NAMES
        .iter()
        .map(|name| (*name, draw(&mut script, &path, Some(name))))
        .collect();

    let mut naive = Naive {
        path: &path,
        roles: &roles,
        limit: limits.delegations,
        visited: HashSet::from(["targets".to_owned()]),
    };
    let expected = naive.ask("targets", &top.targets).unwrap_or(Answer::Absent);
    assert_eq!(search(&path, &top, &roles, limits), expected);
});

fn now() -> Timestamp {
    time("2026-01-01T00:00:00Z")
}

fn draw(script: &mut Script<'_>, path: &TargetPath, name: Option<&str>) -> Drawn {
    let bits = script.byte();
    let whole = match (name, bits >> 4) {
        (None, _) => Whole::Sound,
        (_, 1) => Whole::Absent,
        (_, 2) => Whole::Unlisted,
        (_, 3) => Whole::OtherVersion,
        (_, 4) => Whole::Expired,
        (_, 5) => Whole::OtherName,
        _ => Whole::Sound,
    };
    let mut targets = Targets {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: time("2030-01-01T00:00:00Z"),
        targets: BTreeMap::new(),
        delegations: delegations(script, path, bits & 3),
        extra: BTreeMap::new(),
    };
    if bits & 4 != 0 && bits & 8 != 0 {
        let name = name.unwrap_or("targets");
        let info = TargetInfo::new(name.len() as u64, Sha256::of(name.as_bytes()));
        targets.targets.insert(path.clone(), info);
    }
    match whole {
        Whole::Expired => targets.expires = now(),
        Whole::OtherVersion => targets.version = 2,
        Whole::OtherName => targets.state_role(&role("other")),
        Whole::Sound if bits & 8 != 0 => targets.state_role(&role(name.unwrap_or("targets"))),
        _ => {}
    }
    // The odd one is signed by another key than delegations usually name.
    let signer = usize::from(bits >> 4 == 6 && name.is_some());
    Drawn {
        targets,
        signer,
        whole,
    }
}

fn delegations(script: &mut Script<'_>, path: &TargetPath, kind: u8) -> Option<Delegations> {
    let keys = SIGNERS
        .each_ref()
        .map(|signer| (signer.key.keyid().clone(), signer.key.clone()));
    let digest = Sha256::of(path.as_str().as_bytes()).to_string();
    let roles = match kind {
        0 => return None,
        1 => {
            let bits = script.byte();
            let keys = RoleKeys::new([&SIGNERS[usize::from(bits & 1)].key], 1);
            let length = 1 + u32::from(bits >> 1) % 2;
            DelegatedRoles::Succinct(
                SuccinctRoles::new(keys, length, "b").expect("one or two bits are a length"),
            )
        }
        _ => {
            let mut listed: Vec<DelegatedRole> = Vec::new();
            for _ in 0..script.byte() % 5 {
                let [which, bits] = [script.byte(), script.byte()];
                let name = role(NAMES[usize::from(which) % NAMES.len()]);
                if listed.iter().any(|role| role.name == name) {
                    continue;
                }
                let paths = match bits >> 4 {
                    0 => PathSet::Patterns(vec!["*".into()]),
                    1 => PathSet::Patterns(vec!["simple/*".into(), "packages/?/?".into()]),
                    2 => PathSet::Patterns(vec![]),
                    3 => PathSet::HashPrefixes(vec![digest[..2].to_owned()]),
                    4 => PathSet::HashPrefixes(vec!["0".to_owned(), "00".to_owned()]),
                    _ => PathSet::Patterns(vec!["*/*/*".into(), path.as_str().into()]),
                };
                listed.push(DelegatedRole {
                    name,
                    keys: RoleKeys::new([&SIGNERS[usize::from(bits & 7 == 7)].key], 1),
                    terminating: bits & 8 != 0,
                    paths,
                });
            }
            DelegatedRoles::Listed(listed)
        }
    };
    Some(Delegations {
        keys: keys.into(),
        roles,
        extra: BTreeMap::new(),
    })
}

fn role(name: &str) -> RoleName {
    name.parse().expect("the name is well-formed")
}

/// The specification, read aloud.
struct Naive<'a> {
    path: &'a TargetPath,
    roles: &'a BTreeMap<&'static str, Drawn>,
    limit: usize,
    visited: HashSet<String>,
}

impl Naive<'_> {
    /// The answer of a role and of those below it; `None` when the search goes on elsewhere.
    fn ask(&mut self, name: &str, targets: &Targets) -> Option<Answer> {
        if targets.targets.contains_key(self.path) {
            return Some(Answer::Found(name.to_owned()));
        }
        let delegations = targets.delegations.as_ref()?;
        let matching: Vec<(RoleName, &RoleKeys, bool)> = match &delegations.roles {
            DelegatedRoles::Succinct(bins) => {
                let first = Sha256::of(self.path.as_str().as_bytes()).0[0];
                let bin = first >> (8 - bins.bit_length());
                vec![(role(&format!("b-{bin}")), &bins.keys, false)]
            }
            DelegatedRoles::Listed(listed) => listed
                .iter()
                .filter(|role| role.paths.contains(self.path))
                .map(|role| (role.name.clone(), &role.keys, role.terminating))
                .collect(),
        };
        for (name, keys, terminating) in matching {
            if let Some(answer) = self.descend(name.as_str(), keys) {
                return Some(answer);
            }
            if terminating {
                return Some(Answer::Absent);
            }
        }
        None
    }

    fn descend(&mut self, name: &str, keys: &RoleKeys) -> Option<Answer> {
        if !self.visited.insert(name.to_owned()) {
            return None;
        }
        // `targets` is no delegated role.
        if self.visited.len() - 1 > self.limit {
            return Some(Answer::Refused);
        }
        let drawn = &self.roles[name];
        let signed = keys.keyids.contains(SIGNERS[drawn.signer].key.keyid());
        if drawn.whole != Whole::Sound || !signed {
            return Some(Answer::Refused);
        }
        self.ask(name, &drawn.targets)
    }
}

/// The search of the crate, for a client that begins with nothing.
fn search(
    path: &TargetPath,
    top: &Drawn,
    roles: &BTreeMap<&'static str, Drawn>,
    limits: Limits,
) -> Answer {
    let sign = |signed: Vec<u8>, signer: usize| Signer::file(&signed, &[&SIGNERS[signer]]);
    let expires = time("2030-01-01T00:00:00Z");
    let keys = RoleKeys::new([&SIGNERS[0].key], 1);
    let root = Root {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires,
        consistent_snapshot: true,
        keys: [(SIGNERS[0].key.keyid().clone(), SIGNERS[0].key.clone())].into(),
        roles: RootRoles {
            root: keys.clone(),
            timestamp: keys.clone(),
            snapshot: keys.clone(),
            targets: keys,
            extra: BTreeMap::new(),
        },
        extra: BTreeMap::new(),
    };
    let listed = roles
        .iter()
        .filter(|(_, drawn)| drawn.whole != Whole::Unlisted)
        .map(|(name, _)| *name)
        .chain(["targets"]);
    let snapshot = Snapshot {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires,
        meta: listed
            .map(|name| (format!("{name}.json"), MetaFile::version(1)))
            .collect(),
        extra: BTreeMap::new(),
    };
    let timestamp = TimestampMetadata {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires,
        snapshot: MetaFile::version(1),
        other_meta: BTreeMap::new(),
        extra: BTreeMap::new(),
    };
    let root = sign(root.to_canonical(), 0);
    let mut refresh = Refresh::new(&root, Cached::default(), now(), limits).expect("root is well");
    while let Some(need) = refresh.need() {
        let answer = match need.path.as_str() {
            "timestamp.json" => Some(sign(timestamp.to_canonical(), 0)),
            "1.snapshot.json" => Some(sign(snapshot.to_canonical(), 0)),
            "1.targets.json" => Some(sign(top.targets.to_canonical(), 0)),
            _ => None,
        };
        refresh = refresh.supply(answer).expect("the top is well").0;
    }
    let set = refresh.finish().expect("nothing is needed any more");
    let mut lookup = set.lookup(path);
    while let Some(need) = lookup.need().cloned() {
        let drawn = &roles[need.role.as_str()];
        if drawn.whole == Whole::Absent
            || lookup
                .supply(sign(drawn.targets.to_canonical(), drawn.signer))
                .is_err()
        {
            return Answer::Refused;
        }
    }
    match lookup.finish() {
        Ok(Found::Target(target)) => Answer::Found(target.role.to_string()),
        Ok(Found::Absent { .. }) => Answer::Absent,
        Err(_) => Answer::Refused,
    }
}
