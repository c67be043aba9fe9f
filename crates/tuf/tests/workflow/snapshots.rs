//! TUF §5.5: the snapshot.

use serde_json::json;
use wheelmark_tuf::{CacheName, Hashes, MetaFile, Sha256};

use crate::client::{Client, check, check_fresh, outcome};
use crate::repo::{NOW, Repo, Signer, time};

/// What the timestamp says of the snapshot as it is published.
fn exact(bytes: &[u8], version: u64) -> MetaFile {
    MetaFile {
        length: Some(bytes.len() as u64),
        hashes: Some(Hashes::sha256_only(Sha256::of(bytes))),
        ..MetaFile::version(version)
    }
}

#[test]
fn length_and_hashes_are_checked_where_they_are_listed() {
    let with = |edit: fn(&mut MetaFile)| {
        move |repo: &mut Repo| {
            repo.publish("snapshot");
            repo.timestamp.snapshot = exact(&repo.files["2.snapshot.json"], 2);
            edit(&mut repo.timestamp.snapshot);
            repo.publish("timestamp");
        }
    };
    let length = Repo::new().files["1.snapshot.json"].len();
    check(with(|_| {}), "ok", [1, 2, 2, 1]);
    check(with(|meta| meta.hashes = None), "ok", [1, 2, 2, 1]);
    check(with(|meta| meta.length = None), "ok", [1, 2, 2, 1]);
    check(
        with(|meta| meta.length = meta.length.map(|length| length - 1)),
        &format!(
            "snapshot is refused: it has {length} bytes, more than {}",
            length - 1
        ),
        [1, 2, 1, 1],
    );
    check(
        with(|meta| meta.length = meta.length.map(|length| length + 1)),
        &format!(
            "snapshot is refused: it has {length} bytes, not {}",
            length + 1
        ),
        [1, 2, 1, 1],
    );
    check(
        with(|meta| meta.hashes = Hashes::new([("sha3".to_owned(), "00".to_owned())].into())),
        "snapshot is refused: it is not the file that was announced: no supported hash among sha3",
        [1, 2, 1, 1],
    );
}

#[test]
fn hashes_come_before_signatures() {
    check(
        |repo| {
            repo.publish("snapshot");
            repo.timestamp.snapshot.hashes = Some(Hashes::sha256_only(Sha256::of(b"other")));
            repo.publish("timestamp");
            repo.files
                .insert("2.snapshot.json".into(), b"not even json".to_vec());
        },
        &format!(
            "snapshot is refused: it is not the file that was announced: \
             the sha256 of the content is {}, not {}",
            Sha256::of(b"not even json"),
            Sha256::of(b"other")
        ),
        [1, 2, 1, 1],
    );
}

#[test]
fn the_version_is_the_one_that_the_timestamp_names() {
    check(
        |repo| {
            repo.publish("snapshot");
            repo.timestamp.snapshot = MetaFile::version(3);
            repo.publish("timestamp");
            repo.files.insert(
                "3.snapshot.json".into(),
                repo.files["2.snapshot.json"].clone(),
            );
        },
        "snapshot is refused: it has version 2, not 3",
        [1, 2, 1, 1],
    );
}

#[test]
fn it_is_signed_by_a_threshold() {
    check(
        |repo| {
            repo.rotate("snapshot", ["a", "b", "c"].map(Signer::new).into(), 3);
            repo.publish("root");
            repo.signers.get_mut("snapshot").unwrap().pop();
            repo.publish("snapshot timestamp");
        },
        "snapshot is refused: signed by 2 of the 3 keys that are needed",
        [2, 2, 0, 1],
    );
}

#[test]
fn no_listed_role_goes_back_or_vanishes() {
    let start = |repo: &mut Repo| {
        repo.snapshot
            .meta
            .insert("other.json".into(), MetaFile::version(7));
        repo.publish("targets targets snapshot timestamp");
    };
    let next = |edit: &dyn Fn(&mut Repo), expected: &str| {
        let mut repo = Repo::new();
        let mut client = Client::new(&repo);
        start(&mut repo);
        client.refresh(&repo).unwrap();
        edit(&mut repo);
        repo.publish("snapshot timestamp");
        assert_eq!(outcome(&client.refresh(&repo)), expected);
    };
    let set = |name: &'static str, version| {
        move |repo: &mut Repo| {
            drop(
                repo.snapshot
                    .meta
                    .insert(name.into(), MetaFile::version(version)),
            )
        }
    };
    next(&|_| {}, "ok");
    next(&set("other.json", 8), "ok");
    next(&set("new.json", 1), "ok");
    next(
        &set("other.json", 6),
        "other.json goes back from version 7 to 6",
    );
    next(
        &set("targets.json", 2),
        "targets.json goes back from version 3 to 2",
    );
    next(
        &|repo| drop(repo.snapshot.meta.remove("other.json")),
        "other.json has vanished from the snapshot",
    );
    // An unsigned-for top level is a vanished role as well.
    next(
        &|repo| drop(repo.snapshot.meta.remove("targets.json")),
        "targets.json has vanished from the snapshot",
    );
}

#[test]
fn an_expired_cached_one_is_still_the_floor() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.snapshot
        .meta
        .insert("other.json".into(), MetaFile::version(7));
    repo.snapshot.expires = time("2030-01-02T00:00:00Z");
    repo.publish("snapshot timestamp");
    client.refresh(&repo).unwrap();

    client.now = time("2030-01-03T00:00:00Z");
    repo.snapshot.expires = time("2030-02-01T00:00:00Z");
    repo.snapshot
        .meta
        .insert("other.json".into(), MetaFile::version(6));
    repo.publish("snapshot timestamp");
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "other.json goes back from version 7 to 6"
    );
    // Even when the timestamp was lost.
    client.cache.remove(&CacheName::Timestamp);
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "other.json goes back from version 7 to 6"
    );
}

#[test]
fn it_does_not_go_back_itself_when_the_timestamp_was_lost() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    let old = repo.files["timestamp.json"].clone();
    repo.publish("snapshot timestamp");
    client.refresh(&repo).unwrap();
    repo.files.insert("timestamp.json".into(), old);
    client.cache.remove(&CacheName::Timestamp);
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "snapshot goes back from version 2 to 1"
    );
}

#[test]
fn an_expired_one_is_refused() {
    for expires in [NOW, "2029-12-31T23:59:59Z"] {
        check(
            |repo| {
                repo.snapshot.expires = time(expires);
                repo.publish("snapshot timestamp");
            },
            &format!("snapshot is refused: it expired at {expires}"),
            [1, 2, 1, 1],
        );
    }
}

#[test]
fn an_expired_cached_one_is_fetched_again_and_refused() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.snapshot.expires = time("2030-01-02T00:00:00Z");
    repo.publish("snapshot timestamp");
    client.refresh(&repo).unwrap();
    client.now = time("2030-01-02T00:00:00Z");
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "snapshot is refused: it expired at 2030-01-02T00:00:00Z"
    );
}

#[test]
fn a_cached_one_that_is_not_the_announced_file_is_fetched_again() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    client.refresh(&repo).unwrap();
    // The same version under a second, also valid, form.
    repo.files.get_mut("1.snapshot.json").unwrap().push(b'\n');
    repo.timestamp.snapshot = exact(&repo.files["1.snapshot.json"], 1);
    repo.publish("timestamp");
    client.asked.clear();
    client.refresh(&repo).unwrap();
    assert_eq!(
        client.asked,
        ["2.root.json", "timestamp.json", "1.snapshot.json"]
    );
}

#[test]
fn it_must_be_there_and_list_the_targets() {
    let gone = |repo: &mut Repo| {
        repo.publish("snapshot timestamp");
        repo.files.remove("2.snapshot.json");
    };
    check(
        gone,
        "snapshot is missing from the repository",
        [1, 2, 1, 1],
    );
    check_fresh(
        |repo| {
            repo.snapshot.meta.clear();
            repo.publish("snapshot timestamp");
        },
        "the snapshot does not list targets",
        [1, 2, 0, 0],
    );
}

#[test]
fn it_is_bounded_in_length_even_where_the_timestamp_allows_more() {
    check(
        |repo| {
            repo.publish("snapshot");
            repo.files
                .get_mut("2.snapshot.json")
                .unwrap()
                .resize(16_000_001, b' ');
            repo.timestamp.snapshot = exact(&repo.files["2.snapshot.json"], 2);
            repo.publish("timestamp");
        },
        "snapshot is refused: it has 16000001 bytes, more than 16000000",
        [1, 2, 1, 1],
    );
}

#[test]
fn malformed_ones_are_refused() {
    let invalid = |edit: fn(&mut serde_json::Value), what: &str| {
        check(
            |repo| {
                repo.publish("snapshot timestamp");
                repo.forge("snapshot", edit);
            },
            &format!("snapshot is refused: the signed part is not valid: {what}"),
            [1, 2, 1, 1],
        );
    };
    invalid(
        |s| s["meta"] = json!([]),
        "the field `meta` is not an object",
    );
    invalid(
        |s| s["meta"]["targets.json"] = json!(1),
        "the field `meta` is not an object",
    );
    invalid(
        |s| s["meta"]["targets.json"]["version"] = json!(0),
        "the field `version` is not greater than zero",
    );
    invalid(
        |s| s["meta"]["targets.json"]["length"] = json!(-1),
        "the field `length` is not an integer that is not negative",
    );
    let hashes = "the field `hashes` is not one or more digests in lower-case hexadecimal";
    invalid(|s| s["meta"]["targets.json"]["hashes"] = json!({}), hashes);
    invalid(
        |s| s["meta"]["targets.json"]["hashes"] = json!({"sha256": "00"}),
        hashes,
    );
    invalid(
        |s| s["meta"]["targets.json"]["hashes"] = json!({"sha256": "A".repeat(64)}),
        hashes,
    );
}
