//! TUF §5.6.7: the search through delegations.

use serde_json::json;
use wheelmark_tuf::{
    CacheName, DelegatedRoles, Found, Limits, LookupError, MetaFile, PathPattern, PathSet,
    RoleKeys, Sha256, TrustedSet,
};

use crate::client::{Client, explain};
use crate::repo::{NOW, Repo, Signer, role, time};

pub(crate) fn patterns(patterns: &str) -> PathSet {
    PathSet::Patterns(patterns.split(' ').map(PathPattern::from).collect())
}

/// What a search came to, in one line, and the roles that were fetched on the way.
pub(crate) fn search(client: &mut Client, set: &TrustedSet, repo: &Repo, path: &str) -> String {
    client.asked.clear();
    let result = client.lookup(set, repo, path);
    let fetched = client.asked.join(" ").replace(".json", "");
    match result {
        Ok(Found::Target(target)) => {
            let via: Vec<_> = target
                .via
                .iter()
                .map(|(role, version)| format!("{role} {version}"))
                .collect();
            format!(
                "[{fetched}] {} by {} {}",
                via.join(", "),
                target.role,
                target.role_version
            )
        }
        Ok(Found::Absent { asked }) => {
            let asked: Vec<_> = asked.iter().map(|role| role.as_str()).collect();
            format!("[{fetched}] none of {}", asked.join(" "))
        }
        Err(error) => format!("[{fetched}] {}", explain(&error)),
    }
}

/// Builds a repository of `(delegator, role, paths)`, a `!` behind the role for terminating
/// and of `(role, path)` for the files it lists, and searches it.
#[track_caller]
fn check(delegations: &[(&str, &str, &str)], files: &[(&str, &str)], path: &str, expected: &str) {
    let mut repo = Repo::new();
    for (delegator, name, paths) in delegations {
        repo.delegate(delegator, name, patterns(paths));
    }
    for (name, path) in files {
        repo.add(name, path, b"content");
    }
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(search(&mut client, &set, &repo, path), expected);
}

#[test]
fn pre_order_in_the_order_of_the_delegator() {
    let all = "*";
    check(&[], &[], "x", "[] none of targets");
    check(&[], &[("targets", "x")], "x", "[]  by targets 2");
    check(
        &[("targets", "A", all)],
        &[],
        "x",
        "[1.A] none of targets A",
    );
    check(
        &[("targets", "B", all), ("targets", "A", all)],
        &[],
        "x",
        "[1.B 1.A] none of targets B A",
    );
    check(
        &[
            ("targets", "A", all),
            ("targets", "B", all),
            ("A", "C", all),
            ("A", "D", all),
            ("C", "E", all),
        ],
        &[],
        "x",
        "[1.A 1.C 1.E 1.D 1.B] none of targets A C E D B",
    );
    check(
        &[
            ("targets", "A", all),
            ("targets", "B", all),
            ("A", "C", all),
        ],
        &[("C", "x"), ("B", "x")],
        "x",
        "[1.A 1.C] targets 2, A 1 by C 1",
    );
    check(
        &[("targets", "A", all), ("targets", "B", all)],
        &[("targets", "x"), ("A", "x")],
        "x",
        "[]  by targets 2",
    );
}

#[test]
fn only_roles_on_the_way_are_fetched() {
    let delegations = [
        ("targets", "A", "*.doc foo-?.tgz"),
        ("targets", "B", "releases/*/*"),
        ("B", "C", "releases/x/*"),
        ("B", "D", "releases/y/*.zip"),
    ];
    let files = [
        ("A", "a.doc"),
        ("A", "releases/a.doc"),
        ("C", "releases/x/1"),
        ("D", "releases/z/1.zip"),
    ];
    for (path, expected) in [
        ("a.doc", "[1.A] targets 2 by A 1"),
        ("A.DOC", "[] none of targets"),
        ("foo-1.tgz", "[1.A] none of targets A"),
        ("foo-12.tgz", "[] none of targets"),
        // A role's word counts only for paths that it is trusted with.
        ("releases/a.doc", "[] none of targets"),
        ("releases/x/1", "[1.B 1.C] targets 2, B 1 by C 1"),
        // Nor does a child's, beyond what its delegator was trusted with.
        ("releases/z/1.zip", "[1.B] none of targets B"),
        ("other/x/1", "[] none of targets"),
    ] {
        check(&delegations, &files, path, expected);
    }
}

#[test]
fn a_child_cannot_reach_beyond_its_delegator() {
    // `A` is trusted with `a/*` and delegates everything: the search never comes there
    // for other paths.
    check(
        &[("targets", "A", "a/*"), ("A", "C", "*/*")],
        &[("C", "b/x")],
        "b/x",
        "[] none of targets",
    );
}

#[test]
fn a_terminating_delegation_ends_the_whole_search() {
    let all = "*";
    let siblings = [("targets", "A!", all), ("targets", "B", all)];
    check(&siblings, &[("B", "x")], "x", "[1.A] none of targets A");
    check(
        &[
            ("targets", "A", "y"),
            ("targets", "B!", "y"),
            ("targets", "C", all),
        ],
        &[("C", "x")],
        "x",
        "[1.C] targets 2 by C 1",
    );
    // On every level, not only among siblings.
    check(
        &[
            ("targets", "A", all),
            ("targets", "B", all),
            ("A", "C!", all),
            ("A", "D", all),
        ],
        &[("B", "x"), ("D", "x")],
        "x",
        "[1.A 1.C] none of targets A C",
    );
    // Behind its own subtree.
    check(
        &[
            ("targets", "A!", all),
            ("targets", "B", all),
            ("A", "C", all),
            ("A", "D", all),
        ],
        &[("D", "x")],
        "x",
        "[1.A 1.C 1.D] targets 2, A 1 by D 1",
    );
    // What comes before it is still asked.
    check(
        &[
            ("targets", "A", all),
            ("targets", "B!", all),
            ("targets", "C", all),
            ("A", "D", all),
        ],
        &[("C", "x")],
        "x",
        "[1.A 1.D 1.B] none of targets A D B",
    );
}

#[test]
fn nothing_the_index_signs_answers_for_a_claimed_project() {
    let delegations = [
        ("targets", "claimed", "simple/*/* packages/*/*"),
        ("targets", "recently-claimed", "simple/*/* packages/*/*"),
        ("targets", "simple!", "simple/*/*"),
        (
            "claimed",
            "project-flask!",
            "simple/flask/* packages/flask/*",
        ),
        (
            "recently-claimed",
            "project-django!",
            "simple/django/* packages/django/*",
        ),
    ];
    let files = [
        ("simple", "simple/flask/index.json"),
        ("simple", "simple/django/index.json"),
        ("simple", "simple/other/index.json"),
    ];
    for (path, expected) in [
        (
            "simple/flask/index.json",
            "[1.claimed 1.project-flask] none of targets claimed project-flask",
        ),
        (
            "simple/django/index.json",
            "[1.claimed 1.recently-claimed 1.project-django] \
             none of targets claimed recently-claimed project-django",
        ),
        (
            "simple/other/index.json",
            "[1.claimed 1.recently-claimed 1.simple] targets 2 by simple 1",
        ),
    ] {
        check(&delegations, &files, path, expected);
    }
}

#[test]
fn a_role_is_visited_once_and_cycles_end() {
    let all = "*";
    check(
        &[
            ("targets", "A", all),
            ("A", "B", all),
            ("B", "A", all),
            ("B", "B", all),
        ],
        &[],
        "x",
        "[1.A 1.B] none of targets A B",
    );
    check(
        &[
            ("targets", "A", all),
            ("targets", "B", all),
            ("A", "C", all),
            ("B", "C", all),
        ],
        &[],
        "x",
        "[1.A 1.C 1.B] none of targets A C B",
    );
    check(
        &[
            ("targets", "A", all),
            ("targets", "B", all),
            ("A", "C", "y"),
            ("B", "C", all),
        ],
        &[],
        "x",
        "[1.A 1.B 1.C] none of targets A B C",
    );
}

#[test]
fn a_role_counts_with_the_keys_of_its_delegator() {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("a/*"));
    repo.delegate("targets", "B", patterns("b/*"));
    repo.delegate("A", "shared", patterns("a/*"));
    repo.delegate("B", "shared", patterns("b/*"));
    repo.add("shared", "a/x", b"by A's leave");
    repo.add("shared", "b/x", b"not by B's");
    // `B` names another key for `shared` than the one it is signed with.
    let other = Signer::new("other");
    let delegations = repo.role_mut("B").delegations.as_mut().unwrap();
    delegations
        .keys
        .insert(other.key().keyid().clone(), other.key().clone());
    if let DelegatedRoles::Listed(roles) = &mut delegations.roles {
        roles[0].keys = RoleKeys::new([other.key()], 1);
    }
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    let refused = "[1.B 1.shared] shared, to which B delegates, is refused: \
                   signed by 0 of the 1 keys that are needed";
    assert_eq!(
        search(&mut client, &set, &repo, "a/x"),
        "[1.A 1.shared] targets 2, A 1 by shared 1"
    );
    assert_eq!(search(&mut client, &set, &repo, "b/x"), refused);
    // Nor from the cache of the other.
    let set = client.refresh(&repo).unwrap();
    let a = CacheName::Delegated {
        delegator: role("A"),
        role: role("shared"),
    };
    let b = CacheName::Delegated {
        delegator: role("B"),
        role: role("shared"),
    };
    client.cache.insert(b, client.cache[&a].clone());
    assert_eq!(
        search(&mut client, &set, &repo, "b/x"),
        refused.replace("1.B ", "")
    );
}

#[test]
fn what_was_verified_is_not_fetched_again() {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("*"));
    repo.delegate("A", "B", patterns("*"));
    repo.add("B", "x", b"content");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    let found = "targets 2, A 1 by B 1";
    assert_eq!(
        search(&mut client, &set, &repo, "x"),
        format!("[1.A 1.B] {found}")
    );
    // In the same set, even without a cache …
    let cache = std::mem::take(&mut client.cache);
    assert_eq!(search(&mut client, &set, &repo, "x"), format!("[] {found}"));
    assert_eq!(
        search(&mut client, &set.clone(), &repo, "y"),
        "[] none of targets A B"
    );
    // … and in the next one from the cache, which is verified again.
    client.cache = cache;
    let set = client.refresh(&repo).unwrap();
    assert_eq!(search(&mut client, &set, &repo, "x"), format!("[] {found}"));
    let set = client.refresh(&repo).unwrap();
    let name = CacheName::Delegated {
        delegator: role("A"),
        role: role("B"),
    };
    client.cache.insert(name.clone(), b"damaged".to_vec());
    assert_eq!(
        search(&mut client, &set, &repo, "x"),
        format!("[1.B] {found}")
    );
    assert_eq!(client.cache[&name], repo.files["1.B.json"]);
}

#[test]
fn a_new_version_replaces_the_cached_one() {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("*"));
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(
        search(&mut client, &set, &repo, "x"),
        "[1.A] none of targets A"
    );
    repo.add("A", "x", b"content");
    repo.publish("A snapshot timestamp");
    let set = client.refresh(&repo).unwrap();
    assert_eq!(
        search(&mut client, &set, &repo, "x"),
        "[2.A] targets 2 by A 2"
    );
}

/// What happens to a search through `targets` → `A` → (`B`, which has the file).
#[track_caller]
fn check_failure(change: impl FnOnce(&mut Repo), expected: &str) {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("*"));
    repo.delegate("targets", "B", patterns("*"));
    repo.add("B", "x", b"content");
    repo.publish_all();
    change(&mut repo);
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(search(&mut client, &set, &repo, "x"), expected);
}

#[test]
fn a_failure_on_the_way_ends_the_search() {
    let refused = |why: &str| format!("[1.A] A, to which targets delegates, is refused: {why}");
    check_failure(|_| {}, "[1.A 1.B] targets 2 by B 1");
    check_failure(
        |repo| {
            repo.snapshot.meta.remove("A.json");
            repo.publish("snapshot timestamp");
        },
        "[] targets delegates to A, which the snapshot does not list",
    );
    check_failure(
        |repo| {
            repo.signers.insert("A".into(), vec![Signer::new("B")]);
            repo.write("A");
        },
        &refused("signed by 0 of the 1 keys that are needed"),
    );
    check_failure(
        |repo| {
            repo.role_mut("A").expires = time(NOW);
            repo.write("A");
        },
        &refused("it expired at 2030-01-01T00:00:00Z"),
    );
    check_failure(
        |repo| {
            repo.role_mut("A").version = 2;
            let bytes = repo.signed("A");
            repo.files.insert("1.A.json".into(), bytes);
        },
        &refused("it has version 2, not 1"),
    );
    check_failure(
        |repo| {
            repo.snapshot.meta.get_mut("A.json").unwrap().length = Some(1);
            repo.publish("snapshot timestamp");
        },
        &refused(&format!(
            "it has {} bytes, more than 1",
            Repo::new().files["1.targets.json"].len()
        )),
    );
    check_failure(
        |repo| {
            repo.files
                .get_mut("1.A.json")
                .unwrap()
                .resize(5_000_001, b' ');
        },
        &refused("it has 5000001 bytes, more than 5000000"),
    );
    check_failure(
        |repo| {
            let hashes = wheelmark_tuf::Hashes::sha256_only(Sha256::of(b""));
            repo.snapshot.meta.get_mut("A.json").unwrap().hashes = Some(hashes);
            repo.publish("snapshot timestamp");
            repo.files.insert("1.A.json".into(), b"x".to_vec());
        },
        &refused(&format!(
            "it is not the file that was announced: the sha256 of the content is {}, not {}",
            Sha256::of(b"x"),
            Sha256::of(b"")
        )),
    );
    check_failure(
        |repo| repo.forge("A", |signed| signed["_type"] = json!("snapshot")),
        &refused("the signed part is not valid: the metadata is of type `snapshot`, not `targets`"),
    );
}

#[test]
fn a_refused_answer_may_be_given_again() {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("*"));
    repo.add("A", "x", b"content");
    repo.publish_all();
    let set = Client::new(&repo).refresh(&repo).unwrap();
    let mut lookup = set.lookup(&"x".parse().unwrap());
    let good = repo.files["1.A.json"].clone();
    assert!(!lookup.restore(b"damaged"));
    assert!(lookup.supply(b"no better".to_vec()).is_err());
    let need = lookup.need().unwrap();
    assert_eq!(
        (need.role.as_str(), need.version, need.fetch.path.as_str()),
        ("A", 1, "1.A.json")
    );
    lookup.supply(good.clone()).unwrap();
    assert!(lookup.need().is_none());
    assert!(matches!(lookup.supply(good), Err(LookupError::OutOfTurn)));
    assert!(matches!(lookup.finish(), Ok(Found::Target(_))));
    let set = Client::new(&repo).refresh(&repo).unwrap();
    let unfinished = set.lookup(&"x".parse().unwrap());
    assert!(matches!(unfinished.finish(), Err(LookupError::OutOfTurn)));
}

#[test]
fn the_number_of_roles_is_bounded() {
    let mut repo = Repo::new();
    let names: Vec<_> = (0..33).map(|i| format!("role-{i}")).collect();
    for name in &names {
        repo.delegate("targets", name, patterns("*"));
    }
    repo.add("role-31", "at the limit", b"");
    repo.add("role-32", "behind it", b"");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert!(search(&mut client, &set, &repo, "at the limit").ends_with("by role-31 1"));
    let refused = "the search for behind it leads through more than 32 delegated roles";
    assert!(search(&mut client, &set, &repo, "behind it").ends_with(refused));
    client.limits = Limits {
        delegations: 33,
        ..client.limits
    };
    let set = client.refresh(&repo).unwrap();
    assert!(search(&mut client, &set, &repo, "behind it").ends_with("by role-32 1"));
}

#[test]
fn odd_role_names_are_encoded() {
    for (name, file) in [
        ("?", "1.%3F.json"),
        ("#", "1.%23.json"),
        ("/delegated", "1.%2Fdelegated.json"),
        ("../delegated", "1...%2Fdelegated.json"),
    ] {
        let mut repo = Repo::new();
        repo.delegate("targets", name, patterns("*"));
        repo.publish_all();
        let mut client = Client::new(&repo);
        let set = client.refresh(&repo).unwrap();
        client.asked.clear();
        client.lookup(&set, &repo, "x").unwrap();
        assert_eq!(client.asked, [file]);
    }
}

#[test]
fn without_consistent_snapshots_roles_have_plain_names() {
    let mut repo = Repo::new();
    repo.root.consistent_snapshot = false;
    repo.root.version = 0;
    repo.delegate("targets", "A", patterns("*"));
    repo.publish("root");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(
        search(&mut client, &set, &repo, "x"),
        "[A] none of targets A"
    );
}

#[test]
fn a_whole_client_reports_what_it_trusts() {
    let mut repo = Repo::new();
    repo.delegate("targets", "A", patterns("*"));
    repo.publish_all();
    let set = Client::new(&repo).refresh(&repo).unwrap();
    assert_eq!(**set.root(), repo.root);
    assert_eq!(**set.snapshot(), repo.snapshot);
    assert_eq!(**set.targets(), repo.targets);
    assert_eq!(set.snapshot().role(&role("A")), Some(&MetaFile::version(1)));
    assert_eq!(set.snapshot().role(&role("B")), None);
    assert_eq!(set.started_at(), time(NOW));
}
