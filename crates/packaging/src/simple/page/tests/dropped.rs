use serde_json::{Value, json};

use super::{check, entry, page_of, parse};
use crate::simple::{Dropped, Extra, Hashes, PageFile, ProjectPage, Sha256Hex};

#[test]
fn dropped_files_are_named_by_their_bytes_and_take_no_name() {
    let mut page = ProjectPage::new("demo".parse().unwrap());
    let name = "demo-6.6-py3-none-any.whl";
    let evil = Sha256Hex([6; 32]);
    let dropped = Dropped {
        filename: name.parse().unwrap(),
        at: "2026-06-02T09:00:00Z".parse().unwrap(),
        since: "2026-05-30T22:00:00Z".parse().unwrap(),
        extra: Extra::new(),
    };
    page.wheelmark.dropped.insert(evil, dropped.clone());
    let file = |bytes: u8| {
        let hashes = Hashes::of_sha256([bytes; 32]);
        PageFile::new(&"demo".parse().unwrap(), name.parse().unwrap(), hashes)
    };
    // The project's own people have published other bytes under this name.
    page.files.push(file(7));
    let rendered = page.to_json();
    let value: Value = serde_json::from_slice(&rendered).unwrap();
    let said = json!({
        "filename": name,
        "at": "2026-06-02T09:00:00Z",
        "since": "2026-05-30T22:00:00Z",
    });
    assert_eq!(
        value["_wheelmark"],
        json!({"dropped": {"06".repeat(32): said}})
    );
    let again = ProjectPage::parse(&rendered).unwrap();
    assert_eq!(again.wheelmark, page.wheelmark);
    assert_eq!(again.to_json(), rendered);
    assert_eq!(again.dropped(), [(evil, &dropped)]);
    assert!(!again.to_html().contains(&"06".repeat(32)));

    // And these: then they are files as all others.
    page.files = vec![file(6)];
    assert_eq!(page.dropped(), []);
    page.wheelmark.withheld = std::mem::take(&mut page.files);
    assert_eq!(page.dropped(), []);

    let with = |member: &str, value: Value| {
        let mut changed = said.clone();
        changed[member] = value;
        json!({ "06".repeat(32): changed })
    };
    for (dropped, expect) in [
        (json!([]), "`dropped` is not an object"),
        (json!({"06": said}), "`06` is not a sha256 digest"),
        (with("filename", Value::Null), "`filename` is missing"),
        (with("at", Value::Null), "`at` is missing"),
        (
            with("since", json!("yesterday")),
            "`since` is not a time with an offset",
        ),
        (
            with("filename", json!("other-1.0.tar.gz")),
            "`other-1.0.tar.gz` is not the name of a dropped file of this project",
        ),
    ] {
        let mut page = page_of(json!([entry("demo-1.0.tar.gz")]));
        page["_wheelmark"] = json!({ "dropped": dropped });
        let about = "what the page says under `_wheelmark` cannot be read: ";
        check(&page, &format!("{about}{expect}"));
    }
    let mut later = page_of(json!([]));
    later["_wheelmark"] = json!({ "dropped": with("later", json!(1)) });
    let kept = parse(&later).unwrap();
    assert_eq!(kept.wheelmark.dropped[&evil].extra["later"], json!(1));
    assert_eq!(ProjectPage::parse(&kept.to_json()).unwrap(), kept);
}
