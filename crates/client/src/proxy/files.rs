//! Files, their core metadata and their signatures, as installers get them.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{Response, StatusCode};
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::answer::{self, Body, full, response};
use super::pages::{revalidated, set};
use super::{Asked, Desk};
use crate::file::{Content, SignedFile};
use crate::ledger::Ledger;
use crate::passing::Passing;
use crate::range::RangeRequest;
use crate::refusal::Refusal;

const OCTETS: &str = "application/octet-stream";

/// RFC 3156, section 5.
const SIGNATURE: &str = "application/pgp-signature";

impl Desk {
    pub(super) async fn file(
        &self,
        project: &ProjectName,
        filename: &str,
        asked: &Asked<'_>,
    ) -> Response<Body> {
        let home = match self.homes.home_of(project, asked.index()).await {
            Ok(Some(home)) => home,
            Ok(None) => return answer::no_home(&self.homes.absence(project)),
            Err(refusal) => return self.refused(&refusal),
        };
        let file = match home.signed_file(project, filename).await {
            Ok(Some(file)) => file,
            Ok(None) => return answer::not_found(),
            Err(refusal) => return self.refused(&refusal),
        };
        let etag = format!("\"{}\"", file.sha256());
        if asked.holds(&etag) {
            let mut answer = response(StatusCode::NOT_MODIFIED, "", full(""));
            revalidated(&mut answer, &etag);
            return answer;
        }
        let same = asked.header(IF_RANGE).is_none_or(|tag| tag == etag);
        let range = asked.header(RANGE).filter(|_| same && file.allows_ranges());
        let part = match RangeRequest::parse(range, file.size()) {
            RangeRequest::Whole => None,
            RangeRequest::Part(part) => Some(part),
            RangeRequest::Unsatisfiable => {
                let mut answer = response(StatusCode::RANGE_NOT_SATISFIABLE, "", full(""));
                set(
                    &mut answer,
                    CONTENT_RANGE,
                    &format!("bytes */{}", file.size()),
                );
                return answer;
            }
        };
        let length = part.map_or(file.size(), |part| part.length());
        let body = if asked.head {
            full("")
        } else {
            let passing = self.ledger.begin(&file, length);
            match home.content(&file, part).await {
                Ok(content) => self.recorded(&file, content, length, passing),
                Err(refusal) => return self.refused(&refusal),
            }
        };
        let status = match part {
            Some(_) => StatusCode::PARTIAL_CONTENT,
            None => StatusCode::OK,
        };
        let mut answer = response(status, OCTETS, body);
        revalidated(&mut answer, &etag);
        if self.asked_once {
            self.not_worth_keeping(&mut answer);
        }
        set(&mut answer, CONTENT_LENGTH, &length.to_string());
        let ranges = if file.allows_ranges() {
            "bytes"
        } else {
            "none"
        };
        set(&mut answer, ACCEPT_RANGES, ranges);
        if let Some(part) = part {
            set(
                &mut answer,
                CONTENT_RANGE,
                &part.content_header(file.size()),
            );
        }
        answer
    }

    pub(super) async fn core_metadata(
        &self,
        project: &ProjectName,
        filename: &str,
        asked: &Asked<'_>,
    ) -> Response<Body> {
        let found = match self.homes.home_of(project, asked.index()).await {
            Ok(Some(home)) => home.core_metadata(project, filename).await,
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        self.companion(found, OCTETS, asked)
    }

    pub(super) async fn signature(
        &self,
        project: &ProjectName,
        filename: &str,
        asked: &Asked<'_>,
    ) -> Response<Body> {
        let found = match self.homes.home_of(project, asked.index()).await {
            Ok(Some(home)) => home.signature(project, filename).await,
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        self.companion(found, SIGNATURE, asked)
    }

    /// Answers with what stands beside a file.
    fn companion(
        &self,
        found: Result<Option<Bytes>, Arc<Refusal>>,
        content_type: &'static str,
        asked: &Asked<'_>,
    ) -> Response<Body> {
        match found {
            Ok(Some(bytes)) => {
                let etag = format!("\"{}\"", Sha256::of(&bytes));
                let mut answer = if asked.holds(&etag) {
                    response(StatusCode::NOT_MODIFIED, "", full(""))
                } else {
                    response(StatusCode::OK, content_type, full(bytes))
                };
                revalidated(&mut answer, &etag);
                self.not_worth_keeping(&mut answer);
                answer
            }
            Ok(None) => answer::not_found(),
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Response<Body> {
        self.ledger.refused(refusal);
        answer::refused(refusal, self.homes.are_several())
    }

    /// The body, which enters the file into the ledger with its last byte, or the refusal.
    fn recorded(&self, file: &SignedFile, content: Content, length: u64, passing: Passing) -> Body {
        match content {
            Content::Whole(bytes) => {
                passing.passed(bytes.len() as u64);
                self.ledger.verified(file);
                full(bytes)
            }
            Content::Pieces(pieces) => {
                let record = Record {
                    pieces,
                    file: file.clone(),
                    ledger: self.ledger.clone(),
                    left: length,
                    passing,
                };
                UnsyncBoxBody::new(StreamBody::new(stream::unfold(record, Record::next)))
            }
        }
    }
}

struct Record {
    pieces: BoxStream<'static, Result<Bytes, Arc<Refusal>>>,
    file: SignedFile,
    ledger: Arc<Ledger>,
    left: u64,
    passing: Passing,
}

impl Record {
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, std::io::Error>, Self)> {
        let piece = match self.pieces.next().await? {
            Ok(bytes) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                self.passing.passed(bytes.len() as u64);
                // The last piece comes only after all of it was verified; whoever knows the
                // length does not ask for more, so this is the place to write it down.
                if self.left == 0 {
                    self.ledger.verified(&self.file);
                }
                Ok(Frame::data(bytes))
            }
            Err(refusal) => {
                tracing::info!(%refusal, "refused");
                if !refusal.may_still_come() {
                    self.ledger.refused(&refusal);
                }
                Err(std::io::Error::other(refusal.to_string()))
            }
        };
        Some((piece, self))
    }
}
