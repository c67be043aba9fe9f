//! The next version of a role, as the bytes that are signed.

use wheelmark_tuf::{Role as _, RoleName, Root, Sha256, Targets, assemble};

/// What a ceremony has signed: the next version of one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    role: RoleName,
    version: u64,
    bytes: Vec<u8>,
    sha256: Sha256,
}

/// The next version of a role, as it is understood.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Root(Box<Root>),
    Targets(Box<Targets>),
}

impl Content {
    pub(crate) fn expires(&self) -> jiff::Timestamp {
        match self {
            Self::Root(root) => root.expires,
            Self::Targets(targets) => targets.expires,
        }
    }
}

impl Payload {
    pub(crate) fn of(role: RoleName, content: &Content) -> Payload {
        let (version, bytes) = match content {
            Content::Root(root) => (root.version, root.to_canonical()),
            Content::Targets(targets) => (targets.version, targets.to_canonical()),
        };
        let sha256 = Sha256::of(&bytes);
        Payload {
            role,
            version,
            bytes,
            sha256,
        }
    }

    /// Whose next version it is.
    pub fn role(&self) -> &RoleName {
        &self.role
    }

    /// Which version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The bytes that are signed: canonical JSON.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest of the bytes.
    pub fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    /// The name under which it travels: that of the metadata file that it will become.
    pub fn file_name(&self) -> String {
        self.role.versioned_file_name(self.version)
    }

    /// The metadata file without a signature, for people and other tools to look at.
    pub fn unsigned_file(&self) -> Vec<u8> {
        assemble(&self.bytes, &[])
    }
}
