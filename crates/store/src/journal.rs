//! The journal: every change that the next snapshot has to take up, in order.

use std::fmt;

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::signals::JOURNAL_POLL;
use crate::{NewFile, NewRecovery, SignedRelease, Store, StoreError, text};

/// The longest row that is read, in bytes: many times what an upload writes, whose texts have
/// limits of their own. Whoever takes over the web process can write rows of any length, and a
/// thousand of them are read at a time.
pub(crate) const MAX_CHANGE_LEN: i64 = 256 * 1024;

/// How much of an unreadable row is told, in bytes.
const MAX_SHOWN_LEN: usize = 200;

/// A position in the journal. The first row is 1; 0 stands before it. Positions are not used
/// twice, and rows become visible in their order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One change to the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// A file was received.
    FileAdded(NewFile),
    /// A file is to go. Its name never takes other bytes.
    FileRemoved {
        /// Its project.
        #[serde(with = "text")]
        project: ProjectName,
        /// Its name.
        filename: String,
        /// Why, for people to read; it is signed where the project's own people sign for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A file is to be passed over by installers (PEP 592), or no longer.
    FileYanked {
        /// Its project.
        #[serde(with = "text")]
        project: ProjectName,
        /// Its name.
        filename: String,
        /// The reason, empty where there is none; `None` where it is to be an ordinary file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        yanked: Option<String>,
    },
    /// A file that was taken away is to be there again, as it was.
    FileRestored {
        /// Its project.
        #[serde(with = "text")]
        project: ProjectName,
        /// Its name.
        filename: String,
    },
    /// A project is to be in another state (PEP 792).
    StatusSet {
        /// The project.
        #[serde(with = "text")]
        project: ProjectName,
        /// The state's word.
        status: String,
        /// Why, for people to read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A project is to have these OpenPGP certificates, and no others.
    CertificatesSet {
        /// The project.
        #[serde(with = "text")]
        project: ProjectName,
        /// Their armoured text; `None` where it is to have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificates: Option<String>,
        /// Whether new files need a signature by one of them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        required: bool,
        /// The SHA-256 of the text of those that it has, as far as who asks knows. Others are left
        /// as they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        in_place_of: Option<Sha256>,
    },
    /// A project's own people have signed what is to stand.
    ProjectSigned(SignedRelease),
    /// A project's own people sign for it no longer: the index answers for it again.
    ClaimEnded {
        /// The project.
        #[serde(with = "text")]
        project: ProjectName,
    },
    /// An owner says that a project's keys are lost, and others ask to take their place.
    RecoveryAsked(NewRecovery),
    /// Nobody asks for that any more.
    RecoveryEnded {
        /// The project.
        #[serde(with = "text")]
        project: ProjectName,
    },
    /// Metadata and pages are to list these hashes of files.
    HashesSet {
        /// Which ones.
        listed: ListedHashes,
    },
    /// Every role that the online key signs is to be signed anew.
    Renewal,
    /// A row that this version cannot read, with how its text begins. It never stops the rows behind it.
    #[serde(skip)]
    Unreadable(String),
}

/// Which hashes of files metadata and pages list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedHashes {
    /// SHA-256 alone.
    #[default]
    Sha256,
    /// SHA-256 and SHA-512.
    Both,
    /// SHA-512 alone.
    Sha512,
}

impl ListedHashes {
    /// The names of the algorithms.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Sha256 => &["sha256"],
            Self::Both => &["sha256", "sha512"],
            Self::Sha512 => &["sha512"],
        }
    }

    /// What the names of algorithms say, in any order.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut sha256, mut sha512) = (false, false);
        for name in names {
            match name {
                "sha256" => sha256 = true,
                "sha512" => sha512 = true,
                _ => return None,
            }
        }
        match (sha256, sha512) {
            (true, false) => Some(Self::Sha256),
            (true, true) => Some(Self::Both),
            (false, true) => Some(Self::Sha512),
            (false, false) => None,
        }
    }

    /// Whether SHA-256 is listed.
    pub fn sha256(self) -> bool {
        self != Self::Sha512
    }

    /// Whether SHA-512 is listed.
    pub fn sha512(self) -> bool {
        self != Self::Sha256
    }
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its position.
    pub seq: Seq,
    /// What is to change.
    pub change: Change,
}

impl Change {
    /// The project whose page changes with it.
    pub fn project(&self) -> Option<&ProjectName> {
        match self {
            Self::FileAdded(file) => Some(&file.project),
            Self::FileRemoved { project, .. }
            | Self::FileYanked { project, .. }
            | Self::FileRestored { project, .. }
            | Self::StatusSet { project, .. }
            | Self::CertificatesSet { project, .. }
            | Self::ClaimEnded { project }
            | Self::RecoveryEnded { project } => Some(project),
            Self::RecoveryAsked(recovery) => Some(&recovery.project),
            Self::ProjectSigned(release) => Some(&release.project),
            Self::HashesSet { .. } | Self::Renewal | Self::Unreadable(_) => None,
        }
    }

    /// What is stored of it.
    pub(crate) fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(|source| StoreError::Encode {
            what: "journal row",
            source,
        })
    }

    /// Reads a stored row.
    pub(crate) fn read(stored: &[u8]) -> Self {
        serde_json::from_slice(stored).unwrap_or_else(|_| Self::Unreadable(beginning(stored)))
    }
}

/// How a text begins that nobody can read, for people.
fn beginning(stored: &[u8]) -> String {
    let shown = stored.len().min(MAX_SHOWN_LEN);
    String::from_utf8_lossy(&stored[..shown]).into_owned()
}

/// Appends a row inside `transaction`.
pub(crate) async fn append(
    transaction: &mut SqliteConnection,
    change: &Change,
) -> Result<Seq, StoreError> {
    let seq = sqlx::query("INSERT INTO journal (change) VALUES (?)")
        .bind(change.to_text()?)
        .execute(&mut *transaction)
        .await?
        .last_insert_rowid();
    Ok(Seq(text::unsigned("journal position", seq)?))
}

impl Store {
    /// The rows behind `after`, oldest first, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// Only when the database fails: a row that does not parse is [`Change::Unreadable`].
    pub async fn journal_after(
        &self,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<JournalRow>, StoreError> {
        // As bytes: a text that is no UTF-8 must not keep the rows behind it from being read.
        // The length comes from the row's header: one that is too long is never in memory.
        let rows: Vec<(i64, i64, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT seq, octet_length(change), \
             CASE WHEN octet_length(change) <= ? THEN CAST(change AS BLOB) END \
             FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .bind(MAX_CHANGE_LEN)
        .bind(text::number(after.0))
        .bind(limit)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        rows.into_iter()
            .map(|(seq, length, change)| {
                Ok(JournalRow {
                    seq: Seq(text::unsigned("journal position", seq)?),
                    change: match change {
                        Some(change) => Change::read(&change),
                        None => Change::Unreadable(format!("it has {length} bytes")),
                    },
                })
            })
            .collect()
    }

    /// How many changes wait for a snapshot: those behind the last one that has an outcome.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn journal_pending(&self) -> Result<u64, StoreError> {
        let pending: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM journal \
             WHERE seq > (SELECT coalesce(max(seq), 0) FROM outcome)",
        )
        .fetch_one(&mut *self.reader().await?)
        .await?;
        text::unsigned("number of journal rows", pending)
    }

    /// The last position that the journal ever gave out; 0 if it never held a row.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn journal_end(&self) -> Result<Seq, StoreError> {
        let end: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
                .fetch_optional(&mut *self.reader().await?)
                .await?;
        Ok(Seq(text::unsigned("journal position", end.unwrap_or(0))?))
    }

    /// Waits until the journal may have grown: at once for a row admitted through this handle
    /// or a clone of it since the last call, and after a quarter of a second in any case, for
    /// the rows of other processes. The caller looks with [`Store::journal_after`].
    pub async fn journal_changed(&self) {
        tokio::select! {
            () = self.signals().admitted.notified() => {}
            () = tokio::time::sleep(JOURNAL_POLL) => {}
        }
    }
}
