//! When a certificate expires (RFC 5280 §4.1.2.5), read for a warning and a figure: who connects
//! checks it for himself.

use jiff::Timestamp;
use jiff::civil::DateTime;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`, which the version stands in.
const VERSION: u8 = 0xa0;

/// The end of the certificate's validity; none if the bytes are not of that form.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = value(certificate, SEQUENCE)?;
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        (_, fields) = value(fields, VERSION)?;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        (_, fields) = value(fields, *fields.first()?)?;
    }
    let (validity, _) = value(fields, SEQUENCE)?;
    let (_, after) = value(validity, *validity.first()?)?;
    let kind = *after.first()?;
    let (text, _) = value(after, kind)?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = match kind {
        // Two digits of the year: 50 to 99 are of the last century (RFC 5280 §4.1.2.5.1).
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The value at the beginning of `bytes`, which has to be of this kind, and what stands behind it.
fn value(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    if *found != kind {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (len, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        let len = digits
            .iter()
            .fold(0_usize, |len, digit| (len << 8) | usize::from(*digit));
        (len, rest)
    };
    rest.split_at_checked(len)
}
