#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use wheelmark_tuf::{Clock, Sha256};

use super::*;
use crate::index::IndexUrls;
use crate::reader::{Freshness, ReaderOptions};
use crate::remote::Remote;
use crate::trust::{Began, IndexRecord, TrustStore};

struct Never;

impl Clock for Never {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

struct Trusted {
    _home: tempfile::TempDir,
    store: TrustStore,
    root: &'static [u8],
}

impl Trusted {
    fn new() -> Self {
        Self::from(b"root")
    }

    fn from(root: &'static [u8]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = TrustStore::open(home.path()).unwrap();
        Self {
            _home: home,
            store,
            root,
        }
    }

    async fn reader(
        &self,
        simple: &str,
        metadata: Option<&str>,
        targets: Option<&str>,
    ) -> Arc<Reader> {
        let record = IndexRecord {
            urls: IndexUrls::new(simple, metadata, targets).unwrap(),
            began: Began::Fingerprint,
            trusted_since: "2026-11-21T10:00:00Z".parse().unwrap(),
            first_root_version: 1,
            first_root_fingerprint: Sha256::of(self.root),
        };
        let index = self.store.begin(record, b"root", &[], None).await.unwrap();
        let options = ReaderOptions {
            freshness: Freshness::Once,
            strict: false,
        };
        let remote = Remote::new("wheelmark-test").unwrap();
        Arc::new(Reader::new(index, remote, Arc::new(Never), options))
    }
}

fn rule(number: usize, projects: &[&str], index: &str, terminating: bool) -> MapRule {
    MapRule {
        origin: RuleOrigin {
            file: PathBuf::from("wheelmark.toml"),
            number,
        },
        projects: projects.iter().map(|&p| p.to_owned()).collect(),
        indexes: vec![index.parse().unwrap()],
        threshold: 1,
        terminating,
    }
}

const A: &str = "https://a.example/simple/";
const B: &str = "https://b.example:8443/team/simple/";

#[tokio::test]
async fn why_a_project_has_no_home_is_told() {
    let trusted = Trusted::new();
    let a = trusted.reader(A, None, None).await;
    let b = trusted.reader(B, None, None).await;
    let rules = vec![
        rule(1, &["acme-*"], A, true),
        rule(2, &["f*"], A, false),
        rule(3, &["fl*"], B, true),
    ];
    let homes = Homes::mapped(a.clone(), vec![b], rules).unwrap();
    let absence = |homes: &Homes, name: &str| homes.absence(&name.parse().unwrap());
    let said = absence(&homes, "numpy");
    assert!(
        said.contains("no index is the home of numpy") && said.contains("wheelmark.toml"),
        "{said}"
    );
    let said = absence(&homes, "acme-x");
    assert!(
        said.contains(A) && !said.contains(B) && said.contains("wheelmark.toml"),
        "{said}"
    );
    let said = absence(&homes, "flask");
    assert!(said.contains(A) && said.contains(B), "{said}");
    assert!(absence(&Homes::only(a), "flask").contains(A));
}

#[tokio::test]
async fn what_was_fetched_under_one_configuration_is_not_found_under_another() {
    let trusted = Trusted::new();
    let a = trusted.reader(A, None, None).await;
    let b = trusted.reader(B, None, None).await;
    let to_a = || vec![rule(1, &["*"], A, true)];
    let of = |homes: Result<Homes, MapError>| homes.unwrap().identity();
    let first = of(Homes::mapped(a.clone(), vec![b.clone()], to_a()));
    let again = of(Homes::mapped(a.clone(), vec![b.clone()], to_a()));
    assert_eq!(first, again);
    let anew = Trusted::from(b"another root");
    let a_anew = anew.reader(A, None, None).await;
    let others = [
        of(Homes::mapped(a_anew.clone(), vec![b.clone()], to_a())),
        Homes::only(a.clone()).identity(),
        of(Homes::mapped(a.clone(), vec![], to_a())),
        of(Homes::mapped(
            a.clone(),
            vec![b.clone()],
            vec![rule(1, &["*"], B, true)],
        )),
        of(Homes::mapped(
            a.clone(),
            vec![b.clone()],
            vec![rule(1, &["*"], A, false)],
        )),
    ];
    assert_ne!(
        Homes::only(a_anew).identity(),
        Homes::only(a.clone()).identity()
    );
    for other in others {
        assert_ne!(first, other);
    }
}
