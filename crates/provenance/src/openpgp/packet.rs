//! Packets: the units that OpenPGP data consists of (RFC 9580, section 4).

/// Most packets of one input. A certificate with a thousand foreign signatures has fewer.
pub const MAX_PACKETS: usize = 4096;

/// One packet, its body not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) tag: Tag,
    pub(super) body: &'a [u8],
}

/// What a packet is (section 5), as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Tag {
    Signature,
    PublicKey,
    PublicSubkey,
    UserId,
    UserAttribute,
    /// A private key or subkey.
    Secret,
    /// Of no meaning for others: markers, padding, and GnuPG's own notes about trust.
    Passing,
    Other(u8),
}

impl Tag {
    fn of(number: u8) -> Self {
        match number {
            2 => Self::Signature,
            5 | 7 => Self::Secret,
            6 => Self::PublicKey,
            10 | 12 | 21 => Self::Passing,
            13 => Self::UserId,
            14 => Self::PublicSubkey,
            17 => Self::UserAttribute,
            other => Self::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Signature => 2,
            Self::PublicKey => 6,
            Self::UserId => 13,
            Self::PublicSubkey => 14,
            Self::UserAttribute => 17,
            Self::Secret => 5,
            Self::Passing => 21,
            Self::Other(number) => number,
        }
    }
}

/// Why bytes are no sequence of packets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// No packet begins here.
    #[error("there is no OpenPGP packet at byte {at}")]
    NoPacket {
        /// Where, from 0 on.
        at: usize,
    },
    /// A packet that says it is longer than what is there.
    #[error("the OpenPGP packet at byte {at} is cut off")]
    CutOff {
        /// Where it begins.
        at: usize,
    },
    /// A length that is not told in advance, which these packets may not have.
    #[error("the OpenPGP packet at byte {at} does not say how long it is")]
    OpenEnded {
        /// Where it begins.
        at: usize,
    },
    /// More than [`MAX_PACKETS`].
    #[error("there are more than {MAX_PACKETS} OpenPGP packets")]
    TooMany,
}

/// Takes data apart into its packets.
pub(super) fn split(data: &[u8]) -> Result<Vec<Packet<'_>>, PacketError> {
    let mut packets = Vec::new();
    let mut at = 0;
    while at < data.len() {
        if packets.len() >= MAX_PACKETS {
            return Err(PacketError::TooMany);
        }
        let mut octets = Octets(&data[at + 1..]);
        let (number, len) = match data[at] {
            // The form of RFC 1991, which GnuPG still writes: the type of the length is in the
            // octet.
            first @ 0x80..=0xbf => (
                first >> 2 & 0x0f,
                old_length(first & 0x03, &mut octets, at)?,
            ),
            first @ 0xc0..=0xff => (first & 0x3f, new_length(&mut octets, at)?),
            _ => return Err(PacketError::NoPacket { at }),
        };
        let body = octets.take(len).ok_or(PacketError::CutOff { at })?;
        packets.push(Packet {
            tag: Tag::of(number),
            body,
        });
        at = data.len() - octets.0.len();
    }
    Ok(packets)
}

/// Section 4.2.2.
fn old_length(kind: u8, octets: &mut Octets<'_>, at: usize) -> Result<usize, PacketError> {
    let count = match kind {
        0 => 1,
        1 => 2,
        2 => 4,
        _ => return Err(PacketError::OpenEnded { at }),
    };
    octets.number(count).ok_or(PacketError::CutOff { at })
}

/// Section 4.2.1.
fn new_length(octets: &mut Octets<'_>, at: usize) -> Result<usize, PacketError> {
    let cut_off = PacketError::CutOff { at };
    let first = octets.number(1).ok_or(cut_off.clone())?;
    match first {
        0..192 => Ok(first),
        192..224 => {
            let second = octets.number(1).ok_or(cut_off)?;
            Ok(((first - 192) << 8) + second + 192)
        }
        255 => octets.number(4).ok_or(cut_off),
        _ => Err(PacketError::OpenEnded { at }),
    }
}

/// Appends a packet, in the form of today.
pub(super) fn write(tag: Tag, body: &[u8], to: &mut Vec<u8>) {
    to.push(0xc0 | tag.number());
    match u32::try_from(body.len()).unwrap_or(u32::MAX) {
        len @ 0..192 => to.push(len as u8),
        len @ 192..8384 => {
            let rest = len - 192;
            to.extend([(rest >> 8) as u8 + 192, rest as u8]);
        }
        len => {
            to.push(255);
            to.extend(len.to_be_bytes());
        }
    }
    to.extend(body);
}

/// What is left of the data.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, count: usize) -> Option<usize> {
        let octets = self.take(count)?.iter();
        Some(octets.fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_packets_are_read() {
        let one = |tag, body| vec![Packet { tag, body }];
        let cases: [(&[u8], Vec<Packet<'_>>); 7] = [
            (&[], vec![]),
            (&[0xc6, 2, 1, 2], one(Tag::PublicKey, &[1, 2])),
            (&[0x98, 2, 1, 2], one(Tag::PublicKey, &[1, 2])),
            (&[0x99, 0, 2, 1, 2], one(Tag::PublicKey, &[1, 2])),
            (&[0x9a, 0, 0, 0, 1, 9], one(Tag::PublicKey, &[9])),
            (&[0xc2, 255, 0, 0, 0, 1, 9], one(Tag::Signature, &[9])),
            (
                &[0x95, 0, 0, 0xc7, 0],
                [one(Tag::Secret, &[]), one(Tag::Secret, &[])].concat(),
            ),
        ];
        for (data, expected) in cases {
            assert_eq!(split(data).unwrap(), expected, "{data:x?}");
        }
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let cases: [(&[u8], PacketError); 8] = [
            (&[0x00], PacketError::NoPacket { at: 0 }),
            (&[0xc6, 0, 0x41], PacketError::NoPacket { at: 2 }),
            (&[0xc6], PacketError::CutOff { at: 0 }),
            (&[0xc6, 2, 1], PacketError::CutOff { at: 0 }),
            (&[0xc6, 0, 0xc6, 200], PacketError::CutOff { at: 2 }),
            (
                &[0xc6, 255, 255, 255, 255, 255, 1],
                PacketError::CutOff { at: 0 },
            ),
            (&[0x9b, 1, 2], PacketError::OpenEnded { at: 0 }),
            (&[0xc6, 224, 1], PacketError::OpenEnded { at: 0 }),
        ];
        for (data, expected) in cases {
            assert_eq!(split(data), Err(expected), "{data:x?}");
        }
        assert_eq!(
            split(&[0xca, 0].repeat(MAX_PACKETS)).unwrap().len(),
            MAX_PACKETS
        );
        assert_eq!(
            split(&[0xca, 0].repeat(MAX_PACKETS + 1)),
            Err(PacketError::TooMany)
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for len in [0, 1, 191, 192, 8383, 8384, 70_000] {
            let body = vec![7; len];
            let mut data = Vec::new();
            write(Tag::UserId, &body, &mut data);
            let packet = Packet {
                tag: Tag::UserId,
                body: &body,
            };
            assert_eq!(split(&data).unwrap(), [packet], "{len}");
        }
    }
}
