#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use serde_json::{Value, json};

use crate::Version;
use crate::simple::ProjectPage;

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn page(files: &[(&str, Value)]) -> ProjectPage {
    let files = files.iter().map(|(filename, yanked)| {
        json!({
            "filename": filename, "url": "https://elsewhere.example/x", "yanked": yanked,
            "hashes": {"sha256": DIGEST}, "size": 5, "upload-time": "2026-11-20T10:00:00.5Z",
            "requires-python": ">=3.9,<4",
        })
    });
    let files: Vec<Value> = files.collect();
    let page = json!({"meta": {"api-version": "1.4"}, "name": "demo", "files": files});
    ProjectPage::parse(page.to_string().as_bytes()).unwrap()
}

fn document(page: &ProjectPage) -> Value {
    serde_json::from_slice(&page.to_legacy_json(7)).unwrap()
}

#[test]
fn a_file_is_described_as_bandersnatch_reads_it() {
    let page = page(&[
        ("demo-1.0+local.1-py2.py3-none-any.whl", json!(false)),
        ("demo-1.0.tar.gz", json!("was <broken> & bad")),
    ]);
    let bytes = page.to_legacy_json(7);
    for markup in [b'<', b'>', b'&'] {
        assert!(!bytes.contains(&markup));
    }
    let wheel = json!({
        "digests": {"sha256": DIGEST},
        "filename": "demo-1.0+local.1-py2.py3-none-any.whl",
        "has_sig": false,
        "packagetype": "bdist_wheel",
        "python_version": "py2.py3",
        "requires_python": ">=3.9,<4",
        "size": 5,
        "upload_time": "2026-11-20T10:00:00",
        "upload_time_iso_8601": "2026-11-20T10:00:00.500000Z",
        "url": "/packages/demo/demo-1.0%2Blocal.1-py2.py3-none-any.whl",
        "yanked": false,
        "yanked_reason": null,
    });
    let mut sdist = wheel.clone();
    sdist["filename"] = "demo-1.0.tar.gz".into();
    sdist["packagetype"] = "sdist".into();
    sdist["python_version"] = "source".into();
    sdist["url"] = "/packages/demo/demo-1.0.tar.gz".into();
    sdist["yanked"] = true.into();
    sdist["yanked_reason"] = "was <broken> & bad".into();
    assert_eq!(
        document(&page),
        json!({
            "info": {
                "name": "demo", "version": "1.0+local.1", "requires_python": ">=3.9,<4",
                "yanked": false, "yanked_reason": null,
            },
            "last_serial": 7,
            "releases": {"1.0": [sdist], "1.0+local.1": [wheel]},
            "urls": [wheel],
        })
    );
}

#[test]
fn the_latest_version_is_the_one_a_person_would_name() {
    let check = |files: &[(&str, Value)], latest: &str| {
        assert_eq!(
            document(&page(files))["info"]["version"],
            latest,
            "{files:?}"
        );
    };
    let no = || json!(false);
    check(
        &[("demo-2.0.tar.gz", no()), ("demo-10.0.tar.gz", no())],
        "10.0",
    );
    check(
        &[("demo-1.0.tar.gz", no()), ("demo-2.0rc1.tar.gz", no())],
        "1.0",
    );
    check(
        &[("demo-1.0.dev1.tar.gz", no()), ("demo-2.0rc1.tar.gz", no())],
        "2.0rc1",
    );
    check(
        &[("demo-1.0.tar.gz", no()), ("demo-2.0.tar.gz", json!(true))],
        "1.0",
    );
    check(
        &[
            ("demo-1.0rc1.tar.gz", no()),
            ("demo-2.0.tar.gz", json!(true)),
        ],
        "1.0rc1",
    );
    check(
        &[
            ("demo-1.0.tar.gz", json!("a")),
            ("demo-2.0.tar.gz", json!("b")),
        ],
        "2.0",
    );
    let half = ("demo-2.0-py3-none-any.whl", json!(true));
    check(
        &[("demo-1.0.tar.gz", no()), half, ("demo-2.0.tar.gz", no())],
        "2.0",
    );
}

#[test]
fn a_version_is_yanked_when_all_of_it_is() {
    let half = page(&[
        ("demo-1.0-py3-none-any.whl", json!("x")),
        ("demo-1.0.tar.gz", json!(false)),
    ]);
    assert_eq!(document(&half)["info"]["yanked"], false);
    assert_eq!(document(&half)["info"]["yanked_reason"], Value::Null);
    let whole = page(&[("demo-1.0.tar.gz", json!("why"))]);
    assert_eq!(document(&whole)["info"]["yanked"], true);
    assert_eq!(document(&whole)["info"]["yanked_reason"], "why");
}

#[test]
fn one_version_has_a_document_of_its_own() {
    let page = page(&[
        ("demo-1.0.tar.gz", json!(false)),
        ("demo-2.0.tar.gz", json!(false)),
    ]);
    let of = |version: &str| {
        let version: Version = version.parse().unwrap();
        page.release_to_legacy_json(&version, 7)
    };
    for spelling in ["1.0", "1", "v1.0.0"] {
        let document: Value = serde_json::from_slice(&of(spelling).unwrap()).unwrap();
        assert_eq!(document["info"]["version"], "1.0");
        assert_eq!(document["urls"][0]["filename"], "demo-1.0.tar.gz");
        assert_eq!(document["last_serial"], 7);
        assert_eq!(document.get("releases"), None);
    }
    assert_eq!(of("3.0"), None);
}

#[test]
fn a_project_without_files_is_there() {
    let empty = json!({"info": {"name": "demo"}, "last_serial": 7, "releases": {}, "urls": []});
    assert_eq!(document(&page(&[])), empty);
}
