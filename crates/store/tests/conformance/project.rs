use wheelmark_store::{LimitedProject, NewFile, ProjectLimits};

use super::backend::{Backend, file as named, project as name};

fn file(project: &str, version: &str) -> NewFile {
    named(project, &format!("{project}-{version}.tar.gz"), version)
}

pub(crate) async fn a_project_is_known_by_its_first_file(backend: &impl Backend) {
    let store = backend.open().await;
    assert!(
        !store
            .project_standing(&name("flask"))
            .await
            .unwrap()
            .is_known
    );
    store.admit(file("flask", "1.0")).await.unwrap();
    assert!(
        store
            .project_standing(&name("flask"))
            .await
            .unwrap()
            .is_known
    );
}

pub(crate) async fn names_that_look_alike_are_found(backend: &impl Backend) {
    let store = backend.open().await;
    store.admit(file("zope-interface", "1.0")).await.unwrap();
    store.admit(file("pillow", "1.0")).await.unwrap();
    for (asked, found) in [
        ("zopeinterface", Some("zope-interface")),
        ("z0pe.interface", Some("zope-interface")),
        ("zope-lnterface", Some("zope-interface")),
        ("PI110W", Some("pillow")),
        ("p-i-l-l-o-w", Some("pillow")),
        ("pillow", None),
        ("pilow", None),
    ] {
        let like = store.project_like(&name(asked)).await.unwrap();
        assert_eq!(like, found.map(name), "{asked}");
    }
}

pub(crate) async fn the_size_of_a_project_is_that_of_its_files(backend: &impl Backend) {
    let store = backend.open().await;
    let flask = name("flask");
    assert_eq!(store.project_size(&flask).await.unwrap(), 0);
    let (one, other) = (file("flask", "1.0"), file("flask", "2.0"));
    let size = one.size + other.size;
    store.admit(one).await.unwrap();
    store.admit(other).await.unwrap();
    store.admit(file("other", "1.0")).await.unwrap();
    assert_eq!(store.project_size(&flask).await.unwrap(), size);
}

pub(crate) async fn limits_are_kept_for_each_project(backend: &impl Backend) {
    let store = backend.open().await;
    let (flask, torch) = (name("flask"), name("torch"));
    let none = ProjectLimits::default();
    assert_eq!(store.project_limits(&flask).await.unwrap(), none);
    assert_eq!(store.longest_file_limit().await.unwrap(), None);
    let small = ProjectLimits {
        file_len: Some(1000),
        total_len: None,
    };
    let large = ProjectLimits {
        file_len: Some(8 << 30),
        total_len: Some(1 << 40),
    };
    store.set_project_limits(&flask, large).await.unwrap();
    store.set_project_limits(&flask, small).await.unwrap();
    store.set_project_limits(&torch, large).await.unwrap();
    assert_eq!(store.project_limits(&flask).await.unwrap(), small);
    assert_eq!(store.longest_file_limit().await.unwrap(), Some(8 << 30));
    let listed = store.limited_projects().await.unwrap();
    let limited = |project, limits| LimitedProject { project, limits };
    assert_eq!(
        listed,
        [limited(flask.clone(), small), limited(torch, large)]
    );
    store.set_project_limits(&flask, none).await.unwrap();
    assert_eq!(store.project_limits(&flask).await.unwrap(), none);
    assert_eq!(store.limited_projects().await.unwrap().len(), 1);
}
