//! Small files that are fetched before an installer asks for them.
//!
//! An installer that was started is busy with itself for a while: it looks at its interpreter, reads pages and
//! decides. What it is going to ask for can be had meanwhile. Nothing but time depends on it: whoever asks goes
//! through every check all the same, and gets what came of the one request, bytes of the signed digest or the
//! failure. Of what nobody asks for, nobody hears.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_tuf::Sha256;

use crate::refusal::Failure;

/// The longest file that is fetched ahead, in bytes: most wheels without compiled code are shorter, and one
/// that turns out not to be wanted costs no more than a picture on a web page.
pub(crate) const MAX_AHEAD_LEN: u64 = 256 * 1024;

/// What is fetched ahead in a whole run, in bytes, whether or not it is wanted. It bounds the memory as well.
const ROOM: u64 = 16 << 20;

/// The files of one run that are there, or on their way. Closed, it takes nothing in and remembers nothing.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Mutex<Option<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// By digest; `None` for one that was asked for.
    files: HashMap<Sha256, Option<Slot>>,
    begun: u64,
}

/// Held by whoever fetches the file, so that whoever asks for it waits.
type Slot = Arc<tokio::sync::Mutex<Option<Fetched>>>;

/// What came of the request for a file.
type Fetched = Result<Bytes, Failure>;

impl Ahead {
    /// Begins to take files in.
    pub(crate) fn open(&self) {
        self.held().get_or_insert_default();
    }

    /// Where to put the bytes of this digest; `None` if they were asked for, are on their way already, or have
    /// no room.
    pub(crate) fn begin(
        &self,
        sha256: &Sha256,
        length: u64,
    ) -> Option<OwnedMutexGuard<Option<Fetched>>> {
        let mut held = self.held();
        let open = held.as_mut()?;
        let begun = open.begun.saturating_add(length);
        if length > MAX_AHEAD_LEN || begun > ROOM || open.files.contains_key(sha256) {
            return None;
        }
        let slot = Slot::default();
        let place = slot.clone().try_lock_owned().ok()?;
        open.begun = begun;
        open.files.insert(*sha256, Some(slot));
        Some(place)
    }

    /// What came of the request for this digest, if there was one ahead; waits for it if it is under way. It is
    /// given once, and held against the length that is signed now: another state may list it since.
    pub(crate) async fn take(&self, sha256: &Sha256, length: u64) -> Option<Fetched> {
        let slot = self.held().as_mut()?.files.insert(*sha256, None)??;
        let fetched = slot.lock().await.take()?;
        Some(fetched.and_then(|bytes| match bytes.len() as u64 {
            found if found == length => Ok(bytes),
            found => Err(Failure::Length {
                expected: length,
                found,
            }),
        }))
    }

    fn held(&self) -> MutexGuard<'_, Option<Open>> {
        // Every change is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file that an installer asks for as a rule, where any version will do: of the newest version that is neither
/// yanked nor a pre-release, the wheel for every machine.
pub(crate) fn likely(page: &ProjectPage) -> Option<&PageFile> {
    const FOR_EVERY_MACHINE: &str = "py3-none-any.whl";
    let files = page.files.iter();
    let wanted =
        files.filter(|file| !file.yanked.is_yanked() && !file.filename.version().any_prerelease());
    let newest = wanted.clone().map(|file| file.filename.version()).max()?;
    let mut of_it = wanted.filter(|file| file.filename.version() == newest);
    of_it.find(|file| file.filename.as_str().ends_with(FOR_EVERY_MACHINE))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use wheelmark_packaging::simple::Yanked;

    use super::*;

    #[tokio::test]
    async fn what_is_on_its_way_is_waited_for_and_given_once() {
        let ahead = Ahead::default();
        let sha256 = Sha256::of(b"wheel");
        assert!(ahead.begin(&sha256, 5).is_none(), "it is closed");
        assert!(ahead.take(&sha256, 5).await.is_none());
        ahead.open();
        let mut place = ahead.begin(&sha256, 5).unwrap();
        assert!(ahead.begin(&sha256, 5).is_none(), "it is on its way");
        let fetching = async {
            tokio::task::yield_now().await;
            *place = Some(Ok(Bytes::from_static(b"wheel")));
            drop(place);
        };
        let (taken, ()) = tokio::join!(ahead.take(&sha256, 5), fetching);
        assert_eq!(taken.unwrap().unwrap(), &b"wheel"[..]);
        assert!(ahead.take(&sha256, 5).await.is_none(), "it was given");
        assert!(ahead.begin(&sha256, 5).is_none(), "it was asked for");
    }

    #[tokio::test]
    async fn what_was_broken_off_or_asked_for_is_left_to_whoever_asks() {
        let ahead = Ahead::default();
        ahead.open();
        let sha256 = Sha256::of(b"wheel");
        drop(ahead.begin(&sha256, 5).unwrap());
        assert!(ahead.take(&sha256, 5).await.is_none());
        let asked = Sha256::of(b"asked for first");
        assert!(ahead.take(&asked, 5).await.is_none());
        assert!(ahead.begin(&asked, 5).is_none());
    }

    #[tokio::test]
    async fn what_is_listed_with_another_length_by_now_is_not_handed_on() {
        let ahead = Ahead::default();
        ahead.open();
        for length in [4, 6] {
            let sha256 = Sha256::of(&[length]);
            let mut place = ahead.begin(&sha256, 5).unwrap();
            *place = Some(Ok(Bytes::from_static(b"wheel")));
            drop(place);
            let taken = ahead.take(&sha256, length.into()).await.unwrap();
            let refused = matches!(taken, Err(Failure::Length { found: 5, .. }));
            assert!(refused, "{taken:?}");
        }
    }

    #[test]
    fn there_is_room_for_so_much() {
        let ahead = Ahead::default();
        ahead.open();
        let digest = |n: u64| Sha256::of(&n.to_le_bytes());
        assert!(ahead.begin(&digest(0), MAX_AHEAD_LEN + 1).is_none());
        let fit = (1..=100).filter(|n| ahead.begin(&digest(*n), MAX_AHEAD_LEN).is_some());
        assert_eq!(fit.count() as u64, ROOM / MAX_AHEAD_LEN);
    }

    #[test]
    fn the_likely_file_is_the_newest_wheel_for_every_machine() {
        let check = |names: &[&str], yanked: &[&str], expected: Option<&str>| {
            let mut page = ProjectPage::new("demo".parse().unwrap());
            for name in names {
                let filename = name.parse().unwrap();
                let mut file = PageFile::new(&page.name, filename, Default::default());
                if yanked.contains(name) {
                    file.yanked = Yanked::Because("broken".to_owned());
                }
                page.files.push(file);
            }
            let found = likely(&page).map(|file| file.filename.as_str());
            assert_eq!(found, expected, "{names:?} {yanked:?}");
        };
        let (one, two) = ("demo-1.0-py3-none-any.whl", "demo-2.0-py2.py3-none-any.whl");
        check(&[], &[], None);
        check(&[one], &[], Some(one));
        check(&[two, one], &[], Some(two));
        check(&["demo-2.0.tar.gz", two, one], &[], Some(two));
        check(&[one, two], &[two], Some(one));
        check(&[one, "demo-3.0rc1-py3-none-any.whl"], &[], Some(one));
        // Of the newest there is none: which of the others is wanted is not known.
        check(&[one, "demo-2.0.tar.gz"], &[], None);
        check(
            &[one, "demo-2.0-cp311-cp311-manylinux_2_17_x86_64.whl"],
            &[],
            None,
        );
    }
}
