//! The file that a selection is read from: `mirror.toml`.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::Selection;

/// Why a selection cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    /// Not `NAME` or `NAME SPECIFIERS`.
    #[error("`{}` is not a project with or without versions: {problem}", text.escape_debug())]
    Requirement {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Not the name of a group of platforms.
    #[error(
        "`{}` is not a platform: windows, macos, freebsd or linux",
        text.escape_debug()
    )]
    Platform {
        /// What was given.
        text: String,
    },
    /// Not a size.
    #[error("`{}` is not a size: 200MB, 1.5GB or a number of bytes", text.escape_debug())]
    Size {
        /// What was given.
        text: String,
    },
    /// Not a regular expression.
    #[error("`{}` is not a regular expression", text.escape_debug())]
    Pattern {
        /// What was given.
        text: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// Not TOML of the right form.
    #[error("the selection cannot be understood")]
    Form(#[from] toml::de::Error),
}

/// The file's form. A key that is not known is an error: it may be a misspelt filter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    allowlist: Projects,
    #[serde(default)]
    blocklist: Blocked,
    #[serde(default)]
    filter_regex: Patterns,
    latest_release: Option<Latest>,
    prerelease: Option<Prerelease>,
    size: Option<Size>,
    age: Option<Age>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Projects {
    #[serde(default)]
    packages: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocked {
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    platforms: Vec<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    releases: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Latest {
    keep: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prerelease {
    exclude: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Size {
    max_file_size: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Age {
    newer_than_days: u32,
}

impl Selection {
    /// Reads a `mirror.toml`.
    ///
    /// # Errors
    ///
    /// [`SelectionError`] for the first thing in it that cannot be understood.
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        let form: Form = toml::from_str(text)?;
        let parsed = |items: &[String]| -> Result<_, SelectionError> {
            items.iter().map(|item| item.parse()).collect()
        };
        let patterns = |items: &[String]| -> Result<Vec<Regex>, SelectionError> {
            items.iter().map(|item| pattern(item)).collect()
        };
        let platforms = form.blocklist.platforms.iter();
        Ok(Self {
            allow: parsed(&form.allowlist.packages)?,
            block: parsed(&form.blocklist.packages)?,
            block_projects: patterns(&form.filter_regex.packages)?,
            block_versions: patterns(&form.filter_regex.releases)?,
            platforms: platforms
                .map(|item| item.parse())
                .collect::<Result<_, _>>()?,
            latest: form.latest_release.map(|latest| latest.keep),
            no_prereleases: form.prerelease.is_some_and(|rule| rule.exclude),
            newer_than_days: form.age.map(|age| age.newer_than_days),
            max_file_size: match form.size {
                Some(size) => Some(bytes(&size.max_file_size)?),
                None => None,
            },
        })
    }
}

impl Selection {
    /// The `mirror.toml` that says the same: [`Selection::parse`] reads it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let form = Form {
            allowlist: Projects {
                packages: self.allow.iter().map(ToString::to_string).collect(),
            },
            blocklist: Blocked {
                packages: self.block.iter().map(ToString::to_string).collect(),
                platforms: self.platforms.iter().map(ToString::to_string).collect(),
            },
            filter_regex: Patterns {
                packages: self
                    .block_projects
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                releases: self
                    .block_versions
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            },
            latest_release: self.latest.map(|keep| Latest { keep }),
            prerelease: self.no_prereleases.then_some(Prerelease { exclude: true }),
            size: self.max_file_size.map(|bytes| Size {
                max_file_size: bytes.to_string(),
            }),
            age: self
                .newer_than_days
                .map(|newer_than_days| Age { newer_than_days }),
        };
        toml::to_string(&form).expect("strings and numbers always make TOML")
    }
}

fn pattern(text: &str) -> Result<Regex, SelectionError> {
    Regex::new(text).map_err(|source| SelectionError::Pattern {
        text: text.to_owned(),
        source: Box::new(source),
    })
}

/// Reads a number of bytes, with or without a unit: `200MB`, `1.5 GB`, `64k`. Units are powers
/// of 1,000, those with an `i` powers of 1,024.
///
/// # Errors
///
/// [`SelectionError::Size`] for anything else.
pub fn bytes(text: &str) -> Result<u64, SelectionError> {
    let refused = || SelectionError::Size {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| refused())?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let scale: f64 = match unit {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "t" => 1e12,
        "ki" => 1024.0,
        "mi" => 1024.0 * 1024.0,
        "gi" => 1024.0 * 1024.0 * 1024.0,
        "ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(refused()),
    };
    let bytes = number * scale;
    // Beyond it a number of this kind is not exact any more; no file comes near.
    if bytes.is_nan() || bytes > 9e15 {
        return Err(refused());
    }
    Ok(bytes as u64)
}
