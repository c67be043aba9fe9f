//! Evidence against an index, from people whom nobody has to believe.
//!
//! The input is an evidence file as it stands, or the decisions of somebody who has every file
//! that the index ever published and, if so decided, has stolen its online key. Whatever comes of
//! it:
//!
//! * without a stolen key nothing holds against the index;
//! * with one, only against timestamp and snapshot, which it signs, and only with two contents;
//! * what holds holds after being written and read.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::repository::{GENERATIONS, Repository, time};
use wheelmark_fuzz::script::Script;
use wheelmark_tuf::{Evidence, RoleName, Sighting};

static REPOSITORY: LazyLock<Repository> = LazyLock::new(Repository::new);

const ROLES: [(&str, &[&str]); 6] = [
    ("timestamp", &[]),
    ("snapshot", &[]),
    ("targets", &[]),
    ("claimed", &["targets"]),
    ("packages-0", &["targets", "packages"]),
    ("root", &[]),
];

fuzz_target!(|input: &[u8]| {
    let first = &REPOSITORY.published[0]["1.root.json"];
    if input.first() == Some(&b'{') {
        if let Ok(read) = Evidence::parse(input) {
            assert!(read.verify(first).is_err(), "nobody signed this");
            assert_eq!(Evidence::parse(&read.to_json()).ok(), Some(read));
        }
        return;
    }
    let mut script = Script(input);
    let (wanted, via) = ROLES[usize::from(script.byte()) % ROLES.len()];
    let mut stole = false;
    let sightings = [(); 2].map(|()| sighting(&mut script, wanted, via, &mut stole));
    let generation = usize::from(script.byte()) % GENERATIONS;
    let evidence = Evidence {
        role: role(wanted),
        version: u64::from(script.byte()) % 6,
        roots: (1..=generation + 1)
            .filter_map(|n| REPOSITORY.published[generation].get(&format!("{n}.root.json")))
            .cloned()
            .collect(),
        sightings,
    };
    let known = usize::from(script.byte()) % GENERATIONS;
    let root = &REPOSITORY.published[known][&format!("{}.root.json", known + 1)];
    if let Ok(found) = evidence.verify(root) {
        assert!(stole, "an honest index is accused");
        assert!(
            ["timestamp", "snapshot"].contains(&found.role().as_str()),
            "this key is not stolen"
        );
        assert_ne!(found.signed()[0], found.signed()[1]);
        assert_eq!(found.version(), evidence.version);
        let again = Evidence::parse(&evidence.to_json()).expect("what is written can be read");
        assert_eq!(again.verify(root).ok(), Some(found));
    }
});

fn role(name: &str) -> RoleName {
    name.parse().expect("the name is well-formed")
}

/// What somebody says to have seen: the files of a state, some of them exchanged.
fn sighting(script: &mut Script<'_>, wanted: &str, via: &[&str], stole: &mut bool) -> Sighting {
    let published = &REPOSITORY.published[usize::from(script.byte()) % GENERATIONS];
    let mut files = Vec::new();
    for name in ["timestamp", "snapshot", "targets"]
        .iter()
        .chain(via.iter().skip(1))
        .chain([&wanted])
    {
        if wanted == "root" && *name != "root" {
            continue;
        }
        files.push(file(script, published, name, stole));
        if *name == wanted {
            break;
        }
    }
    let at = ["2026-01-01T00:00:00Z", "2026-07-01T00:00:00Z"];
    Sighting {
        source: "https://mirror.example/".to_owned(),
        at: time(at[usize::from(script.byte() & 1)]),
        via: via.iter().map(|name| role(name)).collect(),
        files,
    }
}

fn file(
    script: &mut Script<'_>,
    published: &BTreeMap<String, Vec<u8>>,
    name: &str,
    stole: &mut bool,
) -> (String, Vec<u8>) {
    let of_role: Vec<_> = published
        .iter()
        .filter(|(path, _)| {
            path.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                == format!("{name}.json")
        })
        .collect();
    let pick = usize::from(script.byte());
    let (path, bytes) = of_role[pick % of_role.len()];
    let bytes = match script.byte() % 8 {
        0..4 => bytes.clone(),
        4 => REPOSITORY.all[usize::from(script.byte()) % REPOSITORY.all.len()].clone(),
        5 => {
            let mut changed = bytes.clone();
            let at = script.number() % changed.len();
            changed[at] ^= script.byte();
            changed
        }
        6 => {
            // The same, written in another way.
            let file: serde_json::Value =
                serde_json::from_slice(bytes).expect("what is published is JSON");
            serde_json::to_vec_pretty(&file).expect("a value makes JSON")
        }
        _ => {
            *stole = true;
            let [key, kind, version, of_snapshot, of_targets] =
                std::array::from_fn(|_| script.byte());
            let few = |number: u8| u64::from(number % 5) + 1;
            REPOSITORY.forge(
                usize::from(key % 3),
                kind % 2 == 0,
                few(version),
                few(of_snapshot),
                few(of_targets),
            )
        }
    };
    (path.clone(), bytes)
}
