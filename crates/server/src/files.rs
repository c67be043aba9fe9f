//! Distribution files, streamed from the disk, whole or in part.

use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue,
};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use wheelmark_objects::OpenObject;

use crate::conditional::EntityTag;
use crate::range::Portion;
use crate::read_error::ReadError;

/// How much is read from the disk at once, in bytes.
const READ_LEN: usize = 256 * 1024;

/// Answers with an open object, honouring `Range`, `If-Range` and `If-None-Match`.
pub(crate) fn stream(
    object: OpenObject,
    request: &HeaderMap,
    content_type: &'static str,
    cache_control: &'static str,
) -> Result<Response, ReadError> {
    let OpenObject { mut file, len } = object;
    let metadata = file.metadata()?;
    // Most names never stand for other bytes, and those that do are far from being written twice
    // within one tick of the clock; the tag tells an object from one that was restored, too.
    let tag = EntityTag::new(&format!(
        "{:x}-{:x}-{:x}",
        len,
        metadata.mtime(),
        metadata.mtime_nsec()
    ));

    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    if let Some(tag) = &tag {
        headers.insert(ETAG, tag.header());
        if tag.is_held(request) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
    }
    let portion = match &tag {
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
        file.seek(SeekFrom::Start(start))?;
    }
    let reader = tokio::fs::File::from_std(file).take(send);
    *response.body_mut() = Body::from_stream(ReaderStream::with_capacity(reader, READ_LEN));
    Ok(response)
}
