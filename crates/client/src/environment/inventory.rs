//! What is installed, as the installers wrote it down.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use wheelmark_packaging::inspect::MAX_RECORD_LEN;
use wheelmark_packaging::installed::{
    DirectUrl, MAX_DIRECT_URL_LEN, MAX_WHEEL_FILE_LEN, recorded_paths,
};
use wheelmark_packaging::{MAX_METADATA_LEN, ProjectName, Version};
use wheelmark_tuf::Sha256;

use super::layout::{MAX_DISTRIBUTIONS, MAX_FILES, names};
use super::{Environment, EnvironmentError, unreadable};

/// Longest `INSTALLER` file, in bytes: a name.
const MAX_INSTALLER_LEN: u64 = 1024;

/// What is installed in an environment.
#[derive(Debug)]
pub(super) struct Inventory {
    /// By library and name.
    pub(super) installed: Vec<Installed>,
}

/// One installed distribution, as the installer wrote it down.
#[derive(Debug)]
pub(super) struct Installed {
    /// Its place in the inventory.
    pub(super) number: usize,
    pub(super) project: ProjectName,
    pub(super) version: Version,
    /// The directory that its modules are imported from.
    pub(super) library: PathBuf,
    /// Its `.dist-info` directory.
    pub(super) place: PathBuf,
    pub(super) installer: Option<String>,
    /// That it was named by its place, and not found at an index.
    pub(super) direct: Option<DirectUrl>,
    /// Its `WHEEL` file.
    pub(super) wheel: Vec<u8>,
    /// The digest of its `METADATA`.
    pub(super) metadata: Option<Sha256>,
    /// The paths that its `RECORD` names, each as one without `..`.
    pub(super) recorded: Vec<PathBuf>,
}

impl Installed {
    /// The name of its `.dist-info` directory.
    pub(super) fn dist_info(&self) -> &str {
        let name = self.place.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }
}

pub(super) fn take(environment: &Environment) -> Result<Inventory, EnvironmentError> {
    let mut installed: Vec<Installed> = Vec::new();
    let mut recorded = 0;
    for library in environment.libraries() {
        for name in names(library).map_err(unreadable(library))? {
            let Some((project, version)) = named(&name) else {
                continue;
            };
            let too_many = |what, limit| EnvironmentError::TooMany {
                path: library.clone(),
                what,
                limit,
            };
            if installed.len() == MAX_DISTRIBUTIONS {
                return Err(too_many("distributions", MAX_DISTRIBUTIONS));
            }
            let place = library.join(&name);
            let one = Installed {
                number: installed.len(),
                project,
                version,
                installer: text(&place.join("INSTALLER")),
                direct: bounded(&place.join("direct_url.json"), MAX_DIRECT_URL_LEN as u64)
                    .and_then(|bytes| DirectUrl::parse(&bytes).ok()),
                wheel: bounded(&place.join("WHEEL"), MAX_WHEEL_FILE_LEN).unwrap_or_default(),
                metadata: bounded(&place.join("METADATA"), MAX_METADATA_LEN)
                    .map(|bytes| Sha256::of(&bytes)),
                recorded: record(&place.join("RECORD"), library),
                library: library.clone(),
                place,
            };
            recorded += one.recorded.len();
            if recorded > MAX_FILES {
                return Err(too_many("files", MAX_FILES));
            }
            installed.push(one);
        }
    }
    Ok(Inventory { installed })
}

/// The project and version of a `.dist-info` directory, by its name.
pub(super) fn named(directory: &str) -> Option<(ProjectName, Version)> {
    let (project, version) = directory.strip_suffix(".dist-info")?.split_once('-')?;
    let version = version
        .parse()
        .or_else(|_| version.replace('_', "-").parse());
    Some((project.parse().ok()?, version.ok()?))
}

fn record(file: &Path, library: &Path) -> Vec<PathBuf> {
    let bytes = bounded(file, MAX_RECORD_LEN).unwrap_or_default();
    let paths = recorded_paths(&bytes).unwrap_or_default();
    paths.iter().map(|path| plain(library, path)).collect()
}

/// A path without `.` and `..`, from a place without links.
pub(super) fn plain(from: &Path, path: &str) -> PathBuf {
    let mut plain = from.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn text(file: &Path) -> Option<String> {
    let bytes = bounded(file, MAX_INSTALLER_LEN)?;
    Some(String::from_utf8(bytes).ok()?.trim().to_owned())
}

/// The contents of an ordinary file that is not longer than this.
pub(super) fn bounded(file: &Path, limit: u64) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > limit {
        return None;
    }
    let mut bytes = Vec::new();
    let mut reader = File::open(file).ok()?.take(limit + 1);
    reader.read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}
