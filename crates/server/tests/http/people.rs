//! Who may do what.

use reqwest::{Method, Response};
use wheelmark_store::{Actor, NewToken, Role, Scope, Seq, UserName, format_token};
use wheelmark_tuf::{Clock as _, Sha256};

use super::distributions::wheel;
use super::form::{Upload, told};
use super::index::Index;

pub(crate) fn operator() -> Actor {
    Actor::Operator {
        account: "root".to_owned(),
    }
}

pub(crate) fn user(name: &str) -> UserName {
    name.parse().unwrap()
}

impl Index {
    pub(crate) async fn user(&self, name: &str) {
        let added = self
            .store
            .add_user(&user(name), &operator(), self.clock.now())
            .await;
        added.unwrap();
    }

    /// The text of a new token; one for each `secret`.
    pub(crate) async fn token_for(&self, name: &str, scope: Scope, secret: u8) -> String {
        self.token_until(name, scope, secret, None).await
    }

    pub(crate) async fn token_until(
        &self,
        name: &str,
        scope: Scope,
        secret: u8,
        expires_at: Option<jiff::Timestamp>,
    ) -> String {
        let text = format_token(&[secret; 32]);
        let token = NewToken {
            id: format!("{name}-{secret}"),
            user: user(name),
            scope,
            secret_sha256: Sha256::of(text.as_bytes()),
            expires_at,
            note: String::new(),
        };
        let created = self
            .store
            .create_token(&token, &operator(), self.clock.now())
            .await;
        created.unwrap();
        text
    }

    pub(crate) async fn project_of(&self, project: &str, owner: &str) {
        let (project, owner, by) = (project.parse().unwrap(), user(owner), operator());
        let created = self
            .store
            .create_project(&project, &owner, &by, self.clock.now())
            .await;
        created.unwrap();
    }

    pub(crate) async fn upload_as(&self, token: &str, upload: &Upload) -> Response {
        let request = self.request(Method::POST, "/legacy/");
        let request = request.basic_auth("__token__", Some(token));
        request.multipart(upload.form()).send().await.unwrap()
    }

    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Response {
        let request = self.request(Method::GET, path);
        let request = request.basic_auth("__token__", Some(token));
        request.send().await.unwrap()
    }
}

#[tokio::test]
async fn what_each_scope_is_answered() {
    let index = Index::new().await;
    for name in ["alice", "bob", "carol"] {
        index.user(name).await;
    }
    index.project_of("mine", "alice").await;
    index.project_of("theirs", "bob").await;
    let (mine, by) = ("mine".parse().unwrap(), operator());
    let grant = index
        .store
        .grant_role(
            &mine,
            &user("carol"),
            Role::Maintainer,
            &by,
            index.clock.now(),
        )
        .await;
    assert!(grant.unwrap());

    let ok = (200, "");
    let read_only = (403, "Token cannot upload");
    let other = (403, "Token of another project");
    let not_yours = (403, "Not your project");
    let to_mine = || Scope::UploadTo("mine".parse().unwrap());
    let mut secret = 20;
    for (name, scope, to_mine, to_theirs, to_new) in [
        ("alice", Scope::Read, read_only, read_only, read_only),
        ("alice", Scope::Upload, ok, not_yours, ok),
        ("alice", to_mine(), ok, other, other),
        ("alice", Scope::Admin, ok, ok, ok),
        ("bob", Scope::Upload, not_yours, ok, ok),
        ("bob", to_mine(), not_yours, other, other),
        ("carol", Scope::Upload, ok, not_yours, ok),
        ("carol", to_mine(), ok, other, other),
    ] {
        secret += 1;
        let token = index.token_for(name, scope.clone(), secret).await;
        let new = format!("new{secret}");
        for (project, (status, title)) in [("mine", to_mine), ("theirs", to_theirs), (&new, to_new)]
        {
            let before = (
                index.uploaded_files(),
                index.store.journal_end().await.unwrap(),
            );
            let upload = Upload::wheel(project, &format!("1.{secret}"));
            let answer = index.upload_as(&token, &upload).await;
            let case = format!("{name} {scope} {project}");
            if status == 200 {
                assert_eq!(answer.status(), 200, "{case}");
                continue;
            }
            let told = told(answer).await;
            assert_eq!(
                (told.status, told.title.as_str()),
                (status, title),
                "{case}"
            );
            assert!(!told.detail.contains("wmk_"), "{told:?}");
            // A command in a hint runs as it stands, and gives no more than is asked for.
            if told.hint.contains("token create") {
                assert!(told.hint.contains("whoever runs the index"), "{told:?}");
                assert!(told.hint.contains("--user"), "{told:?}");
            }
            if title == "Token of another project" {
                let hint = format!("--user {name} --scope upload --project {project}");
                assert!(told.hint.ends_with(&hint), "{told:?}");
            }
            let after = (
                index.uploaded_files(),
                index.store.journal_end().await.unwrap(),
            );
            assert_eq!(before, after, "{case}");
        }
    }
    let who = index
        .store
        .members(&"new22".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(who.unwrap()[0].user, user("alice"));
}

/// Also with the very same bytes: that a file is there is not theirs to be told as a success.
#[tokio::test]
async fn a_stranger_cannot_pass_for_who_uploaded_it() {
    let index = Index::new().await;
    for name in ["alice", "bob"] {
        index.user(name).await;
    }
    let alice = index.token_for("alice", Scope::Upload, 21).await;
    let bob = index.token_for("bob", Scope::Upload, 22).await;
    let upload = Upload::wheel("flask", "1.0");
    assert_eq!(index.upload_as(&alice, &upload).await.status(), 200);
    assert_eq!(index.upload_as(&alice, &upload).await.status(), 200);
    let refused = told(index.upload_as(&bob, &upload).await).await;
    assert_eq!((refused.status, &*refused.title), (403, "Not your project"));
    assert!(refused.detail.contains("bob") && refused.detail.contains("flask"));
}

#[tokio::test]
async fn of_two_users_who_race_for_a_name_one_gets_it() {
    let index = Index::new().await;
    let mut tokens = Vec::new();
    for (n, name) in (21..).zip(["alice", "bob"]) {
        index.user(name).await;
        tokens.push(index.token_for(name, Scope::Upload, n).await);
    }
    let uploads: Vec<Upload> = (0..8)
        .map(|n| Upload::wheel("flask", &format!("1.{n}")))
        .collect();
    let sending = uploads.iter().enumerate();
    let sending = sending.map(|(n, upload)| index.upload_as(&tokens[n % 2], upload));
    let answers = futures::future::join_all(sending).await;
    let accepted: Vec<usize> = (0..8).filter(|n| answers[*n].status() == 200).collect();
    assert_eq!(accepted.len(), 4, "{accepted:?}");
    assert!(
        accepted.iter().all(|n| n % 2 == accepted[0] % 2),
        "{accepted:?}"
    );
    for answer in answers.into_iter().filter(|answer| answer.status() != 200) {
        assert_eq!(told(answer).await.title, "Not your project");
    }
    // Nothing of the others stays: a wheel and its metadata, each under two names.
    assert_eq!(index.uploaded_files().len(), 16);
    let journal = index.store.journal_after(Seq(0), 100).await.unwrap();
    assert_eq!(journal.len(), 4);
}

#[tokio::test]
async fn a_token_that_has_ended_is_told_so() {
    let index = Index::new().await;
    for name in ["alice", "bob"] {
        index.user(name).await;
    }
    let soon = index.clock.now() + jiff::SignedDuration::from_secs(60);
    let expires = index
        .token_until("alice", Scope::Admin, 21, Some(soon))
        .await;
    let revoked = index.token_for("alice", Scope::Admin, 22).await;
    let disabled = index.token_for("bob", Scope::Admin, 23).await;
    for (n, token) in [&expires, &revoked, &disabled].into_iter().enumerate() {
        let upload = Upload::wheel("flask", &format!("1.{n}"));
        assert_eq!(index.upload_as(token, &upload).await.status(), 200);
    }
    index.clock.forward(jiff::SignedDuration::from_secs(60));
    let now = index.clock.now();
    index
        .store
        .revoke_token("alice-22", &operator(), now)
        .await
        .unwrap();
    let disable = index
        .store
        .set_user_disabled(&user("bob"), true, &operator(), now)
        .await;
    assert!(disable.unwrap());
    for (token, title) in [
        (&expires, "Token expired"),
        (&revoked, "Token revoked"),
        (&disabled, "User disabled"),
    ] {
        let told = told(index.upload_as(token, &Upload::wheel("flask", "2.0")).await).await;
        assert_eq!((told.status, told.title.as_str()), (403, title));
        let leads = told.hint.contains("whoever runs the index");
        assert!(leads && !told.hint.contains("--scope read"), "{told:?}");
    }
}

#[tokio::test]
async fn a_token_goes_with_its_users_name_or_as_a_bearer_token() {
    let index = Index::new().await;
    index.user("alice").await;
    let token = index.token_for("alice", Scope::Upload, 21).await;
    let post = |version: &str| {
        let upload = Upload::wheel("flask", version);
        index
            .request(Method::POST, "/legacy/")
            .multipart(upload.form())
    };
    for (request, status) in [
        (post("1").basic_auth("alice", Some(&token)), 200),
        (post("2").bearer_auth(&token), 200),
        (post("3").basic_auth("bob", Some(&token)), 401),
        (post("4").basic_auth("", Some(&token)), 401),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
}

/// What an upload asks for stands in its form, wherever the name of the file leads.
#[tokio::test]
async fn a_token_of_a_project_is_held_to_its_normalised_name() {
    let index = Index::new().await;
    index.user("alice").await;
    let scope = Scope::UploadTo("zope-interface".parse().unwrap());
    let token = index.token_for("alice", scope, 21).await;
    let content = super::distributions::sdist("Zope.Interface", "5.4.0");
    let good = Upload::new(
        "zope_interface-5.4.0.tar.gz",
        "Zope.Interface",
        "5.4",
        &content,
    );
    assert_eq!(index.upload_as(&token, &good).await.status(), 200);
    let content = wheel("flask", "1.0", 0);
    for (name, filename) in [
        ("flask", "flask-1.0-py3-none-any.whl"),
        ("zope-interface", "flask-1.0-py3-none-any.whl"),
        ("flask", "zope_interface-1.0-py3-none-any.whl"),
    ] {
        let upload = Upload::new(filename, name, "1.0", &content);
        let answer = index.upload_as(&token, &upload).await;
        assert!(answer.status().is_client_error(), "{name} {filename}");
    }
    assert_eq!(index.store.projects().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_log_says_who_uploaded_and_who_was_refused() {
    let index = Index::new().await;
    for name in ["alice", "bob"] {
        index.user(name).await;
    }
    let alice = index.token_for("alice", Scope::Upload, 21).await;
    let bob = index.token_for("bob", Scope::Upload, 22).await;
    let upload = Upload::wheel("flask", "1.0");
    assert_eq!(index.upload_as(&alice, &upload).await.status(), 200);
    assert_eq!(index.upload_as(&bob, &upload).await.status(), 403);
    let bad = Upload::wheel("flask", "2.0").without("filetype");
    assert_eq!(index.upload_as(&alice, &bad).await.status(), 400);
    let unknown = format_token(&[99; 32]);
    assert_eq!(index.upload_as(&unknown, &upload).await.status(), 403);

    let log = index.store.audit_last(None, 5).await.unwrap();
    let said: Vec<String> = log
        .iter()
        .map(|row| {
            let entry = &row.entry;
            let who = match &entry.actor {
                Actor::Bearer { user, token } => format!("{user} {token}"),
                Actor::Operator { account } => account.clone(),
                Actor::Stranger => "nobody".to_owned(),
            };
            let project = entry
                .project
                .as_ref()
                .map_or("-", |project| project.as_str());
            let subject = entry.subject.as_deref().unwrap_or("-");
            assert_eq!(
                entry.address,
                Some("127.0.0.1".parse().unwrap()),
                "{entry:?}"
            );
            assert!(!format!("{entry:?}").contains("wmk_"), "{entry:?}");
            format!("{who}: {} {project} {subject}", entry.action)
        })
        .collect();
    assert_eq!(
        said,
        [
            "alice alice-21: role-granted flask alice",
            "alice alice-21: upload-accepted flask flask-1.0-py3-none-any.whl",
            "bob bob-22: upload-refused flask flask-1.0-py3-none-any.whl",
            "alice alice-21: upload-refused - -",
            "nobody: access-refused - -",
        ]
    );
}

mod reading {
    use wheelmark_store::Access;

    use super::*;

    const PATHS: [&str; 9] = [
        "/metrics",
        "/simple/",
        "/simple",
        "/simple/flask/",
        "/pypi/flask/json",
        "/metadata/timestamp.json",
        "/packages/flask/flask-1.0-py3-none-any.whl",
        "/packages/flask/flask-1.0-py3-none-any.whl.metadata",
        "/no/such/path",
    ];

    async fn set(index: &Index, access: Access) {
        let set = index
            .store
            .set_access(access, &operator(), index.clock.now())
            .await;
        assert!(set.unwrap());
        tokio::time::sleep(wheelmark_server::ACCESS_KEPT).await;
    }

    #[tokio::test]
    async fn a_private_index_shows_nothing_without_a_token() {
        let index = Index::new().await;
        index.user("alice").await;
        let token = index.token_for("alice", Scope::Read, 21).await;
        Upload::wheel("flask", "1.0").publish(&index).await;
        let mut open = Vec::new();
        for path in PATHS {
            open.push(index.get(path).await.status());
        }
        set(&index, Access::Private).await;
        for (path, open) in PATHS.into_iter().zip(&open) {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS] {
                let answer = index.request(method.clone(), path).send().await.unwrap();
                assert_eq!(answer.status(), 401, "{method} {path}");
                assert_eq!(
                    answer.headers()["www-authenticate"],
                    "Basic realm=\"wheelmark\""
                );
                assert!(
                    answer.headers()["cache-control"]
                        .to_str()
                        .unwrap()
                        .contains("private")
                );
            }
            let answer = index.get_as(&token, path).await;
            assert_eq!(answer.status(), *open, "{path}");
            let kept = answer.headers()["cache-control"].to_str().unwrap();
            assert!(
                kept.starts_with("private") && !kept.contains("public"),
                "{path}: {kept}"
            );
            // Installers write down, beside what they keep, the request's value of each name in it.
            for vary in answer.headers().get_all("vary") {
                let vary = vary.to_str().unwrap().to_lowercase();
                assert!(!vary.contains("authorization"), "{path}: {vary}");
            }
        }
        assert_eq!(index.get("/healthz").await.status(), 200);
        assert_eq!(index.get("/").await.status(), 200);
        let told = told(index.upload_as("", &Upload::wheel("flask", "2.0")).await).await;
        assert_eq!((told.status, &*told.title), (401, "Token missing"));

        set(&index, Access::Public).await;
        for (path, open) in PATHS.into_iter().zip(open) {
            assert_eq!(index.get(path).await.status(), open, "{path}");
        }
        let page = index
            .get("/packages/flask/flask-1.0-py3-none-any.whl")
            .await;
        assert!(
            page.headers()["cache-control"]
                .to_str()
                .unwrap()
                .starts_with("public")
        );
    }

    #[tokio::test]
    async fn every_scope_reads_and_what_has_ended_does_not() {
        let index = Index::new().await;
        index.user("alice").await;
        set(&index, Access::Private).await;
        let one = Scope::UploadTo("flask".parse().unwrap());
        for (n, scope) in (21..).zip([Scope::Read, Scope::Upload, one, Scope::Admin]) {
            let token = index.token_for("alice", scope.clone(), n).await;
            assert_eq!(
                index.get_as(&token, "/simple/").await.status(),
                200,
                "{scope}"
            );
            let now = index.clock.now();
            let id = format!("alice-{n}");
            assert!(
                index
                    .store
                    .revoke_token(&id, &operator(), now)
                    .await
                    .unwrap()
            );
            let told = told_privately(index.get_as(&token, "/simple/").await).await;
            assert_eq!((told.0, &*told.1), (401, "Token revoked"), "{scope}");
            assert!(told.2.contains("--scope read"), "{}", told.2);
        }
        for (token, title) in [(format_token(&[99; 32]), "Unknown token")] {
            let told = told_privately(index.get_as(&token, "/simple/").await).await;
            assert_eq!((told.0, &*told.1), (401, title));
        }
    }

    #[tokio::test]
    async fn an_index_that_never_knew_who_may_read_lets_nobody() {
        let index = Index::new().await;
        index.store.close().await;
        assert_eq!(index.get("/simple/").await.status(), 500);
        assert_eq!(index.get("/metadata/timestamp.json").await.status(), 500);
    }

    async fn told_privately(answer: Response) -> (u16, String, String) {
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (status, text("title"), text("hint"))
    }
}
