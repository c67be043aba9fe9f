use reqwest::Method;
use wheelmark_repository::JournalWriter;
use wheelmark_store::{Change, Seq};

use super::distributions::sdist;
use super::form::{Upload, told};
use super::index::Index;

#[tokio::test]
async fn fields_may_come_in_any_order() {
    let index = Index::new().await;
    let mut versions = Vec::new();
    for before in 0..=11 {
        let version = format!("1.{before}");
        let mut upload = Upload::wheel("flask", &version);
        upload.before = before;
        upload.publish(&index).await;
        versions.push(version);
    }
    assert_eq!(
        index.page("flask").await["versions"],
        serde_json::json!(versions)
    );
}

#[tokio::test]
async fn any_of_the_three_digests_will_do() {
    let index = Index::new().await;
    let empty_blake = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8";
    for (field, digest, version) in [
        ("blake2_256_digest", blake2(b""), "0"),
        ("md5_digest", md5(b""), "0"),
    ] {
        // The functions of this test themselves, on known digests of nothing.
        let known = [empty_blake, "d41d8cd98f00b204e9800998ecf8427e"];
        assert!(known.contains(&digest.as_str()), "{field} {version}");
    }
    for (field, version) in [("blake2_256_digest", "1.1"), ("md5_digest", "1.2")] {
        let upload = Upload::wheel("flask", version).without("sha256_digest");
        let digest = match field {
            "md5_digest" => md5(&upload.content),
            _ => blake2(&upload.content).to_uppercase(),
        };
        upload.with(field, &digest).publish(&index).await;
    }
}

fn md5(content: &[u8]) -> String {
    use md5::Digest as _;
    hex::encode(md5::Md5::digest(content))
}

fn blake2(content: &[u8]) -> String {
    use blake2::Digest as _;
    hex::encode(blake2::Blake2b::<blake2::digest::consts::U32>::digest(
        content,
    ))
}

#[tokio::test]
async fn the_same_file_again_changes_nothing() {
    let index = Index::new().await;
    let upload = Upload::wheel("flask", "3.0");
    let first = upload.send(&index).await.text().await.unwrap();
    let files = index.uploaded_files();
    let second = upload.send(&index).await;
    assert_eq!(second.status(), 200);
    assert_eq!(second.text().await.unwrap(), first);
    assert_eq!(index.uploaded_files(), files);
    let journal = index.store.journal_after(Seq(0), 10).await.unwrap();
    assert_eq!(journal.len(), 1);
}

#[tokio::test]
async fn another_file_of_the_same_name_is_refused() {
    let index = Index::new().await;
    let upload = Upload::wheel("flask", "3.0");
    upload.publish(&index).await;
    let files = index.uploaded_files();
    let page = index.page("flask").await;

    let content = super::distributions::wheel("flask", "3.0", 100);
    let other = Upload::new(&upload.filename, "flask", "3.0", &content);
    let told = told(other.send(&index).await).await;

    assert_eq!(told.status, 400);
    assert_eq!(told.title, "File already exists");
    assert!(
        told.reason.contains("flask-3.0-py3-none-any.whl"),
        "{told:?}"
    );
    assert_eq!(index.uploaded_files(), files);
    assert_eq!(index.page("flask").await, page);
}

#[tokio::test]
async fn of_many_racing_for_a_name_one_wins_and_nothing_of_the_others_stays() {
    let index = Index::new().await;
    let uploads: Vec<Upload> = (0..6)
        .map(|n| {
            let content = super::distributions::wheel("flask", "3.0", n / 2);
            Upload::new("flask-3.0-py3-none-any.whl", "flask", "3.0", &content)
        })
        .collect();
    let answers = futures::future::join_all(uploads.iter().map(|upload| upload.send(&index))).await;
    let accepted: Vec<usize> = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.status() == 200)
        .map(|(n, _)| n / 2)
        .collect();
    assert_eq!(
        accepted.len(),
        2,
        "both senders of the winning bytes: {accepted:?}"
    );
    assert_eq!(accepted[0], accepted[1]);
    for answer in answers.into_iter().filter(|answer| answer.status() != 200) {
        assert_eq!(told(answer).await.title, "File already exists");
    }
    // The file, its metadata, and the plain names of both.
    assert_eq!(
        index.uploaded_files().len(),
        4,
        "{:?}",
        index.uploaded_files()
    );
    assert_eq!(
        index.store.journal_after(Seq(0), 10).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn many_files_at_once_are_all_published() {
    let index = Index::new().await;
    let uploads: Vec<Upload> = (0..24)
        .map(|n| Upload::wheel(&format!("project_{n}"), "1.0"))
        .collect();
    futures::future::join_all(uploads.iter().map(|upload| upload.publish(&index))).await;
    for n in 0..24 {
        let page = index.page(&format!("project-{n}")).await;
        assert_eq!(page["files"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_journal_says_who_uploaded_what() {
    let index = Index::new().await;
    let content = sdist("Zope.Interface", "5.4.0");
    let upload = Upload::new(
        "zope_interface-5.4.0.tar.gz",
        "Zope.Interface",
        "5.4",
        &content,
    );
    upload.publish(&index).await;
    let journal = index.store.journal_after(Seq(0), 10).await.unwrap();
    let Change::FileAdded(file) = &journal[0].change else {
        panic!("{journal:?}");
    };
    assert_eq!(file.project.as_str(), "zope-interface");
    assert_eq!(file.filename, "zope_interface-5.4.0.tar.gz");
    assert_eq!(file.uploaded_by, "first");
    assert_eq!(file.size, content.len() as u64);
    assert_eq!(file.requires_python.as_deref(), Some(">=3.8"));
    assert_eq!(
        (file.core_metadata_sha256, file.chunks_sha256),
        (None, None)
    );
}

#[tokio::test]
async fn the_root_takes_uploads_as_well() {
    let index = Index::new().await;
    for (path, version) in [("/", "1"), ("/legacy", "2"), ("/legacy/", "3")] {
        let upload = Upload::wheel("flask", version);
        let answer = index
            .request(Method::POST, path)
            .basic_auth("__token__", Some(&index.token))
            .multipart(upload.form())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let body: serde_json::Value =
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["filename"], upload.filename);
        assert!(body["snapshot_version"].as_u64().unwrap() > 1);
    }
}

#[tokio::test]
async fn a_removed_file_does_not_come_back_by_an_upload() {
    // Whoever runs the index could bring it back; an upload asks for nothing of the kind.
    let index = Index::written_by(JournalWriter::Operator).await;
    let upload = Upload::wheel("flask", "1.0");
    upload.publish(&index).await;
    let flask = "flask".parse().unwrap();
    let removal = index.store.remove(&flask, &upload.filename);
    let removal = removal.await.unwrap().unwrap();
    let long = std::time::Duration::from_secs(60);
    assert_ne!(index.store.wait(removal, long).await.unwrap(), None);

    let end = index.store.journal_end().await.unwrap();
    let told = told(upload.send(&index).await).await;
    assert_eq!((told.status, &*told.title), (400, "File was removed"));
    assert_eq!(index.store.journal_end().await.unwrap(), end);
}
