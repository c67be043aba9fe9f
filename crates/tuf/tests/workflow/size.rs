//! A repository of the planned size: 32,768 bins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use wheelmark_tuf::{MetaFile, Role as _, RoleKeys, Snapshot, SuccinctRoles, assemble, verify};

use crate::client::Client;
use crate::repo::{Repo, Signer};

fn large() -> Repo {
    let mut repo = Repo::new();
    for prefix in ["simple", "packages"] {
        let keys = RoleKeys::new([Signer::new("bins").key()], 1);
        let bins = SuccinctRoles::new(keys, 14, prefix).unwrap();
        let listed = bins
            .bins()
            .enumerate()
            .map(|(i, bin)| (bin.meta_name(), MetaFile::version(1 + i as u64)));
        repo.snapshot.meta.extend(listed);
    }
    repo
}

#[test]
fn the_snapshot_stays_within_the_limits_of_the_reference_client() {
    let mut repo = large();
    repo.publish("snapshot timestamp");
    let length = repo.files["2.snapshot.json"].len();
    assert!((1_000_000..2_000_000).contains(&length), "{length} bytes");
    Client::new(&repo).refresh(&repo).unwrap();
}

/// Not a benchmark: sixteen times the roles may cost some sixteen times the time, and a
/// busy machine may make a multiple of it, but quadratic work would cost 256 times.
#[test]
fn reading_a_snapshot_is_linear() {
    let signer = Signer::new("snapshot");
    let keys = BTreeMap::from([(signer.key().keyid().clone(), signer.key().clone())]);
    let role = RoleKeys::new([signer.key()], 1);
    let snapshot = large().snapshot;
    let cost = |roles: usize| -> Duration {
        let meta = snapshot.meta.clone().into_iter().take(roles).collect();
        let canonical = Snapshot {
            version: 1,
            meta,
            ..snapshot.clone()
        }
        .to_canonical();
        let file = assemble(&canonical, &[signer.sign(&canonical)]);
        let once = || {
            let start = Instant::now();
            let read = verify::<Snapshot>(&file, &keys, &role).unwrap();
            assert_eq!(read.meta.len(), roles);
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap()
    };
    let (part, whole) = (cost(2_000), cost(32_000));
    assert!(
        whole < 100 * part,
        "2,000 roles: {part:?}, 32,000 roles: {whole:?}"
    );
}
