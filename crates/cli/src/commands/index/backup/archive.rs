//! A backup as one file: a tar archive, plain or compressed by zstd, or on standard output.
//!
//! It is written from its beginning to its end. `backup.json` is its last entry and says what all
//! before it was; a file gets its name after that. Unpacked by `tar`, it is a backup in a directory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use tempfile::{NamedTempFile, TempDir};
use wheelmark_objects::OpenObject;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::contents::{Kind, Tally};
use super::destination::{Copied, Destination};
use super::progress::Shown;
use super::{MANIFEST, Manifest, TREE};
use crate::data::{OPERATOR, WEB};
use crate::logging::WithHint as _;

/// How hard zstd tries: most of a backup are wheels, which are compressed already.
const ZSTD_LEVEL: i32 = 3;

/// How the name of an unfinished file begins.
const UNFINISHED: &str = ".wheelmark-backup-";

/// Where a backup of one file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    File { path: PathBuf, compressed: bool },
    Stdout,
}

impl Place {
    /// The place that was named, if it is not a directory.
    pub(super) fn named(path: &Path) -> anyhow::Result<Option<Place>> {
        if path == Path::new("-") {
            return Ok(Some(Place::Stdout));
        }
        let name = path.to_string_lossy().to_lowercase();
        if path.is_dir() || name.ends_with('/') {
            return Ok(None);
        }
        let path = std::path::absolute(path)?;
        if [".tar", ".tar.zst", ".tzst"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let compressed = !name.ends_with(".tar");
            return Ok(Some(Place::File { path, compressed }));
        }
        let other = [".gz", ".tgz", ".bz2", ".xz", ".zip", ".7z", ".zst"];
        if path.is_file() || other.iter().any(|end| name.ends_with(end)) {
            return Err(anyhow!("{} is no form of a backup", path.display()))
                .hint("a backup is a directory, or a file whose name ends in .tar or .tar.zst, or - for standard output");
        }
        Ok(None)
    }
}

/// What compresses, or not.
enum Pack {
    Plain(BufWriter<Out>),
    Zstd(Box<zstd::stream::write::Encoder<'static, BufWriter<Out>>>),
}

/// Where the bytes end.
enum Out {
    File(NamedTempFile),
    Stdout(io::Stdout),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::File(file) => file.write(bytes),
            Out::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::File(file) => file.flush(),
            Out::Stdout(stdout) => stdout.flush(),
        }
    }
}

impl Write for Pack {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Pack::Plain(out) => out.write(bytes),
            Pack::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Pack::Plain(out) => out.flush(),
            Pack::Zstd(out) => out.flush(),
        }
    }
}

impl Pack {
    fn finish(self) -> io::Result<Out> {
        let out = match self {
            Pack::Plain(out) => out,
            Pack::Zstd(encoder) => encoder.finish()?,
        };
        out.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// A backup of one file that is being written.
pub(super) struct Archive {
    tar: tar::Builder<Pack>,
    place: Place,
    scratch: TempDir,
    tally: Tally,
    now: u64,
    shown: Shown,
}

impl Archive {
    /// Begins it. `data` is where databases are put together; `now` is for what has no time of its
    /// own, in seconds.
    pub(super) fn begin(
        place: Place,
        data: &Path,
        overwrite: bool,
        now: u64,
    ) -> anyhow::Result<Self> {
        let out = match &place {
            Place::Stdout => Out::Stdout(io::stdout()),
            Place::File { path, .. } => {
                if path.exists() && !overwrite {
                    return Err(anyhow!("{} is there already", path.display()))
                        .hint("name another file, such as one with the date, or say --overwrite");
                }
                let folder = path.parent().unwrap_or(Path::new("/"));
                let file = tempfile::Builder::new()
                    .prefix(UNFINISHED)
                    .tempfile_in(folder);
                Out::File(
                    file.with_context(|| {
                        format!("nothing can be written to {}", folder.display())
                    })?,
                )
            }
        };
        let out = BufWriter::with_capacity(1 << 18, out);
        let pack = match &place {
            Place::File {
                compressed: true, ..
            } => {
                let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Pack::Zstd(Box::new(encoder))
            }
            _ => Pack::Plain(out),
        };
        let scratch = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(data)
            .with_context(|| format!("nothing can be written to {}", data.display()))?;
        let mut tar = tar::Builder::new(pack);
        // For `tar`, which makes folders as it likes otherwise.
        for folder in [".", OPERATOR, WEB] {
            let mut header = Self::header(0o700, now, 0);
            header.set_entry_type(tar::EntryType::Directory);
            let written = tar.append_data(&mut header, format!("{folder}/"), io::empty());
            written.context("the backup cannot be begun")?;
        }
        Ok(Self {
            tar,
            place,
            scratch,
            tally: Tally::default(),
            now,
            shown: Shown::start("backup"),
        })
    }

    fn header(mode: u32, mtime: u64, len: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_mtime(mtime);
        header.set_size(len);
        header.set_entry_type(tar::EntryType::Regular);
        header
    }

    /// Appends a file as it is now; one that grows meanwhile is cut, one that shrinks is an error.
    fn append(&mut self, file: File, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let metadata = file.metadata().with_context(cannot)?;
        let mtime = u64::try_from(metadata.mtime()).unwrap_or(self.now);
        // Whoever unpacks it with `tar` is to be the only one who reads it.
        let mode = match name.split('/').next() == Some(TREE) {
            true => metadata.permissions().mode() & 0o777,
            false => 0o600,
        };
        let mut header = Self::header(mode, mtime, metadata.len());
        self.tally.entry(Kind::File, name, metadata.len());
        let mut reader = Counted {
            from: file.take(metadata.len()),
            tally: &mut self.tally,
            shown: &mut self.shown,
            read: 0,
        };
        self.tar
            .append_data(&mut header, name, &mut reader)
            .with_context(cannot)?;
        if reader.read != metadata.len() {
            return Err(anyhow!(
                "{} became shorter while it was copied",
                from.display()
            ));
        }
        self.shown.file();
        Ok(())
    }

    fn append_bytes(&mut self, name: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let mut header = Self::header(mode, self.now, bytes.len() as u64);
        self.tally.entry(Kind::File, name, bytes.len() as u64);
        self.tally.content(bytes);
        self.tar
            .append_data(&mut header, name, bytes)
            .with_context(|| format!("{name} cannot be written"))?;
        self.shown.bytes(bytes.len() as u64);
        self.shown.file();
        Ok(())
    }
}

/// Counts and hashes what is read.
struct Counted<'a, R> {
    from: R,
    tally: &'a mut Tally,
    shown: &'a mut Shown,
    read: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.from.read(buffer)?;
        self.tally.content(&buffer[..len]);
        self.shown.bytes(len as u64);
        self.read += len as u64;
        Ok(len)
    }
}

impl Destination for Archive {
    fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn take(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        self.replace(from, name)?;
        fs::remove_file(from).with_context(|| format!("{} cannot be removed", from.display()))
    }

    fn object(&mut self, open: OpenObject, from: &Path, name: &str) -> anyhow::Result<()> {
        self.append(open.file, from, name)
    }

    fn replace(&mut self, from: &Path, name: &str) -> anyhow::Result<()> {
        let cannot = || format!("{} cannot be copied", from.display());
        let file = File::open(from).with_context(cannot)?;
        self.append(file, from, name)
    }

    fn second_name(&mut self, of: &str, name: &str) -> anyhow::Result<()> {
        let mut header = Self::header(0o644, self.now, 0);
        header.set_entry_type(tar::EntryType::Link);
        self.tally.entry(Kind::Link, name, of.len() as u64);
        self.tally.content(of.as_bytes());
        self.tar
            .append_link(&mut header, name, of)
            .with_context(|| format!("{name} cannot be written"))?;
        self.shown.file();
        Ok(())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.append_bytes(name, bytes, 0o644)
    }

    fn write_private(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.append_bytes(name, bytes, 0o600)
    }

    fn has(&self, _name: &str) -> bool {
        false
    }

    fn has_names(&self, _project: &ProjectName, _page: &Sha256) -> bool {
        false
    }

    fn keep_only(&mut self, _folder: &str, _names: &BTreeSet<String>) -> anyhow::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn finish(self: Box<Self>, manifest: &mut Manifest) -> anyhow::Result<Copied> {
        let Self {
            mut tar,
            place,
            tally,
            now,
            shown,
            ..
        } = *self;
        let cannot = || "the end of the backup cannot be written";
        manifest.contents = Some(tally.finish());
        let bytes = serde_json::to_vec_pretty(&manifest)?;
        let mut header = Self::header(0o600, now, bytes.len() as u64);
        tar.append_data(&mut header, MANIFEST, &*bytes)
            .with_context(cannot)?;
        let out = tar
            .into_inner()
            .and_then(Pack::finish)
            .with_context(cannot)?;
        match (out, place) {
            (Out::File(file), Place::File { path, .. }) => {
                file.as_file().sync_all().with_context(cannot)?;
                file.persist(&path)
                    .with_context(|| format!("{} cannot be made", path.display()))?;
                crate::data::sync_directory(path.parent().unwrap_or(Path::new("/")))?;
            }
            (mut out, _) => out.flush().with_context(cannot)?,
        }
        Ok(shown.counted())
    }
}
