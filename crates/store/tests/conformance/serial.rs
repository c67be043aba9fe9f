use wheelmark_store::{Seq, Store};

use super::backend::{Backend, file, project, recorded};
use super::outcome::{publish, published, refused};

async fn listed(store: &Store, after: Seq) -> Vec<(String, u64)> {
    let serials = store.serials_after(after).await.unwrap();
    let plain = |(name, seq): (wheelmark_packaging::ProjectName, Seq)| (name.to_string(), seq.0);
    serials.into_iter().map(plain).collect()
}

fn at(name: &str, seq: Seq) -> (String, u64) {
    (name.to_owned(), seq.0)
}

pub(crate) async fn a_project_is_at_its_last_published_change(backend: &impl Backend) {
    let store = backend.open().await;
    let a = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let b = recorded(&store, file("b", "b-1.tar.gz", "x")).await;
    assert_eq!(listed(&store, Seq(0)).await, []);
    assert_eq!(store.serial(&project("a")).await.unwrap(), None);

    publish(&store, 2, &[(a, published(2)), (b, published(2))]).await;
    assert_eq!(listed(&store, Seq(0)).await, [at("a", b), at("b", b)]);

    let yank = store
        .set_yanked(&project("a"), "a-1.tar.gz", Some(String::new()))
        .await;
    let yank = yank.unwrap().unwrap();
    assert_eq!(listed(&store, b).await, []);
    publish(&store, 3, &[(yank, published(3))]).await;
    assert_eq!(listed(&store, b).await, [at("a", yank)]);
    assert_eq!(store.serial(&project("a")).await.unwrap(), Some(yank));

    let removal = store.remove(&project("b"), "b-1.tar.gz").await;
    let removal = removal.unwrap().unwrap();
    publish(&store, 4, &[(removal, published(4))]).await;
    assert_eq!(
        listed(&store, Seq(0)).await,
        [at("a", yank), at("b", removal)]
    );
    assert_eq!(store.serial(&project("c")).await.unwrap(), None);
}

pub(crate) async fn a_refused_change_is_none(backend: &impl Backend) {
    let store = backend.open().await;
    let first = recorded(&store, file("a", "a-1.tar.gz", "x")).await;
    let second = recorded(&store, file("a", "a-2.tar.gz", "x")).await;
    let other = recorded(&store, file("b", "b-1.tar.gz", "x")).await;
    let outcomes = [
        (first, published(2)),
        (second, refused("no")),
        (other, refused("no")),
    ];
    publish(&store, 2, &outcomes).await;
    assert_eq!(listed(&store, Seq(0)).await, [at("a", other)]);
    // What has an outcome keeps it.
    publish(&store, 3, &[(second, published(3))]).await;
    assert_eq!(listed(&store, Seq(0)).await, [at("a", other)]);
}
