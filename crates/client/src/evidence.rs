//! Who attests to a file: its provenance, fetched, bound to the page, and verified.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::PageFile;
use wheelmark_packaging::{DistributionFilename, ProjectName};
use wheelmark_provenance::policy::Attested;
use wheelmark_provenance::{
    Identity, MAX_PROVENANCE_LEN, Provenance, TrustedRoots, verify_provenance,
};
use wheelmark_tuf::Sha256;

use crate::file::digest;
use crate::index::Location;
use crate::page::demand;
use crate::reader::Reader;
use crate::refusal::{Failure, with_causes};
use crate::sources::Wanted;

/// Verifications kept; beyond it the memory starts anew.
const KEPT: usize = 1024;

/// Who attests to a file.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// The page names no provenance of it.
    None,
    /// It has provenance, which does not hold, for this reason.
    Refused(String),
    /// These do, each by a verified attestation; there is one at least.
    By(Vec<Identity>),
}

impl Evidence {
    pub(crate) fn as_fact(&self) -> Attested<'_> {
        match self {
            Self::By(identities) => Attested::By(identities),
            Self::None | Self::Refused(_) => Attested::Nobody(self.why()),
        }
    }

    /// Why nobody attests to it, where nobody does.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::None => "its page names no provenance".to_owned(),
            Self::Refused(why) => format!("its provenance does not hold: {why}"),
            Self::By(_) => String::new(),
        }
    }

    /// Who attests to it.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        match self {
            Self::By(identities) => identities,
            Self::None | Self::Refused(_) => &[],
        }
    }
}

/// Verifies provenance, each file's once.
#[derive(Debug)]
pub(crate) struct Witness {
    roots: TrustedRoots,
    known: Mutex<HashMap<(String, Sha256, Sha256), Evidence>>,
}

impl Witness {
    pub(crate) fn new(roots: TrustedRoots) -> Self {
        Self {
            roots,
            known: Mutex::default(),
        }
    }

    /// Who attests to a file with this digest, by its provenance.
    pub(crate) fn hear(
        &self,
        file: &DistributionFilename,
        entry: &PageFile,
        provenance: &Bytes,
        now: Timestamp,
    ) -> Evidence {
        let Some(sha256) = entry.sha256() else {
            return Evidence::Refused("its page lists no sha256 for the file".to_owned());
        };
        let key = (
            file.as_str().to_owned(),
            digest(sha256),
            Sha256::of(provenance),
        );
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(evidence) = known().get(&key) {
            return evidence.clone();
        }
        let parsed = match Provenance::parse(provenance) {
            Ok(parsed) => parsed,
            Err(error) => return Evidence::Refused(with_causes(&error)),
        };
        let evidence = match verify_provenance(file, &sha256, &parsed, &self.roots, now) {
            Ok(verified) => {
                let each = verified.iter().map(|attested| attested.identity().clone());
                Evidence::By(each.collect())
            }
            Err(refusal) => Evidence::Refused(with_causes(&refusal)),
        };
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, evidence.clone());
        evidence
    }
}

impl Reader {
    /// The provenance of a file, as its page binds it; `None` when the page names none. Of an index
    /// that is not signed it is what stands at the URL that the page names.
    pub(crate) async fn provenance(
        &self,
        project: &ProjectName,
        entry: &PageFile,
    ) -> Result<Option<Bytes>, Failure> {
        let filename = entry.filename.as_str();
        let limit = MAX_PROVENANCE_LEN;
        if !self.index.is_signed() {
            let Some(said) = &entry.provenance else {
                return Ok(None);
            };
            let url = self.place(said)?;
            let bytes = self.sources.remote().get(&url, limit as u64).await?;
            return bytes.map(Some).ok_or(Failure::Missing);
        }
        let marks = entry.wheelmark.as_ref();
        let Some(sha256) = marks.and_then(|marks| marks.provenance_sha256).map(digest) else {
            return Ok(None);
        };
        let location = Location::Object(ObjectPath::provenance(project, &sha256, filename)?);
        let what = format!("the provenance of {filename}");
        let wanted = Wanted::CoreMetadata {
            limit: limit as u64,
        };
        let fetching = self.sources.object(what, &location, wanted, |bytes| {
            demand(&bytes, &sha256)?;
            Ok(bytes)
        });
        fetching.await.map(Some)
    }
}
