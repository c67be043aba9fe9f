//! A thief who writes to the tree as well, so that nobody could go back.

use serde_json::{Value, json};
use wheelmark_repository::{Engine, GoBackError, Kept, Lifetimes, Turn, WentBack};
use wheelmark_signing::{Signer, sign_role};
use wheelmark_tuf::{RECOVERY_RAISE, canonical};

use super::{EVIL, NAME, World, signed};
use crate::holding::{engine_with, metadata, offline, said};
use crate::robbed::{both, next_key};

/// Signs the published timestamp once more, with something changed, and puts it into the tree.
fn restamp(world: &World, change: impl FnOnce(&mut Value)) {
    let mut content = signed(&world.index, "timestamp.json");
    change(&mut content);
    let bytes = canonical::encode(&content);
    let file = sign_role(&bytes, &[&*world.index.online]).unwrap();
    std::fs::write(world.index.path("metadata/timestamp.json"), file).unwrap();
}

async fn goes_on(world: &mut World) {
    world.is_as_before().await;
    let mut engine = engine_with(&world.index, next_key(&world.index).into()).await;
    let third = "demo-3.0-py3-none-any.whl";
    let seq = world.index.upload(third, b"a third").await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    assert!(world.index.published(seq).await);
    assert_eq!(world.index.files("demo"), [NAME, third]);
}

/// Positions, versions and numbers that nothing could follow on.
#[tokio::test]
async fn what_the_thief_has_signed_at_the_end_of_all_numbers_is_not_gone_on_from() {
    for orders in [json!(1_u64 << 62), json!(u64::MAX)] {
        let mut world = World::new().await;
        let back = world.going_back(&[]).await;
        restamp(&world, |content| {
            content["version"] = (1_u64 << 52).into();
            let own = &mut content["_wheelmark"];
            own["journal"] = (1_u64 << 62).into();
            own["orders"] = orders;
            own["signing-log"]["entry"] = u64::MAX.into();
        });
        let done = world.goes_back(&back).await.unwrap();
        assert!(matches!(done, WentBack::Published { .. }), "{done:?}");
        let timestamp = signed(&world.index, "timestamp.json");
        let version = timestamp["version"].as_u64().unwrap();
        assert_eq!(version, world.good.snapshot.version + RECOVERY_RAISE);
        assert!(timestamp["_wheelmark"]["journal"].as_u64().unwrap() < 100);
        assert!(timestamp["_wheelmark"]["orders"].as_u64().unwrap() < 100);
        goes_on(&mut world).await;
    }
}

/// A key id that stands in the timestamp, with no signature of it, keeps nobody from going back.
#[tokio::test]
async fn ids_of_keys_that_have_signed_nothing_are_in_nobodys_way() {
    let mut world = World::new().await;
    let back = world.going_back(&[]).await;
    let path = world.index.path("metadata/timestamp.json");
    let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let signatures = file["signatures"].as_array_mut().unwrap();
    let next = Signer::key(&*next_key(&world.index)).keyid().to_string();
    signatures.push(json!({ "keyid": next, "sig": "00" }));
    signatures.push(json!({ "keyid": "x", "sig": "" }));
    std::fs::write(&path, canonical::encode(&file)).unwrap();
    world.goes_back(&back).await.unwrap();
    goes_on(&mut world).await;
}

/// A snapshot that names what is not there, and files that are gone: nothing of it can be kept, and
/// everything can be dropped.
#[tokio::test]
async fn a_state_that_cannot_be_read_is_left_all_the_same() {
    for planted in [false, true] {
        let mut world = World::new().await;
        let version = crate::robbed::published(&world.index).version;
        let mut snapshot = signed(&world.index, &format!("{version}.snapshot.json"));
        if planted {
            // The thief signs a snapshot by which a bin has a version that nobody ever wrote.
            snapshot["meta"]["simple-0.json"]["version"] = 1_000_000.into();
            snapshot["version"] = (version + 1).into();
            let bytes = canonical::encode(&snapshot);
            let file = sign_role(&bytes, &[&*world.index.online]).unwrap();
            let path = format!("metadata/{}.snapshot.json", version + 1);
            std::fs::write(world.index.path(&path), file).unwrap();
            restamp(&world, |content| {
                let meta = &mut content["meta"]["snapshot.json"];
                *meta = json!({ "version": version + 1 });
            });
        } else {
            let bin = snapshot["meta"]["packages-1.json"]["version"]
                .as_u64()
                .unwrap();
            let path = format!("metadata/{bin}.packages-1.json");
            std::fs::remove_file(world.index.path(&path)).unwrap();
        }
        let kept = [Kept::File(EVIL.to_owned())];
        let back = world.going_back(&[("demo", &kept)]).await;
        let refused = world.goes_back(&back).await.unwrap_err();
        assert!(matches!(refused, GoBackError::Unreadable), "{refused}");
        let back = world.going_back(&[]).await;
        world.goes_back(&back).await.unwrap();
        goes_on(&mut world).await;
    }
}

/// What nobody has signed is put right as well: installers that verify nothing go by it.
#[tokio::test]
async fn unsigned_copies_that_were_changed_are_written_anew() {
    let world = World::new().await;
    world.index.upload("other-1.0.tar.gz", b"other").await;
    let mut running = engine_with(&world.index, world.index.logged()).await;
    running.turn().await.unwrap();
    running.flush().await.unwrap();
    drop(running);
    // Nothing of it is signed otherwise since: the last good state is that of now, but for these copies.
    let good = crate::robbed::LastGood::of(&world.index);
    let names = [
        "simple/other/index.json",
        "simple/other/index.html",
        "packages/other/other-1.0.tar.gz",
    ];
    let before = names.map(|name| std::fs::read(world.index.path(name)).unwrap());
    for name in names {
        let path = world.index.path(name);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"somebody's own").unwrap();
    }
    std::fs::write(
        world.index.path("packages/other/other-2.0.tar.gz"),
        b"somebody's own",
    )
    .unwrap();
    std::fs::create_dir_all(world.index.path("simple/nobody")).unwrap();
    std::fs::write(world.index.path("simple/nobody/index.html"), b"x").unwrap();
    let ceremony = good.ceremony(&world.index, &std::collections::BTreeMap::new());
    let back = good.going_back(&world.index, ceremony, &[]).await;
    world.goes_back(&back).await.unwrap();
    for (name, bytes) in names.iter().zip(before) {
        assert!(
            std::fs::read(world.index.path(name)).unwrap() == bytes,
            "{name}"
        );
    }
    for gone in [
        "packages/other/other-2.0.tar.gz",
        "simple/nobody/index.html",
    ] {
        assert!(!world.index.path(gone).exists(), "{gone}");
    }
    assert!(metadata(&world.index, "2.root.json").is_some());
}

/// What somebody has made of the catalogue keeps neither the recovery nor the next start.
#[tokio::test]
async fn a_catalogue_that_cannot_be_put_right_stops_nothing() {
    for ruin in [
        "INSERT INTO file (project, filename, sha256, size, uploaded_at, uploaded_by, seq, published) \
         SELECT project, CAST(x'ff' AS TEXT), sha256, size, uploaded_at, uploaded_by, seq, 1 FROM file \
         WHERE project = 'demo' LIMIT 1",
        "PRAGMA foreign_keys = OFF; DELETE FROM journal",
        "CREATE TRIGGER mean BEFORE UPDATE ON file BEGIN SELECT raise(ABORT, 'no'); END",
    ] {
        let mut world = World::new().await;
        world.index.sql(ruin).await;
        let back = world.going_back(&[]).await;
        let done = world.goes_back(&back).await.unwrap();
        assert!(matches!(done, WentBack::Published { .. }), "{ruin}");
        world.is_as_before().await;
        drop(engine_with(&world.index, next_key(&world.index).into()).await);
    }
}

/// A record that the holders' next root is in is finished with the right key, and dropped by nobody.
#[tokio::test]
async fn a_record_is_not_dropped_for_want_of_the_next_key() {
    let mut world = World::new().await;
    let back = world.going_back(&[]).await;
    let mut dying = crate::robbed::returning(&world.index, &back).await;
    dying.observe(|now| {
        assert!(
            now != wheelmark_repository::Phase::Write,
            "the kill that this test wants"
        )
    });
    let killed = tokio::spawn(async move { dying.go_back("somebody").await.map(drop) });
    assert!(killed.await.unwrap_err().is_panic());
    let without = wheelmark_repository::Returning::open(
        world.index.tree.clone(),
        world.index.store.clone(),
        Some(crate::holding::orders(&world.index).await),
        world.index.logged(),
        world.index.clock.clone(),
        Lifetimes::default(),
        wheelmark_repository::JournalWriter::WebProcess,
        back.clone(),
    );
    assert!(without.await.is_err());
    assert_eq!(world.index.store.recorded_intents().await.unwrap().len(), 1);
    let done = world.goes_back(&back).await.unwrap();
    assert!(matches!(done, WentBack::There { .. }), "{done:?}");
    goes_on(&mut world).await;
}

/// A journal of orders that has no positions left would take none after the recovery: so it says that first, and
/// goes on with a new one.
#[tokio::test]
async fn used_up_positions_of_orders_are_told_of_while_a_new_journal_can_be_begun() {
    let mut world = World::new().await;
    let used_up = crate::holding::orders(&world.index).await;
    let last = wheelmark_store::Seq(i64::MAX.unsigned_abs());
    used_up.go_on_behind(last).await.unwrap();
    used_up.close().await;
    let back = world.going_back(&[]).await;
    let refused = world.goes_back(&back).await.unwrap_err();
    assert!(matches!(refused, GoBackError::OrdersUsedUp), "{refused:?}");
    for left in ["", "-wal", "-shm"] {
        let file = format!("orders.sqlite{left}");
        let file = world.index.folder.path().join(file);
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let done = world.goes_back(&back).await.unwrap();
    assert!(matches!(done, WentBack::Published { .. }), "{done:?}");
    goes_on(&mut world).await;
    // Orders are carried out.
    let yanked = wheelmark_store::Change::FileYanked {
        project: "demo".parse().unwrap(),
        filename: NAME.to_owned(),
        yanked: Some("broken".to_owned()),
    };
    super::order(&world.index, yanked).await;
    let mut engine = engine_with(&world.index, next_key(&world.index).into()).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    let page = world.index.page("demo").unwrap();
    assert!(page.file(NAME).unwrap().yanked.is_yanked());
}

/// The stolen key can let another key answer for a part of the claims. That the index's own keys are not the ones
/// that are named there keeps nobody from going back.
#[tokio::test]
async fn a_list_of_claims_that_names_another_key_is_left() {
    for list in ["recently-claimed", "claimed"] {
        a_list_names_another_key(list).await;
    }
}

/// `list`: the one that says so; of `claimed`, the thief has the holders' keys as well.
async fn a_list_names_another_key(list: &str) {
    let mut world = World::new().await;
    let version = crate::robbed::published(&world.index).version;
    let mut snapshot = signed(&world.index, &format!("{version}.snapshot.json"));
    let shard_name = format!("{list}-a");
    let at = snapshot["meta"][format!("{list}.json")]["version"].as_u64();
    let at = at.unwrap();
    let mut claims = signed(&world.index, &format!("{at}.{list}.json"));
    let thief = crate::releasing::key(&world.index, "thief");
    let write = |name: String, content: &Value, by: &[&dyn Signer]| {
        let file = sign_role(&canonical::encode(content), by).unwrap();
        std::fs::write(world.index.path(&format!("metadata/{name}")), file).unwrap();
    };
    let mut shard = claims.clone();
    shard["version"] = 1.into();
    shard["_wheelmark"]["role"] = shard_name.as_str().into();
    write(format!("1.{shard_name}.json"), &shard, &[&thief]);
    let own = Signer::key(&thief);
    let id = own.keyid().as_str();
    claims["version"] = (at + 1).into();
    claims["delegations"]["keys"] = json!({ id: own.to_value() });
    claims["delegations"]["roles"] = json!([{
        "name": shard_name, "keyids": [id], "threshold": 1, "terminating": false,
        "paths": ["simple/a*/*", "packages/a*/*"],
    }]);
    let (online, holders) = (&*world.index.online as &dyn Signer, offline(&world.index));
    let holders: Vec<&dyn Signer> = holders.iter().map(|key| key as &dyn Signer).collect();
    let by = if list == "claimed" {
        &holders[..]
    } else {
        &[online]
    };
    write(format!("{}.{list}.json", at + 1), &claims, by);
    snapshot["version"] = (version + 1).into();
    snapshot["meta"][format!("{list}.json")] = json!({ "version": at + 1 });
    snapshot["meta"][format!("{shard_name}.json")] = json!({ "version": 1 });
    write(
        format!("{}.snapshot.json", version + 1),
        &snapshot,
        &[online],
    );
    restamp(&world, |content| {
        content["meta"]["snapshot.json"] = json!({ "version": version + 1 });
    });
    let back = world.going_back(&[]).await;
    let done = world.goes_back(&back).await.unwrap();
    assert!(matches!(done, WentBack::Published { .. }), "{done:?}");
    goes_on(&mut world).await;
}

/// Both keys are still there, and the root of the recovery is not as it was: under the one before it the stolen key
/// would count again.
#[tokio::test]
async fn the_index_does_not_go_on_under_a_root_that_names_the_stolen_key() {
    let world = World::new().await;
    let back = world.going_back(&[]).await;
    world.goes_back(&back).await.unwrap();
    let place = world.index.path("metadata/2.root.json");
    for damage in [Some("{}"), None] {
        match damage {
            Some(damage) => std::fs::write(&place, damage).unwrap(),
            None => std::fs::remove_file(&place).unwrap(),
        }
        let opened = Engine::open_with_orders(
            world.index.tree.clone(),
            world.index.store.clone(),
            crate::holding::orders(&world.index).await,
            both(&world.index),
            world.index.clock.clone(),
            Lifetimes::default(),
        );
        let Err(error) = opened.await else {
            panic!("it goes on, with {damage:?} in the place of its root");
        };
        assert!(said(&error).contains("2.root.json"), "{error:?}");
    }
}
