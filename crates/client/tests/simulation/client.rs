//! A client with its own trust store, and the invariants that hold for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wheelmark_client::{
    Beginning, Entrance, Freshness, Homes, IndexUrls, Ledger, Proxy, RUN_VIEW_LIFETIME, Reader,
    ReaderOptions, Remote, TrustStore, TrustedIndex, add_trust,
};
use wheelmark_packaging::ProjectName;
use wheelmark_testing::TestClock;
use wheelmark_tuf::Clock as _;

use crate::door::{Door, Route};
use crate::index::{Index, core_metadata, expiry, folder};
use crate::listing::{Files, files_of, listing};

/// An invariant that does not hold, by its letter in the module's documentation.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) char, pub(crate) String);

/// Ends the step with a broken invariant unless the condition holds.
macro_rules! hold {
    ($letter:literal, $condition:expr, $($said:tt)+) => {
        if !$condition {
            return Err(crate::client::Broken($letter, format!($($said)+)));
        }
    };
}
pub(crate) use hold;

static REMOTE: LazyLock<Remote> = LazyLock::new(|| Remote::new("wheelmark-simulation").unwrap());
static INSTALLER: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().no_proxy().build().unwrap());

pub(crate) struct Client {
    pub(crate) name: usize,
    home: tempfile::TempDir,
    clock: Arc<TestClock>,
    pub(crate) door: Door,
    run: Run,
    /// What the trust store held after the last step.
    kept: Kept,
    /// Which of its pages each project had, at least, in the states of completed refreshes.
    seen: BTreeMap<String, usize>,
    /// When refreshes began in this run whose state may be in use: those of installs, whose
    /// outcome is not seen here, among them.
    refreshes: Vec<Timestamp>,
}

/// What lives as long as a process of the client.
struct Run {
    reader: Arc<Reader>,
    base: String,
    task: tokio::task::AbortHandle,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The trusted versions in a trust store.
#[derive(Clone, Default)]
struct Kept {
    root: u64,
    /// Key ids of timestamp and snapshot in root.
    online: [Value; 2],
    timestamp: Option<u64>,
    /// The version that the timestamp names of the snapshot.
    announced: Option<u64>,
    snapshot: Option<u64>,
    listed: BTreeMap<String, u64>,
    below: BTreeMap<String, u64>,
}

impl Client {
    pub(crate) async fn new(name: usize, index: &Index, route: Route) -> Self {
        let home = folder();
        let door = Door::open(route).await;
        let store = TrustStore::open(home.path()).unwrap();
        let urls = IndexUrls::new(&format!("{}/simple/", door.base), None, None).unwrap();
        let beginning = Beginning::Fingerprint(index.fingerprint);
        let trusted = add_trust(&store, &REMOTE, urls, beginning, index.clock.now())
            .await
            .unwrap();
        let run = Run::begin(trusted.clone(), index.clock.clone(), PLAIN).await;
        let mut client = Self {
            name,
            home,
            clock: index.clock.clone(),
            door,
            run,
            kept: Kept::default(),
            seen: BTreeMap::new(),
            refreshes: Vec::new(),
        };
        client.kept = client.read_store(&trusted);
        client
    }

    /// Ends the run and begins another on the same trust store.
    pub(crate) async fn restart(&mut self, options: ReaderOptions) {
        let store = TrustStore::open(self.home.path()).unwrap();
        let simple = format!("{}/simple/", self.door.base).parse().unwrap();
        let trusted = store.find(&simple).unwrap().unwrap();
        self.run = Run::begin(trusted, self.clock.clone(), options).await;
        self.refreshes.clear();
    }

    /// Brings the state up to date; whether that went well.
    pub(crate) async fn refresh(&mut self, index: &Index) -> Result<Result<(), String>, Broken> {
        let outcome = self.run.reader.refresh().await;
        self.door.refresh_began();
        let before = self.kept.clone();
        self.check_store()?;
        match outcome {
            Ok(version) => {
                let now = self.clock.now();
                let kept = &self.kept;
                hold!(
                    'a',
                    kept.snapshot == Some(version),
                    "{version} is not what is kept"
                );
                if before.online == kept.online {
                    hold!(
                        'e',
                        before.snapshot <= Some(version),
                        "went back to {version}"
                    );
                }
                for file in ["root", "timestamp", "snapshot", "targets"] {
                    let signed = self.stored(&format!("{file}.json")).unwrap();
                    hold!('c', expiry(&signed) > now, "{file} was accepted, expired");
                }
                let snapshot = serde_json::json!({"signed": self.stored("snapshot.json")});
                for (project, page) in listing(index.now(), &snapshot) {
                    let seen = self.seen.get(&project).copied().unwrap_or(0);
                    let pages = index.pages.get(&project).into_iter().flatten();
                    let mut places = (0..).zip(pages).skip(seen);
                    let Some((place, _)) = places.find(|(_, other)| **other == page) else {
                        let said = format!("{project} went back behind its page {seen}");
                        return Err(Broken('e', said));
                    };
                    self.seen.insert(project, place);
                }
                self.refreshes.push(now);
                Ok(Ok(()))
            }
            Err(failure) => Ok(Err(describe(&*failure))),
        }
    }

    /// Does what pip does: takes the highest version of the project's page. Whether it was
    /// installed, and otherwise why not.
    pub(crate) async fn install(
        &mut self,
        index: &Index,
        project: &str,
    ) -> Result<Result<String, String>, Broken> {
        let installed = self.try_install(index, project).await;
        self.note_refresh();
        self.check_store()?;
        installed
    }

    async fn try_install(
        &mut self,
        index: &Index,
        project: &str,
    ) -> Result<Result<String, String>, Broken> {
        let page = match self.get(&format!("simple/{project}/")).await {
            Ok(page) => page,
            Err(status) => {
                let hidden =
                    status == Some(StatusCode::NOT_FOUND) && self.seen.contains_key(project);
                hold!(
                    'e',
                    !hidden,
                    "{project}, which was seen, is said not to be there"
                );
                return Ok(Err(format!("no page: {status:?}")));
            }
        };
        let page: Value = serde_json::from_slice(&page).unwrap();
        let files = page["files"].as_array().unwrap();
        let name = |file: &Value| file["filename"].as_str().unwrap().to_owned();
        let Some(newest) = files.iter().max_by_key(|file| release(&name(file))) else {
            return Ok(Err("empty page".to_owned()));
        };
        let newest = name(newest);
        let path = format!("packages/{project}/{newest}");
        if let Ok(metadata) = self.get(&format!("{path}.metadata")).await {
            hold!('b', metadata == core_metadata(&newest), "{newest}.metadata");
        }
        let Ok(content) = self.get(&path).await else {
            return Ok(Err(format!("{newest} was refused")));
        };
        hold!(
            'b',
            index.published.get(&newest) == Some(&content),
            "{newest} was completed with other bytes"
        );
        self.check_page(index, project, &files_of(&page)).await?;
        self.note_refresh();
        self.check_freshness(index, project).await?;
        Ok(Ok(newest))
    }

    /// What was installed from is one of the pages that the project had since the client saw it
    /// last, and what that page does not list cannot be had.
    async fn check_page(&self, index: &Index, project: &str, files: &Files) -> Result<(), Broken> {
        let seen = self.seen.get(project).copied().unwrap_or(0);
        let pages = index.pages.get(project).into_iter().flatten().skip(seen);
        let newer: Vec<_> = pages.skip_while(|page| page.files != *files).collect();
        hold!(
            'e',
            !newer.is_empty(),
            "{project} was installed from a page that it did not have since its page {seen}"
        );
        let had = index.pages[project]
            .iter()
            .flat_map(|page| page.files.keys());
        let Some(unlisted) = had.rev().find(|name| !files.contains_key(*name)) else {
            return Ok(());
        };
        let path = format!("packages/{project}/{unlisted}");
        // It may have come to a newer state by itself, which lists the file.
        let returned = newer.iter().any(|page| page.files.contains_key(unlisted));
        hold!(
            'f',
            self.get(&path).await.is_err() || returned,
            "{unlisted} was completed, which the page does not list"
        );
        Ok(())
    }

    /// Notes a refresh that an install began by itself.
    fn note_refresh(&mut self) {
        if self.door.refresh_began() {
            self.refreshes.push(self.clock.now());
        }
    }

    /// What vouched for an installed file had not expired when the state was refreshed.
    async fn check_freshness(&self, index: &Index, project: &str) -> Result<(), Broken> {
        // Of the states that may be in use, the oldest.
        let now = self.clock.now();
        let young = |then: &Timestamp| now.duration_since(*then) < RUN_VIEW_LIFETIME;
        let since = self.refreshes.iter().copied().find(young).unwrap_or(now);
        let name: ProjectName = project.parse().unwrap();
        let Ok(Some(page)) = self.run.reader.page(&name).await else {
            return Ok(());
        };
        let (role, version) = (page.role().unwrap(), page.role_version().unwrap());
        let bin = format!("metadata/{version}.{role}.json");
        let bin: Value = serde_json::from_slice(&index.now()[&bin]).unwrap();
        hold!(
            'c',
            expiry(&bin["signed"]) > since,
            "{role} was used, expired"
        );
        for role in [
            "claimed",
            "recently%2Dclaimed",
            "recently-claimed",
            "simple",
        ] {
            if let Some(signed) = self.stored(&format!("delegated/targets/{role}.json")) {
                hold!('c', expiry(&signed) > since, "{role} was used, expired");
            }
        }
        Ok(())
    }

    /// A body from the proxy, if it was completed; otherwise the status, if there was one.
    async fn get(&self, path: &str) -> Result<Bytes, Option<StatusCode>> {
        let request = INSTALLER
            .get(format!("{}/{path}", self.run.base))
            .header("Accept", "application/vnd.pypi.simple.v1+json");
        let answer = request.send().await.map_err(|_| None)?;
        match answer.status() {
            StatusCode::OK => answer.bytes().await.map_err(|_| None),
            status => Err(Some(status)),
        }
    }

    /// Compares what the trust store holds with what it held.
    fn check_store(&mut self) -> Result<(), Broken> {
        let new = self.read_store(self.run.reader.index());
        let old = std::mem::replace(&mut self.kept, new.clone());
        hold!(
            'a',
            new.root >= old.root,
            "root {} -> {}",
            old.root,
            new.root
        );
        hold!(
            'a',
            new.root > old.root || new.online == old.online,
            "root {} has two contents",
            new.root
        );
        for (role, version) in &old.below {
            let now = new.below.get(role);
            hold!('a', now >= Some(version), "{role} {version} -> {now:?}");
        }
        // TUF §5.3.11: timestamp and snapshot may begin anew with other keys.
        if new.online != old.online {
            return Ok(());
        }
        let (was, is) = (old.timestamp, new.timestamp);
        hold!('a', is >= was, "timestamp {was:?} -> {is:?}");
        let (was, is) = (old.announced, new.announced);
        hold!(
            'a',
            is >= was,
            "the snapshot that timestamp names {was:?} -> {is:?}"
        );
        let (was, is) = (old.snapshot, new.snapshot);
        hold!('a', is >= was, "snapshot {was:?} -> {is:?}");
        for (role, version) in &old.listed {
            let now = new.listed.get(role);
            hold!(
                'a',
                now >= Some(version),
                "listed {role} {version} -> {now:?}"
            );
        }
        Ok(())
    }

    fn read_store(&self, index: &TrustedIndex) -> Kept {
        let root = self.stored("root.json").unwrap();
        let version = |signed: Value| signed["version"].as_u64().unwrap();
        let snapshot = self.stored("snapshot.json");
        let timestamp = self.stored("timestamp.json");
        let mut below = BTreeMap::new();
        gather(
            index.directory(),
            &index.directory().join("delegated"),
            &mut below,
        );
        if let Some(targets) = self.stored("targets.json") {
            below.insert("targets".to_owned(), version(targets));
        }
        Kept {
            online: ["timestamp", "snapshot"].map(|role| root["roles"][role]["keyids"].clone()),
            root: version(root),
            announced: timestamp
                .as_ref()
                .and_then(|timestamp| timestamp["meta"]["snapshot.json"]["version"].as_u64()),
            timestamp: timestamp.map(version),
            listed: snapshot
                .as_ref()
                .and_then(|snapshot| snapshot["meta"].as_object())
                .into_iter()
                .flatten()
                .map(|(role, meta)| (role.clone(), meta["version"].as_u64().unwrap()))
                .collect(),
            snapshot: snapshot.map(version),
            below,
        }
    }

    /// The signed part of a file in the trust store.
    fn stored(&self, name: &str) -> Option<Value> {
        signed(&self.run.reader.index().directory().join(name))
    }
}

impl Run {
    async fn begin(index: TrustedIndex, clock: Arc<TestClock>, options: ReaderOptions) -> Self {
        let reader = Arc::new(Reader::new(index, REMOTE.clone(), clock, options));
        let proxy = Proxy::bind(
            "127.0.0.1:0".parse().unwrap(),
            Entrance::Secret("secret".to_owned()),
            Arc::new(Homes::only(reader.clone())),
            Arc::new(Ledger::default()),
        )
        .await
        .unwrap();
        let base = proxy
            .index_url()
            .strip_suffix("/simple/")
            .unwrap()
            .to_owned();
        let task = tokio::spawn(proxy.serve(std::future::pending())).abort_handle();
        Self { reader, base, task }
    }
}

pub(crate) const PLAIN: ReaderOptions = ReaderOptions {
    freshness: Freshness::Once,
    strict: false,
};

/// After this long, every reader asks for a newer state by itself.
pub(crate) const BY_ITSELF: SignedDuration = SignedDuration::from_mins(61);

fn signed(path: &Path) -> Option<Value> {
    let file = std::fs::read(path).ok()?;
    let mut file: Value = serde_json::from_slice(&file).unwrap();
    Some(file["signed"].take())
}

fn gather(base: &Path, folder: &Path, found: &mut BTreeMap<String, u64>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(base, &path, found);
        } else {
            let name = path.strip_prefix(base).unwrap().display().to_string();
            found.insert(name, signed(&path).unwrap()["version"].as_u64().unwrap());
        }
    }
}

/// The release number in a file's name.
fn release(filename: &str) -> u64 {
    let version = filename.split('-').nth(1).unwrap_or_default();
    let first = version.split(['.', '+']).next().unwrap_or_default();
    first.parse().unwrap_or(u64::MAX)
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
