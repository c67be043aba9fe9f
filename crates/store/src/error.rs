//! What can go wrong in the database itself.

use std::path::PathBuf;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A later version of Wheelmark has migrated this database.
    #[error(
        "{} was written by a newer version of wheelmark (schema {found}, this version knows {supported})",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema number found in it.
        found: u32,
        /// The highest schema number this version knows.
        supported: u32,
    },
    /// The file is not a database, or another program's.
    #[error("{} is not a wheelmark database", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The directory entry of a new database could not be made durable.
    #[error("cannot make {} durable", path.display())]
    Flush {
        /// The database file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("cannot open {}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// What it said.
        source: sqlx::Error,
    },
}

/// Why a read or a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk under the database is full; the transaction was rolled back.
    #[error("the disk under the database is full")]
    Full {
        /// What the database said.
        source: sqlx::Error,
    },
    /// A stored value does not have the form that this crate writes.
    #[error("the database holds an invalid {what}: {value:?}")]
    Invalid {
        /// Which kind of value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// A value that was to be stored has no textual form.
    #[error("cannot encode {what}")]
    Encode {
        /// Which kind of value.
        what: &'static str,
        /// Why not.
        source: serde_json::Error,
    },
    /// What was committed could not be made durable.
    #[error("the database's log could not be flushed to the disk")]
    Flush {
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Database {
        /// What it said.
        source: sqlx::Error,
    },
}

/// `SQLITE_FULL`, <https://sqlite.org/rescode.html#full>.
const SQLITE_FULL: &str = "13";

impl StoreError {
    /// Whether the cause is a full disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Flush { source } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Invalid { .. } | Self::Encode { .. } | Self::Database { .. } => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        let full = source
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| code == SQLITE_FULL);
        if full {
            Self::Full { source }
        } else {
            Self::Database { source }
        }
    }
}
