//! The Update Framework, version 1.0.34 of its specification, without any IO.
//!
//! A client of a TUF repository may take its files from anywhere, because it believes only
//! what the right keys have signed, and only while it is fresh. This crate is the part that
//! decides: bytes go in, and either something [`Verified`] comes out or a reason why not.
//! It opens no file, reads no clock and draws no random number; a driver around it does.
//!
//! ```text
//!  root of trust, cache              path of a target               content
//!          │                                │                         │
//!          ▼                                ▼                         ▼
//!       Refresh ───finish──▶ TrustedSet ─▶ Lookup ───finish──▶ Verified<Target> ──check──▶ ok
//!        │   ▲                              │   ▲
//!    need│   │supply                    need│   │supply, restore
//!        ▼   │                              ▼   │
//!      ┌──────────── driver: network, cache, clock ────────────┐
//!
//!  every file:  bytes ─▶ canonical::parse ─▶ signatures ─▶ model ─▶ Verified<role>    (verify)
//! ```
//!
//! * [`Refresh`] brings the top-level roles up to date (§5.3–5.6) and yields a [`TrustedSet`].
//! * [`Lookup`] searches the delegations for one target (§5.6.7), fetching only the roles
//!   on the way; bins by hash prefix and by TAP 15 cost one role each.
//! * [`Walk`] goes through all delegated roles, many at once: for copies, and checks of them.
//! * [`Evidence`] proves that two things were signed as one version of a role.
//! * [`IndexRecovery`] says, after a break-in, what clients are to forget.
//! * [`Handovers`] lead from the keys that once signed for a role to those of today.
//! * [`Target`] checks the content itself (§5.7).
//! * [`Root`], [`TimestampMetadata`], [`Snapshot`] and [`Targets`] are what a repository
//!   fills in, signs as [`Role::to_canonical`] and writes with [`assemble`].
//!
//! Invariants: a [`Verified`] is made only in one module, beside the check. An error leaves
//! the cache usable. Received bytes are kept as received. Unknown fields are signed, hashed
//! and kept like any other.

pub mod canonical;
pub mod limits;

mod bins;
mod claim;
mod clock;
mod envelope;
mod evidence;
mod floor;
mod fresh;
mod handover;
mod hashes;
mod key;
mod lookup;
mod model;
mod name;
mod recovery;
mod refresh;
mod sha256;
mod sha512;
mod shard;
mod shown;
mod target;
mod trusted;
mod verify;
mod walk;

pub use bins::{BinForm, Bins, BinsError, MOST_BINS};
pub use claim::{ClaimMarks, ParseProjectRoleError};
pub use clock::Clock;
pub use envelope::{EnvelopeError, Signature, assemble, root_fingerprint};
pub use evidence::{
    Equivocation, Evidence, EvidenceError, EvidenceFormatError, MAX_EVIDENCE_LENGTH, Sighting,
    signed_digest,
};
pub use floor::Floor;
pub use fresh::{CacheName, Effect, Fetch, RoleError};
pub use handover::{
    Handover, HandoverError, Handovers, KeySet, MAX_HANDOVERS, MAX_HANDOVERS_LEN, MAX_SET_KEYS,
    Missing, Need, RecoveryRequest, RecoveryRequestError, Whose, assemble_handing, is_plain_file,
};
pub use hashes::{HashError, Hashes};
pub use key::{BadSignature, Key, KeyId};
pub use limits::Limits;
pub use lookup::{Found, Lookup, LookupError, RoleFetch, Visit};
pub use model::{
    Custom, DelegatedRole, DelegatedRoles, Delegations, Extra, MetaFile, ModelError, NamedTarget,
    OWN_MEMBER, ParseSuccinctRolesError, PathPattern, PathSet, Role, RoleKeys, Root, RootRoles,
    SPEC_VERSION, Snapshot, SuccinctRoles, TargetInfo, Targets, TimestampMetadata,
};
pub use name::{ParseRoleNameError, ParseTargetPathError, RoleName, TargetPath};
pub use recovery::{
    BulletinError, IndexRecovery, IndexRecoveryError, MAX_BULLETIN_LEN, RECOVERY_RAISE,
    check_bulletin, claim_digest,
};
pub use refresh::{Cached, Refresh, RefreshError};
pub use sha256::{ParseSha256Error, Sha256, Sha256Hasher};
pub use sha512::{ParseSha512Error, Sha512, Sha512Hasher};
pub use shard::{Covers, SPLIT_CLAIMS_ABOVE, Shards, split_claims};
pub use shown::{Shown, without_controls};
pub use target::{Target, TargetError, TargetHasher};
pub use trusted::TrustedSet;
pub use verify::{Verified, VerifyError, verify, verify_next_root, verify_trusted_root};
pub use walk::{Awaited, Visited, Walk, WalkError};
