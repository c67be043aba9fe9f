//! Tokens: whose they are, what they allow and until when; kept as digests, compared in constant
//! time.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::{Actor, StoreError, UserName, text};

pub(crate) use checking::Standing as TokenStanding;
pub(crate) use keeping::insert;

mod checking;
mod keeping;

/// What every token begins with, so that people and secret scanners recognise one.
pub const TOKEN_PREFIX: &str = "wmk_";

/// How exactly it is known when a token was last used: each use that is noted is a write.
pub const LAST_USED_STEP: SignedDuration = SignedDuration::from_hours(1);

/// Hex digits of the digest that find the candidate rows.
const FINDER_DIGITS: usize = 16;

/// The name of a token, which is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenId(String);

impl TokenId {
    pub(crate) fn stored(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a token allows. Each of them allows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read, where reading is not open to everybody.
    Read,
    /// To upload to the projects that its user owns or maintains, and to new ones.
    Upload,
    /// To upload to this project alone, if its user may.
    UploadTo(ProjectName),
    /// To upload to these projects alone, if its user may: what a publisher of several gets.
    UploadToSeveral(Vec<ProjectName>),
    /// To upload to every project, whosever it is.
    Admin,
}

impl Scope {
    /// Its name, without the project.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Upload | Self::UploadTo(_) | Self::UploadToSeveral(_) => "upload",
            Self::Admin => "admin",
        }
    }

    /// The one project that it is for.
    pub fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::UploadTo(project) => Some(project),
            Self::Read | Self::Upload | Self::UploadToSeveral(_) | Self::Admin => None,
        }
    }

    /// The projects that it is for, where it is not for all of its user's.
    pub fn projects(&self) -> &[ProjectName] {
        match self {
            Self::UploadTo(project) => std::slice::from_ref(project),
            Self::UploadToSeveral(projects) => projects,
            Self::Read | Self::Upload | Self::Admin => &[],
        }
    }

    /// The projects that it is for, as they are stored: names have no spaces.
    fn projects_text(&self) -> Option<String> {
        let names: Vec<&str> = self.projects().iter().map(ProjectName::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }

    fn read(name: &str, project: Option<&str>) -> Result<Self, StoreError> {
        let projects = project.unwrap_or_default().split_ascii_whitespace();
        let projects: Vec<ProjectName> = projects
            .map(|project| text::parse("project name", project))
            .collect::<Result<_, _>>()?;
        match (name, projects.as_slice(), project) {
            ("read", [], None) => Ok(Self::Read),
            ("upload", [], None) => Ok(Self::Upload),
            ("upload", [project], _) => Ok(Self::UploadTo(project.clone())),
            ("upload", [_, _, ..], _) => Ok(Self::UploadToSeveral(projects.clone())),
            ("admin", [], None) => Ok(Self::Admin),
            _ => Err(StoreError::Invalid {
                what: "scope",
                value: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UploadTo(_) | Self::UploadToSeveral(_) => {
                let names: Vec<&str> = self.projects().iter().map(ProjectName::as_str).collect();
                write!(f, "upload to {}", names.join(", "))
            }
            other => f.write_str(other.name()),
        }
    }
}

/// A token that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub user: UserName,
    /// What it allows.
    pub scope: Scope,
    /// The SHA-256 of its whole text; the text itself is not kept.
    pub secret_sha256: Sha256,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// For people.
    pub note: String,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserName,
    /// What it allows.
    pub scope: Scope,
    /// Since when.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to within [`LAST_USED_STEP`].
    pub last_used_at: Option<Timestamp>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// For people.
    pub note: String,
}

/// Who presented a token of this index. Only [`check_token`](crate::Store::check_token) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    id: TokenId,
    user: UserName,
    scope: Scope,
    is_publisher: bool,
    last_used_at: Option<Timestamp>,
}

impl Bearer {
    /// The token's name.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// Whose it is.
    pub fn user(&self) -> &UserName {
        &self.user
    }

    /// What it allows.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it was given for the identity token of a publisher, and not by a person.
    pub fn is_publisher(&self) -> bool {
        self.is_publisher
    }

    /// Whether the last use that is on record is so long ago that one at this moment is to be
    /// noted ([`Store::note_use`](crate::Store::note_use)).
    pub fn use_is_news(&self, now: Timestamp) -> bool {
        let recent = |last| now.duration_since(last) < LAST_USED_STEP;
        !self.last_used_at.is_some_and(recent)
    }

    /// As the audit log names them.
    pub fn actor(&self) -> Actor {
        Actor::Bearer {
            user: self.user.clone(),
            token: self.id.clone(),
        }
    }
}

/// Why a token of this index is not good any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its time is over.
    #[error("the token {id} of {user} expired at {at}")]
    Expired {
        /// Which.
        id: TokenId,
        /// Whose.
        user: UserName,
        /// When.
        at: Timestamp,
    },
    /// It was taken back.
    #[error("the token {id} of {user} was revoked at {at}")]
    Revoked {
        /// Which.
        id: TokenId,
        /// Whose.
        user: UserName,
        /// When.
        at: Timestamp,
    },
    /// Its user is not to use the index.
    #[error("{user}, whose token {id} is, was disabled at {at}")]
    Disabled {
        /// Which.
        id: TokenId,
        /// Who.
        user: UserName,
        /// When.
        at: Timestamp,
    },
}

impl Ended {
    /// The token's name.
    pub fn id(&self) -> &TokenId {
        match self {
            Self::Expired { id, .. } | Self::Revoked { id, .. } | Self::Disabled { id, .. } => id,
        }
    }
}

/// What a text that was presented as a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// A good token.
    Good(Bearer),
    /// A token that was good once.
    Ended(Ended),
    /// No token of this index.
    Unknown,
}

/// Why nothing was changed about a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A token of this name exists.
    #[error("a token named {id:?} exists")]
    Exists {
        /// The name.
        id: String,
    },
    /// There is no token of this name.
    #[error("there is no token named {id:?}")]
    Missing {
        /// The name.
        id: String,
    },
    /// There is no such user.
    #[error("there is no user named {name}")]
    NoUser {
        /// The name.
        name: UserName,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for TokenError {
    fn from(source: sqlx::Error) -> Self {
        Self::Store(source.into())
    }
}

/// The text of a token made of 32 random bytes: the prefix and 64 lowercase hex digits.
pub fn format_token(secret: &[u8; 32]) -> String {
    format!("{TOKEN_PREFIX}{}", hex::encode(secret))
}

fn finder(digest: &str) -> &str {
    digest.get(..FINDER_DIGITS).unwrap_or(digest)
}
