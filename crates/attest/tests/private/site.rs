//! A private Sigstore, listening.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use url::Url;
use wheelmark_attest::{IdentityToken, Instance, Patience};
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::TrustedRoots;
use wheelmark_provenance_testing::{IssuerKind, PrivateSigstore, Services, TestIssuer};
use wheelmark_tuf::Clock;

pub(super) const AT: &str = "https://token.ci.example";

/// The machine's clock.
pub(super) struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

pub(super) struct Site {
    pub(super) services: Arc<Services>,
    pub(super) issuer: TestIssuer,
    pub(super) roots: TrustedRoots,
    pub(super) url: Url,
}

impl Site {
    pub(super) async fn new() -> Site {
        Site::changed(|router, _| router).await
    }

    /// With something else in front of what it answers.
    pub(super) async fn changed(change: impl FnOnce(Router, &Arc<Services>) -> Router) -> Site {
        let sigstore = PrivateSigstore::new(Timestamp::now() - SignedDuration::from_hours(1));
        let root = sigstore.trusted_root();
        let issuer = TestIssuer::new(AT);
        let known = vec![issuer.known(IssuerKind::GitHub)];
        let services = Arc::new(Services::new(sigstore, known));
        let router = change(services.router(), &services);
        Site {
            url: serve(router).await,
            services,
            issuer,
            roots: TrustedRoots::empty()
                .with("private", root.as_bytes())
                .unwrap(),
        }
    }

    pub(super) fn instance(&self) -> Instance {
        Instance::new(self.url.clone(), self.url.clone(), "test", patience()).unwrap()
    }

    pub(super) fn token(&self) -> IdentityToken {
        self.token_with(&json!({}))
    }

    pub(super) fn token_with(&self, other: &Value) -> IdentityToken {
        let mut claims = json!({
            "sub": "repo:octo/demo:ref:refs/tags/v1",
            "job_workflow_ref": "octo/demo/.github/workflows/release.yml@refs/tags/v1",
            "workflow_ref": "octo/demo/.github/workflows/release.yml@refs/tags/v1",
            "repository": "octo/demo",
            "ref": "refs/tags/v1",
        });
        for (name, value) in other.as_object().unwrap() {
            claims[name] = value.clone();
        }
        IdentityToken::parse(&self.issuer.token(&claims, Timestamp::now())).unwrap()
    }
}

pub(super) async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url.parse().unwrap()
}

/// Short pauses: what fails here fails at once.
pub(super) fn patience() -> Patience {
    Patience {
        answer: Duration::from_secs(20),
        attempts: 3,
        pause: Duration::from_millis(1),
    }
}

pub(super) fn file(name: &str) -> (DistributionFilename, Sha256Hex) {
    let digest = wheelmark_tuf::Sha256::of(name.as_bytes());
    (
        DistributionFilename::parse(name).unwrap(),
        Sha256Hex(*digest.as_bytes()),
    )
}
