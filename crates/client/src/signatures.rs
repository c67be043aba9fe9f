//! Whose OpenPGP signature a file has: fetched, and held against the certificates that a policy names.
//!
//! ```text
//! page ─▶ signature ─┐
//! page ─▶ the file ──┼▶ sequoia ─▶ the certificates that made it, of those that are asked for
//! certificates ──────┘
//! ```
//!
//! A policy names certificates by their fingerprints. The certificates themselves come from the person
//! and from the index, where a project registers them: a fingerprint is enough to know the right one. What
//! an index leaves out, as a revocation, nobody sees who does not have it.
//!
//! A signature is over the whole file, so the file is fetched for it, and once more for the installer.
//! That both are the same bytes follows from the page, which names their digest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use wheelmark_objects::ObjectPath;
use wheelmark_packaging::simple::{MAX_CERTIFICATES_LEN, PageFile};
use wheelmark_packaging::{DetachedSignature, MAX_SIGNATURE_LEN, ProjectName};
use wheelmark_provenance::openpgp::{Certificates, Fingerprint};
use wheelmark_provenance::policy::SignedBy;
use wheelmark_tuf::Sha256;

use crate::file::digest;
use crate::index::Location;
use crate::page::{VerifiedPage, demand};
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, with_causes};
use crate::sources::Wanted;

/// Verifications kept; beyond it the memory starts anew.
const KEPT: usize = 1024;

/// What was verified: the file, the signature, and whose it had to be.
type Question = (Sha256, Sha256, Vec<Vec<Fingerprint>>);

/// Verifies signatures, each file's once.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    certificates: Certificates,
    known: Mutex<HashMap<Question, SignedBy>>,
}

impl Signatures {
    /// With the certificates that the person has.
    pub(crate) fn knowing(certificates: Certificates) -> Self {
        Self {
            certificates,
            known: Mutex::default(),
        }
    }

    /// Which of the certificates that are asked for signed a file. Each of `asked` is a list of which
    /// one has to have.
    pub(crate) async fn of(
        &self,
        reader: &Reader,
        page: &VerifiedPage,
        entry: &PageFile,
        asked: &[&[Fingerprint]],
        now: Timestamp,
    ) -> Result<SignedBy, Failure> {
        let project = &page.page().name;
        let nobody = |why: &str| Ok(SignedBy::Nobody(why.to_owned()));
        let Some(sha256) = entry.sha256().map(digest) else {
            return nobody("its page lists no sha256 for the file");
        };
        let Some(bytes) = reader.signature_of(project, entry).await? else {
            return nobody("there is none beside it");
        };
        let lists: Vec<Vec<Fingerprint>> = asked.iter().map(|list| list.to_vec()).collect();
        let question = (sha256, Sha256::of(&bytes), lists);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&question) {
            return Ok(answer.clone());
        }
        let signature = match DetachedSignature::parse(&bytes) {
            Ok(signature) => signature,
            Err(error) => return Ok(SignedBy::Nobody(with_causes(&error))),
        };
        let mut lists = Vec::new();
        for list in asked {
            let certificates = self.certificates_of(reader, page, list).await?;
            // Whether one of these signed it, nobody here can say; the file is refused in any case.
            if certificates.is_empty() {
                return nobody(
                    "none of their certificates is known here: `openpgp-certificates` in \
                     wheelmark.toml names files with them",
                );
            }
            lists.push(certificates);
        }
        let file = fetch(reader, project, entry, &sha256).await?;
        let answer = judge(signature, lists, file, now).await?;
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(question, answer.clone());
        Ok(answer)
    }

    /// The certificates with these fingerprints: the person's, and what the copies say besides that the
    /// project registered at the index, as a revocation or a longer term. An index can leave such a thing
    /// out, and make none up: it is the certificate's owner who signs it.
    async fn certificates_of(
        &self,
        reader: &Reader,
        page: &VerifiedPage,
        asked: &[Fingerprint],
    ) -> Result<Certificates, Failure> {
        let mut found = only(self.certificates.clone(), asked);
        match reader.registered_certificates(page).await {
            Ok(Some(registered)) => drop(found.add(only(registered, asked))),
            Ok(None) => {}
            // Whoever has them all can go on without.
            Err(failure) if found.iter().len() < asked.len() => return Err(failure),
            Err(failure) => {
                tracing::warn!(%failure, "the project's own OpenPGP certificates are not to be had");
            }
        }
        Ok(found)
    }
}

/// Those of the certificates that have one of these fingerprints.
fn only(mut certificates: Certificates, asked: &[Fingerprint]) -> Certificates {
    let others: Vec<Fingerprint> = certificates
        .iter()
        .map(|one| one.fingerprint().clone())
        .filter(|one| !asked.contains(one))
        .collect();
    for other in &others {
        certificates.remove(other);
    }
    certificates
}

/// The bytes of a file, where its signature is looked at.
#[derive(Debug)]
enum Fetched {
    Whole(Bytes),
    /// Without a name, so that nothing of it is left.
    Spooled(std::fs::File),
}

/// Fetches a file whole, verified by its page.
async fn fetch(
    reader: &Reader,
    project: &ProjectName,
    entry: &PageFile,
    sha256: &Sha256,
) -> Result<Fetched, Failure> {
    use std::io::Write as _;

    use futures::StreamExt as _;

    use crate::file::Content;

    let signed = reader.signed_file(project, entry.filename.as_str()).await;
    let signed = signed.map_err(needed)?.ok_or(Failure::Missing)?;
    // The page may be a newer one by now.
    if signed.sha256() != sha256 {
        return Err(Failure::Missing);
    }
    let mut pieces = match reader.content(&signed, None).await.map_err(needed)? {
        Content::Whole(bytes) => return Ok(Fetched::Whole(bytes)),
        Content::Pieces(pieces) => pieces,
    };
    let spooling = |error| Failure::Spool(error);
    let mut file = tempfile::tempfile_in(reader.index().directory()).map_err(spooling)?;
    while let Some(piece) = pieces.next().await {
        file.write_all(&piece.map_err(needed)?).map_err(spooling)?;
    }
    Ok(Fetched::Spooled(file))
}

fn needed(refusal: Arc<Refusal>) -> Failure {
    Failure::Needed(refusal)
}

/// Which of the certificates made a signature over a file.
#[cfg(feature = "openpgp")]
async fn judge(
    signature: DetachedSignature,
    lists: Vec<Certificates>,
    file: Fetched,
    now: Timestamp,
) -> Result<SignedBy, Failure> {
    use std::io::{Cursor, Read, Seek as _};

    use wheelmark_provenance::openpgp::{Verdict, verify};

    let judging = move || -> std::io::Result<SignedBy> {
        let (mut by, mut why) = (Vec::new(), Vec::new());
        for certificates in &lists {
            let content: Box<dyn Read + Send + Sync> = match &file {
                Fetched::Whole(bytes) => Box::new(Cursor::new(bytes.clone())),
                Fetched::Spooled(file) => {
                    let mut file = file.try_clone()?;
                    file.rewind()?;
                    Box::new(file)
                }
            };
            match verify(&signature, certificates, content, now)? {
                Verdict::Good { certificate, .. } => by.push(certificate),
                Verdict::Refused(flaw) => why.push(flaw.to_string()),
            }
        }
        Ok(match by.is_empty() {
            false => SignedBy::Certificates(by),
            true => SignedBy::Nobody(why.join("; ")),
        })
    };
    match tokio::task::spawn_blocking(judging).await {
        Ok(judged) => judged.map_err(Failure::Spool),
        Err(error) => Err(Failure::Spool(std::io::Error::other(error))),
    }
}

/// Nobody asks where nothing can be verified: see [`VERIFIES`](wheelmark_provenance::openpgp::VERIFIES).
#[cfg(not(feature = "openpgp"))]
async fn judge(
    _: DetachedSignature,
    _: Vec<Certificates>,
    _: Fetched,
    _: Timestamp,
) -> Result<SignedBy, Failure> {
    Ok(SignedBy::NotLookedAt)
}

impl Reader {
    /// The OpenPGP signature that a page binds to a file; of an index that is not signed, what lies
    /// beside the file. It speaks for itself: whoever serves it decides nothing.
    async fn signature_of(
        &self,
        project: &ProjectName,
        entry: &PageFile,
    ) -> Result<Option<Bytes>, Failure> {
        let limit = MAX_SIGNATURE_LEN as u64;
        let filename = entry.filename.as_str();
        if !self.index.is_signed() {
            let mut url = self.place(&entry.url)?;
            url.set_path(&format!("{}.asc", url.path()));
            return Ok(self.sources.remote().get(&url, limit).await?);
        }
        let marks = entry.wheelmark.as_ref();
        let Some(mark) = marks.and_then(|marks| marks.gpg_sig) else {
            return Ok(None);
        };
        let length = mark.length;
        if length > limit {
            return Err(Failure::FileTooLarge { length, limit });
        }
        let sha256 = digest(mark.sha256);
        let location = Location::Object(ObjectPath::signature(project, &sha256, filename)?);
        let what = format!("{filename}.asc");
        let fetching = self
            .sources
            .object(what, &location, Wanted::File { length }, |bytes| {
                demand(&bytes, &sha256)?;
                Ok(bytes)
            });
        fetching.await.map(Some)
    }

    /// The certificates that a project registered, as its page binds them.
    async fn registered_certificates(
        &self,
        page: &VerifiedPage,
    ) -> Result<Option<Certificates>, Failure> {
        let page = page.page();
        let Some(bound) = &page.wheelmark.certificates else {
            return Ok(None);
        };
        let (length, limit) = (bound.size, MAX_CERTIFICATES_LEN as u64);
        if !self.index.is_signed() {
            return Ok(None);
        }
        if length > limit {
            return Err(Failure::FileTooLarge { length, limit });
        }
        let sha256 = digest(bound.sha256);
        let location = Location::Object(ObjectPath::certificates(&page.name, &sha256));
        let what = format!("the OpenPGP certificates of {}", page.name);
        let fetching = self
            .sources
            .object(what, &location, Wanted::File { length }, |bytes| {
                demand(&bytes, &sha256)?;
                Ok(bytes)
            });
        let bytes = fetching.await?;
        let text = std::str::from_utf8(&bytes).ok();
        Ok(text.and_then(Certificates::from_armor))
    }
}
