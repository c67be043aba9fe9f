//! An index with a mirror: what one source does wrong costs a retry at the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::SignedDuration;
use wheelmark_client::{
    Beginning, CHUNK_LEN, FetchError, IndexUrls, Mirror, MirrorState, Patience, Reader,
    RefreshFailure, Remote, SourceWarning, TrustError, TrustStore, TrustedIndex, Turn, add_trust,
    check_mirror,
};
use wheelmark_tuf::Clock as _;

use crate::index::{Chunks, LARGE, SMALL, TestIndex, UNLISTED, large, metadata, small, tamper};
use crate::setup::{Front, PLAIN, remote};
use crate::web::{At, Fault, Web};

/// Their files alone, and nothing that is named after them.
const SMALL_FILE: &str = "demo-1.0-py3-none-any.whl$";
const LARGE_FILE: &str = "demo-2.0-py3-none-any.whl$";
const UNLISTED_FILE: &str = "demo-3.0-py3-none-any.whl$";

/// An index at `own`, and a copy of its tree at `mirror` that is made when it is told.
struct Pair {
    index: TestIndex,
    own: Web,
    mirror: Web,
    copy: tempfile::TempDir,
    home: tempfile::TempDir,
    trusted: TrustedIndex,
}

impl Pair {
    async fn new() -> Self {
        Self::with(Turn::After).await
    }

    async fn with(turn: Turn) -> Self {
        let index = TestIndex::with_files().await;
        let own = Web::serve(&index.path("")).await;
        let copy = tempfile::tempdir().unwrap();
        let mirror = Web::serve(copy.path()).await;
        copy_tree(&index.path(""), copy.path());
        let home = tempfile::tempdir().unwrap();
        let listed = Mirror::new(Some(&mirror.base), None, None, turn).unwrap();
        let urls = IndexUrls::new(&own.simple(), None, None).unwrap();
        let trusted = add_trust(
            &TrustStore::open(home.path()).unwrap(),
            &remote(),
            urls.with_mirrors(vec![listed]),
            Beginning::Fingerprint(index.fingerprint),
            index.clock.now(),
        )
        .await
        .unwrap();
        own.asked();
        mirror.asked();
        Self {
            index,
            own,
            mirror,
            copy,
            home,
            trusted,
        }
    }

    fn reader(&self) -> Arc<Reader> {
        self.reader_by(remote())
    }

    fn reader_by(&self, remote: Remote) -> Arc<Reader> {
        let clock = self.index.clock.clone();
        Arc::new(Reader::new(self.trusted.clone(), remote, clock, PLAIN))
    }

    /// A new version of the index's state, of which the mirror has not heard.
    async fn publish(&mut self, filename: &str) {
        self.index.add(filename, b"new", Chunks::Listed).await;
        self.index.publish().await;
    }

    fn update_mirror(&self) {
        copy_tree(&self.index.path(""), self.copy.path());
    }

    fn own_name(&self) -> String {
        format!("the index itself, {}", self.own.simple())
    }

    fn mirror_name(&self) -> String {
        format!("mirror {}/", self.mirror.base)
    }
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&from, &to);
        } else {
            std::fs::write(to, std::fs::read(from).unwrap()).unwrap();
        }
    }
}

/// Short, where a test waits for the time to pass; nothing honest is asked to be quick.
fn impatient() -> Remote {
    let patience = Patience {
        silence: Duration::from_secs(2),
        start: Duration::from_secs(1),
        grace: Duration::from_secs(1),
        ..Patience::default()
    };
    Remote::with_patience("wheelmark-test", patience).unwrap()
}

fn only(warnings: Vec<SourceWarning>) -> SourceWarning {
    let [only] = &warnings[..] else {
        panic!("{warnings:#?}");
    };
    only.clone()
}

/// What the installer gets of everything that there is, and what is told about the sources.
async fn install_everything(reader: Arc<Reader>) -> Vec<SourceWarning> {
    let front = Front::new(reader.clone()).await;
    for (path, expected) in [
        (SMALL.to_owned(), small()),
        (LARGE.to_owned(), large()),
        (format!("{SMALL}.metadata"), metadata(SMALL)),
    ] {
        let answer = front.get_file(&path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.bytes().await.unwrap() == expected, "{path}");
    }
    assert!(!front.ledger.any_refused());
    reader.warnings()
}

#[tokio::test]
async fn whatever_one_source_does_to_whatever_there_is_the_other_one_helps() {
    let objects = [
        ("root", "2.root.json"),
        ("timestamp", "timestamp.json"),
        ("snapshot", ".snapshot.json"),
        ("bin", ".simple-"),
        ("page", "/simple/demo/"),
        ("file", "demo-1.0-py3-none-any.whl$"),
        ("core metadata", ".whl.metadata"),
        ("chunk list", ".chunks"),
        ("large file", "demo-2.0-py3-none-any.whl$"),
    ];
    type Lie = (&'static str, fn(&'static str) -> Fault, &'static str);
    let lies: [Lie; 6] = [
        (
            "500",
            |word| Fault::Answers(word, StatusCode::INTERNAL_SERVER_ERROR),
            "500",
        ),
        (
            "404",
            |word| Fault::Answers(word, StatusCode::NOT_FOUND),
            "",
        ),
        (
            "elsewhere",
            |word| Fault::Redirects(word, "http://127.0.0.2:9".into()),
            "redirects",
        ),
        ("flood", Fault::Floods, ""),
        (
            "other bytes",
            |word| Fault::Says(word, Bytes::from_static(b"{}")),
            "",
        ),
        ("broken off", |word| Fault::Breaks(word, 3), ""),
    ];
    // A new root of which only the mirror knows, so that the roots are asked for, too.
    for (object, word) in objects {
        let pair = Pair::new().await;
        for (lie, fault, said) in lies {
            // What is cached would not be asked for: trust begins anew each time.
            let store_at = tempfile::tempdir().unwrap();
            let trusted = add_trust(
                &TrustStore::open(store_at.path()).unwrap(),
                &remote(),
                pair.trusted.urls().clone(),
                Beginning::Fingerprint(pair.index.fingerprint),
                pair.index.clock.now(),
            )
            .await
            .unwrap();
            for file in ["timestamp.json", "snapshot.json", "targets.json"] {
                std::fs::remove_file(trusted.directory().join(file)).unwrap();
            }
            pair.own.set_fault(fault(word));
            let clock = pair.index.clock.clone();
            let reader = Arc::new(Reader::new(trusted, remote(), clock, PLAIN));
            let warnings = install_everything(reader).await;
            pair.own.set_fault(Fault::None);
            if object == "root" && ["404", "broken off"].contains(&lie) {
                // There is no second root, and nothing of it to break off.
                assert_eq!(warnings, [], "{object}, {lie}");
                continue;
            }
            let [warning] = &warnings[..] else {
                panic!("{object}, {lie}: {warnings:#?}");
            };
            assert_eq!(warning.source, pair.own_name(), "{object}, {lie}");
            assert!(warning.what.contains(said), "{object}, {lie}: {warning:?}");
        }
    }
}

#[tokio::test]
async fn who_failed_is_asked_last_and_told_of_once() {
    let pair = Pair::new().await;
    let gone = Fault::Answers("targets", StatusCode::NOT_FOUND);
    pair.own.set_fault(gone);
    let reader = pair.reader();
    let warning = only(install_everything(reader.clone()).await);
    assert_eq!(warning.source, pair.own_name());
    assert_eq!(
        warning.what,
        "the page simple/demo/index.json: it is signed for, but not there"
    );
    let own = pair.own.asked();
    let objects = own.iter().filter(|path| path.contains("/targets/"));
    assert_eq!(
        objects.count(),
        1,
        "one request was enough to know: {own:?}"
    );

    // An hour later it gets another chance.
    pair.own.set_fault(Fault::None);
    pair.index.clock.forward(wheelmark_client::ASKED_LAST_FOR);
    assert_eq!(install_everything(reader).await, []);
    let own = pair.own.asked();
    assert!(own.iter().any(|path| path.ends_with(SMALL)), "{own:?}");
}

#[tokio::test]
async fn a_mirror_nearby_is_asked_first() {
    let pair = Pair::with(Turn::Before).await;
    assert_eq!(install_everything(pair.reader()).await, []);
    assert!(pair.mirror.asked().iter().any(|path| path.ends_with(SMALL)));
    assert!(
        !pair
            .own
            .asked()
            .iter()
            .any(|path| path.contains("targets/"))
    );
}

#[tokio::test]
async fn a_large_file_goes_on_where_it_broke() {
    let chunk = CHUNK_LEN as usize;
    let rest = |first: u64| format!("bytes={}-{}", first * CHUNK_LEN, large().len() - 1);
    for (fault, expected) in [
        (Fault::Breaks(LARGE_FILE, 2 * chunk + 10), rest(2)),
        (Fault::Alters(LARGE_FILE, At::Byte(3 * chunk)), rest(3)),
        (Fault::Alters(LARGE_FILE, At::Byte(5 * chunk + 1)), rest(5)),
    ] {
        for ignores_ranges in [false, true] {
            let pair = Pair::new().await;
            pair.own.set_fault(fault.clone());
            if ignores_ranges {
                pair.mirror.set_fault(Fault::IgnoresRanges);
            }
            only(install_everything(pair.reader()).await);
            let asked = pair.mirror.asked();
            let of_file: Vec<_> = asked
                .iter()
                .filter(|path| path.contains(&format!("{LARGE} bytes")) || path.ends_with(LARGE))
                .collect();
            assert_eq!(of_file.len(), 1, "{asked:?}");
            assert!(of_file[0].ends_with(&expected), "{fault:?}: {of_file:?}");
        }
    }
}

#[tokio::test]
async fn two_bad_sources_may_make_one_good_file() {
    let pair = Pair::new().await;
    let chunk = CHUNK_LEN as usize;
    pair.own
        .set_fault(Fault::Alters(LARGE_FILE, At::Byte(chunk)));
    pair.mirror
        .set_fault(Fault::Alters(LARGE_FILE, At::Byte(4 * chunk)));
    let warnings = install_everything(pair.reader()).await;
    assert_eq!(warnings.len(), 2, "{warnings:#?}");

    // But not where both have the same chunk wrong.
    pair.mirror
        .set_fault(Fault::Alters(LARGE_FILE, At::Byte(chunk + 7)));
    let front = Front::new(pair.reader()).await;
    let mut answer = front.get_file(LARGE).await;
    let mut came = 0;
    while let Ok(Some(part)) = answer.chunk().await {
        came += part.len();
    }
    assert_eq!(came, chunk, "the good chunk, and nothing of a bad one");
    let refused = &front.ledger.report(Vec::new()).refused[0].failed;
    assert!(refused.contains(&pair.own_name()), "{refused}");
    assert!(refused.contains(&pair.mirror_name()), "{refused}");
    pair.own.asked();
    pair.mirror.asked();
    assert_eq!(front.get_file(LARGE).await.status(), 409);
    assert_eq!((pair.own.asked(), pair.mirror.asked()), (vec![], vec![]));
}

#[tokio::test]
async fn a_verdict_needs_every_source_and_names_them() {
    let pair = Pair::new().await;
    let altered = Fault::Alters(SMALL_FILE, At::Middle);
    let down = Fault::Answers(SMALL, StatusCode::BAD_GATEWAY);
    let gone = Fault::Answers(SMALL, StatusCode::NOT_FOUND);
    for (own, mirror, status) in [
        (altered.clone(), down.clone(), 409),
        (down.clone(), altered.clone(), 409),
        (gone.clone(), down.clone(), 409),
        (down.clone(), down.clone(), 424),
    ] {
        pair.own.set_fault(own.clone());
        pair.mirror.set_fault(mirror.clone());
        let reader = pair.reader();
        let front = Front::new(reader.clone()).await;
        let answer = front.get_file(SMALL).await;
        assert_eq!(answer.status(), status, "{own:?}, {mirror:?}");
        let body: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(&pair.own_name()), "{detail}");
        assert!(detail.contains(&pair.mirror_name()), "{detail}");
        // A verdict stands for the run; what could not be had may be had next time.
        pair.own.set_fault(Fault::None);
        let is_final = own == altered || mirror == altered;
        let again = front.get_file(SMALL).await.status();
        assert_eq!(
            again,
            if is_final { 409 } else { 200 },
            "{own:?}, {mirror:?}"
        );
    }
}

#[tokio::test]
async fn without_a_chunk_list_whoever_asks_again_gets_it_from_the_next() {
    let pair = Pair::new().await;
    pair.own.set_fault(Fault::Alters(UNLISTED_FILE, At::Middle));
    let front = Front::new(pair.reader()).await;
    let cut = front.get_file(UNLISTED).await.bytes().await;
    assert!(cut.is_err(), "the last chunk is withheld");
    assert!(!front.ledger.any_refused());
    let answer = front.get_file(UNLISTED).await;
    assert!(answer.bytes().await.unwrap() == large());

    // Where the next one is no better, that is a verdict.
    pair.mirror
        .set_fault(Fault::Alters(UNLISTED_FILE, At::Middle));
    let front = Front::new(pair.reader()).await;
    for _ in 0..2 {
        assert!(front.get_file(UNLISTED).await.bytes().await.is_err());
    }
    assert!(front.ledger.any_refused());
    assert_eq!(front.get_file(UNLISTED).await.status(), 409);
}

#[tokio::test]
async fn the_newest_timestamp_wins_and_who_is_behind_is_told() {
    for mirror_first in [Turn::Before, Turn::After] {
        let mut pair = Pair::with(mirror_first).await;
        pair.publish("demo-4.0.tar.gz").await;
        let reader = pair.reader();
        assert_eq!(reader.refresh().await.unwrap(), 3);
        let warning = only(reader.warnings());
        assert_eq!(warning.source, pair.mirror_name());
        let said = "is behind: its state is version 2, valid until 20";
        assert!(warning.what.starts_with(said), "{warning:?}");
        assert!(warning.what.ends_with("version 3 is known"), "{warning:?}");
        // What it has is used all the same, after the others.
        pair.own
            .set_fault(Fault::Answers(SMALL, StatusCode::NOT_FOUND));
        let front = Front::new(reader).await;
        assert_eq!(front.get_file(SMALL).await.status(), 200);
    }
}

#[tokio::test]
async fn behind_the_mirrors_of_an_index_that_is_down() {
    let mut pair = Pair::new().await;
    pair.own
        .set_fault(Fault::Answers("", StatusCode::BAD_GATEWAY));
    let reader = pair.reader();
    assert_eq!(reader.refresh().await.unwrap(), 2);
    assert_eq!(only(reader.warnings()).source, pair.own_name());

    // The mirror goes back, while the index itself is down: the cached state goes on.
    pair.own.set_fault(Fault::None);
    let old = std::fs::read(pair.copy.path().join("metadata/timestamp.json")).unwrap();
    pair.publish("demo-4.0.tar.gz").await;
    pair.update_mirror();
    assert_eq!(pair.reader().refresh().await.unwrap(), 3);
    std::fs::write(pair.copy.path().join("metadata/timestamp.json"), old).unwrap();
    pair.own
        .set_fault(Fault::Answers("", StatusCode::BAD_GATEWAY));
    let reader = pair.reader();
    assert_eq!(reader.refresh().await.unwrap(), 3);
    let warnings = reader.warnings();
    let behind = warnings.iter().find(|w| w.source == pair.mirror_name());
    assert!(behind.unwrap().what.contains("is behind"), "{warnings:#?}");
    let front = Front::new(reader).await;
    let page = front.page().await;
    assert_eq!(page["files"].as_array().unwrap().len(), 4);

    // Not for longer than it is valid.
    pair.index.clock.forward(SignedDuration::from_hours(25));
    match &*pair.reader().refresh().await.unwrap_err() {
        RefreshFailure::EverySource { what, tried } => {
            assert_eq!(what, "timestamp.json");
            assert!(matches!(
                tried[..],
                [
                    (_, RefreshFailure::Refused { .. } | RefreshFailure::Fetch(_)),
                    _
                ]
            ));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_timestamp_alone_keeps_nobody_from_an_install() {
    let mut pair = Pair::new().await;
    pair.publish("demo-4.0.tar.gz").await;
    // One source has the new timestamp and nothing that it names, the other the old state whole.
    pair.own
        .set_fault(Fault::Answers("3.snapshot", StatusCode::NOT_FOUND));
    let store_at = tempfile::tempdir().unwrap();
    let trusted = add_trust(
        &TrustStore::open(store_at.path()).unwrap(),
        &remote(),
        pair.trusted.urls().clone(),
        Beginning::Fingerprint(pair.index.fingerprint),
        pair.index.clock.now(),
    )
    .await
    .unwrap();
    assert_eq!(trusted.state().unwrap().timestamp.unwrap().version, 2);
    // Nor does it the next time: the timestamp is no floor before its snapshot was seen.
    let mut reader = None;
    for _ in 0..2 {
        let (trusted, clock) = (trusted.clone(), pair.index.clock.clone());
        let this = Arc::new(Reader::new(trusted, remote(), clock, PLAIN));
        assert_eq!(this.refresh().await.unwrap(), 2);
        let warnings = this.warnings();
        let said = "nobody has all of it; version 2 is used";
        assert!(
            warnings.iter().any(|w| w.what.contains(said)),
            "{warnings:#?}"
        );
        reader = Some(this);
    }
    let reader = reader.unwrap();
    // When the attack ends, so does this.
    pair.own.set_fault(Fault::None);
    pair.index
        .clock
        .forward(wheelmark_client::RUN_VIEW_LIFETIME);
    assert_eq!(reader.refresh().await.unwrap(), 3);
}

#[tokio::test]
async fn the_next_root_may_come_from_any_source() {
    let pair = Pair::new().await;
    let first = std::fs::read(pair.index.path("metadata/1.root.json")).unwrap();
    pair.index.publish_second_root(&first);
    pair.update_mirror();
    for fault in [
        Fault::Answers("root", StatusCode::NOT_FOUND),
        Fault::Answers("root", StatusCode::BAD_GATEWAY),
        Fault::Says("2.root", Bytes::from(first.clone())),
        Fault::Alters("2.root", At::Middle),
    ] {
        let store_at = tempfile::tempdir().unwrap();
        let store = TrustStore::open(store_at.path()).unwrap();
        let urls = pair.trusted.urls().clone();
        let from = pair.index.path("metadata/1.root.json");
        let bytes = first.clone();
        pair.own.set_fault(fault.clone());
        let now = pair.index.clock.now();
        let root = Beginning::Root { bytes, from };
        let trusted = add_trust(&store, &remote(), urls, root, now).await.unwrap();
        assert_eq!(trusted.state().unwrap().root.version, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn an_error_names_every_source() {
    let pair = Pair::new().await;
    pair.own
        .set_fault(Fault::Answers("timestamp", StatusCode::BAD_GATEWAY));
    pair.mirror
        .set_fault(Fault::Alters("timestamp", At::Byte(150)));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(failure.is_refusal());
    let text = failure.to_string();
    for part in [
        &pair.own_name(),
        "502",
        &pair.mirror_name(),
        "timestamp.json failed verification",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    pair.mirror
        .set_fault(Fault::Answers("timestamp", StatusCode::NOT_FOUND));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(
        failure.to_string().contains("missing from the repository"),
        "{failure}"
    );
    pair.mirror
        .set_fault(Fault::Answers("timestamp", StatusCode::BAD_GATEWAY));
    let failure = pair.reader().refresh().await.unwrap_err();
    assert!(!failure.is_refusal(), "{failure}");
}

#[tokio::test]
async fn silence_and_slowness_send_us_to_the_next() {
    for (fault, said) in [
        (Fault::Silent(LARGE_FILE, 2000), "was silent"),
        (Fault::Silent(LARGE_FILE, 0), "was silent"),
        (Fault::Slow(LARGE_FILE, 4000), "bytes a second"),
        (Fault::Silent("simple", 0), "was silent"),
        (Fault::Silent("timestamp", 0), "no answer yet"),
    ] {
        let pair = Pair::new().await;
        pair.own.set_fault(fault.clone());
        let warning = only(install_everything(pair.reader_by(impatient())).await);
        assert_eq!(warning.source, pair.own_name(), "{fault:?}");
        assert!(warning.what.contains(said), "{fault:?}: {warning:?}");
    }
}

#[tokio::test]
async fn the_last_source_may_be_slow_and_not_silent() {
    let pair = Pair::new().await;
    let hasty = Patience {
        slowest_rate: 1 << 20,
        start: Duration::from_millis(500),
        ..Patience::default()
    };
    let hasty = Remote::with_patience("wheelmark-test", hasty).unwrap();
    let slow = Fault::Slow(SMALL_FILE, 40_000);
    pair.own.set_fault(slow.clone());
    let warning = only(install_everything(pair.reader_by(hasty.clone())).await);
    assert!(warning.what.contains("bytes a second"), "{warning:?}");

    let gone = Fault::Answers("targets", StatusCode::BAD_GATEWAY);
    pair.own.set_fault(gone);
    pair.mirror.set_fault(slow);
    let warnings = install_everything(pair.reader_by(hasty)).await;
    let sources: Vec<_> = warnings.iter().map(|warning| &warning.source).collect();
    assert_eq!(sources, [&pair.own_name(), &pair.mirror_name()]);

    pair.mirror.set_fault(Fault::Silent(SMALL_FILE, 50_000));
    let front = Front::new(pair.reader_by(impatient())).await;
    let answer = front.get_file(SMALL).await;
    assert_eq!(answer.status(), 424);
    let body = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
    assert!(body.contains("was silent for 2 s"), "{body}");
}

#[tokio::test]
async fn mirrors_come_and_go_without_trust_beginning_anew() {
    let pair = Pair::new().await;
    let reader = pair.reader();
    let store = TrustStore::open(pair.home.path()).unwrap();
    let find = || store.find(pair.trusted.urls().simple()).unwrap().unwrap();
    assert_eq!(
        find().record(),
        pair.trusted.record(),
        "the record holds the mirrors"
    );

    let files = Mirror::new(None, None, Some("http://m.example/files"), Turn::Before).unwrap();
    let mut index = find();
    assert!(index.add_mirror(files.clone()).await.unwrap());
    assert!(!find().add_mirror(files.clone()).await.unwrap(), "once");
    assert_eq!(find().urls().mirrors().len(), 2);
    assert_eq!(find().urls().mirrors()[1], files);
    // A run that began before goes on.
    assert_eq!(reader.refresh().await.unwrap(), 2);

    for mirror in find().urls().mirrors() {
        assert!(find().remove_mirror(mirror).await.unwrap());
    }
    assert!(!find().remove_mirror(&files).await.unwrap());
    // Without mirrors the record is what it was before there were any.
    let text = std::fs::read_to_string(pair.trusted.directory().join("index.toml")).unwrap();
    assert!(!text.contains("mirror"), "{text}");
    store.remove(pair.trusted.urls().simple()).await.unwrap();
    assert!(matches!(
        index.add_mirror(files).await,
        Err(TrustError::BegunAnew { .. })
    ));
}

#[tokio::test]
async fn what_a_mirror_has_is_told_when_it_is_added() {
    let mut pair = Pair::new().await;
    let listed = pair.trusted.urls().mirrors()[0].clone();
    let now = pair.index.clock.now();
    let check = async |mirror: &Mirror| {
        check_mirror(&pair.trusted, mirror, &remote(), now)
            .await
            .unwrap()
    };
    assert!(matches!(
        check(&listed).await,
        MirrorState::Current { version: 2 }
    ));
    let files = Mirror::new(
        None,
        None,
        Some(&format!("{}/targets", pair.mirror.base)),
        Turn::After,
    );
    assert!(matches!(
        check(&files.unwrap()).await,
        MirrorState::TargetsAlone
    ));
    let nobody = Mirror::new(Some("http://127.0.0.1:9/"), None, None, Turn::After).unwrap();
    assert!(matches!(
        check(&nobody).await,
        MirrorState::Down(RefreshFailure::Fetch(FetchError::Connect { .. }))
    ));
    let bad = tamper(&pair.copy.path().join("metadata/timestamp.json"), 150);
    assert!(matches!(check(&listed).await, MirrorState::Bad(_)));
    bad.undo();
    pair.publish("demo-4.0.tar.gz").await;
    pair.reader().refresh().await.unwrap();
    let now = pair.index.clock.now();
    let state = check_mirror(&pair.trusted, &listed, &remote(), now)
        .await
        .unwrap();
    assert!(
        matches!(
            state,
            MirrorState::Behind {
                version: 2,
                known: 3
            }
        ),
        "{state:?}"
    );
}
