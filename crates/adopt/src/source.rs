//! Where files come from: which form of source it is, and how each is gone through.

mod files;
mod index;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use url::Url;
use wheelmark_client::{FetchError, Remote};
use wheelmark_packaging::ProjectName;

use crate::beneath::Beneath;
use crate::known::Origin;
use crate::listed::Found;
use files::Files;
use index::Index;
pub(crate) use index::NotFetched;
use tree::Tree;
pub(crate) use tree::chain;

/// The forms that a source can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A directory of distribution files, flat or nested.
    Files,
    /// A directory with the pages of the simple API (PEP 503, PEP 691), and files that they lead
    /// to.
    Tree,
    /// An index by the URL of its simple API.
    Index,
}

impl Form {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Tree => "tree",
            Self::Index => "index",
        }
    }
}

/// Something that holds distribution files.
#[derive(Clone, Debug)]
pub struct Source {
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    Files(Files),
    Tree(Tree),
    Index(Index),
}

/// Why a source cannot be gone through.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is no directory that can be read.
    #[error("cannot read {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A tree is asked for, and there are no pages.
    #[error("there are no pages of the simple API in {}", path.display())]
    NoPages {
        /// The directory.
        path: PathBuf,
    },
    /// A URL that cannot be asked.
    #[error("`{text}` is no URL of an index: {why}")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An index is asked for, and a directory named, or the other way round.
    #[error("`{text}` cannot be read as {}", form.as_str())]
    Form {
        /// What was given.
        text: String,
        /// What it is to be.
        form: Form,
    },
    /// The list of projects cannot be fetched.
    #[error("the list of projects cannot be had")]
    Fetch(#[source] FetchError),
    /// What is there is no list of projects.
    #[error("{url} is no list of projects: {why}")]
    NoList {
        /// What was asked for.
        url: Url,
        /// What is there.
        why: String,
    },
    /// The scan ended before its end.
    #[error("the scan was stopped")]
    Stopped,
}

/// What a scan is told.
#[derive(Clone, Debug)]
pub(crate) struct Scan {
    /// These projects alone; all where there are none.
    pub(crate) projects: Vec<ProjectName>,
    /// No time is later than this.
    pub(crate) now: Timestamp,
    pub(crate) found: Sender<Found>,
}

impl Source {
    /// Looks at what `text` names, a directory or a URL. Its form is found out, unless it is
    /// given. `ours` are directories of our own, which are no part of it.
    ///
    /// # Errors
    ///
    /// When there is nothing of that form.
    pub async fn find(
        text: &str,
        form: Option<Form>,
        remote: Remote,
        ours: &[PathBuf],
    ) -> Result<Self, SourceError> {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        let kind = if is_url {
            if !matches!(form, None | Some(Form::Index)) {
                return Err(misread(text, form.unwrap_or(Form::Files)));
            }
            Kind::Index(Index::find(text, remote).await?)
        } else {
            let path = PathBuf::from(text);
            match form {
                Some(Form::Index) => return Err(misread(text, Form::Index)),
                Some(Form::Files) => Kind::Files(Files::open(&path, ours)?),
                Some(Form::Tree) => Kind::Tree(
                    Tree::find(&path)?.ok_or(SourceError::NoPages { path: path.clone() })?,
                ),
                None => match Tree::find(&path)? {
                    Some(tree) => Kind::Tree(tree),
                    None => Kind::Files(Files::open(&path, ours)?),
                },
            }
        };
        Ok(Self {
            kind: Arc::new(kind),
        })
    }

    /// Its form.
    pub fn form(&self) -> Form {
        match &*self.kind {
            Kind::Files(_) => Form::Files,
            Kind::Tree(_) => Form::Tree,
            Kind::Index(_) => Form::Index,
        }
    }

    /// Which source it is, for those who have to know it again.
    pub fn origin(&self) -> Origin {
        Origin {
            form: self.form(),
            place: self.shown(),
        }
    }

    /// Where it is.
    pub fn shown(&self) -> String {
        match &*self.kind {
            Kind::Files(files) => files.beneath().root().display().to_string(),
            Kind::Tree(tree) => tree.beneath().root().display().to_string(),
            Kind::Index(index) => index.url().to_string(),
        }
    }

    /// The directory that holds its files, where it is one.
    pub fn directory(&self) -> Option<&Path> {
        self.beneath().map(Beneath::root)
    }

    pub(crate) fn beneath(&self) -> Option<&Beneath> {
        match &*self.kind {
            Kind::Files(files) => Some(files.beneath()),
            Kind::Tree(tree) => Some(tree.beneath()),
            Kind::Index(_) => None,
        }
    }

    pub(crate) fn index(&self) -> Option<&Index> {
        match &*self.kind {
            Kind::Index(index) => Some(index),
            Kind::Files(_) | Kind::Tree(_) => None,
        }
    }

    /// Goes through it once.
    pub(crate) async fn scan(self, scan: Scan) -> Result<(), SourceError> {
        if let Kind::Index(index) = &*self.kind {
            return index.scan(scan).await;
        }
        let blocking = tokio::task::spawn_blocking(move || match &*self.kind {
            Kind::Files(files) => files.scan(&scan),
            Kind::Tree(tree) => tree.scan(&scan),
            Kind::Index(_) => Ok(()),
        });
        blocking.await.unwrap_or(Err(SourceError::Stopped))
    }
}

impl Scan {
    pub(crate) fn wants(&self, project: &ProjectName) -> bool {
        self.projects.is_empty() || self.projects.contains(project)
    }

    /// Tells what was found, from a thread of its own.
    pub(crate) fn tell(&self, found: Found) -> Result<(), SourceError> {
        self.found
            .blocking_send(found)
            .map_err(|_| SourceError::Stopped)
    }

    pub(crate) async fn tell_async(&self, found: Found) -> Result<(), SourceError> {
        self.found
            .send(found)
            .await
            .map_err(|_| SourceError::Stopped)
    }
}

/// What tells that a local file has not changed, and the time of its last change.
pub(crate) fn local_stamp(
    file: &std::fs::File,
) -> std::io::Result<(wheelmark_objects::Stamp, String, Option<Timestamp>)> {
    let stamp = wheelmark_objects::Stamp::of(file)?;
    let (len, (seconds, nanoseconds)) = stamp.known_by();
    let modified = i32::try_from(nanoseconds)
        .ok()
        .and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok());
    Ok((stamp, format!("{len} {seconds}.{nanoseconds:09}"), modified))
}

fn misread(text: &str, form: Form) -> SourceError {
    SourceError::Form {
        text: text.to_owned(),
        form,
    }
}
