//! Services that refuse, are out of order, slow, or lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use wheelmark_attest::{
    AttestError, CertificateError, IdentityToken, Instance, MAX_ANSWER_LEN, Made, Patience,
    ServiceError,
};
use wheelmark_provenance::{Refusal, TrustedRoots, chain};
use wheelmark_provenance_testing::{PrivateSigstore, TestIssuer};
use wheelmark_tuf::Clock;

use super::site::{Now, Site, file, patience};

const CERTIFICATES: &str = "/api/v2/signingCert";
const ENTRIES: &str = "/api/v1/log/entries";

async fn attest(site: &Site) -> Result<Made, AttestError> {
    let certified = site.instance().certify(&site.token()).await.unwrap();
    let (name, sha256) = file("demo-1.0.tar.gz");
    certified.attest(&name, &sha256, &site.roots, &Now).await
}

async fn body_of(response: Response) -> Value {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// Changes what is answered at a path.
fn answering(
    router: Router,
    path: &'static str,
    change: impl Fn(Value) -> Value + Clone + Send + Sync + 'static,
) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let change = change.clone();
        async move {
            let here = request.uri().path() == path;
            let response = next.run(request).await;
            if !here {
                return response;
            }
            let status = response.status();
            (status, change(body_of(response).await).to_string()).into_response()
        }
    }))
}

/// The one entry of an answer.
fn entry(answer: &mut Value) -> &mut Value {
    answer.as_object_mut().unwrap().values_mut().next().unwrap()
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused_by_the_authority() {
    let site = Site::new().await;
    let stranger = TestIssuer::new("https://stranger.example");
    let forger = TestIssuer::new(super::site::AT);
    let token = |issuer: &TestIssuer, claims: Value, at: Timestamp| {
        IdentityToken::parse(&issuer.token(&claims, at)).unwrap()
    };
    let claims = json!({"sub": "x", "job_workflow_ref": "o/r/.github/workflows/w.yml@v", "repository": "o/r"});
    let now = Timestamp::now();
    for (token, why) in [
        (token(&stranger, claims.clone(), now), "is not configured"),
        (token(&forger, claims.clone(), now), "InvalidSignature"),
        (
            token(
                &site.issuer,
                claims.clone(),
                now - SignedDuration::from_mins(6),
            ),
            "expired",
        ),
        (
            token(&site.issuer, json!({"sub": "x"}), now),
            "no claim job_workflow_ref",
        ),
        (site.token_with(&json!({"aud": "pypi"})), "InvalidAudience"),
    ] {
        let refused = site.instance().certify(&token).await.err().unwrap();
        assert!(
            matches!(refused, CertificateError::Refused(_)),
            "{refused:?}"
        );
        assert!(chain(&refused).contains(why), "{}", chain(&refused));
    }
    assert_eq!(site.services.recorded(), 0);
}

#[tokio::test]
async fn an_answer_that_is_no_certificate_for_the_key_records_nothing() {
    type Change = fn(Value) -> Value;
    let wrong: [(&str, Change); 6] = [
        ("is not what it should be", |_| json!([])),
        (
            "has no certificate in which",
            |answer| json!({"signedCertificateDetachedSct": answer["signedCertificateEmbeddedSct"]}),
        ),
        ("has no certificate that can be read", |mut answer| {
            answer["signedCertificateEmbeddedSct"]["chain"]["certificates"] = json!([]);
            answer
        }),
        ("has no certificate that can be read", |mut answer| {
            answer["signedCertificateEmbeddedSct"]["chain"]["certificates"][0] = json!("AQ==");
            answer
        }),
        ("is a certificate for another key", |mut answer| {
            let chain = &mut answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
            chain[0] = chain[1].clone();
            answer
        }),
        ("more certificates than", |mut answer| {
            let chain = &mut answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
            *chain = Value::Array(vec![chain[1].clone(); 11]);
            answer
        }),
    ];
    for (why, change) in wrong {
        let site = Site::changed(|router, _| answering(router, CERTIFICATES, change)).await;
        let refused = site.instance().certify(&site.token()).await.err().unwrap();
        assert!(chain(&refused).contains(why), "{why}: {}", chain(&refused));
    }
}

#[tokio::test]
async fn a_certificate_of_another_authority_makes_nothing_that_is_kept() {
    let site = Site::new().await;
    let other = PrivateSigstore::new(Timestamp::now() - SignedDuration::from_hours(1));
    let roots = TrustedRoots::empty()
        .with("other", other.trusted_root().as_bytes())
        .unwrap();
    let certified = site.instance().certify(&site.token()).await.unwrap();
    let (name, sha256) = file("demo-1.0.tar.gz");
    let refused = certified
        .attest(&name, &sha256, &roots, &Now)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AttestError::Refused(Refusal::UnknownLog { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_log_that_lies_makes_nothing_that_is_kept() {
    type Change = fn(Value) -> Value;
    let wrong: [(&str, Change); 9] = [
        ("has not exactly one entry", |_| json!({})),
        ("has not exactly one entry", |mut answer| {
            answer["another"] = entry(&mut answer).clone();
            answer
        }),
        ("is not what it should be", |_| json!({"x": {"body": ""}})),
        ("hexadecimal", |mut answer| {
            entry(&mut answer)["logID"] = json!("zz");
            answer
        }),
        ("does not hold", |mut answer| {
            let time = &mut entry(&mut answer)["integratedTime"];
            *time = json!(time.as_i64().unwrap() - 1);
            answer
        }),
        ("does not hold", |mut answer| {
            let index = &mut entry(&mut answer)["logIndex"];
            *index = json!(index.as_u64().unwrap() + 1);
            answer
        }),
        ("does not hold", |mut answer| {
            entry(&mut answer)["verification"]["inclusionProof"]["rootHash"] =
                json!("00".repeat(32));
            answer
        }),
        ("makes no attestation", |mut answer| {
            entry(&mut answer)["verification"]["inclusionProof"]["checkpoint"] = json!("");
            answer
        }),
        ("makes no attestation", |mut answer| {
            let hashes = vec!["00".repeat(32); 64];
            entry(&mut answer)["verification"]["inclusionProof"]["hashes"] = json!(hashes);
            answer
        }),
    ];
    for (why, change) in wrong {
        let site = Site::changed(|router, _| answering(router, ENTRIES, change)).await;
        let refused = attest(&site).await.unwrap_err();
        assert!(chain(&refused).contains(why), "{why}: {}", chain(&refused));
    }
}

#[tokio::test]
async fn an_entry_of_somebody_else_is_not_taken_for_ours() {
    // The log answers what it has of the first file, whatever it is asked to record.
    let first = Arc::new(std::sync::Mutex::new(None));
    let site = Site::changed(|router, _| {
        answering(router, ENTRIES, move |answer| {
            first.lock().unwrap().get_or_insert(answer).clone()
        })
    })
    .await;
    attest(&site).await.unwrap();
    let refused = attest(&site).await.unwrap_err();
    assert!(
        matches!(refused, AttestError::Refused(Refusal::Evidence { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_service_that_was_out_of_order_is_asked_again_and_records_once() {
    // It records, and fails before it says so; the second time it has it already.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let site = Site::changed(|router, _| {
        router.layer(from_fn(move |request: Request, next: Next| {
            let here = request.uri().path() == ENTRIES;
            let count = Arc::clone(&count);
            async move {
                let response = next.run(request).await;
                match here && count.fetch_add(1, Ordering::SeqCst) == 0 {
                    true => StatusCode::BAD_GATEWAY.into_response(),
                    false => response,
                }
            }
        }))
    })
    .await;
    attest(&site).await.unwrap();
    assert_eq!(
        (asked.load(Ordering::SeqCst), site.services.recorded()),
        (2, 1)
    );
}

#[tokio::test]
async fn a_service_that_stays_out_of_order_is_told_with_what_it_says() {
    for (status, body, attempts, why) in [
        (
            503,
            r#"{"message":"maintenance"}"#,
            3,
            "answered 503: maintenance",
        ),
        (429, "", 3, "answered 429"),
        (
            400,
            r#"{"code":400,"message":"no\u001b[2J"}"#,
            1,
            "answered 400: no\\u{1b}[2J",
        ),
        (302, "", 1, "answered 302"),
    ] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let site = Site::changed(|router, _| {
            router.layer(from_fn(move |request: Request, next: Next| {
                let here = request.uri().path() == ENTRIES;
                let count = Arc::clone(&count);
                async move {
                    if !here {
                        return next.run(request).await;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    let status = StatusCode::from_u16(status).unwrap();
                    (status, [("location", "http://evil.example/")], body).into_response()
                }
            }))
        })
        .await;
        let refused = attest(&site).await.unwrap_err();
        assert!(chain(&refused).contains(why), "{}", chain(&refused));
        let told = chain(&refused).contains("refuses the entry");
        assert_eq!(told, status == 400, "{}", chain(&refused));
        assert_eq!(asked.load(Ordering::SeqCst), attempts, "{why}");
    }
}

#[tokio::test]
async fn an_answer_about_the_way_is_not_taken_for_one_about_the_token() {
    for (status, about_the_token) in [
        (400, true),
        (401, true),
        (403, true),
        (404, false),
        (413, false),
    ] {
        let site = Site::changed(|_, _| {
            Router::new().fallback(move || async move { StatusCode::from_u16(status).unwrap() })
        })
        .await;
        let refused = site.instance().certify(&site.token()).await.err().unwrap();
        let is_refusal = matches!(refused, CertificateError::Refused(_));
        assert_eq!(is_refusal, about_the_token, "{status}: {refused:?}");
    }
}

#[tokio::test]
async fn answers_without_end_are_not_read() {
    let site = Site::changed(|_, _| {
        Router::new().fallback(|| async {
            let piece = Bytes::from(vec![b' '; MAX_ANSWER_LEN / 2]);
            let pieces = (0..1000).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
            Body::from_stream(futures::stream::iter(pieces))
        })
    })
    .await;
    let refused = site.instance().certify(&site.token()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            CertificateError::Service(ServiceError::TooLong { .. })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn answers_that_do_not_come_are_not_waited_for() {
    let site = Site::changed(|_, _| {
        Router::new().fallback(|| async { std::future::pending::<()>().await })
    })
    .await;
    let patience = Patience {
        answer: Duration::from_millis(50),
        attempts: 2,
        ..patience()
    };
    let instance = Instance::new(site.url.clone(), site.url.clone(), "test", patience).unwrap();
    let refused = instance.certify(&site.token()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            CertificateError::Service(ServiceError::Slow { attempts: 2, .. })
        ),
        "{refused:?}"
    );
    // Nobody is there at all.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url: url::Url = format!("http://{}", nobody.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(nobody);
    let instance = Instance::new(url.clone(), url, "test", patience).unwrap();
    let refused = instance.certify(&site.token()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            CertificateError::Service(ServiceError::Unreachable { .. })
        ),
        "{refused:?}"
    );
}

/// A clock that is behind, and goes on; it counts how often it is looked at.
struct Behind(SignedDuration, AtomicUsize);

impl Behind {
    fn by(duration: SignedDuration) -> Behind {
        Behind(duration, AtomicUsize::new(0))
    }
}

impl Clock for Behind {
    fn now(&self) -> Timestamp {
        self.1.fetch_add(1, Ordering::SeqCst);
        Timestamp::now() - self.0
    }
}

#[tokio::test]
async fn a_clock_that_is_a_little_behind_is_waited_for_and_one_that_is_wrong_is_not() {
    let site = Site::new().await;
    let certified = site.instance().certify(&site.token()).await.unwrap();
    let (name, sha256) = file("demo-1.0.tar.gz");
    let behind = Behind::by(SignedDuration::from_secs(2));
    certified
        .attest(&name, &sha256, &site.roots, &behind)
        .await
        .unwrap();
    let wrong = Behind::by(SignedDuration::from_hours(1));
    let refused = certified
        .attest(&name, &sha256, &site.roots, &wrong)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AttestError::Refused(Refusal::FromTheFuture { .. })),
        "{refused:?}"
    );
    assert_eq!(wrong.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_is_shown_to_the_authority_alone_and_follows_nothing() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let elsewhere = super::site::serve(Router::new().fallback(move |request: Request| {
        log.lock().unwrap().push(request.uri().to_string());
        async { StatusCode::OK }
    }))
    .await;
    let to = elsewhere.clone();
    let site = Site::changed(|_, _| {
        Router::new().fallback(move || {
            let to = to.to_string();
            async move { (StatusCode::TEMPORARY_REDIRECT, [("location", to)]) }
        })
    })
    .await;
    let refused = site.instance().certify(&site.token()).await.err().unwrap();
    assert!(
        matches!(
            refused,
            CertificateError::Service(ServiceError::Status { status: 307, .. })
        ),
        "{refused:?}"
    );
    assert!(seen.lock().unwrap().is_empty());
}
