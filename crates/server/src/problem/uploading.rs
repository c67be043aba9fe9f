//! What each upload error is to HTTP, and to the person who uploads.

use std::io;

use http::StatusCode;
use wheelmark_objects::ObjectError;
use wheelmark_packaging::{InspectError, ProjectName};
use wheelmark_provenance::openpgp::Flaw;
use wheelmark_store::{ReleaseDenied, StoreError};

use super::admitting::{denied, uploading};
use super::{Problem, chain};
use crate::upload::{Error, Mismatch};

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let bad = |title| Problem::new(StatusCode::BAD_REQUEST, title, chain(&error));
        let too_long = |title| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title, chain(&error));
        match &error {
            Error::Auth(auth) => uploading(auth),
            Error::Denied(why) => denied(why),
            Error::NotAForm => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Not an upload form",
                chain(&error),
            )
            .hint("upload with twine or uv publish"),
            Error::MalformedForm { .. } => {
                bad("Malformed form").hint("upload with twine or uv publish, which write the form")
            }
            Error::BrokenOff => bad("Upload broken off").hint("upload the file again"),
            Error::Stalled { .. } => {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "Upload stalled", chain(&error))
                    .hint("upload the file again")
            }
            Error::TooSlow { .. } => Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "Upload too slow",
                chain(&error),
            )
            .hint("upload the file again over a better connection"),
            Error::TooManyFields { .. } | Error::FormTooLong { .. } => too_long("Form too large")
                .hint("shorten the description, and the lists of requirements and classifiers"),
            Error::ValueTooLong { .. } => bad("Field too long")
                .hint("upload with twine or uv publish, which state it as the file has it"),
            Error::FileTooLong { .. } => too_long("File too large").hint(
                "split it or leave data out; whoever runs the index can allow this project more",
            ),
            Error::ProjectTooLarge { .. } => too_long("Project too large").hint(
                "whoever runs the index can allow this project more, or remove old files of it",
            ),
            Error::Repeated { .. } => bad("Repeated field")
                .hint("send it once; twine and uv publish do"),
            Error::Missing { .. } => bad("Missing field")
                .hint("upload with twine or uv publish, which send it"),
            Error::Action { .. } => bad("Unknown action").hint("only file_upload is known"),
            Error::Protocol { .. } => bad("Unknown protocol version").hint("only 1 is known"),
            Error::Unsupported { .. } => {
                bad("Not supported").hint("upload the file alone, without it")
            }
            Error::Name(error) => bad("Invalid project name").hint(error.fix()),
            Error::Version { .. } => bad("Invalid version")
                .hint("write it as PEP 440 wants it, such as 1.2.3, 1.2rc1 or 1.2.post1"),
            Error::Filename(error) => bad("Invalid file name").hint(error.fix()),
            Error::Path(_) => bad("Invalid file name")
                .hint("build with a shorter name, version or set of tags"),
            Error::NotNormalised { expected, .. } => {
                bad("File name not normalised").hint(match expected {
                    Some(expected) => {
                        format!("it should be `{expected}`: build with a current build backend; whoever runs the index can allow older names")
                    }
                    None => "build the source distribution as .tar.gz, which `python -m build --sdist` does"
                        .to_owned(),
                })
            }
            Error::StandardLibraryName { .. } => bad("Name of a standard module").hint(
                "choose another name: who requires this one means the module, which Python brings",
            ),
            Error::SimilarName { .. } => bad("Name too similar").hint(
                "choose a name that is not mistaken for it; whoever runs the index can allow this one",
            ),
            Error::Classifier { source, .. } => bad("Invalid classifier").hint(source.fix()),
            Error::Description { source, .. } => {
                bad("Invalid description").hint(source.fix())
            }
            Error::NoDigest => {
                bad("Missing digest").hint("state sha256_digest, blake2_256_digest or md5_digest")
            }
            Error::Mismatch(Mismatch::Filetype { .. }) => bad("Wrong file type")
                .hint("state filetype bdist_wheel for a wheel, sdist for a source distribution"),
            Error::Mismatch(Mismatch::Version { .. }) => bad("Wrong version")
                .hint("state the version that the file has; build again to publish another"),
            Error::Mismatch(Mismatch::Digest { .. }) => {
                bad("Wrong digest").hint("the file was changed on its way; upload it again")
            }
            Error::Inspect {
                source: InspectError::Io(source),
                ..
            } => Problem::internal("reading the upload", source),
            Error::Inspect { source, .. } => bad("Invalid distribution file").hint(source.fix()),
            Error::Exists { .. } => bad("File already exists")
                .hint("a published file never changes; publish a new version or build number"),
            Error::Signature(source) => bad("Invalid signature").hint(source.fix()),
            Error::SignatureRequired { .. } => bad("Signature required").hint(
                "sign it with `gpg --armor --detach-sign FILE`, and upload FILE.asc with it: `twine upload FILE FILE.asc`",
            ),
            Error::SignatureRefused { project, flaw } => {
                bad("Signature does not hold").hint(certified(project, flaw))
            }
            Error::CannotVerify { .. } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Signatures cannot be verified",
                chain(&error),
            )
            .hint("whoever runs the index can build it with OpenPGP, or no longer require signatures of this project"),
            Error::OtherSignature { .. } => bad("File already exists").hint(
                "what is said of a published file stays; upload the next version together with its signature",
            ),
            Error::Attestations(_) => bad("Invalid attestations")
                .hint("send what `uv publish` or pypi-attestations makes, one attestation of each predicate"),
            Error::AttestationsRefused(_) => bad("Attestations refused").hint(
                "attest to this very file, by a publisher that `wheelmark index publisher list` shows; or upload it without attestations",
            ),
            Error::AttestationAccount { .. } => bad("Attestations refused").hint(
                "the name of the account changed hands; whoever runs the index can list the publisher anew",
            ),
            Error::NobodyAttests { project } => bad("Attestations refused").hint(format!(
                "upload it without them, or have whoever runs the index list the publisher: wheelmark index publisher add {project} PUBLISHER --attest-only"
            )),
            Error::OtherAttestations { .. } => bad("File already exists").hint(
                "what is said of a published file stays; upload the next version together with its attestations",
            ),
            Error::Closed { .. } => bad("Project takes no files")
                .hint("whoever runs the index decides what state a project is in"),
            Error::Removed { .. } => bad("File was removed").hint(
                "whoever runs the index can bring it back; publish a new version or build number",
            ),
            Error::Claimed { .. } => {
                Problem::new(StatusCode::FORBIDDEN, "Project is claimed", chain(&error)).hint(
                    "sign and publish it with `wheelmark publish FILE`, with a key that signs for the project",
                )
            }
            Error::MalformedRelease { .. } => bad("Malformed release")
                .hint("publish with `wheelmark publish`, which writes it"),
            Error::NotReleased { .. } => bad("File not in the page").hint(
                "sign a page that lists each file that is sent; `wheelmark publish` does",
            ),
            Error::NotSent { .. } => bad("File missing")
                .hint("send each file that the page lists for the first time"),
            Error::NotAsReleased { .. } => bad("File differs from the page")
                .hint("the file was changed after it was signed: publish it again"),
            Error::Release(why) => releasing(why),
            Error::Staging(why) => super::staging::staging(why),
            Error::Refused { .. } => bad("Refused").hint(
                "the index holds every change against what it has signed; tell the people who run it",
            ),
            Error::NotPublishedYet { .. } => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Recorded but not published yet",
                chain(&error),
            )
            .hint(
                "it will be published when the snapshot process runs; there is no need to upload \
                 it again, and no harm in it",
            )
            .retry_after_seconds("30"),
            Error::Incoming(source) if is_full(source) => Problem::full(&error),
            Error::Incoming(_) => Problem::internal("keeping the upload", &error),
            Error::Object(object) => writing_the_tree(object),
            Error::Store(store) => writing_the_journal(store),
            Error::Stopped => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Shutting down",
                chain(&error),
            )
            .hint("upload the file again in a moment")
            .retry_after_seconds("5"),
        }
    }
}

/// A release that cannot be taken in, as things stand.
fn releasing(error: &ReleaseDenied) -> Problem {
    let problem = |status, title| Problem::new(status, title, chain(error));
    let (forbidden, conflict) = (StatusCode::FORBIDDEN, StatusCode::CONFLICT);
    match error {
        ReleaseDenied::NotOwner { user, project } => {
            problem(forbidden, "Not your project").hint(format!(
                "ask an owner to claim it; whoever runs the index can make you one: \
                 wheelmark index project owner add {project} {user}"
            ))
        }
        ReleaseDenied::NoProject { project } => problem(StatusCode::NOT_FOUND, "No such project")
            .hint(format!(
                "upload its first file, or have whoever runs the index give you the name: \
                 wheelmark index project create {project} --owner NAME"
            )),
        ReleaseDenied::Claimed { .. } => problem(conflict, "Claimed already")
            .hint("publish with a key that signs for it: `wheelmark publish FILE`"),
        ReleaseDenied::ProjectToken => problem(forbidden, "Token of one project")
            .hint("do it with a token that uploads to all of your projects"),
        ReleaseDenied::Pending { .. } => problem(conflict, "Release on its way")
            .hint("wait until it is published, and build on it"),
        ReleaseDenied::TooManyClaims { .. } => problem(forbidden, "Too many claims")
            .hint("let another owner of the project claim it, with a key of their own"),
        ReleaseDenied::NotMember { user, project } => problem(forbidden, "Not a member")
            .hint(format!(
                "whoever runs the index makes them one: wheelmark index project maintainer add {project} {user}"
            )),
        ReleaseDenied::KeyOfAnother { .. } => problem(forbidden, "Key of another user")
            .hint("use a key of your own, and one for each machine that signs"),
        ReleaseDenied::TooLong { .. } => problem(StatusCode::BAD_REQUEST, "Claim too long")
            .hint("claim it with fewer keys, or with keys that are Ed25519 or P-256"),
        ReleaseDenied::FileThere { .. } => problem(conflict, "File already exists")
            .hint("a published file never changes; publish a new version or build number"),
    }
}

/// What an uploader can do about a signature that does not hold.
fn certified(project: &ProjectName, flaw: &Flaw) -> String {
    match flaw {
        Flaw::Unknown { .. } => format!(
            "sign with a key of the certificates at /keys/{project}.asc, or have whoever runs the index register yours"
        ),
        Flaw::Wrong { .. } => {
            "sign the file that you upload, after its last change: `gpg --armor --detach-sign FILE`"
                .to_owned()
        }
        Flaw::NotNow { .. } => "set the clock of the machine that signs, and sign again".to_owned(),
        Flaw::Expired { .. } => {
            "extend the certificate, and have whoever runs the index register it anew".to_owned()
        }
        Flaw::Revoked { .. } => format!(
            "sign with another key of the certificates at /keys/{project}.asc, or have whoever runs the index register one"
        ),
        Flaw::NotForSigning { .. } => "sign with the certificate's signing key".to_owned(),
        Flaw::OverText => "sign without --textmode: `gpg --armor --detach-sign FILE`".to_owned(),
        Flaw::Unreliable { .. } => {
            "sign with a current version of GnuPG or Sequoia, and a key of a current kind"
                .to_owned()
        }
    }
}

fn writing_the_tree(error: &ObjectError) -> Problem {
    match error {
        full if full.is_full() => Problem::full(error),
        ObjectError::Different { .. }
        | ObjectError::Missing { .. }
        | ObjectError::TooLarge { .. }
        | ObjectError::NotPlain { .. }
        | ObjectError::NotReplaceable { .. }
        | ObjectError::LockLost { .. }
        | ObjectError::Io { .. }
        | ObjectError::Stopped => Problem::internal("writing the tree", error),
    }
}

pub(super) fn writing_the_journal(error: &StoreError) -> Problem {
    match error {
        StoreError::Full { .. } => Problem::full(error),
        StoreError::Flush { source } if is_full(source) => Problem::full(error),
        StoreError::Flush { .. }
        | StoreError::Invalid { .. }
        | StoreError::Encode { .. }
        | StoreError::Database { .. } => Problem::internal("the database", error),
    }
}

/// Whether there is no room: on the disk, in a quota, or under a limit on the size of files.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests;
