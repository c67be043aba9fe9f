//! TUF §5.4: the timestamp.

use serde_json::json;
use wheelmark_tuf::{CacheName, MetaFile};

use crate::client::{Client, check, check_fresh, outcome};
use crate::repo::{NOW, Repo, Signer, time};

#[test]
fn an_older_one_is_a_rollback() {
    check(
        |repo| {
            repo.publish("timestamp");
            repo.timestamp.version = 0;
            repo.publish("timestamp");
        },
        "ok",
        [1, 1, 1, 1],
    );
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    let old = repo.files["timestamp.json"].clone();
    repo.publish("timestamp");
    client.refresh(&repo).unwrap();
    repo.files.insert("timestamp.json".into(), old);
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "timestamp goes back from version 2 to 1"
    );
    assert_eq!(client.kept(), [1, 2, 1, 1]);
}

#[test]
fn an_equal_one_is_no_news_whatever_it_says() {
    let client = check(
        |repo| {
            repo.timestamp.snapshot = MetaFile::version(100);
            repo.write("timestamp");
        },
        "ok",
        [1, 1, 1, 1],
    );
    assert_eq!(client.asked, ["2.root.json", "timestamp.json"]);
}

#[test]
fn an_equal_one_does_not_renew_the_one_we_have() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.timestamp.expires = time("2030-01-02T00:00:00Z");
    repo.write("timestamp");
    client.refresh(&repo).unwrap();
    repo.timestamp.expires = time("2030-06-01T00:00:00Z");
    repo.write("timestamp");
    client.now = time("2030-01-03T00:00:00Z");
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "timestamp is refused: it expired at 2030-01-02T00:00:00Z"
    );
}

#[test]
fn its_snapshot_does_not_go_back() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.publish("snapshot snapshot timestamp");
    client.refresh(&repo).unwrap();
    repo.timestamp.snapshot = MetaFile::version(2);
    repo.publish("timestamp");
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "snapshot.json goes back from version 3 to 2"
    );
    assert_eq!(client.kept(), [1, 2, 3, 1]);
}

#[test]
fn an_expired_one_is_neither_accepted_nor_kept() {
    for expires in [NOW, "2029-12-31T23:59:59Z"] {
        check(
            |repo| {
                repo.timestamp.expires = time(expires);
                repo.publish("timestamp");
            },
            &format!("timestamp is refused: it expired at {expires}"),
            [1, 1, 1, 1],
        );
    }
}

#[test]
fn an_expired_cached_one_is_still_the_floor() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    let old = repo.files["timestamp.json"].clone();
    repo.timestamp.expires = time("2030-01-02T00:00:00Z");
    repo.publish("snapshot timestamp");
    client.refresh(&repo).unwrap();

    client.now = time("2030-01-03T00:00:00Z");
    repo.files.insert("timestamp.json".into(), old);
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "timestamp goes back from version 2 to 1"
    );
    repo.timestamp.expires = time("2030-02-01T00:00:00Z");
    repo.timestamp.snapshot = MetaFile::version(1);
    repo.publish("timestamp");
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "snapshot.json goes back from version 2 to 1"
    );
    repo.timestamp.snapshot = MetaFile::version(2);
    repo.publish("timestamp");
    assert_eq!(outcome(&client.refresh(&repo)), "ok");
}

#[test]
fn a_damaged_or_foreign_cached_one_is_passed_over() {
    for cached in [
        &b""[..],
        b"{",
        b"{\"signatures\":[],\"signed\":{}}",
        b"\xff\xff",
    ] {
        let repo = Repo::new();
        let mut client = Client::new(&repo);
        for name in [
            CacheName::Timestamp,
            CacheName::Snapshot,
            CacheName::Targets,
        ] {
            client.cache.insert(name, cached.to_vec());
        }
        assert_eq!(outcome(&client.refresh(&repo)), "ok");
        assert_eq!(client.kept(), [1, 1, 1, 1]);
    }
}

#[test]
fn it_must_be_there() {
    let gone = |repo: &mut Repo| drop(repo.files.remove("timestamp.json"));
    check(
        gone,
        "timestamp is missing from the repository",
        [1, 1, 1, 1],
    );
    check_fresh(
        gone,
        "timestamp is missing from the repository",
        [1, 0, 0, 0],
    );
}

#[test]
fn it_is_signed_by_the_right_key() {
    check(
        |repo| {
            repo.signers
                .insert("timestamp".into(), vec![Signer::new("snapshot")]);
            repo.publish("timestamp");
        },
        "timestamp is refused: signed by 0 of the 1 keys that are needed",
        [1, 1, 1, 1],
    );
}

#[test]
fn it_is_bounded_in_length() {
    for (length, expected, kept) in [
        (16_384, "ok", [1, 2, 1, 1]),
        (
            16_385,
            "timestamp is refused: it has 16385 bytes, more than 16384",
            [1, 1, 1, 1],
        ),
    ] {
        check(
            |repo| {
                repo.publish("timestamp");
                repo.files
                    .get_mut("timestamp.json")
                    .unwrap()
                    .resize(length, b' ');
            },
            expected,
            kept,
        );
    }
}

#[test]
fn another_role_does_not_pass_for_it() {
    check(
        |repo| {
            let signer = || vec![Signer::new("timestamp"), Signer::new("snapshot")];
            repo.rotate("snapshot", signer(), 1);
            repo.publish("root");
            repo.snapshot
                .meta
                .insert("snapshot.json".into(), MetaFile::version(1));
            repo.snapshot.version = 2;
            repo.files
                .insert("timestamp.json".into(), repo.signed("snapshot"));
        },
        "timestamp is refused: the signed part is not valid: \
         the metadata is of type `snapshot`, not `timestamp`",
        [2, 0, 0, 1],
    );
}

#[test]
fn ambiguous_files_are_refused() {
    let check = |edit: &dyn Fn(String) -> String, expected: &str| {
        check(
            |repo| {
                repo.publish("timestamp");
                let text = String::from_utf8(repo.files["timestamp.json"].clone()).unwrap();
                repo.files
                    .insert("timestamp.json".into(), edit(text).into_bytes());
            },
            expected,
            [1, 1, 1, 1],
        );
    };
    let strict = |what: &str| format!("timestamp is refused: the file is not strict json: {what}");
    check(
        &|text| text.replace("\"version\":2", "\"version\":2,\"version\":3"),
        &strict("the member `version` occurs twice in one object"),
    );
    check(
        &|text| text.replace("\"version\":2", "\"version\":2.0"),
        &strict("the number 2 is not an integer of 64 bits"),
    );
    check(
        &|_| "<html>".to_owned(),
        &strict("not valid json: expected value at line 1 column 1"),
    );
    check(
        &|_| "[]".to_owned(),
        "timestamp is refused: the file is not signed metadata: the field `file` is not an object",
    );
    check(
        &|_| "{\"signatures\":[]}".to_owned(),
        "timestamp is refused: the file is not signed metadata: the field `signed` is missing",
    );
}

#[test]
fn unknown_meta_and_fields_are_kept() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.timestamp
        .extra
        .insert("_wheelmark".into(), json!({"journal": 7}));
    repo.timestamp
        .other_meta
        .insert("x.json".into(), json!({"version": 1}));
    repo.timestamp.snapshot.extra.insert("x".into(), json!("y"));
    repo.publish("timestamp");
    let set = client.refresh(&repo).unwrap();
    assert_eq!(**set.timestamp(), repo.timestamp);
    assert_eq!(set.timestamp().extra["_wheelmark"]["journal"], 7);
}
