//! Zip archives that every reader reads alike (APPNOTE 6.3.10).
//!
//! Readers find entries in two ways: by the central directory at the end, or by walking the
//! local headers from the front. An archive is accepted only if both ways give the same entries
//! with the same contents, and no byte is left over.

mod contents;
mod directory;
mod fields;
mod local;

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use super::listing::{Kind, Listing};
use super::{InspectError, ZipError};
use crate::inspect::limits::Budget;

/// One entry, as the central directory has it.
struct Entry {
    /// As in the directory, with the `/` of a directory.
    path: String,
    flags: u16,
    deflated: bool,
    crc: u32,
    packed: u64,
    unpacked: u64,
    /// Of its local header.
    offset: u64,
}

/// An archive whose directory and headers have been checked, and whose contents have not.
pub(super) struct Archive<'r, R> {
    reader: &'r mut R,
    /// In the order of the file.
    entries: Vec<Entry>,
    /// Offset of each entry's data.
    data: Vec<u64>,
    listing: Listing,
}

impl<'r, R: Read + Seek> Archive<'r, R> {
    /// Reads and compares the central directory and all local headers.
    pub(super) fn open(reader: &'r mut R) -> Result<Archive<'r, R>, InspectError> {
        let directory = directory::read(reader)?;
        let mut budget = Budget::for_archive(directory.archive_len);
        let mut listing = Listing::default();
        for entry in &directory.entries {
            budget.spend(entry.unpacked)?;
            let kind = if entry.path.ends_with('/') {
                Kind::Directory
            } else {
                Kind::File(entry.unpacked)
            };
            listing.add(entry.path.as_bytes(), kind)?;
        }
        listing.check_nesting()?;
        let mut entries = directory.entries;
        entries.sort_by_key(|entry| entry.offset);
        let data = local::check(reader, &entries, directory.start)?;
        Ok(Archive {
            reader,
            entries,
            data,
            listing,
        })
    }

    pub(super) fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Unpacks every entry, checks its length and checksum, and returns the wanted ones, which
    /// `limit` names by giving each the length that it may have.
    pub(super) fn unpack(
        self,
        limit: impl Fn(&str) -> Option<u64>,
    ) -> Result<(Listing, BTreeMap<String, Vec<u8>>), InspectError> {
        let mut wanted = BTreeMap::new();
        for (entry, &start) in self.entries.iter().zip(&self.data) {
            let limit = limit(&entry.path);
            if let Some(limit) = limit
                && entry.unpacked > limit
            {
                return Err(InspectError::FileTooLong {
                    path: entry.path.clone(),
                    limit,
                });
            }
            let contents = contents::unpack(self.reader, entry, start, limit.is_some())?;
            if let Some(contents) = contents {
                wanted.insert(entry.path.clone(), contents);
            }
        }
        Ok((self.listing, wanted))
    }

    /// Unpacks one entry of at most `limit` bytes; `None` if there is none of that path.
    pub(super) fn unpack_one(
        self,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, InspectError> {
        let mut places = self.entries.iter().zip(&self.data);
        let Some((entry, &start)) = places.find(|(entry, _)| entry.path == path) else {
            return Ok(None);
        };
        if entry.unpacked > limit {
            return Err(InspectError::FileTooLong {
                path: entry.path.clone(),
                limit,
            });
        }
        contents::unpack(self.reader, entry, start, true)
    }
}

/// Reads `N` bytes at an offset.
fn read_at<const N: usize, R: Read + Seek>(
    reader: &mut R,
    offset: u64,
) -> Result<[u8; N], InspectError> {
    let mut bytes = [0; N];
    read_into(reader, offset, &mut bytes)?;
    Ok(bytes)
}

fn read_into<R: Read + Seek>(
    reader: &mut R,
    offset: u64,
    bytes: &mut [u8],
) -> Result<(), InspectError> {
    reader
        .seek(std::io::SeekFrom::Start(offset))
        .map_err(InspectError::Io)?;
    reader
        .read_exact(bytes)
        .map_err(|error| InspectError::from_decoder(error, "zip headers"))
}

/// Whether an entry's lengths and checksum follow its data.
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// Whether an entry's path is UTF-8.
const FLAG_UTF8: u16 = 1 << 11;
/// How hard the compressor tried: of no consequence.
const FLAGS_EFFORT: u16 = 0b110;

fn feature(path: &str) -> InspectError {
    ZipError::Feature {
        path: path.to_owned(),
    }
    .into()
}
