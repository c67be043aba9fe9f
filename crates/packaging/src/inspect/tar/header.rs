//! One 512-byte header.

/// Length of a header, and what everything is padded to.
pub(super) const BLOCK: usize = 512;

/// The magic and version numbers of the formats.
const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";
const OLDEST: &[u8] = &[0; 8];

/// The fields that matter here.
pub(super) struct Header {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    pub(super) kind: u8,
}

impl Header {
    /// `None` if the checksum is wrong, a number is malformed, the format is unknown, a name goes
    /// on behind a NUL, or the prefix of the path or an extended header is one for some readers
    /// only.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Option<Header> {
        if !has_checksum(block) {
            return None;
        }
        let kind = block[156];
        let mut path = Vec::new();
        let prefix = &block[345..500];
        match &block[257..265] {
            USTAR => {
                let prefix = text(prefix)?;
                if !prefix.is_empty() {
                    path.extend_from_slice(prefix);
                    path.push(b'/');
                }
            }
            // Here these bytes are other things, or nothing; some readers do not look.
            _ if prefix.iter().any(|byte| *byte != 0) && kind != b'S' => return None,
            GNU => {}
            // In the oldest format there are no extended headers. Readers differ in whether one
            // is read as such all the same.
            OLDEST if !matches!(kind, b'x' | b'g' | b'L' | b'K' | b'S') => {}
            _ => return None,
        }
        path.extend_from_slice(text(&block[..100])?);
        Some(Header {
            path,
            link: text(&block[157..257])?.to_vec(),
            size: number(&block[124..136])?,
            kind,
        })
    }
}

/// Whether the block has the right checksum, which is all that some readers ask of a header.
pub(super) fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
    octal(&block[148..156]) == Some(sum - own + 8 * u64::from(b' '))
}

/// Up to the first NUL, behind which there may be more of them and nothing else: some readers
/// would take the whole field.
fn text(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|byte| *byte == 0);
    let (text, behind) = field.split_at(end.unwrap_or(field.len()));
    behind.iter().all(|byte| *byte == 0).then_some(text)
}

/// Octal digits, or, if the first bit is set, a big-endian number (GNU).
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first != 0x80 {
        return octal(field);
    }
    let (high, low) = rest.split_last_chunk::<8>()?;
    high.iter()
        .all(|byte| *byte == 0)
        .then(|| u64::from_be_bytes(*low))
}

/// Octal digits with spaces before and spaces or NULs behind; nothing at all is zero.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| matches!(byte, b' ' | 0))
        .unwrap_or(digits.len());
    let (digits, behind) = digits.split_at(end);
    if !behind.iter().all(|byte| matches!(byte, b' ' | 0)) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| match byte {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}
