//! Several indexes, each signed, and one home for each project.

use std::sync::Arc;

use http::StatusCode;
use wheelmark_client::{
    Entrance, Failure, Home, Homes, MapRule, Reader, Refusal, RuleOrigin, Subject,
};

use crate::index::{Chunks, TestIndex};
use crate::setup::{Front, SECRET, Setup};
use wheelmark_testing::Fault;

const WHEEL: &str = "demo-1.0-py3-none-any.whl";
const NEWER: &str = "demo-2.0-py3-none-any.whl";

/// An index that has these files.
async fn index(files: &[(&str, &[u8])]) -> Setup {
    let mut index = TestIndex::new().await;
    for (name, content) in files {
        index.add(name, content, Chunks::Listed).await;
    }
    index.publish().await;
    Setup::new(index).await
}

fn simple(setup: &Setup) -> url::Url {
    setup.trusted.urls().simple().clone()
}

fn rule(number: usize, projects: &str, indexes: &[&Setup], threshold: usize) -> MapRule {
    MapRule {
        origin: RuleOrigin {
            file: "wheelmark.toml".into(),
            number,
        },
        projects: vec![projects.to_owned()],
        indexes: indexes.iter().map(|setup| simple(setup)).collect(),
        threshold,
        terminating: true,
    }
}

fn homes(setups: &[&Setup], rules: Vec<MapRule>) -> Homes {
    let mut readers: Vec<Arc<Reader>> = setups.iter().map(|setup| setup.reader()).collect();
    let first = readers.remove(0);
    Homes::mapped(first, readers, rules).unwrap()
}

async fn home(homes: &Homes, project: &str) -> Result<Option<Home>, Arc<Refusal>> {
    homes.home_of(&project.parse().unwrap(), None).await
}

fn is_at(home: Result<Option<Home>, Arc<Refusal>>, setup: &Setup) -> bool {
    *home.unwrap().unwrap().reader().index().urls().simple() == simple(setup)
}

#[tokio::test]
async fn the_first_index_that_has_a_project_is_its_home() {
    let internal = index(&[("acme-1.0.tar.gz", b"ours")]).await;
    let public = index(&[
        ("acme-9.0.tar.gz", b"theirs"),
        ("flask-1.0.tar.gz", b"flask"),
    ])
    .await;
    let homes = homes(
        &[&internal, &public],
        vec![rule(1, "*", &[&internal, &public], 1)],
    );
    assert!(is_at(home(&homes, "acme").await, &internal));
    assert!(is_at(home(&homes, "flask").await, &public));
    assert!(home(&homes, "nowhere").await.unwrap().is_none());
}

#[tokio::test]
async fn an_index_that_no_project_leads_to_is_not_contacted() {
    let internal = index(&[("acme-1.0.tar.gz", b"ours")]).await;
    let public = index(&[("flask-1.0.tar.gz", b"flask")]).await;
    let unused = index(&[]).await;
    let homes = homes(
        &[&internal, &public, &unused],
        vec![
            rule(1, "acme*", &[&internal], 1),
            rule(2, "*", &[&public], 1),
        ],
    );
    assert!(is_at(home(&homes, "acme").await, &internal));
    assert!(!internal.web.asked().is_empty());
    assert!(public.web.asked().is_empty());
    assert!(is_at(home(&homes, "flask").await, &public));
    assert!(internal.web.asked().is_empty() && unused.web.asked().is_empty());
}

#[tokio::test]
async fn a_refused_host_leads_to_the_index_for_everything_else() {
    let internal = index(&[]).await;
    let public = index(&[]).await;
    let homes = homes(
        &[&internal, &public],
        vec![
            rule(1, "acme*", &[&internal], 1),
            rule(2, "*", &[&public], 1),
        ],
    );
    let entrance = Entrance::Identity("i".to_owned());
    let front = Front::with_homes(entrance, Arc::new(homes)).await;
    let asked = "CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\nConnection: close\r\n\r\n";
    assert!(front.raw(asked).await.starts_with("HTTP/1.1 403 "));
    let next = &front.ledger.report(Vec::new()).refused[0].next;
    assert!(next.contains(simple(&public).as_str()), "{next}");
}

#[tokio::test]
async fn what_a_terminating_rule_does_not_find_is_nowhere() {
    let internal = index(&[]).await;
    let public = index(&[("acme-9.0.tar.gz", b"theirs")]).await;
    let both = [&internal, &public];
    let mut rules = vec![
        rule(1, "acme*", &[&internal], 1),
        rule(2, "*", &[&public], 1),
    ];
    assert!(
        home(&homes(&both, rules.clone()), "acme")
            .await
            .unwrap()
            .is_none()
    );
    rules[0].terminating = false;
    assert!(is_at(home(&homes(&both, rules), "acme").await, &public));
}

#[tokio::test]
async fn an_index_that_is_down_or_bad_is_not_passed_over() {
    let public = index(&[("acme-9.0.tar.gz", b"theirs")]).await;
    for fault in [
        Fault::Answers("/metadata/", StatusCode::BAD_GATEWAY),
        Fault::Answers("simple-", StatusCode::NOT_FOUND),
        Fault::Answers("/targets/", StatusCode::NOT_FOUND),
        Fault::Floods("timestamp.json"),
    ] {
        let internal = index(&[("acme-1.0.tar.gz", b"ours")]).await;
        internal.web.set_fault(fault.clone());
        let one_rule = vec![rule(1, "*", &[&internal, &public], 1)];
        let mut two_rules = vec![rule(1, "*", &[&internal], 1), rule(2, "*", &[&public], 1)];
        two_rules[0].terminating = false;
        for rules in [one_rule, two_rules] {
            let homes = homes(&[&internal, &public], rules);
            let refusal = home(&homes, "acme").await.unwrap_err();
            assert_eq!(
                refusal.index,
                Some(simple(&internal)),
                "{fault:?}: {refusal}"
            );
            assert!(public.web.asked().is_empty(), "{fault:?}");
        }
    }
    let stopped = index(&[("acme-1.0.tar.gz", b"ours")]).await;
    stopped.web.stop();
    let rules = vec![rule(1, "*", &[&stopped, &public], 1)];
    let refusal = home(&homes(&[&stopped, &public], rules), "acme")
        .await
        .unwrap_err();
    assert_eq!(refusal.status(), StatusCode::FAILED_DEPENDENCY, "{refusal}");
}

#[tokio::test]
async fn an_index_that_was_named_answers_for_what_lives_there_alone() {
    let internal = index(&[("acme-1.0.tar.gz", b"ours")]).await;
    let public = index(&[
        ("acme-9.0.tar.gz", b"theirs"),
        ("flask-1.0.tar.gz", b"flask"),
    ])
    .await;
    let rules = vec![
        rule(1, "acme*", &[&internal], 1),
        rule(2, "*", &[&public], 1),
    ];
    let homes = homes(&[&internal, &public], rules);
    let asked =
        async |project: &str, place| homes.home_of(&project.parse().unwrap(), Some(place)).await;
    assert!(is_at(asked("acme", 0).await, &internal));
    assert!(is_at(asked("flask", 1).await, &public));
    assert!(
        asked("flask", 0).await.unwrap().is_none(),
        "it has none of that name: quietly not there"
    );
    let refusal = asked("acme", 1).await.unwrap_err();
    let Failure::NotItsHome {
        asked: at, home, ..
    } = &refusal.failure
    else {
        panic!("{refusal}")
    };
    assert_eq!(**at, simple(&public));
    assert_eq!(home.as_deref(), Some(&simple(&internal)));
    for said in [refusal.what(), refusal.phrase()] {
        for index in [&internal, &public] {
            assert!(
                said.contains(simple(index).as_str()),
                "both homes are named: {said}"
            );
        }
    }
    assert!(refusal.meaning().contains("dependency confusion"));
    assert!(refusal.next().contains("rename") && refusal.next().contains("map"));
    assert_eq!(refusal.status(), StatusCode::CONFLICT);
    // A name that is to live with us and is not there yet is as good to an attacker.
    let refusal = {
        let mine = index(&[]).await;
        let rules = vec![rule(1, "acme*", &[&mine], 1), rule(2, "*", &[&public], 1)];
        let homes = self::homes(&[&mine, &public], rules);
        homes
            .home_of(&"acme".parse().unwrap(), Some(1))
            .await
            .unwrap_err()
    };
    assert!(
        matches!(refusal.failure, Failure::NotItsHome { home: None, .. }),
        "{refusal}"
    );
}

#[tokio::test]
async fn two_indexes_have_to_list_the_same() {
    let (one, two) = (b"the same".as_slice(), b"newer".as_slice());
    let a = index(&[
        (WHEEL, one),
        (NEWER, two),
        ("demo-3.0.tar.gz", b"only here"),
    ])
    .await;
    let b = index(&[
        (WHEEL, one),
        (NEWER, b"other bytes"),
        ("demo-4.0.tar.gz", b"only there"),
    ])
    .await;
    let homes = homes(&[&a, &b], vec![rule(1, "*", &[&a, &b], 2)]);
    let demo = "demo".parse().unwrap();
    let home = home(&homes, "demo").await.unwrap().unwrap();
    let page = home.page(&demo).await.unwrap().unwrap();
    let listed: Vec<&str> = page
        .page()
        .files
        .iter()
        .map(|f| f.filename.as_str())
        .collect();
    assert_eq!(
        listed,
        [WHEEL, NEWER],
        "what one lists alone is left out, a contradiction is not"
    );

    let file = home.signed_file(&demo, WHEEL).await.unwrap().unwrap();
    assert_eq!(*file.index(), simple(&a));
    assert!(home.core_metadata(&demo, WHEEL).await.unwrap().is_some());

    for refusal in [
        home.signed_file(&demo, NEWER).await.unwrap_err(),
        home.core_metadata(&demo, NEWER).await.unwrap_err(),
    ] {
        let Failure::IndexesDiffer { first, second } = &refusal.failure else {
            panic!("{refusal}")
        };
        assert_eq!((&**first, &**second), (&simple(&a), &simple(&b)));
        assert!(refusal.what().contains(simple(&b).as_str()), "{refusal}");
    }
    let refusal = home
        .signed_file(&demo, "demo-3.0.tar.gz")
        .await
        .unwrap_err();
    assert!(
        matches!(
            refusal.failure,
            Failure::TooFewIndexes {
                threshold: 2,
                listed: 1
            }
        ),
        "{refusal}"
    );
    assert!(
        home.signed_file(&demo, "demo-5.0.tar.gz")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn every_index_that_has_to_agree_must_answer() {
    let a = index(&[(WHEEL, b"the same")]).await;
    let b = index(&[(WHEEL, b"the same")]).await;
    let c = index(&[]).await;
    let of = |threshold| homes(&[&a, &b, &c], vec![rule(1, "*", &[&a, &b, &c], threshold)]);
    assert!(home(&of(2), "demo").await.unwrap().is_some());
    let refusal = home(&of(3), "demo").await.unwrap_err();
    assert!(
        matches!(
            refusal.failure,
            Failure::TooFewIndexes {
                threshold: 3,
                listed: 2
            }
        ),
        "{refusal}"
    );
    assert!(
        home(&of(3), "other").await.unwrap().is_none(),
        "nobody has it: not there"
    );
    c.web.stop();
    let refusal = home(&of(2), "demo").await.unwrap_err();
    assert_eq!(refusal.index, Some(simple(&c)));
}

#[tokio::test]
async fn what_one_index_alone_says_of_core_metadata_is_not_passed_on() {
    let a = index(&[(WHEEL, b"the same")]).await;
    let b = index(&[(WHEEL, b"the same")]).await;
    let demo = "demo".parse().unwrap();
    // Both list the same file; only one of them lists what its metadata is.
    let mut lone = TestIndex::new().await;
    lone.add_without_metadata(WHEEL, b"the same").await;
    lone.publish().await;
    let lone = Setup::new(lone).await;
    for (other, expected) in [(&b, true), (&lone, false)] {
        let homes = homes(&[&a, other], vec![rule(1, "*", &[&a, other], 2)]);
        let home = home(&homes, "demo").await.unwrap().unwrap();
        let page = home.page(&demo).await.unwrap().unwrap();
        let listed = page.page().file(WHEEL).unwrap().core_metadata.is_some();
        let served = home.core_metadata(&demo, WHEEL).await.unwrap().is_some();
        assert_eq!((listed, served), (expected, expected));
        assert!(home.signed_file(&demo, WHEEL).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_proxy_names_the_index_of_a_refusal_and_of_a_file() {
    let internal = index(&[("acme-1.0.tar.gz", b"ours")]).await;
    let public = index(&[("flask-1.0.tar.gz", b"flask")]).await;
    let rules = vec![
        rule(1, "acme*", &[&internal], 1),
        rule(2, "f*", &[&public], 1),
    ];
    let homes = Arc::new(homes(&[&internal, &public], rules));
    let front = Front::with_homes(Entrance::Secret(SECRET.to_owned()), homes).await;
    assert_eq!(front.get("/simple/flask/").await.status(), 200);
    assert_eq!(
        front.get("/packages/flask/flask-1.0.tar.gz").await.status(),
        200
    );
    let nowhere = front.get("/simple/numpy/").await;
    assert_eq!(nowhere.status(), 404);
    let said = nowhere.text().await.unwrap();
    assert!(said.contains("wheelmark.toml"), "the map is named: {said}");
    internal.web.stop();
    let answer = front.get("/packages/acme/acme-1.0.tar.gz").await;
    assert_eq!(answer.status(), 424);
    let problem: serde_json::Value =
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let url = simple(&internal).to_string();
    assert_eq!(problem["index"], url);
    assert!(
        problem["detail"].as_str().unwrap().contains(&url),
        "{problem}"
    );
    let report = front.ledger.report(Vec::new());
    assert_eq!(report.files[0].index, simple(&public).to_string());
    assert_eq!(report.refused[0].index, Some(url));
}

#[tokio::test]
async fn where_the_home_cannot_be_told_no_older_version_is_enough() {
    let internal = index(&[("acme-7.0.tar.gz", b"ours")]).await;
    let public = index(&[]).await;
    let rules = || vec![rule(1, "*", &[&internal, &public], 1)];
    assert!(is_at(
        home(&homes(&[&internal, &public], rules()), "acme").await,
        &internal
    ));
    internal.web.stop();
    let homes = Arc::new(homes(&[&internal, &public], rules()));
    let front = Front::with_homes(Entrance::Secret(SECRET.to_owned()), homes).await;
    let page = front.get("/simple/acme/").await.text().await.unwrap();
    assert!(
        page.contains("acme-7.0.tar.gz") && page.contains("acme-8+refused.by"),
        "{page}"
    );
    let refused = Subject::Page("acme".parse().unwrap()).to_string();
    assert_eq!(front.ledger.report(Vec::new()).refused[0].what, refused);
}

#[tokio::test]
async fn one_of_several_indexes_hides_nothing_that_the_others_agree_on() {
    let behind = index(&[(WHEEL, b"the same")]).await;
    let b = index(&[(WHEEL, b"the same"), (NEWER, b"newer")]).await;
    let c = index(&[(WHEEL, b"the same"), (NEWER, b"newer")]).await;
    let indexes = [&behind, &b, &c];
    let homes = homes(&indexes, vec![rule(1, "*", &indexes, 2)]);
    let demo = "demo".parse().unwrap();
    let home = home(&homes, "demo").await.unwrap().unwrap();
    let page = home.page(&demo).await.unwrap().unwrap();
    assert!(page.page().file(NEWER).is_some());
    let file = home.signed_file(&demo, NEWER).await.unwrap().unwrap();
    assert_eq!(*file.index(), simple(&b), "the first that lists it");
    assert!(home.core_metadata(&demo, NEWER).await.unwrap().is_some());

    let homes = Arc::new(homes);
    let front = Front::with_homes(Entrance::Secret(SECRET.to_owned()), homes).await;
    let answer = front.get_file(NEWER).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), b"newer".as_slice());
}

#[tokio::test]
async fn every_index_that_was_counted_may_be_asked() {
    let a = index(&[(WHEEL, b"the same")]).await;
    let b = index(&[(WHEEL, b"the same")]).await;
    let other = index(&[(WHEEL, b"the same")]).await;
    let rules = vec![rule(1, "demo", &[&a, &b], 2), rule(2, "*", &[&other], 1)];
    let homes = homes(&[&a, &b, &other], rules);
    let asked = async |place| homes.home_of(&"demo".parse().unwrap(), Some(place)).await;
    for place in [0, 1] {
        assert!(is_at(asked(place).await, &a), "{place}");
    }
    let refusal = asked(2).await.unwrap_err();
    assert!(
        matches!(refusal.failure, Failure::NotItsHome { .. }),
        "{refusal}"
    );
}
