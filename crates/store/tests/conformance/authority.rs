use wheelmark_store::{
    Admission, AdmitError, AuditAction, Bearer, Denied, Role, Scope, Seq, Store,
};

use super::backend::{Backend, added_user, file, now, operator, project, token_of, user};

/// What becomes of an upload, shortly.
async fn uploads(store: &Store, bearer: &Bearer, name: &str, version: u32) -> String {
    let file = file(name, &format!("{name}-{version}.tar.gz"), "bytes");
    let asked = store.demand_uploader(bearer, &project(name), now()).await;
    let end = store.journal_end().await.unwrap();
    let admitted = store.admit_from(file, bearer, None).await;
    let said = match &admitted {
        Ok(Admission::Recorded(_)) => "taken",
        Ok(other) => panic!("{other:?}"),
        Err(AdmitError::Denied(Denied::ReadOnly)) => "read only",
        Err(AdmitError::Denied(Denied::OtherProject { .. } | Denied::NotOneOf { .. })) => {
            "other project"
        }
        Err(AdmitError::Denied(Denied::NotMember { .. })) => "not member",
        Err(AdmitError::Denied(Denied::Ended(_))) => "ended",
        Err(AdmitError::Denied(Denied::Unknown)) => "unknown",
        Err(AdmitError::Store(error)) => panic!("{error}"),
    };
    // Asked beforehand, the answer is the same; refused, nothing is left.
    assert_eq!(asked.is_ok(), admitted.is_ok(), "{asked:?} {admitted:?}");
    if admitted.is_err() {
        assert_eq!(store.journal_end().await.unwrap(), end);
    }
    said.to_owned()
}

pub(crate) async fn what_a_token_may_upload(backend: &impl Backend) {
    let store = backend.open().await;
    for name in ["alice", "bob", "carol"] {
        added_user(&store, name).await;
    }
    let (flask, by) = (project("flask"), operator());
    store
        .create_project(&flask, &user("alice"), &by, now())
        .await
        .unwrap();
    let grant = store
        .grant_role(&flask, &user("bob"), Role::Maintainer, &by, now())
        .await;
    assert!(grant.unwrap());
    store
        .admit(file("stray", "stray-0.tar.gz", "x"))
        .await
        .unwrap();

    let mut secret = 0;
    for (name, scope, flask, stray, new) in [
        ("alice", Scope::Read, "read only", "read only", "read only"),
        ("alice", Scope::Upload, "taken", "not member", "taken"),
        (
            "alice",
            Scope::UploadTo(flask.clone()),
            "taken",
            "other project",
            "other project",
        ),
        ("alice", Scope::Admin, "taken", "taken", "taken"),
        ("bob", Scope::Upload, "taken", "not member", "taken"),
        (
            "bob",
            Scope::UploadTo(flask.clone()),
            "taken",
            "other project",
            "other project",
        ),
        ("carol", Scope::Read, "read only", "read only", "read only"),
        ("carol", Scope::Upload, "not member", "not member", "taken"),
        (
            "carol",
            Scope::UploadTo(flask.clone()),
            "not member",
            "other project",
            "other project",
        ),
        ("carol", Scope::Admin, "taken", "taken", "taken"),
    ] {
        secret += 1;
        let bearer = token_of(&store, name, scope, secret).await;
        let version = u32::from(secret);
        for (project, expected) in [
            ("flask", flask),
            ("stray", stray),
            (&format!("new{secret}"), new),
        ] {
            let said = uploads(&store, &bearer, project, version).await;
            assert_eq!(said, expected, "{name} {} {project}", bearer.scope());
        }
    }
    // Who has no part any more may upload no more.
    let bearer = token_of(&store, "bob", Scope::Upload, 100).await;
    assert_eq!(uploads(&store, &bearer, "flask", 100).await, "taken");
    let revoke = store
        .revoke_role(&flask, &user("bob"), Role::Maintainer, &by, now())
        .await;
    revoke.unwrap();
    assert_eq!(uploads(&store, &bearer, "flask", 101).await, "not member");
}

pub(crate) async fn a_token_of_several_projects_uploads_to_these(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "robot").await;
    for name in ["one", "two", "three"] {
        let (project, owner, by) = (project(name), user("robot"), operator());
        let made = store.create_project(&project, &owner, &by, now());
        made.await.unwrap();
    }
    let two = Scope::UploadToSeveral(vec![project("one"), project("two")]);
    let bearer = token_of(&store, "robot", two.clone(), 1).await;
    assert_eq!(*bearer.scope(), two);
    assert_eq!(store.tokens().await.unwrap()[0].scope, two);
    for (name, said) in [
        ("one", "taken"),
        ("two", "taken"),
        ("three", "other project"),
        ("new", "other project"),
    ] {
        assert_eq!(uploads(&store, &bearer, name, 1).await, said, "{name}");
    }
}

pub(crate) async fn the_first_upload_makes_an_owner(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let bearer = token_of(&store, "alice", Scope::UploadTo(project("new")), 1).await;
    assert_eq!(uploads(&store, &bearer, "new", 1).await, "taken");
    let members = store.members(&project("new")).await.unwrap().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(
        (&members[0].user, members[0].role),
        (&user("alice"), Role::Owner)
    );
}

pub(crate) async fn of_two_who_race_for_a_project_one_becomes_its_owner(backend: &impl Backend) {
    let stores = [backend.open().await, backend.open().await];
    let mut bearers = Vec::new();
    for (n, name) in (1..).zip(["alice", "bob"]) {
        added_user(&stores[0], name).await;
        bearers.push(token_of(&stores[0], name, Scope::Upload, n).await);
    }
    let racers = (0..16_usize).map(|n| {
        let (store, bearer) = (stores[n % 2].clone(), bearers[n % 2].clone());
        tokio::spawn(async move {
            let file = file("new", &format!("new-{n}.tar.gz"), "bytes");
            match store.admit_from(file, &bearer, None).await {
                Ok(Admission::Recorded(_)) => Some(bearer.user().clone()),
                Err(AdmitError::Denied(Denied::NotMember { .. })) => None,
                other => panic!("{other:?}"),
            }
        })
    });
    let mut winners = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        winners.extend(racer.await.unwrap());
    }
    let members = stores[0].members(&project("new")).await.unwrap().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(winners, vec![members[0].user.clone(); 8]);
    let journal = stores[0].journal_after(Seq(0), 100).await.unwrap();
    assert_eq!(journal.len(), 8);
}

pub(crate) async fn a_token_that_ends_during_its_upload_brings_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let by = operator();
    let bearer = token_of(&store, "alice", Scope::Admin, 1).await;
    store
        .revoke_token(bearer.id().as_str(), &by, now())
        .await
        .unwrap();
    assert_eq!(uploads(&store, &bearer, "new", 1).await, "ended");
    let bearer = token_of(&store, "alice", Scope::Admin, 2).await;
    let disable = store
        .set_user_disabled(&user("alice"), true, &by, now())
        .await;
    assert!(disable.unwrap());
    assert_eq!(uploads(&store, &bearer, "new", 1).await, "ended");
    assert_eq!(store.members(&project("new")).await.unwrap(), None);
}

pub(crate) async fn an_upload_is_written_down_with_its_file(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let bearer = token_of(&store, "alice", Scope::Upload, 1).await;
    let address = "192.0.2.7".parse().unwrap();
    let new = file("new", "new-1.tar.gz", "bytes");
    let admitted = store.admit_from(new.clone(), &bearer, Some(address)).await;
    assert!(matches!(admitted, Ok(Admission::Recorded(_))));
    // The same again changes nothing, so there is nothing to write down.
    let again = store.admit_from(new.clone(), &bearer, Some(address)).await;
    assert!(matches!(again, Ok(Admission::Same(_))));

    let log = store.audit_after(0, Some(&new.project), 10).await.unwrap();
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!(log[0].entry.action, AuditAction::RoleGranted);
    let accepted = &log[1].entry;
    assert_eq!(accepted.action, AuditAction::UploadAccepted);
    assert_eq!(accepted.actor, bearer.actor());
    assert_eq!(accepted.subject.as_deref(), Some("new-1.tar.gz"));
    assert_eq!(
        (accepted.address, accepted.at),
        (Some(address), new.uploaded_at)
    );
    let digest = format!("sha256 {}", new.sha256);
    assert_eq!(accepted.detail.as_deref(), Some(digest.as_str()));
}
