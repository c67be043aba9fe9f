//! Who vouches for jobs and people, and what the authority makes of their tokens.

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};

use crate::key::Key;
use crate::services::AUDIENCE;
use crate::signer::Signer;

/// What an issuer's tokens are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// Jobs of GitHub Actions.
    GitHub,
    /// People and accounts, by their address.
    Email,
}

/// An issuer that the authority knows.
pub struct Issuer {
    url: String,
    kind: IssuerKind,
    keys: Keys,
}

enum Keys {
    /// Asked for, where its discovery document says.
    Asked,
    Known(Box<DecodingKey>),
}

impl Issuer {
    /// One that is asked for its keys (OpenID Connect Discovery).
    pub fn at(url: &str, kind: IssuerKind) -> Issuer {
        Issuer {
            url: url.trim_end_matches('/').to_owned(),
            kind,
            keys: Keys::Asked,
        }
    }

    /// Whether a token says that this issuer made it.
    pub(super) fn made(&self, token: &str) -> bool {
        let claims: Option<Map<String, Value>> =
            jsonwebtoken::dangerous::insecure_decode_claims(token).ok();
        claims.is_some_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(&self.url))
    }

    /// Whom a token names.
    pub(super) async fn signer(&self, token: &str, now: Timestamp) -> Result<Signer, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|error| error.to_string())?;
        let key = match &self.keys {
            Keys::Known(key) => DecodingKey::clone(key),
            Keys::Asked => self.ask(header.kid.as_deref()).await?,
        };
        let mut validation = Validation::new(header.alg);
        validation.algorithms = vec![match &self.keys {
            Keys::Known(_) => Algorithm::ES256,
            Keys::Asked => Algorithm::RS256,
        }];
        validation.set_audience(&[AUDIENCE]);
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        let claims = claims.map_err(|error| error.to_string())?.claims;
        let ends = claims.get("exp").and_then(Value::as_i64).unwrap_or(0);
        if ends <= now.as_second() {
            return Err("the token is expired".to_owned());
        }
        match self.kind {
            IssuerKind::GitHub => self.job(&claims),
            IssuerKind::Email => self.person(&claims),
        }
    }

    async fn ask(&self, kid: Option<&str>) -> Result<DecodingKey, String> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy();
        let client = client.build().map_err(|error| error.to_string())?;
        let get = async |url: &str| -> Result<Value, String> {
            let answer = client.get(url).send().await;
            let answer = answer.map_err(|error| format!("{error:?}"))?;
            let body = answer.bytes().await.map_err(|error| error.to_string())?;
            serde_json::from_slice(&body).map_err(|error| error.to_string())
        };
        let discovery = get(&format!("{}/.well-known/openid-configuration", self.url)).await?;
        let keys = get(discovery["jwks_uri"].as_str().unwrap_or_default()).await?;
        let keys: JwkSet = serde_json::from_value(keys).map_err(|error| error.to_string())?;
        let key = keys
            .find(kid.unwrap_or_default())
            .ok_or("there is no such key")?;
        DecodingKey::from_jwk(key).map_err(|error| error.to_string())
    }

    /// As the authority's own configuration for GitHub has it (Fulcio, `oid-info.md`).
    fn job(&self, claims: &Map<String, Value>) -> Result<Signer, String> {
        let said = |name: &str| claims.get(name).and_then(Value::as_str);
        let needed = |name: &str| said(name).ok_or_else(|| format!("it has no claim {name}"));
        let on_github = |name: &str| said(name).map(|value| format!("https://github.com/{value}"));
        let workflow = format!("https://github.com/{}", needed("job_workflow_ref")?);
        let repository = needed("repository")?;
        let run = said("run_id").map(|id| {
            let attempt = said("run_attempt").unwrap_or("1");
            format!("https://github.com/{repository}/actions/runs/{id}/attempts/{attempt}")
        });
        let mut signer = Signer::new(&workflow, &self.url);
        for (number, value) in [
            (9, Some(workflow.clone())),
            (10, said("job_workflow_sha").map(str::to_owned)),
            (11, said("runner_environment").map(str::to_owned)),
            (12, on_github("repository")),
            (13, said("sha").map(str::to_owned)),
            (14, said("ref").map(str::to_owned)),
            (15, said("repository_id").map(str::to_owned)),
            (16, on_github("repository_owner")),
            (17, said("repository_owner_id").map(str::to_owned)),
            (18, on_github("workflow_ref")),
            (19, said("workflow_sha").map(str::to_owned)),
            (20, said("event_name").map(str::to_owned)),
            (21, run),
            (22, said("repository_visibility").map(str::to_owned)),
        ] {
            if let Some(value) = value {
                signer = signer.claim(number, &value);
            }
        }
        Ok(signer)
    }

    fn person(&self, claims: &Map<String, Value>) -> Result<Signer, String> {
        let email = claims.get("email").and_then(Value::as_str);
        let email = email.ok_or("it has no claim email")?;
        if claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err("its email is not verified".to_owned());
        }
        Ok(Signer::new(email, &self.url))
    }
}

/// An issuer within a test, which signs what it is told to.
pub struct TestIssuer {
    url: String,
    key: Key,
}

impl TestIssuer {
    /// With a key of its own.
    pub fn new(url: &str) -> TestIssuer {
        TestIssuer {
            url: url.to_owned(),
            key: Key::new(),
        }
    }

    /// As an authority knows it.
    pub fn known(&self, kind: IssuerKind) -> Issuer {
        let public = self.key.public();
        // From the whole key, its point: what the library for tokens takes.
        let point = &public[public.len() - 65..];
        Issuer {
            url: self.url.clone(),
            kind,
            keys: Keys::Known(Box::new(DecodingKey::from_ec_der(point))),
        }
    }

    /// A token with claims, good for five minutes from `now`.
    pub fn token(&self, claims: &Value, now: Timestamp) -> String {
        let mut all = Map::new();
        all.insert("iss".to_owned(), self.url.clone().into());
        all.insert("aud".to_owned(), AUDIENCE.into());
        all.insert("iat".to_owned(), now.as_second().into());
        all.insert("exp".to_owned(), (now.as_second() + 300).into());
        all.extend(claims.as_object().expect("claims").clone());
        let key = EncodingKey::from_ec_der(&self.key.pkcs8());
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &all, &key).expect("a token")
    }
}
