//! How a file and what is said of it stand in pages and bins.

use jiff::Timestamp;
use serde_json::json;
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::{
    Hashes, Marks, PageFile, SignatureMark, Signed, Yanked, provenance_url,
};
use wheelmark_store::{Change, NewFile};
use wheelmark_tuf::{OWN_MEMBER, Sha256, TargetInfo};

use crate::journal_writer::JournalWriter;
use crate::lifetimes::whole_seconds;
use crate::listed;

/// Longest reason that is signed, in bytes; a longer one is cut. People read it on one line of an
/// installer's warning.
pub const MAX_REASON_LEN: usize = 2_000;

/// How a yank stands in a page: on one line and not without end, whoever gave the reason.
pub(super) fn yanked_of(yanked: Option<&str>) -> Yanked {
    match yanked.map(one_line) {
        None => Yanked::No,
        Some(reason) if reason.is_empty() => Yanked::Yes,
        Some(reason) => Yanked::Because(reason),
    }
}

/// A reason as it is signed: one line, and no longer than [`MAX_REASON_LEN`].
pub(super) fn one_line(reason: &str) -> String {
    let line = reason.replace(char::is_control, " ");
    let cut = line.floor_char_boundary(MAX_REASON_LEN);
    line[..cut].trim().to_owned()
}

/// A change as it stands in what is signed: so the catalogue, which follows it, has the same words.
pub(super) fn as_signed(change: Change) -> Change {
    match change {
        Change::FileYanked {
            project,
            filename,
            yanked,
        } => Change::FileYanked {
            project,
            filename,
            yanked: yanked.as_deref().map(one_line),
        },
        Change::StatusSet {
            project,
            status,
            reason,
        } => Change::StatusSet {
            project,
            status,
            reason: status_reason(reason.as_deref()),
        },
        change @ (Change::FileAdded(_)
        | Change::FileRemoved { .. }
        | Change::FileRestored { .. }
        | Change::CertificatesSet { .. }
        | Change::ProjectSigned(_)
        | Change::ClaimEnded { .. }
        | Change::RecoveryAsked(_)
        | Change::RecoveryEnded { .. }
        | Change::HashesSet { .. }
        | Change::Renewal
        | Change::Unreadable(_)) => change,
    }
}

/// Why a project is in its state, as it stands in the page.
pub(super) fn status_reason(reason: Option<&str>) -> Option<String> {
    reason.map(one_line).filter(|reason| !reason.is_empty())
}

/// When the file was signed, relative to its upload.
fn signed(file: &NewFile) -> Signed {
    if file.back_signed {
        Signed::Back
    } else {
        Signed::AtUpload
    }
}

/// What a file's bin says of it. One that was signed back is marked there, too.
pub(crate) fn target_info(entry: &PageFile) -> Option<TargetInfo> {
    let mut info = listed::target_of(entry)?;
    if let Some(marks) = &entry.wheelmark
        && marks.signed == Signed::Back
    {
        let custom = info.custom.take().map(|custom| custom.value());
        let mut custom = custom.unwrap_or_else(|| json!({}));
        custom[OWN_MEMBER]["signed"] = marks.signed.as_str().into();
        custom[OWN_MEMBER]["signed-at"] = marks.signed_at.to_string().into();
        info.custom = Some(custom.into());
    }
    Some(info)
}

/// A file as its page lists it. `provenance_below` is the URL below which provenance is served, if
/// pages are to link to it.
pub(super) fn page_file(
    file: &NewFile,
    filename: DistributionFilename,
    writer: JournalWriter,
    provenance_below: Option<&str>,
    now: Timestamp,
) -> PageFile {
    let sha256_of = |digest: Sha256| Hashes::of_sha256(digest.0);
    let mut marks = Marks::new(signed(file), whole_seconds(now));
    marks.chunks_sha256 = file.chunks_sha256.map(|digest| digest.0.into());
    marks.gpg_sig = file.gpg_signature.map(|signature| SignatureMark {
        sha256: signature.sha256.0.into(),
        length: signature.length,
    });
    marks.provenance_sha256 = file.provenance_sha256.map(|digest| digest.0.into());
    let link = provenance_below.filter(|_| marks.provenance_sha256.is_some());
    let link = link.map(|below| provenance_url(below, &file.project, &filename));
    let mut entry = PageFile::new(&file.project, filename, sha256_of(file.sha256));
    entry.size = Some(file.size);
    entry.upload_time = Some(writer.upload_time(file.uploaded_at, now));
    entry.requires_python = file.requires_python.clone();
    entry.core_metadata = file.core_metadata_sha256.map(sha256_of);
    entry.yanked = yanked_of(file.yanked.as_deref());
    entry.gpg_sig = Some(marks.gpg_sig.is_some());
    entry.provenance = link;
    entry.wheelmark = Some(marks);
    entry
}
