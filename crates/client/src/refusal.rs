//! Why something was not handed on, in words for each reader: an installer's error output
//! (one short ASCII phrase, one JSON body), the summary, the report.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use url::Url;
use wheelmark_objects::PathError;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{ListingError, PageError};
use wheelmark_provenance::policy::Shortfall;
use wheelmark_provenance::{Publisher, Standing};
use wheelmark_tuf::{LookupError, RoleName, Sha256, Sha512, Shown, WalkError, without_controls};

use crate::chunks::ChunkListError;
use crate::guard::Unsatisfied;
use crate::refresh::{Listed, RefreshFailure};
use crate::remote::FetchError;
use crate::sources::{Blame, Fault, Tried};
use crate::trust::TrustError;

/// The longest reason phrase; installers print it within a line of their own.
const MAX_PHRASE: usize = 200;

/// What was asked for and not handed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A project's page.
    Page(ProjectName),
    /// A distribution file.
    File(ProjectName, String),
    /// A file's core metadata (PEP 658).
    CoreMetadata(ProjectName, String),
    /// A file's OpenPGP signature.
    Signature(ProjectName, String),
}

impl Subject {
    /// The project.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        match self {
            Self::Page(project)
            | Self::File(project, _)
            | Self::CoreMetadata(project, _)
            | Self::Signature(project, _) => project,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(project) => write!(f, "the page simple/{project}/index.json"),
            Self::File(_, file) => f.write_str(file),
            Self::CoreMetadata(_, file) => write!(f, "{file}.metadata"),
            Self::Signature(_, file) => write!(f, "{file}.asc"),
        }
    }
}

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

/// The larger kinds of failure: they differ in what they can mean and in what to do next.
/// Where several sources failed in several ways, the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Attack,
    Confusion,
    Contradiction,
    Index,
    Stale,
    Odd,
    Unavailable,
    Kept,
    Policy,
}

impl Failure {
    fn kind(&self) -> Kind {
        match self {
            Self::Refresh(failure) => match **failure {
                RefreshFailure::Refused { .. } => Kind::Stale,
                RefreshFailure::EverySource { .. } if failure.is_refusal() => Kind::Stale,
                RefreshFailure::Fetch(ref error) if error.is_odd() => Kind::Odd,
                RefreshFailure::EverySource { .. } | RefreshFailure::Fetch(_) => Kind::Unavailable,
                RefreshFailure::Trust(_) | RefreshFailure::Stored { .. } => Kind::Kept,
            },
            Self::RoleMissing { .. }
            | Self::Missing
            | Self::ChunkListMissing
            | Self::TooFewIndexes { .. } => Kind::Stale,
            Self::NotItsHome { .. } => Kind::Confusion,
            Self::Policy(_) | Self::Identity { .. } => Kind::Policy,
            Self::Kept(_) | Self::Spool(_) => Kind::Kept,
            Self::Needed(refusal) => refusal.failure.kind(),
            Self::IndexesDiffer { .. } => Kind::Contradiction,
            Self::Unreachable(error) if error.is_odd() => Kind::Odd,
            Self::Unreachable(_) => Kind::Unavailable,
            Self::EverySource { tried } => {
                let kinds = tried.iter().map(|(_, failure)| failure.kind());
                kinds.min().unwrap_or(Kind::Unavailable)
            }
            Self::Role(_)
            | Self::Walk(_)
            | Self::Altered { .. }
            | Self::AlteredSha512 { .. }
            | Self::AlteredSoFar { .. }
            | Self::NotListed { .. }
            | Self::NotListedLength { .. }
            | Self::Length { .. }
            | Self::Chunk { .. }
            | Self::ChunkList(ChunkListError::Altered { .. }) => Kind::Attack,
            Self::Unspecified { .. }
            | Self::PageTooLarge { .. }
            | Self::FileTooLarge { .. }
            | Self::PageUnusable(_)
            | Self::PageOfOther { .. }
            | Self::Name(_)
            | Self::ChunkList(ChunkListError::Length { .. })
            | Self::NoTarget
            | Self::NoDigest
            | Self::NoLength
            | Self::OtherPlace { .. }
            | Self::Listing(_)
            | Self::Disagreement { .. } => Kind::Index,
        }
    }

    /// What all sources did, as one failure.
    pub(crate) fn of_all(mut tried: Tried<Self>) -> Self {
        match tried.len() {
            1 => tried.remove(0).1,
            _ => {
                // The one that decides comes first, where even a short message has it.
                tried.sort_by_key(|(_, failure)| failure.kind());
                Self::EverySource { tried }
            }
        }
    }

    fn is_final(&self) -> bool {
        match self {
            Self::AlteredSoFar { .. } => false,
            Self::Needed(refusal) => refusal.failure.is_final(),
            Self::EverySource { tried } if !tried.is_empty() => {
                tried.iter().all(|(_, failure)| failure.is_final())
            }
            failure => matches!(failure.kind(), Kind::Attack | Kind::Index),
        }
    }

    /// Of what several sources did, what decides; otherwise the failure itself.
    pub(crate) fn deciding(&self) -> &Self {
        match self {
            Self::EverySource { tried } => tried.first().map_or(self, |(_, failure)| failure),
            failure => failure,
        }
    }

    /// Whether something that is signed for is no longer there, as after the index moved on.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Missing | Self::ChunkListMissing | Self::RoleMissing { .. } => true,
            Self::Needed(refusal) => refusal.failure.is_gone(),
            Self::EverySource { tried } => tried.iter().any(|(_, failure)| failure.is_gone()),
            _ => false,
        }
    }

    /// Whether something that was answered was found to be false or unusable, rather than that
    /// nothing was answered.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refresh(failure) => failure.is_refusal(),
            failure => matches!(
                failure.kind(),
                Kind::Attack
                    | Kind::Confusion
                    | Kind::Contradiction
                    | Kind::Index
                    | Kind::Odd
                    | Kind::Policy
            ),
        }
    }

    /// What failed, with every cause, fit for a terminal.
    #[must_use]
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// What the failure can mean.
    pub(crate) fn meaning(&self) -> &'static str {
        if let Some(shortfall) = self.shortfall() {
            return shortfall.meaning();
        }
        if let Self::Identity { .. } = self {
            return "somebody publishes in the project's name without its pipeline: a stolen \
                    password or token, or whoever controls the index; or the project has moved, \
                    and has not told you";
        }
        if let Self::NotListed { .. } | Self::NotListedLength { .. } = self {
            return "the bytes were changed after the page was made: on the index's disk or on the \
                    way; or the download was damaged";
        }
        match self.kind() {
            Kind::Attack => {
                "the bytes were changed after they were signed: on the index's disk, in a \
                 mirror or on the way; or the download was damaged"
            }
            Kind::Stale => {
                "someone withholds or replays the index's signed state, or the index or \
                 mirror did not finish an update"
            }
            Kind::Odd => {
                "what answered is no index, or means no good: the network's own login page, a \
                 broken proxy or mirror, or someone who wants to keep this machine busy; \
                 nothing of it was taken"
            }
            Kind::Unavailable => {
                "the index, the mirror or the network is down; nothing was found to be false"
            }
            Kind::Kept => {
                "what this machine keeps about the index cannot be used, or trust in it was \
                 ended or begun anew meanwhile; nothing was found to be false"
            }
            Kind::Confusion => {
                "someone put a project under the name of another one, so that installers take \
                 theirs (dependency confusion); or two projects came to the same name by chance"
            }
            Kind::Contradiction => {
                "one of the indexes serves something else than the file that was published: it \
                 was broken into or is not kept up, or both were given different files of one name"
            }
            Kind::Policy => "the policy asks for more than the file has",
            Kind::Index => {
                "what the index says contradicts itself, or is not enough: a fault of the index, \
                 or someone who can speak for it"
            }
        }
    }

    /// What to do next.
    pub(crate) fn next(&self) -> &'static str {
        if let Some(shortfall) = self.shortfall() {
            return shortfall.next();
        }
        if let Self::Identity { .. } = self {
            return "do not install it; ask the project, by another way than the index, where its \
                    releases come from now, and only then: wheelmark trust identities accept \
                    PROJECT IDENTITY";
        }
        match self.kind() {
            Kind::Attack => {
                "try once more; if it fails again, do not install it by another way, and tell \
                 whoever runs the index, with this message"
            }
            Kind::Stale => {
                "try again in a few minutes; if it stays so, tell whoever runs the index, \
                 with this message"
            }
            Kind::Odd => {
                "try again, over another network if you can; if it stays so, tell whoever runs \
                 the index, with this message"
            }
            Kind::Unavailable => "check that the index can be reached, and try again",
            Kind::Kept => "look at `wheelmark trust list`, and start again",
            Kind::Confusion => {
                "find out which of the two is meant; then rename the other, or change the map in \
                 wheelmark.toml so that the right index is the project's home"
            }
            Kind::Contradiction => {
                "do not install it; tell whoever runs the indexes, with this message"
            }
            Kind::Policy => "look at the policy: wheelmark policy check",
            Kind::Index => "tell whoever runs the index, with this message",
        }
    }

    /// What the policy finds lacking, above all.
    fn shortfall(&self) -> Option<&Shortfall> {
        match self {
            Self::Policy(unsatisfied) => unsatisfied.first().map(|first| &first.shortfall),
            _ => None,
        }
    }
}

/// An error with every cause, fit for a terminal.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = next.source();
    }
    without_controls(&text)
}

impl Blame for Failure {
    fn fault(&self) -> Fault {
        match self.kind() {
            Kind::Attack => Fault::Bad,
            Kind::Stale => Fault::Lacking,
            Kind::Odd | Kind::Unavailable => Fault::Unavailable,
            Kind::Index | Kind::Kept | Kind::Confusion | Kind::Contradiction | Kind::Policy => {
                Fault::NotItsOwn
            }
        }
    }

    fn is_impatience(&self) -> bool {
        matches!(self, Self::Unreachable(error) if error.is_impatience())
    }
}

/// Something that was asked for, and why it was not handed on.
#[derive(Debug)]
pub struct Refusal {
    /// What was asked for.
    pub subject: Subject,
    /// What failed.
    pub failure: Failure,
    /// The role, and its version, that signs for what was asked for, as far as the search
    /// for it came.
    pub signed_by: Option<(RoleName, u64)>,
    /// The index that it was asked of, by its simple URL.
    pub index: Option<Url>,
}

impl Refusal {
    /// Whether asking again can only end the same way while the snapshot is the same. A source
    /// that was down, or did not have it, may have it the next time.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        self.failure.is_final()
    }

    /// Whether whoever asks again is given it from another source.
    pub(crate) fn may_still_come(&self) -> bool {
        matches!(self.failure, Failure::AlteredSoFar { .. })
    }

    /// Whether it was only not to be had: nothing was found to be false.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        let kind = self.failure.kind();
        matches!(kind, Kind::Odd | Kind::Unavailable | Kind::Kept)
    }

    /// The status for an installer. Never 5xx: pip and uv would ask again and again, and
    /// lose the reason.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.failure.kind() {
            Kind::Odd | Kind::Unavailable | Kind::Kept => StatusCode::FAILED_DEPENDENCY,
            Kind::Attack
            | Kind::Stale
            | Kind::Index
            | Kind::Confusion
            | Kind::Contradiction
            | Kind::Policy => StatusCode::CONFLICT,
        }
    }

    /// What failed, with every cause.
    #[must_use]
    pub fn what(&self) -> String {
        self.failure.with_causes()
    }

    /// One line of ASCII for the status line of an HTTP answer: the file and what failed.
    #[must_use]
    pub fn phrase(&self) -> String {
        let role = self
            .signed_by
            .as_ref()
            .map(|(role, version)| format!(" (role {role} version {version})"))
            .unwrap_or_default();
        let text = format!("wheelmark refused {}: {}{role}", self.subject, self.short());
        text.chars()
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .take(MAX_PHRASE)
            .collect()
    }

    fn short(&self) -> String {
        short(&self.failure)
    }

    /// What the failure can mean.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.failure.meaning()
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &'static str {
        self.failure.next()
    }
}

/// The failure in a few words.
fn short(failure: &Failure) -> String {
    match failure {
        Failure::Altered { .. } => "its sha256 is not the signed one".to_owned(),
        Failure::AlteredSha512 { .. } => "its sha512 is not the signed one".to_owned(),
        Failure::NotListed { .. } => "its sha256 is not the one on its page".to_owned(),
        Failure::Length { .. } => "its length is not the signed one".to_owned(),
        Failure::Refresh(failure) => match &**failure {
            RefreshFailure::Refused { path, .. } => format!("{path} failed verification"),
            RefreshFailure::EverySource { what, .. } => {
                format!("no source has {what} as it must be")
            }
            RefreshFailure::Fetch(e) => e.brief(),
            failure => failure.to_string(),
        },
        Failure::Unreachable(e) => e.brief(),
        Failure::Policy(unsatisfied) => {
            let each: Vec<String> = unsatisfied
                .iter()
                .map(|u| u.shortfall.to_string())
                .collect();
            each.join("; ")
        }
        Failure::NotItsHome { asked, home } => match home {
            Some(home) => format!("its home is {home}, not {asked}"),
            None => format!("{asked} is not its home"),
        },
        Failure::EverySource { tried } => {
            let each: Vec<_> = tried
                .iter()
                .map(|(source, failure)| format!("{source}: {}", short(failure)))
                .collect();
            each.join("; ")
        }
        failure => failure.to_string(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.what())?;
        if let Some((role, version)) = &self.signed_by {
            write!(f, " (signed by role {role}, version {version})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_in_a_cause() {
        let source = std::io::Error::other("\u{1b}[2J\r\u{9b}1m\nhint: pip install evil");
        let path = "x".into();
        let cause = TrustError::Io {
            doing: "read",
            path,
            source,
        };
        let failure = Failure::Refresh(Arc::new(RefreshFailure::Trust(cause)));
        let text = failure.with_causes();
        assert!(text.contains("hint: pip install evil"), "{text:?}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
