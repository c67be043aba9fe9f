//! What the online key signs stands in its log, whatever happens.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use std::collections::{BTreeMap, BTreeSet};

use index::TestIndex;
use jiff::SignedDuration;
use wheelmark_repository::{
    BinForm, Covered, Flaw, Head, JournalWriter, Lines, Phase, SignedRole, Survey, Turn, log_files,
};
use wheelmark_tuf::{RoleName, Sha256, root_fingerprint};

/// The bytes of a metadata file.
fn metadata(index: &TestIndex, name: &str) -> Vec<u8> {
    std::fs::read(index.folder.path().join("repository/metadata").join(name)).unwrap()
}

fn signed(bytes: &[u8], version: u64) -> SignedRole {
    let sha256 = root_fingerprint(bytes).unwrap();
    SignedRole { version, sha256 }
}

/// Everything that is published now and was signed online.
fn published(index: &TestIndex) -> BTreeMap<RoleName, SignedRole> {
    let trusted = index.client();
    let timestamp = trusted.timestamp();
    let bytes = metadata(index, "timestamp.json");
    let mut all = BTreeMap::from([(RoleName::timestamp(), signed(&bytes, timestamp.version))]);
    let name = RoleName::snapshot();
    let version = timestamp.snapshot.version;
    let bytes = metadata(index, &name.versioned_file_name(version));
    all.insert(name, signed(&bytes, version));
    for (name, meta) in &trusted.snapshot().meta {
        let role: RoleName = name.strip_suffix(".json").unwrap().parse().unwrap();
        let offline = ["targets", "claimed", "simple", "packages"];
        if !offline.contains(&role.as_str()) {
            let bytes = metadata(index, &role.versioned_file_name(meta.version));
            all.insert(role, signed(&bytes, meta.version));
        }
    }
    all
}

/// The head that the published timestamp carries.
fn carried(index: &TestIndex) -> Head {
    Head::carried_by(index.client().timestamp()).expect("it carries one")
}

fn survey(index: &TestIndex) -> Survey {
    let heads = BTreeSet::from([carried(index).sha256]);
    Survey::of(index.log().folder(), &heads, &published(index), 1).unwrap()
}

/// The log is whole, has the head that is published, and every published version above 1.
fn check(index: &TestIndex) {
    let survey = survey(index);
    assert_eq!(survey.flaws, []);
    let (from, head) = (1, carried(index));
    let covered = Covered {
        from,
        to: head.number,
    };
    assert_eq!(survey.found, BTreeMap::from([(head.sha256, covered)]));
    for (role, signed) in published(index) {
        assert!(
            survey.signed.contains(&role) || signed.version == 1,
            "{role} {} is not in the log",
            signed.version
        );
    }
}

#[tokio::test]
async fn every_signature_stands_there_before_it_is_published_wherever_a_crash_comes() {
    for phase in [Phase::Sign, Phase::Record, Phase::Write, Phase::Done] {
        let index = TestIndex::new(4, BinForm::Succinct).await;
        let mut engine = index.engine().await;
        index.upload("first-1.0-py3-none-any.whl", b"a wheel").await;
        engine.turn().await.unwrap();
        check(&index);

        index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
        engine.observe(move |now| assert!(now != phase, "the crash that this test wants"));
        let crashed = tokio::spawn(async move { engine.turn().await.map(drop) }).await;
        assert!(crashed.unwrap_err().is_panic());
        check(&index);
        let mut engine = index.engine().await;
        check(&index);
        engine.turn().await.unwrap();
        assert_eq!(index.files("demo").len(), 1, "{phase:?}");
        check(&index);
        let begins = survey(&index).follows;
        assert_eq!(
            begins.len(),
            1,
            "{phase:?}: it goes on by itself: {begins:?}"
        );
    }
}

#[tokio::test]
async fn what_a_power_failure_takes_from_it_is_written_again_from_the_records() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    for i in 0..3 {
        let name = format!("demo{i}-1.0-py3-none-any.whl");
        index.upload(&name, name.as_bytes()).await;
        engine.turn().await.unwrap();
    }
    let last = survey(&index).last;
    drop(engine);
    let (_, file) = log_files(index.log().folder()).unwrap().remove(0);
    let bytes = std::fs::read(&file).unwrap();
    // The first entry says where the log begins, and was flushed.
    let begin = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for kept in [begin, begin + 30, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..kept]).unwrap();
        drop(index.engine().await);
        check(&index);
        assert_eq!(survey(&index).last, last, "{kept} of {}", bytes.len());
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}

#[tokio::test]
async fn versions_that_were_signed_and_never_published_stand_there_too() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let folder = index.folder.path().join("repository/metadata");
    std::fs::write(folder.join("2.snapshot.json"), b"foreign").unwrap();
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    assert!(matches!(
        engine.turn().await.unwrap(),
        Turn::Published { .. }
    ));
    check(&index);
    let (_, file) = log_files(index.log().folder()).unwrap().remove(0);
    let snapshots: Vec<u64> = Lines::of(&file)
        .unwrap()
        .filter_map(|line| line.unwrap().entry)
        .filter_map(|entry| Some(entry.signed.get(&RoleName::snapshot())?.version))
        .collect();
    assert_eq!(snapshots, [2, 3]);
}

#[tokio::test]
async fn what_was_signed_stands_there_also_if_it_could_not_be_recorded() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON intent BEGIN SELECT RAISE(ABORT, 'no'); END";
    index.sql(refuse).await;
    engine.turn().await.unwrap_err();
    let signed = |index: &TestIndex| -> Vec<u64> {
        let (_, file) = log_files(index.log().folder()).unwrap().remove(0);
        let entries = Lines::of(&file).unwrap();
        entries
            .filter_map(|line| line.unwrap().entry)
            .filter_map(|entry| Some(entry.signed.get(&RoleName::timestamp())?.version))
            .collect()
    };
    assert_eq!(signed(&index), [2]);
    assert_eq!(index.files("demo").len(), 0);
    index.sql("DROP TRIGGER refuse").await;
    engine.turn().await.unwrap();
    // Nobody can tell who has read it meanwhile: its versions are not given to anything else.
    assert_eq!(signed(&index), [2, 3]);
    assert_eq!(index.client().timestamp().version, 3);
    check(&index);
}

#[tokio::test]
async fn a_log_that_was_taken_away_is_missed() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    engine.flush().await.unwrap();
    drop(engine);
    let lost = carried(&index);
    std::fs::remove_dir_all(index.log().folder()).unwrap();

    let mut engine = index.engine().await;
    index.upload("more-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    let survey = survey(&index);
    assert_eq!(survey.follows.len(), 1);
    assert_eq!(survey.follows[0].2.lost, Some(lost));
    assert!(survey.first.unwrap().0 > lost.number);
}

#[tokio::test]
async fn an_index_of_an_earlier_version_begins_its_log_where_it_stands() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut unlogged = wheelmark_repository::Engine::open(
        index.tree.clone(),
        index.store.clone(),
        index.online.clone(),
        index.clock.clone(),
        wheelmark_repository::Lifetimes::default(),
        JournalWriter::Operator,
    )
    .await
    .unwrap();
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    unlogged.turn().await.unwrap();
    drop(unlogged);
    let stood = Sha256::of(&metadata(&index, "timestamp.json"));
    assert_eq!(Head::carried_by(index.client().timestamp()), None);

    let mut engine = index.engine().await;
    index.clock.forward(SignedDuration::from_hours(13));
    engine.turn().await.unwrap();
    let survey = survey(&index);
    assert_eq!(survey.follows.len(), 1);
    assert_eq!(
        (survey.follows[0].0, survey.follows[0].2.sha256),
        (1, stood)
    );
    assert_eq!(survey.flaws, []);
}

#[tokio::test]
async fn an_entry_that_is_changed_is_seen_from_the_published_head() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    for i in 0..2 {
        let name = format!("demo{i}-1.0-py3-none-any.whl");
        index.upload(&name, name.as_bytes()).await;
        engine.turn().await.unwrap();
    }
    check(&index);
    let (_, file) = log_files(index.log().folder()).unwrap().remove(0);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let other = lines[1].replacen("\"version\":2", "\"version\":7", 1);
    assert_ne!(other, lines[1]);
    std::fs::write(&file, text.replacen(lines[1], &other, 1)).unwrap();
    let entry = 3;
    assert_eq!(survey(&index).flaws, [Flaw::Rewritten { entry }]);
}
