//! What the server is made of, and the limits it keeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use wheelmark_objects::Directory;
use wheelmark_provenance::TrustedRoots;
use wheelmark_store::Store;
use wheelmark_tuf::Clock;

use crate::address::TrustedProxies;
use crate::auth::{Door, FAILED_ATTEMPTS, UPLOADS};
use crate::bulletin::Bulletins;
use crate::documents::Documents;
use crate::health::Writable;
use crate::metrics::{Expiries, Metrics};
use crate::observe::Observing;
use crate::privacy::{Guard, Privacy};
use crate::rate::Rate;
use crate::request_id::RequestIds;
use crate::serials::Serials;
use crate::shelf::Shelf;
use crate::trusted::{Exchanging, How, TrustedPublishing};
use crate::upload::{Folder, Gates, MAX_STAGED_LEN, NewNames};

/// Longest accepted file, in bytes. The largest wheels in use (GPU libraries) stay below.
pub const MAX_FILE_LEN: u64 = 4 * 1024 * 1024 * 1024;

/// How long an upload waits for its snapshot before it is answered 503. Uploaders wait longer.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// For how long a notice that a project's keys are lost stands, where nothing else is said.
pub const RECOVERY_DELAY: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Limits that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that releases and files may have together that wait for signatures.
    pub staged_len: u64,
    /// Longest accepted file, in bytes, of a project without a limit of its own.
    pub file_len: u64,
    /// Most bytes that the files of one project may have together, if there is a limit and it has
    /// none of its own.
    pub project_len: Option<u64>,
    /// How long an upload waits for its snapshot.
    pub publish_timeout: Duration,
    /// For how long a notice that a project's keys are lost stands before others take their place; as the
    /// process that signs has it.
    pub recovery_delay: Duration,
    /// How many attempts may fail that come from one address, or are made under one name.
    pub failed_attempts: Rate,
    /// How many files a user may upload.
    pub uploads: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            staged_len: MAX_STAGED_LEN,
            file_len: MAX_FILE_LEN,
            project_len: None,
            publish_timeout: PUBLISH_TIMEOUT,
            recovery_delay: RECOVERY_DELAY,
            failed_attempts: FAILED_ATTEMPTS,
            uploads: UPLOADS,
        }
    }
}

/// Rules for new files that an operator may lift, because what they protect from can be wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leeway {
    /// File names need not be normalised, as those of files that were published elsewhere years ago
    /// are not.
    pub older_file_names: bool,
    /// New projects may be called like modules of Python's standard library.
    pub standard_library_names: bool,
    /// New projects may have names that look like those of others.
    pub similar_names: bool,
    /// Classifiers need not be known: the list is as old as the program.
    pub unknown_classifiers: bool,
}

/// The services that the handlers use.
#[derive(Clone)]
pub struct App {
    /// The published tree.
    pub tree: Arc<Directory>,
    /// The catalogue and the journal.
    pub store: Store,
    /// The time that uploads are stamped with, and that what is published runs out by.
    pub clock: Arc<dyn Clock>,
    /// What is refused for its size or its duration.
    pub limits: Limits,
    /// What is counted; whoever publishes the snapshots in this process counts there, too.
    pub metrics: Arc<Metrics>,
    /// Whose word counts about where requests come from.
    pub proxies: TrustedProxies,
    /// A number that tells this run from others, for the ids of requests.
    pub run: u64,
    /// Whether `/metrics` is among what everybody can ask for.
    pub metrics_are_public: bool,
    /// Where people reach the index, without a slash at its end, if a proxy in front says so.
    pub external_url: Option<String>,
    /// Whether the server speaks TLS itself.
    pub speaks_tls: bool,
    /// Rules that do not hold here.
    pub leeway: Leeway,
    /// How identity tokens of CI services are exchanged for upload tokens, if they are.
    pub trusted_publishing: Option<TrustedPublishing>,
    /// Whose certificates attestations are believed by; where there are none, attestations are
    /// refused.
    pub roots: Arc<TrustedRoots>,
    /// The folder of releases that wait for signatures, in which nobody else writes; without one,
    /// none wait.
    pub staging: Option<PathBuf>,
    /// Whether the snapshot process can write to what uploads bring into the tree, being the same
    /// user: then it writes small objects again after a power failure, and they are not flushed.
    pub publisher_restores: bool,
}

impl App {
    /// An app with the default limits and every rule.
    pub fn new(tree: Arc<Directory>, store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            tree,
            store,
            clock,
            limits: Limits::default(),
            metrics: Arc::default(),
            proxies: TrustedProxies::default(),
            run: 0,
            metrics_are_public: true,
            external_url: None,
            speaks_tls: false,
            leeway: Leeway::default(),
            trusted_publishing: None,
            roots: Arc::new(TrustedRoots::empty()),
            staging: None,
            publisher_restores: true,
        }
    }
}

/// All that the router's handlers draw on; each receives the one capability that it needs. Cloned
/// for every request.
#[derive(Clone)]
pub(crate) struct Services(Arc<AllServices>);

struct AllServices {
    reading: Reading,
    mirroring: Mirroring,
    publishing: Publishing,
    watching: Watching,
    measured: Measured,
    guard: Guard,
    place: Place,
    exchanging: Exchanging,
}

/// Where people reach the index, as far as it is known.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) external_url: Option<Arc<str>>,
    pub(crate) scheme: &'static str,
}

/// Reading the tree.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) tree: Arc<Directory>,
    /// Metadata and pages.
    pub(crate) shelf: Arc<Shelf>,
    /// Small files.
    pub(crate) files: Arc<Shelf>,
    /// Held by the one who renders what is too large for a shelf.
    pub(crate) rendering: Arc<tokio::sync::Mutex<()>>,
    /// What the index says of its last recovery.
    pub(crate) bulletins: Arc<Bulletins>,
}

/// Telling mirrors what is new.
#[derive(Clone)]
pub(crate) struct Mirroring {
    pub(crate) serials: Arc<Serials>,
    pub(crate) documents: Arc<Documents>,
}

impl Reading {
    pub(crate) fn new(tree: Arc<Directory>) -> Self {
        Self {
            tree,
            shelf: Arc::new(Shelf::new()),
            files: Arc::new(Shelf::of_files()),
            rendering: Arc::default(),
            bulletins: Arc::default(),
        }
    }
}

/// Looking whether all is well.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) tree: Arc<Directory>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) writable: Arc<Writable>,
}

/// Measuring it.
#[derive(Clone)]
pub(crate) struct Measured {
    pub(crate) tree: Arc<Directory>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) expiries: Arc<Expiries>,
}

/// Taking in uploads.
#[derive(Clone)]
pub(crate) struct Publishing {
    pub(crate) tree: Arc<Directory>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) leeway: Leeway,
    pub(crate) publisher_restores: bool,
    pub(crate) roots: Arc<TrustedRoots>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) new_names: Arc<NewNames>,
    pub(crate) door: Arc<Door>,
    pub(crate) staging: Option<Arc<Folder>>,
}

impl App {
    /// What happens around every request of this app.
    pub(crate) fn observing(&self) -> Observing {
        Observing {
            metrics: Arc::clone(&self.metrics),
            ids: Arc::new(RequestIds::new(self.run)),
            proxies: Arc::new(self.proxies.clone()),
        }
    }
}

impl Services {
    pub(crate) fn new(app: App) -> Self {
        let door = Arc::new(Door::new(
            app.store.clone(),
            app.clock.clone(),
            app.limits.failed_attempts,
            app.limits.uploads,
        ));
        let place = Place {
            external_url: app.external_url.map(Arc::from),
            scheme: if app.speaks_tls { "https" } else { "http" },
        };
        Self(Arc::new(AllServices {
            exchanging: Exchanging {
                store: app.store.clone(),
                clock: Arc::clone(&app.clock),
                door: Arc::clone(&door),
                place: place.clone(),
                how: app.trusted_publishing.map(|how| Arc::new(How::new(how))),
            },
            place,
            watching: Watching {
                tree: Arc::clone(&app.tree),
                store: app.store.clone(),
                clock: Arc::clone(&app.clock),
                writable: Arc::default(),
            },
            measured: Measured {
                tree: Arc::clone(&app.tree),
                store: app.store.clone(),
                clock: Arc::clone(&app.clock),
                metrics: app.metrics,
                expiries: Arc::new(Expiries::new(Arc::clone(&app.tree))),
            },
            guard: Guard {
                privacy: Arc::new(Privacy::new(app.store.clone())),
                door: Arc::clone(&door),
            },
            reading: Reading::new(Arc::clone(&app.tree)),
            mirroring: Mirroring {
                serials: Arc::new(Serials::new(app.store.clone())),
                documents: Arc::new(Documents::new()),
            },
            publishing: Publishing {
                tree: app.tree,
                store: app.store,
                clock: app.clock,
                limits: app.limits,
                leeway: app.leeway,
                publisher_restores: app.publisher_restores,
                roots: app.roots,
                gates: Arc::new(Gates::new()),
                staging: app
                    .staging
                    .map(|folder| Arc::new(Folder::new(folder, app.limits.staged_len))),
                door,
                new_names: Arc::default(),
            },
        }))
    }

    /// What stands before all that is read.
    pub(crate) fn guard(&self) -> Guard {
        self.0.guard.clone()
    }
}

impl FromRef<Services> for Reading {
    fn from_ref(services: &Services) -> Self {
        services.0.reading.clone()
    }
}

impl FromRef<Services> for Mirroring {
    fn from_ref(services: &Services) -> Self {
        services.0.mirroring.clone()
    }
}

impl FromRef<Services> for Publishing {
    fn from_ref(services: &Services) -> Self {
        services.0.publishing.clone()
    }
}

impl FromRef<Services> for Watching {
    fn from_ref(services: &Services) -> Self {
        services.0.watching.clone()
    }
}

impl FromRef<Services> for Measured {
    fn from_ref(services: &Services) -> Self {
        services.0.measured.clone()
    }
}

impl FromRef<Services> for Exchanging {
    fn from_ref(services: &Services) -> Self {
        services.0.exchanging.clone()
    }
}

impl FromRef<Services> for Place {
    fn from_ref(services: &Services) -> Self {
        services.0.place.clone()
    }
}
