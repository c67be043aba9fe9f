//! The keys of issuers: found as OpenID Connect Discovery 1.0 has it, kept, and looked for anew at
//! most once a minute.
//!
//! An issuer may be slow, broken or hostile: everything that comes from it has a limit, and it is
//! only asked if a project trusts somebody there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::DecodingKey;
use reqwest::{Client, Url};
use serde::Deserialize;

use super::issuers::{is_loopback, is_safe};
use crate::problem::chain;

/// How long an issuer is left alone after it was asked: what a key is not known by can be made up by
/// anybody.
pub const KEYS_REFRESHED: SignedDuration = SignedDuration::from_secs(60);

/// How old the keys may be before they are looked for anew: an issuer may take one back.
const KEYS_KEPT: SignedDuration = SignedDuration::from_hours(1);

/// How old they may be while the issuer does not answer.
const KEYS_KEPT_AT_MOST: SignedDuration = SignedDuration::from_hours(24);

/// Longest discovery document, in bytes; those in use have 1 to 3 kB.
pub const MAX_DISCOVERY_LEN: usize = 64 * 1024;

/// Longest list of keys, in bytes; those in use have at most 10 kB.
pub const MAX_JWKS_LEN: usize = 256 * 1024;

/// Most keys of one issuer; those in use have at most ten.
pub const MAX_KEYS: usize = 64;

/// How long an issuer may take to answer both requests together.
pub const FETCH_TIME: Duration = Duration::from_secs(10);

/// Longest name of a key, in bytes.
pub(super) const MAX_KID_LEN: usize = 256;

/// The lengths of RSA moduli, in bytes: below 2,048 bits a key can be found, above 8,192 it only
/// costs.
const MODULUS_LEN: std::ops::RangeInclusive<usize> = 256..=1024;

/// Longest public exponent, in bytes: everybody's is 65,537.
const MAX_EXPONENT_LEN: usize = 4;

/// Why a key is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeysError {
    /// The issuer has no key of this name.
    #[error("the issuer has no such key")]
    Unknown,
    /// It was not reached, or its answer broke off.
    #[error("the issuer cannot be asked for its keys: {why}")]
    Unreachable {
        /// What failed.
        why: String,
    },
    /// It answered with something else than 200.
    #[error("the issuer answers {status}, and not with its keys")]
    Status {
        /// The status.
        status: u16,
    },
    /// It took too long.
    #[error("the issuer took more than {} seconds to say which keys it has", patience.as_secs_f32())]
    Slow {
        /// How long was waited.
        patience: Duration,
    },
    /// An answer is too long.
    #[error("the issuer answers with more than {limit} bytes")]
    TooLong {
        /// Most bytes allowed.
        limit: usize,
    },
    /// Too many keys.
    #[error("the issuer has {count} keys, and at most {MAX_KEYS} are looked at")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// An answer is not what it should be.
    #[error("the issuer's {what} cannot be read")]
    Malformed {
        /// What.
        what: &'static str,
    },
    /// The discovery document is of another issuer.
    #[error("what the issuer says of itself is of another issuer")]
    OtherIssuer,
    /// The keys are somewhere where anybody could change them.
    #[error("the issuer's keys are not at an https URL")]
    Unsafe,
}

/// The keys of all issuers.
pub(super) struct Keys {
    issuers: Mutex<HashMap<String, Arc<OfIssuer>>>,
    clients: Arc<Clients>,
    patience: Duration,
}

#[derive(Default)]
struct OfIssuer {
    known: Mutex<Known>,
    /// Held by the one who asks.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, DecodingKey>,
    since: Option<Timestamp>,
    /// When it was asked last, and what came of it.
    asked: Option<(Timestamp, Option<KeysError>)>,
}

impl Known {
    /// A key that is not older than that.
    fn key(&self, kid: &str, now: Timestamp, at_most: SignedDuration) -> Option<DecodingKey> {
        let young = self.since.is_some_and(|since| within(since, now, at_most));
        young.then(|| self.keys.get(kid).cloned()).flatten()
    }
}

/// Whether so little time lies between the two, also where the clock was set back.
fn within(then: Timestamp, now: Timestamp, at_most: SignedDuration) -> bool {
    now.duration_since(then).abs() < at_most
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in them is replaced whole.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keys {
    pub(super) fn new(patience: Duration) -> Keys {
        Keys {
            issuers: Mutex::default(),
            clients: Arc::default(),
            patience,
        }
    }

    /// The key of this name. `issuer` is one of those that somebody who runs the index has named:
    /// each is remembered for good.
    pub(super) async fn key(
        &self,
        issuer: &str,
        kid: &str,
        now: Timestamp,
    ) -> Result<DecodingKey, KeysError> {
        let of = Arc::clone(lock(&self.issuers).entry(issuer.to_owned()).or_default());
        if let Some(key) = lock(&of.known).key(kid, now, KEYS_KEPT) {
            return Ok(key);
        }
        let asking = Arc::clone(&of.asking).lock_owned().await;
        {
            let known = lock(&of.known);
            if let Some(key) = known.key(kid, now, KEYS_KEPT) {
                return Ok(key);
            }
            if let Some((at, outcome)) = &known.asked
                && within(*at, now, KEYS_REFRESHED)
            {
                let old = known.key(kid, now, KEYS_KEPT_AT_MOST);
                return old.ok_or_else(|| outcome.clone().unwrap_or(KeysError::Unknown));
            }
        }
        let (clients, name, there) = (
            Arc::clone(&self.clients),
            issuer.to_owned(),
            Arc::clone(&of),
        );
        let patience = self.patience;
        // Who asks with a name made up and hangs up must not keep the keys from everybody else.
        let task = tokio::spawn(async move {
            let _asking = asking;
            let fetched = tokio::time::timeout(patience, fetch(&clients, &name)).await;
            let fetched = fetched.unwrap_or(Err(KeysError::Slow { patience }));
            let mut known = lock(&there.known);
            let outcome = match fetched {
                Ok(keys) => {
                    tracing::info!(
                        issuer = name,
                        keys = keys.len(),
                        "the keys of an issuer are known"
                    );
                    (known.keys, known.since) = (keys, Some(now));
                    None
                }
                Err(error) => {
                    let error_text = chain(&error);
                    tracing::warn!(
                        issuer = name,
                        error = error_text,
                        "the keys of an issuer are not to be had"
                    );
                    Some(error)
                }
            };
            known.asked = Some((now, outcome));
        });
        if task.await.is_err() {
            return Err(KeysError::Unreachable {
                why: "the server is shutting down".to_owned(),
            });
        }
        let known = lock(&of.known);
        let key = known.key(kid, now, KEYS_KEPT_AT_MOST);
        let outcome = known
            .asked
            .as_ref()
            .and_then(|(_, outcome)| outcome.clone());
        key.ok_or_else(|| outcome.unwrap_or(KeysError::Unknown))
    }
}

/// The clients, each made when it is first needed: reading the system's certificates takes a while.
#[derive(Default)]
struct Clients {
    loopback: OnceLock<Option<Client>>,
    elsewhere: OnceLock<Option<Client>>,
}

impl Clients {
    fn to(&self, url: &Url) -> Result<&Client, KeysError> {
        let builder = || {
            Client::builder()
                .user_agent("wheelmark")
                .timeout(FETCH_TIME)
                .redirect(reqwest::redirect::Policy::none())
        };
        let client = if url.scheme() == "http" && is_loopback(url) {
            let made = || builder().no_proxy().tls_certs_only([]).build().ok();
            self.loopback.get_or_init(made)
        } else {
            let made = || builder().https_only(true).build().ok();
            self.elsewhere.get_or_init(made)
        };
        client.as_ref().ok_or_else(|| KeysError::Unreachable {
            why: "the system's certificates cannot be read".to_owned(),
        })
    }

    /// What is there, of at most `limit` bytes.
    async fn get(&self, url: Url, limit: usize) -> Result<Vec<u8>, KeysError> {
        let unreachable = |error: reqwest::Error| KeysError::Unreachable {
            why: chain(&error.without_url()),
        };
        let answer = self.to(&url)?.get(url).send().await;
        let mut answer = answer.map_err(unreachable)?;
        if answer.status() != reqwest::StatusCode::OK {
            let status = answer.status().as_u16();
            return Err(KeysError::Status { status });
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > limit {
                return Err(KeysError::TooLong { limit });
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// What an issuer says of itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The keys as an issuer lists them (RFC 7517).
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<serde_json::Value>,
}

/// One key, as far as it counts here.
#[derive(Deserialize)]
struct Listed {
    kty: String,
    kid: String,
    n: String,
    e: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
}

async fn fetch(clients: &Clients, issuer: &str) -> Result<HashMap<String, DecodingKey>, KeysError> {
    let what = "discovery document";
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let url: Url = url.parse().map_err(|_| KeysError::Malformed { what })?;
    let is_here = is_loopback(&url);
    let document = clients.get(url, MAX_DISCOVERY_LEN).await?;
    let document: Discovery =
        serde_json::from_slice(&document).map_err(|_| KeysError::Malformed { what })?;
    if document.issuer != issuer {
        return Err(KeysError::OtherIssuer);
    }
    let url: Url = document.jwks_uri.parse().map_err(|_| KeysError::Unsafe)?;
    // An issuer elsewhere has no business with what listens on this machine.
    if !is_safe(&url) || (is_loopback(&url) && !is_here) {
        return Err(KeysError::Unsafe);
    }
    let keys = clients.get(url, MAX_JWKS_LEN).await?;
    read(&keys)
}

fn read(keys: &[u8]) -> Result<HashMap<String, DecodingKey>, KeysError> {
    let what = "list of keys";
    let listed: KeySet = serde_json::from_slice(keys).map_err(|_| KeysError::Malformed { what })?;
    if listed.keys.len() > MAX_KEYS {
        let count = listed.keys.len();
        return Err(KeysError::TooMany { count });
    }
    // Keys of other kinds, or for other uses, are passed over (RFC 7517 §5).
    let usable = listed.keys.into_iter().filter_map(|key| {
        let key: Listed = serde_json::from_value(key).ok()?;
        let is_ours = key.kty == "RSA"
            && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
            && key.usage.as_deref().is_none_or(|usage| usage == "sig")
            && (1..=MAX_KID_LEN).contains(&key.kid.len());
        let (n, e) = (
            URL_SAFE_NO_PAD.decode(&key.n).ok()?,
            URL_SAFE_NO_PAD.decode(&key.e).ok()?,
        );
        let fits = MODULUS_LEN.contains(&n.len()) && (1..=MAX_EXPONENT_LEN).contains(&e.len());
        (is_ours && fits).then(|| (key.kid, DecodingKey::from_rsa_raw_components(&n, &e)))
    });
    Ok(usable.collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(kid: &str) -> Value {
        let n = URL_SAFE_NO_PAD.encode([0xc1; 256]);
        json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB", "alg": "RS256", "use": "sig"})
    }

    fn names(keys: &[Value]) -> Result<Vec<String>, KeysError> {
        let read = read(json!({"keys": keys}).to_string().as_bytes())?;
        let mut names: Vec<String> = read.into_keys().collect();
        names.sort();
        Ok(names)
    }

    #[test]
    fn keys_for_something_else_are_passed_over() {
        let with = |member: &str, value: Value| {
            let mut key = key("other");
            key[member] = value;
            key
        };
        let short = URL_SAFE_NO_PAD.encode([0xc1; 128]);
        let keys = [
            key("a"),
            with("kty", json!("EC")),
            with("alg", json!("HS256")),
            with("alg", json!("PS256")),
            with("use", json!("enc")),
            with("kid", json!("")),
            with("kid", json!("x".repeat(MAX_KID_LEN + 1))),
            with("kid", json!(7)),
            with("n", json!(short)),
            with("n", json!("not base64!")),
            with("e", json!(URL_SAFE_NO_PAD.encode([1; 5]))),
            json!("a key"),
            key("b"),
        ];
        assert_eq!(names(&keys).unwrap(), ["a", "b"]);
    }

    #[test]
    fn keys_without_number_are_refused() {
        let many =
            |count: usize| -> Vec<Value> { (0..count).map(|n| key(&n.to_string())).collect() };
        assert_eq!(names(&many(MAX_KEYS)).unwrap().len(), MAX_KEYS);
        assert_eq!(names(&many(1000)), Err(KeysError::TooMany { count: 1000 }));
        let what = "list of keys";
        assert_eq!(read(b"[]").map(|_| ()), Err(KeysError::Malformed { what }));
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }
}
