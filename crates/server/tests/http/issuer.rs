//! A CI service on this machine: an issuer of identity tokens, with keys of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The name of the key that signs.
pub(crate) const KID: &str = "key-1";

/// How an issuer behaves.
#[derive(Clone, Default)]
pub(crate) struct Manners {
    /// Members of the discovery document that are different.
    pub(crate) discovery: Option<Value>,
    /// The list of keys, if it is another.
    pub(crate) keys: Option<Value>,
    /// How long the list is waited for.
    pub(crate) slow: Option<Duration>,
    /// Bytes behind the list.
    pub(crate) padding: usize,
}

#[derive(Clone)]
struct Served {
    url: String,
    jwk: Value,
    manners: Arc<Mutex<Manners>>,
    asked: Arc<AtomicUsize>,
}

pub(crate) struct Issuer {
    pub(crate) url: String,
    key: RsaKeyPair,
    served: Served,
}

impl Issuer {
    pub(crate) async fn new() -> Issuer {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let jwk = json!({
            "kty": "RSA", "kid": KID, "alg": "RS256", "use": "sig",
            "n": BASE64.encode(&public.n), "e": BASE64.encode(&public.e),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Served {
            url: url.clone(),
            jwk,
            manners: Arc::default(),
            asked: Arc::default(),
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .with_state(served.clone());
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Issuer { url, key, served }
    }

    pub(crate) fn behaves(&self, manners: Manners) {
        *self.served.manners.lock().unwrap() = manners;
    }

    /// How often it was asked for its keys.
    pub(crate) fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }

    /// The public key as the issuer lists it.
    pub(crate) fn jwk(&self) -> Value {
        self.served.jwk.clone()
    }

    /// A token of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": "RS256", "typ": "JWT", "kid": KID}), claims)
    }

    /// A token with that header, signed as RS256 has it whatever the header says.
    pub(crate) fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// Header and claims, as they are signed.
pub(crate) fn signed_part(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string()));
    format!("{header}.{claims}")
}

async fn discovery(State(served): State<Served>) -> String {
    let mut document = json!({
        "issuer": served.url,
        "jwks_uri": format!("{}/keys", served.url),
        "response_types_supported": ["id_token"],
    });
    let different = served.manners.lock().unwrap().discovery.clone();
    if let Some(Value::Object(different)) = different {
        document.as_object_mut().unwrap().extend(different);
    }
    document.to_string()
}

async fn keys(State(served): State<Served>) -> String {
    served.asked.fetch_add(1, Ordering::SeqCst);
    let manners = served.manners.lock().unwrap().clone();
    if let Some(slow) = manners.slow {
        tokio::time::sleep(slow).await;
    }
    let keys = manners.keys.unwrap_or_else(|| json!([served.jwk]));
    json!({"keys": keys}).to_string() + &" ".repeat(manners.padding)
}
