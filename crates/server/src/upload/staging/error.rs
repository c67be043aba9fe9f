//! Why something is not staged, or not signed.

use std::io;

use wheelmark_tuf::{Sha256, Shown};

/// Why a request about something that waits for signatures is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StagingError {
    /// There is no folder for it.
    #[error("this index keeps nothing that waits for signatures")]
    Off,
    /// Nothing of this id waits in this project.
    #[error("nothing with the id {} waits for signatures here", Shown(id))]
    Absent {
        /// The id, as it came.
        id: String,
    },
    /// What was sent is not in the form of it.
    #[error("it is malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// Nobody signs for the project but the index.
    #[error("{project} is not claimed: nobody's own keys sign for it")]
    NotClaimed {
        /// The project.
        project: String,
    },
    /// No signature is by a key that counts.
    #[error("no key that signs for {project} has signed it")]
    Unsigned {
        /// The project.
        project: String,
    },
    /// A signature is by a key that does not count.
    #[error("the key {} does not sign for it", Shown(keyid))]
    UnknownKey {
        /// The key's id, as it came.
        keyid: String,
    },
    /// A signature is over something else.
    #[error(
        "the signature by the key {} is not over what waits here",
        Shown(keyid)
    )]
    BadSignature {
        /// The key's id.
        keyid: String,
    },
    /// It was built on a version that is not the newest any more.
    #[error("it is version {version} of the project's role, and version {published} is published")]
    Stale {
        /// Which it is.
        version: u64,
        /// Which is published.
        published: u64,
    },
    /// It is not the next version.
    #[error("it is version {version} of the project's role, and version {next} is next")]
    Version {
        /// Which it is.
        version: u64,
        /// Which comes next.
        next: u64,
    },
    /// As many wait as may.
    #[error("{limit} {what} wait already, and no more may")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many may.
        limit: usize,
    },
    /// There is no room.
    #[error(
        "what waits for signatures may have {limit} bytes together there, and there is no room for it"
    )]
    NoRoom {
        /// Most bytes.
        limit: u64,
    },
    /// A claim is made in the name of who has sent it, who may not any more.
    #[error("the token with which {user} has sent the claim has ended")]
    SenderGone {
        /// Who has.
        user: String,
    },
    /// A file of this name waits, with other bytes.
    #[error("another file named `{filename}` waits, of SHA-256 {sha256}")]
    OtherWaits {
        /// The name.
        filename: String,
        /// What waits.
        sha256: Sha256,
    },
    /// It comes with something that a signed page cannot say of it.
    #[error(
        "`{filename}` comes with {what}, which a release of a claimed project cannot bring yet"
    )]
    ComesWith {
        /// The file.
        filename: String,
        /// With what.
        what: &'static str,
    },
    /// The index's own metadata is not what clients would accept.
    #[error("what the index has published cannot be followed: {why}")]
    Chain {
        /// Why not.
        why: String,
    },
    /// The folder could not be read or written.
    #[error("what waits for signatures could not be kept or read")]
    Io(#[from] io::Error),
}

impl StagingError {
    /// Whether the reason lies with the index and not with the request.
    pub(crate) fn is_of_the_index(&self) -> bool {
        matches!(self, Self::Chain { .. } | Self::Io(_))
    }
}
