//! No request names anything outside of the tree, and every path can be written down and read.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use wheelmark_objects::{
    Kind, MAX_FILENAME_LEN, MAX_SEGMENT_LEN, MAX_SHA512_FILENAME_LEN, MAX_STATUS_PROJECT_LEN,
    ObjectPath, PathError, file_target, page_target, status_target,
};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Sha256, Sha512};

const WHEEL: &str = "flask-3.1.0-py3-none-any.whl";

/// What a careful client escapes in a segment, and what the laziest has to.
const ALL: &AsciiSet = NON_ALPHANUMERIC;
const LITTLE: &AsciiSet = &CONTROLS.add(b'%').add(b'/').add(b'?').add(b'#').add(b' ');

fn flask() -> ProjectName {
    "flask".parse().unwrap()
}

fn digest() -> Sha256 {
    Sha256::of(b"")
}

fn check(path: ObjectPath, kind: Kind, expect: &str) {
    let expect = expect.replace("HASH", &digest().to_string());
    assert_eq!(path.as_str(), expect);
    assert_eq!(path.kind(), kind);
    assert_eq!(expect.parse::<ObjectPath>().unwrap(), path);
    let asked_for = matches!(kind, Kind::Timestamp | Kind::PlainCertificates);
    if kind.is_replaceable() && !asked_for {
        assert!(ObjectPath::from_request(&expect).is_err(), "{expect}");
    } else {
        assert_eq!(ObjectPath::from_request(&expect).unwrap(), path);
        assert_eq!(
            ObjectPath::from_request(&format!("/{expect}")).unwrap(),
            path
        );
    }
}

#[test]
fn every_object_has_its_path() {
    let role = "simple-0f".parse().unwrap();
    check(
        ObjectPath::timestamp(),
        Kind::Timestamp,
        "metadata/timestamp.json",
    );
    check(
        ObjectPath::metadata(&role, 12),
        Kind::Metadata,
        "metadata/12.simple-0f.json",
    );
    let p = &flask();
    let hash = &digest();
    check(
        ObjectPath::page(p, hash),
        Kind::Page,
        "targets/simple/flask/HASH.index.json",
    );
    check(
        ObjectPath::certificates(p, hash),
        Kind::Certificates,
        "targets/simple/flask/HASH.certificates.asc",
    );
    check(
        ObjectPath::plain_certificates(p),
        Kind::PlainCertificates,
        "keys/flask.asc",
    );
    check(
        ObjectPath::file(p, hash, WHEEL).unwrap(),
        Kind::File,
        "targets/packages/flask/HASH.flask-3.1.0-py3-none-any.whl",
    );
    check(
        ObjectPath::file_metadata(p, hash, WHEEL).unwrap(),
        Kind::FileMetadata,
        "targets/packages/flask/HASH.flask-3.1.0-py3-none-any.whl.metadata",
    );
    check(
        ObjectPath::chunks(p, hash, WHEEL).unwrap(),
        Kind::Chunks,
        "targets/packages/flask/HASH.flask-3.1.0-py3-none-any.whl.chunks",
    );
    check(
        ObjectPath::signature(p, hash, WHEEL).unwrap(),
        Kind::Signature,
        "targets/packages/flask/HASH.flask-3.1.0-py3-none-any.whl.asc",
    );
    check(
        ObjectPath::provenance(p, hash, WHEEL).unwrap(),
        Kind::Provenance,
        "targets/packages/flask/HASH.flask-3.1.0-py3-none-any.whl.provenance",
    );
    check(
        ObjectPath::status(p, hash).unwrap(),
        Kind::Status,
        "targets/status/HASH.flask.json",
    );
    check(
        ObjectPath::plain_file(p, WHEEL).unwrap(),
        Kind::PlainFile,
        "packages/flask/flask-3.1.0-py3-none-any.whl",
    );
    check(
        ObjectPath::plain_file_metadata(p, WHEEL).unwrap(),
        Kind::PlainFileMetadata,
        "packages/flask/flask-3.1.0-py3-none-any.whl.metadata",
    );
    check(
        ObjectPath::plain_signature(p, WHEEL).unwrap(),
        Kind::PlainSignature,
        "packages/flask/flask-3.1.0-py3-none-any.whl.asc",
    );
    check(
        ObjectPath::plain_provenance(p, WHEEL).unwrap(),
        Kind::PlainProvenance,
        "packages/flask/flask-3.1.0-py3-none-any.whl.provenance",
    );
    check(
        ObjectPath::simple_json(p),
        Kind::SimpleJson,
        "simple/flask/index.json",
    );
    check(
        ObjectPath::simple_html(p),
        Kind::SimpleHtml,
        "simple/flask/index.html",
    );
    check(
        ObjectPath::simple_list_json(),
        Kind::SimpleListJson,
        "simple/index.json",
    );
    check(
        ObjectPath::simple_list_html(),
        Kind::SimpleListHtml,
        "simple/index.html",
    );
}

#[test]
fn what_is_named_by_sha512_is_a_second_name() {
    let (p, sha512) = (&flask(), Sha512::of(b""));
    let page = ObjectPath::page_by_sha512(p, &sha512);
    assert_eq!(
        page.as_str(),
        format!("targets/simple/flask/{sha512}.index.json")
    );
    let file = ObjectPath::file_by_sha512(p, &sha512, WHEEL).unwrap();
    assert_eq!(
        file.as_str(),
        format!("targets/packages/flask/{sha512}.{WHEEL}")
    );
    for (path, kind) in [(page, Kind::PageBySha512), (file, Kind::FileBySha512)] {
        assert_eq!((path.kind(), path.sha256()), (kind, None));
        assert!(kind.is_second_name() && !kind.is_replaceable());
        assert_eq!(path.as_str().parse::<ObjectPath>().unwrap(), path);
        assert_eq!(ObjectPath::from_request(path.as_str()).unwrap(), path);
    }
    // What belongs to a file has no such name, nor has a certificate, nor a digest of another length.
    for other in [
        format!("targets/packages/flask/{sha512}.{WHEEL}.metadata"),
        format!("targets/packages/flask/{sha512}.{WHEEL}.asc"),
        format!("targets/simple/flask/{sha512}.certificates.asc"),
        format!("targets/packages/flask/{sha512}0.{WHEEL}"),
        format!(
            "targets/packages/flask/{}.{WHEEL}",
            sha512.to_string().to_uppercase()
        ),
    ] {
        assert!(ObjectPath::from_request(&other).is_err(), "{other}");
    }
    let longest = "a".repeat(MAX_SHA512_FILENAME_LEN);
    let path = ObjectPath::file_by_sha512(p, &sha512, &longest).unwrap();
    let name = path.as_str().rsplit('/').next().unwrap();
    assert_eq!(name.len(), MAX_SEGMENT_LEN);
    assert!(ObjectPath::file_by_sha512(p, &sha512, &format!("{longest}a")).is_err());
}

#[test]
fn targets_have_the_paths_of_their_objects() {
    assert_eq!(page_target(&flask()).as_str(), "simple/flask/index.json");
    assert_eq!(
        file_target(&flask(), WHEEL).unwrap().as_str(),
        format!("packages/flask/{WHEEL}")
    );
    let hash = digest().to_string();
    assert_eq!(
        format!("targets/{}", page_target(&flask()).with_prefix(&hash)),
        ObjectPath::page(&flask(), &digest()).as_str()
    );
    assert_eq!(
        format!(
            "targets/{}",
            file_target(&flask(), WHEEL).unwrap().with_prefix(&hash)
        ),
        ObjectPath::file(&flask(), &digest(), WHEEL)
            .unwrap()
            .as_str()
    );
    assert!(file_target(&flask(), "../flask").is_err());
    assert_eq!(status_target(&flask()).as_str(), "status/flask.json");
    assert_eq!(
        format!("targets/{}", status_target(&flask()).with_prefix(&hash)),
        ObjectPath::status(&flask(), &digest()).unwrap().as_str()
    );
}

#[test]
fn role_names_are_one_segment() {
    let role = "a/../b %2F".parse().unwrap();
    let path = ObjectPath::metadata(&role, 1);
    assert_eq!(path.as_str(), "metadata/1.a%2F..%2Fb%20%252F.json");
    assert_eq!(path.as_str().parse::<ObjectPath>().unwrap(), path);
    // In a request the name is encoded as any segment is, once.
    assert_eq!(ObjectPath::from_request(path.as_str()).unwrap(), path);
}

#[test]
fn requests_for_anything_else_are_refused() {
    let hash = digest().to_string();
    let upper = hash.to_uppercase();
    for request in [
        "",
        "/",
        "metadata",
        "metadata/",
        "metadata//timestamp.json",
        "//metadata/timestamp.json",
        "/metadata/timestamp.json/",
        "/metadata/./timestamp.json",
        "/metadata/../metadata/timestamp.json",
        "/Metadata/timestamp.json",
        "/metadata/01.root.json",
        "/metadata/0.root.json",
        "/metadata/+1.root.json",
        "/metadata/99999999999999999999.root.json",
        "/metadata/1..json",
        "/metadata/root.json",
        "/metadata/1.root.json?x",
        "/.incoming/x/object-0",
        "/.lock",
        "/simple/flask/index.json",
        "/simple/index.html",
        "/keys",
        "/keys/",
        "/keys/flask",
        "/keys/.asc",
        "/keys/Flask.asc",
        "/keys/flask.asc/",
        "/keys/flask/flask.asc",
        "/keys/..%2fflask.asc",
        "/packages/flask",
        "/packages/flask/",
        "/packages/Flask/a.whl",
        "/packages/fl_ask/a.whl",
        "/packages/../metadata/timestamp.json",
        "/packages/%2e%2e/metadata/timestamp.json",
        "/packages/flask/..",
        "/packages/flask/.hidden",
        "/packages/flask/..%2f..%2f.lock",
        "/packages/flask/%2e%2e%5c.lock",
        "/packages/flask/a%00.whl",
        "/packages/flask/a%0a.whl",
        "/packages/flask/a b.whl",
        "/packages/flask/a%2.whl",
        "/packages/flask/a%.whl",
        "/packages/flask/a%%32e.whl",
        "/packages/flask/%ff.whl",
        "/packages/flask/%252e%252e",
        "/packages/flask/a.chunks",
        "/packages/flask/a.metadata.metadata",
        "/packages/flask/.metadata",
        "/packages/flask/.asc",
        "/packages/flask/a.asc.asc",
        "/packages/flask/a.asc.metadata",
        "/packages/flask/a.metadata.asc",
        "/packages/flask/.provenance",
        "/packages/flask/a.provenance.asc",
        "/packages/flask/a.metadata.provenance",
        "/packages/flask%2fa.whl",
        &format!("/targets/simple/flask/{upper}.index.json"),
        &format!("/targets/simple/flask/{hash}.index.html"),
        &format!("/targets/simple/flask/{hash}index.json"),
        &format!("/targets/packages/flask/{hash}."),
        &format!("/targets/packages/flask/{hash}..metadata"),
        &format!("/targets/packages/flask/{hash}.a.chunks.metadata"),
        &format!("/targets/packages/flask/{hash}.a.asc.chunks"),
        &format!("/targets/packages/flask/{hash}..asc"),
        &format!("/targets/packages/flask/x/{hash}.a.whl"),
        &format!("/targets/packages/{hash}.a.whl"),
        &format!("/targets/status/{hash}.Flask.json"),
        &format!("/targets/status/{hash}.flask"),
        &format!("/targets/status/{hash}.json"),
        &format!("/targets/status/{upper}.flask.json"),
        &format!("/targets/status/flask/{hash}.flask.json"),
        "/targets/status/flask.json",
    ] {
        assert!(ObjectPath::from_request(request).is_err(), "{request}");
    }
}

#[test]
fn names_fit_the_file_system() {
    let longest = "a".repeat(MAX_FILENAME_LEN);
    let path = ObjectPath::file_metadata(&flask(), &digest(), &longest).unwrap();
    assert_eq!(
        path.as_str().rsplit('/').next().unwrap().len(),
        MAX_SEGMENT_LEN
    );
    // Two bytes more than `.metadata` has.
    assert!(ObjectPath::provenance(&flask(), &digest(), &longest[2..]).is_ok());
    assert!(ObjectPath::provenance(&flask(), &digest(), &longest[1..]).is_err());
    let project = |len: usize| -> ProjectName { "a".repeat(len).parse().unwrap() };
    let path = ObjectPath::status(&project(MAX_STATUS_PROJECT_LEN), &digest()).unwrap();
    assert_eq!(
        path.as_str().rsplit('/').next().unwrap().len(),
        MAX_SEGMENT_LEN
    );
    assert!(ObjectPath::status(&project(MAX_STATUS_PROJECT_LEN + 1), &digest()).is_err());
    let long = "a".repeat(MAX_FILENAME_LEN + 1);
    let too_long = PathError::TooLong {
        length: MAX_FILENAME_LEN + 1,
        limit: MAX_FILENAME_LEN,
    };
    assert_eq!(
        ObjectPath::file(&flask(), &digest(), &long),
        Err(too_long.clone())
    );
    assert_eq!(
        ObjectPath::from_request(&format!("packages/flask/{long}")),
        Err(too_long)
    );
    // 96 characters that each become three.
    let request = format!("metadata/1.{}.json", "ü".repeat(96));
    assert!(matches!(
        ObjectPath::from_request(&request),
        Err(PathError::TooLong { .. })
    ));
}

/// A path that stays below a directory, whatever joins it, and means itself.
fn is_safe(path: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.len() <= MAX_SEGMENT_LEN
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#' | b':'))
    };
    let top = path.split('/').next();
    let known = matches!(top, Some("metadata" | "targets" | "packages" | "keys"));
    path.split('/').all(plain) && known
}

/// Requests that come close to being right.
fn request() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("metadata".to_owned()),
        Just("targets".to_owned()),
        Just("packages".to_owned()),
        Just("simple".to_owned()),
        Just("keys".to_owned()),
        Just("status".to_owned()),
        Just("flask.asc".to_owned()),
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just("%2e%2E".to_owned()),
        Just("%2f".to_owned()),
        Just("%5c".to_owned()),
        Just("%00".to_owned()),
        Just("%25".to_owned()),
        Just(".incoming".to_owned()),
        Just("timestamp.json".to_owned()),
        Just("index.json".to_owned()),
        Just(WHEEL.to_owned()),
        Just(digest().to_string()),
        "[0-9]{1,3}\\.[a-z./%]{1,8}\\.json",
        "[a-z._%-]{0,6}(\\.whl|\\.metadata|\\.chunks|\\.asc)?",
        any::<String>(),
    ];
    let separator = prop_oneof![8 => Just("/"), 1 => Just(""), 1 => Just("."), 1 => Just("//")];
    prop::collection::vec((piece, separator), 1..7)
        .prop_map(|pieces| {
            pieces
                .into_iter()
                .flat_map(|(piece, by)| [piece, by.to_owned()])
                .collect()
        })
        .prop_map(|joined: String| joined.strip_suffix('/').unwrap_or(&joined).to_owned())
}

fn name() -> impl Strategy<Value = ProjectName> {
    "[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?"
        .prop_filter_map("a project's name", |name| name.parse().ok())
}

fn object() -> impl Strategy<Value = ObjectPath> {
    let filename = "[A-Za-z0-9_][A-Za-z0-9._+!-]{0,30}(\\.whl|\\.tar\\.gz)";
    let role = prop_oneof!["[a-z-]{1,12}", any::<String>()].prop_filter_map(
        "a role that has a name of bearable length",
        |role| {
            // Encoded, every byte may take three, and version and ending take 26.
            (3 * role.len() + 26 <= 255)
                .then(|| role.parse().ok())
                .flatten()
        },
    );
    prop_oneof![
        Just(ObjectPath::timestamp()),
        (role, 1_u64..).prop_map(|(role, version)| ObjectPath::metadata(&role, version)),
        (name(), any::<[u8; 32]>()).prop_map(|(name, hash)| ObjectPath::page(&name, &Sha256(hash))),
        (name(), any::<[u8; 32]>())
            .prop_map(|(name, hash)| ObjectPath::certificates(&name, &Sha256(hash))),
        name().prop_map(|name| ObjectPath::plain_certificates(&name)),
        (name(), any::<[u8; 32]>()).prop_map(|(name, hash)| ObjectPath::status(
            &name,
            &Sha256(hash)
        )
        .unwrap()),
        (name(), any::<[u8; 32]>(), filename, 0..5).prop_map(|(name, hash, file, kind)| {
            let hash = &Sha256(hash);
            match kind {
                0 => ObjectPath::file(&name, hash, &file),
                1 => ObjectPath::file_metadata(&name, hash, &file),
                2 => ObjectPath::chunks(&name, hash, &file),
                3 => ObjectPath::plain_file(&name, &file),
                _ => ObjectPath::plain_file_metadata(&name, &file),
            }
            .unwrap()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_escapes(request in request()) {
        if let Ok(path) = ObjectPath::from_request(&request) {
            prop_assert!(is_safe(path.as_str()), "{} -> {}", request, path);
            prop_assert_eq!(path.as_str().parse::<ObjectPath>(), Ok(path.clone()));
        }
    }

    #[test]
    fn what_is_parsed_is_what_was_written(text in request()) {
        if let Ok(path) = text.parse::<ObjectPath>() {
            prop_assert_eq!(path.as_str(), text);
        }
    }

    #[test]
    fn no_file_name_escapes(filename in prop_oneof![any::<String>(), "[a-z./\\\\%]{0,8}"]) {
        if let Ok(path) = ObjectPath::plain_file(&flask(), &filename) {
            prop_assert!(is_safe(path.as_str()));
            prop_assert!(!filename.contains('/'));
        }
    }

    #[test]
    fn every_object_can_be_asked_for(path in object()) {
        prop_assert!(is_safe(path.as_str()), "{}", path);
        prop_assert_eq!(path.as_str().parse::<ObjectPath>(), Ok(path.clone()));
        // A role's name is encoded in its object's name already.
        if path.kind() != Kind::Metadata {
            for set in [ALL, LITTLE] {
                let segments: Vec<String> =
                    path.as_str().split('/').map(|segment| utf8_percent_encode(segment, set).to_string()).collect();
                prop_assert_eq!(ObjectPath::from_request(&segments.join("/")), Ok(path.clone()));
            }
        }
        prop_assert_eq!(ObjectPath::from_request(path.as_str()), Ok(path));
    }
}
