//! Whole passes over directories and trees of pages, with a real tree, journal and memory.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod passes {
    mod damage;
    mod doubts;
    mod hidden;
    mod interrupted;
    mod twice;
    pub(crate) mod world;
}

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use jiff::Timestamp;
use wheelmark_adopt::{Choices, Form, PassError, Report, Source, Step};
use wheelmark_client::Remote;

use crate::passes::world::{World, all};

#[tokio::test]
async fn forms_are_found_by_looking() {
    let check = async |files: &[&str], below: &str, expect: Form| {
        let home = tempfile::tempdir().unwrap();
        for file in files {
            let path = home.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let path = home.path().join(below);
        let remote = Remote::new("tests").unwrap();
        let source = Source::find(path.to_str().unwrap(), None, remote, &[]).await;
        assert_eq!(source.unwrap().form(), expect, "{files:?} in {below:?}");
    };
    check(&["a-1.tar.gz"], "", Form::Files).await;
    check(&["a/a-1.tar.gz", "docs/index.html"], "", Form::Files).await;
    check(&["web/simple/a/index.html"], "", Form::Tree).await;
    check(&["web/simple/a/index.html"], "web", Form::Tree).await;
    check(&["web/simple/a/index.html"], "web/simple", Form::Tree).await;
    check(&["simple/a/index.html", "packages/x"], "simple", Form::Tree).await;
    check(&["simple/a/index.v1_json"], "", Form::Tree).await;
    check(&["simple/f/flask/index.html"], "", Form::Tree).await;
    check(&["simple/index.html", "simple/a/x"], "", Form::Files).await;
    check(&["index.html", "a/index.html"], "", Form::Tree).await;
}

#[tokio::test]
async fn a_pass_that_is_dropped_is_taken_up() {
    let world = World::new().await;
    let names: BTreeSet<String> = (0..1500)
        .map(|n| format!("p{}-1.{n}.tar.gz", n % 30))
        .collect();
    for name in &names {
        world.write(name, name);
    }
    let mut pass = world.begin(all()).await.unwrap();
    let first = loop {
        match pass.next().await.unwrap() {
            Step::Asked(first) => break first,
            Step::On => {}
            step => panic!("nothing was asked for: {step:?}"),
        }
    };
    drop(pass);
    assert!(
        (1..1500).contains(&first),
        "a batch, and not everything: {first}"
    );
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!(counts.back_signed + counts.unchanged, 1500);
    assert!(counts.unchanged >= first);
    let asked = world.journal().await;
    let wanted: BTreeSet<String> = names.iter().map(|name| format!("back {name}")).collect();
    assert_eq!(asked.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(asked.len(), 1500, "nothing is asked for twice");
    assert_eq!(world.pass(all()).await.unwrap().counts.bytes_read, 0);
}

#[tokio::test]
async fn what_the_first_import_could_not_read_still_was_there_before() {
    let world = World::new().await;
    world.write("simple/a/index.html", "<a href=../../a-1.tar.gz></a>");
    world.write("simple/b/index.json", "{");
    world.write(
        "simple/c/index.html",
        "<a href=../../c-1.tar.gz></a><a href=../../c-2.tar.gz></a>",
    );
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    let report = world.pass(all()).await.unwrap();
    assert_eq!(report.counts.back_signed, 2);
    assert_eq!(report.unread[0].name, "b");
    assert_eq!(report.failed[0].name, "c-2.tar.gz");
    world.write("a-2.tar.gz", "a-2");
    world.write(
        "simple/a/index.html",
        "<a href=../../a-1.tar.gz></a><a href=../../a-2.tar.gz></a>",
    );
    world.write("c-2.tar.gz", "c-2");
    fs::remove_file(world.source().join("simple/b/index.json")).unwrap();
    world.write("simple/b/index.html", "<a href=../../b-1.tar.gz></a>");
    world.pass(all()).await.unwrap();
    world.write("b-2.tar.gz", "b-2");
    world.write(
        "simple/b/index.html",
        "<a href=../../b-1.tar.gz></a><a href=../../b-2.tar.gz></a>",
    );
    world.pass(all()).await.unwrap();
    let asked = world.journal().await;
    let expected = [
        "back a-1.tar.gz",
        "back c-1.tar.gz",
        "new a-2.tar.gz",
        "back b-1.tar.gz",
        "back c-2.tar.gz",
        "new b-2.tar.gz",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn changes_are_followed_and_an_empty_page_is_not_believed() {
    let world = World::new().await;
    let page = |links: &str| {
        world.write("simple/a/index.html", links);
    };
    world.write("a-1.tar.gz", "one");
    world.write("a-2.tar.gz", "two");
    page("<a href=../../a-1.tar.gz></a><a href=../../a-2.tar.gz data-yanked=why></a>");
    world.pass(all()).await.unwrap();
    page("<a href=../../a-1.tar.gz data-yanked></a><a href=../../a-2.tar.gz></a>");
    assert_eq!(world.pass(all()).await.unwrap().counts.yank_changes, 2);
    assert_eq!(world.pass(all()).await.unwrap().counts.yank_changes, 0);
    page("<h1>502 Bad Gateway</h1>");
    let report = world.pass(all()).await.unwrap();
    assert_eq!(
        (report.counts.unread_projects, report.counts.removed),
        (1, 0)
    );
    page("<meta name=pypi:repository-version content=1.0><a href=../../a-1.tar.gz></a>");
    assert_eq!(world.pass(all()).await.unwrap().counts.removed, 1);
    // A page that says what it is may list nothing; that nothing is left of all is too much.
    page("<meta name=pypi:repository-version content=1.0>");
    let lost = world.pass(all()).await;
    assert!(
        matches!(
            lost,
            Err(PassError::Lost {
                known: 1,
                seen: 0,
                ..
            })
        ),
        "{lost:?}"
    );
    let accept = Choices {
        accept_loss: true,
        ..all()
    };
    assert_eq!(world.pass(accept).await.unwrap().counts.removed, 1);
    let asked = world.journal().await;
    let expected = [
        "back a-1.tar.gz",
        "back a-2.tar.gz",
        "yank a-1.tar.gz Some(\"\")",
        "yank a-2.tar.gz None",
        "yank a-1.tar.gz None",
        "gone a-2.tar.gz",
        "gone a-1.tar.gz",
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn one_name_twice_and_a_digest_that_does_not_hold() {
    let world = World::new().await;
    world.write("x/a-1.tar.gz", "one");
    world.write("y/a-1.tar.gz", "other");
    world.write("y/b-1.tar.gz", "same");
    world.write("x/b-1.tar.gz", "same");
    let report = world.pass(all()).await.unwrap();
    assert_eq!((report.counts.back_signed, report.counts.conflicts), (2, 1));
    assert_eq!(report.conflicts[0].filename, "a-1.tar.gz");

    let world = World::new().await;
    world.write("a-1.tar.gz", "one");
    let digest = "0".repeat(64);
    world.write(
        "simple/a/index.html",
        format!("<a href=../../a-1.tar.gz#sha256={digest}></a>"),
    );
    let report = world.pass(all()).await.unwrap();
    assert_eq!((report.counts.back_signed, report.counts.failed), (0, 1));
    assert!(report.failed[0].why.contains("sha256"), "{report:?}");
}

#[tokio::test]
async fn decisions_name_files() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass(all()).await.unwrap();
    for name in ["a-1.tar.gz", "b-1.tar.gz"] {
        world.write(name, "other");
    }
    assert_eq!(world.pass(all()).await.unwrap().counts.conflicts, 2);
    let decided = Choices {
        keep: ["a/a-1.tar.gz".to_owned(), "x-1.tar.gz".to_owned()].into(),
        withdraw: ["b-1.tar.gz".to_owned()].into(),
        ..all()
    };
    let report = world.pass(decided).await.unwrap();
    assert_eq!(
        (
            report.counts.kept,
            report.counts.withdrawn,
            report.counts.conflicts
        ),
        (1, 1, 0)
    );
    assert_eq!(report.undecided, ["x-1.tar.gz"]);
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!(
        (counts.kept, counts.conflicts),
        (1, 0),
        "the decision is remembered"
    );
    // What was withdrawn stays so, also with the bytes that it had.
    world.write("b-1.tar.gz", "b-1.tar.gz");
    let rehash = Choices {
        rehash: true,
        ..all()
    };
    let counts = world.pass(rehash).await.unwrap().counts;
    assert_eq!(
        (counts.kept, counts.conflicts, counts.back_signed),
        (1, 0, 0)
    );
    let mut asked = BTreeMap::new();
    for said in world.journal().await {
        *asked.entry(said).or_insert(0) += 1;
    }
    assert_eq!(asked.get("gone b-1.tar.gz"), Some(&1), "{asked:?}");
    assert_eq!(asked.len(), 4, "{asked:?}");
}

#[tokio::test]
async fn chosen_projects_have_an_import_of_their_own() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz"] {
        world.write(name, name);
    }
    let only = |project: &str| Choices {
        projects: vec![project.parse().unwrap()],
        ..all()
    };
    world.pass(only("a")).await.unwrap();
    world.write("a-2.tar.gz", "a-2");
    world.pass(only("a")).await.unwrap();
    world.pass(all()).await.unwrap();
    let expected = ["back a-1.tar.gz", "new a-2.tar.gz", "back b-1.tar.gz"];
    assert_eq!(world.journal().await, expected);
}

#[tokio::test]
async fn a_file_that_is_being_written_waits() {
    let world = World::new().await;
    fs::write(world.source().join("a-1-py3-none-any.whl"), b"").unwrap();
    fs::write(world.source().join("b-1.tar.gz"), b"no archive").unwrap();
    world.write("c-1.tar.gz", "half of it");
    let pass = async |settle| {
        let choices = Choices { settle, ..all() };
        // The times of the files are those of this machine.
        let begun = world.begin_at(Timestamp::now(), choices).await.unwrap();
        World::through(begun).await.unwrap()
    };
    let says = |report: &Report, why: &str| {
        let whys = report.failed.iter().map(|failed| failed.why.as_str());
        whys.filter(|said| said.contains(why)).count()
    };
    let hour = pass(Duration::from_secs(3600)).await;
    assert_eq!(
        (hour.counts.back_signed, says(&hour, "a moment ago")),
        (0, 3)
    );
    // It was left alone for long enough by now, and still is no archive that can be read.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let second = pass(Duration::from_secs(1)).await;
    assert_eq!((second.counts.back_signed, second.counts.failed), (0, 3));
    assert_eq!(says(&second, "it is empty"), 1, "{second:?}");
    assert_eq!(says(&second, "no archive of its kind"), 1, "{second:?}");
    let none = pass(Duration::ZERO).await.counts;
    assert_eq!((none.back_signed, none.failed, none.odd), (1, 2, 1));
    assert_eq!(world.journal().await, ["back c-1.tar.gz"]);
}

#[tokio::test]
async fn what_is_ours_is_passed_over_before_it_is_made() {
    let world = World::new().await;
    let ours = world.source().join("signed");
    let remote = Remote::new("tests").unwrap();
    let (path, ours) = (world.source(), [ours]);
    let source = Source::find(path.to_str().unwrap(), None, remote, &ours).await;
    world.write("a-1.tar.gz", "a");
    world.write("signed/b-1.tar.gz", "b");
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let begun = world.begin_with(source.unwrap(), now, all()).await;
    let (mut pass, _stopper) = begun.unwrap();
    while pass.next().await.unwrap() != Step::Over {}
    assert_eq!(world.journal().await, ["back a-1.tar.gz"]);
}

#[tokio::test]
async fn chosen_projects_are_not_lost_either() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass(all()).await.unwrap();
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        fs::remove_file(world.source().join(name)).unwrap();
    }
    let chosen = |accept_loss| Choices {
        projects: vec!["c".parse().unwrap()],
        accept_loss,
        ..all()
    };
    let lost = world.pass(chosen(false)).await;
    assert!(
        matches!(
            lost,
            Err(PassError::Lost {
                known: 1,
                seen: 0,
                ..
            })
        ),
        "{lost:?}"
    );
    assert_eq!(world.pass(chosen(true)).await.unwrap().counts.removed, 1);
    assert_eq!(world.journal().await[3..], ["gone c-1.tar.gz"]);
}
