//! Sources that seem to have less than they had.

use std::fs;
use std::os::unix::fs::symlink;

use wheelmark_adopt::{Choices, Form, PassError, Source};
use wheelmark_client::Remote;

use super::world::{World, all};

fn accept() -> Choices {
    Choices {
        accept_loss: true,
        ..all()
    }
}

#[tokio::test]
async fn half_a_page_takes_nothing_away() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "a-2.tar.gz", "a-3.tar.gz"] {
        world.write(name, name);
    }
    let begin = "<html><body><a href=../../a-1.tar.gz>1</a>";
    let rest = "<a href=../../a-2.tar.gz>2</a>";
    let page = |text: &str| world.write("simple/a/index.html", text);
    page(&format!("{begin}{rest}</body></html>"));
    world.pass(all()).await.unwrap();
    page(&format!("{begin}<a href=../../a-3.tar.gz>3</a>"));
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!((counts.removed, counts.unread_projects), (0, 1));
    assert_eq!(counts.signed_at_discovery, 1, "what it lists is followed");
    assert!(report.unread[0].why.contains("a-2.tar.gz"), "{report:?}");
    // A generator that never closes its pages misses nothing as long as they list everything.
    page(&format!("{begin}{rest}<a href=../../a-3.tar.gz>3</a>"));
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.removed, counts.unread_projects), (0, 0));
    page(begin);
    assert_eq!(world.pass(accept()).await.unwrap().counts.removed, 2);
}

#[tokio::test]
async fn a_page_that_stands_in_for_a_better_one_takes_nothing_away() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "a-2.tar.gz"] {
        world.write(name, name);
    }
    let file =
        |name: &str| format!(r#"{{"filename":"{name}","url":"../../{name}","hashes":{{}}}}"#);
    let json = format!(
        r#"{{"meta":{{"api-version":"1.0"}},"name":"a","files":[{},{}]}}"#,
        file("a-1.tar.gz"),
        file("a-2.tar.gz")
    );
    world.write(
        "simple/a/index.html",
        "<html><a href=../../a-1.tar.gz>1</a></html>",
    );
    world.write("simple/a/index.json", &json);
    world.pass(all()).await.unwrap();
    world.write("simple/a/index.json", &json[..json.len() / 2]);
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.removed, counts.unread_projects), (0, 1));
    fs::remove_file(world.source().join("simple/a/index.json")).unwrap();
    assert_eq!(world.pass(all()).await.unwrap().counts.removed, 1);
}

#[tokio::test]
async fn a_signed_file_whose_entry_is_none_any_more_stays() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "a-2.tar.gz", "b-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass(all()).await.unwrap();
    let outside = world.home.path().join("outside.tar.gz");
    fs::write(&outside, "x").unwrap();
    let path = world.source().join("a-1.tar.gz");
    fs::remove_file(&path).unwrap();
    symlink(&outside, &path).unwrap();
    symlink(&outside, world.source().join("c-1.tar.gz")).unwrap();
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!((counts.removed, counts.failed, counts.skipped), (0, 1, 1));
    assert_eq!(report.failed[0].name, "a-1.tar.gz");

    // The same of a page's entry.
    let world = World::new().await;
    for name in ["a-1.tar.gz", "a-2.tar.gz"] {
        world.write(name, name);
    }
    let page = |link: &str| {
        let text = format!("<a href=../../a-2.tar.gz></a><a href=\"{link}\"></a>");
        world.write("simple/a/index.html", text);
    };
    page("../../a-1.tar.gz");
    world.pass(all()).await.unwrap();
    page("file:///elsewhere/a-1.tar.gz");
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.removed, counts.failed), (0, 1));
    // Listed twice, once as it should be, it is not missing.
    let both =
        "<a href=../../a-1.tar.gz></a><a href=../../a-2.tar.gz></a><a href=x/a-1.tar.gz></a>";
    world.write("simple/a/index.html", both);
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.removed, counts.failed, counts.skipped), (0, 0, 1));
}

#[tokio::test]
async fn most_files_of_a_project_do_not_go_at_once() {
    let world = World::new().await;
    let names: Vec<String> = (0..30)
        .map(|number| format!("a-1.{number}.tar.gz"))
        .collect();
    for name in &names {
        world.write(name, name);
    }
    world.pass(all()).await.unwrap();
    for name in &names[10..] {
        fs::remove_file(world.source().join(name)).unwrap();
    }
    let lost = world.pass(all()).await;
    let Err(PassError::Lost { what, known, seen }) = lost else {
        panic!("{lost:?}");
    };
    assert_eq!((what, known, seen), ("files", 30, 10));
    assert_eq!(world.pass(accept()).await.unwrap().counts.removed, 20);
}

#[tokio::test]
async fn a_folder_called_simple_opens_nothing_above_it() {
    let world = World::new().await;
    world.write("private/a-1.tar.gz", "secret");
    world.write(
        "simple/a/index.html",
        "<a href=../../private/a-1.tar.gz></a>",
    );
    let path = world.source().join("simple");
    let find = async || {
        let remote = Remote::new("tests").unwrap();
        let source = Source::find(path.to_str().unwrap(), None, remote, &[]).await;
        source.unwrap()
    };
    let source = find().await;
    assert_eq!(
        (source.form(), source.directory()),
        (Form::Tree, Some(path.as_path()))
    );
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let (pass, _stopper) = world.begin_with(source, now, all()).await.unwrap();
    let counts = World::through(pass).await.unwrap().counts;
    assert_eq!((counts.back_signed, counts.failed), (0, 1));
    // With its files beside it, it is plainly a part of a tree.
    fs::create_dir(world.source().join("packages")).unwrap();
    assert_eq!(find().await.directory(), Some(world.source().as_path()));
}
