//! What a project's own people sign, taken in whole or refused whole (PEP 480, *Uploading*).

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/holding.rs"]
mod holding;
#[path = "support/index.rs"]
mod index;
#[path = "support/releasing.rs"]
mod releasing;

use index::TestIndex;
use jiff::SignedDuration;
use releasing::{Draft, claim, draft, key};
use wheelmark_objects::{file_target, page_target};
use wheelmark_packaging::simple::Yanked;
use wheelmark_repository::{BinForm, Engine, JournalWriter, Keep, Lifetimes, READER_TIME, collect};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{
    Admission, Bearer, Change, Orders, Outcome, ReleaseDenied, ReleaseError, Seq,
};
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
async fn a_claim_and_an_upload_at_once_do_not_come_between_each_other() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    // The upload is first: the page that was signed for is not the one that is there.
    let file = world.index.place(SECOND, b"upload").await;
    let upload = world.index.store.admit_from(file, &world.alice, None).await;
    let Admission::Recorded(upload) = upload.unwrap() else {
        panic!("not new");
    };
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&world.key], 1));
    let claimed = first
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world.outcome(upload).await.unwrap();
    let refused = world.outcome(claimed).await.unwrap_err();
    assert!(
        refused.contains("build on the page that it leaves"),
        "{refused}"
    );
    assert!(
        world.roles(FIRST)[0]
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    // The claim is first: the upload is refused.
    let mut second = draft(&world.index, "demo", 1, &[]).await;
    second.claim = Some(claim(&[&world.key], 1));
    let claimed = second
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    let file = world.index.place(THIRD, b"upload").await;
    let upload = world.index.store.admit_from(file, &world.alice, None).await;
    let Admission::Recorded(upload) = upload.unwrap() else {
        panic!("not new");
    };
    world.outcome(claimed).await.unwrap();
    world.outcome(upload).await.unwrap_err();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn keys_that_cannot_sign_for_a_project_are_refused() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let other = key(&world.index, "other-key");
    let online = FileKey::open(&world.index.folder.path().join("online")).unwrap();
    let twice = claim(&[&alice, &alice], 1);
    let laden = {
        let mut laden = claim(&[&alice], 1);
        laden.keys[0].key["x"] = "y".repeat(1000).into();
        let id = wheelmark_tuf::Key::from_value(laden.keys[0].key.clone()).unwrap();
        laden.keys[0].keyid = id.keyid().as_str().to_owned();
        laden
    };
    let misnamed = {
        let mut misnamed = claim(&[&alice], 1);
        misnamed.keys[0].keyid = other.key().keyid().as_str().to_owned();
        misnamed
    };
    let cases = [
        ("no key", "a claim names 0 keys", claim(&[], 1)),
        ("a threshold of none", "0 of 1 keys", claim(&[&alice], 0)),
        ("a threshold of more", "2 of 1 keys", claim(&[&alice], 2)),
        (
            "one that did not sign",
            "signed by 1 of the 2",
            claim(&[&alice, &other], 1),
        ),
        (
            "the index's own",
            "one of the index's own",
            claim(&[&online], 1),
        ),
        ("one key twice", "twice", twice),
        ("another id", "not the id of a key", misnamed),
        ("a key that brings more along", "not the id of a key", laden),
    ];
    for (what, words, claim) in cases {
        let mut spoilt = draft(&world.index, "demo", 1, &[]).await;
        spoilt.claim = Some(claim);
        let signers: &[&FileKey] = if what == "the index's own" {
            &[&online]
        } else {
            &[&alice]
        };
        let refused = world.hand_in(spoilt, signers).await.expect_err(what);
        assert!(refused.contains(words), "{what}: {refused}");
        assert!(
            world.roles(FIRST)[0]
                .as_ref()
                .unwrap()
                .starts_with("simple-"),
            "{what}"
        );
    }
    // A refused claim keeps nobody from claiming.
    world.claim().await;
    // And it is claimed once.
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&other], 1));
    let denied = again.hand_in(&world.index, &world.alice, &[&other]).await;
    assert!(matches!(
        denied,
        Err(ReleaseError::Release(ReleaseDenied::Claimed { .. }))
    ));
    // Also for a web process that asks nobody.
    world.index.sql("DELETE FROM claim").await;
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&other], 1));
    let refused = world.hand_in(again, &[&other]).await.unwrap_err();
    assert!(refused.contains("claimed already"), "{refused}");
    assert_eq!(world.roles(FIRST), own());
}

#[tokio::test]
async fn what_stands_beside_a_row_counts_for_nothing_if_it_was_changed() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let seq = next
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world
        .index
        .sql("UPDATE release_part SET page = x'7b7d'")
        .await;
    let refused = world.outcome(seq).await.unwrap_err();
    assert!(refused.contains("not the page that it names"), "{refused}");
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let seq = next
        .hand_in(&world.index, &world.alice, &[&alice])
        .await
        .unwrap();
    world.index.sql("DELETE FROM release_part").await;
    let refused = world.outcome(seq).await.unwrap_err();
    assert!(refused.contains("not to be found"), "{refused}");
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

/// Puts a file where the next version of the project's role would stand.
fn plant(world: &World, version: u64, bytes: &[u8]) {
    let name = format!("repository/metadata/{version}.project-demo.json");
    std::fs::write(world.index.folder.path().join(name), bytes).unwrap();
}

#[tokio::test]
async fn planted_files_under_the_next_versions_stop_nobody() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    plant(&world, 2, b"planted");
    // Also one that the project's own people have signed, and that was never published.
    let own = draft(&world.index, "demo", 3, &[]).await;
    let role = wheelmark_signing::sign_role(
        &wheelmark_tuf::Role::to_canonical(&own.role),
        &[&alice as &dyn Signer],
    );
    plant(&world, 3, &role.unwrap());
    // And one that the snapshot process may not even read; root may read everything.
    let planted = world.index.folder.path();
    let planted = planted.join("repository/metadata/2.project-demo.json");
    let unreadable = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(planted, unreadable).unwrap();
    for (version, words) in [
        (
            2,
            "another file stands in the tree under version 2 of the project's role: sign version 4",
        ),
        (3, "under version 3 of the project's role: sign version 4"),
        (5, "has version 5, and 4 is next"),
        (1, "has version 1, and 4 is next"),
    ] {
        let spoilt = draft(&world.index, "demo", version, &[(SECOND, b"x")]).await;
        let refused = world.hand_in(spoilt, &[&alice]).await.unwrap_err();
        assert!(refused.contains(words), "{version}: {refused}");
    }
    world.upload("other-2.0.tar.gz").await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST]);
    let next = draft(&world.index, "demo", 4, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    // Where nothing is planted, no version is passed over.
    let far = draft(&world.index, "demo", 6, &[(THIRD, b"y")]).await;
    let refused = world.hand_in(far, &[&alice]).await.unwrap_err();
    assert!(
        refused.contains("has version 6, and 5 is next"),
        "{refused}"
    );
    let next = draft(&world.index, "demo", 5, &[(THIRD, b"y")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
}

/// A claim that follows on an earlier one is no other matter, and more files than are looked at are
/// found when the snapshot is written: that release is refused, and the others go on.
#[tokio::test]
async fn more_planted_files_than_are_looked_at_cost_one_refusal_each() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    for version in 2..=10 {
        plant(&world, version, b"planted");
    }
    let next = draft(&world.index, "demo", 10, &[(SECOND, b"x")]).await;
    let refused = world.hand_in(next, &[&alice]).await.unwrap_err();
    assert!(refused.contains("sign version 11"), "{refused}");
    world.upload("other-2.0.tar.gz").await.unwrap();
    let next = draft(&world.index, "demo", 11, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
}

#[tokio::test]
async fn entries_that_nobody_compared_are_marked_when_a_project_is_claimed() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    let now = world.index.clock.now();
    first.page.files[0] = first.page.files[0].adopted(now).unwrap();
    first.claim = Some(claim(&[&alice], 1));
    world.hand_in(first, &[&alice]).await.unwrap();
    let page = world.index.page("demo").unwrap();
    assert!(page.files[0].is_adopted());
    // The next release leaves it at that.
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    let page = world.index.page("demo").unwrap();
    assert_eq!(
        page.files
            .iter()
            .map(|file| file.is_adopted())
            .collect::<Vec<_>>(),
        [true, false]
    );
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

#[tokio::test]
async fn whoever_runs_the_index_can_end_a_claim_and_nobody_else() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    // The journal of the web process cannot ask for it.
    let change = r#"{"kind":"claim-ended","project":"demo"}"#;
    world
        .index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
        .await;
    let end = world.index.store.journal_end().await.unwrap();
    let refused = world.outcome(end).await.unwrap_err();
    assert!(refused.contains("whoever runs the index"), "{refused}");
    assert_eq!(world.roles(SECOND), own());

    let orders = Orders::open(&world.index.folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    let demo: wheelmark_packaging::ProjectName = "demo".parse().unwrap();
    let ended = |project: &wheelmark_packaging::ProjectName| Change::ClaimEnded {
        project: project.clone(),
    };
    let changes = [ended(&demo), ended(&"other".parse().unwrap())];
    let now = world.index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let World {
        index,
        engine,
        alice: bearer,
        key,
    } = world;
    drop(engine);
    let mut engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.logged(),
        index.clock.clone(),
        Lifetimes::default(),
    )
    .await
    .unwrap();
    engine.take_claims(true);
    engine.turn().await.unwrap();
    let mut world = World {
        index,
        engine,
        alice: bearer,
        key,
    };
    let outcomes = [
        orders.outcome(asked[0]).await.unwrap().unwrap(),
        orders.outcome(asked[1]).await.unwrap().unwrap(),
    ];
    assert!(
        matches!(outcomes[0], Outcome::Published { .. }),
        "{outcomes:?}"
    );
    assert!(
        matches!(&outcomes[1], Outcome::Refused { reason } if reason.contains("not claimed")),
        "{outcomes:?}"
    );
    assert!(
        world.roles(SECOND)[0]
            .as_ref()
            .unwrap()
            .starts_with("simple-")
    );
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
    assert!(!world.index.store.is_claimed(&demo).await.unwrap());
    // It takes uploads, and can be claimed anew, in the version behind the last one.
    world.upload("demo-4.0-py3-none-any.whl").await.unwrap();
    let mut again = draft(&world.index, "demo", 3, &[]).await;
    again.claim = Some(claim(&[&alice], 1));
    world.hand_in(again, &[&alice]).await.unwrap();
    assert_eq!(world.roles(SECOND), own());
    assert_eq!(world.index.files("demo").len(), 3);
}

#[tokio::test]
async fn what_whoever_runs_the_index_asks_for_comes_before_a_release_in_the_same_moment() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let orders = Orders::open(&world.index.folder.path().join("orders.sqlite"))
        .await
        .unwrap();
    let World {
        index,
        engine,
        alice: bearer,
        key,
    } = world;
    drop(engine);
    let engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders.clone(),
        index.logged(),
        index.clock.clone(),
        Lifetimes::default(),
    );
    let mut world = World {
        engine: engine.await.unwrap(),
        index,
        alice: bearer,
        key,
    };
    world.engine.take_claims(true);
    // A release is there first, and the claim ends all the same; with it, the file goes.
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    let release = next.hand_in(&world.index, &world.alice, &[&alice]).await;
    let project: wheelmark_packaging::ProjectName = "demo".parse().unwrap();
    let changes = [
        Change::ClaimEnded {
            project: project.clone(),
        },
        Change::FileRemoved {
            project: project.clone(),
            filename: FIRST.to_owned(),
            reason: None,
        },
        Change::StatusSet {
            project,
            status: "quarantined".to_owned(),
            reason: Some("malware".to_owned()),
        },
    ];
    let now = world.index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let refused = world.outcome(release.unwrap()).await.unwrap_err();
    assert!(refused.contains("comes first"), "{refused}");
    for order in asked {
        let outcome = orders.outcome(order).await.unwrap().unwrap();
        assert!(matches!(outcome, Outcome::Published { .. }), "{outcome:?}");
    }
    assert!(world.index.files("demo").is_empty());
    let page = world.index.page("demo").unwrap();
    assert!(page.wheelmark.removed.contains_key(FIRST));
    // Nobody claims it anew before that is over.
    let mut again = draft(&world.index, "demo", 2, &[]).await;
    again.claim = Some(claim(&[&alice], 1));
    let refused = world.hand_in(again, &[&alice]).await.unwrap_err();
    assert!(refused.contains("quarantined"), "{refused}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_keeps_no_key_and_no_project() {
    let mut world = World::new().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&alice], 1));
    let seq = first.hand_in(&world.index, &world.alice, &[&alice]).await;
    world
        .index
        .sql("UPDATE journal SET change = 'x' WHERE seq = (SELECT max(seq) FROM journal)")
        .await;
    world.outcome(seq.unwrap()).await.unwrap_err();
    world
        .index
        .sql("UPDATE developer_key SET person = 'mallory'")
        .await;
    world.claim().await;
    // One that is too long does not come so far.
    let mut other = draft(&world.index, "other", 1, &[]).await;
    let mut long = claim(&[&alice], 1);
    long.keys[0].key["x"] = "y".repeat(300_000).into();
    other.claim = Some(long);
    let denied = other.hand_in(&world.index, &world.alice, &[&alice]).await;
    assert!(matches!(
        denied,
        Err(ReleaseError::Release(ReleaseDenied::TooLong { .. }))
    ));
}

#[tokio::test]
async fn nothing_is_claimed_where_whoever_runs_the_index_has_not_said_so() {
    let mut world = World::new().await;
    world.engine.take_claims(false);
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    let mut first = draft(&world.index, "demo", 1, &[]).await;
    first.claim = Some(claim(&[&alice], 1));
    let refused = world.hand_in(first, &[&alice]).await.unwrap_err();
    assert!(refused.contains("takes no claims"), "{refused}");
    world.engine.take_claims(true);
    world.claim().await;
    // What is claimed goes on.
    world.engine.take_claims(false);
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    assert_eq!(world.index.files("demo"), [FIRST, SECOND]);
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

/// Whoever runs the index ends these claims, and goes on.
async fn end_claims(world: World, projects: &[&str]) -> World {
    let World {
        index,
        engine,
        alice,
        key,
    } = world;
    drop(engine);
    let orders = holding::orders(&index).await;
    let changes: Vec<Change> = projects
        .iter()
        .map(|project| Change::ClaimEnded {
            project: project.parse().unwrap(),
        })
        .collect();
    let now = index.clock.now();
    let asked = orders.ask_all(&changes, now, "somebody").await.unwrap();
    let mut engine = holding::engine(&index).await;
    engine.take_claims(true);
    engine.turn().await.unwrap();
    for seq in asked {
        let outcome = orders.outcome(seq).await.unwrap();
        assert!(
            matches!(outcome, Some(Outcome::Published { .. })),
            "{outcome:?}"
        );
    }
    World {
        index,
        engine,
        alice,
        key,
    }
}

#[tokio::test]
async fn a_key_is_its_user_s_as_long_as_any_claim_names_it() {
    let mut world = World::new().await;
    world.upload("third-1.0.tar.gz").await.unwrap();
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    for project in ["demo", "other"] {
        let mut first = draft(&world.index, project, 1, &[]).await;
        first.claim = Some(claim(&[&alice], 1));
        world.hand_in(first, &[&alice]).await.unwrap();
    }
    // The claim that registered it first ends, and the other one names it still.
    let world = end_claims(world, &["demo"]).await;
    let mut stolen = draft(&world.index, "third", 1, &[]).await;
    let mut of_bob = claim(&[&alice], 1);
    of_bob.keys[0].maintainer = "bob".to_owned();
    stolen.claim = Some(of_bob);
    let denied = stolen.hand_in(&world.index, &world.alice, &[&alice]).await;
    assert!(
        matches!(
            denied,
            Err(ReleaseError::Release(ReleaseDenied::KeyOfAnother { .. }))
        ),
        "{denied:?}"
    );
    let known = "UPDATE developer_key SET seq = seq";
    assert_eq!(world.index.sql(known).await, 1);
    let world = end_claims(world, &["other"]).await;
    assert_eq!(world.index.sql(known).await, 0);
}

#[tokio::test]
async fn what_stands_beside_no_row_keeps_nobody_waiting_and_goes() {
    let mut world = World::new().await;
    world.claim().await;
    let alice = FileKey::open(&world.index.folder.path().join("alice")).unwrap();
    // One of a row that was decided about, and one of a row that is not there.
    for (seq, project) in [(1, "demo"), (4711, "third")] {
        let planted = format!(
            "INSERT INTO release_part (seq, project, metadata, page) VALUES ({seq}, '{project}', x'00', x'00')"
        );
        assert_eq!(world.index.sql(&planted).await, 1);
    }
    let next = draft(&world.index, "demo", 2, &[(SECOND, b"x")]).await;
    world.hand_in(next, &[&alice]).await.unwrap();
    let left = world.index.sql("UPDATE release_part SET seq = seq").await;
    assert_eq!(left, 0);
}
