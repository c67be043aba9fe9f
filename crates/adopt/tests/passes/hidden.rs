//! Projects that the source may still have, although it does not show them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wheelmark_adopt::{Choices, Form, Report, Source};
use wheelmark_client::Remote;

use super::world::{World, all};

fn accept() -> Choices {
    Choices {
        accept_loss: true,
        ..all()
    }
}

/// A server that ends what it sends by closing the connection, so that nobody can tell by the
/// length whether that was all.
struct Server {
    pages: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    url: String,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/simple/", listener.local_addr().unwrap());
        let pages = Arc::new(Mutex::new(BTreeMap::<String, Vec<u8>>::new()));
        let served = pages.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut asked).await.unwrap() > 0
                {}
                let asked = String::from_utf8_lossy(&asked);
                let path = asked.split(' ').nth(1).unwrap_or_default();
                let page = served.lock().unwrap().get(path).cloned();
                let (status, body) = match page {
                    Some(page) => ("200 OK", page),
                    None => ("404 Not Found", Vec::new()),
                };
                let head = "Content-Type: text/html\r\nConnection: close\r\n\r\n";
                let head = format!("HTTP/1.1 {status}\r\n{head}");
                let answer = [head.as_bytes(), &body].concat();
                stream.write_all(&answer).await.ok();
            }
        });
        Server { pages, url }
    }

    fn show(&self, path: &str, page: impl Into<Vec<u8>>) {
        let mut pages = self.pages.lock().unwrap();
        pages.insert(path.to_owned(), page.into());
    }

    fn project(&self, name: &str) {
        let page = format!("<html><a href={name}-1.tar.gz>1</a></html>");
        self.show(&format!("/simple/{name}/"), page);
        let file = format!("/simple/{name}/{name}-1.tar.gz");
        self.show(&file, [b"\x1f\x8b", name.as_bytes()].concat());
    }

    async fn pass(&self, world: &World, choices: Choices) -> Report {
        let remote = Remote::new("tests").unwrap();
        let source = Source::find(&self.url, None, remote, &[]).await.unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let (pass, _stopper) = world.begin_with(source, now, choices).await.unwrap();
        World::through(pass).await.unwrap()
    }
}

fn links(names: &[&str]) -> String {
    let links = names
        .iter()
        .map(|name| format!("<a href={name}/>{name}</a>"));
    links.collect()
}

#[tokio::test]
async fn half_a_list_takes_no_project_away() {
    let world = World::new().await;
    let server = Server::start().await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        server.project(name);
    }
    let list = |text: String| server.show("/simple/", format!("<html><body>{text}"));
    list(format!("{}</body></html>", links(&names)));
    assert_eq!(server.pass(&world, all()).await.counts.back_signed, 5);
    server.project("f");
    list(links(&["a", "b", "c", "f"]));
    let report = server.pass(&world, all()).await;
    let counts = report.counts;
    assert_eq!(
        (counts.removed, counts.unread_projects),
        (0, 2),
        "{report:?}"
    );
    assert_eq!(counts.signed_at_discovery, 1, "what it lists is followed");
    assert_eq!(report.unread[0].name, "d");
    // A generator that never closes its list misses nothing as long as it lists everything.
    list(links(&["a", "b", "c", "d", "e", "f"]));
    let counts = server.pass(&world, all()).await.counts;
    assert_eq!((counts.removed, counts.unread_projects), (0, 0));
    list(links(&["a", "b", "c", "d"]));
    let counts = server.pass(&world, accept()).await.counts;
    assert_eq!((counts.removed, counts.unread_projects), (2, 0));
}

#[tokio::test]
async fn what_stands_behind_the_cut_of_the_first_list_was_there_before() {
    let world = World::new().await;
    let server = Server::start().await;
    for name in ["a", "b", "c"] {
        server.project(name);
    }
    server.show("/simple/", format!("<html>{}", links(&["a"])));
    let report = server.pass(&world, all()).await;
    assert!(report.skipped[0].why.contains("cut off"), "{report:?}");
    server.show("/simple/", format!("<html>{}</html>", links(&["a", "b"])));
    server.pass(&world, all()).await;
    server.show(
        "/simple/",
        format!("<html>{}</html>", links(&["a", "b", "c"])),
    );
    server.pass(&world, all()).await;
    let asked = ["back a-1.tar.gz", "back b-1.tar.gz", "new c-1.tar.gz"];
    assert_eq!(world.journal().await, asked);
}

/// A tree with a page and a file of each of these projects, in a directory `below` the pages.
async fn tree(below: &str, names: &[&str]) -> World {
    let world = World::new().await;
    for name in names {
        let file = format!("{name}-1.tar.gz");
        world.write(&format!("packages/{file}"), &file);
        let page = format!("<html><a href=/packages/{file}>1</a></html>");
        world.write(&format!("simple/{below}{name}/index.html"), page);
    }
    let counts = world.pass(all()).await.unwrap().counts;
    assert_eq!(counts.back_signed, names.len() as u64);
    world
}

async fn takes_nothing_away(world: &World, project: &str) {
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!(
        (counts.removed, counts.unread_projects),
        (0, 1),
        "{report:?}"
    );
    assert_eq!(report.unread[0].name, project);
}

#[tokio::test]
async fn a_project_whose_directory_cannot_be_looked_into_stays() {
    let world = tree("", &["flask", "six", "zope"]).await;
    let folder = world.source().join("simple/flask");
    let aside = world.home.path().join("aside");
    // Its storage is not mounted.
    fs::rename(&folder, &aside).unwrap();
    symlink(world.home.path().join("nowhere"), &folder).unwrap();
    takes_nothing_away(&world, "flask").await;
    // A link that leads round in a circle, as an example of what cannot be looked at.
    fs::remove_file(&folder).unwrap();
    symlink("flask", &folder).unwrap();
    takes_nothing_away(&world, "flask").await;
    fs::remove_file(&folder).unwrap();
    // The directory is there, and its page is not yet.
    fs::create_dir(&folder).unwrap();
    takes_nothing_away(&world, "flask").await;
    // Its page is a link to what is not mounted.
    symlink(world.home.path().join("nowhere"), folder.join("index.html")).unwrap();
    takes_nothing_away(&world, "flask").await;
    fs::remove_file(folder.join("index.html")).unwrap();
    // A person can say that it is so, and what is gone for good is taken away.
    assert_eq!(world.pass(accept()).await.unwrap().counts.removed, 1);
    fs::remove_dir_all(world.source().join("simple/six")).unwrap();
    assert_eq!(world.pass(all()).await.unwrap().counts.removed, 1);
}

#[tokio::test]
async fn projects_below_a_letter_that_cannot_be_looked_into_stay() {
    let world = tree("f/", &["fa", "fb"]).await;
    for name in ["six", "sip"] {
        let file = format!("{name}-1.tar.gz");
        world.write(&format!("packages/{file}"), &file);
        let page = format!("<html><a href=/packages/{file}>1</a></html>");
        world.write(&format!("simple/s/{name}/index.html"), page);
    }
    world.pass(all()).await.unwrap();
    let letter = world.source().join("simple/f");
    fs::rename(&letter, world.home.path().join("aside")).unwrap();
    symlink(world.home.path().join("nowhere"), &letter).unwrap();
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!(
        (counts.removed, counts.unread_projects),
        (0, 2),
        "{report:?}"
    );
    assert_eq!(report.unread[0].name, "fa");
}

#[tokio::test]
async fn a_link_to_a_file_that_is_not_mounted_is_no_file_that_is_gone() {
    let world = World::new().await;
    for name in ["a-1.tar.gz", "b-1.tar.gz", "c-1.tar.gz"] {
        world.write(name, name);
    }
    world.pass(all()).await.unwrap();
    let path = world.source().join("a-1.tar.gz");
    fs::remove_file(&path).unwrap();
    symlink(world.home.path().join("nowhere/a-1.tar.gz"), &path).unwrap();
    let remote = Remote::new("tests").unwrap();
    let source = Source::find(world.source().to_str().unwrap(), None, remote, &[]).await;
    assert_eq!(source.unwrap().form(), Form::Files);
    let report = world.pass(all()).await.unwrap();
    let counts = report.counts;
    assert_eq!((counts.removed, counts.failed), (0, 1), "{report:?}");
    fs::remove_file(&path).unwrap();
    assert_eq!(world.pass(all()).await.unwrap().counts.removed, 1);
}
