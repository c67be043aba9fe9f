//! What a scan finds.

use std::path::PathBuf;

use jiff::Timestamp;
use url::Url;
use wheelmark_packaging::simple::{Hashes, PageFile, Yanked};
use wheelmark_packaging::{DistributionFilename, ProjectName};

/// Longest reason of a yank that is held, in characters. Pages show less.
const MAX_YANK_REASON: usize = 2_000;

/// A file as its source shows it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) project: ProjectName,
    pub(crate) filename: DistributionFilename,
    pub(crate) place: Place,
    /// The digests that the source states. Empty where it states none.
    pub(crate) hashes: Hashes,
    /// The size that the source states.
    pub(crate) size: Option<u64>,
    /// When the source says it came; never later than the scan.
    pub(crate) uploaded_at: Option<Timestamp>,
    /// The source's word, for files that do not tell themselves.
    pub(crate) requires_python: Option<String>,
    /// The reason, empty where there is none; `None` for an ordinary file.
    pub(crate) yanked: Option<String>,
    /// What is equal as long as the file is; `None` where only reading it tells.
    pub(crate) known_by: Option<String>,
}

/// Where a file is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A path below the source.
    Local(PathBuf),
    /// A URL.
    Remote(Url),
}

/// One thing that a scan found, in no order except that a list comes before its projects.
#[derive(Debug)]
pub(crate) enum Found {
    /// The projects that are listed, where the source has a list.
    Projects {
        names: Vec<ProjectName>,
        /// Why there may be more than it lists, if so.
        short: Option<String>,
    },
    /// A file.
    File(Box<Listed>),
    /// A project has been gone through to its end.
    Read(ProjectName),
    /// A project whose page lists nothing, and does not say that it is one.
    Doubtful(ProjectName),
    /// What a project has cannot be known now.
    Unread { project: ProjectName, why: String },
    /// Something that has the name of a project and is none. If it was one, this is no word that
    /// its files are gone.
    Hollow { project: ProjectName, why: String },
    /// A file that cannot be had now.
    Failed {
        project: ProjectName,
        filename: String,
        why: String,
    },
    /// A project's page may have been cut off behind the files that it lists.
    Cut { project: ProjectName, why: String },
    /// Something that cannot be a file of its project, and is left out. `file`: which one it is
    /// if it was signed at a better time.
    Skipped {
        file: Option<(ProjectName, String)>,
        name: String,
        why: String,
    },
}

impl Listed {
    /// A file as a page describes it.
    pub(crate) fn of_page(project: &ProjectName, file: PageFile, place: Place) -> Self {
        Self {
            project: project.clone(),
            filename: file.filename,
            place,
            hashes: file.hashes,
            size: file.size,
            uploaded_at: file.upload_time,
            requires_python: file.requires_python,
            yanked: match file.yanked {
                Yanked::No => None,
                Yanked::Yes => Some(String::new()),
                Yanked::Because(reason) => Some(reason.chars().take(MAX_YANK_REASON).collect()),
            },
            known_by: None,
        }
    }

    /// Where it is, for people.
    pub(crate) fn shown_place(&self) -> String {
        match &self.place {
            Place::Local(path) => path.display().to_string(),
            Place::Remote(url) => url.to_string(),
        }
    }
}
