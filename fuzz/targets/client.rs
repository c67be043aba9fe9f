//! The client workflow against a server that answers what it likes.
//!
//! The server may send any file that was ever published for any other, damaged files, nothing,
//! anything, and, if it decides to have stolen the online keys, timestamps and snapshots with any
//! versions. Whatever it does:
//!
//! * what the client trusts in the end was signed by the right keys and has not expired;
//! * without a stolen key, the client never goes back behind what it has seen;
//! * afterwards an honest server, whose latest root has another online key, can bring the client
//!   up to date.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::repository::{CONTENT, GENERATIONS, Repository, path, time};
use wheelmark_fuzz::script::Script;
use wheelmark_tuf::{
    CacheName, Cached, Effect, Fetch, Found, Limits, Lookup, Refresh, RefreshError, Role,
    TrustedSet,
};

static REPOSITORY: LazyLock<Repository> = LazyLock::new(Repository::new);

/// Most requests that one refresh and one lookup may need.
const MAX_REQUESTS: usize = 64;

/// What the client keeps.
type Cache = BTreeMap<CacheName, Vec<u8>>;

/// Where answers come from.
struct Server<'a> {
    script: Script<'a>,
    /// What it serves where it is honest.
    generation: usize,
    /// Whether it is always honest.
    honest: bool,
    /// Whether it has used an online key.
    stole: bool,
}

impl Server<'_> {
    fn honest(generation: usize) -> Server<'static> {
        Server {
            script: Script(&[]),
            generation,
            honest: true,
            stole: false,
        }
    }

    fn answer(&mut self, fetch: &Fetch) -> Option<Vec<u8>> {
        let files = &REPOSITORY.published[self.generation];
        let decision = if self.honest {
            1
        } else {
            self.script.byte() % 8
        };
        let any = |script: &mut Script<'_>| {
            REPOSITORY.all[usize::from(script.byte()) % REPOSITORY.all.len()].clone()
        };
        match decision {
            0 => None,
            1 | 2 => files.get(&fetch.path).cloned(),
            3 => {
                self.generation = usize::from(self.script.byte()) % GENERATIONS;
                REPOSITORY.published[self.generation]
                    .get(&fetch.path)
                    .cloned()
            }
            4 => Some(any(&mut self.script)),
            5 => {
                let mut file = any(&mut self.script);
                for _ in 0..=self.script.byte() % 4 {
                    let at = self.script.number() % file.len();
                    file[at] ^= self.script.byte();
                }
                Some(file)
            }
            6 => Some(self.script.piece().to_vec()),
            _ => {
                self.stole = true;
                let [key, kind, version, of_snapshot, of_targets] =
                    std::array::from_fn(|_| self.script.byte());
                let far = |number: u8| {
                    if number == u8::MAX {
                        u64::MAX >> 12
                    } else {
                        number.into()
                    }
                };
                // The last key is the one that replaces a stolen one.
                let key = usize::from(key % 2);
                Some(REPOSITORY.forge(
                    key,
                    kind % 2 == 0,
                    far(version),
                    far(of_snapshot),
                    far(of_targets),
                ))
            }
        }
    }
}

fn apply(cache: &mut Cache, effects: Vec<Effect>) {
    for effect in effects {
        match effect {
            Effect::Persist { file, bytes } => drop(cache.insert(file, bytes)),
            Effect::Forget { file } => drop(cache.remove(&file)),
        }
    }
}

fn refresh(
    cache: &mut Cache,
    server: &mut Server<'_>,
    now: Timestamp,
) -> Result<TrustedSet, RefreshError> {
    let cached = Cached {
        timestamp: cache.get(&CacheName::Timestamp).cloned(),
        snapshot: cache.get(&CacheName::Snapshot).cloned(),
        targets: cache.get(&CacheName::Targets).cloned(),
        floors: Vec::new(),
    };
    let limits = Limits::default();
    let mut refresh = Refresh::new(&cache[&CacheName::Root], cached, now, limits)?;
    let mut requests = 0;
    while let Some(fetch) = refresh.need() {
        requests += 1;
        assert!(requests < MAX_REQUESTS, "a refresh ends");
        let most = limits.snapshot_length.max(limits.targets_length);
        assert!(fetch.max_len <= most && !fetch.path.contains('/'));
        let answer = server.answer(fetch);
        let (next, effects) = refresh.supply(answer)?;
        refresh = next;
        apply(cache, effects);
    }
    refresh.finish()
}

/// Whether the search came to an answer, and found the file.
fn look_up(cache: &mut Cache, server: &mut Server<'_>, set: &TrustedSet) -> Option<bool> {
    let mut lookup: Lookup = set.lookup(&path());
    let mut requests = 0;
    while let Some(need) = lookup.need().cloned() {
        requests += 1;
        if requests == MAX_REQUESTS || (!server.honest && server.script.is_over()) {
            return None;
        }
        if cache
            .get(&need.cache_name())
            .is_some_and(|bytes| lookup.restore(bytes))
        {
            continue;
        }
        let before = lookup.need().cloned();
        match server.answer(&need.fetch).map(|bytes| lookup.supply(bytes)) {
            Some(Ok(effects)) => apply(cache, effects),
            Some(Err(_)) => assert_eq!(
                lookup.need(),
                before.as_ref(),
                "the search stays where it was"
            ),
            None => return None,
        }
    }
    match lookup.finish().ok()? {
        Found::Target(target) => {
            assert_eq!(target.path, path());
            target
                .check(CONTENT)
                .expect("only one content was ever signed");
            Some(true)
        }
        Found::Absent { .. } => Some(false),
    }
}

/// What must hold for any set that a client came to trust.
fn check(set: &TrustedSet, now: Timestamp) {
    let (root, timestamp, snapshot, targets) =
        (set.root(), set.timestamp(), set.snapshot(), set.targets());
    assert!(
        root.expires > now
            && timestamp.expires > now
            && snapshot.expires > now
            && targets.expires > now
    );
    assert_eq!(timestamp.snapshot.version, snapshot.version);
    assert_eq!(snapshot.meta["targets.json"].version, targets.version);
    let published = |signed: Vec<u8>| {
        let files = REPOSITORY.published.iter().flat_map(BTreeMap::values);
        files
            .into_iter()
            .any(|file| file.ends_with(&[&signed[..], b"}"].concat()))
    };
    assert!(
        published(root.to_canonical()) && published(targets.to_canonical()),
        "offline keys are not stolen"
    );
}

fuzz_target!(|input: &[u8]| {
    let mut script = Script(input);
    let moments = [
        "2026-01-01T00:00:00Z",
        "2026-07-01T00:00:00Z",
        "2031-01-01T00:00:00Z",
    ];
    let mut cache = Cache::from([(
        CacheName::Root,
        REPOSITORY.published[0]["1.root.json"].clone(),
    )]);
    let mut stole = false;
    let mut seen: Option<TrustedSet> = None;
    let rounds = 1 + script.byte() % 4;
    for _ in 0..rounds {
        let now = time(moments[usize::from(script.byte()) % moments.len()]);
        let mut server = Server {
            script,
            generation: 0,
            honest: false,
            stole,
        };
        server.generation = usize::from(server.script.byte()) % GENERATIONS;
        let set = refresh(&mut cache, &mut server, now);
        if let Ok(set) = set {
            check(&set, now);
            if let Some(seen) = &seen {
                assert!(set.root().version >= seen.root().version, "root goes back");
                if !server.stole {
                    assert!(
                        set.timestamp().version >= seen.timestamp().version,
                        "the timestamp goes back"
                    );
                    assert!(
                        set.snapshot().version >= seen.snapshot().version,
                        "the snapshot goes back"
                    );
                    assert!(
                        set.targets().version >= seen.targets().version,
                        "targets go back"
                    );
                }
            }
            look_up(&mut cache, &mut server, &set);
            seen = Some(set);
        }
        (script, stole) = (server.script, server.stole);
    }
    // Everybody is well again.
    let now = time("2026-07-01T00:00:00Z");
    let generation = GENERATIONS - 1;
    let mut server = Server::honest(generation);
    let set = refresh(&mut cache, &mut server, now).expect("an honest server can always help");
    check(&set, now);
    assert_eq!(set.root().version, generation as u64 + 1);
    assert_eq!(look_up(&mut cache, &mut server, &set), Some(true));
});
