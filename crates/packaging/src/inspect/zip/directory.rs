//! The central directory and the records that lead to it.

use std::io::{Read, Seek, SeekFrom};

use super::super::limits::MAX_ENTRIES;
use super::super::path;
use super::super::{InspectError, ZipError};
use super::fields::{ELSEWHERE, Fields, Sizes};
use super::{Entry, FLAG_DESCRIPTOR, FLAG_UTF8, FLAGS_EFFORT, feature, read_at, read_into};

/// What the end of the archive says.
pub(super) struct Directory {
    pub(super) entries: Vec<Entry>,
    /// Where the central directory begins, and the last entry's data must end.
    pub(super) start: u64,
    pub(super) archive_len: u64,
}

const END: u32 = 0x0605_4b50;
pub(super) const END_LEN: u64 = 22;
const END64: u32 = 0x0606_4b50;
const END64_LEN: u64 = 56;
const LOCATOR64: u32 = 0x0706_4b50;
const LOCATOR64_LEN: u64 = 20;
const HEADER: u32 = 0x0201_4b50;

/// Longest central directory: room for every entry with a long path.
const MAX_DIRECTORY_LEN: u64 = 64 * 1024 * 1024;

/// Where the directory is, and how many entries it has.
struct End {
    entries: u64,
    start: u64,
    /// Where it ends, and the end records begin.
    end: u64,
}

pub(super) fn read<R: Read + Seek>(reader: &mut R) -> Result<Directory, InspectError> {
    let archive_len = reader.seek(SeekFrom::End(0)).map_err(InspectError::Io)?;
    let end = find_end(reader, archive_len)?;
    if end.entries > MAX_ENTRIES {
        return Err(InspectError::TooManyEntries);
    }
    let length = end.end - end.start;
    if length > MAX_DIRECTORY_LEN {
        return Err(ZipError::Directory.into());
    }
    let length = usize::try_from(length).map_err(|_| ZipError::Directory)?;
    let mut bytes = vec![0; length];
    read_into(reader, end.start, &mut bytes)?;
    let mut fields = Fields(&bytes);
    let mut entries = Vec::new();
    while !fields.0.is_empty() {
        entries.push(entry(&mut fields)?);
        if entries.len() as u64 > end.entries {
            return Err(ZipError::Directory.into());
        }
    }
    if entries.len() as u64 != end.entries {
        return Err(ZipError::Directory.into());
    }
    Ok(Directory {
        entries,
        start: end.start,
        archive_len,
    })
}

/// Reads the end record, which must be the last bytes, and the ZIP64 ones before it.
fn find_end<R: Read + Seek>(reader: &mut R, archive_len: u64) -> Result<End, InspectError> {
    let at = archive_len.checked_sub(END_LEN).ok_or(ZipError::NoEnd)?;
    let record: [u8; END_LEN as usize] = read_at(reader, at)?;
    let (disks, here, entries, length, start) = end_fields(&record).ok_or(ZipError::NoEnd)?;
    let locator = match at.checked_sub(LOCATOR64_LEN) {
        Some(at) => Some((at, read_at::<{ LOCATOR64_LEN as usize }, R>(reader, at)?)),
        None => None,
    };
    let located = locator.and_then(|(at, bytes)| locator_fields(&bytes).map(|fields| (at, fields)));
    let elsewhere =
        entries == u16::MAX || here == u16::MAX || length == ELSEWHERE || start == ELSEWHERE;
    let end = match located {
        None if elsewhere => return Err(ZipError::End.into()),
        None => {
            if disks != [0, 0] || here != entries {
                return Err(ZipError::Volumes.into());
            }
            (u64::from(entries), u64::from(length), u64::from(start), at)
        }
        // ZIP64 records that are not needed are read by some and passed over by others.
        Some(_) if !elsewhere => return Err(ZipError::End.into()),
        Some((locator_at, record_at)) => {
            if locator_at.checked_sub(END64_LEN) != Some(record_at) {
                return Err(ZipError::End.into());
            }
            let record: [u8; END64_LEN as usize] = read_at(reader, record_at)?;
            let (entries64, length64, start64) = end64_fields(&record).ok_or(ZipError::End)?;
            let agrees = |short: u64, full: u64, limit: u64| {
                short == full || (short == limit && full >= limit)
            };
            let same = agrees(entries.into(), entries64, u16::MAX.into())
                && agrees(here.into(), entries64, u16::MAX.into())
                && agrees(length.into(), length64, ELSEWHERE.into())
                && agrees(start.into(), start64, ELSEWHERE.into());
            if disks != [0, 0] || !same {
                return Err(ZipError::End.into());
            }
            (entries64, length64, start64, record_at)
        }
    };
    let (entries, length, start, end) = end;
    if start.checked_add(length) != Some(end) {
        return Err(ZipError::End.into());
    }
    Ok(End {
        entries,
        start,
        end,
    })
}

/// Whether the last bytes of a file hold an end record, with a comment that ends with the file.
pub(super) fn ends_within(tail: &[u8]) -> bool {
    let signature = END.to_le_bytes();
    let places = tail.windows(4).enumerate();
    let places = places.filter(|(_, four)| *four == signature);
    places.map(|(at, _)| &tail[at..]).any(|record| {
        let comment = record
            .get(20..22)
            .and_then(|field| field.first_chunk::<2>());
        comment.is_some_and(|len| {
            usize::from(u16::from_le_bytes(*len)) + END_LEN as usize == record.len()
        })
    })
}

/// Volume numbers, entries here, entries, length and start of the directory.
fn end_fields(record: &[u8]) -> Option<([u16; 2], u16, u16, u32, u32)> {
    let mut fields = Fields(record);
    let signature = fields.u32()?;
    let disks = [fields.u16()?, fields.u16()?];
    let found = (
        disks,
        fields.u16()?,
        fields.u16()?,
        fields.u32()?,
        fields.u32()?,
    );
    let comment = fields.u16()?;
    (signature == END && comment == 0).then_some(found)
}

/// Offset of the ZIP64 end record.
fn locator_fields(record: &[u8]) -> Option<u64> {
    let mut fields = Fields(record);
    let (signature, disk, offset, disks) =
        (fields.u32()?, fields.u32()?, fields.u64()?, fields.u32()?);
    (signature == LOCATOR64 && disk == 0 && disks <= 1).then_some(offset)
}

/// Entries, length and start of the directory.
fn end64_fields(record: &[u8]) -> Option<(u64, u64, u64)> {
    let mut fields = Fields(record);
    let (signature, length) = (fields.u32()?, fields.u64()?);
    let (_made_by, _needed) = (fields.u16()?, fields.u16()?);
    let disks = [fields.u32()?, fields.u32()?];
    let (here, entries) = (fields.u64()?, fields.u64()?);
    let alone = disks == [0, 0] && here == entries;
    let well_formed = signature == END64 && length == END64_LEN - 12 && alone;
    let found = (entries, fields.u64()?, fields.u64()?);
    well_formed.then_some(found)
}

/// The numbers of a header before its path.
struct Fixed {
    made_by: u16,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    unpacked: u32,
    path_len: u16,
    extra_len: u16,
    comment_len: u16,
    disk: u16,
    attributes: u32,
    offset: u32,
}

fn fixed(fields: &mut Fields<'_>) -> Option<Fixed> {
    if fields.u32()? != HEADER {
        return None;
    }
    let made_by = fields.u16()?;
    let _needed = fields.u16()?;
    let (flags, method) = (fields.u16()?, fields.u16()?);
    let _modified = fields.u32()?;
    let (crc, packed, unpacked) = (fields.u32()?, fields.u32()?, fields.u32()?);
    let (path_len, extra_len, comment_len) = (fields.u16()?, fields.u16()?, fields.u16()?);
    let disk = fields.u16()?;
    let _internal = fields.u16()?;
    let (attributes, offset) = (fields.u32()?, fields.u32()?);
    Some(Fixed {
        made_by,
        flags,
        method,
        crc,
        packed,
        unpacked,
        path_len,
        extra_len,
        comment_len,
        disk,
        attributes,
        offset,
    })
}

fn entry(fields: &mut Fields<'_>) -> Result<Entry, InspectError> {
    let fixed = fixed(fields).ok_or(ZipError::Directory)?;
    let raw = fields
        .bytes(fixed.path_len.into())
        .ok_or(ZipError::Directory)?;
    let extra = fields
        .bytes(fixed.extra_len.into())
        .ok_or(ZipError::Directory)?;
    fields
        .bytes(fixed.comment_len.into())
        .ok_or(ZipError::Directory)?;
    let path = path::check(raw)?.to_owned();
    let known = FLAGS_EFFORT | FLAG_DESCRIPTOR | FLAG_UTF8;
    // Without the flag, bytes beyond ASCII are in an encoding that readers guess.
    if fixed.flags & !known != 0 || (!path.is_ascii() && fixed.flags & FLAG_UTF8 == 0) {
        return Err(feature(&path));
    }
    if fixed.disk != 0 {
        return Err(ZipError::Volumes.into());
    }
    check_mode(&fixed, &path)?;
    let deflated = match fixed.method {
        0 => false,
        8 => true,
        method => return Err(ZipError::Method { path, method }.into()),
    };
    // Where stored data with its length behind it ends is a guess.
    if !deflated && fixed.flags & FLAG_DESCRIPTOR != 0 {
        return Err(feature(&path));
    }
    let sizes = Sizes::resolve(
        &path,
        fixed.unpacked,
        fixed.packed,
        Some(fixed.offset),
        extra,
    )?;
    let contradictory = (!deflated && sizes.packed != sizes.unpacked)
        || (path.ends_with('/') && sizes.unpacked != 0);
    match sizes.offset {
        Some(offset) if !contradictory => Ok(Entry {
            path,
            flags: fixed.flags,
            deflated,
            crc: fixed.crc,
            packed: sizes.packed,
            unpacked: sizes.unpacked,
            offset,
            commented: fixed.comment_len > 0,
        }),
        _ => Err(ZipError::Contents { path }.into()),
    }
}

/// Refuses links and devices, which Unix systems mark in the upper half of the attributes.
fn check_mode(fixed: &Fixed, path: &str) -> Result<(), InspectError> {
    const UNIX: u16 = 3;
    const DARWIN: u16 = 19;
    if !matches!(fixed.made_by >> 8, UNIX | DARWIN) {
        return Ok(());
    }
    match (fixed.attributes >> 16) & 0o170_000 {
        0 | 0o040_000 | 0o100_000 => Ok(()),
        0o120_000 => Err(InspectError::Link {
            path: path.to_owned(),
        }),
        _ => Err(InspectError::Special {
            path: path.to_owned(),
        }),
    }
}
