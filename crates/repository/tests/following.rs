//! What an index that follows another one has to take up: files that go, that come back, that are
//! yanked, and that were there before the index was signed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use index::TestIndex;
use jiff::SignedDuration;
use serde_json::json;
use wheelmark_objects::file_target;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{PageFile, ProjectPage, Signed, Yanked};
use wheelmark_repository::{BinForm, Phase, Turn};
use wheelmark_store::{Admission, Change, FileSignature, FileState, NewFile, Outcome, Seq};

const NAME: &str = "demo-1.0-py3-none-any.whl";
const OTHER: &str = "demo-2.0-py3-none-any.whl";

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

/// An index with the two files of one project.
async fn two_files() -> TestIndex {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload(NAME, b"a wheel").await;
    index.upload(OTHER, b"another wheel").await;
    engine.turn().await.unwrap();
    drop(engine);
    index.clock.forward(SignedDuration::from_secs(60));
    index
}

async fn turn(index: &TestIndex) -> Turn {
    index.engine().await.turn().await.unwrap()
}

async fn remove(index: &TestIndex, name: &str) -> Seq {
    index.store.remove(&demo(), name).await.unwrap().unwrap()
}

async fn yank(index: &TestIndex, name: &str, yanked: Option<&str>) -> Seq {
    let yanked = yanked.map(str::to_owned);
    let seq = index.store.set_yanked(&demo(), name, yanked).await;
    seq.unwrap().unwrap()
}

/// Places core metadata of the file in the tree.
async fn metadata(index: &TestIndex, metadata: &'static [u8]) -> wheelmark_tuf::Sha256 {
    let digest = wheelmark_tuf::Sha256::of(metadata);
    let path = wheelmark_objects::ObjectPath::file_metadata(&demo(), &digest, NAME).unwrap();
    let bytes = bytes::Bytes::from_static(metadata);
    index.tree.create(&path, bytes).await.unwrap();
    digest
}

/// Places a signature of the file in the tree.
async fn signature(index: &TestIndex, signature: &[u8]) -> FileSignature {
    let (sha256, length) = (wheelmark_tuf::Sha256::of(signature), signature.len() as u64);
    let path = wheelmark_objects::ObjectPath::signature(&demo(), &sha256, NAME).unwrap();
    let bytes = bytes::Bytes::copy_from_slice(signature);
    index.tree.create(&path, bytes).await.unwrap();
    FileSignature { sha256, length }
}

/// Appends to the journal what the store itself would refuse to.
async fn intrude(index: &TestIndex, change: &Change) -> Seq {
    let change = serde_json::to_string(change).unwrap().replace('\'', "''");
    index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
        .await;
    index.store.journal_end().await.unwrap()
}

async fn refusal(index: &TestIndex, seq: Seq) -> String {
    match index.store.outcome(seq).await.unwrap() {
        Some(Outcome::Refused { reason }) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

fn entry(index: &TestIndex, name: &str) -> PageFile {
    let page = index.page("demo").unwrap();
    page.file(name).unwrap().clone()
}

fn unsigned(index: &TestIndex, path: &str) -> String {
    let path = index.folder.path().join("repository").join(path);
    std::fs::read_to_string(path).unwrap()
}

fn is_there(index: &TestIndex, path: &str) -> bool {
    index.folder.path().join("repository").join(path).exists()
}

/// That the published state, seen as a client and as a plain installer, has the file or has not.
fn assert_listed(index: &TestIndex, name: &str, listed: bool) {
    let page = index.page("demo").unwrap();
    let target = index.find(&file_target(&demo(), name).unwrap());
    assert_eq!(page.file(name).is_some(), listed, "{name} on the page");
    assert_eq!(target.is_some(), listed, "{name} in its bin");
    let removed = page.wheelmark.removed.contains_key(name);
    assert_eq!(removed, !listed, "{name} is remembered");
    assert_eq!(index.files("demo").iter().any(|file| file == name), listed);
    assert_eq!(is_there(index, &format!("packages/demo/{name}")), listed);
    let version = name.split('-').nth(1).unwrap();
    let versions = page.all_versions();
    assert_eq!(
        versions.iter().any(|v| v == version),
        listed,
        "{versions:?}"
    );
    let copy = unsigned(index, "simple/demo/index.json");
    let copy = ProjectPage::parse(copy.as_bytes()).unwrap();
    assert_eq!(copy.file(name).is_some(), listed, "{name} on the copy");
    let html = unsigned(index, "simple/demo/index.html");
    let link = format!("packages/demo/{name}");
    assert_eq!(html.contains(&link), listed, "{name} in {html}");
}

#[tokio::test]
async fn a_removed_file_leaves_page_and_bin_and_is_remembered() {
    let index = two_files().await;
    let before = entry(&index, NAME);
    let sha256 = before.hashes.sha256().unwrap();
    let seq = remove(&index, NAME).await;
    turn(&index).await;

    assert!(index.published(seq).await);
    assert_listed(&index, NAME, false);
    assert_listed(&index, OTHER, true);
    let removed = &index.page("demo").unwrap().wheelmark.removed[NAME];
    assert_eq!(removed.entry, before);
    assert_eq!(removed.removed_at.as_second(), 1_780_000_060);
    assert!(
        is_there(&index, &format!("targets/packages/demo/{sha256}.{NAME}")),
        "whoever reads the state before this one still needs the object"
    );
    let row = index.store.file(&demo(), NAME).await.unwrap().unwrap();
    assert_eq!(row.state, FileState::Removed);
}

#[tokio::test]
async fn core_metadata_goes_and_comes_with_its_file() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut file = index.place(NAME, b"a wheel").await;
    file.core_metadata_sha256 = Some(metadata(&index, b"Metadata-Version: 2.1\n").await);
    let plain = format!("packages/demo/{NAME}.metadata");

    index.store.admit(file.clone()).await.unwrap();
    turn(&index).await;
    assert!(is_there(&index, &plain));
    remove(&index, NAME).await;
    turn(&index).await;
    assert!(!is_there(&index, &plain));
    index.store.admit(file).await.unwrap();
    turn(&index).await;
    assert!(is_there(&index, &plain));
}

#[tokio::test]
async fn a_signature_goes_and_comes_with_its_file() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut file = index.place(NAME, b"a wheel").await;
    file.gpg_signature = Some(signature(&index, b"of a wheel").await);
    let plain = format!("packages/demo/{NAME}.asc");

    index.store.admit(file.clone()).await.unwrap();
    turn(&index).await;
    assert_eq!(unsigned(&index, &plain), "of a wheel");
    let before = entry(&index, NAME);
    assert_eq!(before.gpg_sig, Some(true));
    let mark = before.wheelmark.as_ref().unwrap().gpg_sig.unwrap();
    let sha256 = wheelmark_tuf::Sha256::of(b"of a wheel");
    assert_eq!(*mark.sha256.as_bytes(), sha256.0);
    assert_eq!(mark.length, 10);

    remove(&index, NAME).await;
    turn(&index).await;
    assert!(!is_there(&index, &plain));
    // It comes back with the signature that it had, whatever is asked for.
    file.gpg_signature = None;
    index.store.admit(file).await.unwrap();
    turn(&index).await;
    assert_eq!(unsigned(&index, &plain), "of a wheel");
    assert_eq!(entry(&index, NAME), before);
}

#[tokio::test]
async fn a_signature_that_is_not_as_a_row_says_is_refused() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let file = index.place(NAME, b"a wheel").await;
    let good = signature(&index, b"of a wheel").await;
    let long = signature(&index, &[b'x'; 8 * 1024 + 1]).await;
    let absent = FileSignature {
        sha256: wheelmark_tuf::Sha256::of(b"another"),
        length: 7,
    };
    let lies = FileSignature { length: 9, ..good };
    for (stated, why) in [
        (lies, "has 10 bytes in the tree, not 9"),
        (absent, "is not in the tree"),
        (long, "more than 8192"),
    ] {
        let file = NewFile {
            gpg_signature: Some(stated),
            ..file.clone()
        };
        let seq = intrude(&index, &Change::FileAdded(file)).await;
        turn(&index).await;
        let told = refusal(&index, seq).await;
        assert!(told.contains(why), "{told}");
    }
    // What is published does not get one from a row, either.
    index.store.admit(file.clone()).await.unwrap();
    turn(&index).await;
    let before = entry(&index, NAME);
    assert_eq!(before.gpg_sig, Some(false));
    let file = NewFile {
        gpg_signature: Some(good),
        ..file
    };
    intrude(&index, &Change::FileAdded(file)).await;
    turn(&index).await;
    assert_eq!(entry(&index, NAME), before);
    assert!(!is_there(&index, &format!("packages/demo/{NAME}.asc")));
}

#[tokio::test]
async fn a_removed_name_comes_back_with_its_bytes_and_never_with_others() {
    let index = two_files().await;
    let before = entry(&index, NAME);
    remove(&index, NAME).await;
    turn(&index).await;
    index.clock.forward(SignedDuration::from_secs(60));

    // The catalogue refuses this; an intruder in the web process writes it to the journal.
    let other = index.place(NAME, b"another content").await;
    let seq = intrude(&index, &Change::FileAdded(other)).await;
    turn(&index).await;
    assert!(refusal(&index, seq).await.contains("was removed"));
    assert_listed(&index, NAME, false);

    let again = NewFile {
        back_signed: true,
        yanked: Some("old".to_owned()),
        ..index.place(NAME, b"a wheel").await
    };
    let back = index.store.admit(again).await.unwrap();
    assert!(matches!(back, Admission::Recorded(_)), "{back:?}");
    turn(&index).await;
    assert_listed(&index, NAME, true);
    let expected = PageFile {
        yanked: Yanked::Because("old".to_owned()),
        ..before
    };
    assert_eq!(entry(&index, NAME), expected);

    // And now that it is back, the name is as taken as any.
    let other = index.place(NAME, b"another content").await;
    let seq = intrude(&index, &Change::FileAdded(other)).await;
    turn(&index).await;
    assert!(refusal(&index, seq).await.contains("never changes"));
}

#[tokio::test]
async fn a_project_without_files_keeps_its_page() {
    let index = two_files().await;
    remove(&index, NAME).await;
    remove(&index, OTHER).await;
    turn(&index).await;
    assert_listed(&index, NAME, false);
    assert_listed(&index, OTHER, false);
    let page = index.page("demo").unwrap();
    assert!(page.files.is_empty());
    assert!(page.all_versions().is_empty());
    assert!(unsigned(&index, "simple/index.json").contains("demo"));
    assert_eq!(index.engine().await.projects(), 1);

    index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    turn(&index).await;
    assert_eq!(index.files("demo"), ["demo-3.0-py3-none-any.whl"]);
    assert_eq!(index.page("demo").unwrap().all_versions(), ["3.0"]);
}

#[tokio::test]
async fn a_yank_is_signed_with_its_reason_and_taken_back() {
    let index = two_files().await;
    let first_marks = entry(&index, NAME).wheelmark;
    let bins = |index: &TestIndex| {
        let named = |name: &String| name.contains("packages-");
        index.versions().into_keys().filter(named).count()
    };
    let before = bins(&index);
    for (wish, expected) in [
        (Some("it is broken"), Yanked::Because("it is broken".into())),
        (Some(""), Yanked::Yes),
        (
            Some(" two\nlines\u{1b} "),
            Yanked::Because("two lines".into()),
        ),
        (None, Yanked::No),
    ] {
        let seq = yank(&index, NAME, wish).await;
        turn(&index).await;
        assert!(index.published(seq).await);
        assert_eq!(entry(&index, NAME).yanked, expected);
        assert_eq!(entry(&index, OTHER).yanked, Yanked::No);
        assert_eq!(entry(&index, NAME).wheelmark, first_marks);
        let html = unsigned(&index, "simple/demo/index.html");
        assert_eq!(html.contains("data-yanked"), expected.is_yanked(), "{html}");
        assert_listed(&index, NAME, true);
    }
    assert_eq!(bins(&index), before, "a yank concerns pages alone");

    let endless = "é".repeat(10_000);
    yank(&index, NAME, Some(&endless)).await;
    turn(&index).await;
    match entry(&index, NAME).yanked {
        Yanked::Because(reason) => assert!(endless.starts_with(&reason) && reason.len() <= 2_000),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_not_listed_is_neither_removed_nor_yanked() {
    let index = two_files().await;
    let before = index.page("demo").unwrap();
    let names = [
        ("demo", "demo-9.0-py3-none-any.whl"),
        ("other", NAME),
        ("demo", "../../metadata/timestamp.json"),
        ("demo", ""),
    ];
    let mut seqs = Vec::new();
    for (project, filename) in names {
        let project: ProjectName = project.parse().unwrap();
        let filename = filename.to_owned();
        let removed = Change::FileRemoved {
            project: project.clone(),
            filename: filename.clone(),
            reason: None,
        };
        let yanked = Change::FileYanked {
            project,
            filename,
            yanked: Some(String::new()),
        };
        seqs.push(intrude(&index, &removed).await);
        seqs.push(intrude(&index, &yanked).await);
    }
    let fine = yank(&index, OTHER, Some("")).await;
    turn(&index).await;
    for seq in seqs {
        let reason = refusal(&index, seq).await;
        assert!(
            reason.contains("is not in the index") || reason.contains("cannot be a target"),
            "{reason}"
        );
    }
    assert!(index.published(fine).await);
    assert_eq!(index.page("demo").unwrap().files[0], before.files[0]);
    assert!(index.page("other").is_none());
}

#[tokio::test]
async fn changes_to_one_file_count_in_their_order() {
    let index = two_files().await;
    let before = entry(&index, NAME);
    // Gone and back, within one snapshot.
    let first = remove(&index, NAME).await;
    let again = index.place(NAME, b"a wheel").await;
    let back = intrude(&index, &Change::FileAdded(again)).await;
    // There and gone.
    index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    let third = remove(&index, "demo-3.0-py3-none-any.whl").await;
    // Yanked and gone; and once more, which is no error.
    yank(&index, OTHER, Some("")).await;
    let last = remove(&index, OTHER).await;
    let twice = remove(&index, OTHER).await;
    turn(&index).await;
    for seq in [first, back, third, last, twice] {
        assert!(index.published(seq).await, "{seq}");
    }
    assert_listed(&index, NAME, true);
    assert_listed(&index, "demo-3.0-py3-none-any.whl", false);
    assert_listed(&index, OTHER, false);
    assert_eq!(entry(&index, NAME), before);
}

/// Somebody brings a removed file back and says other things of it than were signed.
async fn comes_back_as_it_was_signed(at_once: bool) {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let honest = metadata(&index, b"Metadata-Version: 2.1\n").await;
    let file = NewFile {
        requires_python: Some(">=3.9".to_owned()),
        core_metadata_sha256: Some(honest),
        back_signed: true,
        ..index.place(NAME, b"a wheel").await
    };
    index.store.admit(file.clone()).await.unwrap();
    turn(&index).await;
    let signed = entry(&index, NAME);
    let target = |index: &TestIndex| {
        let target = index.find(&file_target(&demo(), NAME).unwrap()).unwrap();
        format!("{} {:?} {:?}", target.length, target.hashes, target.custom)
    };
    let signed_target = target(&index);
    index.clock.forward(SignedDuration::from_secs(60));

    remove(&index, NAME).await;
    if !at_once {
        turn(&index).await;
    }
    let evil = metadata(&index, b"Metadata-Version: 2.1\nRequires-Dist: evil\n").await;
    let chunks = wheelmark_tuf::Sha256::of(b"lies");
    let path = wheelmark_objects::ObjectPath::chunks(&demo(), &chunks, NAME).unwrap();
    let bytes = bytes::Bytes::from_static(b"lies");
    index.tree.create(&path, bytes).await.unwrap();
    let again = NewFile {
        size: 1,
        uploaded_at: "2019-03-01T12:00:00Z".parse().unwrap(),
        requires_python: Some("<3".to_owned()),
        core_metadata_sha256: Some(evil),
        chunks_sha256: Some(chunks),
        back_signed: false,
        ..file
    };
    let seq = intrude(&index, &Change::FileAdded(again)).await;
    turn(&index).await;
    assert!(index.published(seq).await);
    assert_eq!(entry(&index, NAME), signed);
    assert_eq!(target(&index), signed_target);
    assert_listed(&index, NAME, true);
    assert_eq!(
        unsigned(&index, &format!("packages/demo/{NAME}.metadata")),
        "Metadata-Version: 2.1\n"
    );
}

#[tokio::test]
async fn a_removed_file_comes_back_as_it_was_signed_and_not_as_a_row_says() {
    comes_back_as_it_was_signed(false).await;
}

#[tokio::test]
async fn so_it_does_when_it_goes_and_comes_in_one_snapshot() {
    comes_back_as_it_was_signed(true).await;
}

#[tokio::test]
async fn what_comes_back_has_to_be_in_the_tree() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let digest = metadata(&index, b"Metadata-Version: 2.1\n").await;
    let file = NewFile {
        core_metadata_sha256: Some(digest),
        ..index.place(NAME, b"a wheel").await
    };
    index.store.admit(file.clone()).await.unwrap();
    turn(&index).await;
    remove(&index, NAME).await;
    turn(&index).await;
    let object = format!("repository/targets/packages/demo/{digest}.{NAME}.metadata");
    std::fs::remove_file(index.folder.path().join(object)).unwrap();
    let without = NewFile {
        core_metadata_sha256: None,
        ..file
    };
    let seq = intrude(&index, &Change::FileAdded(without)).await;
    turn(&index).await;
    assert!(refusal(&index, seq).await.contains("is not in the tree"));
    assert_listed(&index, NAME, false);
}

#[tokio::test]
async fn what_was_there_before_signing_is_marked_in_page_and_target() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let old = NewFile {
        back_signed: true,
        uploaded_at: "2019-03-01T12:00:00Z".parse().unwrap(),
        ..index.place(NAME, b"a wheel").await
    };
    index.store.admit(old).await.unwrap();
    index.upload(OTHER, b"another wheel").await;
    turn(&index).await;

    let custom = |name| {
        let target = index.find(&file_target(&demo(), name).unwrap()).unwrap();
        target.custom.clone()
    };
    let (old, new) = (entry(&index, NAME), entry(&index, OTHER));
    let marks = old.wheelmark.unwrap();
    assert_eq!(marks.signed, Signed::Back);
    assert_eq!(old.upload_time.unwrap().to_string(), "2019-03-01T12:00:00Z");
    assert_eq!(
        custom(NAME),
        Some(json!({"_wheelmark": {
            "signed": "back",
            "signed-at": marks.signed_at.to_string(),
        }}))
    );
    assert_eq!(new.wheelmark.unwrap().signed, Signed::AtUpload);
    assert_eq!(custom(OTHER), None);
}

/// Lets the engine run into `phase` of its next turn, and no further.
async fn crash_in(index: &TestIndex, phase: Phase) {
    let mut engine = index.engine().await;
    engine.observe(move |now| assert!(now != phase, "the crash that this test wants"));
    let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
    assert!(crashed.unwrap_err().is_panic());
}

#[tokio::test]
async fn every_step_of_a_removal_a_return_and_a_yank_can_be_the_last_one() {
    for phase in [
        Phase::Plan,
        Phase::Sign,
        Phase::Record,
        Phase::Write,
        Phase::Done,
    ] {
        let index = two_files().await;
        let mut seqs = vec![
            remove(&index, NAME).await,
            yank(&index, OTHER, Some("")).await,
        ];
        crash_in(&index, phase).await;
        let seen = index.versions();
        turn(&index).await;
        assert_listed(&index, NAME, false);
        assert_eq!(entry(&index, OTHER).yanked, Yanked::Yes);

        seqs.push(index.upload(NAME, b"a wheel").await);
        seqs.push(yank(&index, OTHER, None).await);
        crash_in(&index, phase).await;
        turn(&index).await;
        assert_listed(&index, NAME, true);
        assert_eq!(entry(&index, OTHER).yanked, Yanked::No);

        for seq in seqs {
            assert!(index.published(seq).await, "{phase:?}: {seq}");
        }
        let now = index.versions();
        for (name, bytes) in seen {
            assert_eq!(now.get(&name), Some(&bytes), "{phase:?}: {name} changed");
        }
        let row = index.store.file(&demo(), NAME).await.unwrap().unwrap();
        assert_eq!(row.state, FileState::Published);
    }
}

/// The crash came when the timestamp was out and no name was made or taken away yet.
#[tokio::test]
async fn names_that_were_left_to_do_are_done_at_the_next_start() {
    let index = two_files().await;
    let seq = remove(&index, NAME).await;
    index.upload("demo-3.0-py3-none-any.whl", b"a third").await;
    crash_in(&index, Phase::Write).await;
    let intent = index.store.intent().await.unwrap().unwrap();
    let root = index.folder.path().join("repository");
    for (path, bytes) in &intent.objects {
        std::fs::write(root.join(path), bytes).unwrap();
    }
    std::fs::write(root.join("metadata/timestamp.json"), &intent.timestamp).unwrap();
    assert!(is_there(&index, &format!("packages/demo/{NAME}")));

    let engine = index.engine().await;
    assert_eq!(engine.snapshot_version(), intent.snapshot_version);
    assert!(index.published(seq).await);
    assert_listed(&index, NAME, false);
    assert_listed(&index, "demo-3.0-py3-none-any.whl", true);
}

/// Something else stands where the name was: it is logged and left, and nothing stops.
#[tokio::test]
async fn a_name_that_cannot_go_keeps_nothing_from_being_published() {
    let index = two_files().await;
    let plain = index
        .folder
        .path()
        .join(format!("repository/packages/demo/{NAME}"));
    std::fs::remove_file(&plain).unwrap();
    std::fs::create_dir(&plain).unwrap();
    let seq = remove(&index, NAME).await;
    turn(&index).await;
    assert!(index.published(seq).await);
    assert!(index.page("demo").unwrap().file(NAME).is_none());
    assert_eq!(index.files("demo"), [OTHER]);
}

#[tokio::test]
async fn the_number_of_changes_in_one_snapshot_is_a_setting() {
    let index = two_files().await;
    let mut engine = index.engine().await;
    engine.set_changes_per_snapshot(2.try_into().unwrap());
    for n in 3..8 {
        index
            .upload(&format!("demo-{n}.0-py3-none-any.whl"), b"x")
            .await;
    }
    let mut taken = Vec::new();
    while let Turn::Published { changes, .. } = engine.turn().await.unwrap() {
        taken.push(changes);
    }
    assert_eq!(taken, [2, 2, 1]);
}
