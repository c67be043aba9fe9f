//! What the engine publishes, seen by a client that trusts nothing but the first root.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/index.rs"]
mod index;

use index::TestIndex;
use jiff::SignedDuration;
use wheelmark_repository::{BinForm, Turn};
use wheelmark_store::Outcome;

#[tokio::test]
async fn an_upload_is_published_with_either_form_of_bins() {
    for (form, bins) in [(BinForm::Succinct, 16), (BinForm::PrefixLists, 32)] {
        let index = TestIndex::new(bins, form).await;
        let mut engine = index.engine().await;
        assert!(index.page("demo").is_none());

        let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
        assert_eq!(
            engine.turn().await.unwrap(),
            Turn::Published {
                snapshot_version: 2,
                changes: 1,
                renewed: 0
            }
        );
        assert!(index.published(seq).await);
        assert_eq!(index.files("demo"), ["demo-1.0-py3-none-any.whl"]);
        assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
    }
}

#[tokio::test]
async fn offline_roles_live_a_year_claimed_90_days_and_online_roles_a_day() {
    let index = TestIndex::new(4, BinForm::Succinct).await;
    let now = wheelmark_tuf::Clock::now(&*index.clock);
    let day = 24 * 60 * 60;
    let mut files = index.versions();
    let timestamp = index
        .folder
        .path()
        .join("repository/metadata/timestamp.json");
    files.insert("1.timestamp.json".into(), std::fs::read(timestamp).unwrap());
    assert_eq!(files.len(), 9 + 2 * 4);
    for (name, bytes) in files {
        let metadata: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expires: jiff::Timestamp = metadata["signed"]["expires"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let life = expires.duration_since(now).as_secs();
        let role = name.trim_start_matches("1.").trim_end_matches(".json");
        let expected = match role {
            "root" | "targets" | "simple" | "packages" => 365 * day..=365 * day,
            "claimed" => 90 * day..=90 * day,
            "timestamp" | "snapshot" | "recently-claimed" | "status" => day..=day,
            // Bins begin with lives of different lengths, so that they are not due together.
            _ => day / 2..=day,
        };
        assert!(expected.contains(&life), "{role} lives {life} s");
    }
}

#[tokio::test]
async fn uploads_that_wait_together_share_one_snapshot() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let mut seqs = Vec::new();
    for i in 0..20 {
        let name = format!("demo{}-1.{i}-py3-none-any.whl", i % 3);
        seqs.push(index.upload(&name, name.as_bytes()).await);
    }
    assert_eq!(
        engine.turn().await.unwrap(),
        Turn::Published {
            snapshot_version: 2,
            changes: 20,
            renewed: 0
        }
    );
    for seq in seqs {
        assert!(index.published(seq).await);
    }
    assert_eq!(index.files("demo0").len(), 7);
    assert_eq!(index.files("demo1").len(), 7);
    assert_eq!(index.files("demo2").len(), 6);
    let list = std::fs::read(index.folder.path().join("repository/simple/index.json")).unwrap();
    let list = String::from_utf8(list).unwrap();
    assert!(list.contains("demo0") && list.contains("demo2"), "{list}");
}

#[tokio::test]
async fn a_second_engine_is_kept_out() {
    let index = TestIndex::new(2, BinForm::Succinct).await;
    let engine = index.engine().await;
    assert!(index.try_engine().await.is_err());
    drop(engine);
    assert!(index.try_engine().await.is_ok());
}

#[tokio::test]
async fn what_expires_is_renewed_bit_by_bit_while_the_index_runs() {
    let index = TestIndex::new(32, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    let mut most = 0;
    for _ in 0..96 * 4 {
        index.clock.forward(SignedDuration::from_mins(15));
        while let Turn::Published { renewed, .. } = engine.turn().await.unwrap() {
            most = most.max(renewed);
        }
        // A client that comes now finds nothing expired on its way.
        assert_eq!(index.files("demo").len(), 1);
    }
    assert!((1..=16).contains(&most), "{most} of 66 roles at once");
}

#[tokio::test]
async fn after_a_month_off_everything_online_is_signed_anew() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    drop(engine);

    index.clock.forward(SignedDuration::from_hours(30 * 24));
    let mut engine = index.engine().await;
    let turn = engine.turn().await.unwrap();
    // 2 × 16 bins, recently-claimed and status.
    assert!(
        matches!(turn, Turn::Published { renewed: 34, .. }),
        "{turn:?}"
    );
    assert_eq!(index.files("demo").len(), 1);
}

#[tokio::test]
async fn a_published_name_never_changes_its_hash() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let name = "demo-1.0-py3-none-any.whl";
    index.upload(name, b"a wheel").await;
    engine.turn().await.unwrap();
    let before = index.page("demo");

    // The web process could not admit this by itself; an intruder there writes it by hand.
    let other = index.place(name, b"another wheel").await;
    intrude(&index, &other).await;
    engine.turn().await.unwrap();
    assert_eq!(index.page("demo"), before);
    let outcome = index.store.outcome(wheelmark_store::Seq(2)).await.unwrap();
    assert!(
        matches!(&outcome, Some(Outcome::Refused { reason }) if reason.contains("never changes")),
        "{outcome:?}"
    );
    // The refusal takes nothing away from what was published.
    assert_eq!(index.files("demo"), [name]);
}

#[tokio::test]
async fn journal_rows_that_make_no_sense_are_refused_and_stop_nothing() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let good = index.place("demo-1.0-py3-none-any.whl", b"a wheel").await;
    let cases = [
        wheelmark_store::NewFile {
            filename: "other-1.0-py3-none-any.whl".into(),
            ..good.clone()
        },
        wheelmark_store::NewFile {
            filename: "../../metadata/timestamp.json".into(),
            ..good.clone()
        },
        wheelmark_store::NewFile {
            sha256: wheelmark_tuf::Sha256::of(b"not there"),
            ..good.clone()
        },
        wheelmark_store::NewFile {
            size: 1,
            ..good.clone()
        },
        wheelmark_store::NewFile {
            requires_python: Some(">".repeat(2_000)),
            ..good.clone()
        },
        wheelmark_store::NewFile {
            uploaded_at: good.uploaded_at + SignedDuration::from_hours(1),
            ..good.clone()
        },
        wheelmark_store::NewFile {
            core_metadata_sha256: Some(wheelmark_tuf::Sha256::of(b"not there")),
            ..good.clone()
        },
    ];
    let count = cases.len() as u64;
    for case in &cases {
        intrude(&index, case).await;
    }
    intrude_text(&index, "{\"kind\":\"nonsense\"}").await;
    engine.turn().await.unwrap();
    for seq in 1..=count + 1 {
        let outcome = index
            .store
            .outcome(wheelmark_store::Seq(seq))
            .await
            .unwrap();
        assert!(
            matches!(outcome, Some(Outcome::Refused { .. })),
            "row {seq}: {outcome:?}"
        );
    }
    assert!(index.page("demo").is_none());

    index.store.admit(good).await.unwrap();
    engine.turn().await.unwrap();
    assert_eq!(index.files("demo").len(), 1);
}

#[tokio::test]
async fn a_plain_name_that_is_taken_does_not_keep_the_index_from_publishing() {
    let index = TestIndex::new(16, BinForm::Succinct).await;
    let plain = index.folder.path().join("repository/packages/demo");
    std::fs::create_dir_all(&plain).unwrap();
    std::fs::write(
        plain.join("demo-1.0-py3-none-any.whl"),
        b"left from a backup",
    )
    .unwrap();
    let mut engine = index.engine().await;
    let seq = index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    assert!(index.published(seq).await);
    assert_eq!(index.page("demo").unwrap().files.len(), 1);
    drop(engine);
    let mut engine = index.engine().await;
    assert_eq!(engine.turn().await.unwrap(), Turn::Idle);
}

#[tokio::test]
async fn a_damaged_page_concerns_its_own_project_alone() {
    let index = TestIndex::new(2, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    let pages = index.folder.path().join("repository/targets/simple/demo");
    for page in std::fs::read_dir(pages).unwrap() {
        std::fs::write(page.unwrap().path(), b"damaged").unwrap();
    }
    let damaged = index
        .upload("demo-2.0-py3-none-any.whl", b"a newer wheel")
        .await;
    let sound = index.upload("other-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    let outcome = index.store.outcome(damaged).await.unwrap();
    assert!(
        matches!(&outcome, Some(Outcome::Refused { reason }) if reason.contains("damaged")),
        "{outcome:?}"
    );
    assert!(index.published(sound).await);
    assert_eq!(index.files("other").len(), 1);
}

#[tokio::test]
async fn an_old_style_name_is_read_as_its_project_says() {
    let index = TestIndex::new(2, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    let mut file = index.place("foo-1.0-1.tar.gz", b"an sdist").await;
    // Without its project the name could also be version 1 of `foo-1.0`.
    let from = wheelmark_objects::ObjectPath::file(&file.project, &file.sha256, &file.filename);
    let bytes = std::fs::read(index.tree.local_path(&from.unwrap())).unwrap();
    file.project = "foo".parse().unwrap();
    index.place_as(&file, &bytes).await;
    index.store.admit(file).await.unwrap();
    engine.turn().await.unwrap();
    assert_eq!(index.files("foo"), ["foo-1.0-1.tar.gz"]);
}

#[tokio::test]
async fn a_bin_that_was_put_in_the_place_of_another_is_noticed() {
    let index = TestIndex::new(2, BinForm::Succinct).await;
    drop(index.engine().await);
    let metadata = index.folder.path().join("repository/metadata");
    // Both are signed with the same key, and both are version 1.
    std::fs::copy(
        metadata.join("1.simple-0.json"),
        metadata.join("1.simple-1.json"),
    )
    .unwrap();
    let error = index.try_engine().await.err().expect("bins were swapped");
    let cause = std::error::Error::source(&error)
        .and_then(std::error::Error::source)
        .map(ToString::to_string);
    assert_eq!(
        cause.as_deref(),
        Some("metadata/1.simple-1.json does not state that it is the metadata of this role")
    );
}

#[tokio::test]
async fn a_store_older_than_the_tree_is_noticed() {
    let mut index = TestIndex::new(2, BinForm::Succinct).await;
    let mut engine = index.engine().await;
    index.upload("demo-1.0-py3-none-any.whl", b"a wheel").await;
    engine.turn().await.unwrap();
    drop(engine);
    // As after restoring a backup of the store, but not of the tree.
    index.store = wheelmark_store::Store::open(&index.folder.path().join("older.sqlite"))
        .await
        .unwrap();
    let error = index
        .try_engine()
        .await
        .err()
        .expect("the journal is empty");
    assert!(
        matches!(error, wheelmark_repository::OpenError::JournalBehind { .. }),
        "{error}"
    );
}

/// Writes a row into the journal past every check of the web process.
async fn intrude(index: &TestIndex, file: &wheelmark_store::NewFile) {
    let change = wheelmark_store::Change::FileAdded(file.clone());
    intrude_text(index, &serde_json::to_string(&change).unwrap()).await;
}

async fn intrude_text(index: &TestIndex, change: &str) {
    let change = change.replace('\'', "''");
    index
        .sql(&format!("INSERT INTO journal (change) VALUES ('{change}')"))
        .await;
}
