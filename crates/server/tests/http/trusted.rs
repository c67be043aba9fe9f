//! Identity tokens exchanged for upload tokens.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use futures::future::join_all;
use jiff::SignedDuration;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use wheelmark_server::{Issuers, Secrets, TrustedPublisher, TrustedPublishing};
use wheelmark_store::{AuditAction, NewPublisher, Pending, PublisherError, Store};
use wheelmark_tuf::Clock as _;

use super::form::{Upload, told};
use super::index::Index;
use super::issuer::{Issuer, KID, signed_part};
use super::people::{operator, user};

pub(crate) const AUDIENCE: &str = "pypi.test";
const PUBLISHER: &str = "github:octo/demo@release.yml";

struct SystemSecrets;

impl Secrets for SystemSecrets {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        use rand::Rng as _;
        rand::rng().fill_bytes(bytes);
        Ok(())
    }
}

/// An index that exchanges the tokens of `issuer`, and publishes.
pub(crate) async fn index_with(issuer: &Issuer) -> Index {
    let issuers = Issuers(vec![format!("github={}", issuer.url).parse().unwrap()]);
    let mut index = Index::furnished(|app| {
        app.trusted_publishing = Some(TrustedPublishing {
            issuers,
            audience: AUDIENCE.to_owned(),
            secrets: Arc::new(SystemSecrets),
            patience: Duration::from_millis(500),
        });
    })
    .await;
    index.start_snapshot_process().await;
    index.user("alice").await;
    index
}

impl Index {
    pub(crate) async fn trust(&self, project: &str, publisher: &str, issuer: &Issuer) {
        self.trust_for(project, publisher, issuer, None).await;
    }

    async fn trust_for(
        &self,
        project: &str,
        publisher: &str,
        issuer: &Issuer,
        pending: Option<Pending>,
    ) {
        let publisher: TrustedPublisher = publisher.parse().unwrap();
        let new = NewPublisher {
            id: publisher.user(&issuer.url),
            project: project.parse().unwrap(),
            issuer: issuer.url.clone(),
            place: publisher.place(),
            identity: publisher.to_json(),
            account: None,
            may_upload: true,
            pending,
            shown: publisher.to_string(),
        };
        let (by, now) = (operator(), self.clock.now());
        let added = self.store.add_publisher(&new, &by, now);
        added.await.unwrap();
    }

    pub(crate) async fn mint(&self, token: &str) -> Response {
        let request = self.request(Method::POST, "/_/oidc/mint-token");
        let body = json!({"token": token}).to_string();
        request.body(body).send().await.unwrap()
    }

    /// The upload token that is given for an identity token.
    pub(crate) async fn minted(&self, token: &str) -> String {
        let answer = self.mint(token).await;
        let status = answer.status();
        let answer = json_of(answer).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["success"], true);
        answer["token"].as_str().unwrap().to_owned()
    }
}

/// An answer as JSON.
async fn json_of(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// The code and the description of a refusal.
pub(crate) async fn refused(answer: Response) -> (String, String) {
    assert_eq!(answer.status(), 422);
    let answer = json_of(answer).await;
    assert_eq!(answer["message"], "Token request failed");
    let error = &answer["errors"][0];
    let text = |member: &str| error[member].as_str().unwrap().to_owned();
    (text("code"), text("description"))
}

pub(crate) fn claims(issuer: &Issuer, index: &Index, jti: &str) -> Value {
    let now = index.clock.now().as_second();
    json!({
        "iss": issuer.url, "aud": AUDIENCE, "iat": now, "exp": now + 300, "jti": jti,
        "sub": "repo:octo/demo:ref:refs/tags/v1",
        "repository": "octo/demo", "repository_owner": "octo", "repository_owner_id": "7",
        "event_name": "push", "ref": "refs/tags/v1", "sha": "abc", "run_id": "1234",
        "job_workflow_ref": "octo/demo/.github/workflows/release.yml@refs/tags/v1",
    })
}

fn upload(project: &str, version: &str) -> Upload {
    Upload::wheel(project, version)
}

#[tokio::test]
async fn an_identity_token_is_exchanged_for_a_token_of_its_project() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.project_of("other", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;

    let audience = json_of(index.get("/_/oidc/audience").await).await;
    assert_eq!(audience, json!({"audience": AUDIENCE}));
    let answer = index
        .mint(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let answer = json_of(answer).await;
    let token = answer["token"].as_str().unwrap();
    let expires = answer["expires"].as_i64().unwrap() - index.clock.now().as_second();
    assert!((900..=901).contains(&expires), "{expires}");

    let taken = index.upload_as(token, &upload("demo", "1.0")).await;
    assert_eq!(taken.status(), 200);
    let other = told(index.upload_as(token, &upload("other", "1.0")).await).await;
    assert_eq!(
        (other.status, &*other.title),
        (403, "Token of another project")
    );
    // Nor one that is not there yet.
    let new = told(index.upload_as(token, &upload("new", "1.0")).await).await;
    assert_eq!((new.status, &*new.title), (403, "Token of another project"));

    index.clock.forward(SignedDuration::from_secs(902));
    let late = told(index.upload_as(token, &upload("demo", "1.1")).await).await;
    assert_eq!((late.status, &*late.title), (403, "Token expired"));

    let log = index.store.audit_last(None, 100).await.unwrap();
    let exchanged = log
        .iter()
        .find(|row| row.entry.action == AuditAction::TokenExchanged);
    let entry = &exchanged.unwrap().entry;
    assert_eq!(entry.project, Some("demo".parse().unwrap()));
    let detail = entry.detail.as_deref().unwrap();
    assert!(
        detail.contains(PUBLISHER) && detail.contains("run_id 1234"),
        "{detail}"
    );
    assert!(!log.iter().any(|row| format!("{row:?}").contains("wmk_")));
}

#[tokio::test]
async fn a_token_is_exchanged_once() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;

    // At the same time, too.
    let token = issuer.token(&claims(&issuer, &index, "1"));
    let answers = join_all((0..8).map(|_| index.mint(&token))).await;
    let good = answers
        .iter()
        .filter(|answer| answer.status() == 200)
        .count();
    assert_eq!(good, 1);
    for answer in answers {
        if answer.status() != 200 {
            assert_eq!(refused(answer).await.0, "invalid-reuse-token");
        }
    }
    // By what it is, and not by how it is written.
    let mut again = claims(&issuer, &index, "1");
    again["exp"] = json!(again["exp"].as_i64().unwrap() + 1);
    assert_eq!(
        refused(index.mint(&issuer.token(&again)).await).await.0,
        "invalid-reuse-token"
    );
    index
        .minted(&issuer.token(&claims(&issuer, &index, "2")))
        .await;

    // One without a name of its own is known by what is signed.
    let mut nameless = claims(&issuer, &index, "");
    nameless.as_object_mut().unwrap().remove("jti");
    let token = issuer.token(&nameless);
    index.minted(&token).await;
    assert_eq!(
        refused(index.mint(&token).await).await.0,
        "invalid-reuse-token"
    );

    // What was refused was not used up: the project trusts it a moment later.
    let mut later = claims(&issuer, &index, "3");
    later["job_workflow_ref"] = json!("octo/demo/.github/workflows/later.yml@refs/tags/v1");
    let token = issuer.token(&later);
    assert_eq!(
        refused(index.mint(&token).await).await.0,
        "invalid-publisher"
    );
    index
        .trust("demo", "github:octo/demo@later.yml", &issuer)
        .await;
    index.minted(&token).await;
}

#[tokio::test]
async fn a_token_has_to_be_good() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    let now = index.clock.now().as_second();
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": KID});
    let good = claims(&issuer, &index, "1");
    let with = |claim: &str, value: Value| {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(claim)),
            value => claims[claim] = value,
        }
        issuer.token(&claims)
    };
    let stranger = Issuer::new().await;
    let token = issuer.token(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut evil = good.clone();
    evil["repository"] = json!("octo/other");
    // The public key as the secret of a HMAC: what a library takes that goes by the token.
    let public = issuer.jwk()["n"].as_str().unwrap().to_owned();
    let public = BASE64.decode(public).unwrap();
    let hmac = |secret: &[u8]| {
        let signed = signed_part(&header("HS256"), &good);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(tag))
    };
    let cases = [
        (
            "alg none",
            format!("{}.", signed_part(&header("none"), &good)),
        ),
        (
            "alg None",
            format!("{}.", signed_part(&header("None"), &good)),
        ),
        ("no signature", format!("{signed}.")),
        ("HS256 by the modulus", hmac(&public)),
        ("HS256 by nothing", hmac(b"")),
        (
            "said to be RS512",
            issuer.token_with(&header("RS512"), &good),
        ),
        (
            "said to be PS256",
            issuer.token_with(&header("PS256"), &good),
        ),
        (
            "other claims",
            format!("{}.{signature}", signed_part(&header("RS256"), &evil)),
        ),
        ("another's signature", stranger.token(&good)),
        ("no kid", issuer.token_with(&json!({"alg": "RS256"}), &good)),
        (
            "unknown kid",
            issuer.token_with(&json!({"alg": "RS256", "kid": "x"}), &good),
        ),
        (
            "something critical",
            issuer.token_with(&json!({"alg": "RS256", "kid": KID, "crit": ["x"]}), &good),
        ),
        ("of another audience", with("aud", json!("pypi"))),
        ("of two audiences", with("aud", json!([AUDIENCE, "pypi"]))),
        ("of no audience", with("aud", Value::Null)),
        ("expired", with("exp", json!(now - 30))),
        ("without an end", with("exp", Value::Null)),
        (
            "with a text for an end",
            with("exp", json!((now + 300).to_string())),
        ),
        ("with an endless end", with("exp", json!(i64::MAX))),
        ("without a beginning", with("iat", Value::Null)),
        ("not begun", with("iat", json!(now + 31))),
        ("not before later", with("nbf", json!(now + 31))),
        ("a name that is none", with("jti", json!(7))),
        (
            "of an unknown issuer",
            with("iss", json!("https://evil.example")),
        ),
        ("of no issuer", with("iss", Value::Null)),
        ("no account", with("repository_owner_id", Value::Null)),
        ("no token", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ];
    for (what, token) in cases {
        let (code, description) = refused(index.mint(&token).await).await;
        assert_eq!(code, "invalid-token", "{what}: {description}");
    }
    // At the edges it is good; and at the end, after all of that.
    for (jti, claim, value) in [
        ("e", "exp", now - 29),
        ("i", "iat", now + 30),
        ("n", "nbf", now + 30),
    ] {
        let mut claims = claims(&issuer, &index, jti);
        claims[claim] = json!(value);
        index.minted(&issuer.token(&claims)).await;
    }
    let mut one = claims(&issuer, &index, "one");
    one["aud"] = json!([AUDIENCE]);
    index.minted(&issuer.token(&one)).await;
}

#[tokio::test]
async fn a_request_has_to_be_one() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    let post = async |body: String| {
        let request = index.request(Method::POST, "/_/oidc/mint-token");
        refused(request.body(body).send().await.unwrap()).await
    };
    let long = json!({"token": "x".repeat(40_000)}).to_string();
    for body in [
        "",
        "[]",
        "{}",
        r#"{"token": 7}"#,
        "token",
        &long,
        &"[".repeat(20_000),
    ] {
        assert_eq!(
            post(body.to_owned()).await.0,
            "invalid-payload",
            "{body:.20}"
        );
    }
    assert_eq!(index.get("/_/oidc/mint-token").await.status(), 405);

    let without = Index::without_snapshot_process(Default::default()).await;
    assert_eq!(refused(without.mint("a.b.c").await).await.0, "not-enabled");
    assert_eq!(without.get("/_/oidc/audience").await.status(), 403);
    let asks = "/.well-known/pytp?discover=";
    assert_eq!(without.get(&format!("{asks}/legacy/")).await.status(), 404);

    let found = index.get(&format!("{asks}{}/legacy/", index.url)).await;
    assert_eq!(
        found.headers()["content-type"],
        "application/vnd.pypi.pytp.v1+json"
    );
    let found = json_of(found).await;
    assert_eq!(
        found["audience-endpoint"],
        format!("{}/_/oidc/audience", index.url)
    );
    assert_eq!(
        found["mint-token-endpoint"],
        format!("{}/_/oidc/mint-token", index.url)
    );
    assert_eq!(
        index
            .get(&format!("{asks}{}/simple/", index.url))
            .await
            .status(),
        404
    );
    assert_eq!(index.get("/.well-known/pytp").await.status(), 404);
}

#[tokio::test]
async fn a_token_is_held_against_every_publisher_of_its_place() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    for project in ["one", "two", "three", "four"] {
        index.project_of(project, "alice").await;
    }
    index.trust("one", PUBLISHER, &issuer).await;
    index
        .trust("two", "github:octo/demo@release.yml#pypi", &issuer)
        .await;
    index
        .trust("three", "github:octo/demo@other.yml", &issuer)
        .await;
    index
        .trust("four", "github:octo/demo@release.yml#staging", &issuer)
        .await;
    let mut claims = claims(&issuer, &index, "1");
    claims["environment"] = json!("pypi");
    let token = index.minted(&issuer.token(&claims)).await;
    for (project, status) in [
        ("one", 200),
        ("two", 200),
        ("three", 403),
        ("four", 403),
        ("five", 403),
    ] {
        let answer = index.upload_as(&token, &upload(project, "1.0")).await;
        assert_eq!(answer.status(), status, "{project}");
    }
    // Who is not listed is told which claim is not right, and who nobody lists, that.
    claims["jti"] = json!("2");
    claims["job_workflow_ref"] = json!("octo/demo/.github/workflows/x.yml@refs/tags/v1");
    let (code, why) = refused(index.mint(&issuer.token(&claims)).await).await;
    assert_eq!(code, "invalid-publisher");
    assert!(
        why.contains("job_workflow_ref") && why.contains("3 other publishers"),
        "{why}"
    );
    claims["repository"] = json!("octo/elsewhere");
    let (code, why) = refused(index.mint(&issuer.token(&claims)).await).await;
    assert_eq!(code, "invalid-publisher");
    assert!(why.contains("octo/elsewhere"), "{why}");
}

#[tokio::test]
async fn nobody_inherits_by_a_name() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    let mut another = claims(&issuer, &index, "2");
    another["repository_owner_id"] = json!("8");
    let (code, why) = refused(index.mint(&issuer.token(&another)).await).await;
    assert_eq!(code, "invalid-publisher");
    assert!(
        why.contains("number 8") && why.contains("number 7"),
        "{why}"
    );
    index
        .minted(&issuer.token(&claims(&issuer, &index, "3")))
        .await;
}

/// Not by another project, another environment, or after the publisher was taken away, either.
#[tokio::test]
async fn the_number_of_an_account_is_that_of_the_identity() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.project_of("other", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    index.trust("other", PUBLISHER, &issuer).await;
    index
        .trust("demo", "github:octo/demo@release.yml#pypi", &issuer)
        .await;
    index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    let mut another = claims(&issuer, &index, "2");
    another["repository_owner_id"] = json!("8");
    another["environment"] = json!("pypi");
    let token = issuer.token(&another);
    assert_eq!(
        refused(index.mint(&token).await).await.0,
        "invalid-publisher"
    );

    let publisher: TrustedPublisher = PUBLISHER.parse().unwrap();
    let (id, by) = (publisher.user(&issuer.url), operator());
    let now = index.clock.now();
    let revoked = index.store.revoke_publisher(&id, &by, now).await.unwrap();
    let revoked: Vec<String> = revoked.iter().map(ToString::to_string).collect();
    assert_eq!(revoked, ["demo", "other"]);
    assert_eq!(
        refused(index.mint(&token).await).await.0,
        "invalid-publisher"
    );
    index.trust("demo", PUBLISHER, &issuer).await;
    let (code, why) = refused(index.mint(&token).await).await;
    assert_eq!(code, "invalid-publisher");
    assert!(why.contains("number 8"), "{why}");
    index
        .minted(&issuer.token(&claims(&issuer, &index, "3")))
        .await;
}

#[tokio::test]
async fn a_project_that_somebody_else_made_is_not_taken_for_a_new_one() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.user("mallory").await;
    index.project_of("demo", "mallory").await;
    let publisher: TrustedPublisher = PUBLISHER.parse().unwrap();
    let now = index.clock.now();
    let new = NewPublisher {
        id: publisher.user(&issuer.url),
        project: "demo".parse().unwrap(),
        issuer: issuer.url.clone(),
        place: publisher.place(),
        identity: publisher.to_json(),
        account: None,
        may_upload: true,
        pending: Some(Pending {
            owner: user("alice"),
            until: now + SignedDuration::from_hours(1),
        }),
        shown: publisher.to_string(),
    };
    let added = index.store.add_publisher(&new, &operator(), now).await;
    assert!(
        matches!(added, Err(PublisherError::Taken { .. })),
        "{added:?}"
    );
    assert_eq!(index.store.publishers(None).await.unwrap(), []);
}

#[tokio::test]
async fn a_project_comes_to_be_with_its_publisher() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    let day = SignedDuration::from_hours(24);
    let pending = |days: i32| Pending {
        owner: user("alice"),
        until: index.clock.now() + day * days,
    };
    for project in ["demo", "taken"] {
        index
            .trust_for(project, PUBLISHER, &issuer, Some(pending(30)))
            .await;
    }
    index.project_of("taken", "alice").await;
    let token = index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    for (project, status) in [("demo", 200), ("taken", 403)] {
        let answer = index.upload_as(&token, &upload(project, "1.0")).await;
        assert_eq!(answer.status(), status, "{project}");
    }
    let members = async |project: &str| -> Vec<String> {
        let members = index
            .store
            .members(&project.parse().unwrap())
            .await
            .unwrap();
        let members = members.unwrap().into_iter();
        members
            .map(|member| format!("{} {}", member.user, member.role))
            .collect()
    };
    let publisher: TrustedPublisher = PUBLISHER.parse().unwrap();
    let its_user = publisher.user(&issuer.url);
    assert_eq!(
        members("demo").await,
        ["alice owner".to_owned(), format!("{its_user} maintainer")]
    );
    assert_eq!(members("taken").await, ["alice owner"]);

    // Whose project somebody else made gets nothing; and a name is given up after its time.
    let other = "github:octo/other@release.yml";
    index
        .trust_for("taken2", other, &issuer, Some(pending(30)))
        .await;
    index.project_of("taken2", "alice").await;
    let mut theirs = claims(&issuer, &index, "2");
    theirs["repository"] = json!("octo/other");
    theirs["job_workflow_ref"] = json!("octo/other/.github/workflows/release.yml@refs/tags/v1");
    let (code, _) = refused(index.mint(&issuer.token(&theirs)).await).await;
    assert_eq!(code, "invalid-pending-publisher");
    index
        .trust_for(
            "late",
            "github:octo/late@release.yml",
            &issuer,
            Some(pending(30)),
        )
        .await;
    index.clock.forward(day * 30);
    let mut late = claims(&issuer, &index, "3");
    late["repository"] = json!("octo/late");
    late["job_workflow_ref"] = json!("octo/late/.github/workflows/release.yml@refs/tags/v1");
    let (code, _) = refused(index.mint(&issuer.token(&late)).await).await;
    assert_eq!(code, "invalid-publisher");
    assert_eq!(
        index.store.members(&"late".parse().unwrap()).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_publisher_that_is_taken_away_uploads_no_more() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    let publisher: TrustedPublisher = PUBLISHER.parse().unwrap();
    let id = publisher.user(&issuer.url);
    let mint = async |jti: &str| {
        index
            .mint(&issuer.token(&claims(&issuer, &index, jti)))
            .await
    };
    let token = index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    let uploaded = index.upload_as(&token, &upload("demo", "1.0")).await;
    assert_eq!(uploaded.status(), 200);

    let set = async |disabled| {
        let store: &Store = &index.store;
        store
            .set_user_disabled(&id, disabled, &operator(), index.clock.now())
            .await
    };
    assert!(set(true).await.unwrap());
    assert_eq!(refused(mint("2").await).await.0, "invalid-publisher");
    let answer = index.upload_as(&token, &upload("demo", "1.1")).await;
    assert_eq!(answer.status(), 403);
    assert!(set(false).await.unwrap());
    assert_eq!(mint("2").await.status(), 200);

    let project = "demo".parse().unwrap();
    let (by, now) = (operator(), index.clock.now());
    let removed = index.store.remove_publisher(&project, &id, &by, now);
    removed.await.unwrap();
    assert_eq!(refused(mint("3").await).await.0, "invalid-publisher");
    let answer = told(index.upload_as(&token, &upload("demo", "1.2")).await).await;
    assert_eq!((answer.status, &*answer.title), (403, "Token revoked"));
    // What came through it is known all the same.
    let since = index.clock.now() - SignedDuration::from_secs(1);
    let files = index.store.uploads_by(&id, None, since).await.unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.filename.as_str()).collect();
    assert_eq!(names, ["demo-1.0-py3-none-any.whl"]);
    let later = index.clock.now() + SignedDuration::from_secs(1);
    assert_eq!(index.store.uploads_by(&id, None, later).await.unwrap(), []);
}

#[tokio::test]
async fn whoever_has_a_token_can_end_it() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    let token = index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    let burn = async |token: &str| {
        let request = index.request(Method::POST, "/_/oidc/burn-token");
        let body = json!({"token": token}).to_string();
        request.body(body).send().await.unwrap().status()
    };
    // Tokens of people are none of these.
    for token in ["wmk_unknown", &index.token, &token] {
        assert_eq!(burn(token).await, 202);
    }
    assert_eq!(
        index
            .upload_as(&token, &upload("demo", "1.0"))
            .await
            .status(),
        403
    );
    assert_eq!(
        index
            .upload_as(&index.token, &upload("demo", "1.0"))
            .await
            .status(),
        200
    );
}

#[tokio::test]
async fn a_private_index_exchanges_tokens_as_well() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    let private = wheelmark_store::Access::Private;
    index
        .store
        .set_access(private, &operator(), index.clock.now())
        .await
        .unwrap();
    assert_eq!(index.get("/simple/").await.status(), 401);
    assert_eq!(index.get("/_/oidc/audience").await.status(), 200);
    let token = index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;

    // It uploads, and shows what is there of its own projects, and nothing else.
    let taken = index.upload_as(&token, &upload("demo", "1.0")).await;
    assert_eq!(taken.status(), 200);
    let other = index.upload_as(&index.token, &upload("other", "1.0")).await;
    assert_eq!(other.status(), 200);
    for path in ["/simple/demo/", "/simple/Demo", "/simple/demo"] {
        let shown = index.get_as(&token, path).await;
        assert!(shown.status() != 403 && shown.status() != 401, "{path}");
    }
    for path in [
        "/simple/",
        "/simple/other/",
        "/simple/demo/../other/",
        "/simple/demo//",
        "/packages/other/other-1.0-py3-none-any.whl",
        "/packages/demo/demo-1.0-py3-none-any.whl",
        "/pypi/other/json",
        "/metadata/timestamp.json",
        "/",
    ] {
        let shown = index.get_as(&token, path).await.status();
        assert_eq!(shown, if path == "/" { 200 } else { 403 }, "{path}");
        let everything = index.get_as(&index.token, path).await.status();
        assert!(everything != 403 && everything != 401, "{path}");
    }
}

#[tokio::test]
async fn whoever_tries_too_much_has_to_wait() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    for _ in 0..wheelmark_server::FAILED_ATTEMPTS.burst {
        refused(index.mint("a.b.c").await).await;
    }
    let answer = index.mint("a.b.c").await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    let answer = json_of(answer).await;
    assert_eq!(answer["errors"][0]["code"], "too-many-requests");
    // A good one is taken all the same.
    index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    let log = index.store.audit_last(None, 100).await.unwrap();
    let refused = log
        .iter()
        .filter(|row| row.entry.action == AuditAction::ExchangeRefused);
    assert_eq!(
        refused.count() as u32,
        wheelmark_server::FAILED_ATTEMPTS.burst
    );
}
