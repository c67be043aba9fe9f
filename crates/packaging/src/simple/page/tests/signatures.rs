use super::*;
use crate::simple::SignatureMark;

fn marked(marks: Value) -> Value {
    let mut marks = marks;
    marks["signed"] = json!("at-upload");
    marks["signed-at"] = json!("2026-11-01T00:00:00Z");
    marks
}

#[test]
fn what_a_signature_is_stands_in_its_file_s_entry() {
    let marks = json!({"gpg-sig-sha256": DIGEST, "gpg-sig-length": 228});
    let mut page = with("_wheelmark", marked(marks));
    page["files"][0]["gpg-sig"] = json!(true);
    let parsed = parse(&page).unwrap();
    let file = &parsed.files[0];
    assert!(file.has_signature());
    let expected = SignatureMark {
        sha256: DIGEST.parse().unwrap(),
        length: 228,
    };
    assert_eq!(file.wheelmark.as_ref().unwrap().gpg_sig, Some(expected));
    let again = parsed.to_json();
    assert_eq!(ProjectPage::parse(&again).unwrap().files, parsed.files);
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!(
        again["files"][0]["_wheelmark"],
        page["files"][0]["_wheelmark"]
    );
    assert_eq!(again["files"][0]["gpg-sig"], true);
}

#[test]
fn half_of_what_a_signature_is_is_an_error() {
    let about = "the page's entry for `demo-1.0.tar.gz` cannot be read: ";
    for (marks, expect) in [
        (
            json!({"gpg-sig-sha256": DIGEST}),
            "`gpg-sig-length` is missing",
        ),
        (json!({"gpg-sig-length": 1}), "`gpg-sig-sha256` is missing"),
        (
            json!({"gpg-sig-sha256": "x", "gpg-sig-length": 1}),
            "`x` is not a sha256 digest",
        ),
        (
            json!({"gpg-sig-sha256": DIGEST, "gpg-sig-length": -1}),
            "`gpg-sig-length` is not a whole number",
        ),
    ] {
        check(
            &with("_wheelmark", marked(marks)),
            &format!("{about}{expect}"),
        );
    }
}

#[test]
fn html_says_of_every_link_whether_there_is_a_signature() {
    let said = |stated: Option<bool>, is_ours: bool| {
        let mut page = match is_ours {
            true => with("_wheelmark", marked(json!({}))),
            false => page_of(json!([entry("demo-1.0.tar.gz")])),
        };
        if let Some(stated) = stated {
            page["files"][0]["gpg-sig"] = json!(stated);
        }
        let html = parse(&page).unwrap().to_html();
        let attribute = html.split("data-gpg-sig=\"").nth(1);
        attribute.map(|rest| rest.starts_with("true\""))
    };
    assert_eq!(said(Some(true), true), Some(true));
    assert_eq!(said(Some(false), true), Some(false));
    // An entry that was signed before signatures were kept.
    assert_eq!(said(None, true), Some(false));
    // Another index may have one and not say so.
    assert_eq!(said(None, false), None);
    assert_eq!(said(Some(true), false), Some(true));
}

#[test]
fn source_archives_are_listed_with_their_signatures_by_plain_links() {
    let file = |name: &str, url: &str, signed: bool, yanked: bool| {
        let mut file = entry(name);
        file["url"] = json!(url);
        file["gpg-sig"] = json!(signed);
        file["yanked"] = json!(yanked);
        file
    };
    let page = page_of(json!([
        file(
            "demo-1.10.tar.gz",
            "../../packages/demo/demo-1.10.tar.gz",
            true,
            false
        ),
        file("demo-1.9%2B\"a.tar.gz", "x", true, false),
        file("demo-1.9+a.tar.gz", "d?\"&b=c#sha256=0", true, false),
        file("demo-1.9-py3-none-any.whl", "x.whl", true, false),
        file("demo-1.2.zip", "demo-1.2.zip", false, false),
        file("demo-1.11.tar.gz", "yanked", true, true)
    ]));
    assert_eq!(
        parse(&page).unwrap().to_sources_html(),
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="1.4">
<title>Source archives of demo</title>
</head>
<body>
<h1>Source archives of demo</h1>
<a href="demo-1.2.zip">demo-1.2.zip</a><br>
<a href="d?&quot;&amp;b=c">demo-1.9+a.tar.gz</a> <a href="d?&quot;&amp;b=c.asc">demo-1.9+a.tar.gz.asc</a><br>
<a href="../../packages/demo/demo-1.10.tar.gz">demo-1.10.tar.gz</a> <a href="../../packages/demo/demo-1.10.tar.gz.asc">demo-1.10.tar.gz.asc</a><br>
</body>
</html>
"#
    );
}
