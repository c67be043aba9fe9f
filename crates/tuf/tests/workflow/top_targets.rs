//! TUF §5.6.1–5.6.6: the top-level targets; §6.1: names without versions.

use serde_json::json;
use wheelmark_tuf::{Hashes, MetaFile, Sha256};

use crate::client::{Client, check, outcome};
use crate::repo::{NOW, Repo, Signer, time};

#[test]
fn hashes_where_listed() {
    let with = |hash: fn(&[u8]) -> Sha256| {
        move |repo: &mut Repo| {
            repo.publish("targets");
            let bytes = &repo.files["2.targets.json"];
            let meta = MetaFile {
                length: Some(bytes.len() as u64),
                hashes: Some(Hashes::sha256_only(hash(bytes))),
                ..MetaFile::version(2)
            };
            repo.snapshot.meta.insert("targets.json".into(), meta);
            repo.publish("snapshot timestamp");
        }
    };
    check(with(Sha256::of), "ok", [1, 2, 2, 2]);
    let found = {
        let mut repo = Repo::new();
        repo.publish("targets");
        Sha256::of(&repo.files["2.targets.json"])
    };
    check(
        with(|_| Sha256::of(b"")),
        &format!(
            "targets is refused: it is not the file that was announced: \
             the sha256 of the content is {found}, not {}",
            Sha256::of(b"")
        ),
        [1, 2, 2, 1],
    );
}

#[test]
fn version_signature_expiry_and_presence() {
    check(
        |repo| {
            repo.publish("targets snapshot timestamp");
            repo.targets.version = 3;
            let bytes = repo.signed("targets");
            repo.files.insert("2.targets.json".into(), bytes);
        },
        "targets is refused: it has version 3, not 2",
        [1, 2, 2, 1],
    );
    check(
        |repo| {
            repo.signers
                .insert("targets".into(), vec![Signer::new("snapshot")]);
            repo.publish("targets snapshot timestamp");
        },
        "targets is refused: signed by 0 of the 1 keys that are needed",
        [1, 2, 2, 1],
    );
    check(
        |repo| {
            repo.targets.expires = time(NOW);
            repo.publish("targets snapshot timestamp");
        },
        "targets is refused: it expired at 2030-01-01T00:00:00Z",
        [1, 2, 2, 1],
    );
    check(
        |repo| {
            repo.publish("targets snapshot timestamp");
            repo.files.remove("2.targets.json");
        },
        "targets is missing from the repository",
        [1, 2, 2, 1],
    );
    check(
        |repo| {
            repo.publish("targets snapshot timestamp");
            repo.files
                .get_mut("2.targets.json")
                .unwrap()
                .resize(5_000_001, b' ');
        },
        "targets is refused: it has 5000001 bytes, more than 5000000",
        [1, 2, 2, 1],
    );
}

#[test]
fn new_keys_need_new_targets() {
    // The cached file is signed by the old key: it is fetched again, and then refused.
    check(
        |repo| {
            repo.rotate("targets", vec![Signer::new("new")], 1);
            repo.publish("root");
        },
        "targets is refused: signed by 0 of the 1 keys that are needed",
        [2, 1, 1, 1],
    );
}

#[test]
fn without_consistent_snapshots_names_have_no_versions() {
    let mut repo = Repo::new();
    repo.root.consistent_snapshot = false;
    repo.root.version = 0;
    repo.publish("root targets snapshot timestamp");
    let mut client = Client::new(&repo);
    repo.publish("root");
    client.refresh(&repo).unwrap();
    let expected = [
        "2.root.json",
        "3.root.json",
        "timestamp.json",
        "snapshot.json",
        "targets.json",
    ];
    assert_eq!(client.asked, expected);
}

#[test]
fn a_missing_consistent_snapshot_means_no() {
    let mut repo = Repo::new();
    repo.root.consistent_snapshot = false;
    repo.publish("targets snapshot timestamp");
    repo.forge("root", |signed| {
        drop(
            signed
                .as_object_mut()
                .unwrap()
                .remove("consistent_snapshot"),
        )
    });
    let mut client = Client::new(&repo);
    assert_eq!(outcome(&client.refresh(&repo)), "ok");
}

#[test]
fn malformed_ones_are_refused() {
    let invalid = |edit: fn(&mut serde_json::Value), what: &str| {
        check(
            |repo| {
                repo.publish("targets snapshot timestamp");
                repo.forge("targets", edit);
            },
            &format!("targets is refused: the signed part is not valid: {what}"),
            [1, 2, 2, 1],
        );
    };
    let one = |role: serde_json::Value| json!({"keys": {}, "roles": [role]});
    let role =
        || json!({"name": "a", "keyids": [], "threshold": 1, "terminating": false, "paths": []});
    let with = |name: &str, value: serde_json::Value| {
        let mut role = role();
        role[name] = value;
        one(role)
    };
    fn set(delegations: serde_json::Value) -> impl FnOnce(&mut serde_json::Value) {
        move |signed| signed["delegations"] = delegations
    }
    let refused = |delegations: serde_json::Value, what: &str| {
        check(
            |repo| {
                repo.publish("targets snapshot timestamp");
                repo.forge("targets", set(delegations));
            },
            &format!("targets is refused: the signed part is not valid: {what}"),
            [1, 2, 2, 1],
        );
    };
    check(
        |repo| {
            repo.publish("targets snapshot timestamp");
            repo.forge("targets", set(one(role())));
        },
        "ok",
        [1, 2, 2, 2],
    );

    invalid(
        |s| s["targets"] = json!([]),
        "the field `targets` is not an object",
    );
    invalid(
        |s| s["targets"]["../a"] = json!({"length": 1, "hashes": {"sha256": "0".repeat(64)}}),
        "`../a` is not a target path: a segment is `.` or `..`",
    );
    invalid(
        |s| s["targets"]["a"] = json!({"length": 1}),
        "the field `hashes` is missing",
    );
    invalid(
        |s| s["targets"]["a"] = json!({"hashes": {"sha256": "0".repeat(64)}}),
        "the field `length` is missing",
    );

    refused(json!({"roles": []}), "the field `keys` is missing");
    let either = "exactly one of `roles` and `succinct_roles` must be given";
    refused(json!({"keys": {}}), either);
    let bins =
        |bits: u64| json!({"keyids": [], "threshold": 1, "bit_length": bits, "name_prefix": "b"});
    refused(
        json!({"keys": {}, "roles": [], "succinct_roles": bins(1)}),
        either,
    );
    refused(
        json!({"keys": {}, "succinct_roles": bins(33)}),
        "the field `bit_length` is not between 1 and 32",
    );
    refused(
        json!({"keys": {}, "succinct_roles": bins(0)}),
        "the field `bit_length` is not greater than zero",
    );
    refused(
        with("path_hash_prefixes", json!(["00"])),
        "exactly one of `paths` and `path_hash_prefixes` must be given",
    );
    let mut neither = role();
    neither.as_object_mut().unwrap().remove("paths");
    refused(
        one(neither),
        "exactly one of `paths` and `path_hash_prefixes` must be given",
    );
    refused(
        with("threshold", json!(0)),
        "the field `threshold` is not greater than zero",
    );
    refused(
        with("terminating", json!(1)),
        "the field `terminating` is not a boolean",
    );
    refused(
        with("paths", json!("*")),
        "the field `paths` is not an array",
    );
    refused(
        with("name", json!("")),
        "the field `name` is not the name of a role",
    );
    for name in ["root", "timestamp", "snapshot", "targets"] {
        refused(
            with("name", json!(name)),
            &format!("a delegation uses the name of the top-level role `{name}`"),
        );
    }
    refused(
        json!({"keys": {}, "roles": [role(), role()]}),
        "the role `a` is delegated twice",
    );
    let mut prefixes = role();
    prefixes.as_object_mut().unwrap().remove("paths");
    prefixes["path_hash_prefixes"] = json!(["0G"]);
    refused(
        one(prefixes),
        "the field `path_hash_prefixes` is not lower-case hexadecimal",
    );
}
