//! The little of DER that is needed.

/// A value with its tag and length.
pub(crate) fn tagged(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = value.len().to_be_bytes();
    let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
    match *length {
        [] => der.push(0),
        [short @ 0..0x80] => der.push(short),
        _ => {
            der.push(0x80 | u8::try_from(length.len()).expect("a length of few bytes"));
            der.extend(&length);
        }
    }
    der.extend(value);
    der
}

/// A `UTF8String`.
pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// An `OCTET STRING`.
pub(crate) fn octets(bytes: &[u8]) -> Vec<u8> {
    tagged(0x04, bytes)
}

/// What is inside of a value, and the whole value with its tag and length, and what follows it.
fn split(der: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let count = usize::from(long & 0x7f);
            let length = der[2..2 + count]
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (2 + count, length)
        }
    };
    let end = header + length;
    (&der[header..end], &der[..end], &der[end..])
}

/// The values inside of a value that has several, each with its tag and length.
pub(crate) fn members(der: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, _, _) = whole(der)?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (_, member, after) = whole(rest)?;
        members.push(member);
        rest = after;
    }
    Some(members)
}

/// As [`split`], of what somebody sent.
fn whole(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let header = match *der {
        [_, 0..0x80, ..] => 2,
        [_, long, ..] if (0x81..=0x84).contains(&long) => 2 + usize::from(long & 0x7f),
        _ => return None,
    };
    if der.len() < header {
        return None;
    }
    let length = match header {
        2 => usize::from(der[1]),
        _ => der[2..header]
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    (der.len() - header >= length).then(|| split(der))
}

/// The part of a certificate that its issuer signs.
pub(crate) fn to_be_signed(certificate: &[u8]) -> &[u8] {
    let (inside, _, _) = split(certificate);
    let (_, signed, _) = split(inside);
    signed
}

#[cfg(test)]
mod tests {
    use super::{octets, split, utf8};

    #[test]
    fn lengths_are_as_short_as_can_be() {
        assert_eq!(utf8("ab"), [0x0c, 2, b'a', b'b']);
        assert_eq!(octets(&[]), [4, 0]);
        assert_eq!(octets(&[7; 200])[..3], [4, 0x81, 200]);
        let long = octets(&[7; 300]);
        assert_eq!(long[..4], [4, 0x82, 1, 44]);
        let (inside, whole, rest) = split(&long);
        assert_eq!((inside.len(), whole.len(), rest.len()), (300, 304, 0));
    }
}
