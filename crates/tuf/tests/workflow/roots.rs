//! TUF §5.2 and §5.3: the chain of roots.

use serde_json::json;
use wheelmark_tuf::{CacheName, Limits, root_fingerprint, verify_trusted_root};

use crate::client::{Client, check, check_fresh, explain, outcome};
use crate::repo::{LATER, NOW, Repo, Signer, time};

const ALL: &str = "root targets snapshot timestamp";

#[test]
fn first_refresh_asks_for_each_file_once_in_order() {
    let client = check_fresh(|_| {}, "ok", [1, 1, 1, 1]);
    assert_eq!(
        client.asked,
        [
            "2.root.json",
            "timestamp.json",
            "1.snapshot.json",
            "1.targets.json"
        ]
    );
}

#[test]
fn nothing_new_asks_for_root_and_timestamp_alone() {
    let client = check(|_| {}, "ok", [1, 1, 1, 1]);
    assert_eq!(client.asked, ["2.root.json", "timestamp.json"]);
}

#[test]
fn each_root_is_followed_one_version_at_a_time() {
    let client = check(
        |repo| {
            for _ in 0..3 {
                repo.publish("root");
            }
        },
        "ok",
        [4, 1, 1, 1],
    );
    assert_eq!(
        client.asked[..4],
        ["2.root.json", "3.root.json", "4.root.json", "5.root.json"]
    );
}

#[test]
fn received_bytes_are_kept_as_received() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    for bytes in repo.files.values_mut() {
        bytes.extend_from_slice(b" \n");
    }
    client.refresh(&repo).unwrap();
    assert_eq!(
        client.cache[&CacheName::Timestamp],
        repo.files["timestamp.json"]
    );
    assert_eq!(
        client.cache[&CacheName::Snapshot],
        repo.files["1.snapshot.json"]
    );
    assert_eq!(
        client.cache[&CacheName::Targets],
        repo.files["1.targets.json"]
    );
}

#[test]
fn the_trusted_root_stands_on_its_own_signatures() {
    let trusted = |edit: &dyn Fn(&mut Repo)| {
        let mut repo = Repo::new();
        edit(&mut repo);
        let root = repo.files["1.root.json"].clone();
        outcome(&verify_trusted_root(&root))
    };
    let write = |repo: &mut Repo| repo.write("root");
    assert_eq!(trusted(&|_| {}), "ok");
    // Its expiry does not matter at load.
    assert_eq!(
        trusted(&|repo| {
            repo.root.expires = time("2001-01-01T00:00:00Z");
            write(repo)
        }),
        "ok"
    );
    assert_eq!(
        trusted(&|repo| {
            repo.signers.insert("root".into(), vec![Signer::new("x")]);
            write(repo)
        }),
        "signed by 0 of the 1 keys that are needed"
    );
    assert_eq!(
        trusted(&|repo| {
            repo.root.roles.root.threshold = 2;
            write(repo)
        }),
        "signed by 1 of the 2 keys that are needed"
    );
    assert_eq!(
        trusted(
            &|repo| repo.forge("root", |signed| signed["roles"]["root"]["threshold"] =
                json!(0))
        ),
        "the signed part is not valid: the field `threshold` is not greater than zero"
    );
}

#[test]
fn an_expired_trusted_root_may_be_followed() {
    let mut repo = Repo::new();
    repo.root.expires = time("2001-01-01T00:00:00Z");
    repo.write("root");
    let mut client = Client::new(&repo);
    repo.root.expires = time(LATER);
    repo.publish("root");
    client.refresh(&repo).unwrap();
}

#[test]
fn only_the_last_root_must_not_have_expired() {
    check(
        |repo| {
            repo.root.expires = time("2001-01-01T00:00:00Z");
            repo.publish("root");
            repo.root.expires = time(LATER);
            repo.publish("root");
        },
        "ok",
        [3, 1, 1, 1],
    );
    check(
        |repo| {
            repo.publish("root");
            repo.root.expires = time("2029-12-31T23:59:59Z");
            repo.publish("root timestamp");
        },
        "root is refused: it expired at 2029-12-31T23:59:59Z",
        // Both new roots are kept: going on from the old one would be no better.
        [3, 1, 1, 1],
    );
}

#[test]
fn expiring_now_is_expired() {
    let expired = |expires: &'static str| {
        move |repo: &mut Repo| {
            repo.root.expires = time(expires);
            repo.publish("root");
        }
    };
    check(
        expired(NOW),
        "root is refused: it expired at 2030-01-01T00:00:00Z",
        [2, 1, 1, 1],
    );
    check(expired("2030-01-01T00:00:01Z"), "ok", [2, 1, 1, 1]);
}

#[test]
fn a_new_root_needs_the_old_and_the_new_keys() {
    let rotate = |signers: &'static [&str], keys: &'static [&str], threshold: u32| {
        move |repo: &mut Repo| {
            repo.rotate(
                "root",
                keys.iter().map(|name| Signer::new(name)).collect(),
                threshold,
            );
            let signers = signers.iter().map(|name| Signer::new(name)).collect();
            repo.signers.insert("root".into(), signers);
            repo.publish("root");
        }
    };
    let refused = |valid: u32, threshold: u32| {
        format!("root is refused: signed by {valid} of the {threshold} keys that are needed")
    };
    let (accepted, kept) = ([2, 1, 1, 1], [1, 1, 1, 1]);
    check(rotate(&["root", "new"], &["new"], 1), "ok", accepted);
    check(
        rotate(&["root", "a", "b"], &["a", "b", "c"], 2),
        "ok",
        accepted,
    );
    check(rotate(&["root"], &["new"], 1), &refused(0, 1), kept);
    check(rotate(&["new"], &["new"], 1), &refused(0, 1), kept);
    check(rotate(&["root", "a"], &["a", "b"], 2), &refused(1, 2), kept);
    check(rotate(&[], &["root"], 1), &refused(0, 1), kept);
}

#[test]
fn the_version_is_the_next_one() {
    for (version, found) in [(3, 3), (1, 1)] {
        check(
            move |repo| {
                repo.root.version = version;
                let bytes = repo.signed("root");
                repo.files.insert("2.root.json".into(), bytes);
            },
            &format!("root is refused: it has version {found}, not 2"),
            [1, 1, 1, 1],
        );
    }
}

#[test]
fn rotated_keys_forget_the_timestamp_and_the_snapshot() {
    // The recovery from a fast-forward attack: versions go down again, under new keys.
    let forward = |repo: &mut Repo| {
        for version in [
            &mut repo.timestamp.version,
            &mut repo.snapshot.version,
            &mut repo.targets.version,
        ] {
            *version = u64::MAX - 2;
        }
        repo.publish("targets snapshot timestamp");
    };
    let back = |repo: &mut Repo| {
        repo.timestamp.version = 5;
        repo.snapshot.version = 5;
        repo.targets.version = 5;
        repo.publish("root targets snapshot timestamp");
    };
    let check = |rotate: &dyn Fn(&mut Repo), expected: &str| {
        let mut repo = Repo::new();
        let mut client = Client::new(&repo);
        forward(&mut repo);
        client.refresh(&repo).unwrap();
        rotate(&mut repo);
        back(&mut repo);
        assert_eq!(outcome(&client.refresh(&repo)), expected);
    };
    let new = |name: &str| vec![Signer::new(&format!("new {name}"))];
    check(&|repo| repo.rotate("timestamp", new("timestamp"), 1), "ok");
    check(&|repo| repo.rotate("snapshot", new("snapshot"), 1), "ok");
    // One key kept beside a new one is a rotation, too.
    check(
        &|repo| {
            repo.rotate(
                "timestamp",
                vec![Signer::new("timestamp"), Signer::new("more")],
                1,
            )
        },
        "ok",
    );
    let stuck = "timestamp goes back from version 18446744073709551614 to 6";
    check(&|_| {}, stuck);
    check(&|repo| repo.rotate("targets", new("targets"), 1), stuck);
}

#[test]
fn forgetting_survives_an_error_on_the_way() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.timestamp.version = 1_000;
    repo.publish("timestamp");
    client.refresh(&repo).unwrap();

    // The keys are rotated (the stolen one stays listed beside them), but the last root
    // has expired: the refresh fails.
    repo.rotate(
        "timestamp",
        vec![Signer::new("timestamp"), Signer::new("new")],
        1,
    );
    repo.root.expires = time("2001-01-01T00:00:00Z");
    repo.publish("root");
    assert!(client.refresh(&repo).is_err());

    // The next one starts from the new root and sees no rotation any more.
    repo.root.expires = time(LATER);
    repo.timestamp.version = 1;
    repo.publish("root timestamp");
    assert_eq!(outcome(&client.refresh(&repo)), "ok");
}

#[test]
fn roots_are_bounded_in_number_and_length() {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    client.limits = Limits {
        root_rotations: 3,
        ..Limits::default()
    };
    for _ in 0..3 {
        repo.publish("root");
    }
    assert_eq!(outcome(&client.refresh(&repo)), "ok");
    for _ in 0..4 {
        repo.publish("root");
    }
    assert_eq!(
        outcome(&client.refresh(&repo)),
        "more than 3 new versions of root"
    );
    // Not for nothing: the next refresh goes on behind those that were followed.
    assert_eq!(client.kept()[0], 7);
    assert_eq!(outcome(&client.refresh(&repo)), "ok");

    check(
        |repo| {
            repo.root
                .extra
                .insert("padding".into(), " ".repeat(512_000).into());
            repo.publish("root");
            let found = repo.files["2.root.json"].len();
            assert!(found > 512_000);
            // The exact text is checked with the timestamp.
            repo.files.insert("2.root.json".into(), vec![b' '; 512_001]);
        },
        "root is refused: it has 512001 bytes, more than 512000",
        [1, 1, 1, 1],
    );
}

#[test]
fn other_majors_of_the_specification_are_refused() {
    let with = |version: &'static str| {
        move |repo: &mut Repo| {
            repo.publish("root");
            repo.forge("root", |signed| signed["spec_version"] = json!(version));
        }
    };
    for version in ["1.0", "1.0.0", "1.1.0", "1.99.1"] {
        check(with(version), "ok", [2, 1, 1, 1]);
    }
    for version in [
        "2.0.0", "0.9", "1", "1.0.0.0", "1.0.x", "1..0", "", "10.0.0",
    ] {
        let expected = format!(
            "root is refused: the signed part is not valid: \
             specification version `{version}` is not supported, only 1.x is"
        );
        check(with(version), &expected, [1, 1, 1, 1]);
    }
}

#[test]
fn malformed_roots_are_refused() {
    let with = |edit: fn(&mut serde_json::Value)| {
        move |repo: &mut Repo| {
            repo.publish("root");
            repo.forge("root", edit);
        }
    };
    let invalid = |what: &str| format!("root is refused: the signed part is not valid: {what}");
    let kept = [1, 1, 1, 1];
    check(
        with(|s| s["_type"] = json!("targets")),
        &invalid("the metadata is of type `targets`, not `root`"),
        kept,
    );
    check(
        with(|s| drop(s.as_object_mut().unwrap().remove("version"))),
        &invalid("the field `version` is missing"),
        kept,
    );
    check(
        with(|s| s["version"] = json!("2")),
        &invalid("the field `version` is not an integer that is not negative"),
        kept,
    );
    check(
        with(|s| s["version"] = json!(0)),
        &invalid("the field `version` is not greater than zero"),
        kept,
    );
    check(
        with(|s| s["keys"] = json!([])),
        &invalid("the field `keys` is not an object"),
        kept,
    );
    check(
        with(|s| s["consistent_snapshot"] = json!("yes")),
        &invalid("the field `consistent_snapshot` is not a boolean"),
        kept,
    );
    check(
        with(|s| drop(s["roles"].as_object_mut().unwrap().remove("snapshot"))),
        &invalid("the field `snapshot` is missing"),
        kept,
    );
    check(
        with(|s| {
            let twice = s["roles"]["targets"]["keyids"][0].clone();
            s["roles"]["targets"]["keyids"]
                .as_array_mut()
                .unwrap()
                .push(twice);
        }),
        &invalid(&format!(
            "a role lists the key {} twice",
            Signer::new("targets").key().keyid()
        )),
        kept,
    );
    for time in [
        "2031-01-01T00:00:00+00:00",
        "2031-01-01 00:00:00Z",
        "2031-01-01T00:00:00",
        "2031-01-01",
        "2031-01-01T00:00:00.5Z",
        "2031-13-01T00:00:00Z",
        "2031-01-01T00:00:60Z",
        "2031-01-01t00:00:00z",
    ] {
        check(
            move |repo| {
                repo.publish("root");
                repo.forge("root", |signed| signed["expires"] = json!(time));
            },
            &invalid("the field `expires` is not a time of the form YYYY-MM-DDTHH:MM:SSZ"),
            kept,
        );
    }
}

#[test]
fn a_threshold_that_nobody_can_meet_is_a_root_all_the_same() {
    check(
        |repo| {
            repo.root.roles.snapshot.threshold = 6;
            repo.publish(ALL);
        },
        "snapshot is refused: signed by 1 of the 6 keys that are needed",
        [2, 2, 1, 1],
    );
}

#[test]
fn unknown_fields_are_signed_and_kept() {
    check(
        |repo| {
            repo.root
                .extra
                .insert("x-note".into(), json!({"b": [1, null], "a": "é\n\"\\"}));
            repo.root
                .roles
                .root
                .extra
                .insert("x-role".into(), json!(true));
            repo.root
                .roles
                .extra
                .insert("mirrors".into(), json!({"keyids": [], "threshold": 1}));
            let signer = Signer::new("timestamp").with_field("x-owner", json!("@someone"));
            repo.rotate("timestamp", vec![signer], 1);
            repo.publish("root timestamp");
            let read = verify_trusted_root(&repo.files["2.root.json"]).unwrap();
            assert_eq!(read.into_inner(), repo.root);
        },
        "ok",
        [2, 2, 1, 1],
    );
}

#[test]
fn a_fingerprint_is_of_the_signed_part() {
    let mut repo = Repo::new();
    let fingerprint = root_fingerprint(&repo.files["1.root.json"]).unwrap();
    repo.signers
        .get_mut("root")
        .unwrap()
        .push(Signer::new("one more"));
    repo.write("root");
    assert_eq!(
        root_fingerprint(&repo.files["1.root.json"]).unwrap(),
        fingerprint
    );
    repo.publish("root");
    assert_ne!(
        root_fingerprint(&repo.files["2.root.json"]).unwrap(),
        fingerprint
    );
    assert!(root_fingerprint(b"<html>").is_err());
}

#[test]
fn the_machine_cannot_be_driven_out_of_turn() {
    let repo = Repo::new();
    let mut client = Client::new(&repo);
    let root = client.cache[&CacheName::Root].clone();
    let start = || {
        wheelmark_tuf::Refresh::new(&root, Default::default(), time(NOW), Limits::default())
            .unwrap()
    };
    let out_of_turn = "the refresh was driven out of turn";
    assert_eq!(explain(&start().finish().unwrap_err()), out_of_turn);
    client.refresh(&repo).unwrap();
    let mut done = start();
    while let Some(need) = done.need().cloned() {
        done = done.supply(repo.files.get(&need.path).cloned()).unwrap().0;
    }
    assert_eq!(explain(&done.supply(None).unwrap_err()), out_of_turn);
}
