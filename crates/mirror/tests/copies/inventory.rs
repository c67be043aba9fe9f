//! The inventory of a real index: from its tree, and over HTTP.

use futures::{StreamExt as _, TryStreamExt as _};
use wheelmark_client::{Beginning, IndexUrls, Remote, TrustStore, Upstream, add_trust};
use wheelmark_mirror::{InventoryError, Listed, LocalTree, RoleSource, inventory};
use wheelmark_tuf::{Cached, Clock as _, TrustedSet};

use crate::index::{FILES, LARGE, TestIndex};
use wheelmark_testing::{At, Fault, Web};

/// The names of the roles and of what they list, sorted.
async fn contents(
    set: &TrustedSet,
    source: &impl RoleSource,
    at_once: usize,
) -> Result<(Vec<String>, Vec<String>), InventoryError> {
    let (mut roles, mut listed) = (Vec::new(), Vec::new());
    let mut inventory = std::pin::pin!(inventory(set, source, at_once));
    while let Some(role) = inventory.next().await {
        let visited = role?.visited;
        roles.push(visited.role().to_string());
        listed.extend(
            visited
                .listed()
                .map(|(path, info)| match Listed::of(path, info) {
                    Listed::Page { project, .. } => project.to_string(),
                    Listed::File { filename, .. } => filename,
                    Listed::Status { project, .. } => panic!("{project} is not claimed"),
                    Listed::Other(path) => panic!("{path}"),
                }),
        );
    }
    roles.sort();
    listed.sort();
    Ok((roles, listed))
}

fn expected() -> (Vec<String>, Vec<String>) {
    let mut roles: Vec<String> = [
        "claimed",
        "recently-claimed",
        "simple",
        "packages",
        "status",
    ]
    .into_iter()
    .chain(["targets"])
    .map(str::to_owned)
    .collect();
    for family in ["simple", "packages"] {
        roles.extend((0..4).map(|bin| format!("{family}-{bin}")));
    }
    let projects = ["demo", "other-project", "third"].into_iter();
    let files = FILES.into_iter().chain([LARGE]);
    let mut listed: Vec<String> = projects.chain(files).map(str::to_owned).collect();
    roles.sort();
    listed.sort();
    (roles, listed)
}

async fn local(index: &TestIndex) -> (LocalTree, TrustedSet) {
    let tree = LocalTree::new((*index.tree).clone());
    let set = tree
        .refresh(&index.first_root(), Cached::default(), index.clock.now())
        .await
        .unwrap();
    (tree, set)
}

#[tokio::test]
async fn a_tree_in_a_directory_is_gone_through() {
    let index = TestIndex::with_files().await;
    let (tree, set) = local(&index).await;
    for at_once in [1, 3, 64] {
        let found = contents(&set, &tree, at_once).await.unwrap();
        assert_eq!(found, expected());
    }
}

#[tokio::test]
async fn a_role_that_is_missing_or_altered_ends_it() {
    let index = TestIndex::with_files().await;
    let (tree, set) = local(&index).await;
    let path = index.path("metadata/2.simple-1.json");
    let path = if path.exists() {
        path
    } else {
        index.path("metadata/1.simple-1.json")
    };
    let good = std::fs::read(&path).unwrap();

    let mut bad = good.clone();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    std::fs::write(&path, bad).unwrap();
    let error = contents(&set, &tree, 3).await.unwrap_err();
    assert!(
        matches!(&error, InventoryError::Local { role, .. } if role.as_str() == "simple-1"),
        "{error:?}"
    );

    std::fs::remove_file(&path).unwrap();
    let error = contents(&set, &tree, 3).await.unwrap_err();
    assert!(
        matches!(&error, InventoryError::Local { role, .. } if role.as_str() == "simple-1"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_index_is_gone_through_over_http_from_any_of_its_sources() {
    let index = TestIndex::with_files().await;
    let (first, second) = (
        Web::serve(index.root()).await,
        Web::serve(index.root()).await,
    );
    let store = TrustStore::open(&index.beside("trust")).unwrap();
    let remote = Remote::new("test").unwrap();
    let mirror = wheelmark_client::Mirror::new(
        Some(&second.base),
        None,
        None,
        wheelmark_client::Turn::After,
    );
    let urls = IndexUrls::new(&first.simple(), None, None)
        .unwrap()
        .with_mirrors(vec![mirror.unwrap()]);
    let beginning = Beginning::Fingerprint(index.fingerprint);
    let trusted = add_trust(&store, &remote, urls, beginning, index.clock.now())
        .await
        .unwrap();
    let upstream = Upstream::new(trusted, remote);
    let set = upstream.refresh(index.clock.now()).await.unwrap();
    assert_eq!(contents(&set, &upstream, 8).await.unwrap(), expected());

    first.set_fault(Fault::Alters("simple-2", At::Middle));
    assert_eq!(contents(&set, &upstream, 8).await.unwrap(), expected());
    assert!(!upstream.warnings().is_empty());

    second.set_fault(Fault::Answers("simple-2", http::StatusCode::NOT_FOUND));
    let ended: Result<Vec<_>, _> = inventory(&set, &upstream, 8).try_collect().await;
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, InventoryError::Upstream { role, .. } if role.as_str() == "simple-2"),
        "{error:?}"
    );
}
