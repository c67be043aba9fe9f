#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod certificates;
mod dropped;
mod properties;
mod removed;
mod signatures;

use serde_json::{Value, json};

use super::{PageError, ProjectPage};
use crate::simple::{Hashes, Marks, PageFile, ProjectStatus, Sha256Hex, Signed, Status, Yanked};

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// The smallest page with these entries.
fn page_of(files: Value) -> Value {
    json!({"meta": {"api-version": "1.0"}, "name": "demo", "files": files})
}

/// The smallest entry of a file.
fn entry(filename: &str) -> Value {
    json!({"filename": filename, "url": "https://files.example/x", "hashes": {"sha256": DIGEST}})
}

/// A page whose only entry has this member.
fn with(member: &str, value: Value) -> Value {
    let mut file = entry("demo-1.0.tar.gz");
    file[member] = value;
    page_of(json!([file]))
}

fn parse(page: &Value) -> Result<ProjectPage, PageError> {
    ProjectPage::parse(page.to_string().as_bytes())
}

fn story(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", story(source)),
        None => error.to_string(),
    }
}

/// Parses bytes, and compares the beginning of what is said.
#[track_caller]
fn check_bytes(bytes: &[u8], expect: &str) {
    let told = match ProjectPage::parse(bytes) {
        Ok(page) => format!("{} files of {}", page.files.len(), page.name),
        Err(error) => story(&error),
    };
    assert!(told.starts_with(expect), "told: {told}\nexpected: {expect}");
}

#[track_caller]
fn check(page: &Value, expect: &str) {
    check_bytes(page.to_string().as_bytes(), expect);
}

/// Modelled on what the largest index serves, with everything that it has.
fn large_index() -> Value {
    json!({
        "alternate-locations": [],
        "files": [
            {
                "core-metadata": {"sha256": DIGEST},
                "data-dist-info-metadata": {"sha256": DIGEST},
                "filename": "demo-1.10-py3-none-any.whl",
                "hashes": {"sha256": DIGEST},
                "provenance": "https://index.example/integrity/demo/1.10/demo-1.10-py3-none-any.whl/provenance",
                "requires-python": ">=3.9",
                "size": 2014,
                "upload-time": "2025-04-02T14:07:12.123456Z",
                "url": "https://files.example/aa/bb/demo-1.10-py3-none-any.whl",
                "yanked": false
            },
            {
                "core-metadata": false,
                "data-dist-info-metadata": false,
                "filename": "demo-1.9.tar.gz",
                "hashes": {"sha256": DIGEST},
                "provenance": null,
                "requires-python": null,
                "size": 1,
                "upload-time": "2015-04-02T14:07:12Z",
                "url": "https://files.example/aa/bb/demo-1.9.tar.gz",
                "yanked": "broken"
            },
            {"filename": "demo-0.1-py2.5.egg", "hashes": {}, "url": "u", "yanked": false}
        ],
        "meta": {"_last-serial": 12345, "api-version": "1.4"},
        "name": "demo",
        "project-status": {"reason": null, "status": "archived"},
        "tracks": [],
        "versions": ["0.1", "1.9", "1.10", "2004d"]
    })
}

#[test]
fn reads_what_a_large_index_serves() {
    let page = parse(&large_index()).unwrap();
    assert_eq!(page.name.as_str(), "demo");
    // By version, not by text.
    let [old, new] = &page.files[..] else {
        panic!("{:?}", page.files)
    };
    assert_eq!(old.filename.as_str(), "demo-1.9.tar.gz");
    assert_eq!(old.yanked, Yanked::Because("broken".to_owned()));
    assert_eq!(old.core_metadata, None);
    assert_eq!(old.requires_python, None);
    assert_eq!(new.size, Some(2014));
    assert_eq!(
        new.upload_time,
        Some("2025-04-02T14:07:12.123456Z".parse().unwrap())
    );
    assert_eq!(
        new.core_metadata.as_ref().unwrap().sha256(),
        Some(DIGEST.parse().unwrap())
    );
    assert_eq!(new.hashes.get("sha256"), Some(DIGEST));
    assert!(
        new.provenance
            .as_ref()
            .unwrap()
            .starts_with("https://index.example/integrity/")
    );
    assert_eq!(page.unrecognised[0].filename, "demo-0.1-py2.5.egg");
    assert_eq!(
        page.project_status.as_ref().unwrap().status,
        Status::Archived
    );
    assert_eq!(page.meta["_last-serial"], 12345);
    assert_eq!(
        page.extra.keys().collect::<Vec<_>>(),
        ["alternate-locations", "tracks"]
    );
    assert_eq!(page.all_versions(), ["2004d", "0.1", "1.9", "1.10"]);
    assert_eq!(page.file("demo-1.9.tar.gz"), Some(old));
    assert_eq!(page.file("demo-0.1-py2.5.egg"), None);
}

#[test]
fn renders_one_form_only() {
    let page = parse(&large_index()).unwrap();
    let rendered = page.to_json();
    assert_eq!(ProjectPage::parse(&rendered).unwrap(), page);
    let mut shuffled = page.clone();
    shuffled.files.reverse();
    assert_eq!(shuffled.to_json(), rendered);
    let expect = format!(
        "{{\"alternate-locations\":[],\"files\":[{{\"filename\":\"demo-1.9.tar.gz\",\"hashes\":{{\"sha256\":\"{DIGEST}\"}},\
         \"size\":1,\"upload-time\":\"2015-04-02T14:07:12Z\",\"url\":\"https://files.example/aa/bb/demo-1.9.tar.gz\",\
         \"yanked\":\"broken\"}},{{\"core-metadata\":{{\"sha256\":\"{DIGEST}\"}},"
    );
    let text = String::from_utf8(rendered).unwrap();
    assert!(text.starts_with(&expect), "{text}");
    assert!(text.ends_with(
        "{\"filename\":\"demo-0.1-py2.5.egg\",\"hashes\":{},\"url\":\"u\",\"yanked\":false}],\
         \"meta\":{\"_last-serial\":12345,\"api-version\":\"1.4\"},\"name\":\"demo\",\
         \"project-status\":{\"status\":\"archived\"},\"tracks\":[],\"versions\":[\"2004d\",\"0.1\",\"1.9\",\"1.10\"]}"
    ), "{text}");
}

#[test]
fn our_marks_survive() {
    let name = "demo".parse().unwrap();
    let digest = Sha256Hex([7; 32]);
    let mut file = PageFile::new(
        &name,
        "Demo-1.0+a.tar.gz".parse().unwrap(),
        Hashes::of_sha256([1; 32]),
    );
    assert_eq!(file.url, "../../packages/demo/Demo-1.0%2Ba.tar.gz");
    let mut marks = Marks::new(Signed::Back, "2026-11-01T00:00:00Z".parse().unwrap());
    marks.chunks_sha256 = Some(digest);
    marks.extra.insert("later".to_owned(), json!([1]));
    file.wheelmark = Some(marks);
    file.core_metadata = Some(Hashes::new());
    file.gpg_sig = Some(true);
    let mut page = ProjectPage::new(name);
    page.files.push(file);
    let rendered = page.to_json();
    let value: Value = serde_json::from_slice(&rendered).unwrap();
    assert_eq!(
        value["files"][0]["_wheelmark"],
        json!({"signed": "back", "signed-at": "2026-11-01T00:00:00Z", "chunks-sha256": digest.to_string(), "later": [1]})
    );
    assert_eq!(value["files"][0]["core-metadata"], json!(true));
    assert_eq!(value["versions"], json!(["1.0+a"]));
    let again = ProjectPage::parse(&rendered).unwrap();
    assert_eq!(again.files, page.files);
    assert_eq!(again.to_json(), rendered);
}

#[test]
fn older_names_of_core_metadata_are_read_once() {
    let core = |page: Value| {
        let page = parse(&page).unwrap();
        assert!(page.files[0].extra.is_empty());
        page.files[0].core_metadata.clone()
    };
    let digest = Hashes::of_sha256(DIGEST.parse::<Sha256Hex>().unwrap());
    assert_eq!(
        core(with("dist-info-metadata", json!({"sha256": DIGEST}))),
        Some(digest.clone())
    );
    assert_eq!(
        core(with("data-dist-info-metadata", json!({"sha256": DIGEST}))),
        Some(digest)
    );
    assert_eq!(
        core(with("dist-info-metadata", json!(true))),
        Some(Hashes::new())
    );
    let mut both = with("core-metadata", json!(false));
    both["files"][0]["dist-info-metadata"] = json!(true);
    assert_eq!(core(both), None);
}

#[test]
fn versions_are_listed_once() {
    let mut page = page_of(json!([entry("demo-1.0.tar.gz")]));
    page["versions"] = json!(["1.0.0", "2.0RC1", "2.0rc1", "1"]);
    assert_eq!(parse(&page).unwrap().all_versions(), ["1", "2.0rc1"]);
}

#[test]
fn refuses_other_forms() {
    check(&page_of(json!([])), "0 files of demo");
    check_bytes(
        b"",
        "the page cannot be read: the document is not plain JSON: EOF",
    );
    check_bytes(
        b"<!DOCTYPE html>",
        "the page cannot be read: the document is not plain JSON",
    );
    check_bytes(
        b"{} {}",
        "the page cannot be read: the document is not plain JSON: trailing",
    );
    check(
        &json!([]),
        "the page cannot be read: `page` is not an object",
    );
    check(
        &json!({"name": "demo", "files": []}),
        "the page cannot be read: `meta` is missing",
    );
    for version in ["2.0", "1", "1.", "1.x", "", "0.9", "01.0"] {
        let page = json!({"meta": {"api-version": version}, "name": "demo", "files": []});
        check(
            &page,
            &format!("the page cannot be read: version `{version}` of the simple API"),
        );
    }
    let later = json!({"meta": {"api-version": "1.99"}, "name": "demo", "files": [], "new": {"a": [null, -1, true]}});
    check(&later, "0 files of demo");
    check(
        &json!({"meta": {"api-version": "1.1"}, "files": []}),
        "the page cannot be read: `name` is missing",
    );
    check(
        &json!({"meta": {"api-version": "1.1"}, "name": "demo"}),
        "the page cannot be read: `files` is missing",
    );
    check(
        &json!({"meta": {"api-version": "1.1"}, "name": "..", "files": []}),
        "the page's name is not a project name",
    );
    check(
        &page_of(json!([1])),
        "the page cannot be read: `files` is not an object",
    );
    check(
        &page_of(json!([{"url": ""}])),
        "the page cannot be read: `filename` is missing",
    );
}

#[test]
fn what_two_readers_would_read_differently_is_refused() {
    let twice = br#"{"meta":{"api-version":"1.0"},"name":"demo","files":[],"files":[]}"#;
    check_bytes(
        twice,
        "the page cannot be read: the document is not plain JSON: the member `files` occurs twice",
    );
    let escaped = br#"{"meta":{"api-version":"1.0"},"name":"demo","files":[],"n\u0061me":"x"}"#;
    check_bytes(
        escaped,
        "the page cannot be read: the document is not plain JSON: the member `name` occurs twice",
    );
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    check_bytes(
        deep.as_bytes(),
        "the page cannot be read: the document is not plain JSON: nested deeper than 32",
    );
    check(
        &page_of(json!([entry("demo-1.0.tar.gz"), entry("demo-1.0.tar.gz")])),
        "the page lists `demo-1.0.tar.gz` twice",
    );
    check(
        &page_of(json!([entry("x.exe"), entry("x.exe")])),
        "the page lists `x.exe` twice",
    );
    check_bytes(
        br#"{"meta":{"api-version":"1.0"},"name":"demo","files":[],"x":1e999}"#,
        "the page cannot be read",
    );
}

#[test]
fn fractions_are_kept() {
    let with_number = |number: &str| {
        format!(
            r#"{{"files":[],"meta":{{"api-version":"1.4"}},"name":"demo","versions":[],"x":{number}}}"#
        )
    };
    let many_digits = "-4.704644837630776e+96";
    for number in [
        "0.5",
        "0.1",
        "3.14159265358979",
        "1e20",
        "-12345678.9",
        many_digits,
    ] {
        let page = ProjectPage::parse(with_number(number).as_bytes()).unwrap();
        let value: f64 = page.extra["x"].as_f64().unwrap();
        assert_eq!(value, number.parse::<f64>().unwrap());
        let rendered = page.to_json();
        assert_eq!(ProjectPage::parse(&rendered).unwrap().to_json(), rendered);
    }
}

#[test]
fn every_file_is_one_of_the_project() {
    let foreign = "the page of `demo` lists a file of another project";
    check(&page_of(json!([entry("other-1.0.tar.gz")])), foreign);
    check(
        &page_of(json!([entry("other-1.0-py3-none-any.whl")])),
        foreign,
    );
    check(
        &page_of(json!([
            entry("Demo-1.0.tar.gz"),
            entry("DEMO-1.0-py3-none-any.whl")
        ])),
        "2 files of demo",
    );
    // Passed over by installers, and by us.
    for odd in [
        "demo-1.0.win32.exe",
        "demo-dev.tar.gz",
        "../../etc/passwd",
        "demo-1.0.linux-x86_64.tar.gz",
        "",
        "\0",
    ] {
        check(&page_of(json!([entry(odd)])), "0 files of demo");
    }
}

#[test]
fn members_have_their_types() {
    let about = "the page's entry for `demo-1.0.tar.gz` cannot be read: ";
    let cases = [
        ("url", json!(null), "`url` is missing"),
        ("url", json!(1), "`url` is not a string"),
        ("hashes", json!(null), "`hashes` is missing"),
        ("hashes", json!([]), "`hashes` is not an object"),
        (
            "hashes",
            json!({"sha256": 1}),
            "`hashes` is not an object of strings",
        ),
        (
            "hashes",
            json!({"sha256": "abc"}),
            "`abc` is not a sha256 digest",
        ),
        (
            "hashes",
            json!({"sha256": DIGEST.to_uppercase()}),
            "`2CF24D",
        ),
        (
            "hashes",
            json!({"SHA256": DIGEST}),
            "`SHA256` is not the name of a hash algorithm",
        ),
        (
            "hashes",
            json!({"x\"": "00"}),
            "`x\\\"` is not the name of a hash algorithm",
        ),
        (
            "hashes",
            json!({"new": "\">"}),
            "`\\\">` is not a new digest",
        ),
        ("size", json!(-1), "`size` is not a whole number"),
        ("size", json!(1.5), "`size` is not a whole number"),
        ("size", json!("1"), "`size` is not a whole number"),
        (
            "upload-time",
            json!("yesterday"),
            "`upload-time` is not a time with an offset",
        ),
        (
            "upload-time",
            json!("2025-04-02T14:07:12"),
            "`upload-time` is not a time with an offset",
        ),
        ("upload-time", json!(1), "`upload-time` is not a string"),
        (
            "requires-python",
            json!(3),
            "`requires-python` is not a string",
        ),
        (
            "core-metadata",
            json!("yes"),
            "`core-metadata` is not an object",
        ),
        (
            "yanked",
            json!(1),
            "`yanked` is not true, false or a string",
        ),
        ("gpg-sig", json!("yes"), "`gpg-sig` is not true or false"),
        ("provenance", json!({}), "`provenance` is not a string"),
        ("_wheelmark", json!(1), "`_wheelmark` is not an object"),
        ("_wheelmark", json!({}), "`signed` is missing"),
        (
            "_wheelmark",
            json!({"signed": "never"}),
            "`never` does not say when a file was signed",
        ),
        (
            "_wheelmark",
            json!({"signed": "back"}),
            "`signed-at` is missing",
        ),
        (
            "_wheelmark",
            json!({"signed": "back", "signed-at": "2026-01-01T00:00:00Z", "chunks-sha256": "x"}),
            "`x` is not a sha256 digest",
        ),
    ];
    for (member, value, expect) in cases {
        check(&with(member, value), &format!("{about}{expect}"));
    }
    for (member, value) in [
        ("size", json!(u64::MAX)),
        ("yanked", json!(true)),
        ("yanked", json!("")),
        ("yanked", json!(null)),
        ("upload-time", json!("2025-04-02T14:07:12+02:00")),
        ("hashes", json!({})),
        ("gpg-sig", json!(false)),
    ] {
        check(&with(member, value), "1 files of demo");
    }
    let mut page = page_of(json!([]));
    page["versions"] = json!([1]);
    check(
        &page,
        "the page cannot be read: `versions` is not an array of strings",
    );
    page["versions"] = json!(null);
    page["project-status"] = json!("gone");
    check(
        &page,
        "the page cannot be read: `project-status` is not an object",
    );
}

#[test]
fn html_says_the_same() {
    let mut page = parse(&large_index()).unwrap();
    page.project_status = Some(ProjectStatus {
        status: Status::Quarantined,
        reason: Some("it's \"bad\" & <worse>".to_owned()),
        ..ProjectStatus::default()
    });
    page.files[1].core_metadata = Some(Hashes::new());
    page.files[1].yanked = Yanked::Yes;
    page.files[1].gpg_sig = Some(false);
    page.files[0].url = "x?a=1&b=2#egg=other".to_owned();
    let expect = format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="quarantined">
<meta name="pypi:project-status-reason" content="it&#x27;s &quot;bad&quot; &amp; &lt;worse&gt;">
<title>Links for demo</title>
</head>
<body>
<h1>Links for demo</h1>
<a href="x?a=1&amp;b=2#sha256={DIGEST}" data-yanked="broken">demo-1.9.tar.gz</a><br>
<a href="https://files.example/aa/bb/demo-1.10-py3-none-any.whl#sha256={DIGEST}" data-requires-python="&gt;=3.9" data-core-metadata="true" data-yanked="" data-gpg-sig="false" data-provenance="https://index.example/integrity/demo/1.10/demo-1.10-py3-none-any.whl/provenance">demo-1.10-py3-none-any.whl</a><br>
</body>
</html>
"#
    );
    assert_eq!(page.to_html(), expect);
}
