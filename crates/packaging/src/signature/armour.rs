//! ASCII armour: what stands between its two lines (RFC 9580, section 6.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::SignatureError;

const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// The longest line of base64 (RFC 9580, section 6.2).
const MAX_LINE_LEN: usize = 76;

/// What else is sent by mistake, as the first line says it.
const OTHERS: [&str; 4] = [
    "MESSAGE",
    "SIGNED MESSAGE",
    "PUBLIC KEY BLOCK",
    "PRIVATE KEY BLOCK",
];

/// The bytes in the armour.
pub(super) fn open(armoured: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let text = str::from_utf8(armoured).map_err(|_| SignatureError::NotArmoured)?;
    let mut lines = text.lines().zip(1..);
    begin(lines.next().map_or("", |(line, _)| line))?;
    loop {
        match lines.next() {
            None => return Err(SignatureError::NotWhole),
            Some((line, _)) if line.trim_ascii().is_empty() => break,
            Some((line, _)) if is_header(line) => {}
            Some((_, line)) => return Err(SignatureError::Header { line }),
        }
    }
    let (mut data, mut checksum) = (String::new(), None);
    let end = loop {
        let (text, line) = lines.next().ok_or(SignatureError::NotWhole)?;
        if text == END {
            break line;
        }
        let malformed = checksum.is_some() || text.is_empty() || text.len() > MAX_LINE_LEN;
        if malformed || !text.bytes().all(is_base64) {
            return Err(SignatureError::Base64 { line });
        }
        match text.strip_prefix('=') {
            Some(sum) => checksum = Some((sum, line)),
            None => data.push_str(text),
        }
    };
    if lines.any(|(line, _)| !line.trim_ascii().is_empty()) {
        return Err(SignatureError::Trailing);
    }
    let at = |line| move |_| SignatureError::Base64 { line };
    let bytes = STANDARD.decode(data).map_err(at(end - 1))?;
    if let Some((sum, line)) = checksum {
        // Its use is over (RFC 9580, section 6.1), but GnuPG takes no armour with a wrong one.
        let stated = STANDARD.decode(sum).map_err(at(line))?;
        if stated != crc24(&bytes) {
            return Err(SignatureError::Checksum);
        }
    }
    Ok(bytes)
}

fn begin(line: &str) -> Result<(), SignatureError> {
    if line == BEGIN {
        return Ok(());
    }
    let label = line.strip_prefix("-----BEGIN PGP ");
    let label = label.and_then(|rest| rest.strip_suffix("-----"));
    match OTHERS.into_iter().find(|other| label == Some(*other)) {
        Some(label) => Err(SignatureError::OtherArmour { label }),
        None => Err(SignatureError::NotArmoured),
    }
}

fn is_header(line: &str) -> bool {
    let key = match line.split_once(": ") {
        Some((key, _)) => key,
        None => line.strip_suffix(':').unwrap_or_default(),
    };
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_key && !line.contains(char::is_control)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// The checksum of armour (RFC 9580, section 6.1.1).
fn crc24(bytes: &[u8]) -> [u8; 3] {
    let mut crc: u32 = 0x00b7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    let [_, high, middle, low] = crc.to_be_bytes();
    [high, middle, low]
}
