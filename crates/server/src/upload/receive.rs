//! Reading the form from the connection, with bounded memory, its fields in any order.

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use multer::Multipart;

use super::error::UploadError;
use super::form::{Field, Form};
use super::sink::{Content, Sink};
use super::source::{Source, SourceError};

/// Most fields of a form. Classifiers and requirements have one field each; the largest known
/// projects have a few hundred.
pub const MAX_FIELDS: usize = 4096;

/// Most bytes of a form besides the file, names and values of all fields: mostly the description.
pub const MAX_FORM_LEN: u64 = 16 * 1024 * 1024;

/// Longest value of a field that is kept, in bytes: a name, a version or a digest.
pub const MAX_VALUE_LEN: usize = 4096;

/// How long nothing may arrive.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A form that has arrived whole.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) form: Form,
    pub(super) content: Content,
}

/// Reads the form. The file goes to a temporary file in `incoming`, which is gone again when
/// this fails or its future is dropped.
pub(super) async fn receive(
    source: &Source,
    boundary: String,
    incoming: &Path,
    file_len: u64,
) -> Result<Received, UploadError> {
    let mut parts = Parts {
        multipart: Multipart::new(source.clone(), boundary),
        source,
    };
    let mut form = Form::default();
    let mut content = None;
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
                let mut sink = Sink::create(incoming, file_len).await?;
                while let Some(piece) = parts.piece(&mut part).await? {
                    sink = sink.take(piece).await?;
                }
                content = Some(sink.finish(stated_name).await?);
            }
            Field::Value(field) => {
                let mut value = BytesMut::new();
                while let Some(piece) = parts.piece(&mut part).await? {
                    if value.len() + piece.len() > MAX_VALUE_LEN {
                        return Err(UploadError::ValueTooLong {
                            field,
                            limit: MAX_VALUE_LEN,
                        });
                    }
                    value.extend_from_slice(&piece);
                }
                budget.spend(value.len())?;
                let value =
                    String::from_utf8(value.into()).map_err(|_| UploadError::MalformedForm {
                        what: format!("the field `{field}` is not UTF-8"),
                    })?;
                form.set(field, value)?;
            }
            Field::Unsupported(what) => return Err(UploadError::Unsupported { what }),
            Field::Other => {
                while let Some(piece) = parts.piece(&mut part).await? {
                    budget.spend(piece.len())?;
                }
            }
        }
    }
    match content {
        Some(content) => Ok(Received { form, content }),
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

/// The parser, with a limit on how long it waits.
struct Parts<'a> {
    multipart: Multipart<'static>,
    source: &'a Source,
}

impl Parts<'_> {
    async fn next(&mut self) -> Result<Option<multer::Field<'static>>, UploadError> {
        let next = in_time(self.multipart.next_field()).await;
        self.source.parsed();
        next
    }

    async fn piece(&self, part: &mut multer::Field<'static>) -> Result<Option<Bytes>, UploadError> {
        let piece = in_time(part.chunk()).await;
        self.source.parsed();
        piece
    }
}

async fn in_time<T>(
    reading: impl Future<Output = Result<T, multer::Error>>,
) -> Result<T, UploadError> {
    match tokio::time::timeout(READ_TIMEOUT, reading).await {
        Ok(read) => read.map_err(UploadError::from),
        Err(_) => Err(UploadError::Stalled {
            waited: READ_TIMEOUT,
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
