//! What was signed, and how the source showed it: the memory between passes.
//!
//! It is believed about the source alone. It holds what nothing else does: what a person decided,
//! and that the first import is over.

mod import;
mod origin;
mod removal;

use std::path::{Path, PathBuf};

use sqlx::Row as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

pub use self::origin::Origin;

/// The memory of one signed tree.
#[derive(Clone, Debug)]
pub struct Known {
    pool: SqlitePool,
    /// The number of this pass.
    pass: i64,
    /// Whether the first import is over.
    imported: bool,
}

/// Why the memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// A later version of Wheelmark wrote it.
    #[error("{} was written by a newer version of wheelmark", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the memory of what was signed failed")]
    Database(#[from] sqlx::Error),
    /// A row does not have the form that this crate writes.
    #[error("the memory of what was signed holds an invalid {what}: {value:?}")]
    Invalid {
        /// Which kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Of the signed bytes.
    pub(crate) sha256: Sha256,
    pub(crate) known_by: Option<String>,
    pub(crate) yanked: Option<String>,
    pub(crate) state: State,
    /// The SHA-256 of other bytes under the name that a person decided against.
    pub(crate) kept_over: Option<Sha256>,
    /// How the source showed those.
    pub(crate) kept_by: Option<String>,
    /// Whether this pass has seen it before. Not remembered.
    pub(crate) again: bool,
}

impl Row {
    /// A file that was signed just now.
    pub(crate) fn signed(sha256: Sha256, known_by: Option<String>, yanked: Option<String>) -> Self {
        Self {
            sha256,
            known_by,
            yanked,
            state: State::Signed,
            kept_over: None,
            kept_by: None,
            again: false,
        }
    }
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It was handed to the journal.
    Signed,
    /// The source did not have it any more, and it was taken away.
    Removed,
    /// A person took it off the index for good.
    Withdrawn,
}

/// What is to be known of a file from now on.
#[derive(Clone, Debug)]
pub(crate) struct Remember {
    pub(crate) project: ProjectName,
    pub(crate) filename: String,
    pub(crate) row: Row,
    /// The journal row that brought it, where this pass did.
    pub(crate) seq: Option<u64>,
}

/// What makes each form of the database from the one before; the first one from nothing.
const SCHEMAS: [&str; 2] = [include_str!("known/1.sql"), include_str!("known/2.sql")];

impl Known {
    /// Opens the memory at `path`, or makes an empty one.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or a later version wrote it.
    pub async fn open(path: &Path) -> Result<Self, KnownError> {
        let failed = |source| KnownError::Open {
            path: path.to_owned(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What is lost with the power is found out again by reading the files.
            .synchronous(SqliteSynchronous::Normal);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(failed)?;
        let schema: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&pool)
            .await
            .map_err(failed)?;
        let newer = || KnownError::Newer {
            path: path.to_owned(),
        };
        let known = usize::try_from(schema).map_err(|_| newer())?;
        for step in SCHEMAS.get(known..).ok_or_else(newer)? {
            sqlx::raw_sql(*step).execute(&pool).await.map_err(failed)?;
        }
        Ok(Self {
            pool,
            pass: 0,
            imported: false,
        })
    }

    /// Begins another pass.
    pub(crate) async fn begin(&mut self) -> Result<(), KnownError> {
        let (pass, imported) =
            sqlx::query_as("UPDATE state SET pass = pass + 1 RETURNING pass, imported")
                .fetch_one(&self.pool)
                .await?;
        (self.pass, self.imported) = (pass, imported);
        Ok(())
    }

    /// What is known of a file that the source lists, which counts as seen by this pass.
    pub(crate) async fn see(
        &self,
        files: &[(&ProjectName, &str)],
    ) -> Result<Vec<Option<Row>>, KnownError> {
        let mut rows = Vec::with_capacity(files.len());
        let mut transaction = self.pool.begin().await?;
        for (project, filename) in files {
            let found = sqlx::query(
                "UPDATE file SET again = (seen = ?1), seen = ?1 \
                 WHERE project = ?2 AND filename = ?3 \
                 RETURNING sha256, known_by, yanked, state, kept_over, kept_by, again",
            )
            .bind(self.pass)
            .bind(project.as_str())
            .bind(*filename)
            .fetch_optional(&mut *transaction)
            .await?;
            let row = found.as_ref().map(Row::read);
            rows.push(row.transpose()?);
        }
        transaction.commit().await?;
        Ok(rows)
    }

    /// Writes down what was done.
    pub(crate) async fn remember(&self, files: &[Remember]) -> Result<(), KnownError> {
        let mut transaction = self.pool.begin().await?;
        for file in files {
            let row = &file.row;
            sqlx::query(
                "INSERT INTO file (project, filename, sha256, known_by, yanked, state, \
                 kept_over, kept_by, seq, seen) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT DO UPDATE SET sha256 = excluded.sha256, \
                 known_by = excluded.known_by, yanked = excluded.yanked, \
                 state = excluded.state, kept_over = coalesce(excluded.kept_over, kept_over), \
                 kept_by = coalesce(excluded.kept_by, kept_by), asking = 0, \
                 seq = coalesce(excluded.seq, seq), seen = excluded.seen",
            )
            .bind(file.project.as_str())
            .bind(&file.filename)
            .bind(row.sha256.to_string())
            .bind(&row.known_by)
            .bind(&row.yanked)
            .bind(row.state as i64)
            .bind(row.kept_over.map(|digest| digest.to_string()))
            .bind(&row.kept_by)
            .bind(file.seq.map(|seq| i64::try_from(seq).unwrap_or(i64::MAX)))
            .bind(self.pass)
            .execute(&mut *transaction)
            .await?;
        }
        import::settle_files(&mut transaction, files).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The projects that have a signed file.
    pub(crate) async fn projects(&self) -> Result<Vec<ProjectName>, KnownError> {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT project FROM file WHERE state = 0")
                .fetch_all(&self.pool)
                .await?;
        names.iter().map(|name| project(name)).collect()
    }

    /// Whether a project has a signed file.
    pub(crate) async fn has_files(&self, project: &ProjectName) -> Result<bool, KnownError> {
        Ok(
            sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM file WHERE project = ? AND state = 0)",
            )
            .bind(project.as_str())
            .fetch_one(&self.pool)
            .await?,
        )
    }

    /// Counts all files of a project as seen: what the source has of it cannot be known now.
    pub(crate) async fn see_all(&self, project: &ProjectName) -> Result<(), KnownError> {
        sqlx::query("UPDATE file SET seen = ? WHERE project = ?")
            .bind(self.pass)
            .bind(project.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets how the source showed a signed file, so that it is read again.
    pub(crate) async fn doubt(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<(), KnownError> {
        sqlx::query("UPDATE file SET known_by = NULL WHERE project = ? AND filename = ?")
            .bind(project.as_str())
            .bind(filename)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// How many projects have signed files and how many files these are, and how many of both
    /// were seen by this pass. Of the `wanted` projects; of all where there are none.
    pub(crate) async fn seen(&self, wanted: &[ProjectName]) -> Result<[Share; 2], KnownError> {
        let (projects, seen_projects, files, seen_files): (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT count(DISTINCT project), \
             count(DISTINCT CASE WHEN seen = ?1 THEN project END), \
             count(*), count(CASE WHEN seen = ?1 THEN 1 END) FROM file WHERE state = 0 \
             AND (?2 = '[]' OR project IN (SELECT value FROM json_each(?2)))",
        )
        .bind(self.pass)
        .bind(list(wanted))
        .fetch_one(&self.pool)
        .await?;
        let share = |known: i64, seen: i64| Share {
            known: known.cast_unsigned(),
            seen: seen.cast_unsigned(),
        };
        Ok([share(projects, seen_projects), share(files, seen_files)])
    }

    /// Closes the database.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// How many there are, and how many of them were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) known: u64,
    pub(crate) seen: u64,
}

impl Row {
    fn read(row: &SqliteRow) -> Result<Self, KnownError> {
        let kept_over: Option<&str> = row.try_get("kept_over")?;
        Ok(Self {
            sha256: digest(row.try_get("sha256")?)?,
            known_by: row.try_get("known_by")?,
            yanked: row.try_get("yanked")?,
            state: State::read(row.try_get("state")?)?,
            kept_over: kept_over.map(digest).transpose()?,
            kept_by: row.try_get("kept_by")?,
            again: row.try_get("again")?,
        })
    }
}

impl State {
    fn read(stored: i64) -> Result<Self, KnownError> {
        match stored {
            0 => Ok(Self::Signed),
            1 => Ok(Self::Removed),
            2 => Ok(Self::Withdrawn),
            _ => Err(KnownError::Invalid {
                what: "state",
                value: stored.to_string(),
            }),
        }
    }
}

/// Names as a JSON list. They have no character that would have to be escaped.
fn list(projects: &[ProjectName]) -> String {
    let quoted = projects.iter().map(|name| format!("\"{name}\""));
    format!("[{}]", quoted.collect::<Vec<_>>().join(","))
}

fn digest(stored: &str) -> Result<Sha256, KnownError> {
    stored.parse().map_err(|_| KnownError::Invalid {
        what: "sha256",
        value: stored.to_owned(),
    })
}

fn project(stored: &str) -> Result<ProjectName, KnownError> {
    stored.parse().map_err(|_| KnownError::Invalid {
        what: "project name",
        value: stored.to_owned(),
    })
}
