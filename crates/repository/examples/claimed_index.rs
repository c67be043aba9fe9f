//! What many claimed projects cost the index: an index with so many claims, what clients read there, and the
//! time to publish one release into it.
//!
//! One project is claimed and released through journal and engine. The other claims are written beside it
//! in the form in which the engine has written that one, all at once, each with a key, a page and a role of
//! its own: `recently-claimed`, `claimed`, snapshot and timestamp are signed once. Half of them are
//! sealed, as far as `claimed` has room. Then an engine takes up what is there, as after a restart, and
//! signs everything anew when it is due; it splits what has become long. All that is measured goes through
//! it.
//!
//! `cargo xtask bench claimed` lets clients read what this leaves behind: the tree as it was in the
//! evening (`evening.json` is its timestamp) and as it is a night later, when all that is signed
//! online was signed anew and a release came out.
//!
//! Options: `--claims N`, `--sealed N`, `--bins N`, `--folder DIR` (in which the index is made, and stays).
//! Ends with one line of JSON.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark may panic and print"
)]

#[path = "../tests/support/index.rs"]
mod index;
#[path = "../tests/support/releasing.rs"]
mod releasing;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use index::TestIndex;
use jiff::{SignedDuration, Timestamp};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use releasing::{claim, draft, key};
use serde_json::{Value, json};
use wheelmark_objects::{ObjectPath, page_target};
use wheelmark_packaging::simple::{PageFile, ProjectPage, ReleasedFile};
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_repository::{
    BinForm, CLAIMED, Engine, JournalWriter, RECENTLY_CLAIMED, RoleFile, SnapshotBytes, Turn,
    project_role, targets_of_page,
};
use wheelmark_signing::{Ed25519Key, FileKey, Signer, sign_role};
use wheelmark_store::{Bearer, Outcome};
use wheelmark_tuf::{
    Clock as _, DelegatedRole, DelegatedRoles, Hashes, MetaFile, OWN_MEMBER, Role as _, RoleName,
    SPEC_VERSION, Sha256, Targets, Visit,
};

/// The project that is claimed, released and read.
const WITNESS: &str = "witness";

/// How often a release is published and timed.
const ROUNDS: u64 = 5;

/// How long the night is: everything that is signed online is due then, and none of it has ended.
const NIGHT: SignedDuration = SignedDuration::from_hours(20);

/// Objects that are written at once.
const WRITTEN_AT_ONCE: usize = 2_000;

/// So many of the claims are sealed at most: more have no room in `claimed`, of which clients read 5,000,000
/// bytes.
const MOST_SEALED: usize = 5_000;

struct Options {
    claims: usize,
    sealed: Option<usize>,
    bins: u32,
    folder: PathBuf,
}

fn main() {
    let mut options = Options {
        claims: 1_000,
        sealed: None,
        bins: 64,
        folder: std::env::temp_dir().join("wheelmark-claims"),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("an option has a value");
        match word.as_str() {
            "--claims" => options.claims = value().parse().unwrap(),
            "--sealed" => options.sealed = Some(value().parse().unwrap()),
            "--bins" => options.bins = value().parse().unwrap(),
            "--folder" => options.folder = value().into(),
            other => panic!("no such option: {other}"),
        }
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let figures = runtime.block_on(run(&options));
    println!("{figures}");
}

async fn run(options: &Options) -> Value {
    let Options {
        claims,
        sealed,
        bins,
        folder,
    } = options;
    let sealed = sealed.unwrap_or_else(|| (claims / 2).min(MOST_SEALED));
    std::fs::create_dir_all(folder).unwrap();
    let begun = Instant::now();
    // Clients read by the clock on the wall: the evening is an hour ago.
    let day_before = Timestamp::now() - NIGHT - SignedDuration::from_hours(1);
    let index = TestIndex::new_at(folder, *bins, BinForm::Succinct, day_before.as_second()).await;
    let alice = index.bearer().await;
    let key = key(&index, "alice");
    let world = World { index, alice, key };

    let mut engine = world.engine().await;
    let first = format!("{WITNESS}-1.0.tar.gz");
    let first = world.index.place(&first, b"first").await;
    let admitting = world.index.store.admit_from(first, &world.alice, None);
    admitting.await.unwrap();
    engine.turn().await.unwrap();
    world.release(&mut engine, 1).await;
    engine.flush().await.unwrap();
    drop(engine);
    world.claim_at_once(claims - 1, sealed).await;
    let making = begun.elapsed();

    let begun = Instant::now();
    let mut engine = world.engine().await;
    let loading = begun.elapsed();
    world.index.clock.forward(NIGHT);
    while engine.turn().await.unwrap() != Turn::Idle {}
    let mut publishing: Vec<Duration> = Vec::new();
    for version in 2..2 + ROUNDS {
        publishing.push(world.release(&mut engine, version).await);
    }
    engine.flush().await.unwrap();
    let tree = world.index.tree.root().to_path_buf();
    let evening = world.index.beside("evening.json");
    std::fs::copy(tree.join("metadata/timestamp.json"), &evening).unwrap();

    world.index.clock.forward(NIGHT);
    let begun = Instant::now();
    while engine.turn().await.unwrap() != Turn::Idle {}
    let renewing = begun.elapsed();
    world.release(&mut engine, 2 + ROUNDS).await;
    engine.flush().await.unwrap();

    let trusted = world.index.client();
    // What leads to the project, down to its own role.
    let mut files = serde_json::Map::new();
    let version = trusted.snapshot().version;
    let snapshot = RoleName::snapshot().versioned_file_name(version);
    files.insert("snapshot".to_owned(), snapshot.into());
    for visit in world.way() {
        let version = visit.targets.version;
        let name = visit.role.versioned_file_name(version);
        files.insert(visit.role.to_string(), name.into());
    }
    let shards = trusted.snapshot().meta.keys();
    let shards = shards.filter(|name| name.starts_with("recently-claimed-"));
    publishing.sort();
    let figures = json!({
        "claims": claims,
        "bins": bins,
        "sealed": sealed,
        "shards": shards.count(),
        "files": files,
        "project": WITNESS,
        "tree": tree,
        "root": tree.join("metadata/1.root.json"),
        "evening": evening,
        "make_s": seconds(making),
        "load_s": seconds(loading),
        "publish_s": seconds(publishing[publishing.len() / 2]),
        "renew_s": seconds(renewing),
    });
    drop(engine);
    // What it left behind is read by others.
    std::mem::forget(world.index);
    figures
}

struct World {
    index: TestIndex,
    alice: Bearer,
    key: FileKey,
}

impl World {
    async fn engine(&self) -> Engine {
        let engine = self.index.engine_of(JournalWriter::WebProcess).await;
        let mut engine = engine.unwrap();
        engine.take_claims(true);
        engine
    }

    /// Publishes this version of the witness's role, with a file more; how long the engine took.
    async fn release(&self, engine: &mut Engine, version: u64) -> Duration {
        let filename = format!("{WITNESS}-{version}.0.tar.gz");
        let new = [(filename.as_str(), filename.as_bytes())];
        let is_claim = version == 1;
        let new = if is_claim { &[][..] } else { &new[..] };
        let mut next = draft(&self.index, WITNESS, version, new).await;
        next.claim = is_claim.then(|| claim(&[&self.key], 1));
        let handed = next.hand_in(&self.index, &self.alice, &[&self.key]).await;
        let seq = handed.unwrap();
        let begun = Instant::now();
        engine.turn().await.unwrap();
        let took = begun.elapsed();
        let outcome = self.index.store.outcome(seq).await.unwrap();
        assert!(
            matches!(outcome, Some(Outcome::Published { .. })),
            "{outcome:?}"
        );
        took
    }

    /// The roles by which a client that begins now comes to the witness's page.
    fn way(&self) -> Vec<Visit> {
        let trusted = self.index.client();
        let mut lookup = trusted.lookup(&page_target(&WITNESS.parse().unwrap()));
        while let Some(need) = lookup.need() {
            let path = self.index.path(&format!("metadata/{}", need.fetch.path));
            lookup.supply(std::fs::read(path).unwrap()).unwrap();
        }
        lookup.trail().to_vec()
    }

    /// Claims so many more projects, and seals so many of them.
    async fn claim_at_once(&self, count: usize, sealed: usize) {
        let index = &self.index;
        let trusted = index.client();
        let way = self.way();
        let role = |name: &str| {
            let visit = way.iter().find(|visit| visit.role.as_str() == name);
            Targets::clone(&visit.unwrap().targets)
        };
        let (mut recently, mut claimed) = (role(RECENTLY_CLAIMED), role(CLAIMED));
        let form = listed(&mut recently).1[0].clone();

        let mut snapshot: BTreeMap<RoleName, RoleFile> = BTreeMap::new();
        for (name, meta) in &trusted.snapshot().meta {
            let role = name.strip_suffix(".json").unwrap().parse().unwrap();
            let file = RoleFile {
                version: meta.version,
                sha256: meta.hashes.as_ref().and_then(Hashes::sha256),
            };
            snapshot.insert(role, file);
        }
        let now = index.clock.now();
        let mut objects = Vec::with_capacity(WRITTEN_AT_ONCE);
        for number in 0..count {
            let made = Made::project(number, &form, now);
            let is_sealed = number < sealed;
            let (keys, roles) = match is_sealed {
                true => listed(&mut claimed),
                false => listed(&mut recently),
            };
            keys.insert(made.key.key().keyid().clone(), made.key.key().clone());
            roles.push(match is_sealed {
                true => made.delegation.sealed(1, now),
                false => made.delegation,
            });
            let role = project_role(&made.project);
            snapshot.insert(role.clone(), RoleFile::of_others(1, &made.metadata));
            objects.push((ObjectPath::metadata(&role, 1), Bytes::from(made.metadata)));
            let path = ObjectPath::page(&made.project, &Sha256::of(&made.page));
            objects.push((path, Bytes::from(made.page)));
            if objects.len() >= WRITTEN_AT_ONCE {
                let full = std::mem::take(&mut objects);
                index.tree.create_all(full).await.unwrap();
            }
        }
        index.tree.create_all(objects).await.unwrap();

        let offline: [&dyn Signer; 2] = [&index.offline[6], &index.offline[7]];
        let online: [&dyn Signer; 1] = [&*index.online];
        for (name, mut content, signers) in [
            (RECENTLY_CLAIMED, recently, &online[..]),
            (CLAIMED, claimed, &offline[..]),
        ] {
            content.version += 1;
            let bytes = sign_role(&content.to_canonical(), signers).unwrap();
            let file = match name == CLAIMED {
                true => RoleFile::of_others(content.version, &bytes),
                false => RoleFile::own(content.version),
            };
            let role: RoleName = name.parse().unwrap();
            write(index, &role, content.version, &bytes);
            snapshot.insert(role, file);
        }
        let (version, expires) = (trusted.snapshot().version + 1, trusted.snapshot().expires);
        let snapshot = SnapshotBytes::new(snapshot, version, expires);
        let snapshot = sign_role(snapshot.as_bytes(), &online).unwrap();
        write(index, &RoleName::snapshot(), version, &snapshot);
        let mut timestamp = trusted.timestamp().clone().into_inner();
        timestamp.version += 1;
        timestamp.snapshot = MetaFile {
            length: Some(snapshot.len() as u64),
            hashes: Some(Hashes::sha256_only(Sha256::of(&snapshot))),
            ..MetaFile::version(version)
        };
        let timestamp = sign_role(&timestamp.to_canonical(), &online).unwrap();
        std::fs::write(index.path("metadata/timestamp.json"), timestamp).unwrap();
    }
}

/// What a role delegates, by name.
fn listed(
    role: &mut Targets,
) -> (
    &mut BTreeMap<wheelmark_tuf::KeyId, wheelmark_tuf::Key>,
    &mut Vec<DelegatedRole>,
) {
    let delegations = role.delegations.as_mut().unwrap();
    match &mut delegations.roles {
        DelegatedRoles::Listed(roles) => (&mut delegations.keys, roles),
        DelegatedRoles::Succinct(_) => panic!("claims are listed by name"),
    }
}

fn write(index: &TestIndex, role: &RoleName, version: u64, bytes: &[u8]) {
    let path: &Path = &index.path(ObjectPath::metadata(role, version).as_str());
    std::fs::write(path, bytes).unwrap();
}

/// A project with a key of its own, which has signed one release.
struct Made {
    project: ProjectName,
    key: Ed25519Key,
    delegation: DelegatedRole,
    metadata: Vec<u8>,
    page: Vec<u8>,
}

impl Made {
    /// The so-manieth; `form` is a delegation as the engine writes it.
    fn project(number: usize, form: &DelegatedRole, now: Timestamp) -> Self {
        let name = name(number);
        let project: ProjectName = name.parse().unwrap();
        let key = Ed25519Key::generate(&mut UnwrapErr(SysRng));
        let id = key.key().keyid().clone();

        let mut delegation = form.clone();
        delegation.name = project_role(&project);
        delegation.keys.keyids = vec![id.clone()];
        let own = delegation.keys.extra.get_mut(OWN_MEMBER).unwrap();
        own["maintainers"] = json!({ (id.as_str()): "alice" });
        let paths = [format!("simple/{name}/*"), format!("packages/{name}/*")];
        let paths = paths.into_iter().map(wheelmark_tuf::PathPattern::from);
        delegation.paths = wheelmark_tuf::PathSet::Patterns(paths.collect());
        assert!(delegation.is_claim());

        let filename = format!("{name}-1.0.tar.gz");
        let file = ReleasedFile {
            filename: DistributionFilename::parse_for(&project, &filename).unwrap(),
            sha256: Sha256::of(filename.as_bytes()).0.into(),
            size: filename.len() as u64,
            signed_at: now,
            requires_python: None,
            core_metadata_sha256: None,
            chunks_sha256: None,
        };
        let mut page = ProjectPage::new(project.clone());
        page.files.push(PageFile::released(&project, file));
        let bytes = page.to_json();
        let mut role = Targets {
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires: now + SignedDuration::from_hours(24 * 365),
            targets: targets_of_page(&page, &bytes).unwrap(),
            delegations: None,
            extra: BTreeMap::new(),
        };
        role.state_role(&project_role(&project));
        let metadata = sign_role(&role.to_canonical(), &[&key]).unwrap();
        Self {
            project,
            key,
            delegation,
            metadata,
            page: bytes,
        }
    }
}

/// A name that is as long as most are, begins as any may, and is nobody else's.
fn name(number: usize) -> String {
    let digest = Sha256::of(&number.to_be_bytes()).0;
    let letters = digest.iter().take(6 + usize::from(digest[31] % 6));
    let letters: String = letters.map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("{letters}-{number}")
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 1e4
}
