//! The local headers, compared with the central directory.

use std::io::{Read, Seek};

use super::super::{InspectError, ZipError};
use super::fields::{Fields, Sizes};
use super::{Entry, FLAG_DESCRIPTOR, read_at, read_into};

const HEADER: u32 = 0x0403_4b50;
const HEADER_LEN: u64 = 30;
const DESCRIPTOR: u32 = 0x0807_4b50;

/// Walks the archive from its first byte to `directory`, where the central directory begins:
/// header, data and descriptor of each entry must follow each other without a gap. Returns the
/// offset of each entry's data. `entries` are sorted by offset.
pub(super) fn check<R: Read + Seek>(
    reader: &mut R,
    entries: &[Entry],
    directory: u64,
) -> Result<Vec<u64>, InspectError> {
    let mut at = 0;
    let mut data = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if entry.offset != at {
            return Err(ZipError::Layout { offset: at }.into());
        }
        let start = check_header(reader, entry, directory)?;
        let end = start
            .checked_add(entry.packed)
            .filter(|end| *end <= directory);
        let end = end.ok_or(ZipError::Layout { offset: start })?;
        let next = entries.get(index + 1).map_or(directory, |next| next.offset);
        if entry.flags & FLAG_DESCRIPTOR != 0 {
            check_descriptor(reader, entry, end, next)?;
        } else if end != next {
            return Err(ZipError::Layout { offset: end }.into());
        }
        data.push(start);
        at = next;
    }
    if at == directory {
        Ok(data)
    } else {
        Err(ZipError::Layout { offset: at }.into())
    }
}

/// Compares one header, and returns where its data begins.
fn check_header<R: Read + Seek>(
    reader: &mut R,
    entry: &Entry,
    directory: u64,
) -> Result<u64, InspectError> {
    let refused = || {
        InspectError::from(ZipError::LocalHeader {
            path: entry.path.clone(),
        })
    };
    let fits = |end: &u64| *end <= directory;
    let fixed_end = entry
        .offset
        .checked_add(HEADER_LEN)
        .filter(fits)
        .ok_or_else(refused)?;
    let header: [u8; HEADER_LEN as usize] = read_at(reader, entry.offset)?;
    let local = Local::parse(&header).ok_or_else(refused)?;
    let variable = usize::from(local.path_len) + usize::from(local.extra_len);
    let data = fixed_end
        .checked_add(variable as u64)
        .filter(fits)
        .ok_or_else(refused)?;
    let mut bytes = vec![0; variable];
    read_into(reader, fixed_end, &mut bytes)?;
    let (path, extra) = bytes.split_at(local.path_len.into());
    let method = if entry.deflated { 8 } else { 0 };
    if path != entry.path.as_bytes() || local.flags != entry.flags || local.method != method {
        return Err(refused());
    }
    let sizes = Sizes::resolve(&entry.path, local.unpacked, local.packed, None, extra)?;
    let later = entry.flags & FLAG_DESCRIPTOR != 0;
    let agrees = |local: u64, central: u64| local == central || (later && local == 0);
    let same = agrees(local.crc.into(), entry.crc.into())
        && agrees(sizes.packed, entry.packed)
        && agrees(sizes.unpacked, entry.unpacked);
    if same { Ok(data) } else { Err(refused()) }
}

/// Compares the descriptor between the end of the data and the next header. Its signature is
/// optional, and its lengths have 4 or 8 bytes; the room tells which.
fn check_descriptor<R: Read + Seek>(
    reader: &mut R,
    entry: &Entry,
    end: u64,
    next: u64,
) -> Result<(), InspectError> {
    let mut bytes = [0; 24];
    let room = next
        .checked_sub(end)
        .and_then(|room| usize::try_from(room).ok());
    let bytes = room
        .and_then(|room| bytes.get_mut(..room))
        .ok_or(ZipError::Layout { offset: end })?;
    read_into(reader, end, bytes)?;
    let mut fields = Fields(bytes);
    let signature_matches = matches!(bytes.len(), 12 | 20) || fields.u32() == Some(DESCRIPTOR);
    let found = match fields.0.len() {
        12 => (|| {
            Some((
                fields.u32()?,
                u64::from(fields.u32()?),
                u64::from(fields.u32()?),
            ))
        })(),
        20 => (|| Some((fields.u32()?, fields.u64()?, fields.u64()?)))(),
        _ => None,
    };
    if signature_matches && found == Some((entry.crc, entry.packed, entry.unpacked)) {
        Ok(())
    } else {
        Err(ZipError::LocalHeader {
            path: entry.path.clone(),
        }
        .into())
    }
}

struct Local {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u32,
    unpacked: u32,
    path_len: u16,
    extra_len: u16,
}

impl Local {
    fn parse(header: &[u8]) -> Option<Local> {
        let mut fields = Fields(header);
        if fields.u32()? != HEADER {
            return None;
        }
        let _needed = fields.u16()?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        let _modified = fields.u32()?;
        let (crc, packed, unpacked) = (fields.u32()?, fields.u32()?, fields.u32()?);
        Some(Local {
            flags,
            method,
            crc,
            packed,
            unpacked,
            path_len: fields.u16()?,
            extra_len: fields.u16()?,
        })
    }
}
