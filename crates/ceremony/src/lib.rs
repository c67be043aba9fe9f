//! Ceremonies: how people who never meet give an index the next version of what its offline keys sign.
//!
//! ```text
//!  published metadata ─▶ Standing ─┐
//!                                  ├─ Ceremony::new ─▶ payloads, words to read aloud
//!  Plan: dates, keys, bins, claims ┘         │
//!                                            ├─ requests ─▶ a key signs ─▶ SignatureFile
//!                                            │                                  │
//!                                     Tally ◀┴── admit ◀────────────────────────┘
//!                                       │
//!                                     finish ─▶ metadata files, accepted as clients would
//! ```
//!
//! A ceremony says which roles are signed anew, until when they hold, which keys change (those of
//! holders, or the one that signs online), how many bins there are, which claims the offline key takes
//! over, whether the index goes back to a state of before, and nothing else. What is to be signed *follows* from that and from what is published: everybody who
//! holds a copy of both computes the payloads again, and whoever changed one of them, wherever it
//! travelled, is found out. So a holder needs to trust one thing alone, the root that they have
//! pinned; the chain of roots leads from there to what is published.
//!
//! The digest of all payloads is the ceremony's name. Signatures state it, and so none of them is
//! taken for another ceremony; its beginning is spoken as [`Words`].
//!
//! Nothing here opens a file, reads a clock or holds a private key.

mod ceremony;
mod claims;
mod finish;
mod holder;
mod names;
mod online;
mod payload;
mod plan;
mod policy;
mod recovery;
mod review;
mod signature;
mod standing;
mod tally;
mod transition;
mod words;

pub use ceremony::{Ceremony, CeremonyError, CeremonyId, Request};
pub use claims::{Claim, ClaimChanges, ClaimsError, HandedOver, MOST_SEALED};
pub use finish::{FinishError, Finished};
pub use holder::{HolderError, HolderKeys, key_name, proof_message};
pub use online::{OnlineKey, OnlineKeyError, online_proof_message};
pub use payload::Payload;
pub use plan::{HolderChange, Next, Plan, PlanError};
pub use policy::{Policy, PolicyError};
pub use recovery::{Recovery, RecoveryError};
pub use review::Difference;
pub use signature::{SignatureError, SignatureFile};
pub use standing::{Published, Seat, Standing, StandingError};
pub use tally::{Need, Tally};
pub use words::{SPOKEN, Words, WordsError};
