//! Tar archives that every reader reads alike (POSIX.1-2017 *pax*, ustar, and GNU's long names).
//!
//! Readers differ in what they do with sparse files, with a length that two headers give
//! differently, with a path that is given twice, and with what stands behind the end. None of
//! that is accepted.

mod extended;
mod header;

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use aws_lc_rs::digest::{Context, Digest};

use self::extended::Extended;
use self::header::{BLOCK, Header};
use super::limits::{Budget, MAX_EXTENDED_HEADER_LEN};
use super::listing::{Kind, Listing};
use super::path;
use super::{InspectError, MAX_ENTRIES, TarError};

/// The entries of an archive, the contents of those wanted, and the digests of those asked for.
pub(super) struct Unpacked {
    pub(super) listing: Listing,
    pub(super) wanted: BTreeMap<String, Vec<u8>>,
    pub(super) digests: BTreeMap<String, Digest>,
}

/// Reads a gzip-compressed archive of `length` bytes to its end.
///
/// `limit` names the wanted files by giving each the length that it may have, and `hasher` gives
/// those whose digest is asked for what computes it.
pub(super) fn unpack_gz(
    reader: impl BufRead,
    length: u64,
    limit: impl Fn(&str) -> Option<u64>,
    hasher: impl Fn(&str) -> Option<Context>,
) -> Result<Unpacked, InspectError> {
    let mut stream = Stream {
        decoder: flate2::bufread::GzDecoder::new(reader),
        budget: Budget::for_archive(length),
    };
    let unpacked = unpack(&mut stream, limit, hasher)?;
    // A second gzip member would be a second archive for some.
    let mut rest = stream.decoder.into_inner();
    let behind = rest.fill_buf().map_err(InspectError::Io)?;
    if behind.is_empty() {
        Ok(unpacked)
    } else {
        Err(TarError::Trailing.into())
    }
}

/// Whether a file that begins with this block would be taken for a tar archive.
pub(super) fn is_header(block: &[u8; BLOCK]) -> bool {
    header::has_checksum(block)
}

/// Decompressed bytes, counted.
struct Stream<R> {
    decoder: flate2::bufread::GzDecoder<R>,
    budget: Budget,
}

impl<R: BufRead> Stream<R> {
    /// Reads up to the length of `buffer`; fewer bytes mean the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, InspectError> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            let count = match self.decoder.read(room) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(InspectError::from_decoder(error, "gzip data")),
            };
            filled += count;
            self.budget.spend(count as u64)?;
        }
        Ok(filled)
    }

    /// Reads `length` bytes and the padding behind them, and keeps and hashes the bytes if asked to.
    fn body(
        &mut self,
        length: u64,
        keep: bool,
        mut hasher: Option<&mut Context>,
    ) -> Result<Vec<u8>, InspectError> {
        let padded = length
            .checked_next_multiple_of(BLOCK as u64)
            .ok_or_else(cut_short)?;
        let mut kept = Vec::new();
        let mut buffer = [0; 64 * BLOCK];
        let (mut left, mut unhashed) = (padded, length);
        while left > 0 {
            let part = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            if self.read(&mut buffer[..part])? < part {
                return Err(cut_short());
            }
            if keep {
                kept.extend_from_slice(&buffer[..part]);
            }
            let own = usize::try_from(unhashed).unwrap_or(usize::MAX).min(part);
            if let Some(hasher) = &mut hasher {
                hasher.update(&buffer[..own]);
            }
            unhashed -= own as u64;
            left -= part as u64;
        }
        kept.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(kept)
    }

    /// Reads to the end; there may be zeros only.
    fn zeros_to_end(&mut self) -> Result<(), InspectError> {
        let mut buffer = [0; 64 * BLOCK];
        loop {
            let count = self.read(&mut buffer)?;
            if buffer[..count].iter().any(|byte| *byte != 0) {
                return Err(TarError::Trailing.into());
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

fn cut_short() -> InspectError {
    InspectError::Damaged {
        what: "the tar archive ends within an entry".to_owned(),
    }
}

fn unpack<R: BufRead>(
    stream: &mut Stream<R>,
    limit: impl Fn(&str) -> Option<u64>,
    hasher: impl Fn(&str) -> Option<Context>,
) -> Result<Unpacked, InspectError> {
    let mut unpacked = Unpacked {
        listing: Listing::default(),
        wanted: BTreeMap::new(),
        digests: BTreeMap::new(),
    };
    let mut extended = Extended::default();
    let mut entry = 0;
    loop {
        let mut block = [0; BLOCK];
        match stream.read(&mut block)? {
            BLOCK => {}
            // Some writers leave the end mark out.
            0 if entry > 0 => break,
            _ => return Err(cut_short()),
        }
        if block.iter().all(|byte| *byte == 0) {
            stream.zeros_to_end()?;
            break;
        }
        // Extended headers count as well, each being work.
        if entry == 4 * MAX_ENTRIES {
            return Err(InspectError::TooManyEntries);
        }
        let header = Header::parse(&block).ok_or(TarError::Header { entry })?;
        match header.kind {
            b'x' | b'g' | b'L' | b'K' => {
                if header.size > MAX_EXTENDED_HEADER_LEN {
                    return Err(TarError::ExtendedTooLong {
                        entry,
                        length: header.size,
                    }
                    .into());
                }
                let body = stream.body(header.size, true, None)?;
                extended.take(header.kind, &body, entry)?;
            }
            b'S' => return Err(TarError::Sparse { entry }.into()),
            b'0' | b'\0' | b'1' | b'2' | b'5' => {
                let member = std::mem::take(&mut extended).apply(header, entry)?;
                add(stream, &mut unpacked, member, &limit, &hasher)?;
            }
            b'3' | b'4' | b'6' => {
                let path = String::from_utf8_lossy(&header.path).into_owned();
                return Err(InspectError::Special { path });
            }
            kind => return Err(TarError::Kind { entry, kind }.into()),
        }
        entry += 1;
    }
    if !extended.is_empty() {
        return Err(TarError::Extended { entry }.into());
    }
    unpacked.listing.check_nesting()?;
    Ok(unpacked)
}

/// A file, directory or link with its extended headers applied.
struct Member {
    path: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    size: u64,
}

/// Lists a member and reads its contents; keeps them if they are wanted, and their digest if it is.
fn add<R: BufRead>(
    stream: &mut Stream<R>,
    unpacked: &mut Unpacked,
    member: Member,
    limit: impl Fn(&str) -> Option<u64>,
    hasher: impl Fn(&str) -> Option<Context>,
) -> Result<(), InspectError> {
    let listing = &mut unpacked.listing;
    // `tar -c .` writes every path with `./` before it, and the directory itself as `./`.
    let raw = member.path.strip_prefix(b"./").unwrap_or(&member.path);
    let directory = member.kind == b'5' || (member.kind == b'\0' && raw.ends_with(b"/"));
    if directory && raw.is_empty() {
        return Ok(());
    }
    let kind = match member.kind {
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        _ if directory => Kind::Directory,
        _ => Kind::File(member.size),
    };
    let listed = listing.add(raw, kind)?;
    match kind {
        Kind::File(length) => {
            if raw.ends_with(b"/") {
                return Err(InspectError::Path { path: listed });
            }
            let limit = limit(&listed);
            if let Some(limit) = limit
                && length > limit
            {
                return Err(InspectError::FileTooLong {
                    path: listed,
                    limit,
                });
            }
            let mut hasher = hasher(&listed);
            let contents = stream.body(length, limit.is_some(), hasher.as_mut())?;
            if let Some(hasher) = hasher {
                unpacked.digests.insert(listed.clone(), hasher.finish());
            }
            if limit.is_some() {
                unpacked.wanted.insert(listed, contents);
            }
        }
        Kind::Directory | Kind::Symlink | Kind::HardLink if member.size != 0 => {
            return Err(InspectError::Conflict { path: listed });
        }
        Kind::Directory => {}
        Kind::Symlink => {
            let inside = std::str::from_utf8(&member.link)
                .is_ok_and(|to| path::symlink_stays_inside(&listed, to));
            if !inside {
                return Err(InspectError::Link { path: listed });
            }
        }
        Kind::HardLink => {
            let to = member.link.strip_prefix(b"./").unwrap_or(&member.link);
            let file =
                path::check(to).is_ok_and(|to| matches!(listing.kind(to), Some(Kind::File(_))));
            if !file {
                return Err(InspectError::Link { path: listed });
            }
        }
    }
    Ok(())
}
