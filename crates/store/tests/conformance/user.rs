use wheelmark_store::{Access, UserError, UserName};

use super::backend::{Backend, added_user, now, operator, user};

pub(crate) async fn names_are_plain(_backend: &impl Backend) {
    for good in ["a", "0", "alice", "ci-bot.2_x", &"a".repeat(64)] {
        assert_eq!(good.parse::<UserName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        "Alice",
        "__token__",
        "-a",
        ".a",
        "a b",
        "a:b",
        "a/b",
        "ä",
        "a\n",
        // It looks like a token, and whatever stands where a name belongs is written down.
        "wmk_x",
        &"a".repeat(65),
        &"ä".repeat(1000),
    ] {
        let refused = bad.parse::<UserName>().unwrap_err().to_string();
        assert!(refused.len() < 1000, "{refused}");
    }
}

pub(crate) async fn users_are_added_disabled_and_enabled(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.users().await.unwrap(), []);
    added_user(&store, "bob").await;
    added_user(&store, "alice").await;
    let again = store.add_user(&user("bob"), &operator(), now()).await;
    assert!(matches!(again, Err(UserError::Exists { .. })), "{again:?}");

    let set = async |name, disabled| {
        let name = user(name);
        store
            .set_user_disabled(&name, disabled, &operator(), now())
            .await
    };
    assert!(set("bob", true).await.unwrap());
    assert!(!set("bob", true).await.unwrap());
    assert!(matches!(
        set("carol", true).await,
        Err(UserError::Missing { .. })
    ));
    let listed = store.users().await.unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|u| (u.name.as_str(), u.disabled_at))
        .collect();
    assert_eq!(seen, [("alice", None), ("bob", Some(now()))]);
    assert!(set("bob", false).await.unwrap());
    assert_eq!(store.users().await.unwrap()[1].disabled_at, None);
}

pub(crate) async fn reading_is_open_until_it_is_closed(backend: &impl Backend) {
    let (here, there) = (backend.open().await, backend.open().await);
    assert_eq!(there.access().await.unwrap(), Access::Public);
    for (access, changes) in [
        (Access::Private, true),
        (Access::Private, false),
        (Access::Public, true),
    ] {
        let set = here.set_access(access, &operator(), now()).await;
        assert_eq!(set.unwrap(), changes);
        assert_eq!(there.access().await.unwrap(), access);
    }
}
