//! Distribution files, from the disk or from memory, whole or in part.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream};
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue,
};
use tokio::task::spawn_blocking;
use wheelmark_objects::OpenObject;

use crate::conditional::EntityTag;
use crate::range::Portion;
use crate::read_error::ReadError;
use crate::shelf::{Form, Held};
use crate::tree::HEADERS;

/// How much is read from the disk at once, in bytes.
const READ_LEN: u64 = 256 * 1024;

/// Answers with an open object, honouring `Range`, `If-Range` and `If-None-Match`.
pub(crate) fn stream(
    object: OpenObject,
    request: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
) -> Result<Response, ReadError> {
    let OpenObject {
        mut file,
        len,
        seen,
    } = object;
    let (seconds, nanoseconds) = seen.modified();
    // Most names never stand for other bytes, and those that do are far from being written twice
    // within one tick of the clock; the tag tells an object from one that was restored, too.
    let tag = EntityTag::new(&format!("{len:x}-{seconds:x}-{nanoseconds:x}"));
    let (mut response, sent) = head(tag.as_ref(), len, request, content_type, cache_control)?;
    if let Some((start, send)) = sent {
        if start > 0 {
            file.seek(SeekFrom::Start(start))?;
        }
        *response.body_mut() = Body::from_stream(pieces(file, send));
    }
    Ok(response)
}

/// The next `len` bytes of a file, piece by piece. They go from the system into what is sent, and
/// nowhere in between.
fn pieces(file: File, len: u64) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold((file, len), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let reading = spawn_blocking(move || {
            let mut piece = Vec::with_capacity(left.min(READ_LEN) as usize);
            (&file).take(left.min(READ_LEN)).read_to_end(&mut piece)?;
            io::Result::Ok((piece, file))
        });
        let (piece, file) = reading.await.unwrap_or(Err(ErrorKind::Other.into()))?;
        if piece.is_empty() {
            // The connection breaks off: what was announced is not there.
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let left = left - piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, left))))
    })
}

/// Answers with a file in memory, in the same way.
pub(crate) fn held(
    held: &Held,
    request: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
) -> Result<Response, ReadError> {
    let Form { bytes, tag } = held.plain();
    let (mut response, sent) = head(
        tag.as_ref(),
        bytes.len() as u64,
        request,
        content_type,
        cache_control,
    )?;
    if let Some((start, send)) = sent {
        // Both lie within the bytes, whose number is a `usize`.
        let (start, send) = (start as usize, send as usize);
        *response.body_mut() = Body::from(bytes.slice(start..start + send));
    }
    Ok(response)
}

/// What an answer with `len` bytes begins with, and which of them follow, as first byte and number;
/// none where the request holds them already.
fn head(
    tag: Option<&EntityTag>,
    len: u64,
    request: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
) -> Result<(Response, Option<(u64, u64)>), ReadError> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag.header());
        if tag.is_held(request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok((response, None));
        }
    }
    let portion = match tag {
        Some(tag) if !tag.allows_range(request) => Portion::Whole,
        _ => Portion::of(request, len),
    };
    let (start, send) = match portion {
        Portion::Whole => (0, len),
        Portion::Part { start, len } => (start, len),
        Portion::Unsatisfiable => return Err(ReadError::Range { len }),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(send));
    if portion != Portion::Whole {
        let last = start + send - 1;
        if let Ok(range) = HeaderValue::try_from(format!("bytes {start}-{last}/{len}")) {
            headers.insert(CONTENT_RANGE, range);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok((response, Some((start, send))))
}
