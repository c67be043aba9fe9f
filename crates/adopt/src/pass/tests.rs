#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use wheelmark_client::Remote;
use wheelmark_objects::Sharing;

use super::*;

#[tokio::test]
async fn what_nobody_compared_is_not_gone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("source");
    std::fs::create_dir(&folder).unwrap();
    let tree = Directory::open(&home.path().join("tree")).await.unwrap();
    let lock = tree.lock().await.unwrap();
    let store = Store::open(&home.path().join("catalogue.sqlite")).await;
    let known = Known::open(&home.path().join("source.sqlite")).await;
    let remote = Remote::new("tests").unwrap();
    let source = Source::find(folder.to_str().unwrap(), None, remote, &[]).await;
    let choices = Choices {
        projects: Vec::new(),
        rehash: false,
        settle: Duration::ZERO,
        sharing: Sharing::WherePossible,
        accept_loss: true,
        parallel: 1,
        keep: BTreeSet::new(),
        withdraw: BTreeSet::new(),
    };
    let begun = Pass::begin(
        source.unwrap(),
        (Arc::new(tree), lock),
        store.unwrap(),
        known.unwrap(),
        Timestamp::UNIX_EPOCH,
        choices,
    );
    let (mut pass, _stopper) = begun.await.unwrap();
    // It died when the scan had told everything.
    let died = tokio::spawn(std::future::pending());
    died.abort();
    pass.comparing = Some(died);
    let ended = pass.next().await;
    assert!(
        matches!(ended, Err(PassError::Source(SourceError::Stopped))),
        "{ended:?}"
    );
}
