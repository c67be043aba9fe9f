use serde_json::json;

use super::{check, page_of, parse};
use crate::simple::{BoundCertificates, Extra, ProjectPage};

#[test]
fn certificates_are_bound_and_survive() {
    let mut page = ProjectPage::new("demo".parse().unwrap());
    for required in [false, true] {
        page.wheelmark.certificates = Some(BoundCertificates {
            sha256: [7; 32].into(),
            size: 77,
            required,
            extra: Extra::from([("later".to_owned(), json!(1))]),
        });
        let rendered = page.to_json();
        let again = ProjectPage::parse(&rendered).unwrap();
        assert_eq!(again, page);
        let value: serde_json::Value = serde_json::from_slice(&rendered).unwrap();
        let mut expected = json!({"sha256": "07".repeat(32), "size": 77, "later": 1});
        if required {
            expected["required"] = true.into();
        }
        assert_eq!(value["_wheelmark"], json!({"certificates": expected}));
    }
}

#[test]
fn certificates_without_digest_or_length_are_refused() {
    let digest = "07".repeat(32);
    for (bound, expect) in [
        (json!([]), "`certificates` is not an object"),
        (json!({"size": 7}), "`sha256` is missing"),
        (json!({"sha256": digest}), "`size` is missing"),
        (
            json!({"sha256": "07", "size": 7}),
            "`07` is not a sha256 digest",
        ),
        (
            json!({"sha256": digest, "size": -7}),
            "`size` is not a whole number",
        ),
    ] {
        let mut page = page_of(json!([]));
        page["_wheelmark"] = json!({ "certificates": bound });
        let about = "what the page says under `_wheelmark` cannot be read: ";
        check(&page, &format!("{about}{expect}"));
    }
    let mut page = page_of(json!([]));
    page["_wheelmark"] = json!({ "certificates": null });
    assert_eq!(parse(&page).unwrap().wheelmark.certificates, None);
}
