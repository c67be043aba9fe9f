use serde_json::{Value, json};

use super::{check, entry, page_of, parse};
use crate::simple::{Extra, ProjectPage, Removed};

#[test]
fn removed_files_are_remembered_and_not_listed() {
    let mut page = ProjectPage::new("demo".parse().unwrap());
    let removed = Removed {
        sha256: [7; 32].into(),
        removed_at: "2026-11-01T00:00:00Z".parse().unwrap(),
        extra: Extra::new(),
    };
    let before = page.to_json();
    assert!(!String::from_utf8(before).unwrap().contains("_wheelmark"));
    let name = "demo-1.0.tar.gz";
    page.wheelmark.removed.insert(name.to_owned(), removed);
    let rendered = page.to_json();
    let value: Value = serde_json::from_slice(&rendered).unwrap();
    let digest = "07".repeat(32);
    assert_eq!(
        value["_wheelmark"],
        json!({"removed": {name: {"removed-at": "2026-11-01T00:00:00Z", "sha256": digest}}})
    );
    assert_eq!(value["files"], json!([]));
    assert_eq!(value["versions"], json!([]));
    let again = ProjectPage::parse(&rendered).unwrap();
    assert_eq!(again, page);
    assert!(!again.to_html().contains("1.0"));

    let mut contradictory = page_of(json!([entry(name)]));
    contradictory["_wheelmark"] = value["_wheelmark"].clone();
    check(
        &contradictory,
        "the page lists `demo-1.0.tar.gz` and says that it was removed",
    );
    for (marks, expect) in [
        (json!([]), "`_wheelmark` is not an object"),
        (json!({"removed": []}), "`removed` is not an object"),
        (json!({"removed": {"x": {}}}), "`sha256` is missing"),
        (
            json!({"removed": {"x": {"sha256": digest}}}),
            "`removed-at` is missing",
        ),
        (
            json!({"removed": {"x": {"sha256": "ab", "removed-at": "2026-11-01T00:00:00Z"}}}),
            "`ab` is not a sha256 digest",
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
