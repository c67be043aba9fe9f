//! The data of one entry.

use std::io::{BufReader, Read, Seek, SeekFrom};

use aws_lc_rs::digest::Context;
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::super::{InspectError, ZipError};
use super::Entry;

const BUFFER_LEN: usize = 64 * 1024;

/// Unpacks an entry and checks that it uses up its packed bytes, and has the length and checksum
/// that its header says. Returns its contents if they are to be kept; `hasher` gets them all.
pub(super) fn unpack<R: Read + Seek>(
    reader: &mut R,
    entry: &Entry,
    start: u64,
    keep: bool,
    hasher: Option<&mut Context>,
) -> Result<Option<Vec<u8>>, InspectError> {
    reader
        .seek(SeekFrom::Start(start))
        .map_err(InspectError::Io)?;
    let packed = BufReader::with_capacity(BUFFER_LEN, reader.take(entry.packed));
    if entry.deflated {
        let mut decoder = DeflateDecoder::new(packed);
        let contents = drain(&mut decoder, entry, keep, hasher)?;
        let used = decoder.total_in();
        if used == entry.packed {
            Ok(contents)
        } else {
            Err(mismatch(entry))
        }
    } else {
        let mut packed = packed;
        drain(&mut packed, entry, keep, hasher)
    }
}

fn drain(
    data: &mut impl Read,
    entry: &Entry,
    keep: bool,
    mut hasher: Option<&mut Context>,
) -> Result<Option<Vec<u8>>, InspectError> {
    let mut crc = Crc::new();
    let mut length = 0_u64;
    let mut contents = keep.then(Vec::new);
    let mut buffer = vec![0; BUFFER_LEN];
    loop {
        let count = data
            .read(&mut buffer)
            .map_err(|error| InspectError::from_decoder(error, &entry.path))?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            break;
        };
        length += chunk.len() as u64;
        if length > entry.unpacked {
            return Err(mismatch(entry));
        }
        crc.update(chunk);
        if let Some(hasher) = &mut hasher {
            hasher.update(chunk);
        }
        if let Some(contents) = &mut contents {
            contents.extend_from_slice(chunk);
        }
    }
    if length == entry.unpacked && crc.sum() == entry.crc {
        Ok(contents)
    } else {
        Err(mismatch(entry))
    }
}

fn mismatch(entry: &Entry) -> InspectError {
    ZipError::Contents {
        path: entry.path.clone(),
    }
    .into()
}
