//! The index that an installer would go to by itself, as its variables and its files name it.
//!
//! This is asked for only where no index is trusted: see
//! [`TrustStore::use_configured`](crate::TrustStore::use_configured). What the command's own words name
//! does not count; the proxy refuses it as any other host.

mod pip_files;
mod uv_files;

use std::ffi::OsString;

use super::places::without_secrets;
use super::program::Installer;
use super::routes::Surroundings;

/// Where pip and uv go when nothing says otherwise.
pub const PYPI: &str = "https://pypi.org/simple/";

/// The index that an installer is configured for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredIndex {
    /// Its URL, as it is written; it may hold a password.
    pub url: String,
    /// What names it; none where nothing does, and it is the installers' own choice.
    pub by: Option<String>,
    /// The indexes that are named besides, and what names each. Nothing says what is whose.
    pub others: Vec<String>,
}

/// Two installers that a command may run are configured for different indexes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pip is configured for {pip}, and uv for {uv}; the command may run either")]
pub struct IndexesDiffer {
    /// pip's, and what names it.
    pub pip: String,
    /// uv's, and what names it.
    pub uv: String,
}

/// What one installer is configured for.
#[derive(Debug, Default)]
struct Found {
    index: Option<Named>,
    others: Vec<Named>,
}

/// A place, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    url: String,
    by: String,
}

impl Named {
    fn new(url: &str, by: String) -> Self {
        let url = url.to_owned();
        Self { url, by }
    }

    fn shown(&self) -> String {
        format!("{} ({})", without_secrets(&self.url), self.by)
    }

    fn is_same(&self, other: &Self) -> bool {
        self.url.trim_end_matches('/') == other.url.trim_end_matches('/')
    }
}

/// The index that a command would ask by itself.
///
/// pip and uv read their own variables and files. poetry and pdm read neither's, and ask PyPI or what
/// their project names. Of other commands it is not known which of the two they run.
///
/// # Errors
///
/// [`IndexesDiffer`].
pub fn configured_index(
    command: &[OsString],
    around: &Surroundings<'_>,
) -> Result<ConfiguredIndex, IndexesDiffer> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let program = words.first().map_or("", String::as_str);
    let found = match Installer::of(&words) {
        Installer::Pip(arguments) => pip_files::found(program, &arguments, around),
        Installer::Uv(arguments) => uv_files::found(&arguments, around),
        Installer::Poetry | Installer::Pdm => Found::default(),
        Installer::Unknown => either(
            pip_files::found("pip", &[], around),
            uv_files::found(&[], around),
        )?,
    };
    let others = found.others.iter().map(Named::shown).collect();
    Ok(match found.index {
        Some(named) => ConfiguredIndex {
            url: named.url,
            by: Some(named.by),
            others,
        },
        None => ConfiguredIndex {
            url: PYPI.to_owned(),
            by: None,
            others,
        },
    })
}

/// What either of the two is configured for, where they do not contradict each other.
fn either(pip: Found, uv: Found) -> Result<Found, IndexesDiffer> {
    let index = match (pip.index, uv.index) {
        (Some(pip), Some(uv)) if !pip.is_same(&uv) => {
            return Err(IndexesDiffer {
                pip: pip.shown(),
                uv: uv.shown(),
            });
        }
        (pip, uv) => pip.or(uv),
    };
    Ok(Found {
        index,
        others: [pip.others, uv.others].concat(),
    })
}

#[cfg(test)]
mod tests;
