//! Passes that were stopped or killed, and changes that were refused.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use wheelmark_adopt::{Choices, Known, Source, Step};
use wheelmark_client::Remote;
use wheelmark_store::Seq;

use super::world::{World, all, published, refused};

impl World {
    /// What is left when the memory was not written, and the journal was.
    async fn forget(&mut self) {
        let path = self.home.path().join("fresh.sqlite");
        self.known = Known::open(&path).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_journalled_and_not_remembered_is_not_asked_for_twice() {
    let mut world = World::new().await;
    world.write("a-1.tar.gz", "one");
    world.write("a-2.tar.gz", "two");
    world.pass(all()).await.unwrap();
    world.forget().await;
    world.write("a-2.tar.gz", "other");
    let keep = Choices {
        keep: BTreeSet::from(["a-2.tar.gz".to_owned()]),
        ..all()
    };
    let counts = world.pass(keep).await.unwrap().counts;
    assert_eq!((counts.unchanged, counts.kept), (1, 1));
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.unchanged, counts.kept), (1, 1), "it is remembered");
    assert_eq!(counts.conflicts, 0);
    let expected = ["back a-1.tar.gz", "back a-2.tar.gz"];
    assert_eq!(world.journal().await, expected);
}

#[tokio::test]
async fn what_was_refused_after_the_pass_is_asked_for_again() {
    let world = World::new().await;
    world.write("a-1.tar.gz", "one");
    world.pass(all()).await.unwrap();
    // The pass is over, and was killed before anything was published.
    world.decide(Seq(0), &refused()).await;
    let report = world.pass_and(all(), &published()).await;
    assert_eq!(report.refused[0].name, "a/a-1.tar.gz");
    let report = world.pass_and(all(), &published()).await;
    assert_eq!(
        (
            report.counts.back_signed + report.counts.signed_at_discovery,
            report.counts.refused
        ),
        (1, 0)
    );
    assert_eq!(world.pass(all()).await.unwrap().counts.unchanged, 1);
}

#[tokio::test]
async fn refused_removals_yanks_and_withdrawals_are_told_and_tried_again() {
    let world = World::new().await;
    let page = |links: &str| world.write("simple/a/index.html", links);
    for name in ["a-1.tar.gz", "a-2.tar.gz", "a-3.tar.gz"] {
        world.write(name, name);
    }
    let links = |yanked: &str| {
        format!("<a href=../../a-2.tar.gz {yanked}></a><a href=../../a-3.tar.gz></a>")
    };
    page(&format!("<a href=../../a-1.tar.gz></a>{}", links("")));
    world.pass_and(all(), &published()).await;

    page(&links("data-yanked=bad"));
    let withdraw = || Choices {
        withdraw: BTreeSet::from(["a-3.tar.gz".to_owned()]),
        ..all()
    };
    for _ in 0..2 {
        let report = world.pass_and(withdraw(), &refused()).await;
        let names: BTreeSet<String> = report.refused.into_iter().map(|named| named.name).collect();
        let all_three = ["a/a-1.tar.gz", "a/a-2.tar.gz", "a/a-3.tar.gz"];
        assert_eq!(names, all_three.map(str::to_owned).into());
    }
    let report = world.pass_and(withdraw(), &published()).await;
    assert_eq!(report.counts.refused, 0);
    let counts = report.counts;
    assert_eq!(
        (counts.removed, counts.yank_changes, counts.withdrawn),
        (1, 1, 1)
    );
    let counts = world.pass_and(all(), &published()).await.counts;
    assert_eq!(
        (counts.removed, counts.yank_changes, counts.refused),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_removal_that_is_refused_at_once_is_asked_for_once_in_a_pass() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass_and(all(), &published()).await;
    fs::remove_file(world.source().join("a-1.tar.gz")).unwrap();
    for _ in 0..2 {
        let mut pass = world.begin(all()).await.unwrap();
        let mut asked = 0;
        loop {
            let before = world.store.journal_end().await.unwrap();
            match pass.next().await.unwrap() {
                Step::Asked(more) => asked += more,
                Step::Over => break,
                Step::On | Step::Stopped => {}
            }
            assert!(asked < 2, "it is asked for again and again");
            world.decide(before, &refused()).await;
            pass.settle().await.unwrap();
        }
        assert_eq!((asked, pass.report().counts.refused), (1, 1));
    }
}

#[tokio::test]
async fn a_pass_that_is_stopped_writes_down_what_it_read() {
    let world = World::new().await;
    // Less than a batch, which nothing but the stop or the end writes down.
    for number in 0..380 {
        world.write(&format!("a-1.{number}.tar.gz"), "x");
    }
    let remote = Remote::new("tests").unwrap();
    let path = world.source();
    let source = Source::find(path.to_str().unwrap(), None, remote, &[]).await;
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let begun = world.begin_with(source.unwrap(), now, all()).await;
    let (mut pass, stopper) = begun.unwrap();
    let progress = pass.progress();
    let stopping = async {
        while progress.now().files_read < 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stopper.stop();
    };
    let going = async { while pass.next().await.unwrap() != Step::Stopped {} };
    tokio::join!(stopping, going);
    let asked = world.journal().await.len() as u64;
    assert!(asked > 0);
    let report = pass.into_report();
    assert_eq!(report.counts.back_signed, asked);
    assert_eq!(
        report.counts.listed, asked,
        "all that was read is written down"
    );
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!((counts.back_signed, counts.unchanged), (380 - asked, asked));
}

#[tokio::test]
async fn a_pass_that_waits_gives_its_caller_time() {
    let world = World::new().await;
    world.write("simple/a/index.html", "");
    // An index that is asked, and does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/simple/", silent.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let list = r#"{"meta":{"api-version":"1.0"},"projects":[{"name":"a"}]}"#;
        let mut asked = 0;
        let mut open = Vec::new();
        for stream in silent.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _read = stream.read(&mut request).unwrap();
            let line = String::from_utf8_lossy(&request);
            if line.starts_with("GET /end ") {
                return;
            }
            if line.starts_with("GET /simple/ ") && asked < 2 {
                asked += 1;
                let length = list.len();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{list}").unwrap();
            } else {
                open.push(stream);
            }
        }
    });
    let source = Source::find(&url, None, Remote::new("tests").unwrap(), &[]).await;
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    let begun = world.begin_with(source.unwrap(), now, all()).await;
    let (mut pass, _stopper) = begun.unwrap();
    assert_eq!(pass.next().await.unwrap(), Step::On);
    drop(pass);
    let end = url
        .trim_start_matches("http://")
        .trim_end_matches("/simple/");
    let mut stream = std::net::TcpStream::connect(end).unwrap();
    std::io::Write::write_all(&mut stream, b"GET /end HTTP/1.1\r\n\r\n").unwrap();
    serving.join().unwrap();
}
