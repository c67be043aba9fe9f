//! Ceremonies as tests hold them: whoever has a key signs at once, and a client that keeps what it saw.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "a test binary may use a part of this alone")]

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use wheelmark_ceremony::{Ceremony, Plan, Policy, Published, SignatureFile, Standing, Tally};
use wheelmark_repository::{BinForm, Engine, Lifetimes, OnlineKeys};
use wheelmark_signing::{FileKey, Signer};
use wheelmark_store::{Orders, Outcome, Seq};
use wheelmark_tuf::{CacheName, Cached, Clock as _, Effect, Limits, Refresh, RoleName, TrustedSet};

use crate::index::TestIndex;

pub(crate) const OFFLINE: [&str; 5] = ["root", "targets", "claimed", "simple", "packages"];

pub(crate) const POLICY: Policy = Policy::new(
    SignedDuration::from_hours(365 * 24),
    SignedDuration::from_hours(90 * 24),
);

pub(crate) type Files = Vec<(String, Vec<u8>)>;

pub(crate) fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

pub(crate) async fn orders(index: &TestIndex) -> Orders {
    let path = index.folder.path().join("orders.sqlite");
    Orders::open(&path).await.unwrap()
}

pub(crate) async fn engine(index: &TestIndex) -> Engine {
    engine_with(index, index.online.clone().into()).await
}

/// An engine that has these online keys.
pub(crate) async fn engine_with(index: &TestIndex, online: OnlineKeys) -> Engine {
    let engine = Engine::open_with_orders(
        index.tree.clone(),
        index.store.clone(),
        orders(index).await,
        online,
        index.clock.clone(),
        Lifetimes::default(),
    );
    engine.await.unwrap()
}

pub(crate) fn metadata(index: &TestIndex, name: &str) -> Option<Vec<u8>> {
    std::fs::read(index.folder.path().join("repository/metadata").join(name)).ok()
}

pub(crate) fn newest(index: &TestIndex, role: &str) -> (u64, Vec<u8>) {
    let found = (1..).map_while(|v| Some((v, metadata(index, &format!("{v}.{role}.json"))?)));
    found.last().unwrap()
}

pub(crate) fn signed(index: &TestIndex, role: &str) -> Value {
    let file: Value = serde_json::from_slice(&newest(index, role).1).unwrap();
    file["signed"].clone()
}

pub(crate) fn standing(index: &TestIndex) -> Standing {
    let roots = (1..).map_while(|v| metadata(index, &format!("{v}.root.json")));
    let roles = OFFLINE[1..].iter().map(|role| {
        let name: RoleName = role.parse().unwrap();
        (name, newest(index, role).1)
    });
    let (roots, roles) = (roots.collect(), roles.collect());
    Standing::verify(Published { roots, roles }).unwrap()
}

/// The offline keys of the first run, in the order in which the support makes them.
pub(crate) fn offline(index: &TestIndex) -> Vec<FileKey> {
    let key = |i: usize| FileKey::open(&index.folder.path().join(format!("offline-{i}")));
    (0..8).map(|i| key(i).unwrap()).collect()
}

/// Which of the first keys sign a role.
pub(crate) fn pair<'a>(keys: &'a [FileKey], role: &str) -> [&'a dyn Signer; 2] {
    let first = match role {
        "root" => 0,
        "targets" => 2,
        "claimed" => 6,
        _ => 4,
    };
    [&keys[first], &keys[first + 1]]
}

/// Everybody whose key counts signs.
pub(crate) fn held(ceremony: &Ceremony, keys: &[&dyn Signer], now: Timestamp) -> Files {
    let mut tally = Tally::new(ceremony);
    for signer in keys {
        for payload in ceremony.payloads_for(signer.key().keyid()) {
            let signature = signer.sign(payload.bytes()).unwrap();
            let file = SignatureFile::of(ceremony, payload, signature);
            tally.admit(file).unwrap();
        }
    }
    let finished = tally.finish(now).unwrap();
    let files = finished.files.into_iter();
    files
        .map(|(role, version, bytes)| (role.versioned_file_name(version), bytes))
        .collect()
}

/// A renewal of everything, by the keys of the first run.
pub(crate) fn renewal(index: &TestIndex) -> Files {
    let now = index.clock.now();
    let standing = standing(index);
    let plan = Plan::renewal(&standing, &[], &POLICY, now);
    let ceremony = Ceremony::new(standing, plan, &POLICY, now).unwrap();
    let keys = offline(index);
    let keys: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    held(&ceremony, &keys, now)
}

pub(crate) async fn hand_in(index: &TestIndex, files: &Files) -> Seq {
    let handed = orders(index).await;
    let now = index.clock.now();
    handed
        .hand_in("a ceremony", files, now, "somebody")
        .await
        .unwrap()
}

pub(crate) async fn outcome(index: &TestIndex, seq: Seq) -> Option<Outcome> {
    orders(index).await.ceremony_outcome(seq).await.unwrap()
}

/// A client that keeps what it has seen.
pub(crate) struct Client {
    pub(crate) root: Vec<u8>,
    pub(crate) cached: Cached,
}

impl Client {
    pub(crate) fn new(index: &TestIndex) -> Self {
        Self {
            root: index.root.clone(),
            cached: Cached::default(),
        }
    }

    /// Refreshes, and looks a file up: a failure is the test's.
    pub(crate) fn uses(&mut self, index: &TestIndex, hidden: &[&str]) {
        let at = index.clock.now();
        let cached = self.cached.clone();
        let mut refresh = Refresh::new(&self.root, cached, at, Limits::default()).unwrap();
        while let Some(need) = refresh.need() {
            let answer = metadata(index, &need.path).filter(|_| !hidden.contains(&&*need.path));
            let path = need.path.clone();
            let (next, effects) = refresh
                .supply(answer)
                .unwrap_or_else(|error| panic!("{at}: {path}: {}", said(&error)));
            refresh = next;
            effects.into_iter().for_each(|effect| self.keep(effect));
        }
        let trusted: TrustedSet = refresh.finish().unwrap();
        let project = "demo".parse().unwrap();
        let page = wheelmark_objects::page_target(&project);
        let file = wheelmark_objects::file_target(&project, NAME).unwrap();
        for path in [page, file] {
            let mut lookup = trusted.lookup(&path);
            while let Some(need) = lookup.need() {
                let bytes = metadata(index, &need.fetch.path).unwrap();
                lookup
                    .supply(bytes)
                    .unwrap_or_else(|error| panic!("{at}: {}", said(&error)));
            }
            assert!(matches!(
                lookup.finish().unwrap(),
                wheelmark_tuf::Found::Target(_)
            ));
        }
    }

    fn keep(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { file, bytes } => match file {
                CacheName::Root => self.root = bytes,
                CacheName::Timestamp => self.cached.timestamp = Some(bytes),
                CacheName::Snapshot => self.cached.snapshot = Some(bytes),
                CacheName::Targets => self.cached.targets = Some(bytes),
                CacheName::Delegated { .. } => {}
            },
            Effect::Forget { .. } => {}
        }
    }
}

pub(crate) fn said(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

pub(crate) const NAME: &str = "demo-1.0-py3-none-any.whl";

pub(crate) async fn with_a_file() -> TestIndex {
    with_a_file_in(2, BinForm::Succinct).await
}

/// An index of so many bins, with a file in it.
pub(crate) async fn with_a_file_in(bins: u32, form: BinForm) -> TestIndex {
    let memory = std::path::Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let index = TestIndex::new_in(parent, bins, form).await;
    index.upload(NAME, b"a wheel").await;
    engine(&index).await.turn().await.unwrap();
    index
}
