//! Of which kind a failure is, and what follows from that.

use wheelmark_provenance::policy::Shortfall;

use super::failure::Failure;
use super::with_causes;
use crate::chunks::ChunkListError;
use crate::refresh::RefreshFailure;
use crate::sources::{Blame, Fault, Tried};

/// The larger kinds of failure: they differ in what they can mean and in what to do next.
/// Where several sources failed in several ways, the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Attack,
    Confusion,
    Contradiction,
    Index,
    Root,
    Stale,
    Odd,
    Unavailable,
    Kept,
    Policy,
    TakenAway,
}

impl Failure {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Refresh(failure) if failure.is_by_other_keys() => Kind::Root,
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
            Self::Kept(_) | Self::KeptClaim(_) | Self::Spool(_) => Kind::Kept,
            Self::Needed(refusal) => refusal.failure.kind(),
            Self::TakenAway { .. } => Kind::TakenAway,
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
            | Self::Claim(_)
            | Self::NoStatus
            | Self::TakenAwayUnusable(_)
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

    pub(super) fn is_final(&self) -> bool {
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
                    | Kind::Root
                    | Kind::TakenAway
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
        if let Self::Claim(_) = self {
            return "somebody who has the index's online keys, or its database, speaks in the \
                    project's place; or the project's keys were changed or given up, and the \
                    project has not told you";
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
            Kind::Root => {
                "someone speaks for the index without the keys that you trust; or the index has lost \
                 too many of its root keys and begins anew: nothing that it serves can tell you which"
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
            Kind::TakenAway => {
                "whoever runs the index holds it for unsafe or wrong; the project's own people have \
                 signed it"
            }
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
        if let Self::Claim(_) = self {
            return "do not install it; ask the project, by another way than the index, whose keys \
                    sign for it now, and only then: wheelmark trust claims forget PROJECT";
        }
        match self.kind() {
            Kind::Attack => {
                "try once more; if it fails again, do not install it by another way, and tell \
                 whoever runs the index, with this message"
            }
            Kind::Root => {
                "try again in a few minutes; if it stays so, do nothing that a page, a mail or a message \
                 of the index asks for: ask its people, in person or where you have always found them, \
                 for the fingerprint of its root, and only then: wheelmark trust add --replace URL \
                 --fingerprint SHA256"
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
            Kind::TakenAway => {
                "take another version; whoever runs the index knows more: wheelmark explain PROJECT"
            }
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

impl Blame for Failure {
    fn fault(&self) -> Fault {
        match self.kind() {
            Kind::Attack => Fault::Bad,
            Kind::Root | Kind::Stale => Fault::Lacking,
            Kind::Odd | Kind::Unavailable => Fault::Unavailable,
            Kind::Index
            | Kind::Kept
            | Kind::Confusion
            | Kind::Contradiction
            | Kind::Policy
            | Kind::TakenAway => Fault::NotItsOwn,
        }
    }

    fn is_impatience(&self) -> bool {
        matches!(self, Self::Unreachable(error) if error.is_impatience())
    }
}
