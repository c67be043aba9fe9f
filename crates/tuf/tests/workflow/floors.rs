//! What a fresh client was told that others have seen before it.

use wheelmark_tuf::{Floor, MetaFile, PathSet};

use crate::client::{Client, outcome};
use crate::repo::{Repo, Signer, role};

/// What somebody hands over who has seen this state of the repository.
fn floor(repo: &Repo) -> Floor {
    let versions = [
        ("timestamp", repo.timestamp.version),
        ("snapshot", repo.snapshot.version),
        ("targets", repo.targets.version),
    ];
    let delegated = repo
        .delegated
        .iter()
        .map(|(name, targets)| (&**name, targets.version));
    Floor {
        root: repo.signed("root"),
        versions: versions
            .into_iter()
            .chain(delegated)
            .map(|(name, version)| (role(name), version))
            .collect(),
    }
}

/// How the first refresh of a client ends to whom this was handed over.
fn first_refresh(floor: &Floor, repo: &Repo) -> (String, Client) {
    let mut client = Client::with_root(floor.root.clone());
    client.floors = vec![floor.clone()];
    let outcome = outcome(&client.refresh(repo));
    (outcome, client)
}

fn with_claimed() -> Repo {
    let mut repo = Repo::new();
    let paths = PathSet::Patterns(vec!["simple/*/*".into()]);
    repo.delegate("targets", "claimed", paths);
    repo.publish_all();
    repo
}

#[test]
fn what_was_seen_and_what_is_newer_is_accepted() {
    let mut repo = with_claimed();
    let floor = floor(&repo);
    assert_eq!(first_refresh(&floor, &repo).0, "ok");
    repo.publish("claimed targets snapshot timestamp");
    assert_eq!(first_refresh(&floor, &repo).0, "ok");
}

#[test]
fn an_older_state_is_a_rollback_to_a_fresh_client_too() {
    let mut repo = with_claimed();
    let old = repo.files.clone();
    repo.publish("snapshot timestamp");
    let floor = floor(&repo);
    repo.files = old;
    let (said, client) = first_refresh(&floor, &repo);
    assert_eq!(said, "timestamp goes back from version 3 to 2");
    assert_eq!(client.kept(), [1, 0, 0, 0], "nothing of it is kept");
    let mut without = Client::new(&repo);
    assert_eq!(
        outcome(&without.refresh(&repo)),
        "ok",
        "nobody else would notice"
    );
}

#[test]
fn stolen_online_keys_cannot_show_an_older_claimed() {
    let mut repo = with_claimed();
    repo.publish("claimed snapshot timestamp");
    let floor = floor(&repo);
    // New and validly signed, all of it, and it lists the list of before.
    repo.snapshot
        .meta
        .insert("claimed.json".to_owned(), MetaFile::version(1));
    repo.publish("snapshot timestamp");
    assert_eq!(
        first_refresh(&floor, &repo).0,
        "claimed goes back from version 2 to 1"
    );
    assert_eq!(
        outcome(&Client::new(&repo).refresh(&repo)),
        "ok",
        "a fresh client without a floor"
    );
    repo.snapshot.meta.remove("claimed.json");
    repo.publish("snapshot timestamp");
    assert_eq!(
        first_refresh(&floor, &repo).0,
        "claimed has vanished from the snapshot"
    );
}

#[test]
fn a_new_timestamp_for_an_older_snapshot_is_a_rollback() {
    let mut repo = with_claimed();
    repo.publish("snapshot timestamp");
    let floor = floor(&repo);
    repo.timestamp.snapshot = MetaFile::version(2);
    repo.publish("timestamp");
    assert_eq!(
        first_refresh(&floor, &repo).0,
        "snapshot goes back from version 3 to 2"
    );
}

#[test]
fn what_was_cached_before_the_floor_counts_no_more() {
    let mut repo = with_claimed();
    let mut client = Client::new(&repo);
    client.refresh(&repo).unwrap();
    let old = repo.files.clone();
    repo.publish("claimed snapshot timestamp");
    client.floors = vec![floor(&repo)];
    let new = std::mem::replace(&mut repo.files, old);
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "timestamp goes back from version 3 to 2"
    );
    repo.files = new;
    assert_eq!(outcome(&client.refresh(&repo)), "ok");
}

#[test]
fn the_chain_passes_through_the_root_that_was_handed_over() {
    let first = Repo::new();
    let mut mine = Repo::new();
    mine.publish("root");
    // The same keys, and another second root.
    let mut other = Repo::new();
    other.rotate("targets", vec![Signer::new("other")], 1);
    other.publish("root targets snapshot timestamp");
    let refresh = |handed: &Repo, served: &Repo| {
        let mut client = Client::new(&first);
        client.floors = vec![floor(handed)];
        outcome(&client.refresh(served))
    };
    assert_eq!(refresh(&mine, &mine), "ok");
    let said = refresh(&mine, &other);
    assert!(
        said.contains("root version 2 is another one than was handed over"),
        "{said}"
    );
    assert_eq!(refresh(&mine, &first), "root goes back from version 2 to 1");
    let mut client = Client::with_root(other.signed("root"));
    client.floors = vec![floor(&mine)];
    let said = outcome(&client.refresh(&other));
    assert!(
        said.contains("root version 2 is another one"),
        "the one to begin with, too: {said}"
    );
}

#[test]
fn keys_that_are_replaced_take_their_versions_with_them() {
    let mut repo = with_claimed();
    repo.timestamp.version = u64::MAX - 2;
    repo.publish("timestamp");
    let floor = floor(&repo);
    repo.timestamp.version = 5;
    repo.publish("root timestamp");
    assert!(
        first_refresh(&floor, &repo)
            .0
            .starts_with("timestamp goes back")
    );
    repo.rotate("timestamp", vec![Signer::new("new")], 1);
    repo.publish("root timestamp");
    assert_eq!(first_refresh(&floor, &repo).0, "ok");
}
