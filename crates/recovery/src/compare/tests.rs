#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashMap;

use super::*;
use crate::plan::{Signer, VersionedFile};

fn name(project: &str) -> ProjectName {
    project.parse().unwrap()
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn keys(ids: &[&str], threshold: u32) -> Keys {
    Keys {
        keyids: ids.iter().map(|id| (*id).to_owned()).collect(),
        threshold,
    }
}

fn delegated(ids: &[&str], paths: &str) -> Delegated {
    Delegated {
        keys: keys(ids, 1),
        terminating: true,
        paths: paths.to_owned(),
    }
}

fn signed(content: &str, by: Signer) -> Signed {
    Signed {
        sha256: Sha256::of(content.as_bytes()),
        length: content.len() as u64,
        by,
    }
}

fn claimed(sealed: bool, ids: &[&str]) -> Claim {
    Claim {
        sealed,
        keys: keys(ids, 1),
    }
}

fn state() -> State {
    let targets = RoleName::targets();
    let below = [
        ("claimed".to_owned(), delegated(&["offline"], "simple/*/*")),
        ("simple".to_owned(), delegated(&["offline"], "simple/*/*")),
    ];
    let mut state = State {
        snapshot: 10,
        versions: BTreeMap::from([
            ("targets.json".to_owned(), 1),
            ("simple-0.json".to_owned(), 7),
            ("project-owned.json".to_owned(), 3),
        ]),
        files: BTreeMap::new(),
        top: BTreeMap::from([(targets.clone(), keys(&["a", "b"], 2))]),
        delegations: BTreeMap::from([(targets, BTreeMap::from(below))]),
        claims: BTreeMap::from([(name("owned"), claimed(true, &["alice"]))]),
        pages: BTreeMap::new(),
        lists: BTreeMap::new(),
        targets: HashMap::new(),
        unreadable: BTreeMap::new(),
        handovers: BTreeMap::new(),
    };
    file(&mut state, "simple-0", 7, "simple-0");
    state.page(name("flask"), signed("page", Signer::Index));
    state.target(
        name("flask"),
        "flask-1.whl".to_owned(),
        signed("wheel", Signer::Index),
    );
    state
}

fn file(state: &mut State, of: &str, version: u64, content: &str) {
    let sha256 = Sha256::of(content.as_bytes());
    state.file(&role(of), VersionedFile { version, sha256 });
}

/// `role what` of each change.
fn words(changes: &[RoleChange]) -> Vec<String> {
    changes
        .iter()
        .map(|change| format!("{} {:?}", change.role, change.what))
        .collect()
}

fn check_roles(now: impl FnOnce(&mut State), expected: &[&str]) {
    let (then, mut changed) = (state(), state());
    now(&mut changed);
    assert_eq!(words(&compare(&then, &changed).roles), expected);
}

#[test]
fn what_decides_who_signs_what_is_told() {
    check_roles(|_| {}, &[]);
    check_roles(
        |now| {
            drop(
                now.top
                    .insert(RoleName::targets(), keys(&["a", "thief"], 1)),
            )
        },
        &["targets Keys", "targets Threshold"],
    );
    let below = |now: &mut State, name: &str, to: Delegated| {
        let targets = now.delegations.get_mut(&RoleName::targets()).unwrap();
        targets.insert(name.to_owned(), to);
    };
    check_roles(
        |now| below(now, "claimed", delegated(&["thief"], "simple/*/*")),
        &["claimed Keys"],
    );
    check_roles(
        |now| below(now, "extra", delegated(&["thief"], "simple/flask/*")),
        &["targets Delegates"],
    );
    check_roles(
        |now| below(now, "simple", delegated(&["offline"], "*/*/*")),
        &["targets Delegates"],
    );
    check_roles(|now| now.delegations.clear(), &["targets Delegates"]);
}

#[test]
fn versions_that_no_index_gives_are_told() {
    let version = |name: &'static str, version: u64| {
        move |now: &mut State| {
            now.versions.insert(name.to_owned(), version);
        }
    };
    let read = |of: &'static str, version: u64, content: &'static str| {
        move |now: &mut State| {
            now.versions.insert(format!("{of}.json"), version);
            file(now, of, version, content);
        }
    };
    // A busy year is no attack.
    check_roles(read("simple-0", 500_000, "later"), &[]);
    check_roles(read("simple-0", 6, "earlier"), &["simple-0 VersionBack"]);
    check_roles(read("simple-0", 7, "two contents"), &["simple-0 Rewritten"]);
    check_roles(
        read("simple-0", (1 << 53) - 1, "far"),
        &["simple-0 FastForward"],
    );
    check_roles(version("simple-1.json", 1 << 40), &["simple-1 FastForward"]);
    check_roles(
        |now| {
            now.versions.remove("targets.json");
        },
        &["targets VersionBack"],
    );
    check_roles(|now| now.snapshot = 9, &["snapshot VersionBack"]);
    check_roles(|now| now.snapshot = 1 << 50, &["snapshot FastForward"]);
    // A last good state by its snapshot alone has no timestamp.
    check_roles(|now| file(now, "timestamp", 40, "timestamp"), &[]);
}

#[test]
fn a_role_that_cannot_be_read_is_told_and_not_what_follows_from_it() {
    check_roles(
        |now| {
            now.delegations.clear();
            now.unreadable(&RoleName::targets(), "it is not there");
        },
        &["targets Unreadable"],
    );
}

#[test]
fn claims_are_told_by_whose_keys_they_are() {
    let check = |now: &dyn Fn(&mut State), expected: &str| {
        let (then, mut changed) = (state(), state());
        now(&mut changed);
        let claims = compare(&then, &changed).claims;
        let words: Vec<String> = claims
            .iter()
            .map(|claim| {
                format!(
                    "{} {:?} sealed={} {:?}",
                    claim.project, claim.what, claim.sealed, claim.decision
                )
            })
            .collect();
        assert_eq!(words.join("; "), expected);
    };
    check(&|_| {}, "");
    check(
        &|now| drop(now.claims.insert(name("flask"), claimed(false, &["thief"]))),
        "flask Added sealed=false None",
    );
    check(&|now| now.claims.clear(), "owned Removed sealed=true None");
    check(
        &|now| drop(now.claims.insert(name("owned"), claimed(false, &["thief"]))),
        "owned Keys sealed=false None",
    );
    // Who says it is no change of the claim.
    check(
        &|now| drop(now.claims.insert(name("owned"), claimed(false, &["alice"]))),
        "",
    );
}

#[test]
fn keys_of_the_last_good_state_speak_for_what_they_signed_since() {
    let check = |then: Claim, now: Claim, version: u64, expected: Option<Support>| {
        let (mut before, mut after) = (state(), state());
        before.claims.insert(name("owned"), then);
        after.claims.insert(name("owned"), now);
        after
            .versions
            .insert("project-owned.json".to_owned(), version);
        after.page(name("owned"), signed("a page", Signer::Project));
        let found = compare(&before, &after).projects;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].support, expected);
    };
    let (alice, thief) = (&["alice"], &["thief"]);
    check(
        claimed(true, alice),
        claimed(true, alice),
        4,
        Some(Support::Sealed),
    );
    check(
        claimed(false, alice),
        claimed(false, alice),
        4,
        Some(Support::Developer),
    );
    // Whoever says so now: it is what the last good state says that counts.
    check(
        claimed(true, alice),
        claimed(false, alice),
        4,
        Some(Support::Sealed),
    );
    check(
        claimed(false, alice),
        claimed(true, alice),
        4,
        Some(Support::Developer),
    );
    check(claimed(true, alice), claimed(true, thief), 4, None);
    // Signed once, and brought out again.
    check(claimed(true, alice), claimed(true, alice), 2, None);
}

#[test]
fn projects_are_told_whose_page_list_or_files_are_others() {
    let check = |now: &dyn Fn(&mut State), expected: &[&str]| {
        let (then, mut changed) = (state(), state());
        now(&mut changed);
        let found = compare(&then, &changed).projects;
        let words = found.iter().map(|one| {
            let files: Vec<&str> = one.targets.keys().map(String::as_str).collect();
            format!("{} {}", one.project, files.join(" "))
        });
        assert_eq!(words.collect::<Vec<_>>(), expected);
    };
    check(&|_| {}, &[]);
    check(&|now| now.pages.clear(), &["flask "]);
    check(
        &|now| now.page(name("new"), signed("page", Signer::Index)),
        &["new "],
    );
    // The same bytes by somebody else.
    let by = Signer::Project;
    check(
        &|now| {
            now.pages.insert(name("flask"), signed("page", by));
        },
        &["flask "],
    );
    check(
        &|now| now.list(name("owned"), signed("list", Signer::Index)),
        &["owned "],
    );
    check(&|now| now.targets.clear(), &["flask flask-1.whl"]);
    let evil = signed("evil", Signer::Index);
    check(
        &|now| now.target(name("flask"), "flask-2.whl".to_owned(), evil),
        &["flask flask-2.whl"],
    );
    check(
        &|now| now.targets.values_mut().for_each(|file| *file = evil),
        &["flask flask-1.whl"],
    );
}
