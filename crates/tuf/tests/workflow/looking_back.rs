//! An earlier snapshot of a state that is followed, for whoever looks back.

use wheelmark_tuf::{TrustedSet, Verified, verify_trusted_root};

use crate::client::{Client, outcome};
use crate::repo::{Repo, Signer};

/// A repository with a good snapshot 2 and, later, a snapshot 3; and what a client has of the last.
fn followed() -> (Repo, TrustedSet) {
    let mut repo = Repo::new();
    repo.add("targets", "a", b"good");
    repo.publish("targets snapshot timestamp");
    repo.add("targets", "a", b"evil");
    repo.publish("targets snapshot timestamp");
    let set = Client::new(&repo).refresh(&repo).unwrap();
    (repo, set)
}

fn root(repo: &Repo, version: u64) -> Verified<wheelmark_tuf::Root> {
    verify_trusted_root(&repo.files[&format!("{version}.root.json")]).unwrap()
}

fn back(repo: &Repo, set: &TrustedSet, of_root: u64, snapshot: &str, targets: &str) -> String {
    let (snapshot, targets) = (&repo.files[snapshot], &repo.files[targets]);
    outcome(&set.dangerously_looking_back(root(repo, of_root), snapshot, targets))
}

#[test]
fn an_earlier_snapshot_leads_to_what_was_signed_then() {
    let (repo, set) = followed();
    let then = set
        .dangerously_looking_back(
            root(&repo, 1),
            &repo.files["2.snapshot.json"],
            &repo.files["2.targets.json"],
        )
        .unwrap();
    assert_eq!(then.snapshot().version, 2);
    let (walk, top) = then.walk();
    let listed: Vec<_> = top.listed().map(|(_, info)| info.length).collect();
    assert_eq!(listed, [4]);
    drop(walk);
    let sha256 = |set: &TrustedSet| set.targets().targets.values().next().unwrap().sha256();
    assert_ne!(sha256(&then), sha256(&set));
    // What is fresh is still said by the present one.
    assert_eq!(then.timestamp(), set.timestamp());
}

#[test]
fn both_files_are_held_to_the_root_and_to_each_other() {
    let (mut repo, set) = followed();
    assert_eq!(
        back(&repo, &set, 1, "2.snapshot.json", "2.targets.json"),
        "ok"
    );
    assert_eq!(
        back(&repo, &set, 1, "2.snapshot.json", "3.targets.json"),
        "targets is refused: it has version 3, not 2"
    );
    // With other keys, what was signed before counts under the root of then alone.
    repo.rotate("snapshot", vec![Signer::new("next")], 1);
    repo.publish("root snapshot timestamp");
    let unsigned = "snapshot is refused: signed by 0 of the 1 keys that are needed";
    assert_eq!(
        back(&repo, &set, 2, "2.snapshot.json", "2.targets.json"),
        unsigned
    );
    assert_eq!(
        back(&repo, &set, 1, "2.snapshot.json", "2.targets.json"),
        "ok"
    );
    repo.files
        .insert("2.snapshot.json".into(), b"no metadata".to_vec());
    let refused = back(&repo, &set, 1, "2.snapshot.json", "2.targets.json");
    assert!(refused.starts_with("snapshot is refused: "), "{refused}");
}
