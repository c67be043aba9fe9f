//! Little-endian numbers, and the extra fields of headers.

use super::super::ZipError;

/// Takes numbers off the front of a header.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// The next `length` bytes; `None` if there are not so many.
    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// The three numbers of a header that can overflow 32 bits. In a local header there is no offset.
pub(super) struct Sizes {
    pub(super) unpacked: u64,
    pub(super) packed: u64,
    pub(super) offset: Option<u64>,
}

/// A 32-bit number that says that the real one is in the ZIP64 field.
pub(super) const ELSEWHERE: u32 = u32::MAX;

impl Sizes {
    /// Puts the header's numbers together with the ZIP64 field (APPNOTE §4.5.3).
    ///
    /// The field should hold just the numbers that are said to be elsewhere. Some writers always
    /// put all of them there: that is accepted where it makes no difference to any reader.
    pub(super) fn resolve(
        path: &str,
        unpacked: u32,
        packed: u32,
        offset: Option<u32>,
        extra: &[u8],
    ) -> Result<Sizes, ZipError> {
        let refused = || ZipError::Extra {
            path: path.to_owned(),
        };
        let field = zip64_field(extra).ok_or_else(refused)?.unwrap_or_default();
        let (field, behind) = field.as_chunks::<8>();
        if !behind.is_empty() {
            return Err(refused());
        }
        let field: Vec<u64> = field
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes))
            .collect();
        let mut unread = field.iter().copied();
        let resolved: Vec<u64> = [Some(unpacked), Some(packed), offset]
            .into_iter()
            .flatten()
            .map(|short| match short {
                ELSEWHERE => unread.next(),
                short => Some(short.into()),
            })
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        let repeats_all = field.len() >= 2 && resolved.starts_with(&field);
        if unread.next().is_some() && !repeats_all {
            return Err(refused());
        }
        Ok(Sizes {
            unpacked: resolved[0],
            packed: resolved[1],
            offset: resolved.get(2).copied(),
        })
    }
}

const ZIP64: u16 = 0x0001;
/// The path once more, in Unicode: some readers prefer it to the path in the header.
const UNICODE_PATH: u16 = 0x7075;

/// The ZIP64 field, if there is one. The outer `None`: the fields are malformed, there are two of
/// it, or one renames the entry.
fn zip64_field(extra: &[u8]) -> Option<Option<&[u8]>> {
    let mut fields = Fields(extra);
    let mut zip64 = None;
    while !fields.0.is_empty() {
        let kind = fields.u16()?;
        let length = fields.u16()?;
        let data = fields.bytes(length.into())?;
        match kind {
            UNICODE_PATH => return None,
            ZIP64 if zip64.replace(data).is_some() => return None,
            _ => {}
        }
    }
    Some(zip64)
}
