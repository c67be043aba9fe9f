//! Detached OpenPGP signatures, by their shape.
//!
//! A signature is kept and served beside its file, so it has to be what a packager's tools take for
//! one: ASCII armour (RFC 9580, section 6.2) around signature packets (sections 4.2 and 5.2) and
//! nothing else. Whether it is good, and whose it is, is not decided here.

mod armour;
mod packets;

/// Longest signature, in bytes as it is uploaded: what PyPI allowed for as long as it took
/// signatures. One of a 4096-bit RSA key has 830 bytes, one of an Ed25519 key 230.
pub const MAX_SIGNATURE_LEN: usize = 8 * 1024;

/// Most signatures of one file, one after the other. To verify one can cost a hash over all of the
/// file.
pub const MAX_SIGNATURES: usize = 8;

/// A detached signature of a file, in ASCII armour, as it was uploaded.
///
/// ```
/// # use wheelmark_packaging::DetachedSignature;
/// assert!(DetachedSignature::parse(b"-----BEGIN PGP MESSAGE-----").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachedSignature(Vec<u8>);

/// Why bytes are no detached signature in ASCII armour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Longer than [`MAX_SIGNATURE_LEN`].
    #[error("an OpenPGP signature has at most {MAX_SIGNATURE_LEN} bytes")]
    TooLong,
    /// Not armoured text: a binary signature, or something else.
    #[error("it does not begin with `-----BEGIN PGP SIGNATURE-----`")]
    NotArmoured,
    /// Armour around something else.
    #[error("it is a PGP {label}, and not a detached signature")]
    OtherArmour {
        /// What its first line says.
        label: &'static str,
    },
    /// A line between the first one and the blank line is not `Key: value`, or there is no blank
    /// line.
    #[error("line {line} of the armour is neither `Key: value` nor blank")]
    Header {
        /// Which line, counted from 1.
        line: usize,
    },
    /// The armour does not end.
    #[error("it does not end with `-----END PGP SIGNATURE-----`")]
    NotWhole,
    /// Something stands behind the armour.
    #[error("something stands behind `-----END PGP SIGNATURE-----`")]
    Trailing,
    /// What the armour holds is not base64.
    #[error("line {line} of the armour is not base64")]
    Base64 {
        /// The line, counted from 1, or the last one if they do not fit together.
        line: usize,
    },
    /// The armour's checksum is another one.
    #[error("the checksum of the armour is not that of what it holds")]
    Checksum,
    /// What the armour holds is not made of OpenPGP packets.
    #[error("what the armour holds is not a sequence of OpenPGP packets")]
    Packets,
    /// It holds something besides signatures.
    #[error("it holds an OpenPGP packet of type {tag}, and a detached signature has type 2 alone")]
    OtherPacket {
        /// The packet's type.
        tag: u8,
    },
    /// More than [`MAX_SIGNATURES`].
    #[error("it holds more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// A signature, but of a version that is not known.
    #[error("it holds a signature of a version that is not known here")]
    Version,
    /// A signature, but not of a file.
    #[error("it holds a signature of type {kind:#04x}, which is not that of a file")]
    NotOfAFile {
        /// The signature's type.
        kind: u8,
    },
}

impl DetachedSignature {
    /// Takes a signature that is one by its shape.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] for everything else. It tells nothing of the bytes but their kind: people
    /// have sent their private key by mistake.
    pub fn parse(armoured: &[u8]) -> Result<DetachedSignature, SignatureError> {
        if armoured.len() > MAX_SIGNATURE_LEN {
            return Err(SignatureError::TooLong);
        }
        packets::check(&armour::open(armoured)?)?;
        Ok(DetachedSignature(armoured.to_vec()))
    }

    /// The signature, byte for byte as it was uploaded.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl SignatureError {
    /// What an uploader can do about it: one sentence, without a full stop.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::OtherArmour { label } if label.starts_with("PRIVATE") => {
                "nothing of it was kept, but take the key for known to others: revoke it; sign with `gpg --armor --detach-sign FILE`"
            }
            Self::TooLong
            | Self::TooMany
            | Self::NotArmoured
            | Self::OtherArmour { .. }
            | Self::OtherPacket { .. }
            | Self::NotOfAFile { .. } => {
                "make it with `gpg --armor --detach-sign FILE`, which writes FILE.asc"
            }
            Self::Header { .. }
            | Self::NotWhole
            | Self::Trailing
            | Self::Base64 { .. }
            | Self::Checksum
            | Self::Packets => {
                "it was changed after it was made: make it again with `gpg --armor --detach-sign FILE`, and upload FILE.asc as it is"
            }
            Self::Version => "sign with a current version of GnuPG or Sequoia",
        }
    }
}

#[cfg(test)]
mod tests;
