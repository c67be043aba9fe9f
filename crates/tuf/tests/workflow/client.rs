//! A driver over a map, and the one helper that most cases go through.

use std::collections::BTreeMap;
use std::error::Error;

use jiff::Timestamp;
use serde_json::Value;
use wheelmark_tuf::{
    CacheName, Cached, Effect, Floor, Found, Limits, LookupError, Refresh, RefreshError, TrustedSet,
};

use crate::repo::{NOW, Repo, time};

/// A client with its cache.
pub(crate) struct Client {
    pub(crate) floors: Vec<Floor>,
    pub(crate) cache: BTreeMap<CacheName, Vec<u8>>,
    pub(crate) now: Timestamp,
    pub(crate) limits: Limits,
    /// Every path it has asked for.
    pub(crate) asked: Vec<String>,
}

impl Client {
    /// A client that trusts the repository's first root.
    pub(crate) fn new(repo: &Repo) -> Self {
        Self::with_root(repo.files["1.root.json"].clone())
    }

    pub(crate) fn with_root(root: Vec<u8>) -> Self {
        Client {
            floors: Vec::new(),
            cache: BTreeMap::from([(CacheName::Root, root)]),
            now: time(NOW),
            limits: Limits::default(),
            asked: Vec::new(),
        }
    }

    pub(crate) fn refresh(&mut self, repo: &Repo) -> Result<TrustedSet, RefreshError> {
        let cached = |name| self.cache.get(&name).cloned();
        let restored = Cached {
            floors: self.floors.clone(),
            timestamp: cached(CacheName::Timestamp),
            snapshot: cached(CacheName::Snapshot),
            targets: cached(CacheName::Targets),
        };
        let root = &self.cache[&CacheName::Root];
        let mut refresh = Refresh::new(root, restored, self.now, self.limits)?;
        while let Some(need) = refresh.need().cloned() {
            let answer = repo.files.get(&need.path).cloned();
            self.asked.push(need.path);
            let (next, effects) = refresh.supply(answer)?;
            self.apply(effects);
            refresh = next;
        }
        refresh.finish()
    }

    /// Searches as a driver does: what the cache has is offered first.
    pub(crate) fn lookup(
        &mut self,
        set: &TrustedSet,
        repo: &Repo,
        path: &str,
    ) -> Result<Found, LookupError> {
        let mut lookup = set.lookup(&path.parse().unwrap());
        while let Some(need) = lookup.need().cloned() {
            if let Some(cached) = self.cache.get(&need.cache_name())
                && lookup.restore(cached)
            {
                continue;
            }
            let bytes = repo
                .files
                .get(&need.fetch.path)
                .cloned()
                .unwrap_or_default();
            self.asked.push(need.fetch.path);
            let effects = lookup.supply(bytes)?;
            self.apply(effects);
        }
        lookup.finish()
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist { file, bytes } => drop(self.cache.insert(file, bytes)),
                Effect::Forget { file } => drop(self.cache.remove(&file)),
            }
        }
    }

    /// The versions in the cache: root, timestamp, snapshot, targets; 0 for none.
    pub(crate) fn kept(&self) -> [u64; 4] {
        [
            CacheName::Root,
            CacheName::Timestamp,
            CacheName::Snapshot,
            CacheName::Targets,
        ]
        .map(|name| {
            self.cache.get(&name).map_or(0, |bytes| {
                let file: Value = serde_json::from_slice(bytes).unwrap();
                file["signed"]["version"].as_u64().unwrap()
            })
        })
    }
}

/// An error with its causes, as a person reads it.
pub(crate) fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if !text.ends_with(&error.to_string()) {
            text = format!("{text}: {error}");
        }
        cause = error.source();
    }
    text
}

pub(crate) fn outcome<T, E: Error>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => explain(error),
    }
}

/// A client refreshes, `change` happens to the repository, the client refreshes again:
/// with that outcome and those versions kept of root, timestamp, snapshot and targets.
///
/// Whatever went wrong, the client can update as soon as the repository is well again.
#[track_caller]
pub(crate) fn check(change: impl FnOnce(&mut Repo), expected: &str, kept: [u64; 4]) -> Client {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    client.refresh(&repo).unwrap();
    client.asked.clear();

    change(&mut repo);
    let result = client.refresh(&repo);
    assert_eq!(outcome(&result), expected);
    assert_eq!(
        client.kept(),
        kept,
        "kept of root, timestamp, snapshot, targets"
    );
    if result.is_err() {
        let mut well = Repo::new();
        for _ in 0..5 {
            well.publish("root targets snapshot timestamp");
        }
        let mut healed = Client {
            cache: client.cache.clone(),
            ..Client::new(&well)
        };
        assert_eq!(
            outcome(&healed.refresh(&well)),
            "ok",
            "when the repository is well again"
        );
    }
    client
}

/// As [`check`], for a client that has only the first root.
#[track_caller]
pub(crate) fn check_fresh(
    change: impl FnOnce(&mut Repo),
    expected: &str,
    kept: [u64; 4],
) -> Client {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    change(&mut repo);
    assert_eq!(outcome(&client.refresh(&repo)), expected);
    assert_eq!(
        client.kept(),
        kept,
        "kept of root, timestamp, snapshot, targets"
    );
    client
}
