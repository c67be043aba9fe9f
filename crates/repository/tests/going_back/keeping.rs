//! What is kept of what came since, and what of it goes: every decision.

use std::collections::BTreeMap;

use wheelmark_objects::page_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{Status, Yanked};
use wheelmark_repository::{BinForm, Engine, GoBackError, Kept, Turn, WentBack};
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_store::{Bearer, Change, FileState, Outcome, Seq};
use wheelmark_tuf::{RoleKeys, Sha256, claim_digest};

use super::{order, said};
use crate::holding::{NAME, engine_with, orders};
use crate::index::TestIndex;
use crate::releasing::{Draft, claim, draft, key};
use crate::robbed::{LastGood, next_key, returning};

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn file(name: &str) -> Kept {
    Kept::File(name.to_owned())
}

async fn all_turns(engine: &mut Engine) {
    while engine.turn().await.unwrap() != Turn::Idle {}
}

#[tokio::test]
async fn what_is_kept_of_a_project_stays_and_the_rest_goes() {
    let index = crate::holding::with_a_file().await;
    for name in [
        "removed-1.0.tar.gz",
        "stays-1.0.tar.gz",
        "quiet-1.0.tar.gz",
        "shut-1.0.tar.gz",
    ] {
        index.upload(name, name.as_bytes()).await;
    }
    all_turns(&mut engine_with(&index, index.logged()).await).await;
    let good = LastGood::of(&index);

    for name in [
        "demo-1.1.tar.gz",
        "demo-2.0.tar.gz",
        "fresh-1.0.tar.gz",
        "fresh-2.0.tar.gz",
    ] {
        index.upload(name, name.as_bytes()).await;
    }
    let removed = |name: &str| Change::FileRemoved {
        project: project(name),
        filename: format!("{name}-1.0.tar.gz"),
        reason: None,
    };
    let quarantined = |name: &str| Change::StatusSet {
        project: project(name),
        status: "quarantined".to_owned(),
        reason: Some("looked at".to_owned()),
    };
    let yanked = Change::FileYanked {
        project: project("demo"),
        filename: NAME.to_owned(),
        yanked: Some("broken".to_owned()),
    };
    for change in [
        removed("removed"),
        removed("stays"),
        quarantined("quiet"),
        quarantined("shut"),
        yanked,
    ] {
        order(&index, change).await;
    }
    let mut running = engine_with(&index, index.logged()).await;
    all_turns(&mut running).await;
    drop(running);

    let ceremony = good.ceremony(&index, &BTreeMap::new());
    let kept: &[(&str, &[Kept])] = &[
        ("demo", &[file("demo-1.1.tar.gz"), file(NAME)]),
        ("fresh", &[Kept::Page, file("fresh-1.0.tar.gz")]),
        ("removed", &[file("removed-1.0.tar.gz")]),
        ("quiet", &[Kept::Status]),
    ];
    let back = good.going_back(&index, ceremony, kept).await;
    let mut going = returning(&index, &back).await;
    let done = going.go_back("somebody").await.unwrap();
    assert!(matches!(done, WentBack::Published { .. }), "{done:?}");
    drop(going);

    assert_eq!(index.files("demo"), [NAME, "demo-1.1.tar.gz"]);
    let demo = index.page("demo").unwrap();
    let yanked = &demo.file(NAME).unwrap().yanked;
    assert_eq!(*yanked, Yanked::Because("broken".to_owned()));
    assert_eq!(index.files("fresh"), ["fresh-1.0.tar.gz"]);
    assert!(index.files("removed").is_empty());
    assert_eq!(index.files("stays"), ["stays-1.0.tar.gz"]);
    assert_eq!(index.files("shut"), ["shut-1.0.tar.gz"]);
    let quiet = index.page("quiet").unwrap();
    assert_eq!(quiet.project_status.unwrap().status, Status::Quarantined);
    assert!(quiet.files.is_empty() && quiet.wheelmark.withheld.len() == 1);
    let shut = index.page("shut").unwrap();
    assert!(shut.project_status.is_none());
    for (name, is_there) in [
        ("quiet", false),
        ("removed", false),
        ("stays", true),
        ("shut", true),
    ] {
        let plain = index.path(&format!("packages/{name}/{name}-1.0.tar.gz"));
        assert_eq!(plain.exists(), is_there, "{name}");
    }
    // The catalogue says what the pages say.
    for (name, file, state) in [
        ("demo", NAME, Some(FileState::Published)),
        ("demo", "demo-1.1.tar.gz", Some(FileState::Published)),
        ("demo", "demo-2.0.tar.gz", None),
        ("fresh", "fresh-1.0.tar.gz", Some(FileState::Published)),
        ("fresh", "fresh-2.0.tar.gz", None),
        ("removed", "removed-1.0.tar.gz", Some(FileState::Removed)),
        ("stays", "stays-1.0.tar.gz", Some(FileState::Published)),
    ] {
        let row = index.store.file(&project(name), file).await.unwrap();
        assert_eq!(row.map(|row| row.state), state, "{file}");
    }
    let row = index.store.file(&project("demo"), NAME).await.unwrap();
    assert_eq!(row.unwrap().yanked.as_deref(), Some("broken"));
    for (name, word) in [("quiet", "quarantined"), ("shut", "active")] {
        let known = index.store.project_standing(&project(name)).await.unwrap();
        assert_eq!(known.status.status.as_str(), word, "{name}");
    }
    // What was removed can be brought back, as it was.
    let back = Change::FileRestored {
        project: project("removed"),
        filename: "removed-1.0.tar.gz".to_owned(),
    };
    order(&index, back).await;
    all_turns(&mut engine_with(&index, next_key(&index).into()).await).await;
    assert_eq!(index.files("removed"), ["removed-1.0.tar.gz"]);
}

/// An index in which people sign for their projects.
struct Signing {
    index: TestIndex,
    alice: Bearer,
    keys: BTreeMap<&'static str, FileKey>,
}

impl Signing {
    async fn new() -> Self {
        let index = TestIndex::new(2, BinForm::Succinct).await;
        let alice = index.bearer().await;
        let keys = ["ours", "theirs", "later"].map(|name| (name, key(&index, name)));
        let signing = Self {
            index,
            alice,
            keys: keys.into(),
        };
        for name in ["ours", "theirs", "later"] {
            let filename = format!("{name}-1.0.tar.gz");
            let file = signing.index.place(&filename, filename.as_bytes()).await;
            let store = &signing.index.store;
            store.admit_from(file, &signing.alice, None).await.unwrap();
        }
        signing.publishes().await;
        signing.claims("ours").await;
        signing.claims("theirs").await;
        signing
    }

    async fn publishes(&self) {
        let mut engine = engine_with(&self.index, self.index.logged()).await;
        engine.take_claims(true);
        all_turns(&mut engine).await;
        engine.flush().await.unwrap();
    }

    async fn hand_in(&self, name: &str, draft: Draft) -> Seq {
        let keys = [&self.keys[name]];
        let handed = draft.hand_in(&self.index, &self.alice, &keys);
        handed.await.unwrap()
    }

    async fn is_published(&self, seq: Seq) {
        let outcome = self.index.store.outcome(seq).await.unwrap();
        assert!(
            matches!(outcome, Some(Outcome::Published { .. })),
            "{outcome:?}"
        );
    }

    async fn claims(&self, name: &'static str) {
        let mut first = draft(&self.index, name, 1, &[]).await;
        first.claim = Some(claim(&[&self.keys[name]], 1));
        let seq = self.hand_in(name, first).await;
        self.publishes().await;
        self.is_published(seq).await;
    }

    async fn releases(&self, name: &'static str, version: u64) {
        let file = format!("{name}-{version}.0.tar.gz");
        let next = draft(&self.index, name, version, &[(&file, file.as_bytes())]).await;
        let seq = self.hand_in(name, next).await;
        self.publishes().await;
        self.is_published(seq).await;
    }

    fn statement(&self, names: &[&str]) -> BTreeMap<String, Sha256> {
        let digest = |name: &str| claim_digest(&RoleKeys::new([self.keys[name].key()], 1));
        let named = names.iter().map(|name| ((*name).to_owned(), digest(name)));
        named.collect()
    }

    fn role_of(&self, name: &str) -> String {
        let page = page_target(&project(name));
        self.index.find(&page).unwrap().role.to_string()
    }
}

#[tokio::test]
async fn claims_go_on_or_end_and_what_their_people_signed_is_kept() {
    let signing = Signing::new().await;
    let index = &signing.index;
    let good = LastGood::of(index);
    signing.publishes().await;
    signing.releases("ours", 2).await;
    signing.releases("theirs", 2).await;
    signing.claims("later").await;
    signing.releases("later", 2).await;

    let ceremony = good.ceremony(index, &signing.statement(&["ours"]));
    let kept: &[(&str, &[Kept])] = &[
        ("ours", &[Kept::Release]),
        ("later", &[file("later-2.0.tar.gz")]),
    ];
    let back = good.going_back(index, ceremony, kept).await;
    let mut going = returning(index, &back).await;
    let (outlook, _) = going.look_back().await.unwrap().unwrap();
    assert_eq!(outlook.ended_claims, [project("later"), project("theirs")]);
    assert!(outlook.own_roles_back.is_empty());
    going.go_back("somebody").await.unwrap();
    drop(going);

    assert_eq!(signing.role_of("ours"), "project-ours");
    assert_eq!(index.files("ours"), ["ours-1.0.tar.gz", "ours-2.0.tar.gz"]);
    for (name, files) in [
        ("theirs", &["theirs-1.0.tar.gz"][..]),
        ("later", &["later-1.0.tar.gz", "later-2.0.tar.gz"]),
    ] {
        assert!(signing.role_of(name).starts_with("simple-"), "{name}");
        assert_eq!(index.files(name), files);
    }
    for (name, claimed) in [("ours", true), ("theirs", false), ("later", false)] {
        let claim = format!("UPDATE claim SET published = 1 WHERE project = '{name}'");
        assert_eq!(index.sql(&claim).await, u64::from(claimed), "{name}");
    }
    // Those who sign for themselves go on, and those whose claim has ended can claim once more.
    let mut next = engine_with(index, next_key(index).into()).await;
    next.take_claims(true);
    let third = draft(index, "ours", 3, &[("ours-3.0.tar.gz", b"a third")]).await;
    let seq = signing.hand_in("ours", third).await;
    all_turns(&mut next).await;
    signing.is_published(seq).await;
    assert_eq!(index.files("ours").len(), 3);
}

/// A release that is dropped goes back with everything else, and it is said whose.
#[tokio::test]
async fn a_release_that_is_dropped_takes_its_role_back() {
    let signing = Signing::new().await;
    let index = &signing.index;
    let good = LastGood::of(index);
    signing.publishes().await;
    signing.releases("ours", 2).await;
    let ceremony = good.ceremony(index, &signing.statement(&["ours", "theirs"]));
    let back = good.going_back(index, ceremony, &[]).await;
    let mut going = returning(index, &back).await;
    let done = going.go_back("somebody").await.unwrap();
    let WentBack::Published { outlook, .. } = done else {
        panic!("{done:?}");
    };
    assert_eq!(outlook.own_roles_back, [project("ours")]);
    assert_eq!(index.files("ours"), ["ours-1.0.tar.gz"]);
    assert_eq!(signing.role_of("theirs"), "project-theirs");
}

/// The stolen key can name other keys for a project, and what those sign is not kept: the keys of the last
/// good state count.
#[tokio::test]
async fn a_release_by_keys_that_the_thief_named_is_not_kept() {
    let signing = Signing::new().await;
    let index = &signing.index;
    let good = LastGood::of(index);
    let unclaim = Change::ClaimEnded {
        project: project("ours"),
    };
    let now = wheelmark_tuf::Clock::now(&*index.clock);
    let asked = orders(index).await;
    asked.ask_all(&[unclaim], now, "a thief").await.unwrap();
    signing.publishes().await;
    let thief = key(index, "thief");
    let mut first = draft(index, "ours", 2, &[]).await;
    first.claim = Some(claim(&[&thief], 1));
    let seq = first
        .hand_in(index, &signing.alice, &[&thief])
        .await
        .unwrap();
    signing.publishes().await;
    signing.is_published(seq).await;

    let ceremony = good.ceremony(index, &signing.statement(&["ours", "theirs"]));
    let kept: &[(&str, &[Kept])] = &[("ours", &[Kept::Release])];
    let back = good.going_back(index, ceremony.clone(), kept).await;
    let mut going = returning(index, &back).await;
    let refused = going.go_back("somebody").await.unwrap_err();
    assert!(matches!(refused, GoBackError::Keep { .. }));
    assert!(
        said(&refused).contains("not signed by the keys that the last good state names"),
        "{}",
        said(&refused)
    );
    drop(going);
    let back = good.going_back(index, ceremony, &[]).await;
    let mut going = returning(index, &back).await;
    going.go_back("somebody").await.unwrap();
    assert_eq!(signing.role_of("ours"), "project-ours");
    assert_eq!(index.files("ours"), ["ours-1.0.tar.gz"]);
    drop(going);
}
