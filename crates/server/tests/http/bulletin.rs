//! What an index says of its last recovery.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use tower_service::Service as _;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_server::read_router;
use wheelmark_signing::{Signer, sign_role};
use wheelmark_testing::Index;
use wheelmark_tuf::{
    IndexRecovery, MetaFile, Role as _, RoleName, Snapshot, Targets, TimestampMetadata, verify,
    verify_trusted_root,
};

fn statement(bulletin: &str) -> IndexRecovery {
    IndexRecovery {
        at: "2026-06-02T09:00:00Z".parse().unwrap(),
        since: "2026-05-30T22:00:00Z".parse().unwrap(),
        bulletin: bulletin.to_owned(),
        claims: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
}

async fn read(tree: &Directory, path: &ObjectPath) -> Bytes {
    tree.read(path, 1 << 20).await.unwrap().unwrap()
}

/// Publishes a state in which `targets` says so, signed as clients demand or by another key; where `targets`
/// lies, and what was signed.
async fn publish(
    index: &Index,
    said: &IndexRecovery,
    targets_by: &[&dyn Signer],
) -> (ObjectPath, Vec<u8>) {
    let tree = &index.tree;
    let root = verify_trusted_root(&index.root).unwrap();
    let at = ObjectPath::timestamp();
    let bytes = read(tree, &at).await;
    let timestamp = verify::<TimestampMetadata>(&bytes, &root.keys, &root.roles.timestamp);
    let mut timestamp = (*timestamp.unwrap()).clone();
    let path = |role: RoleName, version| ObjectPath::metadata(&role, version);
    let bytes = read(
        tree,
        &path(RoleName::snapshot(), timestamp.snapshot.version),
    )
    .await;
    let snapshot = verify::<Snapshot>(&bytes, &root.keys, &root.roles.snapshot);
    let mut snapshot = (*snapshot.unwrap()).clone();
    let listed = snapshot.role(&RoleName::targets()).unwrap().version;
    let bytes = read(tree, &path(RoleName::targets(), listed)).await;
    let targets = verify::<Targets>(&bytes, &root.keys, &root.roles.targets);
    let mut targets = (*targets.unwrap()).clone();

    targets.version = listed + 1;
    said.state(&mut targets);
    let (role, next) = (RoleName::targets(), listed + 1);
    let bytes = sign_role(&targets.to_canonical(), targets_by).unwrap();
    tree.create(&path(role.clone(), next), bytes.into())
        .await
        .unwrap();
    snapshot.version += 1;
    snapshot
        .meta
        .insert(role.meta_name(), MetaFile::version(next));
    let bytes = sign_role(&snapshot.to_canonical(), &[&*index.online]).unwrap();
    let next = path(RoleName::snapshot(), snapshot.version);
    tree.create(&next, bytes.into()).await.unwrap();
    timestamp.version += 1;
    timestamp.snapshot = MetaFile::version(snapshot.version);
    let bytes = sign_role(&timestamp.to_canonical(), &[&*index.online]).unwrap();
    std::fs::write(index.path("metadata/timestamp.json"), bytes).unwrap();
    (
        path(RoleName::targets(), listed + 1),
        targets.to_canonical(),
    )
}

async fn get(router: &mut Router, path: &str) -> (StatusCode, String, Bytes) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.call(request).await.unwrap();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let status = answer.status();
    (
        status,
        kind,
        to_bytes(answer.into_body(), 65_536).await.unwrap(),
    )
}

#[tokio::test]
async fn tells_what_the_offline_keys_have_signed() {
    let index = Index::new().await;
    index
        .engine(wheelmark_repository::JournalWriter::Operator)
        .await;
    let mut router = read_router(index.tree.clone());
    let (status, ..) = get(&mut router, "/bulletin").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nothing has happened");

    let offline: [&dyn Signer; 2] = [&index.offline[2], &index.offline[3]];
    let said = statement("The online key was stolen.\nNothing of it is left: <b>é</b>");
    publish(&index, &said, &offline).await;
    let (status, kind, body) = get(&mut router, "/bulletin").await;
    assert_eq!(
        (status, kind.as_str()),
        (StatusCode::OK, "text/plain; charset=utf-8")
    );
    assert_eq!(body, format!("{}\n", said.bulletin).as_bytes());
    let (status, kind, body) = get(&mut router, "/bulletin.json").await;
    assert_eq!(
        (status, kind.as_str()),
        (StatusCode::OK, "application/json")
    );
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["bulletin"], said.bulletin);
    assert_eq!(told["since"], "2026-05-30T22:00:00Z");
    assert_eq!(told["statement-sha256"], said.digest().to_string());

    // Another one is told as soon as it is published.
    let said = statement("Again.\n");
    publish(&index, &said, &offline).await;
    let (_, _, body) = get(&mut router, "/bulletin").await;
    assert_eq!(body, "Again.\n");
}

#[tokio::test]
async fn tells_nothing_that_they_have_not() {
    let index = Index::new().await;
    index
        .engine(wheelmark_repository::JournalWriter::Operator)
        .await;
    let mut router = read_router(index.tree.clone());
    let said = statement("Send your password to thief@example.org");
    // The online key, which a thief may have, and one of two offline keys.
    let thief: [&dyn Signer; 2] = [&*index.online, &index.offline[2]];
    publish(&index, &said, &thief).await;
    for path in ["/bulletin", "/bulletin.json"] {
        let (status, _, body) = get(&mut router, path).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(!body.contains("password"), "{body}");
    }
}

/// Signatures cost time, and anybody can ask.
#[tokio::test]
async fn what_cannot_be_verified_is_not_verified_for_each_who_asks() {
    let index = Index::new().await;
    index
        .engine(wheelmark_repository::JournalWriter::Operator)
        .await;
    let mut router = read_router(index.tree.clone());
    let (said, next) = (statement("Stolen."), statement("Again."));
    let offline: [&dyn Signer; 2] = [&index.offline[2], &index.offline[3]];
    let (path, signed) = publish(&index, &said, &[&*index.online]).await;
    let broken = StatusCode::INTERNAL_SERVER_ERROR;
    assert_eq!(get(&mut router, "/bulletin").await.0, broken);
    // Mended under the same timestamp: looked at again later, and at once by who has not looked before.
    let mended = sign_role(&signed, &offline).unwrap();
    std::fs::write(index.path(path.as_str()), mended).unwrap();
    assert_eq!(get(&mut router, "/bulletin.json").await.0, broken);
    let mut another = read_router(index.tree.clone());
    assert_eq!(get(&mut another, "/bulletin").await.0, StatusCode::OK);
    // Another state is looked at.
    publish(&index, &next, &offline).await;
    let (status, _, body) = get(&mut router, "/bulletin").await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &b"Again.\n"[..]));
}

/// Whoever can write to the tree cannot silence what the keys have signed.
#[tokio::test]
async fn a_file_in_the_place_of_the_next_root_silences_nothing() {
    let index = Index::new().await;
    index
        .engine(wheelmark_repository::JournalWriter::Operator)
        .await;
    let offline: [&dyn Signer; 2] = [&index.offline[2], &index.offline[3]];
    publish(&index, &statement("Stolen."), &offline).await;
    let place = index.path("metadata/2.root.json");
    for junk in [&b"{}"[..], &index.root] {
        std::fs::write(&place, junk).unwrap();
        let mut router = read_router(index.tree.clone());
        assert_eq!(get(&mut router, "/bulletin").await.0, StatusCode::OK);
    }
}
