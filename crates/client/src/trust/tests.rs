#![expect(clippy::unwrap_used, reason = "a test may panic")]

use wheelmark_packaging::simple::{Hashes, PageFile, ProjectPage};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_tuf::{CacheName, Effect, RoleName, Sha256};

use super::*;

pub(super) fn record(simple: &str) -> IndexRecord {
    IndexRecord {
        urls: IndexUrls::new(simple, None, None).unwrap(),
        began: Began::Fingerprint,
        trusted_since: "2026-11-21T10:00:00Z".parse().unwrap(),
        first_root_version: 1,
        first_root_fingerprint: Sha256::of(b"root"),
    }
}

pub(super) fn store() -> (tempfile::TempDir, TrustStore) {
    let home = tempfile::tempdir().unwrap();
    let store = TrustStore::open(home.path()).unwrap();
    (home, store)
}

/// What is there besides the locks and the notes of what was signed.
fn visible(directory: &Path) -> usize {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with(".lock-") && !name.starts_with(".signed-"))
        .count()
}

#[tokio::test]
async fn an_index_is_kept_found_listed_and_removed() {
    let (_home, store) = store();
    let record = record("https://a.example/simple/");
    let simple = record.urls.simple().clone();
    assert!(store.find(&simple).unwrap().is_none());
    let added = store
        .begin(record.clone(), b"root", &[], None)
        .await
        .unwrap();
    assert_eq!(added.root().unwrap(), b"root");
    let found = store.find(&simple).unwrap().unwrap();
    assert_eq!(found.record(), &record);
    assert_eq!(store.list().unwrap().len(), 1);
    assert!(matches!(
        store.begin(record, b"other", &[], None).await,
        Err(TrustError::AlreadyTrusted { .. })
    ));
    assert_eq!(found.root().unwrap(), b"root");
    assert!(store.remove(&simple).await.unwrap());
    assert!(!store.remove(&simple).await.unwrap());
    assert!(store.list().unwrap().is_empty());
    assert_eq!(visible(&store.indexes), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_enter() {
    use std::os::unix::fs::PermissionsExt as _;
    let (home, store) = store();
    let added = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.indexes), 0o700);
    assert_eq!(mode(added.directory()), 0o700);
    assert_eq!(mode(&added.directory().join("root.json")), 0o600);
    added.keep_page(&"flask".parse().unwrap(), b"page").unwrap();
    assert_eq!(mode(&added.directory().join("pages")), 0o700);
    assert_eq!(mode(&added.directory().join("pages/flask.json")), 0o600);
    fs::set_permissions(&store.indexes, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(
        TrustStore::open(home.path()),
        Err(TrustError::Exposed { .. })
    ));
}

#[tokio::test]
async fn effects_are_done_and_names_stay_inside() {
    let (home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let role = |name: &str| name.parse::<RoleName>().unwrap();
    for name in ["..", "../../x", "a/b", "CON", "é", "."] {
        let file = CacheName::Delegated {
            delegator: role(name),
            role: role(name),
        };
        let bytes = name.as_bytes().to_vec();
        index.apply(&Effect::Persist { file, bytes }).unwrap();
        assert_eq!(
            index.delegated(&role(name), &role(name)).unwrap().unwrap(),
            name.as_bytes()
        );
    }
    let in_home: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert_eq!(in_home.len(), 1, "only `indexes`");
    assert_eq!(visible(&store.indexes), 1);

    let file = CacheName::Timestamp;
    let bytes = b"new".to_vec();
    index.apply(&Effect::Persist { file, bytes }).unwrap();
    assert_eq!(index.cached().unwrap().timestamp.unwrap(), b"new");
    let file = CacheName::Timestamp;
    index.apply(&Effect::Forget { file: file.clone() }).unwrap();
    index.apply(&Effect::Forget { file }).unwrap();
    assert!(index.cached().unwrap().timestamp.is_none());
}

/// A page of `flask` with one file for each version.
fn page(versions: &[u32]) -> Vec<u8> {
    let flask: ProjectName = "flask".parse().unwrap();
    let mut page = ProjectPage::new(flask.clone());
    page.files = versions
        .iter()
        .map(|version| {
            let name = format!("flask-{version}-py3-none-any.whl");
            let name = DistributionFilename::parse_for(&flask, &name).unwrap();
            PageFile::new(&flask, name, Hashes::new())
        })
        .collect();
    page.to_json()
}

#[tokio::test]
async fn names_are_remembered_and_damage_is_forgotten() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let project: ProjectName = "flask".parse().unwrap();
    assert!(index.remembered_names(&project).is_empty());
    let bytes = page(&[1, 2]);
    index.keep_page(&project, &bytes).unwrap();
    assert_eq!(index.kept_page(&project).unwrap(), bytes);
    assert_eq!(
        index.remembered_names(&project),
        ["flask-1-py3-none-any.whl", "flask-2-py3-none-any.whl"]
    );
    fs::write(index.directory().join("pages/flask.json"), &bytes[..40]).unwrap();
    assert!(index.remembered_names(&project).is_empty());
}

#[tokio::test]
async fn pages_that_many_write_at_once_are_always_one_of_them() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let project: ProjectName = "flask".parse().unwrap();
    let (few, many) = (page(&[1]), page(&(1..999).collect::<Vec<_>>()));
    index.keep_page(&project, &few).unwrap();
    std::thread::scope(|scope| {
        for page in [&few, &many] {
            scope.spawn(|| {
                for _ in 0..200 {
                    index.keep_page(&project, page).unwrap();
                }
            });
        }
        for _ in 0..200 {
            let kept = index.kept_page(&project).unwrap();
            assert!(kept == few || kept == many, "{}", kept.len());
        }
    });
    index.keep_page(&project, &page(&[3])).unwrap();
    assert_eq!(index.kept_page(&project).unwrap(), page(&[3]));
}

/// A write that ends in the middle has changed nothing yet.
#[tokio::test]
async fn pages_are_not_written_over() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let project: ProjectName = "flask".parse().unwrap();
    index.keep_page(&project, b"old").unwrap();
    let old = fs::File::open(index.directory().join("pages/flask.json")).unwrap();
    index.keep_page(&project, b"new").unwrap();
    assert_eq!(std::io::read_to_string(old).unwrap(), "old");
    assert_eq!(index.kept_page(&project).unwrap(), b"new");
    let left: Vec<_> = fs::read_dir(index.directory().join("pages"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "nothing is left beside them");
}

/// As on a disk that is full.
#[test]
fn a_page_that_could_not_be_written_leaves_no_half_of_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("flask.json");
    let full = create(&path, |file| {
        file.write_all(b"{\"files\": [")?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert!(!path.exists());
    create(&path, |file| file.write_all(b"whole")).unwrap();
    create(&path, |_| Ok(())).unwrap_err();
    assert_eq!(
        fs::read(&path).unwrap(),
        b"whole",
        "another's is not touched"
    );
}

#[tokio::test]
async fn copies_of_roles_are_private_and_the_last_one_stays() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let role: RoleName = "simple".parse().unwrap();
    let copy = |bytes: &[u8]| Effect::Persist {
        file: CacheName::Delegated {
            delegator: RoleName::targets(),
            role: role.clone(),
        },
        bytes: bytes.to_vec(),
    };
    let (short, long) = (copy(b"short"), copy(&[b'l'; 9_999]));
    std::thread::scope(|scope| {
        for effect in [&short, &long] {
            scope.spawn(|| (0..200).for_each(|_| index.apply(effect).unwrap()));
        }
    });
    index.apply(&short).unwrap();
    let kept = index.delegated(&RoleName::targets(), &role).unwrap();
    assert!(kept.unwrap() == b"short", "nothing of a longer one is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let path = index.directory().join("delegated/targets/simple.json");
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn records_of_another_time_are_said_to_be_so() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let path = index.directory().join(RECORD);
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, said) in [
        ("format = 1", "format = 2", "its format is 2"),
        ("format = 1", "", "no `format`"),
        ("began = \"fingerprint\"", "began = \"hearsay\"", "hearsay"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = store.list().unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn one_holds_the_lock_and_others_wait() {
    let (_home, store) = store();
    let index = store
        .begin(record("https://a.example/simple/"), b"root", &[], None)
        .await
        .unwrap();
    let held = index.lock().await.unwrap();
    let waiting = tokio::spawn({
        let index = index.clone();
        async move { index.lock().await.map(drop) }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    drop(held);
    waiting.await.unwrap().unwrap();
}

fn timestamp(bytes: &[u8]) -> Effect {
    Effect::Persist {
        file: CacheName::Timestamp,
        bytes: bytes.to_vec(),
    }
}

#[tokio::test]
async fn what_is_still_under_way_does_not_bring_a_removed_index_back() {
    let (_home, store) = store();
    let record = record("https://a.example/simple/");
    let simple = record.urls.simple().clone();
    let old = store.begin(record, b"root", &[], None).await.unwrap();
    assert!(store.remove(&simple).await.unwrap());
    let project: ProjectName = "flask".parse().unwrap();
    for ended in [
        old.apply(&timestamp(b"late")),
        old.keep_page(&project, b"late"),
        old.lock().await.map(drop),
    ] {
        assert!(
            matches!(ended, Err(TrustError::BegunAnew { .. })),
            "{ended:?}"
        );
    }
    assert_eq!(visible(&store.indexes), 0);
    // Not even past the check.
    for name in ["timestamp.json", "pages/flask.json", "delegated/a/b.json"] {
        for durability in [Durability::Synced, Durability::Whole, Durability::Cached] {
            assert!(old.write(name, b"late", durability).is_err());
        }
    }
    assert_eq!(visible(&store.indexes), 0);
}

#[tokio::test]
async fn an_earlier_trust_writes_nothing_into_a_later_one() {
    let (_home, store) = store();
    let first = record("https://a.example/simple/");
    let simple = first.urls.simple().clone();
    let second = IndexRecord {
        first_root_fingerprint: Sha256::of(b"another root"),
        ..first.clone()
    };
    let old = store.begin(first, b"root", &[], None).await.unwrap();
    assert!(store.remove(&simple).await.unwrap());
    let new = store
        .begin(second, b"another root", &[], None)
        .await
        .unwrap();
    let root = Effect::Persist {
        file: CacheName::Root,
        bytes: b"root 2".to_vec(),
    };
    for ended in [
        old.apply(&root),
        old.apply(&timestamp(b"late")),
        old.lock().await.map(drop),
    ] {
        assert!(
            matches!(ended, Err(TrustError::BegunAnew { .. })),
            "{ended:?}"
        );
    }
    assert_eq!(new.root().unwrap(), b"another root");
    assert!(new.cached().unwrap().timestamp.is_none());
    new.apply(&root).unwrap();
    assert_eq!(new.root().unwrap(), b"root 2");
}

#[tokio::test]
async fn trust_ends_and_begins_only_when_nobody_is_at_it() {
    let (_home, store) = store();
    let record = record("https://a.example/simple/");
    let simple = record.urls.simple().clone();
    let index = store
        .begin(record.clone(), b"root", &[], None)
        .await
        .unwrap();
    let held = index.lock().await.unwrap();
    let anew = tokio::spawn({
        let store = store.clone();
        async move {
            store.remove(&simple).await.unwrap();
            store
                .begin(record, b"another root", &[], None)
                .await
                .unwrap()
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(index.root().unwrap(), b"root");
    assert!(!anew.is_finished());
    drop(held);
    assert_eq!(anew.await.unwrap().root().unwrap(), b"another root");
}

pub(super) fn root_of(version: u64, says: &str) -> Vec<u8> {
    let expires = "2030-01-01T00:00:00Z";
    let signed = serde_json::json!({
        "_type": "root", "version": version, "expires": expires, "says": says,
    });
    let root = serde_json::json!({ "signed": signed, "signatures": [] });
    root.to_string().into_bytes()
}

/// What the system says of an index, with this root.
pub(super) async fn by_the_system(simple: &str, root: &[u8]) -> SystemIndex {
    let (_home, store) = store();
    let index = store.begin(record(simple), root, &[], None).await.unwrap();
    SystemIndex {
        file: "/etc/wheelmark/indexes/a.json".into(),
        handed: index.hand_over(record(simple).trusted_since).unwrap(),
    }
}

#[tokio::test]
async fn a_conflict_about_one_index_concerns_that_index_alone() {
    let (_home, store) = store();
    let (a, b) = ("https://a.example/simple/", "https://b.example/simple/");
    for simple in [a, b] {
        let root = root_of(1, "mine");
        store.begin(record(simple), &root, &[], None).await.unwrap();
    }
    let system = by_the_system(a, &root_of(1, "the system's")).await;
    let store = store
        .with_system(vec![system], record(a).trusted_since)
        .unwrap();
    let listed = store.list().unwrap();
    let is_usable: Vec<bool> = listed.iter().map(|index| index.root().is_ok()).collect();
    assert_eq!(is_usable, [false, true]);
    let conflict = store.find(&a.parse().unwrap()).unwrap_err();
    assert!(
        matches!(conflict, TrustError::Conflict { .. }),
        "{conflict}"
    );
    assert!(store.find(&b.parse().unwrap()).unwrap().is_some());
}

#[tokio::test]
async fn the_system_makes_signed_what_was_only_configured() {
    let (_home, store) = store();
    let simple = "https://a.example/simple/";
    let now = "2026-11-21T10:00:00Z".parse().unwrap();
    let urls = IndexUrls::new(simple, None, None).unwrap();
    store.use_configured(urls.clone(), now).await.unwrap();
    let system = by_the_system(simple, &root_of(1, "a")).await;
    let file = system.file.clone();
    let with = store.clone().with_system(vec![system], now).unwrap();
    let found = with.find(urls.simple()).unwrap().unwrap();
    assert!(found.is_signed() && found.system_file() == Some(&*file));
    // Nor is it unsigned again when the system takes it back.
    let refused = store.use_configured(urls, now).await;
    assert!(
        matches!(refused, Err(NotUsed::Chosen { ended: true, .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn trust_begins_anew_where_the_system_took_its_own_back() {
    let (_home, store) = store();
    let simple = "https://a.example/simple/";
    let system = by_the_system(simple, &root_of(1, "the system's")).await;
    let now = record(simple).trusted_since;
    let with_system = store.clone().with_system(vec![system], now).unwrap();
    assert_eq!(with_system.list().unwrap().len(), 1);
    assert!(store.list().unwrap().is_empty());
    let root = root_of(1, "mine");
    let index = store.begin(record(simple), &root, &[], None).await;
    assert_eq!(index.unwrap().root().unwrap(), root);
    assert_eq!(visible(&store.indexes), 1);
}

#[cfg(unix)]
#[test]
fn what_others_could_have_put_there_is_not_read() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("indexes");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("a.json");
    fs::write(&file, "{}").unwrap();
    let owners = [fs::metadata(&file).unwrap().uid()];
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for path in [above.path(), &directory, &file] {
        set(above.path(), 0o755).unwrap();
        set(&directory, 0o755).unwrap();
        set(&file, 0o644).unwrap();
        assert!(matches!(
            system_indexes(&directory, &owners),
            Err(TrustError::Record { .. })
        ));
        let open = if path.is_dir() { 0o777 } else { 0o666 };
        set(path, open).unwrap();
        let error = system_indexes(&directory, &owners).unwrap_err();
        let TrustError::Unguarded { path: told, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(told, path);
    }
}
