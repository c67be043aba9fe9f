//! What a backup of keys holds inside its encryption: a tar archive of small files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use crate::data::write_private;

/// The longest parcel, in bytes: all of it is in memory.
pub(super) const MAX_LEN: usize = 256 * 1024 * 1024;

/// The most files in one.
const MOST_FILES: usize = 100_000;

/// Files, by name.
#[derive(Default)]
pub(super) struct Parcel {
    names: BTreeSet<String>,
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
    length: usize,
}

impl Parcel {
    /// Adds a file.
    pub(super) fn add(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.length += bytes.len();
        if self.length > MAX_LEN {
            return Err(anyhow!("a backup of keys holds at most {MAX_LEN} bytes"));
        }
        if self.names.insert(name.to_owned()) {
            self.files
                .push((name.to_owned(), Zeroizing::new(bytes.to_vec())));
        }
        Ok(())
    }

    /// The names of its files.
    pub(super) fn names(&self) -> Vec<String> {
        self.names.iter().cloned().collect()
    }

    /// The archive.
    pub(super) fn finish(self) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        // Each file has a header of 512 bytes and is filled up to a multiple of it; long names have
        // one more of each. The buffer has its final size at once: growing would leave copies behind.
        let room = self.length + (self.files.len() + 1) * 4 * 512;
        let mut buffer = Zeroizing::new(vec![0; room]);
        let mut tar = tar::Builder::new(Cursor::new(buffer.as_mut_slice()));
        for (name, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o600);
            header.set_size(bytes.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, name, bytes.as_slice())
                .with_context(|| format!("{name} cannot be packed"))?;
        }
        let mut end = tar.into_inner()?;
        end.flush()?;
        let length = usize::try_from(end.position())?;
        buffer.truncate(length);
        Ok(buffer)
    }
}

/// Writes the files of a parcel into a directory that is not there yet, each for its owner alone.
pub(super) fn unpack(packed: &[u8], directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut archive = tar::Archive::new(packed);
    let mut files: Vec<(PathBuf, Zeroizing<Vec<u8>>)> = Vec::new();
    for entry in archive.entries().context("it holds no archive")? {
        let mut entry = entry.context("the archive in it is damaged")?;
        let name = entry
            .path()
            .context("the archive in it is damaged")?
            .into_owned();
        let is_plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !entry.header().entry_type().is_file() || !is_plain || name.as_os_str().is_empty() {
            return Err(anyhow!(
                "it holds something other than files: it is no backup of keys"
            ));
        }
        // What it says is bounded by what is there.
        let length = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(packed.len()) + 1));
        entry
            .read_to_end(&mut bytes)
            .context("the archive in it is damaged")?;
        files.push((name, bytes));
        if files.len() > MOST_FILES {
            return Err(anyhow!("it holds more than {MOST_FILES} files"));
        }
    }
    // Nothing is written before all of it was read.
    private_directory(directory)?;
    let mut written = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let path = directory.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("{} cannot be made", parent.display()))?;
        }
        write_private(&path, &bytes)?;
        written.push(path);
    }
    Ok(written)
}

/// Makes a directory that only its owner can enter.
fn private_directory(directory: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("{} cannot be made", directory.display()))
}
