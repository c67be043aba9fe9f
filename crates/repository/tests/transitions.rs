//! The online key and the number of bins change, and nobody who reads the tree comes upon a gap.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;

use std::sync::Arc;

use holding::{
    Client, Files, NAME, POLICY, engine_with, hand_in, held, metadata, newest, offline, orders,
    outcome, pair, said, signed, standing, with_a_file_in,
};
use index::TestIndex;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::Value;
use wheelmark_ceremony::{Ceremony, OnlineKey, Plan, online_proof_message};
use wheelmark_repository::{BinForm, Engine, OnlineKeys, OpenError, Phase, Turn};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{Outcome, Seq};
use wheelmark_tuf::{Bins, Cached, Clock as _, Delegations, Key, Limits, Refresh, canonical};

/// The next online key, in a file beside the present one.
fn next_key(index: &TestIndex) -> Arc<FileKey> {
    let path = index.folder.path().join("online.next");
    match FileKey::open(&path) {
        Ok(key) => Arc::new(key),
        Err(_) => Arc::new(FileKey::create(&path, &mut UnwrapErr(SysRng)).unwrap()),
    }
}

fn both(index: &TestIndex) -> OnlineKeys {
    OnlineKeys::new(index.online.clone(), Some(next_key(index)))
}

fn public(index: &TestIndex, key: &dyn Signer) -> OnlineKey {
    let first = standing(index).first_fingerprint();
    let proof = key.sign(&online_proof_message(&first, key.key())).unwrap();
    OnlineKey::new(first, key.key().clone(), proof).unwrap()
}

/// A ceremony with these changes, signed by everybody.
fn ceremony(index: &TestIndex, online: Option<OnlineKey>, bins: Option<u32>) -> Files {
    let now = index.clock.now();
    let standing = standing(index);
    let mut plan = Plan::renewal(&standing, &[], &POLICY, now);
    (plan.online, plan.bins) = (online, bins);
    plan.without_what_stays(&standing);
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    let keys = offline(index);
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    held(&ceremony, &keys, now)
}

fn rotation(index: &TestIndex) -> Files {
    ceremony(index, Some(public(index, &*next_key(index))), None)
}

async fn publish(index: &TestIndex, keys: OnlineKeys, files: &Files) -> Outcome {
    let seq = hand_in(index, files).await;
    let mut engine = engine_with(index, keys).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    outcome(index, seq).await.unwrap()
}

async fn is_published(index: &TestIndex, seq: Seq) -> bool {
    matches!(outcome(index, seq).await, Some(Outcome::Published { .. }))
}

fn timestamp(index: &TestIndex) -> Vec<u8> {
    metadata(index, "timestamp.json").unwrap()
}

/// What a copy of the tree that is behind serves: this timestamp, and roots without those hidden.
fn reads(index: &TestIndex, timestamp: &[u8], hidden: &[&str]) -> Result<(), String> {
    let now = index.clock.now();
    let refresh = Refresh::new(&index.root, Cached::default(), now, Limits::default());
    let mut refresh = refresh.unwrap();
    while let Some(need) = refresh.need() {
        let answer = match &*need.path {
            "timestamp.json" => Some(timestamp.to_vec()),
            path => metadata(index, path).filter(|_| !hidden.contains(&path)),
        };
        refresh = match refresh.supply(answer) {
            Ok((refresh, _)) => refresh,
            Err(error) => return Err(said(&error)),
        };
    }
    let trusted = refresh.finish().unwrap();
    let file = wheelmark_objects::file_target(&"demo".parse().unwrap(), NAME).unwrap();
    let mut lookup = trusted.lookup(&file);
    while let Some(need) = lookup.need() {
        let bytes = metadata(index, &need.fetch.path).unwrap();
        lookup.supply(bytes).map_err(|error| said(&error))?;
    }
    Ok(())
}

/// A metadata file without the signature of a key.
fn without(file: &[u8], key: &Key) -> Vec<u8> {
    let mut file: Value = serde_json::from_slice(file).unwrap();
    let signatures = file["signatures"].as_array_mut().unwrap();
    let before = signatures.len();
    signatures.retain(|signature| signature["keyid"] != key.keyid().as_str());
    assert_eq!(signatures.len() + 1, before, "it was signed by that key");
    canonical::encode(&file)
}

fn signatures(file: &[u8]) -> usize {
    let file: Value = serde_json::from_slice(file).unwrap();
    file["signatures"].as_array().unwrap().len()
}

#[tokio::test]
async fn every_root_fits_every_timestamp_while_the_online_key_changes() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let mut old = Client::new(&index);
    old.uses(&index, &[]);
    let alone = timestamp(&index);
    // Prepared: both sign, though nothing has changed.
    let mut engine = engine_with(&index, both(&index)).await;
    assert!(matches!(
        engine.turn().await.unwrap(),
        Turn::Published { .. }
    ));
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle, "once is enough");
    drop(engine);
    let before = timestamp(&index);
    assert_eq!((signatures(&alone), signatures(&before)), (1, 2));
    old.uses(&index, &[]);

    let published = publish(&index, both(&index), &rotation(&index)).await;
    assert!(
        matches!(published, Outcome::Published { .. }),
        "{published:?}"
    );
    let after = timestamp(&index);
    let next = next_key(&index);
    let id = next.key().keyid().as_str().to_owned();
    for role in ["timestamp", "snapshot"] {
        assert_eq!(
            signed(&index, "root")["roles"][role]["keyids"],
            Value::from(vec![id.clone()])
        );
    }
    for bin in [
        "simple-0",
        "simple-1",
        "packages-0",
        "packages-1",
        "recently-claimed",
        "status",
    ] {
        let file: Value = serde_json::from_slice(&newest(&index, bin).1).unwrap();
        assert_eq!(file["signatures"].as_array().unwrap().len(), 1);
        assert_eq!(file["signatures"][0]["keyid"], id.as_str(), "{bin}");
    }
    for timestamp in [&before, &after] {
        for hidden in [&["2.root.json"][..], &[]] {
            reads(&index, timestamp, hidden).unwrap();
        }
    }
    // The same with one signature would have a gap, whichever of the two came first.
    reads(&index, &alone, &["2.root.json"]).unwrap();
    for (timestamp, hidden) in [
        (&alone, &[][..]),
        (&without(&before, next.key()), &[]),
        (&without(&after, index.online.key()), &["2.root.json"]),
    ] {
        let refused = reads(&index, timestamp, hidden).unwrap_err();
        assert!(refused.contains("timestamp is refused"), "{refused}");
    }
    old.uses(&index, &[]);
    let mut late = Client {
        root: old.root.clone(),
        cached: old.cached.clone(),
    };
    index.upload("demo-2.0-py3-none-any.whl", b"another").await;
    engine_with(&index, both(&index))
        .await
        .turn()
        .await
        .unwrap();

    // Retired: the next key alone, and the one of before is worth nothing.
    engine_with(&index, next.clone().into())
        .await
        .turn()
        .await
        .unwrap();
    assert_eq!(signatures(&timestamp(&index)), 1);
    for client in [&mut old, &mut late, &mut Client::new(&index)] {
        client.uses(&index, &[]);
    }
    index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    engine_with(&index, next.clone().into())
        .await
        .turn()
        .await
        .unwrap();
    assert_eq!(index.files("demo").len(), 3);
    let now: Value = serde_json::from_slice(&timestamp(&index)).unwrap();
    let mut forged = now["signed"].clone();
    forged["version"] = 1_000_000.into();
    let forged = sign_role(&canonical::encode(&forged), &[&*index.online]).unwrap();
    let refused = reads(&index, &forged, &[]).unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
}

#[tokio::test]
async fn a_version_that_a_thief_drove_up_is_forgotten_with_the_key() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let mut robbed = Client::new(&index);
    robbed.uses(&index, &[]);
    let whole: Value = serde_json::from_slice(&timestamp(&index)).unwrap();
    let mut content = whole["signed"].clone();
    content["version"] = 1_000_000.into();
    let driven = sign_role(&canonical::encode(&content), &[&*index.online]).unwrap();
    reads(&index, &driven, &[]).unwrap();
    robbed.cached.timestamp = Some(driven);
    let now = index.clock.now();
    let refresh = Refresh::new(&robbed.root, robbed.cached.clone(), now, Limits::default());
    let refresh = refresh.unwrap().supply(None).unwrap().0;
    let refused = refresh.supply(Some(timestamp(&index))).unwrap_err();
    assert!(said(&refused).contains("goes back from version 1000000"));
    publish(&index, both(&index), &rotation(&index)).await;
    robbed.uses(&index, &[]);
}

/// A key that was stolen seals no record that recovery would write into the tree.
#[tokio::test]
async fn what_the_key_of_before_has_sealed_is_dropped() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    index.upload("demo-2.0-py3-none-any.whl", b"another").await;
    crash_in(&index, index.online.clone().into(), Phase::Write).await;
    for table in ["intent", "intent_object"] {
        let keep = format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}");
        index.sql(&keep).await;
    }
    both_sign(&index).await;
    let sealed = index.store.recorded_intents().await.unwrap();
    let sealed = sealed[0].intent.as_ref().unwrap().clone();
    let (name, _) = sealed.objects.last().unwrap();
    let spoiled = index.folder.path().join("repository").join(name);
    publish(&index, both(&index), &rotation(&index)).await;
    engine_with(&index, both(&index))
        .await
        .flush()
        .await
        .unwrap();
    // A thief brings back what that key has sealed, and the state that it was of.
    for table in ["intent_object", "intent"] {
        index.sql(&format!("DELETE FROM {table}")).await;
    }
    for table in ["intent", "intent_object"] {
        index
            .sql(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))
            .await;
    }
    let path = index
        .folder
        .path()
        .join("repository/metadata/timestamp.json");
    let published = timestamp(&index);
    std::fs::write(&path, &sealed.timestamp).unwrap();
    let whole = std::fs::read(&spoiled).unwrap();
    std::fs::write(&spoiled, b"other bytes").unwrap();
    let opened = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(&index).await,
        both(&index),
        index.clock.clone(),
        wheelmark_repository::Lifetimes::default(),
    );
    // The state of before is not taken up again, and nothing of the record is written.
    assert!(opened.await.is_err());
    assert_eq!(timestamp(&index), sealed.timestamp);
    assert_eq!(std::fs::read(&spoiled).unwrap(), b"other bytes");
    std::fs::write(&path, &published).unwrap();
    std::fs::write(&spoiled, whole).unwrap();
    drop(engine_with(&index, both(&index)).await);
    assert!(index.store.recorded_intents().await.unwrap().is_empty());
    assert_eq!(timestamp(&index), published);
}

/// What is recorded and names the next key is not thrown away by a start without that key.
#[tokio::test]
async fn a_start_without_the_next_key_drops_nothing() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    both_sign(&index).await;
    let seq = hand_in(&index, &rotation(&index)).await;
    crash_in(&index, both(&index), Phase::Write).await;
    let opened = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(&index).await,
        index.online.clone(),
        index.clock.clone(),
        wheelmark_repository::Lifetimes::default(),
    );
    let refused = said(&opened.await.map(drop).unwrap_err());
    assert!(
        refused.contains("the next online key is not here"),
        "{refused}"
    );
    engine_with(&index, both(&index))
        .await
        .turn()
        .await
        .unwrap();
    assert!(is_published(&index, seq).await);
}

/// A ceremony that meets an index without preparation waits for the turn in which both sign.
#[tokio::test]
async fn both_keys_sign_before_the_next_one_is_named() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let seq = hand_in(&index, &rotation(&index)).await;
    let mut engine = engine_with(&index, both(&index)).await;
    engine.turn().await.unwrap();
    assert!(!is_published(&index, seq).await);
    assert_eq!(signatures(&timestamp(&index)), 2);
    let before = timestamp(&index);
    engine.turn().await.unwrap();
    assert!(is_published(&index, seq).await);
    reads(&index, &before, &[]).unwrap();
}

#[tokio::test]
async fn a_running_engine_takes_keys_up_as_they_come_and_go() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let there = Arc::new(std::sync::Mutex::new(OnlineKeys::from(
        index.online.clone(),
    )));
    let mut engine = engine_with(&index, index.online.clone().into()).await;
    let source = there.clone();
    engine.follow_online_keys(move || Some(source.lock().unwrap().clone()));
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    // One that is not this index's takes no place.
    let stranger = index.folder.path().join("stranger");
    let stranger = Arc::new(FileKey::create(&stranger, &mut UnwrapErr(SysRng)).unwrap());
    *there.lock().unwrap() = stranger.into();
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    *there.lock().unwrap() = both(&index);
    engine.turn().await.unwrap();
    assert_eq!(signatures(&timestamp(&index)), 2);
    let seq = hand_in(&index, &rotation(&index)).await;
    engine.turn().await.unwrap();
    assert!(is_published(&index, seq).await);
    *there.lock().unwrap() = next_key(&index).into();
    engine.turn().await.unwrap();
    assert_eq!(signatures(&timestamp(&index)), 1);
    Client::new(&index).uses(&index, &[]);
}

#[tokio::test]
async fn an_upload_waits_for_the_snapshot_after_the_one_that_moves_everything() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let ceremony = hand_in(&index, &ceremony(&index, None, Some(8))).await;
    let upload = index.upload("demo-2.0-py3-none-any.whl", b"another").await;
    let mut engine = engine_with(&index, index.online.clone().into()).await;
    engine.turn().await.unwrap();
    assert!(is_published(&index, ceremony).await);
    assert!(!index.published(upload).await);
    engine.turn().await.unwrap();
    assert!(index.published(upload).await);
    assert_eq!(index.files("demo").len(), 2);
}

/// Everything that a client keeps of a snapshot holds under each later one: no role vanishes, and
/// none goes back, also where a name is used again.
#[tokio::test]
async fn bins_become_more_and_fewer_and_clients_follow() {
    for form in [BinForm::Succinct, BinForm::PrefixLists] {
        let index = with_a_file_in(2, form).await;
        for i in 0..20 {
            index
                .upload(&format!("p{i}-1.0-py3-none-any.whl"), b"a wheel")
                .await;
        }
        engine_with(&index, index.online.clone().into())
            .await
            .turn()
            .await
            .unwrap();
        let mut old = Client::new(&index);
        let mut seldom = Client::new(&index);
        let mut states = vec![timestamp(&index)];
        seldom.uses(&index, &[]);
        // One digit, two, two again, one, and three.
        for (step, count) in [16, 32, 128, 4, 32, 1024].into_iter().enumerate() {
            let files = ceremony(&index, None, Some(count));
            let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
            assert!(
                names
                    .iter()
                    .all(|name| name.contains("simple") || name.contains("packages"))
            );
            let published = publish(&index, index.online.clone().into(), &files).await;
            assert!(
                matches!(published, Outcome::Published { .. }),
                "{published:?}"
            );
            for family in ["simple", "packages"] {
                let delegations = standing(&index)
                    .role(&family.parse().unwrap())
                    .unwrap()
                    .clone();
                let delegations: Delegations = delegations.delegations.unwrap();
                assert_eq!(Bins::of(&delegations).unwrap().count(), count);
            }
            old.uses(&index, &[]);
            Client::new(&index).uses(&index, &[]);
            index
                .upload(&format!("demo-2.{step}-py3-none-any.whl"), b"a wheel")
                .await;
            engine_with(&index, index.online.clone().into())
                .await
                .turn()
                .await
                .unwrap();
            // Whoever is in the middle of an earlier state finds it whole.
            states.push(timestamp(&index));
            for state in &states {
                reads(&index, state, &[]).unwrap();
            }
        }
        seldom.uses(&index, &[]);
        for i in 0..20 {
            assert_eq!(index.files(&format!("p{i}")).len(), 1);
        }
        assert_eq!(index.files("demo").len(), 7);
    }
}

#[tokio::test]
async fn key_and_bins_change_in_one_ceremony() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let mut old = Client::new(&index);
    old.uses(&index, &[]);
    let files = ceremony(&index, Some(public(&index, &*next_key(&index))), Some(64));
    let published = publish(&index, both(&index), &files).await;
    assert!(
        matches!(published, Outcome::Published { .. }),
        "{published:?}"
    );
    for hidden in [&["2.root.json"][..], &[]] {
        reads(&index, &timestamp(&index), hidden).unwrap();
    }
    old.uses(&index, &[]);
}

/// Prepared: the next key signs along.
async fn both_sign(index: &TestIndex) {
    engine_with(index, both(index)).await.turn().await.unwrap();
}

async fn crash_in(index: &TestIndex, keys: OnlineKeys, phase: Phase) {
    let mut engine = engine_with(index, keys).await;
    engine.observe(move |now| assert!(now != phase, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_crash_anywhere_leaves_a_transition_to_the_next_start() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = with_a_file_in(2, BinForm::Succinct).await;
        let mut old = Client::new(&index);
        old.uses(&index, &[]);
        let files = ceremony(&index, Some(public(&index, &*next_key(&index))), Some(16));
        both_sign(&index).await;
        let seq = hand_in(&index, &files).await;
        crash_in(&index, both(&index), phase).await;
        old.uses(&index, &[]);
        Client::new(&index).uses(&index, &[]);
        // What is recorded is sealed by the next key: it can be finished without the one of before.
        let is_recorded = matches!(phase, Phase::Write | Phase::Done);
        let keys = match is_recorded {
            true => next_key(&index).into(),
            false => both(&index),
        };
        let mut engine = engine_with(&index, keys).await;
        while engine.turn().await.unwrap() != Turn::Idle {}
        drop(engine);
        assert!(is_published(&index, seq).await, "{phase:?}");
        assert_eq!(newest(&index, "root").0, 2, "{phase:?}");
        old.uses(&index, &[]);
        Client::new(&index).uses(&index, &[]);
        index.upload("demo-2.0-py3-none-any.whl", b"another").await;
        engine_with(&index, next_key(&index).into())
            .await
            .turn()
            .await
            .unwrap();
        assert_eq!(index.files("demo").len(), 2, "{phase:?}");
    }
}

/// The tree as a kill leaves it after any number of files: each state can be read, and is finished.
#[tokio::test]
async fn a_transition_can_be_cut_off_after_every_file() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let mut old = Client::new(&index);
    old.uses(&index, &[]);
    both_sign(&index).await;
    hand_in(
        &index,
        &ceremony(&index, Some(public(&index, &*next_key(&index))), Some(4)),
    )
    .await;
    crash_in(&index, both(&index), Phase::Write).await;
    let intent = index.store.intent().await.unwrap().unwrap();
    let tree = index.folder.path().join("repository");
    let (roots, objects): (Vec<_>, Vec<_>) = intent
        .objects
        .iter()
        .partition(|(path, _)| path.ends_with(".root.json"));
    assert_eq!(roots.len(), 1);
    for (path, bytes) in objects {
        std::fs::write(tree.join(path), bytes).unwrap();
        Client::new(&index).uses(&index, &[]);
    }
    std::fs::write(tree.join("metadata/timestamp.json"), &intent.timestamp).unwrap();
    Client::new(&index).uses(&index, &[]);
    Client {
        root: old.root.clone(),
        cached: old.cached.clone(),
    }
    .uses(&index, &[]);
    engine_with(&index, both(&index))
        .await
        .turn()
        .await
        .unwrap();
    assert_eq!(newest(&index, "root").0, 2);
    old.uses(&index, &[]);
}

/// The ceremony with one file changed and signed again by the keys that may.
async fn refusal(role: &str, change: impl FnOnce(&TestIndex, &mut Value)) -> String {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let mut files = ceremony(&index, Some(public(&index, &*next_key(&index))), Some(16));
    let keys = offline(&index);
    let name = format!(".{role}.json");
    let (_, bytes) = files
        .iter_mut()
        .find(|(file, _)| file.ends_with(&name))
        .unwrap();
    let file: Value = serde_json::from_slice(bytes).unwrap();
    let mut content = file["signed"].clone();
    change(&index, &mut content);
    *bytes = sign_role(&canonical::encode(&content), &pair(&keys, role)).unwrap();
    refused(&index, both(&index), &files).await
}

async fn refused(index: &TestIndex, keys: OnlineKeys, files: &Files) -> String {
    let before = index.versions();
    match publish(index, keys, files).await {
        Outcome::Refused { reason } => {
            assert!(
                index
                    .versions()
                    .keys()
                    .all(|name| before.contains_key(name) || name.ends_with("snapshot.json"))
            );
            Client::new(index).uses(index, &[]);
            reason
        }
        other => panic!("{other:?}"),
    }
}

fn says(reason: &str, what: &str) {
    assert!(reason.contains(what), "{reason}");
}

#[tokio::test]
async fn a_transition_changes_nothing_else() {
    let to_stranger = |index: &TestIndex, keys: &mut Value, role: &mut Value| {
        let online = index.online.key();
        keys[online.keyid().as_str()] = online.to_value();
        role["keyids"] = Value::from(vec![online.keyid().as_str()]);
    };
    let reason = refusal("root", |_, root| {
        let more = root["roles"]["root"]["keyids"][0].clone();
        root["roles"]["timestamp"]["keyids"]
            .as_array_mut()
            .unwrap()
            .push(more);
    });
    says(&reason.await, "another key for timestamp and snapshot");
    let reason = refusal("root", |index, root| {
        let mut role = root["roles"]["snapshot"].clone();
        to_stranger(index, &mut root["keys"], &mut role);
        root["roles"]["snapshot"] = role;
    });
    says(&reason.await, "another key for timestamp and snapshot");
    let reason = refusal("targets", |index, targets| {
        let mut role = targets["delegations"]["roles"][4].clone();
        to_stranger(index, &mut targets["delegations"]["keys"], &mut role);
        targets["delegations"]["roles"][4] = role;
    });
    says(&reason.await, "more of its delegations");
    for family in ["simple", "packages"] {
        let reason = refusal(family, |_, family| {
            family["delegations"]["succinct_roles"]["bit_length"] = 5.into();
        });
        says(&reason.await, "in another way than its sibling");
        let reason = refusal(family, |_, family| {
            family["delegations"]["succinct_roles"]["bit_length"] = 15.into();
        });
        says(&reason.await, "what it delegates");
        let reason = refusal(family, |_, family| {
            family["delegations"]["succinct_roles"]["name_prefix"] = "other".into();
        });
        says(&reason.await, "what it delegates");
        let reason = refusal(family, |index, family| {
            let mut role = family["delegations"]["succinct_roles"].clone();
            to_stranger(index, &mut family["delegations"]["keys"], &mut role);
            family["delegations"]["succinct_roles"] = role;
        });
        says(&reason.await, "what it delegates");
    }
}

#[tokio::test]
async fn a_transition_is_whole_and_the_index_has_the_key() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let files = rotation(&index);
    // An index that has the present key alone would lock itself out.
    let reason = refused(&index, index.online.clone().into(), &files).await;
    says(
        &reason,
        "the next online key has to be beside the present one",
    );
    for role in ["targets", "simple", "packages"] {
        let mut part = files.clone();
        part.retain(|(name, _)| !name.ends_with(&format!(".{role}.json")));
        let reason = refused(&index, both(&index), &part).await;
        says(
            &reason,
            &format!("the online key changes, and {role} is not signed anew"),
        );
    }
    for role in ["simple", "packages"] {
        let mut part = ceremony(&index, None, Some(4));
        part.retain(|(name, _)| name.ends_with(&format!(".{role}.json")));
        says(
            &refused(&index, both(&index), &part).await,
            "in another way than its sibling",
        );
    }
}

#[tokio::test]
async fn nothing_is_lost_where_a_bin_cannot_be_read() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let (version, whole) = newest(&index, "packages-0");
    let keys = index.online.clone();
    let mut engine = engine_with(&index, keys.into()).await;
    let path = index
        .folder
        .path()
        .join(format!("repository/metadata/{version}.packages-0.json"));
    std::fs::write(&path, b"{}").unwrap();
    let files = ceremony(&index, None, Some(4));
    let seq = hand_in(&index, &files).await;
    engine.turn().await.unwrap();
    match outcome(&index, seq).await.unwrap() {
        Outcome::Refused { reason } => says(&reason, "restore it"),
        other => panic!("{other:?}"),
    }
    std::fs::write(&path, whole).unwrap();
    let seq = hand_in(&index, &ceremony(&index, None, Some(8))).await;
    engine.turn().await.unwrap();
    assert!(is_published(&index, seq).await);
    Client::new(&index).uses(&index, &[]);
}

#[tokio::test]
async fn without_a_key_that_root_names_the_engine_does_not_start() {
    let index = with_a_file_in(2, BinForm::Succinct).await;
    let opened = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(&index).await,
        next_key(&index),
        index.clock.clone(),
        wheelmark_repository::Lifetimes::default(),
    );
    assert!(matches!(opened.await.map(drop), Err(OpenError::Publish(_))));
}
