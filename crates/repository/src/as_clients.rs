//! Reads a snapshot that is about to be recorded as clients will, before it exists for anybody.
//!
//! What the engine signs online it makes itself, again and again. What a ceremony brings comes once
//! in months, from elsewhere, and a mistake in it would lock every client out: so it is tried first,
//! with the client's own workflow, on what is published and what is about to be.

use std::collections::HashMap;

use jiff::Timestamp;
use wheelmark_objects::{Directory, ObjectPath, file_target, page_target};
use wheelmark_packaging::ProjectName;
use wheelmark_store::Intent;
use wheelmark_tuf::{
    Cached, Limits, Lookup, LookupError, Refresh, RefreshError, RoleName, TrustedSet,
};

use crate::publish::PublishError;
use crate::state::{LoadError, OWN_METADATA_LIMIT, State};

/// A file of the project that is searched for.
const ANY_FILE: &str = "a-0.tar.gz";

/// A project that nobody has: searching for it leads through every offline role. Where a project
/// is claimed, a search ends at its own role; so the name is made of the published timestamp, which
/// nobody could know when they claimed theirs.
fn nobodys(state: &State) -> ProjectName {
    let name = format!("nobodys-{}", state.timestamp_sha256);
    name.parse()
        .expect("letters and digits are a project's name")
}

/// Why clients would not accept what is about to be published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{client} would refuse it")]
    Refresh {
        client: &'static str,
        #[source]
        source: RefreshError,
    },
    #[error("{client} could not search it")]
    Lookup {
        client: &'static str,
        #[source]
        source: LookupError,
    },
}

/// Follows `intent` as a new client and as one that has what is published now: before the next root
/// is out, and after.
pub(crate) async fn try_out(
    tree: &Directory,
    state: &State,
    intent: &Intent,
    now: Timestamp,
) -> Result<Result<(), Refused>, PublishError> {
    let root = RoleName::root();
    let first = must(tree, &ObjectPath::metadata(&root, 1)).await?;
    let known = ObjectPath::metadata(&root, state.root.version);
    let known = must(tree, &known).await?;
    let cached = published(tree, state).await?;
    let (new, old) = (
        ("a new client", &*first, Cached::default()),
        (
            "a client that knows the state of now",
            &*known,
            cached.clone(),
        ),
    );
    let (new_after, old_after) = (
        (
            "a new client, with the next root,",
            &*first,
            Cached::default(),
        ),
        (
            "a client that knows the state of now, with the next root,",
            &*known,
            cached,
        ),
    );
    let clients = Clients {
        before: vec![new, old],
        after: vec![new_after, old_after],
    };
    try_as(tree, state, intent, clients, now).await
}

/// The same for a snapshot by which an index goes back to `good`, while `robbed` is published. A client
/// that has seen that one takes the next one once it has the next root: a thief may have driven up what
/// it remembers. None can have seen one that cannot be read.
pub(crate) async fn try_out_going_back(
    tree: &Directory,
    (last_good, good): (&Directory, &State),
    robbed: Option<&State>,
    intent: &Intent,
    now: Timestamp,
) -> Result<Result<(), Refused>, PublishError> {
    let root = RoleName::root();
    let first = must(tree, &ObjectPath::metadata(&root, 1)).await?;
    let known = ObjectPath::metadata(&root, good.root.version);
    let known = must(tree, &known).await?;
    let then = Cached {
        timestamp: None,
        ..published(last_good, good).await?
    };
    let mut clients = Clients {
        before: vec![
            ("a new client", &*first, Cached::default()),
            (
                "a client that knows the last good state",
                &*known,
                then.clone(),
            ),
        ],
        after: vec![
            (
                "a new client, with the next root,",
                &*first,
                Cached::default(),
            ),
            (
                "a client that knows the last good state, with the next root,",
                &*known,
                then,
            ),
        ],
    };
    if let Some(robbed) = robbed {
        clients.after.push((
            "a client that knows the state of now, with the next root,",
            &*known,
            published(tree, robbed).await?,
        ));
    }
    try_as(tree, good, intent, clients, now).await
}

/// A kind of client, in words; its root; what else it has.
type Kind<'a> = (&'static str, &'a [u8], Cached);

/// Who tries it out: before the next root is out, and after.
struct Clients<'a> {
    before: Vec<Kind<'a>>,
    after: Vec<Kind<'a>>,
}

async fn try_as(
    tree: &Directory,
    state: &State,
    intent: &Intent,
    clients: Clients<'_>,
    now: Timestamp,
) -> Result<Result<(), Refused>, PublishError> {
    let mut view = View {
        tree,
        project: nobodys(state),
        offline: &state.offline,
        next: HashMap::new(),
    };
    let objects = intent.objects.iter();
    view.next
        .extend(objects.map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    view.next
        .insert("metadata/timestamp.json", intent.timestamp.as_slice());
    let next = ObjectPath::metadata(&RoleName::root(), state.root.version.saturating_add(1));
    let next_root = view.next.remove(next.as_str());
    // Under a root that has expired no client gets on before the next one is out.
    if next_root.is_none() || state.root.expires > now {
        for (client, root, cached) in clients.before {
            if let Err(refused) = view.follow(client, root, cached, now).await? {
                return Ok(Err(refused));
            }
        }
    }
    let Some(next_root) = next_root else {
        return Ok(Ok(()));
    };
    view.next.insert(next.as_str(), next_root);
    for (client, root, cached) in clients.after {
        if let Err(refused) = view.follow(client, root, cached, now).await? {
            return Ok(Err(refused));
        }
    }
    Ok(Ok(()))
}

async fn must(tree: &Directory, path: &ObjectPath) -> Result<Vec<u8>, PublishError> {
    let bytes = tree.read(path, OWN_METADATA_LIMIT).await?;
    let missing = || LoadError::Missing {
        path: path.as_str().to_owned(),
    };
    Ok(bytes.ok_or_else(missing)?.to_vec())
}

/// What a client keeps that was here a moment ago.
async fn published(tree: &Directory, state: &State) -> Result<Cached, PublishError> {
    let read = async |path: ObjectPath| {
        let bytes = tree.read(&path, OWN_METADATA_LIMIT).await?;
        Ok::<_, PublishError>(bytes.map(|bytes| bytes.to_vec()))
    };
    let targets = RoleName::targets();
    let version = state.snapshot.role_version(&targets).unwrap_or(0);
    let snapshot = ObjectPath::metadata(&RoleName::snapshot(), state.snapshot.version());
    Ok(Cached {
        timestamp: read(ObjectPath::timestamp()).await?,
        snapshot: read(snapshot).await?,
        targets: read(ObjectPath::metadata(&targets, version)).await?,
        floors: Vec::new(),
    })
}

/// The tree as it is about to be.
struct View<'a> {
    tree: &'a Directory,
    /// The project that is searched for.
    project: ProjectName,
    offline: &'a [(RoleName, Timestamp)],
    next: HashMap<&'a str, &'a [u8]>,
}

impl View<'_> {
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let path = format!("metadata/{name}");
        if let Some(bytes) = self.next.get(path.as_str()) {
            return Ok(Some(bytes.to_vec()));
        }
        let path = crate::publish::recorded_path(&path)?;
        let bytes = self.tree.read(&path, OWN_METADATA_LIMIT).await?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
    }

    async fn follow(
        &self,
        client: &'static str,
        root: &[u8],
        cached: Cached,
        now: Timestamp,
    ) -> Result<Result<(), Refused>, PublishError> {
        let refused = |source| Refused::Refresh { client, source };
        let mut refresh = match Refresh::new(root, cached, now, Limits::default()) {
            Ok(refresh) => refresh,
            Err(source) => return Ok(Err(refused(source))),
        };
        while let Some(need) = refresh.need() {
            let answer = self.read(&need.path).await?;
            refresh = match refresh.supply(answer) {
                Ok((refresh, _)) => refresh,
                Err(source) => return Ok(Err(refused(source))),
            };
        }
        match refresh.finish() {
            Ok(trusted) => self.search(client, &trusted).await,
            Err(source) => Ok(Err(refused(source))),
        }
    }

    async fn search(
        &self,
        client: &'static str,
        trusted: &TrustedSet,
    ) -> Result<Result<(), Refused>, PublishError> {
        let page = page_target(&self.project);
        let file = file_target(&self.project, ANY_FILE)?;
        for path in [page, file] {
            let mut lookup: Lookup = trusted.lookup(&path);
            let mut damaged = false;
            while let Some(need) = lookup.need() {
                let (name, role) = (need.fetch.path.clone(), need.role.clone());
                let bytes = self.read(&name).await?.unwrap_or_default();
                if let Err(source) = lookup.supply(bytes) {
                    let is_new = self.next.contains_key(format!("metadata/{name}").as_str());
                    if is_new || self.offline.iter().any(|(offline, _)| *offline == role) {
                        return Ok(Err(Refused::Lookup { client, source }));
                    }
                    // What the online key signed before is damaged with or without the ceremony.
                    damaged = true;
                    break;
                }
            }
            if damaged {
                continue;
            }
            if let Err(source) = lookup.finish() {
                return Ok(Err(Refused::Lookup { client, source }));
            }
        }
        Ok(Ok(()))
    }
}
