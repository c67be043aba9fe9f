//! Every file of a wheel with its digest.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use aws_lc_rs::digest::{self, Context};

use super::super::InspectError;
use super::super::zip::{Archive, Unpacked};
use super::dist_info;
use crate::WheelFilename;
use crate::installed::{EntryPoint, Place, Script, entry_points};

/// Longest script of a wheel whose first line is looked at, in bytes. A longer one is a program
/// of the machine's own, which installers do not change.
pub const MAX_SCRIPT_LEN: u64 = 4 * 1024 * 1024;

/// Most scripts of a wheel whose first line is looked at.
const MAX_SCRIPTS: usize = 1000;

/// Longest `entry_points.txt`, in bytes.
const MAX_ENTRY_POINTS_LEN: u64 = 1024 * 1024;

/// What an installer unpacks from a wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelContents {
    /// The name of its `.dist-info` directory.
    pub dist_info: String,
    /// Its files, by their paths in the wheel.
    pub files: BTreeMap<String, ContentFile>,
    /// The scripts that installers write for it.
    pub entry_points: Vec<EntryPoint>,
}

/// One file of a wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentFile {
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// How many those are.
    pub length: u64,
    /// Of a script whose first line installers replace, the SHA-256 of what follows that line.
    pub behind_first_line: Option<[u8; 32]>,
}

pub(in super::super) fn contents<R: Read + Seek>(
    reader: &mut R,
    filename: &WheelFilename,
) -> Result<WheelContents, InspectError> {
    let mut archive = Archive::open(reader)?;
    let directory = dist_info(archive.listing(), filename)?;
    let scripts: Vec<String> = archive
        .listing()
        .files()
        .filter(|(path, length)| {
            *length <= MAX_SCRIPT_LEN && matches!(Place::of(path, &directory), Place::Script(_))
        })
        .take(MAX_SCRIPTS)
        .map(|(path, _)| path.to_owned())
        .collect();
    let mut rests = BTreeMap::new();
    for path in scripts {
        let bytes = archive.unpack_one(&path, MAX_SCRIPT_LEN)?;
        let rest = bytes.as_deref().and_then(Script::in_wheel).map(sha256);
        rests.extend(rest.map(|rest| (path, rest)));
    }
    let wanted = format!("{directory}/entry_points.txt");
    let Unpacked {
        listing,
        mut wanted,
        digests,
    } = archive.unpack(
        |path| (path == wanted).then_some(MAX_ENTRY_POINTS_LEN),
        |path| (!path.ends_with('/')).then(|| Context::new(&digest::SHA256)),
    )?;
    let mut files = BTreeMap::new();
    for (path, length) in listing.files() {
        let digest = digests
            .get(path)
            .and_then(|digest| digest.as_ref().try_into().ok());
        let sha256 = digest.ok_or_else(|| InspectError::MissingFile {
            path: path.to_owned(),
        })?;
        let file = ContentFile {
            sha256,
            length,
            behind_first_line: rests.get(path).copied(),
        };
        files.insert(path.to_owned(), file);
    }
    let text = wanted.pop_first().map(|(_, bytes)| bytes);
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
    Ok(WheelContents {
        dist_info: directory,
        files,
        entry_points: entry_points(&text),
    })
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}
