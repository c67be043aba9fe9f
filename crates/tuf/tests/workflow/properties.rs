//! Properties that hold for every input.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;
use wheelmark_tuf::{
    Key, KeyId, PathPattern, PathSet, RoleKeys, RoleName, Sha256, Signature, SuccinctRoles,
    TargetPath, Targets, assemble, canonical, root_fingerprint, verify, verify_trusted_root,
};

use crate::repo::{Repo, Signer};

/// Any value that strict JSON can hold.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = TargetPath> {
    "[a-z0-9._-]{1,12}(/[a-z0-9._-]{1,12}){0,3}".prop_filter_map("a path", |path| path.parse().ok())
}

proptest! {
    #[test]
    fn a_value_has_one_canonical_form(value in any_json()) {
        let canonical = canonical::encode(&value);
        for text in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
            let read = canonical::parse(&text).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(&canonical::encode(&read), &canonical);
        }
    }

    #[test]
    fn different_values_have_different_forms(a in any_json(), b in any_json()) {
        prop_assert_eq!(a == b, canonical::encode(&a) == canonical::encode(&b));
    }

    #[test]
    fn what_is_assembled_can_be_read_again(value in any_json(), sig in any::<Vec<u8>>()) {
        let canonical = canonical::encode(&value);
        let signature = Signature { keyid: KeyId::from("a".to_owned()), sig };
        let file = assemble(&canonical, &[signature]);
        let read = canonical::parse(&file).unwrap();
        prop_assert_eq!(&read["signed"], &value);
        prop_assert_eq!(root_fingerprint(&file).unwrap(), Sha256::of(&canonical));
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in any::<Vec<u8>>()) {
        no_panic(&bytes);
    }

    #[test]
    fn no_text_that_looks_like_json_makes_a_parser_panic(text in "[\\[\\]{}\",:0-9eE.+\\-a-z\\\\ ]{0,200}") {
        no_panic(text.as_bytes());
    }

    #[test]
    fn no_value_in_any_field_makes_a_parser_panic(
        value in any_json(),
        file in prop::sample::select(vec!["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]),
        at in any::<prop::sample::Index>(),
    ) {
        let mut metadata: Value = serde_json::from_slice(&Repo::new().files[file]).unwrap();
        let mut pointers = Vec::new();
        pointers_of(&metadata, String::new(), &mut pointers);
        let pointer: &String = at.get(&pointers);
        *metadata.pointer_mut(pointer).unwrap() = value;
        let canonical = canonical::encode(&metadata["signed"]);
        // Signed by whoever it was signed by, so that the model is reached as well.
        let signatures: Vec<_> = ["root", "timestamp", "snapshot", "targets"].map(|name| Signer::new(name).sign(&canonical)).into();
        no_panic(&assemble(&canonical, &signatures));
        no_panic(&serde_json::to_vec(&metadata).unwrap());
    }

    #[test]
    fn bins_partition_the_paths(path in any_path(), bit_length in 1_u32..=10) {
        let role = RoleKeys::new([Signer::new("a").key()], 1);
        let bins = SuccinctRoles::new(role, bit_length, "bin").unwrap();
        let chosen = bins.bin_for(&path);
        prop_assert_eq!(bins.bins().filter(|bin| *bin == chosen).count(), 1);
        prop_assert_eq!(bins.bins().count() as u64, bins.count());

        // The same bins as an explicit list of prefixes: again exactly one covers the
        // path, and it is the same one.
        let digits = 3_usize;
        let per_bin = (1_u64 << (4 * digits)) / bins.count();
        let covering: Vec<RoleName> = bins
            .bins()
            .enumerate()
            .filter(|(index, _)| {
                let first = *index as u64 * per_bin;
                let prefixes = (first..first + per_bin).map(|n| format!("{n:0digits$x}"));
                PathSet::HashPrefixes(prefixes.collect()).contains(&path)
            })
            .map(|(_, bin)| bin)
            .collect();
        prop_assert_eq!(covering, vec![chosen]);
    }

    #[test]
    fn a_pattern_covers_its_own_text(path in any_path()) {
        prop_assert!(PathPattern::from(path.as_str()).matches(path.as_str()));
        let stars = vec!["*"; path.segments().count()].join("/");
        prop_assert!(PathPattern::from(stars.clone()).matches(path.as_str()));
        let longer = PathPattern::from(stars + "/*");
        prop_assert!(!longer.matches(path.as_str()));
    }

    #[test]
    fn a_pattern_means_what_a_slow_reading_says(pattern in "[ab*?/]{0,8}", path in "[ab/]{0,8}") {
        prop_assert_eq!(PathPattern::from(pattern.as_str()).matches(&path), slow(pattern.as_bytes(), path.as_bytes()));
    }

    #[test]
    fn role_files_are_one_segment_and_unlike(a in "\\PC{1,20}", b in "\\PC{1,20}") {
        let (a, b): (RoleName, RoleName) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert!(a.file_name().bytes().all(|c| c.is_ascii_graphic() && c != b'/'));
        prop_assert_eq!(a == b, a.file_name() == b.file_name());
    }
}

/// The definition of a pattern, without any cleverness.
fn slow(pattern: &[u8], path: &[u8]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((b'*', pattern)), rest) => {
            slow(pattern, path)
                || rest.is_some_and(|(c, rest)| {
                    *c != b'/' && slow(&[&b"*"[..], pattern].concat(), rest)
                })
        }
        (Some((b'?', pattern)), Some((c, path))) => *c != b'/' && slow(pattern, path),
        (Some((p, pattern)), Some((c, path))) => p == c && slow(pattern, path),
        _ => false,
    }
}

fn no_panic(bytes: &[u8]) {
    let repo = Repo::new();
    drop(canonical::parse(bytes));
    drop(root_fingerprint(bytes));
    drop(verify_trusted_root(bytes));
    let keys = &repo.root.keys;
    drop(verify::<wheelmark_tuf::Root>(
        bytes,
        keys,
        &repo.root.roles.root,
    ));
    drop(verify::<wheelmark_tuf::TimestampMetadata>(
        bytes,
        keys,
        &repo.root.roles.timestamp,
    ));
    drop(verify::<wheelmark_tuf::Snapshot>(
        bytes,
        keys,
        &repo.root.roles.snapshot,
    ));
    drop(verify::<Targets>(bytes, keys, &repo.root.roles.targets));
    if let Ok(value) = serde_json::from_slice(bytes) {
        drop(Key::from_value(value));
    }
}

/// A JSON pointer to everything inside `value`.
fn pointers_of(value: &Value, here: String, pointers: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers_of(value, format!("{here}/{name}"), pointers);
            }
        }
        Value::Array(items) => {
            for (i, value) in items.iter().enumerate() {
                pointers_of(value, format!("{here}/{i}"), pointers);
            }
        }
        _ => {}
    }
    pointers.push(here);
}
