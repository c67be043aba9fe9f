//! The certificates of a project, as they are kept, signed and served.

use wheelmark_packaging::simple::MAX_CERTIFICATES_LEN;

use super::armor::{self, ArmorError};
use super::certificate::{Certificate, CertificateError};
use super::fingerprint::Fingerprint;
use super::packet::{self, PacketError};

/// Most certificates of one project. The release managers of the largest projects are some ten.
pub const MAX_CERTIFICATES: usize = 32;

/// The certificates of a project, sorted by fingerprint, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates(Vec<Certificate>);

/// What came of adding certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addition {
    /// Those that were not there.
    pub new: Vec<Fingerprint>,
    /// Those that were there, and say more now: another term, another subkey, a revocation.
    pub updated: Vec<Fingerprint>,
    /// Those that were there, with all that they say.
    pub known: Vec<Fingerprint>,
}

/// Why data is not the certificates of a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificatesError {
    /// It is no armour.
    #[error(transparent)]
    Armor(#[from] ArmorError),
    /// It is no OpenPGP data.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// It is no public certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is none in it.
    #[error("there is no certificate in it")]
    None,
    /// More than [`MAX_CERTIFICATES`].
    #[error("there are {count} certificates, a project has {MAX_CERTIFICATES} at most")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// More than [`MAX_CERTIFICATES_LEN`].
    #[error(
        "the certificates have {length} bytes as text, at most {MAX_CERTIFICATES_LEN} are kept"
    )]
    TooLong {
        /// The length of the armoured text, in bytes.
        length: usize,
    },
}

impl CertificatesError {
    /// Whether somebody's private key was given.
    pub fn is_private_key(&self) -> bool {
        matches!(
            self,
            Self::Armor(ArmorError::PrivateKey) | Self::Certificate(CertificateError::PrivateKey)
        )
    }
}

impl Certificates {
    /// Reads certificates as people export them: armoured, in one block or several, or binary.
    ///
    /// Strict in one thing above all: a private key is refused wherever it stands. What is signed
    /// in the certificates is not verified.
    ///
    /// # Errors
    ///
    /// [`CertificatesError`] for everything that is not one public certificate at least.
    pub fn parse(input: &[u8]) -> Result<Self, CertificatesError> {
        let data = armor::read(input)?;
        let mut certificates = Self::default();
        for certificate in Certificate::read_all(&packet::split(&data)?)? {
            certificates.insert(certificate);
        }
        if certificates.0.is_empty() {
            return Err(CertificatesError::None);
        }
        Ok(certificates)
    }

    /// Adds certificates. One that is there takes over what the other copy says more, and loses
    /// nothing.
    pub fn add(&mut self, others: Self) -> Addition {
        let mut addition = Addition::default();
        for certificate in others.0 {
            let fingerprint = certificate.fingerprint().clone();
            match self.insert(certificate) {
                Inserted::New => addition.new.push(fingerprint),
                Inserted::More => addition.updated.push(fingerprint),
                Inserted::Same => addition.known.push(fingerprint),
            }
        }
        addition
    }

    /// Takes a certificate away; whether it was there.
    pub fn remove(&mut self, fingerprint: &Fingerprint) -> bool {
        let before = self.0.len();
        self.0
            .retain(|certificate| certificate.fingerprint() != fingerprint);
        self.0.len() < before
    }

    /// The certificates, sorted by fingerprint.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Certificate> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one form in which they are kept: one armoured block. The same certificates with the
    /// same signatures in the same order give the same bytes.
    ///
    /// # Errors
    ///
    /// [`CertificatesError::TooMany`] and [`CertificatesError::TooLong`], beyond what a project
    /// can have; [`CertificatesError::None`] where there is none.
    pub fn to_armor(&self) -> Result<String, CertificatesError> {
        match self.0.len() {
            0 => return Err(CertificatesError::None),
            count if count > MAX_CERTIFICATES => return Err(CertificatesError::TooMany { count }),
            _ => {}
        }
        let text = armor::write(&self.to_bytes());
        if text.len() > MAX_CERTIFICATES_LEN {
            let length = text.len();
            return Err(CertificatesError::TooLong { length });
        }
        Ok(text)
    }

    /// Reads what [`Certificates::to_armor`] wrote, and nothing else: `None` for anything that is
    /// not that form, byte for byte.
    pub fn from_armor(text: &str) -> Option<Self> {
        let certificates = Self::parse(text.as_bytes()).ok()?;
        (certificates.to_armor().ok()? == text).then_some(certificates)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for certificate in &self.0 {
            certificate.write(&mut data);
        }
        data
    }

    fn insert(&mut self, certificate: Certificate) -> Inserted {
        let place = self
            .0
            .binary_search_by(|known| known.fingerprint().cmp(certificate.fingerprint()));
        match place {
            Ok(at) if self.0[at].merge(&certificate) => Inserted::More,
            Ok(_) => Inserted::Same,
            Err(at) => {
                self.0.insert(at, certificate);
                Inserted::New
            }
        }
    }
}

enum Inserted {
    New,
    More,
    Same,
}

#[cfg(test)]
mod tests;
