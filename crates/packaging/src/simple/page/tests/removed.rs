use serde_json::{Value, json};

use super::{check, entry, page_of, parse};
use crate::simple::{Extra, Hashes, PageFile, ProjectPage, Removed, Yanked};

#[test]
fn removed_files_are_remembered_and_not_listed() {
    let mut page = ProjectPage::new("demo".parse().unwrap());
    let name = "demo-1.0.tar.gz";
    let hashes = Hashes::of_sha256([7; 32]);
    let mut file = PageFile::new(&page.name, name.parse().unwrap(), hashes);
    file.size = Some(7);
    file.requires_python = Some(">=3.9".to_owned());
    file.core_metadata = Some(Hashes::of_sha256([8; 32]));
    file.yanked = Yanked::Yes;
    let removed = Removed {
        entry: file,
        removed_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        extra: Extra::new(),
    };
    let before = page.to_json();
    assert!(!String::from_utf8(before).unwrap().contains("_wheelmark"));
    let length = removed.json_len();
    page.wheelmark.removed.insert(name.to_owned(), removed);
    let rendered = page.to_json();
    let value: Value = serde_json::from_slice(&rendered).unwrap();
    let left = json!({
        "filename": name,
        "url": "../../packages/demo/demo-1.0.tar.gz",
        "hashes": {"sha256": "07".repeat(32)},
        "size": 7,
        "requires-python": ">=3.9",
        "core-metadata": {"sha256": "08".repeat(32)},
        "yanked": true,
    });
    let removed_at = "2026-11-01T00:00:00Z";
    assert_eq!(
        value["_wheelmark"],
        json!({"removed": {name: {"removed-at": removed_at, "entry": left}}})
    );
    let braces = r#"{"removed":{}}"#.len();
    assert_eq!(length + braces, value["_wheelmark"].to_string().len());
    assert_eq!(value["files"], json!([]));
    assert_eq!(value["versions"], json!([]));
    let again = ProjectPage::parse(&rendered).unwrap();
    assert_eq!(again, page);
    assert!(!again.to_html().contains("1.0"));

    let with = |member: &str, value: Value| {
        let mut changed = left.clone();
        changed[member] = value;
        changed
    };
    let mut contradictory = page_of(json!([entry(name)]));
    contradictory["_wheelmark"] = value["_wheelmark"].clone();
    check(
        &contradictory,
        "the page lists `demo-1.0.tar.gz` and says that it was removed",
    );
    for (marks, expect) in [
        (json!([]), "`_wheelmark` is not an object"),
        (json!({"removed": []}), "`removed` is not an object"),
        (json!({"removed": {name: {}}}), "`entry` is missing"),
        (
            json!({"removed": {name: {"entry": left}}}),
            "`removed-at` is missing",
        ),
        (
            json!({"removed": {name: {"entry": with("hashes", json!({"sha256": "ab"})), "removed-at": removed_at}}}),
            "`ab` is not a sha256 digest",
        ),
        (
            json!({"removed": {name: {"entry": with("hashes", json!({})), "removed-at": removed_at}}}),
            "`sha256` is missing",
        ),
        (
            json!({"removed": {"demo-2.0.tar.gz": {"entry": left, "removed-at": removed_at}}}),
            "`demo-2.0.tar.gz` is not the name of a removed file of this project",
        ),
        (
            json!({"removed": {"x-1.0.tar.gz": {"entry": with("filename", json!("x-1.0.tar.gz")), "removed-at": removed_at}}}),
            "`x-1.0.tar.gz` is not the name of a removed file of this project",
        ),
    ] {
        let mut page = page_of(json!([]));
        page["_wheelmark"] = marks;
        let about = "what the page says under `_wheelmark` cannot be read: ";
        check(&page, &format!("{about}{expect}"));
    }
    let mut unknown = page_of(json!([]));
    unknown["_wheelmark"] = json!({"later": 1});
    assert_eq!(parse(&unknown).unwrap().wheelmark.extra["later"], json!(1));
}

#[test]
fn withheld_files_are_remembered_and_not_listed() {
    let mut page = ProjectPage::new("demo".parse().unwrap());
    let file = |version: &str| {
        let name = format!("demo-{version}.tar.gz").parse().unwrap();
        PageFile::new(&page.name, name, Hashes::of_sha256([7; 32]))
    };
    let withheld = vec![file("10.0"), file("9.0")];
    page.wheelmark.withheld = withheld;
    let rendered = page.to_json();
    let value: Value = serde_json::from_slice(&rendered).unwrap();
    let names: Vec<_> = value["_wheelmark"]["withheld"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["filename"].clone())
        .collect();
    assert_eq!(names, ["demo-9.0.tar.gz", "demo-10.0.tar.gz"]);
    assert_eq!(
        (&value["files"], &value["versions"]),
        (&json!([]), &json!([]))
    );
    let again = ProjectPage::parse(&rendered).unwrap();
    assert_eq!(again.to_json(), rendered);
    assert!(again.file("demo-9.0.tar.gz").is_none());
    assert!(!again.to_html().contains("9.0"));
    assert!(
        !again
            .to_legacy_json(1)
            .windows(3)
            .any(|part| part == b"9.0")
    );

    let left = value["_wheelmark"]["withheld"][0].clone();
    let mut contradictory = page_of(json!([left]));
    contradictory["_wheelmark"] = json!({"withheld": [left]});
    check(&contradictory, "the page lists `demo-9.0.tar.gz` twice");
    let mut foreign = left.clone();
    foreign["filename"] = json!("other-1.0.tar.gz");
    for (marks, expect) in [
        (json!({"withheld": {}}), "`withheld` is not an array"),
        (json!({"withheld": [{}]}), "`filename` is missing"),
        (
            json!({"withheld": [foreign]}),
            "`other-1.0.tar.gz` is not the name of a withheld file of this project",
        ),
    ] {
        let mut page = page_of(json!([]));
        page["_wheelmark"] = marks;
        let about = "what the page says under `_wheelmark` cannot be read: ";
        check(&page, &format!("{about}{expect}"));
    }
}
