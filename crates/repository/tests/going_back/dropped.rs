//! What goes is named for whoever has it, and its name stays free.

use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_repository::Turn;
use wheelmark_store::Change;
use wheelmark_tuf::{Clock as _, Sha256};

use super::{EVIL, World, order};
use crate::holding::{NAME, engine_with};
use crate::robbed::next_key;

fn digest(bytes: &[u8]) -> Sha256Hex {
    Sha256Hex(Sha256::of(bytes).0)
}

async fn turns(world: &World) {
    let mut engine = engine_with(&world.index, next_key(&world.index).into()).await;
    while engine.turn().await.unwrap() != Turn::Idle {}
    engine.flush().await.unwrap();
}

#[tokio::test]
async fn a_file_that_goes_is_named_and_takes_no_name() {
    let world = World::new().await;
    // One that was published and taken away again, while the key was in other hands.
    let brief = "demo-1.5-py3-none-any.whl";
    world.index.upload(brief, b"a brief one").await;
    let mut running = engine_with(&world.index, world.index.logged()).await;
    while running.turn().await.unwrap() != Turn::Idle {}
    order(
        &world.index,
        Change::FileRemoved {
            project: "demo".parse().unwrap(),
            filename: brief.to_owned(),
            reason: None,
        },
    )
    .await;
    while running.turn().await.unwrap() != Turn::Idle {}
    running.flush().await.unwrap();
    drop(running);

    let back = world.going_back(&[]).await;
    let recovered = world.index.clock.now();
    world.goes_back(&back).await.unwrap();
    let page = world.index.page("demo").unwrap();
    let (evil, gone) = (digest(b"an evil wheel"), digest(b"a brief one"));
    let named = page.dropped();
    assert_eq!(named.len(), 2, "{named:?}");
    for (sha256, name) in [(evil, EVIL), (gone, brief)] {
        let dropped = &page.wheelmark.dropped[&sha256];
        assert_eq!(dropped.filename.as_str(), name);
        assert_eq!(dropped.at.as_second(), recovered.as_second());
        assert!(dropped.since < dropped.at);
    }
    assert!(page.wheelmark.removed.is_empty());

    // The project's own people publish under the name, and it stays known which bytes are not theirs.
    let seq = world.index.upload(EVIL, b"a good wheel").await;
    turns(&world).await;
    assert!(world.index.published(seq).await);
    let page = world.index.page("demo").unwrap();
    let good = page.file(EVIL).unwrap().sha256();
    assert_eq!(good, Some(digest(b"a good wheel")));
    assert_eq!(page.dropped().len(), 2);
    // What was dropped in doubt comes back as it was, and then there is nothing to say of it.
    let seq = world.index.upload(brief, b"a brief one").await;
    turns(&world).await;
    assert!(world.index.published(seq).await);
    let page = world.index.page("demo").unwrap();
    assert_eq!(world.index.files("demo"), [NAME, brief, EVIL]);
    let named: Vec<_> = page.dropped().into_iter().map(|(it, _)| it).collect();
    assert_eq!(named, [evil]);
}
