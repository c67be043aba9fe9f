//! What ceremonies bring, on its way into the tree: an index that lives for more than a year, and
//! everything that it must not take.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;

use std::collections::BTreeMap;

use holding::{
    Client, Files, NAME, OFFLINE, POLICY, days, engine, hand_in, held, metadata, newest, offline,
    orders, outcome, pair, renewal, said, signed, standing, with_a_file,
};
use index::TestIndex;
use jiff::SignedDuration;
use serde_json::{Value, json};
use wheelmark_ceremony::{Ceremony, HolderChange, HolderKeys, Plan, proof_message};
use wheelmark_repository::{Engine, Lifetimes, Phase};
use wheelmark_signing::{Ed25519Key, Signer, sign_role};
use wheelmark_store::{Outcome, TakenBack};
use wheelmark_tuf::{Clock as _, Key, Sha256, canonical};

#[tokio::test]
async fn an_index_lives_on_for_400_days_and_no_client_does_anything() {
    let index = with_a_file().await;
    let mut engine = engine(&index).await;
    let mut old = Client::new(&index);
    let mut seldom = Client::new(&index);
    let mut ceremonies = 0;
    for half_day in 0..800 {
        let day = half_day / 2;
        let is_morning = half_day % 2 == 0;
        if is_morning && day > 0 && day % 60 == 0 {
            let seq = hand_in(&index, &renewal(&index)).await;
            engine.turn().await.unwrap();
            let published = outcome(&index, seq).await;
            assert!(
                matches!(published, Some(Outcome::Published { .. })),
                "{published:?}"
            );
            ceremonies += 1;
        }
        engine.turn().await.unwrap();
        old.uses(&index, &[]);
        if day % 25 == 0 {
            Client::new(&index).uses(&index, &[]);
        }
        if is_morning && day % 133 == 0 {
            seldom.uses(&index, &[]);
        }
        index.clock.forward(SignedDuration::from_hours(12));
    }
    engine.turn().await.unwrap();
    for mut client in [old, seldom, Client::new(&index)] {
        client.uses(&index, &[]);
    }
    assert_eq!(ceremonies, 6);
    assert_eq!(newest(&index, "root").0, 7);
    assert_eq!(index.files("demo"), [NAME]);
}

/// Another pair of holders, and the ceremony that brings them in.
fn other_holders(index: &TestIndex) -> (Vec<Ed25519Key>, Ceremony) {
    use rand::SeedableRng as _;
    let mut rng = rand::rngs::StdRng::seed_from_u64(3);
    let now = index.clock.now();
    let standing = standing(index);
    let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
    let mut all = Vec::new();
    for seat in [1, 2] {
        let name = format!("person {seat}");
        let made: Vec<(String, Ed25519Key)> = ["bins", "claimed", "root", "targets"]
            .map(|name| (name.to_owned(), Ed25519Key::generate(&mut rng)))
            .into();
        let keys: BTreeMap<String, Key> = made
            .iter()
            .map(|(name, key)| (name.clone(), key.key().clone()))
            .collect();
        let message = proof_message(&name, &keys);
        let proofs = made.iter();
        let proofs = proofs
            .map(|(name, key)| (name.clone(), key.sign(&message).unwrap()))
            .collect();
        let by = HolderKeys::new(&name, keys, proofs).unwrap();
        plan.holders.push(HolderChange::Replace { seat, by });
        all.extend(made.into_iter().map(|(_, key)| key));
    }
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    (all, ceremony)
}

/// Everything of [`other_holders`], signed by those before and those after.
fn replacement(index: &TestIndex) -> Files {
    let (new, ceremony) = other_holders(index);
    let old = offline(index);
    let old = old.iter().map(|key| key as &dyn Signer);
    let keys: Vec<&dyn Signer> = old
        .chain(new.iter().map(|key| key as &dyn Signer))
        .collect();
    held(&ceremony, &keys, index.clock.now())
}

#[tokio::test]
async fn no_client_sees_a_gap_where_holders_change() {
    let index = with_a_file().await;
    let mut old = Client::new(&index);
    old.uses(&index, &[]);
    let seq = hand_in(&index, &replacement(&index)).await;
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
    assert!(metadata(&index, "2.root.json").is_some());
    // Between the timestamp and the next root: what is new is there, and the root is not yet.
    let between = ["2.root.json"];
    Client {
        root: old.root.clone(),
        cached: old.cached.clone(),
    }
    .uses(&index, &between);
    Client::new(&index).uses(&index, &between);
    old.uses(&index, &[]);
    Client::new(&index).uses(&index, &[]);
    // The engine goes on with it.
    index.upload("demo-2.0-py3-none-any.whl", b"another").await;
    engine(&index).await.turn().await.unwrap();
    assert_eq!(index.files("demo").len(), 2);
}

#[tokio::test]
async fn a_crash_anywhere_leaves_the_ceremony_to_the_next_start() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = with_a_file().await;
        let seq = hand_in(&index, &replacement(&index)).await;
        let mut crashing = engine(&index).await;
        crashing.observe(move |now| assert!(now != phase, "the crash that this test wants"));
        let crashed = tokio::spawn(async move { crashing.turn().await.map(drop) }).await;
        assert!(crashed.unwrap_err().is_panic());
        Client::new(&index).uses(&index, &[]);
        engine(&index).await.turn().await.unwrap();
        let published = outcome(&index, seq).await;
        assert!(
            matches!(published, Some(Outcome::Published { .. })),
            "{phase:?}: {published:?}"
        );
        assert_eq!(newest(&index, "root").0, 2, "{phase:?}");
        assert_eq!(newest(&index, "targets").0, 2, "{phase:?}");
        Client::new(&index).uses(&index, &[]);
    }
}

#[tokio::test]
async fn a_crash_between_timestamp_and_root_is_made_good() {
    let index = with_a_file().await;
    let files = replacement(&index);
    let seq = hand_in(&index, &files).await;
    let mut crashing = engine(&index).await;
    crashing.observe(|now| assert!(now != Phase::Write, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { crashing.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
    // As far as it would have come, and no further.
    let intent = index.store.intent().await.unwrap().unwrap();
    let tree = index.folder.path().join("repository");
    for (path, bytes) in intent
        .objects
        .iter()
        .filter(|(path, _)| !path.ends_with(".root.json"))
    {
        std::fs::write(tree.join(path), bytes).unwrap();
    }
    std::fs::write(tree.join("metadata/timestamp.json"), &intent.timestamp).unwrap();
    Client::new(&index).uses(&index, &[]);
    engine(&index).await.turn().await.unwrap();
    assert_eq!(newest(&index, "root").0, 2);
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
    Client::new(&index).uses(&index, &[]);
}

#[tokio::test]
async fn what_is_published_already_is_told_so_and_what_is_older_is_not() {
    let index = with_a_file().await;
    index.clock.forward(days(10));
    let first = renewal(&index);
    index.clock.forward(days(1));
    let second = renewal(&index);
    let mut engine = engine(&index).await;
    let (one, again) = (hand_in(&index, &first).await, hand_in(&index, &first).await);
    let other = hand_in(&index, &second).await;
    engine.turn().await.unwrap();
    engine.turn().await.unwrap();
    for seq in [one, again] {
        let told = outcome(&index, seq).await;
        assert!(matches!(told, Some(Outcome::Published { .. })), "{told:?}");
    }
    let Some(Outcome::Refused { reason }) = outcome(&index, other).await else {
        panic!("not refused");
    };
    assert!(reason.contains("does not follow on version 2"), "{reason}");
    assert_eq!(
        metadata(&index, "2.root.json").unwrap(),
        file(&first, "root")
    );
}

fn file(files: &Files, role: &str) -> Vec<u8> {
    let ending = format!(".{role}.json");
    let found = files.iter().find(|(name, _)| name.ends_with(&ending));
    found.unwrap().1.clone()
}

/// Changes one file of a renewal, signs it again with the right keys, and says why the index does
/// not take the whole.
async fn refusal(role: &str, change: impl FnOnce(&mut Value)) -> String {
    let index = with_a_file().await;
    index.clock.forward(days(10));
    let mut files = renewal(&index);
    let keys = offline(&index);
    let place = files
        .iter()
        .position(|(name, _)| name.ends_with(&format!(".{role}.json")));
    let (name, bytes) = &mut files[place.unwrap()];
    let mut content: Value = serde_json::from_slice(bytes).unwrap();
    let mut content = content["signed"].take();
    change(&mut content);
    let version = content["version"].as_u64().unwrap_or(0);
    *name = format!("{version}.{role}.json");
    *bytes = sign_role(&canonical::encode(&content), &pair(&keys, role)).unwrap();
    refused(&index, &files).await
}

/// Hands in what is not taken, and sees that nothing changes and everything goes on.
async fn refused(index: &TestIndex, files: &Files) -> String {
    let before = index.versions();
    let seq = hand_in(index, files).await;
    let upload = index.upload("demo-2.0-py3-none-any.whl", b"another").await;
    let mut engine = engine(index).await;
    while engine.turn().await.unwrap() != wheelmark_repository::Turn::Idle {}
    assert!(index.published(upload).await, "uploads go on");
    let after = index.versions();
    for role in OFFLINE {
        let of_role = |versions: &BTreeMap<String, Vec<u8>>| {
            let ending = format!(".{role}.json");
            let of_role = versions.iter().filter(|(name, _)| name.ends_with(&ending));
            of_role
                .map(|(name, bytes)| (name.clone(), bytes.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(of_role(&before), of_role(&after), "{role}");
    }
    Client::new(index).uses(index, &[]);
    match outcome(index, seq).await {
        Some(Outcome::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn says(reason: &str, what: &str) {
    assert!(reason.contains(what), "{reason}");
}

#[tokio::test]
async fn what_follows_on_nothing_is_refused() {
    for role in OFFLINE {
        for version in [1, 3] {
            let reason = refusal(role, |signed| signed["version"] = version.into()).await;
            says(&reason, "does not follow on version 1");
        }
        let over = |signed: &mut Value| signed["expires"] = "2020-01-01T00:00:00Z".into();
        says(&refusal(role, over).await, "expired");
    }
}

#[tokio::test]
async fn what_the_engine_goes_by_is_not_changed_from_elsewhere() {
    let reason = refusal("targets", |signed| {
        let roles = signed["delegations"]["roles"].as_array_mut().unwrap();
        roles.retain(|role| role["name"] != "status");
    });
    says(&reason.await, "more of its delegations");
    let reason = refusal("targets", |signed| {
        signed["delegations"]["roles"][2]["paths"] = json!(["simple/a*/*"]);
    });
    says(&reason.await, "more of its delegations");
    let reason = refusal("targets", |signed| {
        let sha256 = Sha256::of(b"").to_string();
        signed["targets"]["evil"] = json!({"length": 0, "hashes": {"sha256": sha256}});
    });
    says(&reason.await, "the targets that it lists");
    for family in ["simple", "packages"] {
        let reason = refusal(family, |signed| {
            signed["delegations"]["succinct_roles"]["bit_length"] = 2.into();
        });
        says(&reason.await, "in another way than its sibling");
    }
    let reason = refusal("root", |signed| {
        signed["consistent_snapshot"] = false.into()
    });
    says(&reason.await, "how files are named");
    let reason = refusal("root", |signed| {
        let targets = signed["roles"]["targets"]["keyids"].clone();
        signed["roles"]["timestamp"]["keyids"] = targets;
    });
    says(&reason.await, "another key for timestamp and snapshot");
    let reason = refusal("simple", |signed| {
        signed["_wheelmark"]["role"] = "packages".into()
    });
    says(&reason.await, "does not say that it is simple");
}

#[tokio::test]
async fn fewer_keys_than_the_threshold_bring_nothing() {
    for role in OFFLINE {
        let index = with_a_file().await;
        index.clock.forward(days(10));
        let mut files = renewal(&index);
        let ending = format!(".{role}.json");
        let (_, bytes) = files
            .iter_mut()
            .find(|(name, _)| name.ends_with(&ending))
            .unwrap();
        let mut content: Value = serde_json::from_slice(bytes).unwrap();
        content["signatures"].as_array_mut().unwrap().pop();
        *bytes = serde_json::to_vec(&content).unwrap();
        says(&refused(&index, &files).await, "signed by 1 of the 2 keys");
    }
}

#[tokio::test]
async fn new_keys_need_the_word_of_the_old_ones_for_targets_too() {
    let index = with_a_file().await;
    let mut files = replacement(&index);
    let old: Vec<String> = offline(&index)[2..4]
        .iter()
        .map(|key| key.key().keyid().as_str().to_owned())
        .collect();
    let (_, bytes) = files
        .iter_mut()
        .find(|(name, _)| name == "2.targets.json")
        .unwrap();
    let mut content: Value = serde_json::from_slice(bytes).unwrap();
    let signatures = content["signatures"].as_array_mut().unwrap();
    signatures.retain(|signature| !old.iter().any(|id| signature["keyid"] == id.as_str()));
    *bytes = serde_json::to_vec(&content).unwrap();
    says(&refused(&index, &files).await, "present root");
    assert_eq!(signed(&index, "root")["version"], 1);
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let index = with_a_file().await;
    index.clock.forward(days(10));
    let good = file(&renewal(&index), "claimed");
    for name in [
        "claimed.json",
        "02.claimed.json",
        "2.status.json",
        "2.timestamp.json",
        "2.simple-0.json",
        "../2.claimed.json",
        "2.claimed",
        "",
    ] {
        let files = vec![(name.to_owned(), good.clone())];
        let seq = hand_in(&index, &files).await;
        engine(&index).await.turn().await.unwrap();
        let told = outcome(&index, seq).await;
        assert!(
            matches!(told, Some(Outcome::Refused { .. })),
            "{name}: {told:?}"
        );
    }
    let seq = hand_in(&index, &Vec::new()).await;
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Refused { .. })
    ));
    // A part of a ceremony that stands by itself is one.
    let alone = vec![("2.claimed.json".to_owned(), good)];
    let seq = hand_in(&index, &alone).await;
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
}

#[tokio::test]
async fn what_was_taken_back_is_not_published() {
    let index = with_a_file().await;
    index.clock.forward(days(10));
    let seq = hand_in(&index, &renewal(&index)).await;
    let handed = orders(&index).await;
    let back = async || handed.take_back("a ceremony", "broken off").await.unwrap();
    assert_eq!(back().await, TakenBack::Back);
    assert_eq!(back().await, TakenBack::NotThere);
    engine(&index).await.turn().await.unwrap();
    assert_eq!(newest(&index, "root").0, 1);
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Refused { .. })
    ));
}

#[tokio::test]
async fn another_file_under_the_next_name_is_not_overwritten() {
    for role in OFFLINE {
        let index = with_a_file().await;
        index.clock.forward(days(10));
        let files = renewal(&index);
        let place = format!("repository/metadata/2.{role}.json");
        let place = index.folder.path().join(place);
        std::fs::write(&place, b"{}").unwrap();
        let seq = hand_in(&index, &files).await;
        engine(&index).await.turn().await.unwrap();
        let Some(Outcome::Refused { reason }) = outcome(&index, seq).await else {
            panic!("{role}: not refused");
        };
        says(&reason, "another file stands");
        assert_eq!(std::fs::read(&place).unwrap(), b"{}");
    }
}

/// Whoever could write to the tree for a moment must not stop the index for good.
#[tokio::test]
async fn what_lies_in_the_place_of_the_next_root_and_is_none_stops_nothing() {
    let index = with_a_file().await;
    let place = index.folder.path().join("repository/metadata/2.root.json");
    let present = metadata(&index, "1.root.json").unwrap();
    let long = vec![b' '; 65 << 20];
    for (number, junk) in [&b"{}"[..], b"", &present, &long].into_iter().enumerate() {
        std::fs::write(&place, junk).unwrap();
        let name = format!("demo-2.{number}.tar.gz");
        let seq = index.upload(&name, b"demo").await;
        engine(&index).await.turn().await.unwrap();
        assert!(index.published(seq).await);
        assert!(std::fs::read(&place).unwrap() == junk, "it is evidence");
    }
    // It went on under the root that clients have.
    std::fs::remove_file(&place).unwrap();
    Client::new(&index).uses(&index, &[]);
    engine(&index).await.turn().await.unwrap();
}

/// What was taken in of a ceremony is not given up because somebody was quicker with its last file.
#[tokio::test]
async fn a_root_whose_place_is_taken_while_it_is_published_is_published_later() {
    let index = with_a_file().await;
    let place = index.folder.path().join("repository/metadata/2.root.json");
    let seq = hand_in(&index, &replacement(&index)).await;
    let mut running = engine(&index).await;
    let there = place.clone();
    running.observe(move |phase| {
        if phase == Phase::Write {
            std::fs::write(&there, b"{}").unwrap();
        }
    });
    let error = running.turn().await.unwrap_err();
    says(&said(&error), "2.root.json exists with other content");
    running.turn().await.unwrap_err();
    drop(running);
    assert!(index.try_engine().await.is_err());
    assert_eq!(outcome(&index, seq).await, None);
    std::fs::remove_file(&place).unwrap();
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
    Client::new(&index).uses(&index, &["2.root.json"]);
    Client::new(&index).uses(&index, &[]);
}

/// It can be a root that the disk has damaged: what was signed under it does not hold under the one before.
#[tokio::test]
async fn a_damaged_root_is_named_and_not_what_hangs_on_it() {
    let index = with_a_file().await;
    hand_in(&index, &replacement(&index)).await;
    let mut running = engine(&index).await;
    running.turn().await.unwrap();
    running.flush().await.unwrap();
    drop(running);
    let place = index.folder.path().join("repository/metadata/2.root.json");
    let mut bytes = std::fs::read(&place).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&place, bytes).unwrap();
    let opened = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(&index).await,
        index.online.clone(),
        index.clock.clone(),
        Lifetimes::default(),
    );
    let Err(error) = opened.await else {
        panic!("it went on");
    };
    says(&said(&error), "2.root.json was published at");
}

#[tokio::test]
async fn the_next_root_is_not_there_before_the_timestamp() {
    let index = with_a_file().await;
    let seq = hand_in(&index, &replacement(&index)).await;
    let mut broken = engine(&index).await;
    // What cannot be replaced is in the timestamp's place: everything is written up to that.
    let place = index
        .folder
        .path()
        .join("repository/metadata/timestamp.json");
    let timestamp = std::fs::read(&place).unwrap();
    let there = place.clone();
    broken.observe(move |phase| {
        if phase == Phase::Write {
            std::fs::remove_file(&there).unwrap();
            std::fs::create_dir_all(there.join("in the way")).unwrap();
        }
    });
    broken.turn().await.unwrap_err();
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::write(&place, timestamp).unwrap();
    assert!(metadata(&index, "2.targets.json").is_some());
    assert!(metadata(&index, "2.root.json").is_none());
    Client::new(&index).uses(&index, &[]);
    drop(broken);
    engine(&index).await.turn().await.unwrap();
    assert!(metadata(&index, "2.root.json").is_some());
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
}

#[tokio::test]
async fn what_clients_would_refuse_all_the_same_is_not_published() {
    let index = with_a_file().await;
    index.clock.forward(days(400));
    let all = renewal(&index);
    let alone: Files = all
        .iter()
        .filter(|(name, _)| name.contains("claimed"))
        .cloned()
        .collect();
    let seq = hand_in(&index, &alone).await;
    engine(&index).await.turn().await.unwrap();
    let Some(Outcome::Refused { reason }) = outcome(&index, seq).await else {
        panic!("not refused");
    };
    says(&reason, "a new client would refuse it");
    says(&reason, "expired");
    // With everything renewed the index is back.
    let seq = hand_in(&index, &all).await;
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
    Client::new(&index).uses(&index, &[]);
}

#[tokio::test]
async fn what_was_taken_up_is_published_whatever_happens() {
    let index = with_a_file().await;
    index.clock.forward(days(10));
    let seq = hand_in(&index, &renewal(&index)).await;
    let mut crashing = engine(&index).await;
    crashing.observe(|now| assert!(now != Phase::Write, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { crashing.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
    let back = orders(&index)
        .await
        .take_back("a ceremony", "broken off")
        .await;
    assert_eq!(back.unwrap(), TakenBack::TooLate);
    engine(&index).await.turn().await.unwrap();
    assert!(matches!(
        outcome(&index, seq).await,
        Some(Outcome::Published { .. })
    ));
}

#[tokio::test]
async fn a_damaged_bin_keeps_nothing_from_being_renewed() {
    let index = with_a_file().await;
    let mut engine = engine(&index).await;
    index.clock.forward(days(10));
    let files = renewal(&index);
    for bin in ["simple-0", "simple-1", "packages-0", "packages-1"] {
        let (version, _) = newest(&index, bin);
        let name = format!("repository/metadata/{version}.{bin}.json");
        std::fs::write(index.folder.path().join(name), b"{}").unwrap();
    }
    let seq = hand_in(&index, &files).await;
    // Afterwards the engine cannot take up its state; the ceremony is out by then.
    drop(engine.turn().await);
    assert_eq!(newest(&index, "root").0, 2);
    let refused = matches!(outcome(&index, seq).await, Some(Outcome::Refused { .. }));
    assert!(!refused);
}
