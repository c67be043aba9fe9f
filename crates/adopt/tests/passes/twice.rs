//! Names that stand more than once in the source, and decisions about them.

use std::fs;

use wheelmark_adopt::Choices;

use super::world::{World, all, published};

fn keep(name: &str) -> Choices {
    Choices {
        keep: [name.to_owned()].into(),
        ..all()
    }
}

#[tokio::test]
async fn a_name_that_stands_twice_is_decided_once() {
    let world = World::new().await;
    world.write("x/a-1.tar.gz", "one");
    world.write("y/a-1.tar.gz", "other");
    let conflict = world.pass(all()).await.unwrap().conflicts.remove(0);
    assert!(conflict.stands_twice);
    assert_eq!(conflict.place, "y/a-1.tar.gz", "the first one is signed");
    let conflict = world.pass(all()).await.unwrap().conflicts.remove(0);
    assert!(conflict.stands_twice, "also when it is known");
    assert_eq!(world.pass(keep("a-1.tar.gz")).await.unwrap().counts.kept, 1);
    for _ in 0..3 {
        let counts = world.pass(all()).await.unwrap().counts;
        assert_eq!((counts.kept, counts.unchanged, counts.conflicts), (1, 1, 0));
        assert_eq!(counts.bytes_read, 0, "nothing is read again");
    }
    assert_eq!(world.journal().await, ["back a-1.tar.gz"]);
}

#[tokio::test]
async fn a_decision_at_the_first_import_is_remembered() {
    let world = World::new().await;
    world.write("x/a-1.tar.gz", "one");
    world.write("y/a-1.tar.gz", "other");
    let counts = world.pass(keep("a-1.tar.gz")).await.unwrap().counts;
    assert_eq!((counts.kept, counts.conflicts), (1, 0));
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.kept, counts.conflicts), (1, 0));
}

#[tokio::test]
async fn a_source_that_shows_the_signed_bytes_again_is_as_it_was() {
    let world = World::new().await;
    world.write("a-1.tar.gz", "one");
    world.pass(all()).await.unwrap();
    world.write("a-1.tar.gz", "other");
    assert_eq!(world.pass(keep("a-1.tar.gz")).await.unwrap().counts.kept, 1);
    world.write("a-1.tar.gz", "one");
    for _ in 0..2 {
        let counts = world.pass(all()).await.unwrap().counts;
        assert_eq!((counts.kept, counts.unchanged), (0, 1));
    }
    world.write("a-1.tar.gz", "other");
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.kept, counts.conflicts), (1, 0));
}

#[tokio::test]
async fn nothing_is_kept_of_what_was_removed() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass_and(all(), &published()).await;
    fs::remove_file(world.source().join("a-1.tar.gz")).unwrap();
    assert_eq!(world.pass_and(all(), &published()).await.counts.removed, 1);
    world.write("a-1.tar.gz", "other");
    let report = world.pass(keep("a-1.tar.gz")).await.unwrap();
    assert_eq!((report.counts.kept, report.counts.conflicts), (0, 1));
    assert!(report.conflicts[0].was_removed);
    let withdraw = Choices {
        withdraw: ["a-1.tar.gz".to_owned()].into(),
        ..all()
    };
    assert_eq!(world.pass(withdraw).await.unwrap().counts.conflicts, 0);
    assert_eq!(world.pass(all()).await.unwrap().counts.conflicts, 0);
}
