//! What an issuer can do to the index, and the index to an issuer.

use std::time::Duration;

use futures::future::join_all;
use jiff::SignedDuration;
use serde_json::json;
use wheelmark_server::{KEYS_REFRESHED, MAX_JWKS_LEN, MAX_KEYS};

use super::issuer::{Issuer, Manners};
use super::trusted::{claims, index_with, refused};

const PUBLISHER: &str = "github:octo/demo@release.yml";

#[tokio::test]
async fn an_issuer_is_asked_once_a_minute_and_for_those_who_trust_it() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    let token = |jti: &str| issuer.token(&claims(&issuer, &index, jti));
    // No project trusts anybody there.
    let (code, why) = refused(index.mint(&token("1")).await).await;
    assert_eq!(code, "invalid-publisher", "{why}");
    assert_eq!(issuer.asked(), 0);

    index.trust("demo", PUBLISHER, &issuer).await;
    let tokens: Vec<String> = (0..6).map(|n| token(&n.to_string())).collect();
    for answer in join_all(tokens.iter().map(|token| index.mint(token))).await {
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(issuer.asked(), 1);

    let made_up = |kid: &str| {
        issuer.token_with(
            &json!({"alg": "RS256", "kid": kid}),
            &claims(&issuer, &index, "x"),
        )
    };
    for n in 0..5 {
        let (code, why) = refused(index.mint(&made_up(&n.to_string())).await).await;
        assert_eq!(
            (code.as_str(), why.contains("no such key")),
            ("invalid-token", true),
            "{why}"
        );
    }
    assert_eq!(issuer.asked(), 1);
    index.clock.forward(KEYS_REFRESHED);
    for n in 0..5 {
        refused(index.mint(&made_up(&n.to_string())).await).await;
    }
    assert_eq!(issuer.asked(), 2);

    // A key that is new is found by the next look.
    let mut renamed = issuer.jwk();
    renamed["kid"] = json!("new");
    let keys = Some(json!([renamed]));
    issuer.behaves(Manners {
        keys,
        ..Manners::default()
    });
    let new = issuer.token_with(
        &json!({"alg": "RS256", "kid": "new"}),
        &claims(&issuer, &index, "y"),
    );
    refused(index.mint(&new).await).await;
    index.clock.forward(KEYS_REFRESHED);
    let new = issuer.token_with(
        &json!({"alg": "RS256", "kid": "new"}),
        &claims(&issuer, &index, "y"),
    );
    index.minted(&new).await;
    // And the one that went is not taken any more.
    let gone = issuer.token(&claims(&issuer, &index, "z"));
    assert_eq!(refused(index.mint(&gone).await).await.0, "invalid-token");
}

#[tokio::test]
async fn what_an_issuer_says_has_limits() {
    let stranger = Issuer::new().await;
    let key = stranger.jwk();
    let many = |count: usize| {
        let keys: Vec<_> = (0..count)
            .map(|n| {
                let mut key = key.clone();
                key["kid"] = json!(format!("{n}"));
                key
            })
            .collect();
        Some(json!(keys))
    };
    let discovery = |member: &str, value: &str| Manners {
        discovery: Some(json!({member: value})),
        ..Manners::default()
    };
    let cases = [
        (
            "a thousand keys",
            Manners {
                keys: many(1000),
                ..Manners::default()
            },
            "more than",
        ),
        (
            "too many keys",
            Manners {
                keys: many(MAX_KEYS + 1),
                ..Manners::default()
            },
            "keys, and at most",
        ),
        (
            "a long list",
            Manners {
                padding: MAX_JWKS_LEN,
                ..Manners::default()
            },
            "more than",
        ),
        (
            "no list",
            Manners {
                keys: Some(json!("keys")),
                ..Manners::default()
            },
            "cannot be read",
        ),
        (
            "a slow one",
            Manners {
                slow: Some(Duration::from_secs(60)),
                ..Manners::default()
            },
            "seconds",
        ),
        (
            "another's name",
            discovery("issuer", "https://gitlab.com"),
            "of another issuer",
        ),
        (
            "keys in the open",
            discovery("jwks_uri", "http://keys.example/"),
            "https",
        ),
        (
            "keys in a file",
            discovery("jwks_uri", "file:///etc/passwd"),
            "https",
        ),
    ];
    for (what, manners, why) in cases {
        let issuer = Issuer::new().await;
        let index = index_with(&issuer).await;
        index.project_of("demo", "alice").await;
        index.trust("demo", PUBLISHER, &issuer).await;
        issuer.behaves(manners);
        let token = issuer.token(&claims(&issuer, &index, "1"));
        let (code, told) = refused(index.mint(&token).await).await;
        assert_eq!(code, "invalid-token", "{what}: {told}");
        assert!(told.contains(why), "{what}: {told}");
        let asked = issuer.asked();
        // It is left alone for a minute, and asked again then.
        issuer.behaves(Manners::default());
        let (_, again) = refused(index.mint(&token).await).await;
        assert_eq!((told, asked), (again, issuer.asked()), "{what}");
        index
            .clock
            .forward(KEYS_REFRESHED + SignedDuration::from_secs(1));
        index
            .minted(&issuer.token(&claims(&issuer, &index, "1")))
            .await;
    }
}

#[tokio::test]
async fn keys_that_are_known_outlive_a_failure_of_their_issuer() {
    let issuer = Issuer::new().await;
    let index = index_with(&issuer).await;
    index.project_of("demo", "alice").await;
    index.trust("demo", PUBLISHER, &issuer).await;
    index
        .minted(&issuer.token(&claims(&issuer, &index, "1")))
        .await;
    issuer.behaves(Manners {
        keys: Some(json!("broken")),
        ..Manners::default()
    });
    index.clock.forward(SignedDuration::from_hours(2));
    index
        .minted(&issuer.token(&claims(&issuer, &index, "2")))
        .await;
    assert_eq!(issuer.asked(), 2);
    // Not for ever.
    index.clock.forward(SignedDuration::from_hours(24));
    let token = issuer.token(&claims(&issuer, &index, "3"));
    assert_eq!(refused(index.mint(&token).await).await.0, "invalid-token");
}
