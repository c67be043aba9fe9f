//! Extended headers: pax records, and GNU's long names.

use super::super::TarError;
use super::Member;
use super::header::Header;

/// What the extended headers before an entry say about it.
#[derive(Default)]
pub(super) struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    seen_pax: bool,
}

/// The largest length that the eleven octal digits of a plain header hold.
const PLAIN_SIZE: u64 = 0o77_777_777_777;

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.size.is_none() && !self.seen_pax
    }

    /// Reads an extended header of type `x`, `g`, `L` or `K`.
    pub(super) fn take(&mut self, kind: u8, body: &[u8], entry: u64) -> Result<(), TarError> {
        let refused = || TarError::Extended { entry };
        match kind {
            b'L' => put(&mut self.path, long_name(body).ok_or_else(refused)?).ok_or_else(refused),
            b'K' => put(&mut self.link, long_name(body).ok_or_else(refused)?).ok_or_else(refused),
            b'g' => self.records(body, entry, true),
            _ => {
                if std::mem::replace(&mut self.seen_pax, true) {
                    return Err(refused());
                }
                self.records(body, entry, false)
            }
        }
    }

    fn records(&mut self, body: &[u8], entry: u64, global: bool) -> Result<(), TarError> {
        let refused = || TarError::Extended { entry };
        let mut rest = body;
        while !rest.is_empty() {
            let (keyword, value, after) = record(rest).ok_or_else(refused)?;
            rest = after;
            if keyword.starts_with(b"GNU.sparse.") {
                return Err(TarError::Sparse { entry });
            }
            match keyword {
                // For all entries that follow it could only mislead.
                b"path" | b"linkpath" | b"size" | b"hdrcharset" if global => return Err(refused()),
                b"path" => put(&mut self.path, value.to_vec()).ok_or_else(refused)?,
                b"linkpath" => put(&mut self.link, value.to_vec()).ok_or_else(refused)?,
                b"size" => {
                    put(&mut self.size, decimal(value).ok_or_else(refused)?).ok_or_else(refused)?
                }
                b"hdrcharset" => return Err(refused()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts an entry together with its extended headers.
    pub(super) fn apply(self, header: Header, entry: u64) -> Result<Member, TarError> {
        let size = self.size.unwrap_or(header.size);
        // A second length is needed only where the first has no room for it.
        if size != header.size && size <= PLAIN_SIZE {
            return Err(TarError::Extended { entry });
        }
        Ok(Member {
            path: self.path.unwrap_or(header.path),
            link: self.link.unwrap_or(header.link),
            kind: header.kind,
            size,
        })
    }
}

/// Fills a place once; `None` if it was filled.
fn put<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// A name with NULs behind it, and none within.
fn long_name(body: &[u8]) -> Option<Vec<u8>> {
    let end = body
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(body.len());
    let (name, behind) = body.split_at(end);
    let plain = !name.is_empty() && behind.iter().all(|byte| *byte == 0);
    plain.then(|| name.to_vec())
}

/// `LENGTH KEYWORD=VALUE\n`, where the length is that of the whole record.
fn record(body: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = body.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&body[..space])?).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (keyword, value) = (&record[..equals], &record[equals + 1..]);
    (!keyword.is_empty() && !value.contains(&0)).then_some((keyword, value, rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
