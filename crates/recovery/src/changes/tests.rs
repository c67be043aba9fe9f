#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use wheelmark_packaging::simple::{
    BoundCertificates, Hashes, ProjectStatus, Removed, Sha256Hex, Status, TakenState,
};
use wheelmark_packaging::{DistributionFilename, ProjectName};

use super::*;
use crate::state::Signed;

fn project() -> ProjectName {
    "flask".parse().unwrap()
}

fn entry(version: u8, bytes: &str) -> PageFile {
    let name = format!("flask-{version}.0.tar.gz");
    let name = DistributionFilename::parse_for(&project(), &name).unwrap();
    let digest = Sha256Hex(Sha256::of(bytes.as_bytes()).0);
    PageFile::new(&project(), name, Hashes::of_sha256(digest))
}

fn page(versions: std::ops::Range<u8>) -> ProjectPage {
    let mut page = ProjectPage::new(project());
    page.files = versions
        .map(|version| entry(version, &format!("bytes of {version}")))
        .collect();
    page
}

fn signed(bytes: &[u8], by: Signer) -> Signed {
    Signed {
        sha256: Sha256::of(bytes),
        length: bytes.len() as u64,
        by,
    }
}

/// What the roles of an honest index list of a page.
fn targets(pages: [Option<&ProjectPage>; 2]) -> BTreeMap<String, [Option<Sha256>; 2]> {
    let mut targets: BTreeMap<String, [Option<Sha256>; 2]> = BTreeMap::new();
    for (place, page) in pages.into_iter().enumerate() {
        for file in page.into_iter().flat_map(|page| &page.files) {
            let name = file.filename.as_str().to_owned();
            targets.entry(name).or_default()[place] = digest(file);
        }
    }
    targets.retain(|_, [then, now]| then != now);
    targets
}

fn differing(then: Option<&ProjectPage>, now: Option<&ProjectPage>, by: Signer) -> Differing {
    Differing {
        project: project(),
        page: [then, now].map(|page| page.map(|page| signed(&page.to_json(), by))),
        list: [None, None],
        targets: targets([then, now]),
        support: None,
    }
}

fn of_pages(then: Option<&ProjectPage>, now: Option<&ProjectPage>) -> Vec<Change> {
    let side = |page| Contents { page, list: None };
    changes(&differing(then, now, Signer::Index), side(then), side(now))
}

/// `what file` of each change.
fn words(changes: &[Change]) -> Vec<String> {
    let word = |change: &Change| {
        let file = change.file.as_deref().unwrap_or("-");
        format!("{:?} {file}", change.what)
    };
    changes.iter().map(word).collect()
}

fn check(now: impl FnOnce(&mut ProjectPage), expected: &[&str]) {
    let then = page(1..4);
    let mut changed = then.clone();
    now(&mut changed);
    assert_eq!(words(&of_pages(Some(&then), Some(&changed))), expected);
}

fn remove(page: &mut ProjectPage, place: usize) {
    let entry = page.files.remove(place);
    page.wheelmark.removed.insert(
        entry.filename.as_str().to_owned(),
        Removed {
            entry,
            removed_at: "2026-11-21T10:00:00Z".parse().unwrap(),
            extra: BTreeMap::new(),
        },
    );
}

#[test]
fn each_kind_of_change_is_told_as_what_it_is() {
    check(|_| {}, &[]);
    check(
        |page| page.files.push(entry(9, "new")),
        &["Added flask-9.0.tar.gz"],
    );
    check(
        |page| page.files[1] = entry(2, "other"),
        &["Changed flask-2.0.tar.gz"],
    );
    check(|page| remove(page, 0), &["Removed flask-1.0.tar.gz"]);
    check(
        |page| drop(page.files.remove(0)),
        &["Vanished flask-1.0.tar.gz"],
    );
    check(
        |page| page.files[0].yanked = Yanked::Yes,
        &["Yanked flask-1.0.tar.gz"],
    );
    check(
        |page| page.files[0].requires_python = Some(">=4".to_owned()),
        &["Entry flask-1.0.tar.gz"],
    );
    let quarantined = |page: &mut ProjectPage| {
        page.wheelmark.withheld = std::mem::take(&mut page.files);
        page.project_status = Some(ProjectStatus {
            status: Status::Quarantined,
            ..ProjectStatus::default()
        });
    };
    check(quarantined, &["State -"]);
    check(
        |page| {
            page.wheelmark.certificates = Some(BoundCertificates {
                sha256: Sha256Hex([7; 32]),
                size: 3,
                required: true,
                extra: BTreeMap::new(),
            });
        },
        &["Certificates -"],
    );
    check(
        |page| {
            drop(
                page.extra
                    .insert("alternate-locations".to_owned(), 1.into()),
            )
        },
        &["Page -"],
    );
}

#[test]
fn what_came_back_and_what_came_and_went_is_told() {
    let mut then = page(1..4);
    remove(&mut then, 0);
    let now = page(1..4);
    assert_eq!(
        words(&of_pages(Some(&then), Some(&now))),
        ["Returned flask-1.0.tar.gz"]
    );
    let mut other = now.clone();
    other.files[0] = entry(1, "not what was removed");
    assert_eq!(
        words(&of_pages(Some(&then), Some(&other))),
        ["Changed flask-1.0.tar.gz"]
    );
    let mut forgotten = then.clone();
    forgotten.wheelmark.removed.clear();
    assert_eq!(
        words(&of_pages(Some(&then), Some(&forgotten))),
        ["Vanished flask-1.0.tar.gz"]
    );
    let mut went = then.clone();
    went.files.push(entry(9, "new"));
    remove(&mut went, 2);
    assert_eq!(
        words(&of_pages(Some(&then), Some(&went))),
        ["Removed flask-9.0.tar.gz"]
    );
}

#[test]
fn a_project_that_came_or_went_is_its_files() {
    let one = page(1..3);
    let come = of_pages(None, Some(&one));
    assert_eq!(
        words(&come),
        ["Added flask-1.0.tar.gz", "Added flask-2.0.tar.gz"]
    );
    assert_eq!((come[0].then, come[0].decision), (None, None));
    let gone = of_pages(Some(&one), None);
    assert_eq!(
        words(&gone),
        ["Vanished flask-1.0.tar.gz", "Vanished flask-2.0.tar.gz"]
    );
    assert_eq!(words(&of_pages(None, Some(&page(0..0)))), ["Page -"]);
}

#[test]
fn a_page_that_cannot_be_read_is_a_change_of_the_page() {
    let (then, now) = (page(1..3), page(1..4));
    let all = differing(Some(&then), Some(&now), Signer::Index);
    let side = Contents {
        page: Some(&then),
        list: None,
    };
    let found = changes(&all, side, Contents::default());
    // What the role lists is known nevertheless.
    assert_eq!(words(&found), ["Page -", "Target flask-3.0.tar.gz"]);
}

#[test]
fn a_role_that_says_something_else_than_the_page_is_told() {
    let one = page(1..3);
    let mut all = differing(Some(&one), Some(&one), Signer::Index);
    let evil = Sha256::of(b"evil");
    all.targets.insert(
        "flask-1.0.tar.gz".to_owned(),
        [digest(&one.files[0]), Some(evil)],
    );
    all.targets
        .insert("flask-7.0.tar.gz".to_owned(), [None, Some(evil)]);
    let side = Contents {
        page: Some(&one),
        list: None,
    };
    let found = changes(&all, side, side);
    assert_eq!(
        words(&found),
        ["Target flask-1.0.tar.gz", "Target flask-7.0.tar.gz"]
    );
    assert_eq!(found[1].now, Some(evil));
}

#[test]
fn keys_speak_for_what_they_signed_and_not_for_what_the_index_says_of_it() {
    let (then, now) = (page(1..3), page(1..4));
    let taken = |sha256| TakenFile {
        sha256,
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        reason: None,
    };
    let mut list = TakenAway::nothing(project());
    let name = "flask-1.0.tar.gz".to_owned();
    list.withdrawn
        .insert(name, taken(then.files[0].sha256().unwrap()));
    let mut later = list.clone();
    later.withdrawn.clear();
    later.state = Some(TakenState {
        status: Status::Quarantined,
        at: "2026-11-21T10:00:00Z".parse().unwrap(),
        reason: None,
    });
    let mut all = differing(Some(&then), Some(&now), Signer::Project);
    all.support = Some(Support::Sealed);
    all.list = [&list, &later].map(|list| Some(signed(&list.to_json(), Signer::Index)));
    let side = |page, list| Contents {
        page: Some(page),
        list: Some(list),
    };
    let found = changes(&all, side(&then, &list), side(&now, &later));
    let expected = [
        "State -",
        "GivenBack flask-1.0.tar.gz",
        "Added flask-3.0.tar.gz",
    ];
    assert_eq!(words(&found), expected);
    let told: Vec<_> = found
        .iter()
        .map(|change| (change.signed, change.supports.len()))
        .collect();
    let of_index = (Signer::Index, 0);
    assert_eq!(told, [of_index, of_index, (Signer::Project, 1)]);
}

/// One thing that is done to a page.
#[derive(Clone, Debug)]
enum Edit {
    Add(u8),
    Replace(u8),
    Remove(u8),
    Forget(u8),
    Yank(u8),
    Mark(u8),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        (20..40_u8).prop_map(Edit::Add),
        (0..20_u8).prop_map(Edit::Replace),
        (0..20_u8).prop_map(Edit::Remove),
        (0..20_u8).prop_map(Edit::Forget),
        (0..20_u8).prop_map(Edit::Yank),
        (0..20_u8).prop_map(Edit::Mark),
    ];
    // One for each file: what two of them come to together has other names.
    proptest::collection::vec(edit, 0..12).prop_map(|edits| {
        let mut seen = BTreeSet::new();
        let version = |edit: &Edit| match edit {
            Edit::Add(v)
            | Edit::Replace(v)
            | Edit::Remove(v)
            | Edit::Forget(v)
            | Edit::Yank(v)
            | Edit::Mark(v) => *v,
        };
        edits
            .into_iter()
            .filter(|edit| seen.insert(version(edit)))
            .collect()
    })
}

proptest! {
    /// Whatever is done to a page is found, and nothing else is.
    #[test]
    fn all_planted_edits_and_no_others_are_found(edits in edits()) {
        let then = page(0..20);
        let mut now = then.clone();
        let mut expected = BTreeSet::new();
        for edit in &edits {
            let place = |version: u8| {
                let name = format!("flask-{version}.0.tar.gz");
                let found = now.files.iter().position(|file| file.filename.as_str() == name);
                (found.unwrap_or_default(), name)
            };
            match edit {
                Edit::Add(version) => {
                    expected.insert((What::Added, place(*version).1));
                    now.files.push(entry(*version, "added"));
                }
                Edit::Replace(version) => {
                    let (at, name) = place(*version);
                    expected.insert((What::Changed, name));
                    now.files[at] = entry(*version, "replaced");
                }
                Edit::Remove(version) => {
                    let (at, name) = place(*version);
                    expected.insert((What::Removed, name));
                    remove(&mut now, at);
                }
                Edit::Forget(version) => {
                    let (at, name) = place(*version);
                    expected.insert((What::Vanished, name));
                    now.files.remove(at);
                }
                Edit::Yank(version) => {
                    let (at, name) = place(*version);
                    expected.insert((What::Yanked, name));
                    now.files[at].yanked = Yanked::Because("bad".to_owned());
                }
                Edit::Mark(version) => {
                    let (at, name) = place(*version);
                    expected.insert((What::Entry, name));
                    now.files[at].size = Some(1);
                }
            }
        }
        let found = of_pages(Some(&then), Some(&now)).into_iter();
        let found: Vec<_> = found.map(|change| (change.what, change.file.unwrap_or_default())).collect();
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
