//! Reading the form from the connection, with bounded memory, its fields in any order.

use std::path::Path;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use multer::Multipart;
use wheelmark_packaging::{DetachedSignature, MAX_SIGNATURE_LEN, SignatureError};
use wheelmark_provenance::MAX_ATTESTATIONS_LEN;

use super::error::UploadError;
use super::form::{ATTESTATIONS, Field, Form, SIGNATURE};
use super::sink::{Content, Sink};
use super::source::{Source, SourceError};
use crate::pace::Pace;

/// Most fields of a form. Classifiers and requirements have one field each; the largest known
/// projects have a few hundred.
pub const MAX_FIELDS: usize = 4096;

/// Most bytes of a form besides the file, names and values of all fields: mostly the description.
pub const MAX_FORM_LEN: u64 = 16 * 1024 * 1024;

/// Longest value of a field that is kept, in bytes: a name, a version or a digest.
pub const MAX_VALUE_LEN: usize = 4096;

/// A form that has arrived whole.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) form: Form,
    pub(super) content: Content,
    pub(super) signature: Option<DetachedSignature>,
    /// Not looked at yet.
    pub(super) attestations: Option<Vec<u8>>,
}

/// Reads the form. The file goes to a temporary file in `incoming`, which is gone again when
/// this fails or its future is dropped.
pub(super) async fn receive(
    source: &Source,
    boundary: String,
    incoming: &Path,
    file_len: u64,
    pace: Pace,
) -> Result<Received, UploadError> {
    let mut parts = FormParts {
        multipart: Multipart::new(source.clone(), boundary),
        source,
        pace,
    };
    let mut form = Form::default();
    let (mut content, mut signature, mut attestations) = (None, None, None);
    let mut budget = Budget {
        fields: MAX_FIELDS,
        bytes: MAX_FORM_LEN,
    };
    while let Some(mut part) = parts.next().await? {
        let name = part.name().unwrap_or_default().to_owned();
        budget.spend_field(&name)?;
        match Field::named(&name) {
            Field::Content => {
                if content.is_some() {
                    return Err(UploadError::Repeated { field: "content" });
                }
                let stated_name = part.file_name().unwrap_or_default().to_owned();
                let mut sink = Sink::new(incoming, file_len);
                while let Some(piece) = parts.piece(&mut part).await? {
                    sink = sink.take(piece).await?;
                }
                content = Some(sink.finish(stated_name).await?);
            }
            Field::Value(field) => {
                let value = parts.value(&mut part, MAX_VALUE_LEN).await?;
                let value = value.ok_or(UploadError::ValueTooLong {
                    field,
                    limit: MAX_VALUE_LEN,
                })?;
                budget.spend(value.len())?;
                let value =
                    String::from_utf8(value.into()).map_err(|_| UploadError::MalformedForm {
                        what: format!("the field `{field}` is not UTF-8"),
                    })?;
                form.set(field, value)?;
            }
            Field::Signature => {
                if signature.is_some() {
                    return Err(UploadError::Repeated { field: SIGNATURE });
                }
                let value = parts.value(&mut part, MAX_SIGNATURE_LEN).await?;
                let value = value.ok_or(UploadError::Signature(SignatureError::TooLong))?;
                budget.spend(value.len())?;
                signature = Some(DetachedSignature::parse(&value).map_err(UploadError::Signature)?);
            }
            Field::Attestations => {
                if attestations.is_some() {
                    return Err(UploadError::Repeated {
                        field: ATTESTATIONS,
                    });
                }
                let value = parts.value(&mut part, MAX_ATTESTATIONS_LEN).await?;
                let value = value.ok_or(UploadError::ValueTooLong {
                    field: ATTESTATIONS,
                    limit: MAX_ATTESTATIONS_LEN,
                })?;
                budget.spend(value.len())?;
                attestations = Some(value.into());
            }
            Field::Other => {
                while let Some(piece) = parts.piece(&mut part).await? {
                    budget.spend(piece.len())?;
                }
            }
        }
    }
    match content {
        Some(content) => Ok(Received {
            form,
            content,
            signature,
            attestations,
        }),
        None => Err(UploadError::Missing { field: "content" }),
    }
}

/// What the form may still cost besides the file.
struct Budget {
    fields: usize,
    bytes: u64,
}

impl Budget {
    fn spend_field(&mut self, name: &str) -> Result<(), UploadError> {
        let left = self.fields.checked_sub(1);
        self.fields = left.ok_or(UploadError::TooManyFields { limit: MAX_FIELDS })?;
        self.spend(name.len())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), UploadError> {
        let left = self.bytes.checked_sub(bytes as u64);
        self.bytes = left.ok_or(UploadError::FormTooLong {
            limit: MAX_FORM_LEN,
        })?;
        Ok(())
    }
}

/// The parser, with limits on silence and slowness. Only waiting counts: how long a piece then
/// takes to be written is not the uploader's doing.
pub(super) struct FormParts<'a> {
    pub(super) multipart: Multipart<'static>,
    pub(super) source: &'a Source,
    pub(super) pace: Pace,
}

impl FormParts<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<multer::Field<'static>>, UploadError> {
        in_time(self.multipart.next_field(), self.source, &mut self.pace).await
    }

    pub(super) async fn piece(
        &mut self,
        part: &mut multer::Field<'static>,
    ) -> Result<Option<Bytes>, UploadError> {
        in_time(part.chunk(), self.source, &mut self.pace).await
    }

    /// A field in memory; none if it is longer than `limit` bytes.
    pub(super) async fn value(
        &mut self,
        part: &mut multer::Field<'static>,
        limit: usize,
    ) -> Result<Option<BytesMut>, UploadError> {
        let mut value = BytesMut::new();
        while let Some(piece) = self.piece(part).await? {
            if value.len() + piece.len() > limit {
                return Ok(None);
            }
            value.extend_from_slice(&piece);
        }
        Ok(Some(value))
    }
}

async fn in_time<T>(
    reading: impl Future<Output = Result<T, multer::Error>>,
    source: &Source,
    pace: &mut Pace,
) -> Result<T, UploadError> {
    let (began, before) = (Instant::now(), source.arrived());
    let read = tokio::time::timeout(pace.credit(), reading).await;
    let arrived = source.arrived() - before;
    match read {
        Ok(read) => {
            pace.moved(arrived, began.elapsed());
            source.parsed();
            read.map_err(UploadError::from)
        }
        Err(_) if arrived == 0 && pace.is_untouched() => Err(UploadError::Stalled {
            waited: pace.credit(),
        }),
        Err(_) => Err(UploadError::TooSlow {
            min_speed: pace.min_speed(),
        }),
    }
}

impl From<multer::Error> for UploadError {
    fn from(error: multer::Error) -> UploadError {
        match error {
            multer::Error::IncompleteFieldData { .. }
            | multer::Error::IncompleteHeaders
            | multer::Error::IncompleteStream => UploadError::BrokenOff,
            multer::Error::StreamReadFailed(source) => match source.downcast_ref() {
                Some(SourceError::HeadersTooLong) => UploadError::MalformedForm {
                    what: source.to_string(),
                },
                Some(SourceError::Broken(_)) | None => UploadError::BrokenOff,
            },
            // The parser's error is open to new kinds; its words are all that is needed.
            other => UploadError::MalformedForm {
                what: other.to_string(),
            },
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use futures::{StreamExt as _, stream};

    use super::*;

    const HEAD: &[u8] = b"--x\r\nContent-Disposition: form-data; name=\"content\"; \
        filename=\"a-1-py3-none-any.whl\"\r\n\r\n";

    /// What becomes of a file that comes in pieces of `len` bytes, `times` of them.
    async fn receive_pieces(len: usize, times: usize, pace: Pace) -> Result<u64, UploadError> {
        let incoming = tempfile::tempdir().unwrap();
        let pieces = stream::iter(0..times).then(move |_| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Bytes::from(vec![0; len])
        });
        let head = stream::iter([Bytes::from_static(HEAD)]);
        let end = stream::iter([Bytes::from_static(b"\r\n--x--\r\n")]);
        let body = head.chain(pieces).chain(end).boxed();
        let source = Source::new(Body::from_stream(body.map(Ok::<_, std::io::Error>)));
        let receiving = receive(&source, "x".to_owned(), incoming.path(), 1 << 20, pace);
        let received = tokio::time::timeout(Duration::from_secs(20), receiving);
        Ok(received.await.unwrap()?.content.len)
    }

    #[tokio::test]
    async fn an_upload_that_trickles_is_ended() {
        let pace = Pace::new(Duration::from_millis(500), 10_000);
        let ended = receive_pieces(1, usize::MAX, pace).await;
        assert!(
            matches!(ended, Err(UploadError::TooSlow { min_speed: 10_000 })),
            "{ended:?}"
        );
    }

    #[tokio::test]
    async fn an_upload_that_keeps_its_speed_may_take_long() {
        let pace = Pace::new(Duration::from_millis(500), 10_000);
        let received = receive_pieces(2000, 60, pace).await;
        assert_eq!(received.unwrap(), 120_000);
    }

    #[tokio::test]
    async fn an_upload_that_stops_is_ended() {
        let incoming = tempfile::tempdir().unwrap();
        let head = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(HEAD))]);
        let source = Source::new(Body::from_stream(head.chain(stream::pending())));
        let pace = Pace::new(Duration::from_millis(200), 1);
        let ended = receive(&source, "x".to_owned(), incoming.path(), 1 << 20, pace).await;
        assert!(
            matches!(ended, Err(UploadError::Stalled { .. })),
            "{ended:?}"
        );
    }
}
