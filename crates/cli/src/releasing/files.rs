//! Distribution files on this machine, as a page is to list them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_objects::ContentHasher;
use wheelmark_packaging::simple::ReleasedFile;
use wheelmark_packaging::{DistributionFilename, ProjectName, inspect};
use wheelmark_tuf::Sha256;

use crate::logging::WithHint as _;

/// How much of a file is in memory while it is hashed.
const PIECE_LEN: usize = 256 * 1024;

/// A file, and what a page is to say of it.
pub(crate) struct LocalFile {
    pub(crate) path: PathBuf,
    pub(crate) released: ReleasedFile,
}

/// Reads distribution files of one project, from one end to the other.
pub(crate) fn local_files(
    paths: &[PathBuf],
    now: Timestamp,
) -> anyhow::Result<(ProjectName, Vec<LocalFile>)> {
    let mut files: Vec<LocalFile> = Vec::with_capacity(paths.len());
    let mut names = BTreeSet::new();
    let mut project: Option<ProjectName> = None;
    // To the microsecond, which is what a page can hold.
    let now = Timestamp::from_microsecond(now.as_microsecond())?;
    for path in paths {
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| anyhow!("{shown} is no file that can be published"))?;
        let filename = DistributionFilename::parse(name)
            .with_context(|| format!("{shown} is no file that can be published"))
            .hint("name wheels and source distributions, as in `wheelmark publish dist/*`")?;
        match &project {
            Some(project) if project != filename.project() => {
                return Err(anyhow!(
                    "{shown} is a file of {}, and others are of {project}",
                    filename.project()
                ))
                .hint("publish one project at a time: each signs for itself");
            }
            Some(_) => {}
            None => project = Some(filename.project().clone()),
        }
        if !names.insert(name.to_owned()) {
            return Err(anyhow!("{name} is named twice")).hint("name each file once");
        }
        files.push(LocalFile {
            path: path.clone(),
            released: released(path, filename, now)?,
        });
    }
    let project = project
        .ok_or_else(|| anyhow!("no file is named"))
        .hint("wheelmark publish dist/*")?;
    Ok((project, files))
}

/// What a page is to say of a file.
pub(crate) fn released(
    path: &Path,
    filename: DistributionFilename,
    now: Timestamp,
) -> anyhow::Result<ReleasedFile> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut content = ContentHasher::new();
    let mut piece = vec![0; PIECE_LEN];
    loop {
        match file
            .read(&mut piece)
            .with_context(|| format!("{shown} cannot be read"))?
        {
            0 => break,
            read => content.update(&piece[..read]),
        }
    }
    let hashed = content.finish();
    file.rewind()?;
    let inspected = inspect(BufReader::new(file), &filename)
        .with_context(|| format!("{shown} cannot be published"))?;
    let is_wheel = matches!(filename, DistributionFilename::Wheel(_));
    Ok(ReleasedFile {
        filename,
        sha256: hashed.sha256.0.into(),
        size: hashed.len,
        signed_at: now,
        requires_python: inspected.metadata.requires_python,
        core_metadata_sha256: is_wheel.then(|| Sha256::of(&inspected.metadata_bytes).0.into()),
        chunks_sha256: hashed.chunks.map(|chunks| Sha256::of(&chunks).0.into()),
    })
}
