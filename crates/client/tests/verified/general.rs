//! The general TUF client against the same index: targets by their paths alone.

use std::path::{Path, PathBuf};

use http::StatusCode;
use jiff::SignedDuration;
use wheelmark_client::{GeneralClient, GeneralError, Kept, MetadataDir, MetadataDirError};
use wheelmark_tuf::{Clock as _, TargetPath};

use crate::index::{LARGE, SMALL, TestIndex, large, small, tamper};
use crate::setup::remote;
use wheelmark_testing::{Fault, Web};

struct General {
    index: TestIndex,
    web: Web,
    place: tempfile::TempDir,
}

impl General {
    async fn new() -> Self {
        let index = TestIndex::with_files().await;
        let web = Web::serve(&index.path("")).await;
        let place = tempfile::tempdir().unwrap();
        let general = Self { index, web, place };
        general.metadata().begin(general.root()).unwrap();
        general
    }

    fn root(&self) -> Vec<u8> {
        std::fs::read(self.index.path("metadata/1.root.json")).unwrap()
    }

    fn metadata(&self) -> MetadataDir {
        MetadataDir::open(&self.place.path().join("metadata")).unwrap()
    }

    fn targets(&self) -> PathBuf {
        self.place.path().join("targets")
    }

    async fn refresh(&self) -> Result<GeneralClient, GeneralError> {
        let url = format!("{}/metadata", self.web.base);
        let now = self.index.clock.now();
        GeneralClient::refresh(self.metadata(), &url, remote(), now).await
    }

    async fn download(&self, path: &str) -> Result<Kept, GeneralError> {
        let path: TargetPath = path.parse().unwrap();
        let url = format!("{}/targets/", self.web.base);
        let client = self.refresh().await?;
        client.download(&path, &url, &self.targets()).await
    }

    /// What is in the target directory, whatever it is called.
    fn left(&self) -> Vec<PathBuf> {
        fn files(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files(&path, found);
                } else {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        files(&self.targets(), &mut found);
        found
    }
}

fn file(name: &str) -> String {
    format!("packages/demo/{name}")
}

#[tokio::test]
async fn targets_are_kept_under_their_paths_and_fetched_once() {
    let general = General::new().await;
    for (name, content) in [(SMALL, small()), (LARGE, large())] {
        let kept = general.download(&file(name)).await.unwrap();
        assert_eq!(
            kept.file,
            general.targets().join("packages/demo").join(name)
        );
        assert!(!kept.was_there);
        assert!(kept.target.role.as_str().starts_with("packages-"));
        assert_eq!(std::fs::read(&kept.file).unwrap(), content);
    }
    general.download("simple/demo/index.json").await.unwrap();
    assert_eq!(general.left().len(), 3);

    general.web.asked();
    assert!(general.download(&file(SMALL)).await.unwrap().was_there);
    assert_eq!(
        general.web.asked(),
        ["/metadata/2.root.json", "/metadata/timestamp.json"]
    );
    // What is there counts only while it is the right content.
    std::fs::write(general.targets().join(file(SMALL)), b"other").unwrap();
    let kept = general.download(&file(SMALL)).await.unwrap();
    assert!(!kept.was_there);
    assert_eq!(std::fs::read(kept.file).unwrap(), small());
}

#[tokio::test]
async fn a_changed_byte_leaves_nothing_behind() {
    let general = General::new().await;
    let directory = general.index.path("targets/packages/demo");
    let object = general.index.object(directory.to_str().unwrap(), &[SMALL]);
    let tampered = tamper(&object, 99_999);
    let refused = general.download(&file(SMALL)).await.unwrap_err();
    assert!(matches!(refused, GeneralError::Content { .. }), "{refused}");
    assert_eq!(general.left(), [] as [PathBuf; 0]);
    tampered.undo();
    general.web.set_fault(Fault::Floods("targets/packages"));
    let refused = general.download(&file(SMALL)).await.unwrap_err();
    assert!(matches!(refused, GeneralError::Content { .. }), "{refused}");
    assert_eq!(general.left(), [] as [PathBuf; 0]);
    general.web.set_fault(Fault::None);
    general.download(&file(SMALL)).await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_do_not_last() {
    let mut general = General::new().await;
    let missing = general
        .download("packages/demo/other.whl")
        .await
        .unwrap_err();
    assert!(missing.to_string().starts_with(
        "there is no target packages/demo/other.whl; \
         asked: targets, claimed, recently-claimed, packages, packages-"
    ));

    for (word, status) in [
        ("timestamp", StatusCode::NOT_FOUND),
        ("timestamp", StatusCode::INTERNAL_SERVER_ERROR),
        ("root", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        general.web.set_fault(Fault::Answers(word, status));
        general.refresh().await.unwrap_err();
    }
    general.web.set_fault(Fault::Floods("timestamp"));
    general.refresh().await.unwrap_err();
    general.web.set_fault(Fault::None);
    general.refresh().await.unwrap();

    general
        .index
        .clock
        .forward(SignedDuration::from_hours(24 * 365));
    let expired = general.refresh().await.unwrap_err();
    assert!(matches!(expired, GeneralError::Refresh(_)), "{expired}");
    general
        .index
        .clock
        .forward(SignedDuration::from_hours(-24 * 365));
    general.index.publish().await;
    general.refresh().await.unwrap();
}

#[tokio::test]
async fn trust_begins_once() {
    let general = General::new().await;
    general.metadata().begin(general.root()).unwrap();
    general.index.publish_second_root(&general.root());
    general.refresh().await.unwrap();
    assert!(matches!(
        general.metadata().begin(general.root()),
        Err(MetadataDirError::HasRoot { .. })
    ));
}
