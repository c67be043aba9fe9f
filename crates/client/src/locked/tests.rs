#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const MD5: &str = "cccccccccccccccccccccccccccccccc";

fn page() -> ProjectPage {
    let text = format!(
        r#"{{"meta":{{"api-version":"1.4"}},"name":"demo","versions":["1.0"],"files":[
        {{"filename":"demo-1.0-py3-none-any.whl","url":"x","hashes":{{"sha256":"{A}","md5":"{MD5}"}},"size":5}},
        {{"filename":"demo-2.0+cpu.tar.gz","url":"x","hashes":{{"sha256":"{B}"}},"size":5}}]}}"#
    );
    ProjectPage::parse(text.as_bytes()).unwrap()
}

fn hashes(stated: &[(&str, &str)]) -> Hashes {
    let mut hashes = Hashes::new();
    for (algorithm, digest) in stated {
        hashes.insert(algorithm, digest).unwrap();
    }
    hashes
}

fn package(version: Option<&str>) -> LockedPackage {
    LockedPackage {
        project: "demo".parse().unwrap(),
        version: version.map(|version| version.parse().unwrap()),
        index: None,
        files: Vec::new(),
        identities: Vec::new(),
    }
}

#[test]
fn a_locked_file_is_what_its_digest_says() {
    let page = page();
    let entry = &page.files[0];
    let check = |version: &str, locked: &[(&str, &str)], size: Option<u64>, expected: &str| {
        let locked = LockedFile {
            filename: Some("demo-1.0-py3-none-any.whl".to_owned()),
            at: FilePlace::Index,
            size,
            hashes: hashes(locked),
        };
        let said = verdict(&package(Some(version)), &locked, entry, &entry.hashes, 5);
        let said = format!("{said:?}");
        assert!(said.starts_with(expected), "{said}");
    };
    check("1.0", &[("sha256", A)], None, "Signed");
    check("1", &[("sha256", A), ("md5", MD5)], Some(5), "Signed");
    check(
        "1.0",
        &[("sha256", A), ("sha384", &A.repeat(2)[..96])],
        None,
        "NoSignedDigest",
    );
    check("1.0", &[("sha256", B)], None, "OtherBytes");
    check(
        "1.0",
        &[("sha256", A), ("md5", &A[..32])],
        None,
        "OtherBytes",
    );
    check("1.0", &[("sha256", A)], Some(6), "OtherLength");
    check("1.0", &[("md5", MD5)], None, "NoSignedDigest");
    check("1.0", &[], None, "NoDigest");
    check("1.1", &[("sha256", A)], None, "OtherVersion");
}

#[test]
fn a_version_stands_for_its_local_ones() {
    let page = page();
    let check = |file: usize, version: &str, expected: bool| {
        assert_eq!(
            is_of(&page.files[file], &version.parse().unwrap()),
            expected,
            "{version}"
        );
    };
    check(1, "2.0", true);
    check(1, "2.0+cpu", true);
    check(1, "2.0+other", false);
    check(0, "1.0+cpu", false);
}

#[test]
fn packages_without_pins_and_digests() {
    let page = page();
    let check = |version: Option<&str>, expected: &str| {
        let said = format!("{:?}", trouble(&page, &package(version)));
        assert!(said.contains(expected), "{version:?} {said}");
    };
    check(None, "NotPinned");
    check(Some("1.0"), "NoDigests");
    check(Some("3.0"), "NoVersion");
}
