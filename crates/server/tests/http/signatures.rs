//! An OpenPGP signature that comes with a file.

use wheelmark_repository::JournalWriter;
use wheelmark_store::Seq;
use wheelmark_tuf::Sha256;

use super::distributions::sdist;
use super::form::{Upload, told};
use super::index::Index;

/// Two signatures that GnuPG made of one file.
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQO02PL5n2O9Am5eL1Qu6iAGlhuiQUCawHbGgAKCRBQu6iAGlhu
iVYKAQC67giD1tqtPIVTrY2Gxyu76qbPVYgdKiZ0nW/hHkLeYQD8CrvzgHoh31Mi
KMwEO1BhQDIJZ8TFgTknfVfyUmPZLg8=
=lPzA
-----END PGP SIGNATURE-----
";
const OTHER: &str = "-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQO02PL5n2O9Am5eL1Qu6iAGlhuiQUCawHdOQAKCRBQu6iAGlhu
ib16AQCDpnoV04+VMI8jgMEROzIhjfkSkonnV1+21ddjNzK1/QEAxqUTsoBjTvgk
F3aVNtNC64aBLvNhm3pI+pJg5PuTxwc=
=5uLq
-----END PGP SIGNATURE-----
";
const SDIST: &str = "flask-3.0.tar.gz";

fn unsigned() -> Upload {
    Upload::new(SDIST, "flask", "3.0", &sdist("flask", "3.0"))
}

fn signed() -> Upload {
    unsigned().and("gpg_signature", SIGNATURE)
}

#[tokio::test]
async fn it_stands_beside_the_file_and_in_the_signed_page() {
    let index = Index::new().await;
    signed().publish(&index).await;
    Upload::wheel("flask", "3.0").publish(&index).await;

    let sha256 = Sha256::of(SIGNATURE.as_bytes());
    let page = index.page("flask").await;
    let (wheel, sdist) = (&page["files"][0], &page["files"][1]);
    assert_eq!(sdist["gpg-sig"], true);
    assert_eq!(sdist["_wheelmark"]["gpg-sig-sha256"], sha256.to_string());
    assert_eq!(sdist["_wheelmark"]["gpg-sig-length"], SIGNATURE.len());
    assert_eq!(wheel["gpg-sig"], false);
    assert_eq!(wheel["_wheelmark"].get("gpg-sig-sha256"), None);

    for path in [
        format!("/packages/flask/{SDIST}.asc"),
        format!("/targets/packages/flask/{sha256}.{SDIST}.asc"),
    ] {
        let served = index.get(&path).await;
        assert_eq!(served.status(), 200, "{path}");
        let headers = served.headers();
        assert_eq!(headers["content-type"], "application/pgp-signature");
        let control = "public, max-age=31536000, immutable";
        assert_eq!(headers["cache-control"], control);
        assert_eq!(served.text().await.unwrap(), SIGNATURE);
    }
    let none = index.get("/packages/flask/flask-3.0-py3-none-any.whl.asc");
    assert_eq!(none.await.status(), 404);

    let html = index.get_with("/simple/flask/", &[("accept", "text/html")]);
    let html = html.await.text().await.unwrap();
    let attribute = |name: &str| {
        let line = html.lines().find(|line| line.contains(name)).unwrap();
        line.split_once("data-gpg-sig=").unwrap().1[..6].to_owned()
    };
    assert_eq!(attribute(SDIST), "\"true\"");
    assert_eq!(attribute("flask-3.0-py3"), "\"false");

    let legacy = index.get("/pypi/flask/json").await.bytes().await.unwrap();
    let legacy: serde_json::Value = serde_json::from_slice(&legacy).unwrap();
    let has_sig = |at: usize| &legacy["urls"][at]["has_sig"];
    assert_eq!((has_sig(0), has_sig(1)), (&false.into(), &true.into()));
}

#[tokio::test]
async fn it_comes_in_any_place_of_the_form_and_as_it_is() {
    let index = Index::new().await;
    let crlf = SIGNATURE.replace('\n', "\r\n");
    let mut upload = unsigned().and("gpg_signature", &crlf);
    upload.before -= 1;
    upload.publish(&index).await;
    let served = index.get(&format!("/packages/flask/{SDIST}.asc")).await;
    assert_eq!(served.text().await.unwrap(), crlf);
}

#[tokio::test]
async fn what_is_none_is_refused_with_the_rule_and_the_fix() {
    let index = Index::new().await;
    let key = SIGNATURE.replace("PGP SIGNATURE", "PGP PRIVATE KEY BLOCK");
    let long = format!("{SIGNATURE}{}", "\n".repeat(8 * 1024));
    let changed = SIGNATURE.replace("iVYK", "iVYL");
    for (sent, detail, hint) in [
        ("", "BEGIN PGP SIGNATURE", "--armor --detach-sign"),
        ("\0\u{7f}", "BEGIN PGP SIGNATURE", "--armor --detach-sign"),
        (&key, "PGP PRIVATE KEY BLOCK", "revoke it"),
        (&changed, "checksum", "as it is"),
        (&long, "8192 bytes", "--armor --detach-sign"),
    ] {
        let told = told(unsigned().and("gpg_signature", sent).send(&index).await).await;
        assert_eq!(
            (told.status, told.title.as_str()),
            (400, "Invalid signature")
        );
        assert!(told.detail.contains(detail), "{told:?}");
        assert!(told.hint.contains(hint), "{told:?}");
        assert!(told.reason.contains(detail), "{told:?}");
    }
    let twice = signed().and("gpg_signature", SIGNATURE);
    let told = told(twice.send(&index).await).await;
    assert_eq!((told.status, told.title.as_str()), (400, "Repeated field"));
    assert_eq!(index.uploaded_files().len(), 0);
    assert_eq!(index.store.journal_after(Seq(0), 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_published_file_never_gets_another_one() {
    let index = Index::new().await;
    signed().publish(&index).await;
    // The same again, and the file alone: nothing to do.
    signed().publish(&index).await;
    unsigned().publish(&index).await;
    let other = unsigned().and("gpg_signature", OTHER);
    let told_of_other = told(other.send(&index).await).await;
    assert_eq!(told_of_other.title, "File already exists");
    let detail = "with another OpenPGP signature";
    assert!(told_of_other.detail.contains(detail), "{told_of_other:?}");
    let served = index.get(&format!("/packages/flask/{SDIST}.asc")).await;
    assert_eq!(served.text().await.unwrap(), SIGNATURE);

    let wheel = Upload::wheel("flask", "3.0");
    wheel.publish(&index).await;
    let late = wheel.and("gpg_signature", SIGNATURE);
    let told_of_late = told(late.send(&index).await).await;
    assert_eq!(told_of_late.title, "File already exists");
    let detail = "without an OpenPGP signature";
    assert!(told_of_late.detail.contains(detail), "{told_of_late:?}");
    assert_eq!(
        index.store.journal_after(Seq(0), 10).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn it_goes_with_its_file() {
    let index = Index::written_by(JournalWriter::Operator).await;
    signed().publish(&index).await;
    let flask = "flask".parse().unwrap();
    let removal = index.store.remove(&flask, SDIST).await.unwrap().unwrap();
    index
        .store
        .wait(removal, std::time::Duration::from_secs(30))
        .await
        .unwrap()
        .unwrap();
    let plain = index.get(&format!("/packages/flask/{SDIST}.asc")).await;
    assert_eq!(plain.status(), 404);
}

#[tokio::test]
async fn packagers_get_a_listing_of_plain_links() {
    let index = Index::new().await;
    signed().publish(&index).await;
    Upload::wheel("flask", "3.0").publish(&index).await;
    let listing = index.get("/src/flask/").await;
    assert_eq!(listing.status(), 200);
    let headers = listing.headers();
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    assert!(headers.contains_key("content-security-policy"));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let html = listing.text().await.unwrap();
    let links: Vec<&str> = html
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let file = format!("../../packages/flask/{SDIST}");
    assert_eq!(links, [file.clone(), format!("{file}.asc")]);
    let same = index
        .get_with("/src/flask/", &[("if-none-match", &tag)])
        .await;
    assert_eq!(same.status(), 304);

    // What is published next is seen at once.
    let next = Upload::new("flask-3.1.tar.gz", "flask", "3.1", &sdist("flask", "3.1"));
    next.publish(&index).await;
    let html = index.get("/src/flask/").await.text().await.unwrap();
    assert!(html.contains("flask-3.1.tar.gz\""), "{html}");
    assert!(!html.contains("flask-3.1.tar.gz.asc"), "{html}");

    for (asked, location) in [("/src/flask", "flask/"), ("/src/Flask/", "../flask/")] {
        let moved = index.get(asked).await;
        assert_eq!(moved.status(), 301, "{asked}");
        assert_eq!(moved.headers()["location"], location);
    }
    assert_eq!(index.get("/src/other/").await.status(), 404);
    assert_eq!(index.get("/src/").await.status(), 404);
}
