//! What the engine takes from the journal of the uploads.

use wheelmark_store::{JournalRow, Seq};

use super::Engine;
use crate::journal_writer::JournalWriter;
use crate::publish::PublishError;

impl Engine {
    /// The rows of the journal behind `after`. Where a web process writes it, it may be damaged on
    /// purpose: then there are none, and orders and renewals go on.
    pub(super) async fn uploads_after(
        &mut self,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<JournalRow>, PublishError> {
        match self.store.journal_after(after, limit).await {
            Ok(rows) => {
                self.unreadable = false;
                Ok(rows)
            }
            Err(error) if self.writer == JournalWriter::WebProcess => {
                if !self.unreadable {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the journal of the uploads cannot be read: no upload is published, orders \
                         and renewals are"
                    );
                }
                self.unreadable = true;
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says once of a row that it is left alone.
    pub(super) fn tell_of_stray(&mut self, stray: Option<Seq>) {
        if let Some(seq) = stray
            && self.stray != stray
        {
            tracing::error!(
                %seq,
                last = %self.state.followed.journal,
                "the journal has a row far beyond the last one taken, which no upload writes: it \
                 and all behind it are left alone; somebody else may write to the catalogue"
            );
        }
        self.stray = stray;
    }
}
