//! What a copy remembers between two runs: `.mirror/state.json`, which is not served.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;
use wheelmark_objects::ObjectPath;
use wheelmark_tuf::Sha256;

/// The version of the file that this program writes and reads.
const FORMAT: u32 = 1;

const FILE: &str = "state.json";

/// Why the state could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not what this program writes.
    #[error("{} cannot be understood: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The directory is a copy of another index.
    #[error("{} is a copy of {known}, and not of {asked}", path.display())]
    OtherIndex {
        /// The directory.
        path: PathBuf,
        /// The index that it is a copy of.
        known: Box<Url>,
        /// The index that was asked for.
        asked: Box<Url>,
    },
    /// It could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// What is known of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The index, by its simple URL.
    pub(crate) index: Url,
    /// The last state of the index that was copied to its end.
    pub(crate) complete: Option<Complete>,
    /// The selection whose files are here for every page that is; none as long as no page is.
    pub(crate) pages_for: Option<String>,
    /// What is being put in place with a new root: begun, it has to come to its end.
    pub(crate) publishing: Option<Publishing>,
    /// Objects that no state names any more, and until when they stay all the same.
    pub(crate) leaving: BTreeMap<ObjectPath, Timestamp>,
}

/// A state whose roots are being put in place, everything that it names being there.
///
/// From its first root on, readers refuse the timestamp of before if its key was replaced. So
/// the roots and the timestamp are put in place before anything else is tried, and nobody need
/// be asked for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Publishing {
    /// The newest root, which the trust store has followed.
    pub(crate) root: u64,
    /// The timestamp, byte for byte.
    pub(crate) timestamp: String,
}

impl State {
    /// Of a copy that has nothing yet.
    pub(crate) fn new(index: Url) -> Self {
        Self {
            index,
            complete: None,
            pages_for: None,
            publishing: None,
            leaving: BTreeMap::new(),
        }
    }
}

/// A state of the index that was copied to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Complete {
    /// The version of its timestamp.
    pub timestamp: u64,
    /// The digest of its timestamp.
    #[serde(with = "text")]
    pub timestamp_sha256: Sha256,
    /// The version of its snapshot.
    pub snapshot: u64,
    /// The version of its root.
    pub root: u64,
    /// Until when readers may rely on it.
    #[serde(with = "text")]
    pub expires: Timestamp,
    /// When it was complete here.
    #[serde(with = "text")]
    pub copied: Timestamp,
    /// What was selected, in one line.
    pub selection: String,
    /// The same as a `mirror.toml`; empty where an earlier version wrote this.
    #[serde(default)]
    pub rules: String,
    /// How many projects are here.
    pub projects: u64,
    /// How many of their files.
    pub files: u64,
    /// How many bytes those have.
    pub bytes: u64,
    /// Projects' own roles that have expired: they are here as they were signed, and readers refuse
    /// those projects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<EndedRole>,
}

/// A project's own role that has expired.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndedRole {
    /// The role, `project-` and the project.
    pub role: String,
    /// Since when.
    #[serde(with = "text")]
    pub expired: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    format: u32,
    #[serde(with = "text")]
    index: Url,
    complete: Option<Complete>,
    pages_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publishing: Option<Publishing>,
    /// By the time until which they stay.
    leaving: BTreeMap<String, Vec<String>>,
}

/// The file that holds the state.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
}

impl StateFile {
    /// The file in a copy's own directory.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            path: folder.join(FILE),
        }
    }

    /// What it holds; `None` where there is none.
    pub(crate) fn read(&self) -> Result<Option<State>, StateError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged(error.to_string()));
            }
            Err(source) => return Err(self.io("read", source)),
        };
        let state = parse(&text).map_err(|problem| self.damaged(problem))?;
        Ok(Some(state))
    }

    /// Writes it whole or not at all, and durably.
    pub(crate) fn write(&self, state: &State) -> Result<(), StateError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = || {
            let mut file = tempfile::Builder::new()
                .prefix(".state-")
                .tempfile_in(folder)?;
            file.write_all(render(state).as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            fs::File::open(folder)?.sync_all()
        };
        written().map_err(|source| self.io("write", source))
    }

    pub(crate) fn damaged(&self, problem: String) -> StateError {
        StateError::Damaged {
            path: self.path.clone(),
            problem,
        }
    }

    fn io(&self, doing: &'static str, source: io::Error) -> StateError {
        StateError::Io {
            doing,
            path: self.path.clone(),
            source,
        }
    }
}

fn render(state: &State) -> String {
    let mut leaving: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, until) in &state.leaving {
        let together = leaving.entry(until.to_string()).or_default();
        together.push(path.to_string());
    }
    let written = Written {
        format: FORMAT,
        index: state.index.clone(),
        complete: state.complete.clone(),
        pages_for: state.pages_for.clone(),
        publishing: state.publishing.clone(),
        leaving,
    };
    let json = serde_json::to_string_pretty(&written);
    json.expect("strings and numbers always make JSON") + "\n"
}

fn parse(text: &str) -> Result<State, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            return Err(format!(
                "its format is {format}, and this program knows {FORMAT}"
            ));
        }
        None => return Err("it has no `format`".to_owned()),
    }
    let written: Written = serde_json::from_value(value).map_err(|e| e.to_string())?;
    let mut leaving = BTreeMap::new();
    for (until, paths) in written.leaving {
        let until: Timestamp = until.parse().map_err(|e: jiff::Error| e.to_string())?;
        for path in paths {
            let path: ObjectPath = path.parse().map_err(|e| format!("{e}"))?;
            leaving.insert(path, until);
        }
    }
    Ok(State {
        index: written.index,
        complete: written.complete,
        pages_for: written.pages_for,
        publishing: written.publishing,
        leaving,
    })
}

/// Values that are written as text.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn state() -> State {
        let path = |text: &str| text.parse::<ObjectPath>().unwrap();
        State {
            index: "https://index.example/simple/".parse().unwrap(),
            complete: Some(Complete {
                timestamp: 7,
                timestamp_sha256: Sha256::of(b"timestamp"),
                snapshot: 6,
                root: 1,
                expires: "2030-01-01T00:00:00Z".parse().unwrap(),
                copied: "2029-12-31T00:00:00.5Z".parse().unwrap(),
                selection: "everything".to_owned(),
                rules: String::new(),
                projects: 1,
                files: 2,
                bytes: 3,
                ended: vec![EndedRole {
                    role: "project-flask".to_owned(),
                    expired: "2029-12-30T00:00:00Z".parse().unwrap(),
                }],
            }),
            pages_for: Some("everything".to_owned()),
            publishing: Some(Publishing {
                root: 2,
                timestamp: "{\"signed\": 1}\n".to_owned(),
            }),
            leaving: BTreeMap::from([
                (
                    path("metadata/5.snapshot.json"),
                    "2030-01-02T00:00:00Z".parse().unwrap(),
                ),
                (
                    path("packages/flask/flask-1.0.tar.gz"),
                    "2030-01-02T00:00:00Z".parse().unwrap(),
                ),
            ]),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::in_folder(folder.path());
        assert_eq!(file.read().unwrap(), None);
        file.write(&state()).unwrap();
        assert_eq!(file.read().unwrap(), Some(state()));
        file.write(&state()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_damaged_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::in_folder(folder.path());
        let good = render(&state());
        let (half, other) = (
            &good[..good.len() / 2],
            good.replace("\"format\": 1", "\"format\": 2"),
        );
        let astray = good.replace("metadata/5.", "metadata/../5.");
        for bad in ["", "{}", half, &other, &astray, "\u{0}"] {
            fs::write(folder.path().join(FILE), bad).unwrap();
            let error = file.read().unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
        }
        fs::write(folder.path().join(FILE), b"\xff\xfe").unwrap();
        assert!(matches!(file.read(), Err(StateError::Damaged { .. })));
    }
}
