//! Bytes in the tree that are no longer those that were signed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wheelmark_adopt::Choices;
use wheelmark_objects::{ObjectPath, Sharing};
use wheelmark_tuf::Sha256;

use super::world::{World, all, published};

const NAME: &str = "a-1.tar.gz";

fn rehash() -> Choices {
    Choices {
        rehash: true,
        ..all()
    }
}

/// The file's object and plain name in the tree.
fn places(world: &World, content: &[u8]) -> [PathBuf; 2] {
    let project = "a".parse().unwrap();
    let object = ObjectPath::file(&project, &Sha256::of(content), NAME).unwrap();
    let plain = ObjectPath::plain_file(&project, NAME).unwrap();
    [object, plain].map(|path| world.tree.local_path(&path))
}

/// Writes into a file in place, whatever other names it has; the time that it had.
fn damage(path: &Path) -> SystemTime {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let len = fs::metadata(path).unwrap().len();
    fs::write(path, "x".repeat(usize::try_from(len).unwrap())).unwrap();
    time
}

fn set_time(path: &Path, time: SystemTime) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn the_right_bytes_in_the_source_mend_the_tree() {
    let world = World::new().await;
    world.write(NAME, "good");
    world.pass_and(all(), &published()).await;
    let source = world.source().join(NAME);
    let good = fs::read(&source).unwrap();
    let [object, plain] = places(&world, &good);
    fs::create_dir_all(plain.parent().unwrap()).unwrap();
    fs::hard_link(&object, &plain).unwrap();
    // As through a hard link: the source and the tree at once.
    let time = damage(&source);
    damage(&object);
    let conflicts = world.pass(all()).await.unwrap().conflicts;
    assert!(!conflicts[0].signed_bytes_are_here);

    // There is nothing to keep.
    let keep = Choices {
        keep: BTreeSet::from([NAME.to_owned()]),
        ..all()
    };
    let report = world.pass(keep).await.unwrap();
    assert_eq!((report.counts.kept, report.counts.conflicts), (0, 1));

    // A new file in its place, with the old time, as a backup brings it.
    world.write(NAME, "good");
    set_time(&source, time);
    let report = world.pass(all()).await.unwrap();
    assert_eq!((report.counts.conflicts, report.counts.mended), (0, 1));
    for place in [&object, &plain] {
        assert_eq!(fs::read(place).unwrap(), good, "{}", place.display());
    }
    let again = world.pass(rehash()).await.unwrap().counts;
    assert_eq!((again.mended, again.unchanged), (0, 1));
    assert_eq!(world.journal().await, ["back a-1.tar.gz"]);
}

#[tokio::test]
async fn what_was_emptied_in_place_is_mended_as_well() {
    let world = World::new().await;
    world.write(NAME, "good");
    world.pass_and(all(), &published()).await;
    let source = world.source().join(NAME);
    let good = fs::read(&source).unwrap();
    let time = fs::metadata(&source).unwrap().modified().unwrap();
    let [object, _] = places(&world, &good);
    for path in [&source, &object] {
        fs::write(path, "").unwrap();
    }
    assert_eq!(world.pass(all()).await.unwrap().counts.failed, 1);
    world.write(NAME, "good");
    set_time(&source, time);
    assert_eq!(world.pass(all()).await.unwrap().counts.mended, 1);
    assert_eq!(fs::read(&object).unwrap(), good);
}

#[tokio::test]
async fn a_damaged_copy_is_mended_by_reading_everything() {
    let world = World::new().await;
    world.write(NAME, "good");
    let copy = Choices {
        sharing: Sharing::Never,
        ..all()
    };
    world.pass_and(copy, &published()).await;
    let good = fs::read(world.source().join(NAME)).unwrap();
    let [object, _] = places(&world, &good);
    damage(&object);
    assert_eq!(world.pass(all()).await.unwrap().counts.mended, 0);
    let report = world.pass(rehash()).await.unwrap();
    assert_eq!((report.counts.mended, report.counts.unchanged), (1, 1));
    assert_eq!(report.mended[0].name, NAME);
    assert_eq!(fs::read(&object).unwrap(), good);
    // Also one that is gone altogether.
    fs::remove_file(&object).unwrap();
    assert_eq!(world.pass(rehash()).await.unwrap().counts.mended, 1);
    assert_eq!(fs::read(&object).unwrap(), good);
}

#[tokio::test]
async fn a_file_that_comes_back_is_looked_at_in_the_tree() {
    let world = World::new().await;
    for name in [NAME, "b-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass_and(all(), &published()).await;
    let source = world.source().join(NAME);
    let good = fs::read(&source).unwrap();
    fs::remove_file(&source).unwrap();
    world.pass_and(all(), &published()).await;
    let [object, plain] = places(&world, &good);
    damage(&object);
    world.write(NAME, NAME);
    let report = world.pass(all()).await.unwrap();
    assert_eq!((report.counts.mended, report.counts.failed), (1, 0));
    assert_eq!(fs::read(&object).unwrap(), good);
    assert!(!plain.exists(), "it is not on the index yet");
    assert_eq!(
        world.journal().await[2..],
        ["gone a-1.tar.gz", "new a-1.tar.gz"]
    );
}

#[tokio::test]
async fn what_not_everybody_could_read_is_told() {
    let world = World::new().await;
    for name in [NAME, "b-1.tar.gz"] {
        world.write(name, name);
    }
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(world.source().join(NAME), private).unwrap();
    let report = world.pass(all()).await.unwrap();
    assert_eq!(
        (report.counts.back_signed, report.counts.made_public),
        (2, 1)
    );
    assert_eq!(report.made_public[0].name, NAME);
}

/// Writes a wheel into the source; the object and the plain name of its core metadata.
fn wheel(world: &World) -> [PathBuf; 2] {
    const NAME: &str = "a-1-py3-none-any.whl";
    let metadata = "Metadata-Version: 2.1\nName: a\nVersion: 1\n";
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [
        ("a.py", ""),
        ("a-1.dist-info/METADATA", metadata),
        ("a-1.dist-info/WHEEL", "Wheel-Version: 1.0\n"),
        ("a-1.dist-info/RECORD", ""),
    ] {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    world.write(NAME, zip.finish().unwrap().into_inner());
    let project = "a".parse().unwrap();
    let sha256 = Sha256::of(metadata.as_bytes());
    let object = ObjectPath::file_metadata(&project, &sha256, NAME).unwrap();
    let plain = ObjectPath::plain_file_metadata(&project, NAME).unwrap();
    [object, plain].map(|path| world.tree.local_path(&path))
}

#[tokio::test]
async fn damaged_metadata_of_a_signed_wheel_is_mended() {
    let world = World::new().await;
    let [object, plain] = wheel(&world);
    world.pass_and(all(), &published()).await;
    let good = fs::read(&object).unwrap();
    fs::create_dir_all(plain.parent().unwrap()).unwrap();
    fs::hard_link(&object, &plain).unwrap();
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    damage(&object);
    let report = world.pass(rehash()).await.unwrap();
    assert_eq!((report.counts.mended, report.counts.unchanged), (1, 1));
    for place in [&object, &plain] {
        assert_eq!(fs::read(place).unwrap(), good, "{}", place.display());
    }
    fs::remove_file(&object).unwrap();
    assert_eq!(world.pass(rehash()).await.unwrap().counts.mended, 1);
    assert_eq!(world.pass(rehash()).await.unwrap().counts.mended, 0);
}

#[tokio::test]
async fn damaged_metadata_of_a_wheel_that_comes_back_stops_nothing() {
    let world = World::new().await;
    let [object, _] = wheel(&world);
    for name in ["b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass_and(all(), &published()).await;
    let good = fs::read(&object).unwrap();
    fs::remove_file(world.source().join("a-1-py3-none-any.whl")).unwrap();
    world.pass_and(all(), &published()).await;
    fs::set_permissions(&object, fs::Permissions::from_mode(0o644)).unwrap();
    damage(&object);
    wheel(&world);
    world.write("d-1.tar.gz", "d");
    let report = world.pass(all()).await.unwrap();
    assert_eq!(report.counts.mended, 1, "{report:?}");
    assert_eq!(fs::read(&object).unwrap(), good);
    let asked: BTreeSet<String> = world.journal().await.split_off(4).into_iter().collect();
    let expected = ["new a-1-py3-none-any.whl", "new d-1.tar.gz"];
    assert_eq!(asked, expected.map(str::to_owned).into());
}
