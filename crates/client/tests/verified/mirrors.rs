//! An index with a mirror: what one source does wrong costs a retry at the other.

mod listing;
mod order;
mod patience;
mod states;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use wheelmark_client::{
    Beginning, CHUNK_LEN, IndexUrls, Mirror, Reader, Remote, SourceWarning, TrustStore,
    TrustedIndex, Turn, add_trust,
};
use wheelmark_tuf::Clock as _;

use crate::index::{Chunks, LARGE, SMALL, TestIndex, UNLISTED, large, metadata, small};
use crate::setup::{Front, PLAIN, remote};
use wheelmark_testing::{At, Fault, Web};

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

fn only(warnings: Vec<SourceWarning>) -> SourceWarning {
    let [only] = &warnings[..] else {
        panic!("{warnings:#?}");
    };
    only.clone()
}

/// What the installer gets of everything that there is, and what is told about the sources.
async fn install_everything(reader: Arc<Reader>) -> Vec<SourceWarning> {
    install(reader, &[SMALL, LARGE]).await
}

async fn install(reader: Arc<Reader>, files: &[&str]) -> Vec<SourceWarning> {
    let front = Front::new(reader.clone()).await;
    for file in files {
        let expected = if *file == LARGE { large() } else { small() };
        let answer = front.get_file(file).await;
        assert_eq!(answer.status(), 200, "{file}");
        assert!(answer.bytes().await.unwrap() == expected, "{file}");
        let path = format!("{file}.metadata");
        let expected = metadata(file);
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
            let large = ["chunk list", "large file"].contains(&object);
            let warnings = install(reader, &[if large { LARGE } else { SMALL }]).await;
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
    for (own, mirror, status, again) in [
        (altered.clone(), altered.clone(), 409, 409),
        (altered.clone(), down.clone(), 409, 200),
        (down.clone(), altered.clone(), 409, 200),
        (altered.clone(), gone.clone(), 409, 200),
        (gone.clone(), down.clone(), 409, 200),
        (down.clone(), down.clone(), 424, 200),
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
        // A verdict stands for the run; what one of them did not have, it may have next time.
        pair.own.set_fault(Fault::None);
        let status = front.get_file(SMALL).await.status();
        assert_eq!(status, again, "{own:?}, {mirror:?}");
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

    // Whatever else the next one did before.
    pair.mirror.set_fault(Fault::Alters(SMALL_FILE, At::Middle));
    pair.own.set_faults([
        Fault::Answers(SMALL_FILE, StatusCode::BAD_GATEWAY),
        Fault::Alters(UNLISTED_FILE, At::Middle),
    ]);
    let front = Front::new(pair.reader()).await;
    assert_eq!(front.get_file(SMALL).await.status(), 409);
    assert!(front.get_file(UNLISTED).await.bytes().await.is_err());
    let answer = front.get_file(UNLISTED).await;
    assert!(answer.bytes().await.unwrap() == large());

    // What two sent together says nothing about either of them.
    let pair = Pair::new().await;
    let cut_short = Fault::AltersAndBreaks(UNLISTED_FILE, CHUNK_LEN as usize + 10);
    pair.own.set_fault(cut_short);
    let reader = pair.reader();
    let front = Front::new(reader.clone()).await;
    assert!(front.get_file(UNLISTED).await.bytes().await.is_err());
    let answer = front.get_file(UNLISTED).await;
    assert!(answer.bytes().await.unwrap() == large());
    assert_eq!(only(reader.warnings()).source, pair.own_name());

    // Where the next one is no better, that is a verdict.
    pair.own.set_fault(Fault::Alters(UNLISTED_FILE, At::Middle));
    pair.mirror
        .set_fault(Fault::Alters(UNLISTED_FILE, At::Middle));
    let front = Front::new(pair.reader()).await;
    for _ in 0..2 {
        assert!(front.get_file(UNLISTED).await.bytes().await.is_err());
    }
    assert!(front.ledger.any_refused());
    assert_eq!(front.get_file(UNLISTED).await.status(), 409);
}
