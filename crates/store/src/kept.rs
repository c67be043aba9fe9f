//! Small objects of uploads, kept beside their journal rows until they are on the disk.
//!
//! An upload of a small file costs no flush of its own: what it brings into the tree stands here as
//! well, in the transaction of its journal row, and is written again after a power failure.

use sqlx::{QueryBuilder, Sqlite};

use crate::{Seq, Store, StoreError, text};

/// How many are read at a time.
const READ_AT_ONCE: i64 = 64;

/// The longest row that is read: an object, and a path that is a few names long.
const MAX_ROW_LEN: i64 = 2 * MAX_KEPT_LEN as i64;

/// Objects up to this length are worth keeping: to write so many bytes twice costs less than to
/// flush them by themselves. Longer ones are not read: no upload keeps any.
pub const MAX_KEPT_LEN: usize = 128 * 1024;

/// An object that may not be on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptObject {
    /// Its path in the tree.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A place among the kept objects; the default stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptPlace(i64);

/// Says how the objects of the file that `seq` brings are kept, as a statement that others can
/// follow on.
pub(crate) fn push(statements: &mut QueryBuilder<Sqlite>, seq: Seq, objects: &[KeptObject]) {
    if objects.is_empty() {
        return;
    }
    statements.push("INSERT INTO kept_object (seq, path, bytes) ");
    statements.push_values(objects, |mut row, KeptObject { path, bytes }| {
        row.push_bind(text::number(seq.0))
            .push_bind(path.as_str())
            .push_bind(bytes.as_slice());
    });
    statements.push("; ");
}

impl Store {
    /// Some of the objects that are kept for files which the catalogue has, those behind `after`,
    /// and where to go on; none when there are no more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn kept_objects(
        &self,
        after: KeptPlace,
    ) -> Result<Option<(Vec<KeptObject>, KeptPlace)>, StoreError> {
        let rows: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT id, path, bytes FROM kept_object \
             WHERE id > ? AND octet_length(path) + octet_length(bytes) <= ? AND EXISTS (SELECT 1 FROM file WHERE file.seq = kept_object.seq) \
             ORDER BY id LIMIT ?",
        )
        .bind(after.0)
        .bind(MAX_ROW_LEN)
        .bind(READ_AT_ONCE)
        .fetch_all(&mut *self.reader().await?)
        .await?;
        let Some((last, _, _)) = rows.last() else {
            return Ok(None);
        };
        let place = KeptPlace(*last);
        let objects = rows.into_iter();
        let objects = objects.map(|(_, path, bytes)| KeptObject { path, bytes });
        Ok(Some((objects.collect(), place)))
    }
}
