//! Why a release is refused, in words for those who signed it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wheelmark_objects::MAX_STATUS_PROJECT_LEN;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{HandoverError, RoleName, TargetInfo, TargetPath, VerifyError};

use super::{MAX_CLAIMED_KEYS, MAX_RELEASED_FILES};

/// Why a release, or a claim, does not become part of a snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("what stands beside the row is not the {what} that it names")]
    Altered { what: &'static str },
    #[error("what was signed is not to be found beside its row")]
    Lost,
    #[error("a release comes from a project's people, and not as an order")]
    Ordered,
    #[error("this index takes no claims: whoever runs it says `claims = \"on\"` in its settings")]
    NotTaken,
    #[error("it is claimed already")]
    Claimed,
    #[error("it is not claimed: nobody's keys sign for it")]
    NotClaimed,
    #[error(
        "no notice stands that its keys are lost and that these are to take their place: ask for it first, with the same keys and threshold"
    )]
    NoNotice,
    #[error(
        "the notice that its keys are lost stands since {since}: others can take their place from {from} on"
    )]
    TooEarly { since: Timestamp, from: Timestamp },
    #[error(
        "it is sealed: a ceremony has to take the seal off first (wheelmark ceremony begin --unseal)"
    )]
    Sealed,
    #[error("a recovery brings no new files, claims nothing and hands nothing over: {what}")]
    MoreThanRecovery { what: &'static str },
    #[error("another change of the same project comes first: build on the page that it leaves")]
    Meanwhile,
    #[error("a claim names {count} keys, and 1 to {MAX_CLAIMED_KEYS} can sign for a project")]
    Keys { count: usize },
    #[error("{threshold} of {count} keys cannot be asked for")]
    Threshold { threshold: u32, count: usize },
    #[error("{} is not the id of a key that is given with it in its plain form", keyid.escape_debug())]
    Key { keyid: String },
    #[error("the keys of a claim are longer than all clients should have to fetch")]
    KeysTooLong,
    #[error("the key {keyid} is named twice")]
    KeyTwice { keyid: String },
    #[error("the key {keyid} is one of the index's own")]
    KeyOfIndex { keyid: String },
    #[error("the metadata is not signed as it has to be")]
    Signatures(#[source] VerifyError),
    #[error("the handovers of keys in the metadata do not hold")]
    Handovers(#[from] HandoverError),
    #[error("a claim begins with the keys that it names, and hands nothing over")]
    HandoverInClaim,
    #[error("the handover is not one of this version of the project's role")]
    HandoverVersion,
    #[error("the handover is not from the keys that sign for the project now")]
    FromOthers,
    #[error(
        "the keys that are registered with it are not those that a handover in the metadata adds and removes"
    )]
    Registered,
    #[error(
        "other keys and new files come one after the other: publish the files first, or after it"
    )]
    FilesAndKeys,
    #[error("the metadata says that it is {}, not {role}", stated.as_deref().unwrap_or("no role").escape_debug())]
    OtherRole {
        role: RoleName,
        stated: Option<String>,
    },
    #[error(
        "the metadata has version {found}, and {next} is next: build on the page that is published"
    )]
    Version { found: u64, next: u64 },
    #[error(
        "another file stands in the tree under version {version} of the project's role: sign version {free}"
    )]
    Occupied { version: u64, free: u64 },
    #[error("the metadata expired at {expires}")]
    Expired { expires: Timestamp },
    #[error("the metadata holds until {expires}, longer than 400 days")]
    TooLong { expires: Timestamp },
    #[error("the metadata holds until {expires}, less than 30 days")]
    TooShort { expires: Timestamp },
    #[error("the metadata says more than that it is this role")]
    MoreThanRole,
    #[error("there is more beside what is signed than signatures")]
    Beside,
    #[error("the metadata delegates to others, which it cannot")]
    Delegates,
    #[error("the page cannot be read: {0}")]
    Page(String),
    #[error("the page is that of {found}")]
    OtherProject { found: ProjectName },
    #[error("the page changes more than its files, or is not written as pages are signed")]
    MoreThanFiles,
    #[error("the page lists a file without its length or sha256")]
    Unspecified,
    #[error("the metadata lists {} that the page does not name, or lists it otherwise", path.as_str())]
    Target { path: TargetPath },
    #[error("the metadata does not list {}, which belongs to the page", path.as_str())]
    NoTarget { path: TargetPath },
    #[error("the project is {status}, and takes nothing new")]
    Closed { status: String },
    #[error(
        "the list of what is taken away from the project is full, and has no room for when these files are seen first"
    )]
    ListFull,
    #[error(
        "a name of {length} bytes is too long for a project that signs for itself, at most {MAX_STATUS_PROJECT_LEN} are allowed"
    )]
    NameTooLong { length: usize },
    #[error("the project takes new files with an OpenPGP signature alone, and a release has none")]
    SignatureRequired,
    #[error("the page does not list {filename}, which is published")]
    Missing { filename: String },
    #[error("the page says something else of {filename} than what is published")]
    Changed { filename: String },
    #[error("{count} new files come with it, and at most {MAX_RELEASED_FILES} are taken at once")]
    TooManyFiles { count: usize },
    #[error("the page's entry of {filename} is not that of a released file")]
    Entry { filename: String },
    #[error(
        "{filename} has the upload time {signed_at}, more than ten minutes from its receipt at {received_at}"
    )]
    UploadTime {
        filename: String,
        signed_at: Timestamp,
        received_at: Timestamp,
    },
    #[error("{what} is {at}, and it is {now}: sign it anew")]
    Time {
        what: &'static str,
        at: Timestamp,
        now: Timestamp,
    },
    #[error("{path} is not in the tree with the length that is signed")]
    NotInTheTree { path: String },
    #[error("recently-claimed has no room for another project before the next ceremony")]
    Full,
    #[error("the snapshot has no room for another claimed project: clients read no longer ones")]
    SnapshotFull,
}

impl Refusal {
    /// In what the targets of a role differ from those of its page.
    pub(super) fn targets(
        found: &BTreeMap<TargetPath, TargetInfo>,
        expected: &BTreeMap<TargetPath, TargetInfo>,
    ) -> Self {
        let other = found
            .iter()
            .find(|(path, info)| expected.get(*path) != Some(*info));
        let lacking = expected.keys().find(|path| !found.contains_key(*path));
        match (other, lacking) {
            (Some((path, _)), _) => Self::Target { path: path.clone() },
            (None, Some(path)) => Self::NoTarget { path: path.clone() },
            // They are not the same, so one of them is there.
            (None, None) => Self::Unspecified,
        }
    }
}
