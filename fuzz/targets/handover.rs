//! Handovers of keys, from people whom nobody has to believe.
//!
//! The input is a list of handovers as it stands, or the decisions of somebody who has some of the
//! keys. Whatever comes of it:
//!
//! * a list holds exactly if each of its handovers is signed by a threshold of those before and by
//!   all that come in, and begins where the one before it ended;
//! * it leads from its first keys to the last ones, where nothing was seen in between, and from no others;
//! * what holds holds after being written and read.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wheelmark_fuzz::keys::Signer;
use wheelmark_fuzz::repository::time;
use wheelmark_fuzz::script::Script;
use wheelmark_tuf::{Handover, Handovers, KeySet, RoleName, canonical};

static SIGNERS: LazyLock<[Signer; 6]> = LazyLock::new(|| [1, 2, 3, 4, 5, 6].map(Signer::new));
static ROLE: LazyLock<RoleName> =
    LazyLock::new(|| "project-flask".parse().expect("the name is well-formed"));

/// Some of the keys, by their bits, and how many of them have to sign.
type Set = (u8, u32);

fuzz_target!(|input: &[u8]| {
    if input.first() == Some(&b'[') {
        let Ok(list) = canonical::parse(input) else {
            return;
        };
        if let Ok(handovers) = Handovers::read(Some(&list), &ROLE) {
            again(&handovers);
        }
        return;
    }
    let mut script = Script(input);
    let asked = some(&mut script);
    let mut here = some(&mut script);
    let (mut way, mut list, mut holds) = (vec![here], Vec::new(), true);
    while !script.is_over() && list.len() < 8 {
        let next = some(&mut script);
        let begin = match script.byte() % 8 {
            0 => some(&mut script),
            _ => here,
        };
        let number = list.len() as u64 + 1 + u64::from(script.byte() % 8 == 0);
        let by = script.byte();
        let signed = by & begin.0;
        holds &= (list.is_empty() || begin == here) && number == list.len() as u64 + 1;
        holds &= signed.count_ones() >= begin.1 && next.0 & !begin.0 & !by == 0 && begin != next;
        if list.is_empty() {
            way = vec![begin];
        }
        list.push(made(number, begin, next, by));
        way.push(next);
        here = next;
    }
    let read = Handovers::read(Some(&list.into()), &ROLE);
    assert_eq!(read.is_ok(), holds, "{:?}", read.err());
    let Ok(handovers) = read else { return };
    again(&handovers);
    let Some(last) = way.pop().filter(|_| !way.is_empty()) else {
        return;
    };
    let to = (ids(last), last.1);
    let leads = handovers.lead((&ids(asked), asked.1), 0, (&to.0, to.1));
    assert_eq!(leads, way[0] == asked);
});

/// One to six keys, and a threshold that they reach.
fn some(script: &mut Script<'_>) -> Set {
    let bits = script.byte() % 63 + 1;
    (bits, u32::from(script.byte()) % bits.count_ones() + 1)
}

fn signers(bits: u8) -> Vec<&'static Signer> {
    let all = SIGNERS.iter().enumerate();
    all.filter(|(number, _)| bits & (1 << number) != 0)
        .map(|(_, signer)| signer)
        .collect()
}

fn ids((bits, _): Set) -> BTreeSet<String> {
    let signers = signers(bits).into_iter();
    signers
        .map(|signer| signer.key.keyid().as_str().to_owned())
        .collect()
}

fn made(number: u64, from: Set, to: Set, by: u8) -> Value {
    let set = |(bits, threshold): Set| {
        let keys = signers(bits).into_iter().map(|signer| signer.key.clone());
        KeySet::new(keys, threshold).expect("the threshold is in reach")
    };
    let handover = Handover {
        role: ROLE.clone(),
        number,
        version: number,
        made_at: time("2026-11-22T08:00:00Z"),
        from: set(from),
        to: set(to),
    };
    let file = Signer::file(&handover.to_canonical(), &signers(by));
    canonical::parse(&file).expect("what is assembled can be read")
}

/// Written and read once more, it is the same.
fn again(handovers: &Handovers) {
    let mut copy = Handovers::default();
    for file in handovers.files() {
        copy = copy.and(&file, &ROLE).expect("what holds holds again");
    }
    assert_eq!(copy, *handovers);
}
