//! The index of a seed: the real engine over a real tree, and the ceremonies that the test holds
//! in the operator's place.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use wheelmark_client::CHUNK_LEN;
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::DistributionFilename;
use wheelmark_repository::{
    BinForm, Bins, Engine, Genesis, JournalWriter, Lifetimes, OfflineSigners, Turn,
};
use wheelmark_signing::{FileKey, Signer, sign_role};
use wheelmark_store::{Admission, NewFile, Store};
use wheelmark_testing::TestClock;
use wheelmark_tuf::{Clock as _, Key, Sha256, canonical};

use crate::listing::{Page, listing};

/// Objects by path: what a web server has at one moment.
pub(crate) type Tree = BTreeMap<String, Bytes>;

/// What the operator does with the offline keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ceremony {
    /// Root gets other keys.
    RootKeys,
    /// The online key is replaced, wherever it is named.
    OnlineKey,
    /// Everything signed offline gets a new expiry.
    Renewal,
}

/// Which keys sign a role that is not top-level online.
const OFFLINE: [(&str, usize); 4] = [
    ("targets", TARGETS),
    ("claimed", CLAIMED),
    ("simple", BINS),
    ("packages", BINS),
];
const ROOT: usize = 0;
const TARGETS: usize = 1;
const BINS: usize = 2;
const CLAIMED: usize = 3;

pub(crate) struct Index {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    rng: StdRng,
    tree: Arc<Directory>,
    store: Store,
    engine: Option<Engine>,
    /// Pairs of keys, both of which must sign: root's, targets', the bins' delegators', claimed's.
    offline: [[FileKey; 2]; 4],
    pub(crate) online: Arc<FileKey>,
    keys_made: u32,
    pub(crate) fingerprint: Sha256,
    /// What every moment of the past had to offer; the last is now.
    pub(crate) history: Vec<Arc<Tree>>,
    /// Every file that was ever published, with its content.
    pub(crate) published: BTreeMap<String, Bytes>,
    pending: BTreeMap<String, Bytes>,
    /// Every page that each project ever had, the newest last.
    pub(crate) pages: BTreeMap<String, Vec<Page>>,
    /// Every file as it was admitted, by name.
    admitted: BTreeMap<String, NewFile>,
    removed: BTreeSet<String>,
    files_made: u64,
}

/// Where a seed's files lie: in memory if the machine offers that, since thousands of flushes are
/// of no use to this test.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::Builder::new()
        .prefix("wheelmark-sim-")
        .tempdir_in(place)
        .unwrap()
}

impl Index {
    pub(crate) async fn new(seed: u64) -> Self {
        let folder = folder();
        let mut rng = StdRng::seed_from_u64(seed);
        let tree = Directory::open(&folder.path().join("repository"))
            .await
            .unwrap();
        let store = Store::open(&folder.path().join("catalogue.sqlite"))
            .await
            .unwrap();
        let clock = Arc::new(TestClock::at(
            Timestamp::from_second(1_780_000_000).unwrap(),
        ));
        let mut keys_made = 0;
        let mut key = || {
            keys_made += 1;
            new_key(folder.path(), keys_made, &mut rng)
        };
        let offline: [[FileKey; 2]; 4] = std::array::from_fn(|_| [key(), key()]);
        let online = key();
        let signers = OfflineSigners {
            root: pair(&offline[ROOT]),
            targets: pair(&offline[TARGETS]),
            bins: pair(&offline[BINS]),
            claimed: pair(&offline[CLAIMED]),
        };
        let genesis = Genesis {
            bins: Bins::new(2, BinForm::Succinct).unwrap(),
            lifetimes: Lifetimes::default(),
            now: clock.now(),
        };
        let fingerprint = genesis.write(&tree, &signers, &online).await.unwrap();
        let mut index = Self {
            folder,
            clock,
            rng,
            tree: Arc::new(tree),
            store,
            engine: None,
            offline,
            online: Arc::new(online),
            keys_made,
            fingerprint,
            history: Vec::new(),
            published: BTreeMap::new(),
            pending: BTreeMap::new(),
            pages: BTreeMap::new(),
            admitted: BTreeMap::new(),
            removed: BTreeSet::new(),
            files_made: 0,
        };
        index.collect();
        index.open_engine().await;
        index
    }

    async fn open_engine(&mut self) {
        let engine = Engine::open(
            self.tree.clone(),
            self.store.clone(),
            self.online.clone(),
            self.clock.clone(),
            Lifetimes::default(),
            JournalWriter::Operator,
        );
        self.engine = Some(engine.await.unwrap());
    }

    /// Uploads a file of a new version, and returns its name. The snapshot process has not seen
    /// it yet.
    pub(crate) async fn upload(&mut self, project: &str, size: usize, chunks: bool) -> String {
        self.files_made += 1;
        let filename = format!("{project}-{}.0-py3-none-any.whl", self.files_made);
        let mut content = vec![0; size];
        self.rng.fill(&mut content[..]);
        let parsed = DistributionFilename::parse(&filename).unwrap();
        let project = parsed.project().clone();
        let sha256 = Sha256::of(&content);
        let path = ObjectPath::file(&project, &sha256, &filename).unwrap();
        let mut temp = tempfile::NamedTempFile::new_in(self.tree.incoming()).unwrap();
        temp.write_all(&content).unwrap();
        self.tree.place(&path, temp).await.unwrap();
        let metadata = core_metadata(&filename);
        let metadata_sha256 = Sha256::of(&metadata);
        let path = ObjectPath::file_metadata(&project, &metadata_sha256, &filename).unwrap();
        self.tree.create(&path, metadata).await.unwrap();
        let mut chunks_sha256 = None;
        if chunks {
            let list: Vec<u8> = content
                .chunks(CHUNK_LEN as usize)
                .flat_map(|chunk| Sha256::of(chunk).0)
                .collect();
            let digest = Sha256::of(&list);
            let path = ObjectPath::chunks(&project, &digest, &filename).unwrap();
            self.tree.create(&path, Bytes::from(list)).await.unwrap();
            chunks_sha256 = Some(digest);
        }
        let file = NewFile {
            project,
            filename: filename.clone(),
            sha256,
            size: size as u64,
            uploaded_at: self.clock.now(),
            requires_python: None,
            core_metadata_sha256: Some(metadata_sha256),
            chunks_sha256,
            gpg_signature: None,
            provenance_sha256: None,
            uploaded_by: "simulation".to_owned(),
            back_signed: false,
            yanked: None,
        };
        let admitted = self.store.admit(file.clone()).await.unwrap();
        assert!(matches!(admitted, Admission::Recorded(_)));
        self.admitted.insert(filename.clone(), file);
        self.pending.insert(filename.clone(), content.into());
        filename
    }

    /// Takes a file away, brings one back, or yanks one, and says which. The snapshot process has
    /// not seen it yet.
    pub(crate) async fn withdraw(&mut self) -> String {
        let names: Vec<String> = self.admitted.keys().cloned().collect();
        let name = names[self.rng.random_range(0..names.len())].clone();
        let file = self.admitted[&name].clone();
        if self.removed.remove(&name) {
            let other = NewFile {
                sha256: Sha256::of(b"other bytes under a name that was taken away"),
                ..file.clone()
            };
            let other = self.store.admit(other).await.unwrap();
            assert!(matches!(other, Admission::Different { .. }), "{other:?}");
            let back_signed = self.rng.random();
            let back = self.store.admit(NewFile {
                back_signed,
                ..file
            });
            assert!(matches!(back.await.unwrap(), Admission::Recorded(_)));
            return format!("{name} is back");
        }
        if self.rng.random_range(0..3) > 0 {
            let yanked = self.rng.random::<bool>().then(|| "broken".to_owned());
            let what = format!("{name} yanked: {yanked:?}");
            let seq = self.store.set_yanked(&file.project, &name, yanked).await;
            seq.unwrap().unwrap();
            what
        } else {
            let seq = self.store.remove(&file.project, &name).await;
            seq.unwrap().unwrap();
            self.removed.insert(name.clone());
            format!("{name} removed")
        }
    }

    /// Publishes what was uploaded and renews what is due, as the engine sees fit.
    pub(crate) async fn turn(&mut self) {
        let engine = self.engine.as_mut().unwrap();
        while engine.turn().await.unwrap() != Turn::Idle {}
        self.published.append(&mut self.pending);
        self.collect();
        for (project, page) in listing(self.now(), &self.snapshot()) {
            let pages = self.pages.entry(project).or_default();
            if pages.last() != Some(&page) {
                pages.push(page);
            }
        }
    }

    /// The tree as it is now.
    pub(crate) fn now(&self) -> &Arc<Tree> {
        self.history.last().unwrap()
    }

    /// Reads what is new in the tree.
    fn collect(&mut self) {
        let mut tree = match self.history.last() {
            Some(last) => Tree::clone(last),
            None => Tree::new(),
        };
        let repository = self.folder.path().join("repository");
        for part in ["metadata", "targets/simple", "targets/packages"] {
            read_into(&mut tree, &repository, &repository.join(part));
        }
        if self.history.last().is_none_or(|last| **last != tree) {
            self.history.push(Arc::new(tree));
        }
    }

    /// The first moment from now on at which something that only offline keys renew is expired.
    pub(crate) fn offline_expiry(&self) -> Timestamp {
        ["root", "targets", "claimed", "simple", "packages"]
            .iter()
            .map(|role| expiry(&self.newest(role)["signed"]))
            .min()
            .unwrap()
    }

    /// The newest version of a role, as a file.
    fn newest(&self, role: &str) -> Value {
        let ending = format!(".{role}.json");
        let newest = |tree: &Tree| {
            let of_role = |(path, bytes): (&String, &Bytes)| {
                let version = path.strip_prefix("metadata/")?.strip_suffix(&ending)?;
                Some((version.parse::<u64>().ok()?, bytes.clone()))
            };
            tree.iter().filter_map(of_role).max_by_key(|(v, _)| *v)
        };
        let (_, bytes) = newest(self.now()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The published timestamp.
    pub(crate) fn timestamp(&self) -> Value {
        serde_json::from_slice(&self.now()["metadata/timestamp.json"]).unwrap()
    }

    /// The published snapshot.
    pub(crate) fn snapshot(&self) -> Value {
        self.newest("snapshot")
    }

    /// The newest root.
    pub(crate) fn root(&self) -> Value {
        self.newest("root")
    }

    pub(crate) fn root_keys(&self) -> Vec<&dyn Signer> {
        pair(&self.offline[ROOT])
    }

    /// A key that nothing names.
    pub(crate) fn unknown_key(&mut self) -> FileKey {
        self.keys_made += 1;
        new_key(self.folder.path(), self.keys_made, &mut self.rng)
    }

    /// Signs with the offline keys, while the engine rests.
    pub(crate) async fn hold(&mut self, ceremony: Ceremony) {
        self.engine = None;
        let now = self.clock.now();
        let mut root = self.root()["signed"].clone();
        raise(&mut root, now, 365);
        match ceremony {
            Ceremony::Renewal => {
                self.put(&root, "root", &pair(&self.offline[ROOT]));
                let roles = OFFLINE.map(|(role, _)| (role.to_owned(), None));
                self.sign_below_root(&roles, now);
            }
            Ceremony::RootKeys => {
                let new = [self.unknown_key(), self.unknown_key()];
                for (old, new) in self.offline[ROOT].iter().zip(&new) {
                    replace_key(&mut root, old.key(), new.key());
                }
                let mut signers = pair(&self.offline[ROOT]);
                signers.extend(pair(&new));
                self.put(&root, "root", &signers);
                self.offline[ROOT] = new;
            }
            Ceremony::OnlineKey => {
                let new = self.unknown_key();
                let old = std::mem::replace(&mut self.online, Arc::new(new));
                replace_key(&mut root, old.key(), self.online.key());
                self.put(&root, "root", &pair(&self.offline[ROOT]));
                let snapshot = self.snapshot();
                let roles: Vec<_> = snapshot["signed"]["meta"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .map(|name| name.strip_suffix(".json").unwrap().to_owned())
                    .map(|role| (role, Some(old.key().clone())))
                    .collect();
                self.sign_below_root(&roles, now);
            }
        }
        self.collect();
        self.open_engine().await;
    }

    /// Gives each role its next version, in which the new online key stands for an old one where
    /// one is given; then the snapshot and the timestamp.
    fn sign_below_root(&self, roles: &[(String, Option<Key>)], now: Timestamp) {
        let mut snapshot = self.snapshot()["signed"].clone();
        for (role, replaced) in roles {
            let mut signed = self.newest(role)["signed"].clone();
            let offline = OFFLINE.iter().find(|(name, _)| name == role);
            let days = match role.as_str() {
                "claimed" => 90,
                _ if offline.is_some() => 365,
                _ => 1,
            };
            raise(&mut signed, now, days);
            if let Some(old) = replaced {
                replace_key(&mut signed, old, self.online.key());
            }
            let signers = match offline {
                Some((_, keys)) => pair(&self.offline[*keys]),
                None => vec![self.online.as_ref() as &dyn Signer],
            };
            let file = self.put(&signed, role, &signers);
            let listed = &mut snapshot["meta"][format!("{role}.json")];
            listed["version"] = signed["version"].clone();
            if listed.get("hashes").is_some() {
                listed["hashes"]["sha256"] = Sha256::of(&file).to_string().into();
            }
        }
        let online: [&dyn Signer; 1] = [self.online.as_ref()];
        // Longer than the engine gives it, so that timestamp expires alone now and then.
        raise(&mut snapshot, now, 3);
        let file = self.put(&snapshot, "snapshot", &online);
        let mut timestamp = self.timestamp()["signed"].clone();
        raise(&mut timestamp, now, 1);
        point(&mut timestamp, &snapshot, &file);
        let file = sign_role(&canonical::encode(&timestamp), &online).unwrap();
        std::fs::write(self.metadata("timestamp.json"), file).unwrap();
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.folder.path().join("repository/metadata").join(name)
    }

    fn put(&self, signed: &Value, role: &str, signers: &[&dyn Signer]) -> Vec<u8> {
        let file = sign_role(&canonical::encode(signed), signers).unwrap();
        let name = format!("{}.{role}.json", signed["version"]);
        std::fs::write(self.metadata(&name), &file).unwrap();
        file
    }
}

/// The metadata of a file, as it is published beside it.
pub(crate) fn core_metadata(filename: &str) -> Bytes {
    format!("Metadata-Version: 2.1\nSummary: {filename}\n").into()
}

/// The moment at which a role's signed part is no longer valid.
pub(crate) fn expiry(signed: &Value) -> Timestamp {
    signed["expires"].as_str().unwrap().parse().unwrap()
}

/// Lets a timestamp's signed part name a snapshot.
pub(crate) fn point(timestamp: &mut Value, snapshot: &Value, file: &[u8]) {
    timestamp["meta"]["snapshot.json"] = json!({
        "version": snapshot["version"],
        "length": file.len(),
        "hashes": {"sha256": Sha256::of(file).to_string()},
    });
}

/// A later version, valid from now on.
fn raise(signed: &mut Value, now: Timestamp, days: i64) {
    signed["version"] = (signed["version"].as_u64().unwrap() + 1).into();
    signed["expires"] = (now + SignedDuration::from_hours(24 * days))
        .to_string()
        .into();
}

/// Puts one key into the place of another, wherever a signed part names it.
pub(crate) fn replace_key(value: &mut Value, old: &Key, new: &Key) {
    match value {
        Value::Object(members) => {
            if members.remove(old.keyid().as_str()).is_some() {
                members.insert(new.keyid().as_str().to_owned(), new.to_value());
            }
            for member in members.values_mut() {
                replace_key(member, old, new);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| replace_key(item, old, new)),
        Value::String(text) if text == old.keyid().as_str() => {
            *text = new.keyid().as_str().to_owned();
        }
        _ => {}
    }
}

fn pair(keys: &[FileKey; 2]) -> Vec<&dyn Signer> {
    keys.iter().map(|key| key as &dyn Signer).collect()
}

fn new_key(folder: &Path, number: u32, rng: &mut StdRng) -> FileKey {
    FileKey::create(&folder.join(format!("key-{number}")), rng).unwrap()
}

fn read_into(tree: &mut Tree, repository: &Path, folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_into(tree, repository, &path);
            continue;
        }
        let name = path.strip_prefix(repository).unwrap().to_str().unwrap();
        if name == "metadata/timestamp.json" || !tree.contains_key(name) {
            tree.insert(name.to_owned(), std::fs::read(&path).unwrap().into());
        }
    }
}
