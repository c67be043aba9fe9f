//! The JSON documents that were made of pages, kept for those who ask next.
//!
//! To make one means to parse the page and to render it: for the largest, seconds and hundreds of
//! megabytes. So each is made once for each state of its project, whoever asks meanwhile waits for
//! that one, few are made at a time, and of those that would have to wait for their turn, only so
//! many may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_store::Seq;

use crate::read_error::ReadError;
use crate::shelf::Held;

/// How many pages are turned into documents at once.
const MADE_AT_ONCE: usize = 4;

/// How many documents may wait to be made, besides. Mirrors ask for each document once after it
/// has changed, some ten at a time (bandersnatch's limit is 10 workers).
const WAITING: usize = 64;

/// Most bytes of documents that are kept, all forms together.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Most documents that are kept, so that many small ones, or ones that are not there, are bounded,
/// too.
const KEPT: usize = 4096;

/// Which document: that of a project, or of one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) project: ProjectName,
    pub(crate) version: Option<Version>,
}

/// A document at a serial of its project; none where the page has no such version.
type Made = Option<Arc<Held>>;

struct Place {
    serial: Seq,
    made: Arc<OnceCell<Made>>,
    used: u64,
}

/// The documents that are kept or being made.
pub(crate) struct Documents {
    places: Mutex<Places>,
    waiting: Semaphore,
    making: Semaphore,
}

#[derive(Default)]
struct Places {
    by_key: HashMap<Key, Place>,
    ticks: u64,
}

impl Documents {
    pub(crate) fn new() -> Documents {
        Documents::with_room_for(MADE_AT_ONCE, WAITING)
    }

    fn with_room_for(at_once: usize, waiting: usize) -> Documents {
        Documents {
            places: Mutex::default(),
            waiting: Semaphore::new(at_once + waiting),
            making: Semaphore::new(at_once),
        }
    }

    /// The document for `key` at `serial` or a later one, with that serial. `make` is called, with
    /// the serial, if nobody has made it yet; it begins when it is its turn.
    ///
    /// # Errors
    ///
    /// [`ReadError::Busy`] when too many wait already; otherwise what `make` says.
    pub(crate) async fn get(
        &self,
        key: Key,
        serial: Seq,
        make: impl AsyncFnOnce(Seq) -> Result<Made, ReadError>,
    ) -> Result<(Made, Seq), ReadError> {
        let (cell, serial) = self.place(&key, serial);
        if let Some(made) = cell.get() {
            return Ok((made.clone(), serial));
        }
        let making = cell.get_or_try_init(async || {
            let _waiting = self.waiting.try_acquire().map_err(|_| ReadError::Busy)?;
            let turn = self.making.acquire().await;
            let _turn = turn.map_err(|_| ReadError::Stopped)?;
            make(serial).await
        });
        let made = making.await?.clone();
        self.keep_to_the_limits();
        Ok((made, serial))
    }

    /// Where the document is, or is to be. An older state of the project gives way.
    fn place(&self, key: &Key, serial: Seq) -> (Arc<OnceCell<Made>>, Seq) {
        let mut places = self.lock();
        places.ticks += 1;
        let used = places.ticks;
        if let Some(place) = places.by_key.get_mut(key)
            && place.serial >= serial
        {
            place.used = used;
            return (Arc::clone(&place.made), place.serial);
        }
        let made = Arc::new(OnceCell::new());
        let place = Place {
            serial,
            made: Arc::clone(&made),
            used,
        };
        places.by_key.insert(key.clone(), place);
        (made, serial)
    }

    /// Lets the longest unused documents go until the others fit. One that is being made goes
    /// like any other: those who wait for it still get it.
    fn keep_to_the_limits(&self) {
        let mut places = self.lock();
        let weight: usize = places.by_key.values().map(Place::weight).sum();
        if weight <= KEPT_BYTES && places.by_key.len() <= KEPT {
            return;
        }
        let mut by_use: Vec<(u64, Key, usize)> = places
            .by_key
            .iter()
            .map(|(key, place)| (place.used, key.clone(), place.weight()))
            .collect();
        by_use.sort_unstable_by_key(|(used, ..)| *used);
        // A little more than needed, so that the next one does not have to look again.
        let (mut left, mut count) = (weight, by_use.len());
        for (_, key, weight) in by_use {
            if left <= KEPT_BYTES - KEPT_BYTES / 8 && count <= KEPT - KEPT / 8 {
                break;
            }
            places.by_key.remove(&key);
            left -= weight;
            count -= 1;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        // A place is inserted or removed whole, so a panic elsewhere leaves the map sound.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn weight(&self) -> usize {
        let made = self.made.get().and_then(Option::as_ref);
        made.map_or(0, |held| held.weight())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::sync::Notify;

    use super::*;

    fn key(project: &str) -> Key {
        Key {
            project: project.parse().unwrap(),
            version: None,
        }
    }

    fn document(len: usize) -> Made {
        Some(Arc::new(Held::new(Bytes::from(vec![b' '; len]))))
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_shares_one() {
        let documents = Documents::new();
        let made = AtomicUsize::new(0);
        let get = async || {
            documents
                .get(key("flask"), Seq(1), async |_| {
                    made.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(document(10))
                })
                .await
                .unwrap()
        };
        tokio::join!(get(), get(), get());
        get().await;
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_new_state_is_made_anew_and_an_old_one_is_not_asked_for_again() {
        let documents = Documents::new();
        let get = async |serial| {
            let made = documents.get(key("flask"), Seq(serial), async |Seq(serial)| {
                Ok(document(usize::try_from(serial).unwrap()))
            });
            let (made, serial) = made.await.unwrap();
            (made.unwrap().bytes().len(), serial.0)
        };
        assert_eq!(get(1).await, (1, 1));
        assert_eq!(get(3).await, (3, 3));
        assert_eq!(get(2).await, (3, 3));
    }

    #[tokio::test]
    async fn beyond_those_that_may_wait_nobody_does() {
        let documents = Documents::with_room_for(1, 1);
        let (begun, go_on) = (Notify::new(), Notify::new());
        let slow = documents.get(key("first"), Seq(1), async |_| {
            begun.notify_one();
            go_on.notified().await;
            Ok(document(1))
        });
        let asking = async {
            begun.notified().await;
            let mut second =
                Box::pin(documents.get(key("second"), Seq(1), async |_| Ok(document(2))));
            assert!(futures::poll!(&mut second).is_pending());
            let third = documents.get(key("third"), Seq(1), async |_| Ok(document(3)));
            let third = third.await;
            assert!(matches!(third, Err(ReadError::Busy)), "{third:?}");
            go_on.notify_one();
            second.await.unwrap();
            // What failed is not kept.
            let third = documents.get(key("third"), Seq(1), async |_| Ok(document(3)));
            third.await.unwrap();
        };
        let (slow, ()) = tokio::join!(slow, asking);
        slow.unwrap();
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let documents = Documents::new();
        for n in 0..2 * KEPT {
            let made = documents.get(key(&format!("p{n}")), Seq(1), async |_| Ok(None));
            made.await.unwrap();
        }
        assert!(documents.lock().by_key.len() <= KEPT);
        for n in 0..20 {
            let made = documents.get(key(&format!("large{n}")), Seq(1), async |_| {
                Ok(document(KEPT_BYTES / 10))
            });
            made.await.unwrap();
        }
        let kept: usize = documents.lock().by_key.values().map(Place::weight).sum();
        assert!(kept <= KEPT_BYTES, "{kept}");
        assert!(documents.lock().by_key.contains_key(&key("large19")));
        assert!(!documents.lock().by_key.contains_key(&key("large0")));
    }
}
