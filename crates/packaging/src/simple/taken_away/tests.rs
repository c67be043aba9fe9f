#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::DistributionFilename;
use crate::simple::{Hashes, Marks, Signed};

fn demo() -> ProjectName {
    "demo".parse().unwrap()
}

fn name(version: u8) -> String {
    format!("demo-{version}.0-py3-none-any.whl")
}

fn digest(of: u8) -> Sha256Hex {
    Sha256Hex([of; 32])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A file whose bytes are told by its version.
fn file(version: u8) -> PageFile {
    let filename = DistributionFilename::parse(&name(version)).unwrap();
    let mut file = PageFile::new(&demo(), filename, Hashes::of_sha256(digest(version)));
    file.size = Some(u64::from(version));
    file.upload_time = Some(at(0));
    file.wheelmark = Some(Marks::new(Signed::AtUpload, at(0)));
    file
}

fn page(versions: &[u8]) -> ProjectPage {
    let mut page = ProjectPage::new(demo());
    page.files = versions.iter().copied().map(file).collect();
    page
}

fn gone(of: u8, reason: Option<&str>) -> TakenFile {
    TakenFile {
        sha256: digest(of),
        at: at(60),
        reason: reason.map(str::to_owned),
    }
}

fn state(status: Status) -> TakenState {
    TakenState {
        status,
        at: at(60),
        reason: Some("looks bad".to_owned()),
    }
}

fn names(page: &ProjectPage) -> Vec<&str> {
    let names = page.files.iter().map(|file| file.filename.as_str());
    names.collect()
}

#[test]
fn what_is_withdrawn_is_not_listed_and_remembered_as_removed() {
    let mut list = TakenAway::nothing(demo());
    list.withdrawn.insert(name(2), gone(2, Some("malware")));
    let shown = list.apply(&page(&[1, 2]));
    assert_eq!(names(&shown), [name(1)]);
    assert_eq!(shown.all_versions(), ["1.0"]);
    let removed = &shown.wheelmark.removed[&name(2)];
    assert_eq!((&removed.entry, removed.removed_at), (&file(2), at(60)));
    // A file of that name with other bytes is another file.
    list.withdrawn.insert(name(2), gone(3, None));
    assert_eq!(names(&list.apply(&page(&[1, 2]))), [name(1), name(2)]);
}

#[test]
fn a_yank_is_added_and_the_projects_own_stays() {
    let mut list = TakenAway::nothing(demo());
    list.yanked.insert(name(1), gone(1, Some("the index's")));
    list.yanked.insert(name(2), gone(2, None));
    let mut signed = page(&[1, 2, 3]);
    signed.files[0].yanked = Yanked::Because("our own".to_owned());
    signed.files[2].yanked = Yanked::Yes;
    let shown = list.apply(&signed);
    let yanked: Vec<&Yanked> = shown.files.iter().map(|file| &file.yanked).collect();
    let own = Yanked::Because("our own".to_owned());
    assert_eq!(yanked, [&own, &Yanked::Yes, &Yanked::Yes]);
}

#[test]
fn a_quarantine_lists_nothing_and_no_state_is_lifted() {
    let check = |own: Option<Status>, taken: Status, expected: Status, files: usize| {
        let mut signed = page(&[1, 2]);
        signed.project_status = own.map(|status| ProjectStatus {
            status,
            ..ProjectStatus::default()
        });
        let mut list = TakenAway::nothing(demo());
        list.state = Some(state(taken));
        let shown = list.apply(&signed);
        assert_eq!(shown.project_status.unwrap().status, expected);
        assert_eq!(shown.files.len(), files);
        assert_eq!(shown.wheelmark.withheld.len(), 2 - files);
    };
    check(None, Status::Quarantined, Status::Quarantined, 0);
    check(None, Status::Archived, Status::Archived, 2);
    check(
        Some(Status::Archived),
        Status::Deprecated,
        Status::Archived,
        2,
    );
    check(
        Some(Status::Deprecated),
        Status::Archived,
        Status::Archived,
        2,
    );
    let odd = || Status::Other("frozen".to_owned());
    check(Some(odd()), Status::Archived, odd(), 2);
    check(Some(odd()), Status::Quarantined, Status::Quarantined, 0);
}

#[test]
fn a_file_only_becomes_younger() {
    let mut list = TakenAway::nothing(demo());
    list.visible_since.insert(name(1), at(100));
    let mut signed = page(&[1, 2]);
    let since =
        |page: &ProjectPage, at: usize| page.files[at].wheelmark.clone().unwrap().visible_since;
    let shown = list.apply(&signed);
    assert_eq!((since(&shown, 0), since(&shown, 1)), (Some(at(100)), None));
    signed.files[0].wheelmark.as_mut().unwrap().visible_since = Some(at(200));
    assert_eq!(since(&list.apply(&signed), 0), Some(at(200)));
    // Installers that know no marks go by the upload time.
    let times = |page: &ProjectPage| [page.files[0].upload_time, page.files[1].upload_time];
    assert_eq!(times(&list.apply(&signed)), [Some(at(100)), Some(at(0))]);
    signed.files[0].wheelmark = None;
    assert_eq!(times(&list.apply(&signed)), [Some(at(100)), Some(at(0))]);
    signed.files[0].upload_time = Some(at(300));
    assert_eq!(times(&list.apply(&signed)), [Some(at(300)), Some(at(0))]);
}

const FULL: &str = concat!(
    r#"{"project":"demo","recovery":{"by":"alice","keyids":["aa","bb"],"since":"2027-01-15T08:00:00Z","threshold":2},"#,
    r#""state":{"at":"2027-01-15T08:01:00Z","reason":"looks bad","status":"archived"},"#,
    r#""visible-since":{"demo-1.0-py3-none-any.whl":"2027-01-15T08:00:00Z"},"#,
    r#""withdrawn":{"demo-2.0-py3-none-any.whl":{"at":"2027-01-15T08:01:00Z","reason":"malware","sha256":"0202020202020202020202020202020202020202020202020202020202020202"}},"#,
    r#""yanked":{"demo-1.0-py3-none-any.whl":{"at":"2027-01-15T08:01:00Z","sha256":"0101010101010101010101010101010101010101010101010101010101010101"}}}"#
);

#[test]
fn it_has_one_form() {
    let mut list = TakenAway::nothing(demo());
    assert_eq!(list.to_json(), br#"{"project":"demo"}"#);
    assert!(list.is_empty());
    list.withdrawn.insert(name(2), gone(2, Some("malware")));
    list.yanked.insert(name(1), gone(1, None));
    list.state = Some(state(Status::Archived));
    list.visible_since.insert(name(1), at(0));
    list.recovery = Some(RecoveryNotice {
        since: at(0),
        keyids: ["bb".to_owned(), "aa".to_owned()].into(),
        threshold: 2,
        by: "alice".to_owned(),
    });
    assert_eq!(String::from_utf8(list.to_json()).unwrap(), FULL);
    assert_eq!(TakenAway::parse(FULL.as_bytes(), &demo()).unwrap(), list);
}

#[test]
fn what_is_not_its_form_is_refused() {
    let check = |text: &str, expected: &str| {
        let error = TakenAway::parse(text.as_bytes(), &demo()).unwrap_err();
        let told = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        assert!(told.contains(expected), "{told}\n{text}");
    };
    let with = |was: &str, becomes: &str| {
        assert!(FULL.contains(was), "{was}");
        FULL.replacen(was, becomes, 1)
    };
    check("[]", "is not an object");
    check("{}", "`project` is missing");
    check(
        &with(r#""project":"demo""#, r#""project":"other""#),
        "that of `other`",
    );
    check(
        &with(r#"{"project""#, r#"{"added":[],"project""#),
        "says `added`",
    );
    check(&with(r#""reason":"malware""#, r#""by":"x""#), "says `by`");
    check(&with(r#""archived""#, r#""active""#), "takes anything away");
    check(&with(r#""archived""#, r#""frozen""#), "takes anything away");
    check(
        &with("demo-2.0-py3", "other-2.0-py3"),
        "no file of the project",
    );
    check(
        &with("demo-2.0-py3-none-any.whl", "../../x"),
        "no file of the project",
    );
    check(&with("0202", "XX02"), "no digest");
    check(&with(r#""malware""#, r#""""#), "`reason` is empty");
    check(&with(r#""malware""#, r#""a\nb""#), "`reason` is empty");
    check(&with("malware", &"x".repeat(2_001)), "`reason` is empty");
    check(
        &with(r#""threshold":2"#, r#""threshold":3"#),
        "`recovery` is empty",
    );
    check(&with(r#"["aa","bb"]"#, "[]"), "`recovery` is empty");
    check(&with(r#"["aa","bb"]"#, r#"["bb","aa"]"#), "canonical");
    check(&with(r#"["aa","bb"]"#, r#"["aa","bb","bb"]"#), "canonical");
    check(&with("08:00:00Z", "09:00:00+01:00"), "canonical");
    check(&with(r#"{"project""#, r#"{ "project""#), "canonical");
    check(
        &with(r#"{"project""#, r#"{"project":"demo","project""#),
        "not plain JSON",
    );
    check(r#"{"project":"demo","yanked":{}}"#, "canonical");
    let long = format!(r#"{{"project":"{}"}}"#, "x".repeat(MAX_TAKEN_AWAY_LEN));
    check(&long, "too long");
}

fn any_yank() -> impl Strategy<Value = Yanked> {
    prop_oneof![
        Just(Yanked::No),
        Just(Yanked::Yes),
        "[a-z]{1,5}".prop_map(Yanked::Because)
    ]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Active),
        Just(Status::Deprecated),
        Just(Status::Archived),
        Just(Status::Quarantined),
        Just(Status::Other("frozen".to_owned())),
    ]
}

prop_compose! {
    fn any_file(version: u8)(
        yanked in any_yank(),
        since in option::of(0..200i64),
        marks in any::<bool>(),
    ) -> PageFile {
        let mut made = file(version);
        made.yanked = yanked;
        match made.wheelmark.as_mut().filter(|_| marks) {
            Some(marks) => marks.visible_since = since.map(at),
            None => made.wheelmark = None,
        }
        made
    }
}

prop_compose! {
    fn any_page()(
        files in (0..6u8).prop_map(|count| (0..count).map(any_file).collect::<Vec<_>>()).prop_flat_map(|files| files),
        withheld in (0..2u8).prop_map(|count| (6..6 + count).map(any_file).collect::<Vec<_>>()).prop_flat_map(|files| files),
        status in option::of(any_status()),
    ) -> ProjectPage {
        let mut page = ProjectPage::new(demo());
        page.files = files;
        page.wheelmark.withheld = withheld;
        page.project_status = status.map(|status| ProjectStatus { status, ..ProjectStatus::default() });
        // As a page is read that was published.
        ProjectPage::parse(&page.to_json()).unwrap()
    }
}

prop_compose! {
    fn any_taken()(of in 0..9u8, time in 0..300i64, reason in option::of("[a-z]{1,5}")) -> TakenFile {
        TakenFile { sha256: digest(of), at: at(time), reason }
    }
}

prop_compose! {
    fn any_list()(
        withdrawn in btree_map((0..9u8).prop_map(name), any_taken(), 0..5),
        yanked in btree_map((0..9u8).prop_map(name), any_taken(), 0..5),
        matching in vec(0..9u8, 0..4),
        status in option::of(any_status()),
        times in btree_map((0..9u8).prop_map(name), (0..300i64).prop_map(at), 0..5),
    ) -> TakenAway {
        let mut list = TakenAway::nothing(demo());
        list.withdrawn = withdrawn;
        list.yanked = yanked;
        for of in matching {
            list.withdrawn.insert(name(of), gone(of, None));
            list.yanked.insert(name(of + 1), gone(of + 1, None));
        }
        let takes = |status: &Status| !matches!(status, Status::Active | Status::Other(_));
        list.state = status.filter(takes).map(state);
        list.visible_since = times;
        list
    }
}

proptest! {
    #[test]
    fn a_list_takes_away_and_never_adds(page in any_page(), list in any_list()) {
        let shown = list.apply(&page);
        let own = |name: &str| {
            let mut files = page.files.iter().chain(&page.wheelmark.withheld);
            files.find(|file| file.filename.as_str() == name)
        };
        for file in &shown.files {
            let signed = page.file(file.filename.as_str());
            prop_assert!(signed.is_some(), "{} is new", file.filename);
            let signed = signed.unwrap();
            let since = |file: &PageFile| file.wheelmark.as_ref().and_then(|marks| marks.visible_since);
            prop_assert!(since(file) >= since(signed) && file.upload_time >= signed.upload_time);
            prop_assert!(!signed.yanked.is_yanked() || file.yanked == signed.yanked);
            // All else is as it was signed.
            let mut same = file.clone();
            same.yanked = signed.yanked.clone();
            same.upload_time = signed.upload_time;
            if let Some(marks) = &mut same.wheelmark {
                marks.visible_since = since(signed);
            }
            prop_assert_eq!(&same, signed);
            prop_assert!(list.withdrawn(file).is_none());
        }
        for (name, removed) in &shown.wheelmark.removed {
            prop_assert_eq!(Some(&removed.entry), own(name));
        }
        for file in &shown.wheelmark.withheld {
            prop_assert_eq!(file.sha256(), own(file.filename.as_str()).and_then(PageFile::sha256));
        }
        let state = |page: &ProjectPage| page.project_status.clone().unwrap_or_default().status;
        prop_assert!(!state(&page).is_heavier_than(&state(&shown)));
        prop_assert!(!list.is_quarantined() || shown.files.is_empty());
        prop_assert_eq!(&shown.name, &page.name);
        prop_assert_eq!(&shown.wheelmark.certificates, &page.wheelmark.certificates);
        let versions = page.all_versions();
        prop_assert!(shown.all_versions().iter().all(|version| versions.contains(version)));
        // It is a page, and taking the same away once more changes nothing.
        prop_assert_eq!(&ProjectPage::parse(&shown.to_json()).unwrap().files.len(), &shown.files.len());
        prop_assert_eq!(list.apply(&shown).to_json(), shown.to_json());
    }

    #[test]
    fn what_is_written_is_read_as_it_was(list in any_list()) {
        prop_assert_eq!(&TakenAway::parse(&list.to_json(), &demo()).unwrap(), &list);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        let parsed = TakenAway::parse(&bytes, &demo());
        prop_assert!(parsed.is_err() || parsed.unwrap().to_json() == bytes);
    }
}
