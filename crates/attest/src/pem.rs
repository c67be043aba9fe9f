//! Keys and certificates as text (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a certificate is called.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";

/// What a request for one is called.
pub(crate) const REQUEST: &str = "CERTIFICATE REQUEST";

/// Characters of a line (RFC 7468, section 2).
const WIDTH: usize = 64;

pub(crate) fn write(label: &str, bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

/// The one thing that a text holds.
pub(crate) fn read(label: &str, text: &str) -> Option<Vec<u8>> {
    let inside = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let digits: String = inside.split_ascii_whitespace().collect();
    STANDARD.decode(digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let bytes = vec![7; length];
            assert_eq!(read(CERTIFICATE, &write(CERTIFICATE, &bytes)), Some(bytes));
        }
        let two = write(CERTIFICATE, b"a") + &write(CERTIFICATE, b"b");
        for wrong in [
            "",
            "-----BEGIN CERTIFICATE-----\nAQ==",
            &write(REQUEST, b"a"),
            &two,
        ] {
            assert_eq!(read(CERTIFICATE, wrong), None, "{wrong}");
        }
    }
}
