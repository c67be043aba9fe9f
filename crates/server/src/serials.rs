//! The serial numbers that mirrors follow: by which change of the index each project was last
//! changed.
//!
//! What a number promises: whoever has a document with serial N has every change up to N. So it
//! is always read before the document, which can only be newer.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectList;
use wheelmark_store::{Seq, Store, StoreError};
use wheelmark_tuf::Sha256;

use crate::read_error::ReadError;
use crate::shelf::{Held, blocking};

/// The member of a list's entries, as PyPI has it.
const LAST_SERIAL: &str = "_last-serial";

/// The serials of all projects, as far as they were asked for.
pub(crate) struct Serials {
    store: Store,
    known: tokio::sync::Mutex<Arc<Known>>,
    list: tokio::sync::Mutex<Option<Numbered>>,
}

/// The list with the serials that it was made with.
struct Numbered {
    of: Sha256,
    last: Seq,
    made: Arc<Held>,
}

/// The serials of all projects at one moment.
#[derive(Clone, Default)]
pub(crate) struct Known {
    last: Seq,
    of: BTreeMap<ProjectName, Seq>,
}

impl Serials {
    pub(crate) fn new(store: Store) -> Serials {
        Serials {
            store,
            known: tokio::sync::Mutex::new(Arc::default()),
            list: tokio::sync::Mutex::new(None),
        }
    }

    /// That of one project.
    pub(crate) async fn of(&self, project: &ProjectName) -> Result<Option<Seq>, StoreError> {
        self.store.serial(project).await
    }

    /// Those of all projects. Only what is new since the last call comes from the database.
    pub(crate) async fn all(&self) -> Result<Arc<Known>, StoreError> {
        let mut known = self.known.lock().await;
        let newer = self.store.serials_after(known.last).await?;
        if !newer.is_empty() {
            let known = Arc::make_mut(&mut known);
            for (project, serial) in newer {
                known.last = known.last.max(serial);
                known.of.insert(project, serial);
            }
        }
        Ok(Arc::clone(&known))
    }

    /// The list of projects with their serials, and the highest. A project whose publication is
    /// not recorded yet has none; it gets one that is higher than all that stand there.
    ///
    /// It is made once for each state, and whoever asks meanwhile waits for that one.
    pub(crate) async fn numbered(
        &self,
        list: &Held,
        known: &Arc<Known>,
    ) -> Result<(Arc<Held>, Seq), ReadError> {
        let (of, last) = (*list.sha256(), known.last);
        let mut kept = self.list.lock().await;
        // A later one than asked for is as good: it has every change up to its own serial.
        if let Some(kept) = kept.as_ref()
            && (kept.last > last || (kept.last, kept.of) == (last, of))
        {
            return Ok((Arc::clone(&kept.made), kept.last));
        }
        let (bytes, known) = (list.bytes().clone(), Arc::clone(known));
        let made = blocking(move || {
            let mut list = ProjectList::parse(&bytes)?;
            for project in &mut list.projects {
                if let Some(serial) = known.of.get(&project.name) {
                    project
                        .extra
                        .insert(LAST_SERIAL.to_owned(), serial.0.into());
                }
            }
            list.meta
                .insert(LAST_SERIAL.to_owned(), known.last.0.into());
            Ok(Arc::new(Held::new(Bytes::from(list.to_json()))))
        })
        .await?;
        *kept = Some(Numbered {
            of,
            last,
            made: Arc::clone(&made),
        });
        Ok((made, last))
    }
}
