//! Releases that a project's own people have signed, over HTTP.

use std::sync::LazyLock;

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use wheelmark_packaging::simple::{PageFile, ProjectPage, ReleasedFile};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_repository::{project_role, targets_of_page};
use wheelmark_signing::{Ed25519Key, Signer, sign_role};
use wheelmark_store::{AuditAction, Scope};
use wheelmark_tuf::{Role as _, SPEC_VERSION, Sha256, Targets};

use super::distributions::{metadata, wheel};
use super::form::{Upload, told};
use super::index::{Index, NOW};

/// A release before it is signed and sent.
struct Release {
    page: ProjectPage,
    version: u64,
    claims: bool,
    contents: Vec<(String, Vec<u8>)>,
    token: String,
    spoil_key: Option<fn(&mut serde_json::Value)>,
}

fn flask() -> ProjectName {
    "flask".parse().unwrap()
}

static KEY: LazyLock<Ed25519Key> = LazyLock::new(|| Ed25519Key::generate(&mut UnwrapErr(SysRng)));

impl Release {
    /// The next one of what is published now.
    async fn next(index: &Index, version: u64) -> Release {
        let accept = ("accept", "application/vnd.pypi.simple.v1+json");
        let page = index.get_with("/simple/flask/", &[accept]).await;
        let page = ProjectPage::parse(&page.bytes().await.unwrap()).unwrap();
        Release {
            page,
            version,
            claims: version == 1,
            contents: Vec::new(),
            token: index.token.clone(),
            spoil_key: None,
        }
    }

    fn with_wheel(mut self, version: &str) -> Release {
        let content = wheel("flask", version, 0);
        let filename = format!("flask-{version}-py3-none-any.whl");
        let file = ReleasedFile {
            filename: DistributionFilename::parse_for(&flask(), &filename).unwrap(),
            sha256: Sha256::of(&content).0.into(),
            size: content.len() as u64,
            signed_at: NOW.parse().unwrap(),
            requires_python: Some(">=3.8".to_owned()),
            core_metadata_sha256: Some(Sha256::of(metadata("flask", version).as_bytes()).0.into()),
            chunks_sha256: None,
        };
        self.page.files.push(PageFile::released(&flask(), file));
        self.contents.push((filename, content));
        self
    }

    async fn send(mut self, index: &Index) -> Response {
        let key = &*KEY;
        self.page.versions.clear();
        let page = self.page.to_json();
        let mut role = Targets {
            spec_version: SPEC_VERSION.to_owned(),
            version: self.version,
            expires: "2027-06-01T00:00:00Z".parse().unwrap(),
            targets: targets_of_page(&self.page, &page).unwrap(),
            delegations: None,
            extra: std::collections::BTreeMap::new(),
        };
        role.state_role(&project_role(&flask()));
        let metadata = sign_role(&role.to_canonical(), &[key]).unwrap();
        let mut stated = match self.claims {
            true => serde_json::json!({"claim": {
                "keys": [{"keyid": key.key().keyid().as_str(), "key": key.key().to_value()}],
                "threshold": 1,
            }}),
            false => serde_json::json!({}),
        };
        if let Some(spoil) = self.spoil_key {
            spoil(&mut stated["claim"]["keys"][0]);
        }
        let mut form = Form::new()
            .text("release", stated.to_string())
            .part("metadata", Part::bytes(metadata))
            .part("page", Part::bytes(page));
        for (filename, content) in self.contents {
            form = form.part("content", Part::bytes(content).file_name(filename));
        }
        index
            .request(Method::POST, "/_/projects/flask/release")
            .basic_auth("__token__", Some(&self.token))
            .multipart(form)
            .send()
            .await
            .unwrap()
    }

    async fn publish(self, index: &Index) -> serde_json::Value {
        let answer = self.send(index).await;
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

async fn listed(index: &Index) -> Vec<String> {
    let page = index.page("flask").await;
    let files = page["files"].as_array().unwrap().iter();
    files
        .map(|file| file["filename"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_claimed_project_takes_signed_releases_whole_and_nothing_else() {
    let index = Index::new().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    Release::next(&index, 1).await.publish(&index).await;
    assert_eq!(listed(&index).await, ["flask-1.0-py3-none-any.whl"]);

    // What the index alone would sign for is not taken, and says so to twine and uv.
    let refused = told(Upload::wheel("flask", "2.0").send(&index).await).await;
    assert_eq!(
        (refused.status, &*refused.title),
        (403, "Project is claimed")
    );
    assert!(refused.hint.contains("wheelmark publish"), "{refused:?}");
    assert_eq!(listed(&index).await, ["flask-1.0-py3-none-any.whl"]);
    // The same file once more is a success, as always.
    Upload::wheel("flask", "1.0").publish(&index).await;

    let release = Release::next(&index, 2)
        .await
        .with_wheel("2.0")
        .with_wheel("2.1");
    let released = release.publish(&index).await;
    assert_eq!(released["files"].as_array().unwrap().len(), 2);
    let files = [
        "flask-1.0-py3-none-any.whl",
        "flask-2.0-py3-none-any.whl",
        "flask-2.1-py3-none-any.whl",
    ];
    assert_eq!(listed(&index).await, files);
    for file in files {
        let answer = index.get(&format!("/packages/flask/{file}")).await;
        assert_eq!(answer.status(), 200, "{file}");
    }
    let log = index.store.audit_last(None, 100).await.unwrap();
    let actions: Vec<AuditAction> = log.iter().map(|row| row.entry.action).collect();
    for action in [AuditAction::ProjectClaimed, AuditAction::ReleaseAccepted] {
        assert!(actions.contains(&action), "{actions:?}");
    }
}

#[tokio::test]
async fn what_does_not_fit_together_leaves_nothing() {
    let index = Index::new().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    Release::next(&index, 1).await.publish(&index).await;
    let mut before = index.uploaded_files();
    type Spoil = fn(&mut Release);
    let cases: [(&str, &str, Spoil); 8] = [
        (
            "a file that was changed",
            "File differs from the page",
            |r| {
                r.contents[1].1.push(0);
            },
        ),
        (
            "a file that the page does not list",
            "File not in the page",
            |r| {
                r.page.files.pop();
            },
        ),
        ("other core metadata", "File differs from the page", |r| {
            let other = wheelmark_packaging::simple::Hashes::of_sha256([1; 32]);
            r.page.files[1].core_metadata = Some(other);
        }),
        (
            "another range of Pythons",
            "File differs from the page",
            |r| {
                r.page.files[2].requires_python = None;
            },
        ),
        ("a file that did not come along", "File missing", |r| {
            r.contents.pop();
        }),
        ("a stale base", "Refused", |r| r.version = 1),
        ("a page of another project", "Malformed release", |r| {
            r.page.name = "other".parse().unwrap();
            r.page.files.clear();
        }),
        ("no wheel", "Invalid distribution file", |r| {
            let content = b"no wheel".to_vec();
            let entry = r.page.files[2].as_released(&flask()).unwrap();
            let entry = ReleasedFile {
                sha256: Sha256::of(&content).0.into(),
                size: content.len() as u64,
                ..entry
            };
            r.page.files[2] = PageFile::released(&flask(), entry);
            r.contents[1].1 = content;
        }),
    ];
    for (what, title, spoil) in cases {
        let mut release = Release::next(&index, 2)
            .await
            .with_wheel("2.0")
            .with_wheel("2.1");
        release.claims = false;
        spoil(&mut release);
        let refused = told(release.send(&index).await).await;
        assert_eq!(refused.title, title, "{what}: {refused:?}");
        assert_eq!(
            listed(&index).await,
            ["flask-1.0-py3-none-any.whl"],
            "{what}"
        );
        // What the snapshot process refuses is in the tree by then, and named nowhere.
        if title == "Refused" {
            before = index.uploaded_files();
        }
        assert_eq!(index.uploaded_files(), before, "{what}");
    }
    let release = Release::next(&index, 2)
        .await
        .with_wheel("2.0")
        .with_wheel("2.1");
    release.publish(&index).await;
    assert_eq!(listed(&index).await.len(), 3);
}

#[tokio::test]
async fn owners_claim_and_members_release_and_nobody_else() {
    let index = Index::new().await;
    Upload::wheel("flask", "1.0").publish(&index).await;
    index.user("mallory").await;
    index.user("carol").await;
    let mallory = index.token_for("mallory", Scope::Upload, 21).await;
    let carol = index.token_for("carol", Scope::Upload, 22).await;
    let (project, by) = (flask(), super::people::operator());
    let now = NOW.parse().unwrap();
    let role = wheelmark_store::Role::Maintainer;
    let carols = super::people::user("carol");
    let granted = index
        .store
        .grant_role(&project, &carols, role, &by, now)
        .await;
    granted.unwrap();

    for (token, status, title) in [
        ("wheelmark_of_nobody", 403, "Unknown token"),
        (&mallory, 403, "Not your project"),
        (&carol, 403, "Not your project"),
    ] {
        let mut release = Release::next(&index, 1).await;
        release.token = token.to_owned();
        let refused = told(release.send(&index).await).await;
        assert_eq!(
            (refused.status, &*refused.title),
            (status, title),
            "{refused:?}"
        );
    }
    // Nobody registers a key that they do not have, and nobody keeps one from its owner.
    type Spoil = fn(&mut serde_json::Value);
    let cases: [(&str, Spoil); 3] = [
        ("another id", |key| key["keyid"] = "0".repeat(64).into()),
        ("no key", |key| key["key"] = 0.into()),
        ("a key that did not sign", |key| {
            let other = Ed25519Key::generate(&mut UnwrapErr(SysRng));
            key["keyid"] = other.key().keyid().as_str().into();
            key["key"] = other.key().to_value();
        }),
    ];
    for (what, spoil) in cases {
        let mut release = Release::next(&index, 1).await;
        release.spoil_key = Some(spoil);
        let refused = told(release.send(&index).await).await;
        assert_eq!(refused.title, "Malformed release", "{what}: {refused:?}");
    }
    // Nor does a token that lies in the settings of a pipeline.
    let project_token = index
        .token_for("operator", Scope::UploadTo(flask()), 23)
        .await;
    let mut release = Release::next(&index, 1).await;
    release.token = project_token;
    let refused = told(release.send(&index).await).await;
    assert_eq!(refused.title, "Token of one project", "{refused:?}");
    // A release comes after a claim.
    let mut early = Release::next(&index, 1).await.with_wheel("2.0");
    early.claims = false;
    let refused = told(early.send(&index).await).await;
    assert_eq!((refused.status, &*refused.title), (400, "Refused"));
    assert!(refused.detail.contains("not claimed"), "{refused:?}");

    Release::next(&index, 1).await.publish(&index).await;
    let mut again = Release::next(&index, 2).await;
    again.claims = true;
    let refused = told(again.send(&index).await).await;
    assert_eq!((refused.status, &*refused.title), (409, "Claimed already"));

    let mut stranger = Release::next(&index, 2).await.with_wheel("2.0");
    stranger.token = mallory;
    let refused = told(stranger.send(&index).await).await;
    assert_eq!(refused.title, "Not your project");
    let mut maintainer = Release::next(&index, 2).await.with_wheel("2.0");
    maintainer.token = carol;
    maintainer.publish(&index).await;
    assert_eq!(listed(&index).await.len(), 2);
}
