//! What proves that an index has signed two things as one version, and what does not.

use proptest::prelude::*;
use serde_json::Value;
use wheelmark_tuf::{
    DelegatedRoles, Equivocation, Evidence, EvidenceError, PathSet, Sha256, Sighting, canonical,
    signed_digest,
};

use crate::repo::{NOW, Repo, Signer, role, time};

/// An index with a delegated role and bins, each of which states its name.
fn index(says: &str) -> Repo {
    let mut repo = Repo::new();
    let paths = PathSet::Patterns(vec!["simple/*/*".into(), "packages/*/*".into()]);
    repo.delegate("targets", "claimed", paths.clone());
    repo.delegate("targets", "packages", paths);
    repo.delegate_to_bins("packages", 2, "packages-bin");
    repo.targets.state_role(&role("targets"));
    for (name, targets) in &mut repo.delegated {
        targets.state_role(&role(name));
    }
    for name in ["targets", "claimed", "packages-bin-2"] {
        repo.add(name, "packages/a/a-1.tar.gz", says.as_bytes());
    }
    repo.timestamp
        .extra
        .insert("x-says".to_owned(), says.into());
    repo.snapshot.extra.insert("x-says".to_owned(), says.into());
    repo.publish_all();
    repo
}

/// What a client receives on its way to a role.
fn sighting(repo: &Repo, source: &str, wanted: &str, via: &[&str]) -> Sighting {
    let mut files = Vec::new();
    let way = ["timestamp", "snapshot", "targets"].into_iter();
    let below = via.iter().skip(1).copied().chain([wanted]);
    for name in way.chain(below) {
        files.push((repo.file(name), repo.files[&repo.file(name)].clone()));
        if name == wanted {
            break;
        }
    }
    Sighting {
        source: source.to_owned(),
        at: time(NOW),
        via: via.iter().map(|name| role(name)).collect(),
        files,
    }
}

fn roots(repo: &Repo) -> Vec<Vec<u8>> {
    (1..=repo.root.version)
        .map(|version| repo.files[&format!("{version}.root.json")].clone())
        .collect()
}

fn evidence(one: &Repo, other: &Repo, wanted: &str, via: &[&str]) -> Evidence {
    let version = canonical::parse(&one.files[&one.file(wanted)]).unwrap()["signed"]["version"]
        .as_u64()
        .unwrap();
    Evidence {
        role: role(wanted),
        version,
        roots: roots(one),
        sightings: [
            sighting(one, "https://one.example/", wanted, via),
            sighting(other, "https://other.example/", wanted, via),
        ],
    }
}

/// What is found by somebody who has the first root alone, from the file.
fn found(evidence: &Evidence, repo: &Repo) -> Result<Equivocation, EvidenceError> {
    let read = Evidence::parse(&evidence.to_json()).unwrap();
    assert_eq!(&read, evidence);
    read.verify(&repo.files["1.root.json"])
}

fn refused(evidence: &Evidence, repo: &Repo) -> String {
    let mut said = String::new();
    let error = found(evidence, repo).expect_err("it proves nothing");
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        said += &format!("{error}: ");
        cause = error.source();
    }
    said
}

const WAYS: [(&str, &[&str]); 5] = [
    ("timestamp", &[]),
    ("snapshot", &[]),
    ("targets", &[]),
    ("claimed", &["targets"]),
    ("packages-bin-2", &["targets", "packages"]),
];

#[test]
fn two_contents_of_one_version_are_proved_for_every_role() {
    let (one, other) = (index("one"), index("other"));
    for (name, via) in WAYS {
        let evidence = evidence(&one, &other, name, via);
        let found = found(&evidence, &one).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((found.role().as_str(), found.root_version()), (name, 1));
        assert_eq!(found.version(), evidence.version);
        let signed = [&one, &other].map(|repo| signed_digest(&repo.files[&repo.file(name)]));
        assert_eq!(found.signed().map(Some), signed.map(Result::ok));
    }
}

#[test]
fn two_roots_of_one_version_are_proved() {
    let (mut one, mut other) = (index("one"), index("other"));
    one.rotate("targets", vec![Signer::new("mine")], 1);
    other.rotate("targets", vec![Signer::new("theirs")], 1);
    one.publish("root");
    other.publish("root");
    let seen = |repo: &Repo, source: &str| Sighting {
        source: source.to_owned(),
        at: time(NOW),
        via: Vec::new(),
        files: vec![("2.root.json".to_owned(), repo.files["2.root.json"].clone())],
    };
    let evidence = Evidence {
        role: role("root"),
        version: 2,
        roots: vec![one.files["1.root.json"].clone()],
        sightings: [seen(&one, "one"), seen(&other, "other")],
    };
    let found = found(&evidence, &one).unwrap();
    assert_eq!((found.role().as_str(), found.root_version()), ("root", 1));
}

#[test]
fn an_honest_index_has_one_content_however_it_is_written() {
    let one = index("one");
    for (name, via) in WAYS {
        let mut evidence = evidence(&one, &one, name, via);
        let same = "have the same signed content";
        assert!(refused(&evidence, &one).contains(same), "{name}");
        // Written in another way, and with a signature more.
        let last = evidence.sightings[1].files.last_mut().unwrap();
        let mut file: Value = serde_json::from_slice(&last.1).unwrap();
        let stranger = Signer::new("stranger").sign(b"anything");
        let entry = serde_json::json!({
            "keyid": stranger.keyid.as_str(), "sig": hex::encode(&stranger.sig)
        });
        file["signatures"].as_array_mut().unwrap().insert(0, entry);
        file["beside"] = "what is signed".into();
        last.1 = serde_json::to_vec_pretty(&file).unwrap();
        assert!(refused(&evidence, &one).contains(same), "{name}");
    }
}

#[test]
fn another_version_is_progress() {
    let (one, mut other) = (index("one"), index("other"));
    other.publish_all();
    for (name, via) in WAYS {
        let said = refused(&evidence(&one, &other, name, via), &one);
        assert!(said.contains("has version"), "{name}: {said}");
    }
}

#[test]
fn what_is_not_signed_is_no_word_of_the_index() {
    let (one, mut other) = (index("one"), index("other"));
    for (name, via) in WAYS {
        let path = other.file(name);
        let before = other.files[&path].clone();
        other.tamper(name, |file| {
            file["signed"]["x-says"] = "something else".into()
        });
        let said = refused(&evidence(&one, &other, name, via), &one);
        assert!(said.contains("signed by 0 of the 1 keys"), "{name}: {said}");
        other.files.insert(path, before);
    }
}

/// The bins share a key: where they do not say which one they are, one can be passed off as
/// another.
#[test]
fn two_bins_of_one_key_are_not_two_contents_of_one_bin() {
    let one = index("one");
    let mut evidence = evidence(&one, &one, "packages-bin-2", &["targets", "packages"]);
    let (_, bytes) = evidence.sightings[1].files.last_mut().unwrap();
    *bytes = one.files[&one.file("packages-bin-1")].clone();
    let said = refused(&evidence, &one);
    assert!(
        said.contains("it is the metadata of packages-bin-1"),
        "{said}"
    );

    let silent = |says: &str| {
        let mut repo = index(says);
        for name in ["targets", "claimed", "packages-bin-2"] {
            repo.role_mut(name).extra.clear();
        }
        repo.publish_all();
        repo
    };
    let (one, other) = (silent("one"), silent("other"));
    for (name, via) in &WAYS[2..] {
        let said = refused(&self::evidence(&one, &other, name, via), &one);
        assert!(said.contains("does not state that it is"), "{name}: {said}");
    }
}

#[test]
fn versions_that_begin_anew_with_new_keys_are_no_contradiction() {
    let (one, mut other) = (index("one"), index("other"));
    other.rotate("timestamp", vec![Signer::new("new")], 1);
    other.publish("root");
    other.timestamp.version = one.timestamp.version - 1;
    other.publish("timestamp");
    for chain in [roots(&one), roots(&other)] {
        let mut evidence = evidence(&one, &other, "timestamp", &[]);
        evidence.roots = chain;
        let said = refused(&evidence, &one);
        assert!(said.contains("signed by 0 of the 1 keys"), "{said}");
    }
}

/// Whoever signs for a project has keys of their own, and the way is what they say it is.
#[test]
fn a_role_below_a_project_is_no_role_of_the_index() {
    let forged = |says: &str, name: &str| {
        let mut repo = index("one");
        let paths = PathSet::Patterns(vec!["packages/*/*".into()]);
        repo.delegate("claimed", "project-a", paths.clone());
        repo.delegate("project-a", name, paths);
        for name in ["project-a", name] {
            let role = role(name);
            repo.role_mut(name).state_role(&role);
        }
        repo.add(name, "packages/a/a-1.tar.gz", says.as_bytes());
        repo.publish_all();
        repo
    };
    let via = ["targets", "claimed", "project-a"];
    for name in [
        "simple-26",
        "project-b",
        "project-ab.x",
        "project-b.a",
        "project-a.",
    ] {
        let (one, other) = (forged("one", name), forged("other", name));
        let said = refused(&evidence(&one, &other, name, &via), &one);
        assert!(said.contains("nothing delegates to"), "{name}: {said}");
    }
    let name = "project-a.builds";
    let (one, other) = (forged("one", name), forged("other", name));
    let found = found(&evidence(&one, &other, name, &via), &one).unwrap();
    assert_eq!(found.via(), via.map(role));
    assert_eq!(found.keyids(), [Signer::new(name).key().keyid().clone()]);
}

#[test]
fn two_ways_to_one_name_lead_to_two_roles() {
    let index = |says: &str| {
        let mut repo = index(says);
        let paths = PathSet::Patterns(vec!["packages/*/*".into()]);
        repo.delegate("targets", "shared", paths.clone());
        repo.delegate("claimed", "shared", paths);
        repo.role_mut("shared").state_role(&role("shared"));
        repo.add("shared", "packages/a/a-1.tar.gz", says.as_bytes());
        repo.publish_all();
        repo
    };
    let (one, other) = (index("one"), index("other"));
    let mut evidence = evidence(&one, &other, "shared", &["targets"]);
    found(&evidence, &one).unwrap();
    evidence.sightings[1] = sighting(&other, "other", "shared", &["targets", "claimed"]);
    let said = refused(&evidence, &one);
    assert!(said.contains("by different roles"), "{said}");
}

/// As at the root: with new keys, the versions of a delegated role may begin anew.
#[test]
fn a_role_that_was_given_other_keys_is_another_one() {
    let (one, mut other) = (index("one"), index("other"));
    let new = Signer::new("new");
    let delegations = other.targets.delegations.as_mut().unwrap();
    let key = new.key().clone();
    delegations.keys.insert(key.keyid().clone(), key.clone());
    let DelegatedRoles::Listed(roles) = &mut delegations.roles else {
        panic!("the top-level targets list their roles");
    };
    for role in roles {
        role.keys.keyids = vec![key.keyid().clone()];
    }
    for name in ["claimed", "packages"] {
        other
            .signers
            .insert(name.to_owned(), vec![Signer::new("new")]);
    }
    for name in ["claimed", "packages"] {
        other.write(name);
    }
    other.publish("targets snapshot timestamp");
    for (name, via) in &WAYS[3..] {
        let said = refused(&evidence(&one, &other, name, via), &one);
        assert!(
            said.contains("are others in one sighting"),
            "{name}: {said}"
        );
    }
}

#[test]
fn only_a_root_of_the_chain_will_do() {
    let (mut one, mut other) = (index("one"), index("other"));
    for _ in 0..3 {
        one.publish("root");
        other.publish("root");
    }
    let mut evidence = evidence(&one, &other, "snapshot", &[]);
    evidence.roots.remove(0);
    for version in 1..=4 {
        let root = &one.files[&format!("{version}.root.json")];
        assert_eq!(evidence.verify(root).unwrap().root_version(), 4);
    }
    evidence.roots.pop();
    let said = |root: &[u8]| evidence.verify(root).unwrap_err().to_string();
    let out = "the root that was given has version 4, the evidence's are 2 to 3";
    assert_eq!(said(&one.files["4.root.json"]), out);
    assert_eq!(said(b"{}"), "the root that was given is unusable");
    let mut stranger = Repo::new();
    stranger.rotate("root", vec![Signer::new("stranger")], 1);
    stranger.publish("root");
    let said = said(&stranger.files["2.root.json"]);
    assert_eq!(
        said,
        "the evidence has another root of version 2 than was given"
    );
    // One before the first of them, which has not signed that.
    stranger.root.version = 0;
    stranger.publish("root");
    let theirs = evidence.verify(&stranger.files["1.root.json"]).unwrap_err();
    assert!(matches!(theirs, EvidenceError::Refused { .. }), "{theirs}");
}

#[test]
fn roots_must_follow_each_other() {
    let (mut one, mut other) = (index("one"), index("other"));
    for _ in 0..2 {
        one.publish("root");
        other.publish("root");
    }
    let whole = evidence(&one, &other, "snapshot", &[]);
    found(&whole, &one).unwrap();
    for change in [
        |roots: &mut Vec<Vec<u8>>| drop(roots.remove(1)),
        |roots: &mut Vec<Vec<u8>>| roots.swap(1, 2),
        |roots: &mut Vec<Vec<u8>>| roots[0] = b"{}".to_vec(),
    ] {
        let mut evidence = whole.clone();
        change(&mut evidence.roots);
        let said = refused(&evidence, &one);
        assert!(said.contains("root number"), "{said}");
    }
}

#[test]
fn everything_in_it_has_a_part_in_the_proof() {
    let (one, other) = (index("one"), index("other"));
    let bin = ("packages-bin-2", &["targets", "packages"][..]);
    let whole = evidence(&one, &other, bin.0, bin.1);
    for place in 0..whole.sightings[0].files.len() {
        let mut evidence = whole.clone();
        let (path, _) = evidence.sightings[0].files.remove(place);
        let said = refused(&evidence, &one);
        assert!(said.contains(&format!("lacks {path}")), "{said}");
    }
    let mut more = whole.clone();
    let claimed = (one.file("claimed"), one.files[&one.file("claimed")].clone());
    more.sightings[1].files.push(claimed);
    assert!(refused(&more, &one).contains("which proves nothing"));
    for via in [
        &[][..],
        &["packages"],
        &["targets"],
        &["targets", "claimed"],
    ] {
        let mut evidence = whole.clone();
        for sighting in &mut evidence.sightings {
            sighting.via = via.iter().map(|name| role(name)).collect();
        }
        refused(&evidence, &one);
    }
    let mut top = evidence(&one, &other, "targets", &[]);
    for sighting in &mut top.sightings {
        sighting.via = vec![role("targets")];
    }
    assert!(refused(&top, &one).contains("nothing delegates to targets"));
    for name in [
        "packages-bin-4",
        "packages-bin-02",
        "packages-bin",
        "claimed",
        "nobody",
    ] {
        let mut evidence = whole.clone();
        evidence.role = role(name);
        let said = refused(&evidence, &one);
        assert!(said.contains("nothing delegates to"), "{name}: {said}");
    }
}

#[test]
fn what_no_client_took_at_that_time_does_not_count() {
    let (one, other) = (index("one"), index("other"));
    let mut evidence = evidence(&one, &other, "snapshot", &[]);
    evidence.sightings[1].at = time("2031-01-01T00:00:00Z");
    assert!(refused(&evidence, &one).contains("it expired at"));
}

#[test]
fn a_file_that_is_no_evidence() {
    let (one, other) = (index("one"), index("other"));
    let whole = evidence(&one, &other, "timestamp", &[]).to_json();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    let check = |change: fn(&mut Value), expected: &str| {
        let mut file = whole.clone();
        change(&mut file);
        let bytes = serde_json::to_vec(&file).unwrap();
        let said = Evidence::parse(&bytes).unwrap_err().to_string();
        assert_eq!(said, expected);
    };
    let form = "the file is not an evidence";
    check(|file| file["more"] = 1.into(), form);
    check(|file| file["seen"][0]["more"] = 1.into(), form);
    check(|file| file["version"] = (-1).into(), form);
    check(
        |file| file["wheelmark-evidence"] = 2.into(),
        "the evidence is of format 2, only 1 is known",
    );
    check(
        |file| file["claim"] = "theft".into(),
        "`claim` is not `equivocation`",
    );
    check(
        |file| file["roots"] = Value::Array(Vec::new()),
        "`roots` is not a list of 1 to 256 roots",
    );
    check(
        |file| file["roots"][0] = "!".into(),
        "`roots` is not in base64",
    );
    check(
        |file| file["role"] = "".into(),
        "`role` is not the name of a role",
    );
    check(
        |file| drop(file["seen"].as_array_mut().unwrap().pop()),
        "`seen` is not a list of two sightings",
    );
    check(
        |file| file["seen"][0]["source"] = "\u{1b}[2J".into(),
        "`source` is not a name of at most 2048 bytes",
    );
    check(
        |file| file["seen"][0]["at"] = "yesterday".into(),
        "`at` is not a time of the form YYYY-MM-DDTHH:MM:SSZ",
    );
}

/// Every file that an honest index published over some time, with its keys changed meanwhile.
fn honest_past() -> (Repo, Vec<(String, Vec<u8>)>) {
    let mut repo = index("first");
    let mut all = Vec::new();
    for round in 0..3 {
        repo.add("packages-bin-1", "packages/b/b.tar.gz", &[round]);
        repo.add("claimed", "packages/c/c.tar.gz", &[round]);
        if round == 1 {
            repo.rotate("timestamp", vec![Signer::new("second")], 1);
            repo.publish("root");
        }
        repo.publish_all();
        let timestamp = repo.files["timestamp.json"].clone();
        all.push(("timestamp.json".to_owned(), timestamp));
    }
    let others = repo
        .files
        .iter()
        .filter(|(path, _)| *path != "timestamp.json");
    all.extend(others.map(|(path, bytes)| (path.clone(), bytes.clone())));
    (repo, all)
}

proptest! {
    /// Whoever writes an evidence has every file that the index ever published, and can say of
    /// each that it is another.
    #[test]
    fn nothing_holds_against_an_honest_index(
        role_at in 0_usize..WAYS.len(),
        version in 1_u64..5,
        roots in 1_usize..3,
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 10),
    ) {
        let (repo, all) = honest_past();
        let (name, via) = WAYS[role_at];
        let mut picks = picks.into_iter();
        let mut seen = |source: &str| {
            let mut sighting = sighting(&repo, source, name, via);
            for (path, bytes) in &mut sighting.files {
                let (pick, lie) = picks.next().unwrap();
                let right: Vec<_> = all.iter().filter(|(other, _)| {
                    let stem = |path: &str| path.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
                    stem(other) == stem(path)
                }).collect();
                let (other, content) = *pick.get(&right);
                *bytes = content.clone();
                if !lie {
                    *path = other.clone();
                }
            }
            sighting
        };
        let evidence = Evidence {
            role: role(name),
            version,
            sightings: [seen("one"), seen("other")],
            roots: self::roots(&repo)[..roots].to_vec(),
        };
        prop_assert!(evidence.verify(&repo.files["1.root.json"]).is_err());
    }

    /// What is changed in a good one either breaks it or leaves the same proof.
    #[test]
    fn a_changed_evidence_proves_the_same_or_nothing(
        role_at in 0_usize..WAYS.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (one, other) = (index("one"), index("other"));
        let (name, via) = WAYS[role_at];
        let evidence = evidence(&one, &other, name, via);
        let proved = found(&evidence, &one).unwrap();
        let mut json = evidence.to_json();
        for (at, byte) in changes {
            let at = at.index(json.len());
            json[at] = byte;
        }
        if let Ok(read) = Evidence::parse(&json)
            && let Ok(found) = read.verify(&one.files["1.root.json"])
        {
            prop_assert_eq!(found, proved);
        }
    }

    #[test]
    fn any_bytes_can_be_read(bytes in any::<Vec<u8>>()) {
        if let Ok(read) = Evidence::parse(&bytes) {
            prop_assert!(read.verify(&bytes).is_err());
        }
        prop_assert!(signed_digest(&bytes).is_err() || !Sha256::of(&bytes).0.is_empty());
    }
}
