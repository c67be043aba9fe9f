//! Metadata of every role: what a right signature brings in is written again as it was signed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wheelmark_fuzz::keys::Signer;
use wheelmark_tuf::{
    DelegatedRoles, PathSet, Role, RoleKeys, Root, Snapshot, TargetPath, Targets,
    TimestampMetadata, canonical, root_fingerprint, verify, verify_next_root, verify_trusted_root,
};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(1));

fuzz_target!(|input: &[u8]| {
    // As it is: without a right signature nothing is accepted.
    drop(root_fingerprint(input));
    if let Ok(root) = verify_trusted_root(input) {
        drop(verify_next_root(&root, input));
    }
    // As the signed part of a file.
    let Ok(value) = canonical::parse(input) else {
        return;
    };
    let signed = canonical::encode(&value);
    let file = Signer::file(&signed, &[&SIGNER]);
    root_fingerprint(&file).expect("a file that we assemble can be opened");
    check::<TimestampMetadata>(&file, &value);
    check::<Snapshot>(&file, &value);
    if let Some(root) = check::<Root>(&file, &value) {
        drop(verify_next_root(&root, &file));
    }
    if let Some(targets) = check::<Targets>(&file, &value) {
        search(&targets);
    }
});

fn check<T: Role>(file: &[u8], value: &Value) -> Option<T> {
    let keys = [(SIGNER.key.keyid().clone(), SIGNER.key.clone())].into();
    let role = verify::<T>(file, &keys, &RoleKeys::new([&SIGNER.key], 1))
        .ok()?
        .into_inner();
    let mut expect = value.clone();
    if T::TYPE == "root" && expect.get("consistent_snapshot").is_none() {
        // Optional to read, and always written.
        expect["consistent_snapshot"] = false.into();
    }
    assert_eq!(
        role.to_canonical(),
        canonical::encode(&expect),
        "a role is written as it was signed"
    );
    Some(role)
}

/// Asks every delegation for paths of all kinds, and for its own patterns.
fn search(targets: &Targets) {
    let mut paths: Vec<TargetPath> = ["a", "simple/demo/index.json", "packages/d/d-1.zip"]
        .iter()
        .map(|path| path.parse().expect("the path is well-formed"))
        .collect();
    paths.extend(targets.targets.keys().cloned());
    match targets
        .delegations
        .as_ref()
        .map(|delegations| &delegations.roles)
    {
        None => {}
        Some(DelegatedRoles::Succinct(bins)) => {
            for path in &paths {
                let bin = bins.bin_for(path);
                assert!(u64::from(bins.index_for(path)) < bins.count());
                assert!(bin.as_str().starts_with(bins.name_prefix()));
                if bins.count() <= 1024 {
                    assert!(
                        bins.bins().any(|other| other == bin),
                        "every path has a bin that is there"
                    );
                }
            }
        }
        Some(DelegatedRoles::Listed(roles)) => {
            for role in roles {
                if let PathSet::Patterns(patterns) = &role.paths {
                    paths.extend(
                        patterns
                            .iter()
                            .filter_map(|pattern| pattern.as_str().parse().ok()),
                    );
                }
                for path in &paths {
                    role.paths.contains(path);
                }
            }
        }
    }
}
