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
use std::io::{Read, Seek, SeekFrom};

use aws_lc_rs::digest::{Context, Digest};

use super::listing::{Kind, Listing};
use super::{InspectError, ZipError, tar};
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
    /// Whether it has a comment.
    commented: bool,
}

/// What the entries of an archive hold.
pub(super) struct Unpacked {
    pub(super) listing: Listing,
    /// The contents of those wanted, by path.
    pub(super) wanted: BTreeMap<String, Vec<u8>>,
    /// The digests asked for, by path.
    pub(super) digests: BTreeMap<String, Digest>,
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

    /// Checks what is asked of a new archive: what older tools wrote, and readers agree on, is
    /// not written any more.
    pub(super) fn check_new(&mut self) -> Result<(), InspectError> {
        for entry in &self.entries {
            let path = || entry.path.clone();
            if entry.flags & FLAG_DESCRIPTOR != 0 {
                return Err(ZipError::Descriptor { path: path() }.into());
            }
            if entry.commented {
                return Err(ZipError::Comment { path: path() }.into());
            }
        }
        self.listing.check_case()?;
        match read_at(self.reader, 0) {
            Ok(block) if tar::is_header(&block) => Err(ZipError::AlsoTar.into()),
            // Too short for one.
            Ok(_) | Err(InspectError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Unpacks every entry and checks its length and checksum.
    ///
    /// `limit` names the wanted ones by giving each the length that it may have, and `hasher`
    /// gives those whose digest is asked for what computes it.
    pub(super) fn unpack(
        self,
        limit: impl Fn(&str) -> Option<u64>,
        hasher: impl Fn(&str) -> Option<Context>,
    ) -> Result<Unpacked, InspectError> {
        let mut wanted = BTreeMap::new();
        let mut digests = BTreeMap::new();
        for (entry, &start) in self.entries.iter().zip(&self.data) {
            let limit = limit(&entry.path);
            if let Some(limit) = limit {
                entry.check_len(limit)?;
            }
            let mut hasher = hasher(&entry.path);
            let contents =
                contents::unpack(self.reader, entry, start, limit.is_some(), hasher.as_mut())?;
            if let Some(contents) = contents {
                wanted.insert(entry.path.clone(), contents);
            }
            if let Some(hasher) = hasher {
                digests.insert(entry.path.clone(), hasher.finish());
            }
        }
        Ok(Unpacked {
            listing: self.listing,
            wanted,
            digests,
        })
    }

    /// Unpacks one entry of at most `limit` bytes; `None` if there is none of that path.
    pub(super) fn unpack_one(
        &mut self,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, InspectError> {
        let mut places = self.entries.iter().zip(&self.data);
        let Some((entry, &start)) = places.find(|(entry, _)| entry.path == path) else {
            return Ok(None);
        };
        entry.check_len(limit)?;
        contents::unpack(self.reader, entry, start, true, None)
    }
}

impl Entry {
    fn check_len(&self, limit: u64) -> Result<(), InspectError> {
        if self.unpacked > limit {
            return Err(InspectError::FileTooLong {
                path: self.path.clone(),
                limit,
            });
        }
        Ok(())
    }
}

/// Whether readers that look for the end of a zip archive would find one in this file, of
/// whatever kind it is: an end record whose comment reaches to the end of the file.
pub(super) fn could_be_one<R: Read + Seek>(reader: &mut R) -> Result<bool, InspectError> {
    let length = reader.seek(SeekFrom::End(0)).map_err(InspectError::Io)?;
    let tail_len = length.min(directory::END_LEN + u64::from(u16::MAX));
    let mut tail = vec![0; usize::try_from(tail_len).unwrap_or_default()];
    read_into(reader, length - tail_len, &mut tail)?;
    Ok(directory::ends_within(&tail))
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
        .seek(SeekFrom::Start(offset))
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
