//! Reads a backup that is one file.
//!
//! Nothing of it is believed until its last entry was read, which says what all before it was: a
//! file that was cut off has none, and one that changed has another digest.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use wheelmark_tuf::Sha256Hasher;

use super::super::backup::contents::{Contents, Kind, Tally};
use super::super::backup::progress::Shown;
use super::super::backup::{MANIFEST, Manifest, ONLINE_KEY};
use super::staged::{SETTINGS, Staged, check_object};
use crate::logging::WithHint as _;

/// Longest entry that is kept in memory: the manifest and the encrypted key have some hundred bytes.
const MAX_SMALL: u64 = 1 << 20;

/// How a file begins that zstd compressed (RFC 8878 §3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads the file, or standard input for `-`.
pub(super) fn read(
    backup: &Path,
    staged: &mut Staged,
    tree: Option<&Path>,
) -> anyhow::Result<Manifest> {
    let input: Box<dyn Read> = if backup == Path::new("-") {
        Box::new(io::stdin())
    } else {
        let file = File::open(backup);
        Box::new(file.with_context(|| format!("{} cannot be read", backup.display()))?)
    };
    unpack(input, staged, tree)
        .with_context(|| format!("{} is no complete backup", backup.display()))
        .hint("take another one: nothing was restored from this")
}

fn unpack(
    mut input: Box<dyn Read>,
    staged: &mut Staged,
    tree: Option<&Path>,
) -> anyhow::Result<Manifest> {
    let mut begin = Vec::new();
    input.by_ref().take(4).read_to_end(&mut begin)?;
    let compressed = begin == ZSTD;
    let input = io::Cursor::new(begin).chain(input);
    let input: Box<dyn Read> = match compressed {
        true => Box::new(zstd::stream::read::Decoder::new(input)?),
        false => Box::new(BufReader::with_capacity(1 << 18, input)),
    };
    let mut shown = Shown::start("restore");
    let mut tally = Tally::default();
    let mut manifest = None::<Manifest>;
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = String::from_utf8(entry.path_bytes().into_owned())
            .context("it has a name that is not UTF-8")?;
        if manifest.is_some() {
            return Err(anyhow!("`{}` stands behind its end", name.escape_debug()));
        }
        if name == MANIFEST {
            manifest = Some(serde_json::from_slice(&small(&mut entry)?)?);
            continue;
        }
        match entry.header().entry_type() {
            tar::EntryType::Regular => {
                file(&mut entry, &name, staged, &mut tally, &mut shown)?;
                if name == SETTINGS {
                    let text = fs::read(staged.data().join(SETTINGS))?;
                    staged.settle(&text, tree)?;
                }
            }
            tar::EntryType::Link => {
                let of = entry.link_name_bytes().unwrap_or_default().into_owned();
                let of = String::from_utf8(of).context("it has a name that is not UTF-8")?;
                tally.entry(Kind::Link, &name, of.len() as u64);
                tally.content(of.as_bytes());
                staged.make_folder_of(&name)?;
                let (first, second) = (staged.place(&of)?, staged.place(&name)?);
                fs::hard_link(first, &second)
                    .with_context(|| format!("{} cannot be made", second.display()))?;
            }
            // They are made as files need them.
            tar::EntryType::Directory => continue,
            _ => return Err(anyhow!("`{}` is no plain file", name.escape_debug())),
        }
        shown.file();
    }
    // What compresses has a checksum of its own at the end.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    let manifest = manifest.ok_or_else(|| anyhow!("its end is missing: it was cut off"))?;
    compare(tally.finish(), manifest.contents)?;
    Ok(manifest)
}

fn compare(is: Contents, said: Option<Contents>) -> anyhow::Result<()> {
    match said {
        Some(said) if said == is => Ok(()),
        Some(said) => Err(anyhow!(
            "it changed since it was made: {} entries with the digest {}, where there were {} with {}",
            is.entries,
            is.sha256,
            said.entries,
            said.sha256
        )),
        None => Err(anyhow!("it does not say what it holds")),
    }
}

/// Brings one file to its place.
fn file(
    entry: &mut tar::Entry<'_, impl Read>,
    name: &str,
    staged: &mut Staged,
    tally: &mut Tally,
    shown: &mut Shown,
) -> anyhow::Result<()> {
    let len = entry.header().size()?;
    tally.entry(Kind::File, name, len);
    if name == ONLINE_KEY {
        let bytes = small(entry)?;
        tally.content(&bytes);
        staged.sealed_key = Some(bytes);
        return Ok(());
    }
    staged.make_folder_of(name)?;
    let path = staged.place(name)?;
    let cannot = || format!("{} cannot be written", path.display());
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(cannot)?;
    let mut content = Sha256Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let len = entry.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        tally.content(&buffer[..len]);
        content.update(&buffer[..len]);
        file.write_all(&buffer[..len]).with_context(cannot)?;
        shown.bytes(len as u64);
    }
    let mode = entry.header().mode()? & 0o777;
    file.set_permissions(fs::Permissions::from_mode(mode))
        .with_context(cannot)?;
    check_object(name, content)
}

fn small(entry: &mut impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(MAX_SMALL).read_to_end(&mut bytes)?;
    Ok(bytes)
}
