//! What it is to HTTP that something cannot wait for signatures, or cannot be signed.

use http::StatusCode;

use super::{Problem, chain};
use crate::upload::StagingError;

/// Why a request about something that waits was refused.
pub(super) fn staging(error: &StagingError) -> Problem {
    let problem = |status, title| Problem::new(status, title, chain(error));
    let bad = |title| problem(StatusCode::BAD_REQUEST, title);
    let conflict = |title| problem(StatusCode::CONFLICT, title);
    match error {
        StagingError::Off => problem(StatusCode::NOT_FOUND, "Nothing waits here")
            .hint("have everybody sign where the release is published: a --signer for each key"),
        StagingError::Absent { .. } => problem(StatusCode::NOT_FOUND, "Nothing waits here").hint(
            "it was published, withdrawn, or has waited for as long as it may: `wheelmark release list PROJECT` shows what waits",
        ),
        StagingError::Malformed { .. } => bad("Malformed release")
            .hint("use `wheelmark publish` and `wheelmark release approve`, which write it"),
        StagingError::NotClaimed { project } => conflict("Not claimed").hint(format!(
            "claim it first: wheelmark project claim {project} --signer URI"
        )),
        StagingError::Unsigned { project } => bad("Not signed").hint(format!(
            "sign it with one of the keys that `wheelmark explain {project}` shows"
        )),
        StagingError::UnknownKey { .. } => bad("Unknown key")
            .hint("sign with a key of the project: `wheelmark explain PROJECT` shows them"),
        StagingError::BadSignature { .. } => bad("Wrong signature")
            .hint("review it once more and approve that: `wheelmark release review`"),
        StagingError::Stale { .. } => conflict("Overtaken").hint(
            "withdraw it, and publish its files again on what is published now: `wheelmark release withdraw`, `wheelmark publish`",
        ),
        StagingError::Version { .. } => {
            conflict("Not the next version").hint("publish again: `wheelmark publish` builds on what is there")
        }
        StagingError::TooMany { .. } => conflict("Too much waits")
            .hint("approve or withdraw what waits: `wheelmark release list PROJECT`"),
        StagingError::NoRoom { .. } => problem(StatusCode::INSUFFICIENT_STORAGE, "No room").hint(
            "withdraw what waits for nothing; whoever runs the index can allow more (max-staged-size)",
        ),
        StagingError::SenderGone { .. } => conflict("Sent with a token that has ended")
            .hint("withdraw it, and have an owner of the project claim it once more"),
        StagingError::OtherWaits { .. } => conflict("Another file waits")
            .hint("take it back first: wheelmark release withdraw PROJECT==VERSION"),
        StagingError::ComesWith { .. } => bad("Not supported").hint(
            "upload the file alone; for uv: UV_PUBLISH_NO_ATTESTATIONS=1",
        ),
        StagingError::Chain { .. } => Problem::internal("following what is published", error),
        StagingError::Io(source) if super::uploading::is_full(source) => Problem::full(error),
        StagingError::Io(_) => Problem::internal("what waits for signatures", error),
    }
}
