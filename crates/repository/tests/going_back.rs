//! The day after a break-in: the index goes back to its last good state, and clients follow by themselves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "going_back/dropped.rs"]
mod dropped;
#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "going_back/keeping.rs"]
mod keeping;
#[path = "going_back/killed.rs"]
mod killed;
#[path = "going_back/mean.rs"]
mod mean;
#[path = "going_back/refusals.rs"]
mod refusals;
#[path = "support/releasing.rs"]
mod releasing;
#[path = "support/robbed.rs"]
mod robbed;

use std::collections::BTreeMap;

use holding::{Client, Files, NAME, engine_with, metadata, orders, said, with_a_file};
use index::TestIndex;
use robbed::{LastGood, next_key, returning};
use serde_json::Value;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_repository::{FileOf, GoBackError, GoingBack, Kept, Turn, WentBack};
use wheelmark_signing::{Signer as _, sign_role};
use wheelmark_store::{Change, Outcome, Seq};
use wheelmark_tuf::{Clock as _, RECOVERY_RAISE, Sha256, canonical};

const EVIL: &str = "demo-2.0-py3-none-any.whl";

/// An index with a file, its last good state, and what somebody with the online key has made of it since.
struct World {
    index: TestIndex,
    good: LastGood,
    /// Clients that knew the last good state: one that has seen what came, and one that has not.
    robbed: Client,
    spared: Client,
}

impl World {
    async fn new() -> Self {
        let index = with_a_file().await;
        let mut robbed = Client::new(&index);
        robbed.uses(&index, &[]);
        let good = LastGood::of(&index);
        let spared = Client {
            root: robbed.root.clone(),
            cached: robbed.cached.clone(),
        };
        index.upload(EVIL, b"an evil wheel").await;
        index.upload("evil-1.0-py3-none-any.whl", b"evil").await;
        order(
            &index,
            Change::FileYanked {
                project: "demo".parse().unwrap(),
                filename: NAME.to_owned(),
                yanked: Some("take the next one".to_owned()),
            },
        )
        .await;
        let mut engine = engine_with(&index, index.logged()).await;
        while engine.turn().await.unwrap() != Turn::Idle {}
        engine.flush().await.unwrap();
        robbed.uses(&index, &[]);
        assert_eq!(index.files("demo").len(), 2);
        assert!(index.page("evil").is_some());
        Self {
            index,
            good,
            robbed,
            spared,
        }
    }

    fn ceremony(&self) -> Files {
        self.good.ceremony(&self.index, &BTreeMap::new())
    }

    async fn going_back(&self, kept: &[(&str, &[Kept])]) -> GoingBack {
        let ceremony = self.ceremony();
        self.good.going_back(&self.index, ceremony, kept).await
    }

    async fn goes_back(&self, back: &GoingBack) -> Result<WentBack, GoBackError> {
        returning(&self.index, back).await.go_back("somebody").await
    }

    /// Nothing of the thief is left for anybody, and everything else goes on.
    async fn is_as_before(&mut self) {
        assert_eq!(self.index.files("demo"), [NAME]);
        let page = self.index.page("demo").unwrap();
        assert_eq!(
            page.files[0].yanked,
            wheelmark_packaging::simple::Yanked::No
        );
        assert!(self.index.page("evil").is_none());
        for gone in [
            "simple/evil/index.json",
            "simple/evil/index.html",
            "packages/evil/evil-1.0-py3-none-any.whl",
            "packages/demo/demo-2.0-py3-none-any.whl",
        ] {
            assert!(!self.index.path(gone).exists(), "{gone}");
        }
        let list = std::fs::read_to_string(self.index.path("simple/index.json")).unwrap();
        assert!(list.contains("demo") && !list.contains("evil"), "{list}");
        let copy = std::fs::read(self.index.path("simple/demo/index.json")).unwrap();
        let copy = ProjectPage::parse(&copy).unwrap();
        assert!(copy.file(EVIL).is_none() && copy.file(NAME).is_some());
        let copy = std::fs::read_to_string(self.index.path("simple/demo/index.html")).unwrap();
        assert!(!copy.contains("2.0"), "{copy}");
        for client in [
            &mut self.robbed,
            &mut self.spared,
            &mut Client::new(&self.index),
        ] {
            client.uses(&self.index, &[]);
        }
    }
}

async fn order(index: &TestIndex, change: Change) {
    let now = index.clock.now();
    let orders = orders(index).await;
    orders.ask_all(&[change], now, "somebody").await.unwrap();
}

fn signed(index: &TestIndex, name: &str) -> Value {
    let file: Value = serde_json::from_slice(&metadata(index, name).unwrap()).unwrap();
    file["signed"].clone()
}

#[tokio::test]
async fn an_index_goes_back_and_every_client_follows() {
    let mut world = World::new().await;
    // A thief who drives versions up, at whose client nothing of the index's comes through any more.
    let timestamp = metadata(&world.index, "timestamp.json").unwrap();
    let mut driven = serde_json::from_slice::<Value>(&timestamp).unwrap()["signed"].clone();
    driven["version"] = (1_u64 << 52).into();
    let driven = sign_role(&canonical::encode(&driven), &[&*world.index.online]).unwrap();
    world.robbed.cached.timestamp = Some(driven);
    let pending = world
        .index
        .upload("late-1.0-py3-none-any.whl", b"late")
        .await;

    let all = world.index.store.serials_after(Seq(0)).await.unwrap();
    let serial = all.iter().map(|(_, serial)| *serial).max().unwrap();

    let back = world.going_back(&[]).await;
    let mut opened = returning(&world.index, &back).await;
    let (outlook, put_back) = opened.look_back().await.unwrap().unwrap();
    drop(opened);
    let file = |project: &str, filename: &str, bytes: &[u8]| FileOf {
        project: project.parse().unwrap(),
        filename: filename.to_owned(),
        sha256: Sha256::of(bytes),
    };
    assert_eq!(outlook.projects, ["demo".parse().unwrap()]);
    assert_eq!(outlook.gone_projects, ["evil".parse().unwrap()]);
    assert_eq!(
        outlook.gone_files,
        [
            file("demo", EVIL, b"an evil wheel"),
            file("evil", "evil-1.0-py3-none-any.whl", b"evil")
        ]
    );
    assert_eq!(outlook.named, 1, "evil has no page that could name it");
    assert_eq!((outlook.refused_changes, put_back), (1, 0));

    let done = world.goes_back(&back).await.unwrap();
    let WentBack::Published {
        snapshot_version,
        outlook: done,
        ..
    } = done
    else {
        panic!("{done:?}");
    };
    assert_eq!(done, outlook);
    assert_eq!(
        snapshot_version,
        world.good.snapshot.version + RECOVERY_RAISE
    );
    world.is_as_before().await;

    // Everything that the online key signs is signed by the next one, with raised versions.
    let next = next_key(&world.index).key().keyid().as_str().to_owned();
    let snapshot = signed(&world.index, &format!("{snapshot_version}.snapshot.json"));
    for (name, meta) in snapshot["meta"].as_object().unwrap() {
        let version = meta["version"].as_u64().unwrap();
        let role = name.strip_suffix(".json").unwrap();
        assert_eq!(version, world.good.version(role) + RECOVERY_RAISE, "{name}");
        let file = metadata(&world.index, &format!("{version}.{name}")).unwrap();
        let file: Value = serde_json::from_slice(&file).unwrap();
        let by_next = file["signatures"][0]["keyid"] == next.as_str();
        let is_offline = holding::OFFLINE.contains(&role);
        assert_eq!(by_next, !is_offline, "{name}");
    }
    // The catalogue says so, too, and has a serial number for it.
    for (project, filename, is_there) in [
        ("demo", NAME, true),
        ("demo", EVIL, false),
        ("evil", "evil-1.0-py3-none-any.whl", false),
    ] {
        let project = project.parse().unwrap();
        let row = world.index.store.file(&project, filename).await.unwrap();
        assert_eq!(row.is_some(), is_there, "{filename}");
        assert_eq!(row.and_then(|row| row.yanked), None);
    }
    let serials = world.index.store.serials_after(serial).await.unwrap();
    assert_eq!(serials.len(), 2, "{serials:?}");
    // What was pending is refused, and does not come back; the log and the journals go on.
    assert!(matches!(
        world.index.store.outcome(pending).await.unwrap(),
        Some(Outcome::Refused { .. })
    ));
    let again = world.goes_back(&back).await.unwrap();
    assert_eq!(again, WentBack::There { snapshot_version });
    let mut engine = engine_with(&world.index, next_key(&world.index).into()).await;
    world
        .index
        .upload("demo-3.0-py3-none-any.whl", b"a third")
        .await;
    engine.turn().await.unwrap();
    assert_eq!(
        world.index.files("demo"),
        [NAME, "demo-3.0-py3-none-any.whl"]
    );
    assert!(world.index.page("late").is_none());
    world.robbed.uses(&world.index, &[]);
}

/// What somebody has destroyed comes out of the last good state, and what he has put in the way is
/// passed over.
#[tokio::test]
async fn what_was_destroyed_is_put_back_and_what_is_in_the_way_is_passed_over() {
    let mut world = World::new().await;
    let good = |name: &str| world.good.version(name) + RECOVERY_RAISE;
    let (bin, snapshot) = (
        good("simple-0"),
        world.good.snapshot.version + RECOVERY_RAISE,
    );
    let file = Sha256::of(b"a wheel");
    let object = format!("targets/packages/demo/{file}.{NAME}");
    std::fs::remove_file(world.index.path(&object)).unwrap();
    std::fs::write(world.index.path(&object), b"other bytes").unwrap();
    let plain = world.index.path(&format!("packages/demo/{NAME}"));
    std::fs::remove_file(&plain).unwrap();
    std::fs::write(&plain, b"other bytes").unwrap();
    for taken in [
        format!("{bin}.simple-0.json"),
        format!("{snapshot}.snapshot.json"),
        format!("{}.snapshot.json", snapshot + 1),
    ] {
        let path = world.index.path(&format!("metadata/{taken}"));
        std::fs::write(path, b"in the way").unwrap();
    }
    let back = world.going_back(&[]).await;
    let done = world.goes_back(&back).await.unwrap();
    match done {
        WentBack::Published {
            snapshot_version,
            put_back,
            ..
        } => {
            assert_eq!((snapshot_version, put_back), (snapshot + 2, 1));
        }
        other => panic!("{other:?}"),
    }
    let listed = signed(&world.index, &format!("{}.snapshot.json", snapshot + 2));
    assert_eq!(listed["meta"]["simple-0.json"]["version"], bin + 1);
    world.is_as_before().await;
}

/// The keys of before are worth nothing any more, whatever they have signed.
#[tokio::test]
async fn the_stolen_key_counts_no_more() {
    let mut world = World::new().await;
    let stolen = metadata(&world.index, "timestamp.json").unwrap();
    let back = world.going_back(&[]).await;
    world.goes_back(&back).await.unwrap();
    let path = world.index.path("metadata/timestamp.json");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, stolen).unwrap();
    for cached in [
        Client::new(&world.index).cached,
        world.spared.cached.clone(),
    ] {
        let now = world.index.clock.now();
        let refresh = wheelmark_tuf::Refresh::new(
            &world.index.root,
            cached,
            now,
            wheelmark_tuf::Limits::default(),
        );
        let mut refresh = refresh.unwrap();
        let refused = loop {
            let need = refresh.need().expect("it is refused before the end");
            let answer = metadata(&world.index, &need.path);
            match refresh.supply(answer) {
                Ok((next, _)) => refresh = next,
                Err(error) => break said(&error),
            }
        };
        assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    }
    std::fs::write(&path, whole).unwrap();
    world.is_as_before().await;
}
