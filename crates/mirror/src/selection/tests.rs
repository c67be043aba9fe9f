#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::form::bytes;
use super::*;

const NOW: &str = "2030-01-31T00:00:00Z";

fn page(files: &[&str]) -> ProjectPage {
    let project: ProjectName = "demo".parse().unwrap();
    let mut page = ProjectPage::new(project.clone());
    for file in files {
        // A name, and perhaps a size and a day of January.
        let mut words = file.split(' ');
        let filename = DistributionFilename::parse(words.next().unwrap()).unwrap();
        let hashes = wheelmark_packaging::simple::Hashes::default();
        let mut entry = PageFile::new(&project, filename, hashes);
        entry.size = words.next().map(|size| size.parse().unwrap());
        entry.upload_time = words
            .next()
            .map(|day| format!("2030-01-{day}T00:00:00Z").parse().unwrap());
        page.files.push(entry);
    }
    page
}

/// The files that a selection takes of these, separated by spaces.
#[track_caller]
fn check(selection: &str, files: &[&str], expected: &str) {
    let selection = Selection::parse(selection).unwrap();
    let page = page(files);
    let chosen = selection.files(&page, NOW.parse().unwrap());
    let names: Vec<&str> = chosen.iter().map(|file| file.filename.as_str()).collect();
    assert_eq!(names.join(" "), expected);
}

const SDISTS: &[&str] = &[
    "demo-1.0.tar.gz",
    "demo-1.5.tar.gz",
    "demo-2.0.tar.gz",
    "demo-3.0rc1.tar.gz",
];

#[test]
fn versions_are_chosen_by_specifiers() {
    check("", SDISTS, &SDISTS.join(" "));
    let some = "demo-1.5.tar.gz demo-2.0.tar.gz";
    check("allowlist.packages = ['Demo>=1.5,<3']", SDISTS, some);
    check(
        "allowlist.packages = ['demo==1.0', 'demo ~= 2.0', 'other']",
        SDISTS,
        "demo-1.0.tar.gz demo-2.0.tar.gz",
    );
    check(
        "blocklist.packages = ['demo<1.5', 'demo>=3.0rc1']",
        SDISTS,
        some,
    );
    check(
        "prerelease.exclude = true",
        SDISTS,
        &format!("demo-1.0.tar.gz {some}"),
    );
    check(
        r"filter_regex.releases = ['.*rc\d+$', '1\.0$']",
        SDISTS,
        some,
    );
}

#[test]
fn the_latest_are_those_of_what_is_chosen_otherwise() {
    check(
        "latest_release.keep = 2",
        &[
            "demo-1.10.tar.gz",
            "demo-1.9.tar.gz",
            "demo-1.9-py3-none-any.whl",
            "demo-1.2.tar.gz",
        ],
        "demo-1.10.tar.gz demo-1.9.tar.gz demo-1.9-py3-none-any.whl",
    );
    check(
        "latest_release.keep = 1\nprerelease.exclude = true",
        SDISTS,
        "demo-2.0.tar.gz",
    );
}

#[test]
fn a_wheel_goes_only_if_all_its_platforms_do() {
    let wheels = &[
        "demo-1.0-cp313-cp313-win_amd64.whl",
        "demo-1.0-cp313-cp313-macosx_11_0_arm64.whl",
        "demo-1.0-cp313-cp313-macosx_11_0_arm64.win32.whl",
        "demo-1.0-cp313-cp313-manylinux_2_28_x86_64.whl",
        "demo-1.0-py3-none-any.whl",
        "demo-1.0.tar.gz",
    ];
    check(
        "blocklist.platforms = ['windows']",
        wheels,
        &wheels[1..].join(" "),
    );
    check(
        "blocklist.platforms = ['windows', 'macos']",
        wheels,
        &wheels[3..].join(" "),
    );
    check(
        "blocklist.platforms = ['linux', 'macos', 'windows']",
        wheels,
        &wheels[4..].join(" "),
    );
}

#[test]
fn size_and_age_limit_what_states_them() {
    let files = &[
        "demo-1.0.tar.gz 1000 01",
        "demo-2.0.tar.gz 1001 30",
        "demo-3.0.tar.gz",
    ];
    check(
        "size.max_file_size = '1k'",
        files,
        "demo-1.0.tar.gz demo-3.0.tar.gz",
    );
    check(
        "age.newer_than_days = 7",
        files,
        "demo-2.0.tar.gz demo-3.0.tar.gz",
    );
    check(
        "age.newer_than_days = 30",
        files,
        "demo-1.0.tar.gz demo-2.0.tar.gz demo-3.0.tar.gz",
    );
}

#[test]
fn projects_are_chosen_by_name() {
    let check = |selection: &str, project: &str, expected: bool| {
        let selection = Selection::parse(selection).unwrap();
        assert_eq!(
            selection.chooses(&project.parse().unwrap()),
            expected,
            "{project}"
        );
    };
    check("", "flask", true);
    check("allowlist.packages = ['Flask>=1']", "flask", true);
    check("allowlist.packages = ['flask']", "flask-login", false);
    check("blocklist.packages = ['flask']", "flask", false);
    check("blocklist.packages = ['flask<1']", "flask", true);
    check(
        "filter_regex.packages = ['.*-nightly$']",
        "torch-nightly",
        false,
    );
    check("filter_regex.packages = ['night']", "torch-nightly", true);
}

#[test]
fn a_selection_is_another_one_when_anything_changes() {
    let as_of = |text: &str, now: &str| Selection::parse(text).unwrap().as_of(now.parse().unwrap());
    assert!(Selection::default().is_everything());
    assert_eq!(as_of("", NOW), "everything");
    let one = as_of("allowlist.packages = ['a']", NOW);
    assert_eq!(
        one,
        as_of("allowlist.packages = ['A']", "2031-01-01T00:00:00Z")
    );
    assert_ne!(one, as_of("blocklist.packages = ['a']", NOW));
    let aged = "age.newer_than_days = 7";
    assert_eq!(as_of(aged, NOW), as_of(aged, "2030-01-31T23:00:00Z"));
    assert_ne!(as_of(aged, NOW), as_of(aged, "2030-02-01T00:00:00Z"));
}

#[test]
fn what_cannot_be_understood_is_an_error() {
    for bad in [
        "allowlist.projects = []",
        "allowlist.packages = ['a b']",
        "allowlist.packages = ['=1']",
        "blocklist.platforms = ['amiga']",
        "size.max_file_size = '1 parsec'",
        "size.max_file_size = '-1'",
        "size.max_file_size = '.'",
        "filter_regex.packages = ['(']",
        "latest = 3",
    ] {
        assert!(Selection::parse(bad).is_err(), "{bad}");
    }
    for (text, expected) in [
        ("0", 0),
        ("1.5 GB", 1_500_000_000),
        ("2KiB", 2048),
        ("7b", 7),
    ] {
        assert_eq!(bytes(text).unwrap(), expected);
    }
}
