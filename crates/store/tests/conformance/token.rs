use wheelmark_store::{TokenError, format_token};
use wheelmark_tuf::Sha256;

use super::backend::Backend;

fn now() -> jiff::Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

pub(crate) async fn a_token_is_known_by_its_text_alone(backend: &impl Backend) {
    let store = backend.open().await;
    let (one, two) = (format_token(&[1; 32]), format_token(&[2; 32]));
    assert!(one.starts_with("wmk_") && one.len() == 68, "{one}");
    for (id, text) in [("one", &one), ("two", &two)] {
        let digest = Sha256::of(text.as_bytes());
        store.add_token(id, digest, now(), "a note").await.unwrap();
    }
    for (id, text) in [("one", &one), ("two", &two)] {
        let known = store.check_token(text).await.unwrap().unwrap();
        assert_eq!(known.as_str(), id);
    }
}

pub(crate) async fn near_misses_are_unknown(backend: &impl Backend) {
    let store = backend.open().await;
    let text = format_token(&[1; 32]);
    let digest = Sha256::of(text.as_bytes());
    store.add_token("one", digest, now(), "").await.unwrap();
    for presented in [
        String::new(),
        "wmk_".to_owned(),
        text.to_uppercase(),
        text[..67].to_owned(),
        format!("{text}0"),
        format!("{text} "),
        format!("wmk_{digest}"),
        digest.to_string(),
        format_token(&[2; 32]),
        "wmk_".repeat(1_000_000),
        "' OR 1=1 --".to_owned(),
    ] {
        let known = store.check_token(&presented).await.unwrap();
        assert_eq!(known, None, "{:.80}", presented);
    }
}

pub(crate) async fn a_name_is_given_once(backend: &impl Backend) {
    let store = backend.open().await;
    let (one, two) = (format_token(&[1; 32]), format_token(&[2; 32]));
    let first = Sha256::of(one.as_bytes());
    store.add_token("ci", first, now(), "").await.unwrap();
    let again = store
        .add_token("ci", Sha256::of(two.as_bytes()), now(), "")
        .await;
    assert!(matches!(again, Err(TokenError::Exists { .. })), "{again:?}");
    assert!(store.check_token(&one).await.unwrap().is_some());
    assert_eq!(store.check_token(&two).await.unwrap(), None);
}
