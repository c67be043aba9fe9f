use jiff::SignedDuration;
use wheelmark_store::{
    Checked, Ended, LAST_USED_STEP, NewToken, Scope, Store, TokenError, format_token,
};
use wheelmark_tuf::Sha256;

use super::backend::{Backend, added_user, new_token, now, operator, project, token_of, user};

async fn known_as(store: &Store, presented: &str) -> Option<String> {
    match store.check_token(presented, now()).await.unwrap() {
        Checked::Good(bearer) => Some(bearer.id().to_string()),
        Checked::Unknown => None,
        ended @ Checked::Ended(_) => panic!("{ended:?}"),
    }
}

pub(crate) async fn a_token_is_known_by_its_text_alone(backend: &impl Backend) {
    let store = backend.open().await;
    let (one, two) = (format_token(&[1; 32]), format_token(&[2; 32]));
    assert!(one.starts_with("wmk_") && one.len() == 68, "{one}");
    for (id, text) in [("one", &one), ("two", &two)] {
        let digest = Sha256::of(text.as_bytes());
        let added = store.add_operator_token(id, digest, now(), "a note").await;
        added.unwrap();
    }
    for (id, text) in [("one", &one), ("two", &two)] {
        assert_eq!(known_as(&store, text).await.as_deref(), Some(id));
    }
}

pub(crate) async fn near_misses_are_unknown(backend: &impl Backend) {
    let store = backend.open().await;
    let text = format_token(&[1; 32]);
    let digest = Sha256::of(text.as_bytes());
    let added = store.add_operator_token("one", digest, now(), "").await;
    added.unwrap();
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
        let known = known_as(&store, &presented).await;
        assert_eq!(known, None, "{:.80}", presented);
    }
}

pub(crate) async fn a_name_is_given_once(backend: &impl Backend) {
    let store = backend.open().await;
    let (one, two) = (format_token(&[1; 32]), format_token(&[2; 32]));
    let first = Sha256::of(one.as_bytes());
    let added = store.add_operator_token("ci", first, now(), "").await;
    added.unwrap();
    added_user(&store, "alice").await;
    let again = NewToken {
        id: "ci".to_owned(),
        ..new_token("alice", Scope::Upload, &two)
    };
    let again = store.create_token(&again, &operator(), now()).await;
    assert!(matches!(again, Err(TokenError::Exists { .. })), "{again:?}");
    assert!(known_as(&store, &one).await.is_some());
    assert_eq!(known_as(&store, &two).await, None);
}

pub(crate) async fn every_field_of_a_token_is_listed_but_its_secret(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "bob").await;
    added_user(&store, "alice").await;
    let later = now() + SignedDuration::from_hours(24);
    let scopes = [
        Scope::Read,
        Scope::Upload,
        Scope::UploadTo(project("flask")),
        Scope::Admin,
    ];
    for (n, scope) in (0..).zip(&scopes) {
        let token = NewToken {
            expires_at: Some(later).filter(|_| n == 1),
            ..new_token("alice", scope.clone(), &format_token(&[n; 32]))
        };
        let at = now() + SignedDuration::from_secs(n.into());
        store.create_token(&token, &operator(), at).await.unwrap();
    }
    token_of(&store, "bob", Scope::Read, 9).await;
    let nobody = new_token("carol", Scope::Read, "wmk_x");
    let refused = store.create_token(&nobody, &operator(), now()).await;
    assert!(matches!(refused, Err(TokenError::NoUser { .. })));

    let listed = store.tokens().await.unwrap();
    assert_eq!(listed.len(), 5);
    for (row, scope) in listed.iter().zip(&scopes) {
        assert_eq!((&row.user, &row.scope), (&user("alice"), scope));
        assert_eq!(row.note, "a note");
        assert_eq!(row.revoked_at, None);
        assert!(!format!("{row:?}").contains("wmk_"), "{row:?}");
    }
    assert_eq!(listed[1].expires_at, Some(later));
    assert_eq!(listed[4].user, user("bob"));
}

pub(crate) async fn a_token_ends(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let expires = now() + SignedDuration::from_secs(60);
    let text = format_token(&[1; 32]);
    let token = NewToken {
        expires_at: Some(expires),
        ..new_token("alice", Scope::Upload, &text)
    };
    store
        .create_token(&token, &operator(), now())
        .await
        .unwrap();
    let check = async |at| store.check_token(&text, at).await.unwrap();
    let just_before = expires - SignedDuration::from_nanos(1);
    assert!(matches!(check(just_before).await, Checked::Good(_)));
    for at in [expires, expires + SignedDuration::from_hours(1)] {
        let ended = check(at).await;
        assert!(matches!(ended, Checked::Ended(Ended::Expired { at, .. }) if at == expires));
    }

    let disable = store
        .set_user_disabled(&user("alice"), true, &operator(), now())
        .await;
    assert!(disable.unwrap());
    let ended = check(now()).await;
    assert!(
        matches!(ended, Checked::Ended(Ended::Disabled { .. })),
        "{ended:?}"
    );
    let enable = store
        .set_user_disabled(&user("alice"), false, &operator(), now())
        .await;
    assert!(enable.unwrap());
    assert!(matches!(check(now()).await, Checked::Good(_)));

    assert!(
        store
            .revoke_token(&token.id, &operator(), now())
            .await
            .unwrap()
    );
    assert!(
        !store
            .revoke_token(&token.id, &operator(), expires)
            .await
            .unwrap()
    );
    let ended = check(now()).await;
    assert!(
        matches!(&ended, Checked::Ended(Ended::Revoked { at, .. }) if *at == now()),
        "{ended:?}"
    );
    let missing = store.revoke_token("other", &operator(), now()).await;
    assert!(matches!(missing, Err(TokenError::Missing { .. })));
    // And another handle, as another process has one, sees the same.
    let there = backend.open().await;
    let ended = there.check_token(&text, now()).await.unwrap();
    assert!(matches!(ended, Checked::Ended(Ended::Revoked { .. })));
}

pub(crate) async fn a_use_is_noted_now_and_then(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let text = format_token(&[1; 32]);
    let token = new_token("alice", Scope::Read, &text);
    store
        .create_token(&token, &operator(), now())
        .await
        .unwrap();
    let used = async || store.tokens().await.unwrap()[0].last_used_at;
    assert_eq!(used().await, None);
    let second = SignedDuration::from_secs(1);
    let present = async |at| match store.check_token(&text, at).await.unwrap() {
        Checked::Good(bearer) => bearer,
        other => panic!("{other:?}"),
    };
    let before = present(now()).await;
    assert_eq!(used().await, None);
    for (at, noted) in [
        (now(), now()),
        (now() + LAST_USED_STEP - second, now()),
        (now() + LAST_USED_STEP, now() + LAST_USED_STEP),
    ] {
        assert_eq!(present(at).await.use_is_news(at), at == noted);
        // Also by one who was let in before anything was noted.
        store.note_use(&before, at).await.unwrap();
        assert_eq!(used().await, Some(noted));
    }
}
