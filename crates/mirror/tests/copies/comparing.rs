//! Observations of several sources, held against each other: whoever is asked first, and whatever
//! else is wrong with one of them.

use std::path::{Path, PathBuf};

use wheelmark_mirror::{
    CrossCheck, CrossCheckOptions, DirectoryPlace, Position, Source, cross_check,
};
use wheelmark_tuf::{Clock as _, Evidence, RoleName};

use crate::copying::walk;
use crate::index::TestIndex;

/// A copy of a tree's metadata as it is now.
fn keep(index: &TestIndex, name: &str) -> PathBuf {
    let to = index.beside(name);
    for file in walk(index.root()) {
        if file.starts_with("metadata/") {
            let to = to.join(&file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(index.path(&file), to).unwrap();
        }
    }
    to
}

fn compare(index: &TestIndex, sources: &[(&str, &Path)]) -> CrossCheck {
    let sources: Vec<Source<DirectoryPlace>> = sources
        .iter()
        .map(|(name, root)| Source {
            name: (*name).to_owned(),
            place: DirectoryPlace::new(root, 2, None),
        })
        .collect();
    let options = CrossCheckOptions {
        now: index.clock.now(),
        quick: false,
        reference: None,
    };
    cross_check(&sources, &index.first_root(), None, &options, &|_| {})
}

/// Every order in which three can be asked.
fn orders<T: Copy>([a, b, c]: [T; 3]) -> [[T; 3]; 6] {
    [
        [a, b, c],
        [a, c, b],
        [b, a, c],
        [b, c, a],
        [c, a, b],
        [c, b, a],
    ]
}

#[tokio::test]
async fn the_order_of_sources_decides_nothing() {
    let mut index = TestIndex::with_files().await;
    let old = keep(&index, "old");
    index.add("demo-3.0.tar.gz", b"new").await;
    index.publish().await;
    let (new, same) = (keep(&index, "new"), keep(&index, "same"));
    let sources = [("old", &*old), ("new", &*new), ("same", &*same)];
    for order in orders(sources) {
        let found = compare(&index, &order);
        assert!(found.contradictions.is_empty(), "{order:?}: {found:?}");
        for source in &found.sources {
            match (source.name.as_str(), &source.position) {
                ("old", Position::Behind { versions: 1, .. }) => {}
                ("new" | "same", Position::Equal) => {}
                other => panic!("{order:?}: {other:?}"),
            }
        }
    }
}

/// An index that shows one source, which is behind as well, another version 2 of its bins.
async fn with_two_faces() -> (TestIndex, PathBuf, PathBuf, PathBuf) {
    let mut index = TestIndex::with_files().await;
    // The one face: the next state, as the engine never signed it.
    let before = keep(&index, "before");
    index
        .sign_anew(|role, targets| {
            if role.as_str().starts_with("simple-") {
                targets.targets.clear();
            }
        })
        .await;
    let other = keep(&index, "other");
    // The other face, which goes on for longer.
    for file in walk(index.root()) {
        if file.starts_with("metadata/") && !before.join(&file).exists() {
            std::fs::remove_file(index.path(&file)).unwrap();
        }
    }
    let timestamp = "metadata/timestamp.json";
    std::fs::copy(before.join(timestamp), index.path(timestamp)).unwrap();
    for number in 0..3 {
        for project in ["demo", "other_project", "third", "fourth"] {
            let name = format!("{project}-9.{number}.tar.gz");
            index.add(&name, b"another").await;
        }
        index.publish().await;
        if number == 0 {
            std::fs::rename(keep(&index, "next-new"), index.beside("next")).unwrap();
        }
    }
    let newest = keep(&index, "newest");
    let next = index.beside("next");
    (index, other, next, newest)
}

#[tokio::test]
async fn a_source_that_is_behind_can_be_a_liar_as_well() {
    let (index, other, next, newest) = with_two_faces().await;
    let sources = [("other", &*other), ("next", &*next), ("newest", &*newest)];
    for order in orders(sources) {
        let found = compare(&index, &order);
        let other = found.sources.iter().find(|source| source.name == "other");
        let position = &other.unwrap().position;
        assert!(
            matches!(position, Position::Behind { versions: 2, .. }),
            "{order:?}: {position:?}"
        );
        // What both show in one version: the state that is behind, and roles below it.
        let mut roles: Vec<&str> = Vec::new();
        for contradiction in &found.contradictions {
            let mut pair = contradiction.sources.clone();
            pair.sort();
            assert_eq!(pair, ["next", "other"], "{order:?}");
            assert!(contradiction.proof.is_ok(), "{:?}", contradiction.proof);
            roles.push(contradiction.role.as_str());
        }
        assert!(roles.contains(&"snapshot"), "{order:?}: {roles:?}");
        assert!(
            roles.iter().any(|role| role.starts_with("simple-")),
            "{order:?}: {roles:?}"
        );
    }
    // Without the one that shows the same version there is nothing to prove.
    let apart = compare(&index, &[("newest", &newest), ("other", &other)]);
    let top = [RoleName::timestamp(), RoleName::snapshot()];
    let is_top = |role: &RoleName| top.contains(role);
    assert!(
        !apart.contradictions.iter().any(|found| is_top(&found.role)),
        "{apart:?}"
    );
}

#[tokio::test]
async fn a_part_of_an_evidence_proves_nothing() {
    let (index, other, next, _) = with_two_faces().await;
    let found = compare(&index, &[("other", &other), ("next", &next)]);
    let root = index.first_root();
    let mut proved = 0;
    for contradiction in found.contradictions {
        let json = contradiction.proof.unwrap().evidence.to_json();
        let whole = Evidence::parse(&json).unwrap();
        whole.verify(&root).unwrap();
        // Cut off anywhere: the last byte is a line's end.
        for length in (0..json.len() - 1).step_by(97).chain([json.len() - 2]) {
            assert!(Evidence::parse(&json[..length]).is_err(), "{length}");
        }
        // Each file cut off, or gone.
        for sighting in 0..2 {
            let files = whole.sightings[sighting].files.len();
            for file in 0..files {
                let mut cut = Evidence::parse(&json).unwrap();
                let bytes = &mut cut.sightings[sighting].files[file].1;
                bytes.truncate(bytes.len() - 1);
                assert!(cut.verify(&root).is_err());
                let mut cut = Evidence::parse(&json).unwrap();
                cut.sightings[sighting].files.remove(file);
                assert!(cut.verify(&root).is_err());
            }
        }
        let mut cut = Evidence::parse(&json).unwrap();
        cut.roots.clear();
        assert!(cut.verify(&root).is_err());
        proved += 1;
    }
    assert!(proved > 1);
}

/// Puts the metadata back to what was kept, and takes away what came since.
fn put_back(index: &TestIndex, kept: &Path) {
    for file in walk(index.root()) {
        if file.starts_with("metadata/") && !kept.join(&file).exists() {
            std::fs::remove_file(index.path(&file)).unwrap();
        }
    }
    let timestamp = "metadata/timestamp.json";
    std::fs::copy(kept.join(timestamp), index.path(timestamp)).unwrap();
}

/// It fails no source, and of two contents of it there is a proof as of when it was good.
#[tokio::test]
async fn a_project_whose_role_has_expired_is_named_and_compared() {
    let index = TestIndex::with_files().await;
    let page = index.page("demo").await;
    index.claim("demo", true, page).await;
    let before = keep(&index, "before");
    let mut kept = Vec::new();
    for hours in [1, 2] {
        let expired = index.clock.now() - jiff::SignedDuration::from_hours(hours);
        index
            .sign_anew(|role, targets| {
                if role.as_str() == "project-demo" {
                    targets.expires = expired;
                }
            })
            .await;
        kept.push(keep(&index, &format!("ended-{hours}")));
        put_back(&index, &before);
    }
    let alone = compare(&index, &[("one", &kept[0]), ("same", &kept[0])]);
    assert!(
        !alone.has_failures() && alone.contradictions.is_empty(),
        "{alone:?}"
    );
    for source in &alone.sources {
        let ended: Vec<&str> = source.ended.iter().map(RoleName::as_str).collect();
        assert_eq!(ended, ["project-demo"]);
    }
    let two = compare(&index, &[("one", &kept[0]), ("other", &kept[1])]);
    let of_project = |found: &&wheelmark_mirror::Contradiction| found.role.is_of_project();
    let found = two.contradictions.iter().find(of_project).unwrap();
    let proof = found.proof.as_ref().unwrap();
    proof.evidence.verify(&index.first_root()).unwrap();
}
