//! Rules that hang on what is in the index, and on what its operator allows.

use wheelmark_server::{Leeway, Limits};
use wheelmark_store::ProjectLimits;

use super::distributions::{metadata, wheel, wheel_saying};
use super::form::{Upload, told};
use super::index::Index;

#[track_caller]
fn says(told: &super::form::Told, title: &str, status: u16, words: &[&str]) {
    assert_eq!(
        (told.title.as_str(), told.status),
        (title, status),
        "{told:?}"
    );
    for word in words {
        assert!(told.detail.contains(word), "{told:?}");
        assert!(told.reason.contains(word), "{told:?}");
    }
}

async fn with(leeway: Leeway, limits: Limits) -> Index {
    let mut index = Index::allowing(limits, leeway).await;
    index.start_snapshot_process().await;
    index
}

#[tokio::test]
async fn names_that_mislead_are_refused() {
    let index = Index::new().await;
    let refused = told(Upload::wheel("json", "1.0").send(&index).await).await;
    says(
        &refused,
        "Name of a standard module",
        400,
        &["`json` is the name of a module", "choose another name"],
    );
    Upload::wheel("flask", "1.0").publish(&index).await;
    let refused = told(Upload::wheel("f1ask", "1.0").send(&index).await).await;
    says(
        &refused,
        "Name too similar",
        400,
        &["`f1ask` looks like `flask`", "choose a name"],
    );
    // What is there stays what it is.
    Upload::wheel("flask", "1.1").publish(&index).await;
    Upload::wheel("flasks", "1.0").publish(&index).await;
}

#[tokio::test]
async fn an_operator_can_allow_names_and_classifiers() {
    let leeway = Leeway {
        older_file_names: true,
        standard_library_names: true,
        similar_names: true,
        unknown_classifiers: true,
    };
    let index = with(leeway, Limits::default()).await;
    for name in ["json", "flask", "f1ask"] {
        Upload::wheel(name, "1.0").publish(&index).await;
    }
    let metadata = format!("Classifier: New :: Thing\n{}", metadata("new", "1.0"));
    let content = wheel_saying("new", "1.0", 0, &metadata);
    let upload = Upload::new("New-1.0-py3-none-any.whl", "new", "1.0", &content);
    upload.publish(&index).await;
}

#[tokio::test]
async fn classifiers_are_known() {
    let index = Index::new().await;
    let classified = |classifier: &str| {
        let metadata = format!("Classifier: {classifier}\n{}", metadata("demo", "1.0"));
        let content = wheel_saying("demo", "1.0", 0, &metadata);
        Upload::new("demo-1.0-py3-none-any.whl", "demo", "1.0", &content)
    };
    let refused = told(classified("Programming :: Pyton").send(&index).await).await;
    says(
        &refused,
        "Invalid classifier",
        400,
        &["`Programming :: Pyton`", "pypi.org/classifiers"],
    );
    classified("Private :: Not for others")
        .publish(&index)
        .await;
}

#[tokio::test]
async fn a_description_that_cannot_be_shown_is_refused() {
    let index = Index::new().await;
    let described = |version: &str, description: &str| {
        let metadata = metadata("demo", version);
        let metadata =
            format!("Description-Content-Type: text/markdown\n{metadata}\n{description}");
        let content = wheel_saying("demo", version, 0, &metadata);
        let filename = format!("demo-{version}-py3-none-any.whl");
        Upload::new(&filename, "demo", version, &content)
    };
    let long = "a".repeat(2 * 1024 * 1024 + 1);
    let refused = told(described("1.0", &long).send(&index).await).await;
    says(
        &refused,
        "Invalid description",
        400,
        &["at most 2097152 are rendered", "shorten it"],
    );
    described("1.1", "# Demo\n\n<script>x</script>\n")
        .publish(&index)
        .await;
}

#[tokio::test]
async fn file_names_are_normalised() {
    let index = Index::new().await;
    let content = wheel("demo", "1.0", 0);
    for (filename, expected) in [
        (
            "Demo-1.0-py3-none-any.whl",
            "it should be `demo-1.0-py3-none-any.whl`",
        ),
        (
            "demo-1.00-py3-none-any.whl",
            "it should be `demo-1.0-py3-none-any.whl`",
        ),
        ("demo-1.0.tgz", "it should be `demo-1.0.tar.gz`"),
        ("demo-1.0.zip", "as .tar.gz"),
    ] {
        let refused = Upload::new(filename, "demo", "1.0", &content)
            .send(&index)
            .await;
        says(
            &told(refused).await,
            "File name not normalised",
            400,
            &[expected],
        );
    }
}

#[tokio::test]
async fn a_project_has_a_limit_for_each_file_and_for_all() {
    let limits = Limits {
        file_len: 20_000,
        project_len: Some(30_000),
        ..Limits::default()
    };
    let index = with(Leeway::default(), limits).await;
    let upload = |version: &str, padding| {
        let filename = format!("demo-{version}-py3-none-any.whl");
        Upload::new(&filename, "demo", version, &wheel("demo", version, padding))
    };
    let refused = told(upload("1", 25_000).send(&index).await).await;
    says(
        &refused,
        "File too large",
        413,
        &["20000 bytes", "whoever runs the index"],
    );
    upload("1", 15_000).publish(&index).await;
    let refused = told(upload("2", 15_000).send(&index).await).await;
    says(
        &refused,
        "Project too large",
        413,
        &["at most 30000", "remove old files"],
    );
    // The same file again is no new one.
    upload("1", 15_000).publish(&index).await;

    let demo = "demo".parse().unwrap();
    let allowed = ProjectLimits {
        file_len: Some(50_000),
        total_len: Some(100_000),
    };
    index
        .store
        .set_project_limits(&demo, allowed)
        .await
        .unwrap();
    upload("2", 45_000).publish(&index).await;
    let other = wheel("other", "1", 25_000);
    let other = Upload::new("other-1-py3-none-any.whl", "other", "1", &other);
    let refused = told(other.send(&index).await).await;
    says(&refused, "File too large", 413, &["20000 bytes"]);
}
