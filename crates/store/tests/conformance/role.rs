use wheelmark_store::{AuditAction, Role, RoleError, Store};

use super::backend::{Backend, added_user, file, now, operator, project, recorded, user};

async fn members(store: &Store, name: &str) -> Option<Vec<(String, Role)>> {
    let members = store.members(&project(name)).await.unwrap()?;
    let members = members.into_iter();
    Some(members.map(|m| (m.user.to_string(), m.role)).collect())
}

fn of(name: &str, role: Role) -> (String, Role) {
    (name.to_owned(), role)
}

pub(crate) async fn a_project_can_be_made_before_its_files(backend: &impl Backend) {
    let store = backend.open().await;
    added_user(&store, "alice").await;
    let create = async |name, owner| {
        let (project, owner) = (project(name), user(owner));
        store
            .create_project(&project, &owner, &operator(), now())
            .await
    };
    assert!(matches!(
        create("flask", "bob").await,
        Err(RoleError::NoUser { .. })
    ));
    assert_eq!(members(&store, "flask").await, None);
    create("flask", "alice").await.unwrap();
    assert_eq!(
        members(&store, "flask").await,
        Some(vec![of("alice", Role::Owner)])
    );
    let again = create("flask", "alice").await;
    assert!(matches!(again, Err(RoleError::ProjectExists { .. })));

    // It has no page yet, and nothing takes it for one that has.
    assert_eq!(store.projects().await.unwrap(), []);
    assert_eq!(store.all_projects().await.unwrap(), [(project("flask"), 0)]);
    assert_eq!(store.serial(&project("flask")).await.unwrap(), None);
    recorded(&store, file("flask", "flask-1.tar.gz", "x")).await;
}

pub(crate) async fn roles_are_given_changed_and_taken(backend: &impl Backend) {
    let store = backend.open().await;
    for name in ["alice", "bob"] {
        added_user(&store, name).await;
    }
    let (flask, alice, bob) = (project("flask"), user("alice"), user("bob"));
    let by = operator();
    let missing = store
        .grant_role(&flask, &bob, Role::Owner, &by, now())
        .await;
    assert!(matches!(missing, Err(RoleError::NoProject { .. })));
    store
        .create_project(&flask, &alice, &by, now())
        .await
        .unwrap();

    let grant = async |who, role| store.grant_role(&flask, who, role, &by, now()).await;
    assert!(grant(&bob, Role::Maintainer).await.unwrap());
    assert!(!grant(&bob, Role::Maintainer).await.unwrap());
    let both = [of("alice", Role::Owner), of("bob", Role::Maintainer)];
    assert_eq!(members(&store, "flask").await.unwrap(), both);
    let carol = user("carol");
    let nobody = grant(&carol, Role::Owner).await;
    assert!(matches!(nobody, Err(RoleError::NoUser { .. })));
    assert!(grant(&bob, Role::Owner).await.unwrap());
    let both = [of("alice", Role::Owner), of("bob", Role::Owner)];
    assert_eq!(members(&store, "flask").await.unwrap(), both);

    let revoke = async |who, role| store.revoke_role(&flask, who, role, &by, now()).await;
    let not = revoke(&bob, Role::Maintainer).await;
    assert!(matches!(not, Err(RoleError::NotMember { .. })), "{not:?}");
    revoke(&bob, Role::Owner).await.unwrap();
    assert_eq!(
        members(&store, "flask").await.unwrap(),
        [of("alice", Role::Owner)]
    );

    let log = store.audit_after(0, Some(&flask), 10).await.unwrap();
    let actions: Vec<_> = log.iter().map(|row| row.entry.action).collect();
    assert_eq!(
        actions,
        [
            AuditAction::ProjectCreated,
            AuditAction::RoleGranted,
            AuditAction::RoleGranted,
            AuditAction::RoleRevoked,
        ]
    );
}

pub(crate) async fn an_owner_is_left(backend: &impl Backend) {
    let store = backend.open().await;
    for name in ["alice", "bob"] {
        added_user(&store, name).await;
    }
    let (flask, alice, bob, by) = (project("flask"), user("alice"), user("bob"), operator());
    store
        .create_project(&flask, &alice, &by, now())
        .await
        .unwrap();
    let last = store
        .revoke_role(&flask, &alice, Role::Owner, &by, now())
        .await;
    assert!(matches!(last, Err(RoleError::LastOwner { .. })), "{last:?}");
    let last = store
        .grant_role(&flask, &alice, Role::Maintainer, &by, now())
        .await;
    assert!(matches!(last, Err(RoleError::LastOwner { .. })), "{last:?}");
    assert_eq!(
        members(&store, "flask").await.unwrap(),
        [of("alice", Role::Owner)]
    );
    store
        .grant_role(&flask, &bob, Role::Owner, &by, now())
        .await
        .unwrap();
    store
        .revoke_role(&flask, &alice, Role::Owner, &by, now())
        .await
        .unwrap();
    assert_eq!(
        members(&store, "flask").await.unwrap(),
        [of("bob", Role::Owner)]
    );
}
