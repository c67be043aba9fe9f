//! What a project's own people sign, taken in whole or refused whole (PEP 480, *Uploading*).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "releases/claims.rs"]
mod claims;
#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "releases/planted.rs"]
mod planted;
#[path = "support/releasing.rs"]
mod releasing;

use index::TestIndex;
use jiff::SignedDuration;
use releasing::{Draft, claim, draft, key};
use wheelmark_objects::{file_target, page_target};
use wheelmark_packaging::simple::Yanked;
use wheelmark_repository::{BinForm, Engine, JournalWriter, Keep, READER_TIME, collect};
use wheelmark_signing::FileKey;
use wheelmark_store::{Admission, Bearer, Outcome, ReleaseDenied, ReleaseError, Seq};
use wheelmark_tuf::{Clock as _, DelegatedRoles, Delegations, TargetInfo};

const FIRST: &str = "demo-1.0-py3-none-any.whl";
const SECOND: &str = "demo-2.0-py3-none-any.whl";
const THIRD: &str = "demo-3.0.tar.gz";

/// An index where alice owns `demo`, which has one file, and a key of hers.
struct World {
    index: TestIndex,
    engine: Engine,
    alice: Bearer,
    key: FileKey,
}

impl World {
    async fn new() -> Self {
        Self::of(TestIndex::new(16, BinForm::Succinct).await).await
    }

    async fn of(index: TestIndex) -> Self {
        let engine = index.engine_of(JournalWriter::WebProcess).await.unwrap();
        let mut engine = engine;
        engine.take_claims(true);
        let (alice, key) = (index.bearer().await, key(&index, "alice"));
        let mut world = Self {
            index,
            engine,
            alice,
            key,
        };
        for filename in [FIRST, "other-1.0.tar.gz"] {
            world.upload(filename).await.unwrap();
        }
        world
    }

    /// What becomes of a row.
    async fn outcome(&mut self, seq: Seq) -> Result<(), String> {
        self.engine.turn().await.unwrap();
        match self.index.store.outcome(seq).await.unwrap() {
            Some(Outcome::Published { .. }) => Ok(()),
            Some(Outcome::Refused { reason }) => Err(reason),
            None => panic!("{seq} is pending"),
        }
    }

    /// An ordinary upload, as twine sends it.
    async fn upload(&mut self, filename: &str) -> Result<(), String> {
        let file = self.index.place(filename, filename.as_bytes()).await;
        let admission = self.index.store.admit_from(file, &self.alice, None).await;
        let Admission::Recorded(seq) = admission.unwrap() else {
            panic!("not new");
        };
        self.outcome(seq).await
    }

    async fn hand_in(&mut self, draft: Draft, keys: &[&FileKey]) -> Result<(), String> {
        let handed = draft.hand_in(&self.index, &self.alice, keys).await;
        self.outcome(handed.unwrap()).await
    }

    async fn claim(&mut self) {
        let mut draft = draft(&self.index, "demo", 1, &[]).await;
        draft.claim = Some(claim(&[&self.key], 1));
        let key = self.index.folder.path().join("alice");
        let key = FileKey::open(&key).unwrap();
        self.hand_in(draft, &[&key]).await.unwrap();
    }

    /// Which role answers for the page, and for a file.
    fn roles(&self, filename: &str) -> [Option<String>; 2] {
        let demo = "demo".parse().unwrap();
        [page_target(&demo), file_target(&demo, filename).unwrap()].map(|path| {
            let found = self.index.find(&path)?;
            Some(found.role.to_string())
        })
    }
}

fn own() -> [Option<String>; 2] {
    [
        Some("project-demo".to_owned()),
        Some("project-demo".to_owned()),
    ]
}

#[tokio::test]
async fn a_claimed_project_is_answered_for_by_its_own_role_alone() {
    let mut world = World::new().await;
    assert!(
        world.roles(FIRST)[0]
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    world.claim().await;
    assert_eq!(world.roles(FIRST), own());
    assert_eq!(world.index.files("demo"), [FIRST]);
    assert_eq!(world.index.files("other"), ["other-1.0.tar.gz"]);
    assert!(
        world
            .index
            .store
            .is_claimed(&"demo".parse().unwrap())
            .await
            .unwrap()
    );

    // The index's own word counts for nothing there any more.
    let refused = world.upload(SECOND).await.unwrap_err();
    assert!(refused.contains("claimed"), "{refused}");
    assert_eq!(world.index.files("demo"), [FIRST]);

    // A release that brings two files is one snapshot.
    let files: [(&str, &[u8]); 2] = [("demo-2.1-py3-none-any.whl", b"a wheel"), (THIRD, b"sdist")];
    let before = world.engine.snapshot_version();
    let next = draft(&world.index, "demo", 2, &files).await;
    let key = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    world.hand_in(next, &[&key]).await.unwrap();
    assert_eq!(world.engine.snapshot_version(), before + 1);
    assert_eq!(
        world.index.files("demo"),
        [FIRST, "demo-2.1-py3-none-any.whl", THIRD]
    );

    // Another engine takes up the same state.
    drop(world.engine);
    world.engine = world
        .index
        .engine_of(JournalWriter::WebProcess)
        .await
        .unwrap();
    let refused = world.upload("demo-4.0-py3-none-any.whl").await.unwrap_err();
    assert!(refused.contains("claimed"), "{refused}");
    world.upload("other-2.0.tar.gz").await.unwrap();
    world.index.clock.forward(SignedDuration::from_hours(20));
    world.engine.turn().await.unwrap();
    assert_eq!(
        world.index.files("demo").len(),
        3,
        "the claim outlives a renewal"
    );
}

/// Everything that is wrong with one of these makes all of it refused.
#[tokio::test]
async fn what_a_release_may_not_say_is_refused_whole() {
    let mut world = World::new().await;
    world.claim().await;
    let stranger = key(&world.index, "stranger");
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    type Spoil = fn(&mut Draft);
    let cases: &[(&str, &str, Spoil)] = &[
        ("a version that skips", "version 3, and 2 is next", |d| {
            d.role.version = 3
        }),
        ("a version once more", "version 1, and 2 is next", |d| {
            d.role.version = 1
        }),
        ("expired", "expired", |d| d.role.expires = d.received_at),
        ("soon over", "less than 30 days", |d| {
            d.role.expires = d.received_at + SignedDuration::from_hours(24 * 20);
        }),
        ("held for long", "longer than 400 days", |d| {
            d.role.expires = d.received_at + SignedDuration::from_hours(24 * 500);
        }),
        ("another role", "says that it is project-other", |d| {
            d.role.state_role(&"project-other".parse().unwrap());
        }),
        ("no role", "says that it is no role", |d| {
            d.role.extra.clear()
        }),
        ("more than a role", "more than that it is this role", |d| {
            d.role.extra.insert("x".to_owned(), 1.into());
        }),
        ("a delegation", "delegates", |d| {
            d.role.delegations = Some(Delegations {
                keys: std::collections::BTreeMap::new(),
                roles: DelegatedRoles::Listed(Vec::new()),
                extra: std::collections::BTreeMap::new(),
            });
        }),
        (
            "a target of another project",
            "packages/other/other-1.0.tar.gz",
            |d| {
                d.role.targets = targets(d);
                let info = d.role.targets.values().next().unwrap().clone();
                let path = "packages/other/other-1.0.tar.gz".parse().unwrap();
                d.role.targets.insert(path, info);
                d.lists_page = false;
            },
        ),
        ("a file that is no target", SECOND, |d| {
            d.role.targets = targets(d);
            d.role
                .targets
                .retain(|path, _| !path.as_str().ends_with(SECOND));
            d.lists_page = false;
        }),
        ("a target with another hash", SECOND, |d| {
            d.role.targets = targets(d);
            for (path, info) in &mut d.role.targets {
                if path.as_str().ends_with(SECOND) {
                    *info = TargetInfo::new(info.length, wheelmark_tuf::Sha256::of(b"x"));
                }
            }
            d.lists_page = false;
        }),
        (
            "the page of another project",
            "the page is that of other",
            |d| {
                d.page = wheelmark_packaging::simple::ProjectPage::new("other".parse().unwrap());
                let page = d.page.to_json();
                let sha256 = wheelmark_tuf::Sha256::of(&page);
                let info = TargetInfo::new(page.len() as u64, sha256);
                let path = "simple/demo/index.json".parse().unwrap();
                d.role.targets = [(path, info)].into();
                d.lists_page = false;
            },
        ),
        (
            "a page in another form",
            "not written as pages are signed",
            |d| {
                let mut bytes = d.page.to_json();
                bytes.push(b'\n');
                d.page_bytes = Some(bytes);
            },
        ),
        (
            "a published file that is gone",
            "does not list demo-1.0",
            |d| {
                d.page.files.retain(|file| file.filename.as_str() != FIRST);
            },
        ),
        (
            "a published file that is another",
            "something else of demo-1.0",
            |d| {
                d.page.files[0].hashes = d.page.files[1].hashes.clone();
            },
        ),
        (
            "a published file that is yanked",
            "something else of demo-1.0",
            |d| {
                d.page.files[0].yanked = Yanked::Yes;
            },
        ),
        (
            "a published file that is adopted later",
            "something else of demo-1.0",
            |d| {
                d.page.files[0] = d.page.files[0].adopted(d.received_at).unwrap();
            },
        ),
        ("a status", "more than its files", |d| {
            d.page.project_status = Some(wheelmark_packaging::simple::ProjectStatus {
                status: wheelmark_packaging::simple::Status::Archived,
                ..Default::default()
            });
        }),
        ("an address elsewhere", "entry of demo-2.0", |d| {
            d.page.files[1].url = "https://elsewhere.example/x.whl".to_owned();
        }),
        ("an upload time of yesterday", "the upload time", |d| {
            let yesterday = d.received_at - SignedDuration::from_hours(24);
            let entry = &mut d.page.files[1];
            entry.upload_time = Some(yesterday);
            entry.wheelmark.as_mut().unwrap().signed_at = yesterday;
        }),
        ("a receipt of last month", "its receipt", |d| {
            let then = d.received_at - SignedDuration::from_hours(24 * 31);
            d.received_at = then;
            let entry = &mut d.page.files[1];
            entry.upload_time = Some(then);
            entry.wheelmark.as_mut().unwrap().signed_at = then;
        }),
        ("a file that is not there", "not in the tree", |d| {
            let entry = &mut d.page.files[1];
            entry.hashes = wheelmark_packaging::simple::Hashes::of_sha256([7; 32]);
        }),
        ("a file of another length", "not in the tree", |d| {
            d.page.files[1].size = Some(1);
        }),
    ];
    for (number, (what, words, spoil)) in cases.iter().enumerate() {
        let content = format!("{SECOND} {number}");
        let mut spoilt = draft(&world.index, "demo", 2, &[(SECOND, content.as_bytes())]).await;
        spoil(&mut spoilt);
        let refused = world.hand_in(spoilt, &[&alice]).await;
        let refused = refused.expect_err(what);
        assert!(refused.contains(words), "{what}: {refused}");
        assert_eq!(world.index.files("demo"), [FIRST], "{what}");
    }
    // Keys that are not the project's, and the right one beside nothing wrong.
    let content: &[(&str, &[u8])] = &[(SECOND, b"good")];
    let wrong = draft(&world.index, "demo", 2, content).await;
    let refused = world.hand_in(wrong, &[&stranger]).await.unwrap_err();
    assert!(refused.contains("signed by 0 of the 1"), "{refused}");
    let good = draft(&world.index, "demo", 2, content).await;
    world.hand_in(good, &[&alice, &stranger]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

fn targets(draft: &Draft) -> std::collections::BTreeMap<wheelmark_tuf::TargetPath, TargetInfo> {
    wheelmark_repository::targets_of_page(&draft.page, &draft.page.to_json()).unwrap()
}

#[tokio::test]
async fn of_two_releases_at_once_one_is_published_and_the_other_builds_on_it() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let one = draft(&world.index, "demo", 2, &[(SECOND, b"one")]).await;
    let other = draft(&world.index, "demo", 2, &[(THIRD, b"other")]).await;
    let one = one
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    let denied = other.hand_in(&world.index, &world.alice, &[&alice]).await;
    assert!(matches!(
        denied,
        Err(ReleaseError::Release(ReleaseDenied::Pending { .. }))
    ));
    // Nor from a web process that asks nobody.
    world
        .index
        .sql("UPDATE release_part SET project = 'elsewhere'")
        .await;
    let other = draft(&world.index, "demo", 2, &[(THIRD, b"other")]).await;
    let other = other
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world.outcome(one).await.unwrap();
    let refused = world.outcome(other).await.unwrap_err();
    assert!(
        refused.contains("another change of the same project comes first"),
        "{refused}"
    );
    // Its names are free again, and it goes in behind the one that was faster.
    let again = draft(&world.index, "demo", 3, &[(THIRD, b"other")]).await;
    world.hand_in(again, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND, THIRD]);
}

#[tokio::test]
async fn a_collection_keeps_what_claimed_projects_name() {
    // The clock of the file system is of now, and a collection wants both to agree.
    let second = jiff::Timestamp::now().as_second();
    let index = TestIndex::new_at(std::env::temp_dir(), 16, BinForm::Succinct, second).await;
    let mut world = World::of(index).await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    for (version, filename) in [(2, SECOND), (3, THIRD)] {
        let next = draft(&world.index, "demo", version, &[(filename, b"x")]).await;
        world.hand_in(next, &[&alice]).await.unwrap();
    }
    world.engine.flush().await.unwrap();
    drop(world.engine);
    let repository = world.index.folder.path().join("repository");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 60 * 60);
    for folder in ["metadata", "targets/simple/demo", "targets/packages/demo"] {
        for entry in std::fs::read_dir(repository.join(folder)).unwrap() {
            let file = std::fs::File::options()
                .append(true)
                .open(entry.unwrap().path());
            file.unwrap().set_modified(old).unwrap();
        }
    }
    let (tree, store) = (&world.index.tree, &world.index.store);
    let lock = tree.lock().await.unwrap();
    let keep = Keep::new(1, READER_TIME, None).unwrap();
    let now = world.index.clock.now();
    let collected = collect(tree, Some(&lock), store, None, keep, now, |_| {}).await;
    let collected = collected.unwrap();
    assert!(collected.unreadable.is_empty(), "{collected:?}");
    let there = |path: &str| repository.join("metadata").join(path).exists();
    assert!(there("3.project-demo.json") && !there("1.project-demo.json"));
    assert_eq!(world.index.files("demo"), [FIRST, SECOND, THIRD]);
}

/// What a ceremony brings is tried out as clients search, with a project that nobody has: the search
/// for one that is claimed ends before it comes to what the index signs offline for the others.
#[tokio::test]
async fn a_ceremony_is_tried_out_whatever_is_claimed() {
    let mut world = World::new().await;
    world.upload("a-1.0.tar.gz").await.unwrap();
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "a", 1, &[]).await;
    first.claim = Some(claim(&[&alice], 1));
    world.hand_in(first, &[&alice]).await.unwrap();
    let World { index, engine, .. } = world;
    drop(engine);
    let mut engine = holding::engine(&index).await;
    let part = |roles: &[&str]| {
        let all = holding::renewal(&index).into_iter();
        let files = all.filter(|(name, _)| roles.iter().any(|role| name.contains(role)));
        files.collect::<holding::Files>()
    };
    index.clock.forward(holding::days(300));
    engine.turn().await.unwrap();
    // Everything but what delegates to the bins, which ends before the rest then.
    let seq = holding::hand_in(&index, &part(&["root", "targets", "claimed"])).await;
    engine.turn().await.unwrap();
    let first = holding::outcome(&index, seq).await;
    assert!(
        matches!(first, Some(Outcome::Published { .. })),
        "{first:?}"
    );
    index.clock.forward(holding::days(80));
    let seq = holding::hand_in(&index, &part(&["claimed"])).await;
    engine.turn().await.unwrap();
    let Some(Outcome::Refused { reason }) = holding::outcome(&index, seq).await else {
        panic!("clients cannot search what this leaves");
    };
    assert!(reason.contains("could not search it"), "{reason}");
}
