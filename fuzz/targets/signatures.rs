//! Signatures against a threshold: a key counts once, whatever ids it goes by, and only for
//! what it signed; two signatures under one id spoil the file.
#![no_main]

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::keys::Signer;
use wheelmark_fuzz::repository::time;
use wheelmark_fuzz::script::Script;
use wheelmark_tuf::{
    Key, MetaFile, Role, RoleKeys, SPEC_VERSION, Signature, TimestampMetadata, assemble, verify,
};

static SIGNERS: LazyLock<[Signer; 4]> = LazyLock::new(|| [1, 2, 3, 4].map(Signer::new));

/// The keys as they are, and each again with a field more: the same key under another id.
static KEYS: LazyLock<[Key; 8]> = LazyLock::new(|| {
    std::array::from_fn(|number| {
        let key = &SIGNERS[number % 4].key;
        let mut value = key.to_value();
        if number >= 4 {
            value["note"] = "again".into();
        }
        Key::from_value(value).expect("a field more is allowed")
    })
});

static SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    TimestampMetadata {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: time("2030-01-01T00:00:00Z"),
        snapshot: MetaFile::version(1),
        other_meta: BTreeMap::new(),
        extra: BTreeMap::new(),
    }
    .to_canonical()
});

/// Every signer's signature over the file, and over something else.
static SIGNATURES: LazyLock<[[Vec<u8>; 2]; 4]> = LazyLock::new(|| {
    SIGNERS
        .each_ref()
        .map(|signer| [signer.sign(&SIGNED), signer.sign(b"something else")])
});

fuzz_target!(|input: &[u8]| {
    let mut script = Script(input);
    let threshold = u32::from(script.byte() % 6);
    let [named, known, crossed] = [script.byte(), script.byte(), script.byte()];
    let chosen = |bits: u8| (0..8).filter(move |number| bits & (1 << number) != 0);

    // An id that is listed for a key which is not its own counts for nothing.
    let crossed_id = (crossed & 0x80 != 0).then_some(usize::from(crossed % 8));
    let keys: BTreeMap<_, _> = chosen(known)
        .map(|number: usize| {
            let value = if crossed_id == Some(number) {
                &KEYS[(number + 1) % 8]
            } else {
                &KEYS[number]
            };
            (KEYS[number].keyid().clone(), value.clone())
        })
        .collect();
    let role = RoleKeys::new(chosen(named).map(|number: usize| &KEYS[number]), threshold);

    let mut signatures = Vec::new();
    let mut ids = HashSet::new();
    let mut twice = false;
    let mut signers = HashSet::new();
    while !script.is_over() && signatures.len() < 12 {
        let [id, by] = [script.byte(), script.byte()];
        let id = usize::from(id % 8);
        let signer = usize::from(by % 4);
        let other = by & 0x10 != 0;
        let mut sig = SIGNATURES[signer][usize::from(other)].clone();
        match by >> 5 {
            1 => sig.truncate(usize::from(script.byte() % 64)),
            2 => sig[usize::from(script.byte() % 64)] ^= 1,
            3 => sig.clear(),
            _ => {}
        }
        let right = !other && sig == SIGNATURES[signer][0] && id % 4 == signer;
        twice |= !ids.insert(id);
        let counts = named & (1 << id) != 0 && known & (1 << id) != 0 && crossed_id != Some(id);
        if right && counts {
            signers.insert(signer);
        }
        let keyid = KEYS[id].keyid().clone();
        signatures.push(Signature { keyid, sig });
    }

    let file = assemble(&SIGNED, &signatures);
    let expected = !twice && threshold > 0 && signers.len() as u32 >= threshold;
    let found = verify::<TimestampMetadata>(&file, &keys, &role);
    assert_eq!(found.is_ok(), expected, "{found:?}");
});
