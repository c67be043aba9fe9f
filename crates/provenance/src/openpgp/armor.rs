//! ASCII armour: OpenPGP data as text (RFC 9580, section 6.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest text or data that is read, in bytes. The public certificates of whole organisations,
/// with the signatures of everybody who ever met them, stay below.
pub const MAX_INPUT_LEN: usize = 1024 * 1024;

/// What a block of certificates says it is.
const LABEL: &str = "PGP PUBLIC KEY BLOCK";

/// Why a text is not the armour of what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// More than [`MAX_INPUT_LEN`].
    #[error("it has {length} bytes, at most {MAX_INPUT_LEN} are read")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A private key. It is not looked at any further.
    #[error("it is a private key, which must not leave its owner")]
    PrivateKey,
    /// A block of another kind.
    #[error("it is a {}, not a {LABEL}", found.escape_debug())]
    Other {
        /// What the block says it is.
        found: String,
    },
    /// No block begins where one should.
    #[error("it does not begin with -----BEGIN {LABEL}-----")]
    NoBeginning,
    /// The block does not end.
    #[error("the line -----END {LABEL}----- is missing")]
    NoEnd,
    /// What stands between beginning and end is no base64.
    #[error("line {line} is not base64")]
    Base64 {
        /// The line's number, from 1 on.
        line: usize,
    },
}

/// The data in a text of one block or several of the same kind, one after the other. Binary data,
/// which no text begins like, is returned as it is.
pub(super) fn read(input: &[u8]) -> Result<Vec<u8>, ArmorError> {
    if input.len() > MAX_INPUT_LEN {
        return Err(ArmorError::TooLong {
            length: input.len(),
        });
    }
    // The first octet of a packet has its highest bit set (section 4.2), that of a text has not.
    if input.first().is_some_and(|first| first & 0x80 != 0) {
        return Ok(input.to_vec());
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return Err(ArmorError::NoBeginning);
    };
    let mut lines = text.lines().map(str::trim).zip(1..);
    let mut data = Vec::new();
    let mut blocks = 0;
    while let Some((line, _)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        demand_beginning(line)?;
        block(&mut lines, &mut data)?;
        blocks += 1;
    }
    if blocks == 0 {
        return Err(ArmorError::NoBeginning);
    }
    Ok(data)
}

fn demand_beginning(line: &str) -> Result<(), ArmorError> {
    let found = line
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_suffix("-----"));
    match found {
        Some(found) if found == LABEL => Ok(()),
        Some(found) if found.contains("PRIVATE KEY") || found.contains("SECRET KEY") => {
            Err(ArmorError::PrivateKey)
        }
        Some(found) => Err(ArmorError::Other {
            found: found.chars().take(64).collect(),
        }),
        None => Err(ArmorError::NoBeginning),
    }
}

/// Reads a block behind its first line, and appends its data.
fn block<'a>(
    lines: &mut impl Iterator<Item = (&'a str, usize)>,
    data: &mut Vec<u8>,
) -> Result<(), ArmorError> {
    let is_end = |line: &str| {
        line.strip_prefix("-----END ")
            .and_then(|rest| rest.strip_suffix("-----"))
            == Some(LABEL)
    };
    // Headers, such as `Comment: …`, end with an empty line. They mean nothing.
    for (line, number) in lines.by_ref() {
        if line.is_empty() {
            break;
        }
        if !line.contains(": ") && !line.ends_with(':') {
            return Err(ArmorError::Base64 { line: number });
        }
    }
    let mut base64 = String::new();
    let mut first = None;
    for (line, number) in lines {
        if is_end(line) {
            let line = first.unwrap_or(number);
            let decoded = STANDARD.decode(&base64);
            data.extend(decoded.map_err(|_| ArmorError::Base64 { line })?);
            return Ok(());
        }
        // The checksum. It finds slips of transport alone; section 6.1 asks that a wrong one be
        // no reason to refuse.
        let is_checksum = line.len() == 5 && line.starts_with('=');
        if is_checksum || line.is_empty() {
            continue;
        }
        if !line
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        {
            return Err(ArmorError::Base64 { line: number });
        }
        first.get_or_insert(number);
        base64.push_str(line);
    }
    Err(ArmorError::NoEnd)
}

/// One block with this data: lines of 64 characters, and a checksum for programs that want one.
pub(super) fn write(data: &[u8]) -> String {
    let base64 = STANDARD.encode(data);
    let mut text = format!("-----BEGIN {LABEL}-----\n\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
    let checksum = STANDARD.encode(&crc24(data).to_be_bytes()[1..]);
    text.push_str(&format!("={checksum}\n-----END {LABEL}-----\n"));
    text
}

/// Section 6.1.1.
fn crc24(data: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce_u32;
    for byte in data {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[u8], ArmorError>) {
        assert_eq!(read(text.as_bytes()), expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn armour_is_read_with_and_without_what_may_be_left_out() {
        check(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\nAQID\n=abcd\n\
             -----END PGP PUBLIC KEY BLOCK-----\n",
            Ok(&[1, 2, 3]),
        );
        check(
            "\r\n-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n\r\nAQID\r\nBA==\r\n\
             -----END PGP PUBLIC KEY BLOCK-----",
            Ok(&[1, 2, 3, 4]),
        );
        let one =
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAQ==\n-----END PGP PUBLIC KEY BLOCK-----\n";
        check(&format!("{one}\n{one}"), Ok(&[1, 1]));
        assert_eq!(
            read(&[0xc6, 1, 2]),
            Ok(vec![0xc6, 1, 2]),
            "binary data is taken as it is"
        );
    }

    #[test]
    fn what_is_no_armour_is_refused_with_the_reason() {
        check("", Err(ArmorError::NoBeginning));
        check("hello", Err(ArmorError::NoBeginning));
        check(
            "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAQ==\n",
            Err(ArmorError::PrivateKey),
        );
        check(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            Err(ArmorError::PrivateKey),
        );
        check(
            "-----BEGIN PGP MESSAGE-----\n",
            Err(ArmorError::Other {
                found: "PGP MESSAGE".to_owned(),
            }),
        );
        check(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAQID\n",
            Err(ArmorError::NoEnd),
        );
        check(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAQI_\n-----END PGP PUBLIC KEY BLOCK-----\n",
            Err(ArmorError::Base64 { line: 3 }),
        );
        check(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAQI\n-----END PGP PUBLIC KEY BLOCK-----\n",
            Err(ArmorError::Base64 { line: 3 }),
        );
        check(
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\nAQID\n-----END PGP PUBLIC KEY BLOCK-----\n",
            Err(ArmorError::Base64 { line: 2 }),
        );
        check(
            &" ".repeat(MAX_INPUT_LEN + 1),
            Err(ArmorError::TooLong {
                length: MAX_INPUT_LEN + 1,
            }),
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for len in [1, 47, 48, 49, 500] {
            let data: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            let text = write(&data);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            assert_eq!(read(text.as_bytes()).unwrap(), data);
        }
    }

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        assert_eq!(crc24(b""), 0x00b7_04ce);
        // The check value of CRC-24/OPENPGP.
        assert_eq!(crc24(b"123456789"), 0x0021_cf02);
    }
}
