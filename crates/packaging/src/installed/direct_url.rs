//! `direct_url.json`: that something was not installed from an index (PEP 610).

use serde_json::Value;

/// Longest `direct_url.json` that is read, in bytes.
pub const MAX_DIRECT_URL_LEN: usize = 64 * 1024;

/// From where something was installed that was named by its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectUrl {
    /// A source tree on this machine.
    Tree {
        /// Its URL.
        url: String,
        /// Whether the tree itself is what is imported.
        editable: bool,
    },
    /// A commit of a repository.
    Repository {
        /// The repository's URL.
        url: String,
        /// The commit.
        commit: String,
    },
    /// One file.
    Archive {
        /// Its URL.
        url: String,
    },
}

/// Why bytes are no `direct_url.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("direct_url.json is not what PEP 610 has")]
pub struct DirectUrlError;

impl DirectUrl {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`DirectUrlError`] if it is too long or has another form.
    pub fn parse(bytes: &[u8]) -> Result<DirectUrl, DirectUrlError> {
        if bytes.len() > MAX_DIRECT_URL_LEN {
            return Err(DirectUrlError);
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|_| DirectUrlError)?;
        let url = value["url"].as_str().ok_or(DirectUrlError)?.to_owned();
        if let Some(tree) = value["dir_info"].as_object() {
            let editable = tree.get("editable") == Some(&Value::Bool(true));
            return Ok(DirectUrl::Tree { url, editable });
        }
        if let Some(repository) = value["vcs_info"].as_object() {
            let commit = repository.get("commit_id").and_then(Value::as_str);
            let commit = commit.unwrap_or_default().to_owned();
            return Ok(DirectUrl::Repository { url, commit });
        }
        if value["archive_info"].is_object() {
            return Ok(DirectUrl::Archive { url });
        }
        Err(DirectUrlError)
    }

    /// The place that was named.
    pub fn url(&self) -> &str {
        match self {
            DirectUrl::Tree { url, .. }
            | DirectUrl::Repository { url, .. }
            | DirectUrl::Archive { url } => url,
        }
    }
}
