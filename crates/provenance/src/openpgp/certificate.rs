//! One certificate: a public key, who it says it belongs to, its subkeys, and what is signed about
//! all of them (RFC 9580, section 10.1).

use super::fingerprint::Fingerprint;
use super::packet::{self, Packet, Tag};

/// Longest name that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// A public certificate. Only its frame is known to be in order: what is signed in it is not
/// verified here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    fingerprint: Fingerprint,
    primary: Component,
    /// User ids and user attributes, which come before the subkeys.
    users: Vec<Component>,
    subkeys: Vec<Component>,
}

/// A part of a certificate, and the signatures that follow on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Component {
    tag: Tag,
    body: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

/// Why packets are no public certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A private key, wherever in the data. It must not be published, nor kept.
    #[error("it holds a private key, which must not leave its owner")]
    PrivateKey,
    /// The first packet is no public key.
    #[error("it does not begin with a public key")]
    NoKey,
    /// A key of a version other than 4 and 6.
    #[error("it has a key of version {version}; those of version 4 and 6 are taken (RFC 9580)")]
    Version {
        /// The version.
        version: u8,
    },
    /// A key without a version, or too long for a fingerprint.
    #[error("it has a key that cannot be read")]
    Key,
    /// A packet that has no place in a certificate.
    #[error("it has a packet of type {tag}, which has no place in a certificate")]
    Foreign {
        /// The packet's type.
        tag: u8,
    },
}

impl Component {
    fn new(packet: Packet<'_>) -> Self {
        Self {
            tag: packet.tag,
            body: packet.body.to_vec(),
            signatures: Vec::new(),
        }
    }

    /// Puts a component at the end, where signatures come to it: the one that is there already,
    /// if it is said twice, so that each stands once however it was put together.
    fn begin(components: &mut Vec<Self>, packet: Packet<'_>) {
        let same = |known: &Self| known.tag == packet.tag && known.body == packet.body;
        let component = match components.iter().position(same) {
            Some(at) => components.remove(at),
            None => Self::new(packet),
        };
        components.push(component);
    }

    /// Takes over the signatures that another copy has, and it has not.
    fn merge(&mut self, other: &Self) -> bool {
        let mut more = false;
        for signature in &other.signatures {
            if !self.signatures.contains(signature) {
                self.signatures.push(signature.clone());
                more = true;
            }
        }
        more
    }

    fn write(&self, to: &mut Vec<u8>) {
        packet::write(self.tag, &self.body, to);
        for signature in &self.signatures {
            packet::write(Tag::Signature, signature, to);
        }
    }
}

impl Certificate {
    /// Reads the certificates in packets, in their order. What has no meaning for others (GnuPG's
    /// notes about trust) is left out.
    pub(super) fn read_all(packets: &[Packet<'_>]) -> Result<Vec<Self>, CertificateError> {
        // Before anything else is said of it: this is what people have to know.
        if packets.iter().any(|packet| packet.tag == Tag::Secret) {
            return Err(CertificateError::PrivateKey);
        }
        let mut certificates: Vec<Self> = Vec::new();
        for packet in packets {
            match (packet.tag, certificates.last_mut()) {
                (Tag::Passing, _) => {}
                (Tag::PublicKey, _) => certificates.push(Self::new(*packet)?),
                (Tag::Other(tag), _) => return Err(CertificateError::Foreign { tag }),
                (_, None) => return Err(CertificateError::NoKey),
                (_, Some(certificate)) => certificate.push(*packet),
            }
        }
        Ok(certificates)
    }

    fn new(packet: Packet<'_>) -> Result<Self, CertificateError> {
        let fingerprint = match (Fingerprint::of_key(packet.body), packet.body.first()) {
            (Some(fingerprint), _) => fingerprint,
            (None, Some(&version)) if !matches!(version, 4 | 6) => {
                return Err(CertificateError::Version { version });
            }
            (None, _) => return Err(CertificateError::Key),
        };
        Ok(Self {
            fingerprint,
            primary: Component::new(packet),
            users: Vec::new(),
            subkeys: Vec::new(),
        })
    }

    /// Takes a packet that follows on the primary key.
    fn push(&mut self, packet: Packet<'_>) {
        match packet.tag {
            Tag::UserId | Tag::UserAttribute => Component::begin(&mut self.users, packet),
            Tag::PublicSubkey => Component::begin(&mut self.subkeys, packet),
            Tag::Signature => {
                // On the subkeys follow no more user ids.
                let last = self.subkeys.last_mut().or(self.users.last_mut());
                let on = last.unwrap_or(&mut self.primary);
                let signature = packet.body.to_vec();
                if !on.signatures.contains(&signature) {
                    on.signatures.push(signature);
                }
            }
            Tag::PublicKey | Tag::Secret | Tag::Passing | Tag::Other(_) => {}
        }
    }

    /// Takes over what another copy of the same certificate says and it does not; whether there
    /// was anything. Nothing is taken away: what was revoked stays so.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        let mut more = self.primary.merge(&other.primary);
        for (own, others) in [
            (&mut self.users, &other.users),
            (&mut self.subkeys, &other.subkeys),
        ] {
            for component in others {
                let same = own
                    .iter_mut()
                    .find(|own| own.tag == component.tag && own.body == component.body);
                more |= match same {
                    Some(same) => same.merge(component),
                    None => {
                        own.push(component.clone());
                        true
                    }
                };
            }
        }
        more
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        self.primary.write(to);
        for component in self.users.iter().chain(&self.subkeys) {
            component.write(to);
        }
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Who it says it belongs to, as it can be shown: without control characters, and not without
    /// end. Nobody has verified it.
    pub fn user_ids(&self) -> impl Iterator<Item = String> {
        let ids = self.users.iter().filter(|user| user.tag == Tag::UserId);
        ids.map(|id| {
            let text = String::from_utf8_lossy(&id.body);
            let shown = text.chars().filter(|char| !char.is_control());
            shown.take(MAX_SHOWN).collect()
        })
    }
}
