//! What failed, with the data of it.

use std::sync::Arc;

use jiff::Timestamp;
use url::Url;
use wheelmark_objects::PathError;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ListingError, PageError, TakenAwayError};
use wheelmark_provenance::{Publisher, Standing};
use wheelmark_tuf::{LookupError, RoleName, Sha256, Sha512, Shown, WalkError};

use super::Refusal;
use crate::chunks::ChunkListError;
use crate::claims::ClaimRefused;
use crate::guard::Unsatisfied;
use crate::refresh::{Listed, RefreshFailure};
use crate::remote::FetchError;
use crate::trust::TrustError;

/// What failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The chain from root to snapshot could not be brought up to date.
    #[error("the index's metadata could not be verified")]
    Refresh(#[source] Arc<RefreshFailure>),
    /// A delegated role on the way to the target was refused.
    #[error("{} failed verification", role_file(.0))]
    Role(#[source] LookupError),
    /// A delegated role on a walk through all of them was refused.
    #[error("a delegated role failed verification")]
    Walk(#[source] WalkError),
    /// A role that the signed snapshot lists is not to be had.
    #[error("{role}.json, version {version}, which the signed snapshot lists, is not there")]
    RoleMissing {
        /// The role.
        role: RoleName,
        /// The version that the snapshot lists.
        version: u64,
    },
    /// Bytes could not be fetched. This says nothing about them.
    #[error("it could not be fetched")]
    Unreachable(#[from] FetchError),
    /// What is signed for is not to be had.
    #[error("it is signed for, but not there")]
    Missing,
    /// A file's chunk list is not to be had.
    #[error("its chunk list is signed for, but not there")]
    ChunkListMissing,
    /// The bytes are not the signed ones.
    #[error("its sha256 is not the signed one: it is {found}, signed is {expected}")]
    Altered {
        /// The signed digest.
        expected: Sha256,
        /// The digest of what was received.
        found: Sha256,
    },
    /// The bytes have the signed SHA-256, and another SHA-512 is signed.
    #[error("its sha512 is not the signed one: it is {found}, signed is {expected}")]
    AlteredSha512 {
        /// The signed digest.
        expected: Box<Sha512>,
        /// The digest of what was received.
        found: Box<Sha512>,
    },
    /// Fewer or more bytes than signed.
    #[error("its length is not the signed one: it has {found} bytes, signed are {expected}")]
    Length {
        /// The signed length.
        expected: u64,
        /// The received length; one more than signed stands for any larger number.
        found: u64,
    },
    /// What is signed lacks a digest or a length that we can check.
    #[error("its signed entry names no {lacking}")]
    Unspecified {
        /// What is not named.
        lacking: &'static str,
    },
    /// A signed page that is larger than anything reasonable.
    #[error("the signed page is {length} bytes long, more than the {limit} allowed")]
    PageTooLarge {
        /// Its signed length.
        length: u64,
        /// Our limit.
        limit: u64,
    },
    /// The signed bytes are not a page, or list what a page of this project cannot list.
    #[error("the signed page cannot be used")]
    PageUnusable(#[from] PageError),
    /// The page says that it is another project's.
    #[error("the signed page says it is the page of {said}")]
    PageOfOther {
        /// The name in the page.
        said: ProjectName,
    },
    /// A file that is larger than anything reasonable.
    #[error("it is signed with {length} bytes, more than the {limit} allowed for a file")]
    FileTooLarge {
        /// Its signed length.
        length: u64,
        /// Our limit.
        limit: u64,
    },
    /// The page lists a file whose name the tree cannot hold.
    #[error("the file has a name that the index's tree cannot hold")]
    Name(#[from] PathError),
    /// The chunk list is not the file's.
    #[error("its chunk list is not what was signed")]
    ChunkList(#[from] ChunkListError),
    /// A chunk of a large file is not the signed one.
    #[error("chunk {number} of {count} is not what was signed")]
    Chunk {
        /// Which chunk, counted from 1.
        number: u64,
        /// Of how many.
        count: u64,
    },
    /// The index that was asked has a project of this name, and is not its home.
    #[error("{asked} has a project of this name, {}", its_home(.home.as_deref()))]
    NotItsHome {
        /// The index that was asked.
        asked: Box<Url>,
        /// The project's home, if it has one.
        home: Option<Box<Url>>,
    },
    /// Two indexes that have to agree list different bytes under one name.
    #[error("{first} and {second} list it with different contents")]
    IndexesDiffer {
        /// One of them.
        first: Box<Url>,
        /// The other.
        second: Box<Url>,
    },
    /// Fewer indexes than have to agree list it.
    #[error("{threshold} indexes have to list the same, and {listed} did")]
    TooFewIndexes {
        /// How many have to.
        threshold: usize,
        /// How many do.
        listed: usize,
    },
    /// The bytes are not those that the page of an unsigned index lists.
    #[error("its sha256 is not the one on its page: it is {found}, there stands {expected}")]
    NotListed {
        /// The digest on the page.
        expected: Sha256,
        /// The digest of what was received.
        found: Sha256,
    },
    /// Fewer or more bytes than the page of an unsigned index lists.
    #[error("its length is not the one on its page: it has {found} bytes, there stand {expected}")]
    NotListedLength {
        /// The length on the page.
        expected: u64,
        /// The received length; one more than listed stands for any larger number.
        found: u64,
    },
    /// A page of an unsigned index that does not say what a file is.
    #[error("its page lists no sha256 for it, and so nothing says what its bytes have to be")]
    NoDigest,
    /// Nobody says how long a file of an unsigned index is.
    #[error("neither its page nor its server says how long it is")]
    NoLength,
    /// A page of an unsigned index leads to a place where we do not go.
    #[error("its page says that it is at {}, which is neither the index itself nor reached by https", Shown(.said))]
    OtherPlace {
        /// The place.
        said: String,
    },
    /// A page of an unsigned index cannot be read.
    #[error("the page cannot be read")]
    Listing(#[from] ListingError),
    /// `--strict`: the page lists the file, but no role signs for the file itself.
    #[error("the page lists it, but no role signs for the file itself")]
    NoTarget,
    /// `--strict`: the page and the file's own target differ.
    #[error("the page and the file's own target in role {role}, version {version}, disagree")]
    Disagreement {
        /// The role that lists the file.
        role: RoleName,
        /// Its version.
        version: u64,
    },
    /// Others than before attest to the project's files, or nobody any more.
    #[error("{}", in_words(.standing, .why))]
    Identity {
        /// How the file stands to what is remembered of its project.
        standing: Box<Standing>,
        /// Why nobody attests to it, where nobody does.
        why: String,
    },
    /// Nobody lists what is taken away from projects that sign for themselves.
    #[error(
        "the index has no role that says what is taken away from a project that signs for itself"
    )]
    NoStatus,
    /// What is taken away from the project cannot be read.
    #[error("what the index takes away from the project cannot be used")]
    TakenAwayUnusable(#[from] TakenAwayError),
    /// The index has taken the file away, or all of the project.
    #[error("{}", taken_away(*.is_all, *.at, .reason))]
    TakenAway {
        /// Whether all of the project is quarantined.
        is_all: bool,
        /// Since when.
        at: Timestamp,
        /// Why, as the index says; empty where it does not.
        reason: String,
    },
    /// Others than before sign for the project, or the index alone does.
    #[error(transparent)]
    Claim(#[from] ClaimRefused),
    /// What this machine remembers of who signs for the project cannot be used.
    #[error("what is remembered of who signs for the project cannot be used")]
    KeptClaim(#[source] TrustError),
    /// What this machine remembers of the project cannot be used.
    #[error("what is remembered of who attests to the project cannot be used")]
    Kept(#[source] TrustError),
    /// The person's policy asks for more than the file has.
    #[error("{}", each(.0))]
    Policy(Vec<Unsatisfied>),
    /// What it takes to judge the file was not handed on.
    #[error("{}", .0.what())]
    Needed(Arc<Refusal>),
    /// This machine has no room for what it takes to judge the file.
    #[error("its bytes could not be kept while its signature was looked at")]
    Spool(#[source] std::io::Error),
    /// Of several sources none had it as it was signed.
    #[error("no source has it as it was signed: {}", Listed(.tried))]
    EverySource {
        /// Each source that was asked, and what it did.
        tried: Vec<(String, Failure)>,
    },
    /// A file without a chunk list was found to be altered when most of it had left already,
    /// and another source may have the right one.
    #[error(
        "its sha256 is not the signed one: it is {found}, signed is {expected}; another source is asked when it is asked for again"
    )]
    AlteredSoFar {
        /// The signed digest.
        expected: Sha256,
        /// The digest of what was received.
        found: Sha256,
    },
}

fn taken_away(is_all: bool, at: Timestamp, reason: &str) -> String {
    let what = match is_all {
        true => "the index has quarantined the project",
        false => "the index has withdrawn it",
    };
    match reason {
        "" => format!("{what} on {at}"),
        reason => format!("{what} on {at}: {}", Shown(reason)),
    }
}

fn its_home(home: Option<&Url>) -> String {
    match home {
        Some(home) => format!("but the project's home is {home}"),
        None => "but the map gives it no home there".to_owned(),
    }
}

fn in_words(standing: &Standing, why: &str) -> String {
    let listed = |publishers: &[Publisher]| -> String {
        let each: Vec<String> = publishers.iter().map(ToString::to_string).collect();
        if each.is_empty() {
            "nobody any more".to_owned()
        } else {
            each.join(" and ")
        }
    };
    match standing {
        Standing::Vanished { expected } => format!(
            "its provenance is gone: files of this project were attested by {}, and nobody attests to this one ({why})",
            listed(expected)
        ),
        Standing::ChangedHands { expected, found } => format!(
            "the project changed hands: its files were attested by {}, and this one is by {}",
            listed(expected),
            listed(found)
        ),
        Standing::OtherAccount {
            publisher,
            expected,
            found,
        } => format!(
            "{publisher} is not who it was: it belonged to account {expected}, and this file is by {}",
            match found {
                Some(found) => format!("account {found}"),
                None => "one that says no number".to_owned(),
            }
        ),
        Standing::RevokedOnly { found } => format!(
            "it is attested by {}, which was revoked here",
            listed(found)
        ),
        // Nothing of that is refused.
        Standing::Unattested | Standing::Older | Standing::First(_) | Standing::Known(_) => {
            "it stands as it did before".to_owned()
        }
    }
}

fn each(unsatisfied: &[Unsatisfied]) -> String {
    let each: Vec<String> = unsatisfied.iter().map(ToString::to_string).collect();
    each.join("; ")
}

fn role_file(error: &LookupError) -> String {
    match error {
        LookupError::Refused { role, .. } | LookupError::NotInSnapshot { role, .. } => {
            format!("{role}.json")
        }
        LookupError::TooManyDelegations { .. } | LookupError::OutOfTurn => {
            "the search for its role".to_owned()
        }
    }
}
