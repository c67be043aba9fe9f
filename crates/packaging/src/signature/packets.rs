//! OpenPGP packets, as far as it takes to see that all of them are signatures of a file.

use super::{MAX_SIGNATURES, SignatureError};

/// The type of a signature packet (RFC 9580, section 5).
const SIGNATURE: u8 = 2;

/// Signatures of a file, as bytes or as text (RFC 9580, section 5.2.1.1 and 5.2.1.2).
const OF_A_FILE: [u8; 2] = [0x00, 0x01];

/// Checks that there is one packet at least, and that each is the signature of a file.
pub(super) fn check(mut bytes: &[u8]) -> Result<(), SignatureError> {
    let mut count = 0;
    loop {
        count += 1;
        if count > MAX_SIGNATURES {
            return Err(SignatureError::TooMany);
        }
        let (tag, body, rest) = split(bytes).ok_or(SignatureError::Packets)?;
        if tag != SIGNATURE {
            return Err(SignatureError::OtherPacket { tag });
        }
        let kind = match *body {
            // Version 3 says first how long what is hashed is: five bytes.
            [3, 5, kind, ..] | [4 | 6, kind, ..] => kind,
            _ => return Err(SignatureError::Version),
        };
        if !OF_A_FILE.contains(&kind) {
            return Err(SignatureError::NotOfAFile { kind });
        }
        if rest.is_empty() {
            return Ok(());
        }
        bytes = rest;
    }
}

/// The type and the body of the first packet, and what comes behind it; none if it has no
/// certain length, or is not all there (RFC 9580, section 4.2).
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (tag, length, rest) = match first {
        0..=0x7f => return None,
        0x80..=0xbf => {
            let (length, rest) = match first & 0b11 {
                0 => number(rest, 1)?,
                1 => number(rest, 2)?,
                2 => number(rest, 4)?,
                _ => return None,
            };
            ((first >> 2) & 0b1111, length, rest)
        }
        0xc0..=0xff => {
            let (length, rest) = match *rest.first()? {
                0..=191 => number(rest, 1)?,
                192..=223 => {
                    let (two, rest) = number(rest, 2)?;
                    (two - (192 << 8) + 192, rest)
                }
                224..=254 => return None,
                255 => number(&rest[1..], 4)?,
            };
            (first & 0b11_1111, length, rest)
        }
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((tag, body, rest))
}

/// The number in the first `len` bytes, and what comes behind them.
fn number(bytes: &[u8], len: usize) -> Option<(usize, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(len)?;
    let number = digits
        .iter()
        .fold(0_usize, |number, digit| number << 8 | usize::from(*digit));
    Some((number, rest))
}
