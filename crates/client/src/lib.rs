//! The client of a signed index: what it trusts, what it fetches, and what it hands on.
//!
//! An installer asks the [`Proxy`]; the proxy asks the project's [`Home`], whose [`Reader`] fetches from
//! an index or a mirror that nobody has to trust, and every byte is checked against the
//! chain of signatures that begins in the [`TrustStore`] before it is forwarded.
//!
//! ```text
//!   pip, uv ──HTTP, loopback──▶ proxy ──▶ reader ──▶ tuf (refresh, lookup: no IO)
//!      ▲                          │          │            │ asks for bytes
//!      │                          │          ▼            ▼
//!      └── verified bytes, or 409 ┘       remote ──HTTP──▶ metadata/…  targets/…
//!                                 │          ▲
//!                               ledger    trust store: root, cached chain, names seen
//!                                 └──▶ report, summary, exit code
//! ```
//!
//! - [`IndexUrls`], [`Mirror`]: where an index and its metadata and targets are, and copies
//!   of them. What one source does not have as it was signed comes from the next.
//! - [`TrustStore`], [`TrustedIndex`]: one directory per index, kept by its owner alone.
//! - [`Recovered`]: the index's last recovery after a break-in, and what it undid of what is kept.
//! - [`add_trust`]: the three ways in which trust in an index begins; [`replace_trust`]: from another
//!   root, where no chain leads to it.
//! - [`Remote`]: HTTP with limits on size, silence and redirects, and its [`Patience`].
//! - [`Credentials`]: what private indexes are told, each its own.
//! - [`Reader`]: the verified page and the verified file, or a [`Refusal`] that says why not.
//! - [`Upstream`]: everything that an index's state signs for, for whoever copies it.
//! - [`Explanation`]: the chain behind a project's page, or how far it held.
//! - [`Homes`], [`Home`]: the indexes of a run, and which of them answers for a project.
//! - [`Guard`]: what the person's policy holds back, and what it refuses.
//! - [`Proxy`]: what an unmodified installer talks to; with [`Connect`], at the real URLs too.
//! - [`Authority`]: the certificates that this takes, for one run and for those hosts alone.
//! - [`installer`]: the settings that point pip and uv at the proxy, and the routes that no
//!   setting closes.
//! - [`GeneralClient`]: the same chain without an index, for any TUF repository.
//! - [`check_locked`]: what a lock file names, against what is signed.
//! - [`check_environment`]: what is installed, against the signed wheels.
//! - [`Ledger`]: what was verified and what was refused during a run.
//!
//! Nothing here reads an environment variable, a concrete clock or a random source: the
//! binary passes them in.

mod adding;
mod ahead;
mod authority;
mod chain;
mod chunks;
mod claims;
mod companion;
mod credentials;
mod dropped;
mod environment;
mod evidence;
mod explanation;
mod file;
mod general;
mod guard;
mod homes;
mod index;
pub mod installer;
mod ledger;
mod locked;
mod mirror;
mod notices;
mod page;
mod passing;
mod proxy;
mod range;
mod reader;
mod refresh;
mod refusal;
mod remote;
mod replacing;
mod rooms;
mod signatures;
mod sources;
mod stream;
mod taken_away;
mod trust;
mod unsigned;
mod upstream;
mod view;

pub use adding::{AddError, Beginning, MirrorState, add_trust, check_mirror};
pub use authority::{AUTHORITY_LIFETIME, Authority, AuthorityError, pem};
pub use chunks::{CHUNK_LEN, ChunkList, ChunkListError};
pub use claims::{Claim, ClaimRefused, SeenClaim};
pub use credentials::{
    CREDENTIALS_FILE, Credential, Credentials, CredentialsError, Keeping, KeptCredential,
    MAX_NETRC_LEN, Realm, RealmError, SignIn, TOKEN_USER, forget_credential, keep_credential,
    kept_credentials,
};
pub use dropped::Withdrawn;
pub use environment::{
    Added, CheckedDistribution, CheckedEnvironment, Difference, DifferenceKind,
    DistributionVerdict, Environment, EnvironmentError, SignedWheel, check_environment,
};
pub use evidence::Evidence;
pub use explanation::{Answer, Break, Explanation, RoleShown};
pub use file::{Content, MAX_FILE_LEN, MAX_WHOLE, Manner, SignedFile};
pub use general::{
    GeneralClient, GeneralError, Kept, MetadataDir, MetadataDirError, TargetDirError,
};
pub use guard::{AttestedAs, Guard, HeldBack, Unsatisfied, Word};
pub use homes::{Home, Homes, MapError, MapRule, ProjectMap, RuleOrigin};
pub use index::{IndexUrls, UrlError};
pub use ledger::{ConfiguredUse, FileEntry, Ledger, OpenRoute, RefusedEntry, Report};
pub use locked::{
    CheckedFile, CheckedPackage, FileVerdict, PackageTrouble, Witnessing, check_locked,
};
pub use mirror::{Mirror, MirrorError, Turn};
pub use notices::RecoveryNotice;
pub use page::VerifiedPage;
pub use passing::Watch;
pub use proxy::{Connect, Entrance, Proxy, ProxyError, Tunnel, TunnelError};
pub use range::{ByteRange, RangeRequest};
pub use reader::{
    Freshness, REFRESH_INTERVAL, RETRY_AFTER, RUN_VIEW_LIFETIME, Reader, ReaderOptions,
};
pub use refresh::RefreshFailure;
pub use refusal::{Failure, Refusal, Subject};
pub use remote::{
    Answered, Arriving, Asked, CONNECT_TIMEOUT, FetchError, GRACE, PAGE_LEN, Patience, Remote,
    SILENCE, SILENCE_WINDOW, SLOWEST_RATE, START_ALLOWANCE,
};
pub use replacing::{ReplaceError, Replaced, replace_trust};
pub use rooms::{Leftovers, RoomError, RunRoom};
pub use sources::{ASKED_LAST_FOR, SourceWarning};
pub use trust::{
    Began, Carried, ChainState, HandedOver, HandedOverError, IndexRecord, NotUsed, Recovered,
    RoleState, SystemIndex, TrustError, TrustStore, TrustedIndex, demand_guarded, read_guarded,
    system_indexes,
};
pub use upstream::{ChainFiles, Haul, Upstream};
pub use wheelmark_provenance::Chain;
