//! Metadata, pages and small files in memory, with the compressed forms that were made of them.
//!
//! Every request looks at the object's file first: a shelved copy is used only if the file is
//! still the very one that it was read from. So what is replaced in the tree is seen at once.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;
use wheelmark_objects::{Directory, ObjectError, ObjectPath, OpenObject};
use wheelmark_tuf::Sha256;

use crate::encoding::Coding;
use crate::read_error::ReadError;

/// Most bytes that are kept, all forms together.
pub const SHELF_BYTES: usize = 256 * 1024 * 1024;

/// An object with more bytes than this is not kept, so that it does not push out the others. Each
/// request would have to read, hash and compress it anew; so it is sent as it is, from the disk.
pub const SHELVED_LEN: usize = SHELF_BYTES / 8;

/// Most bytes of small files that are kept, apart from the others, so that many of them push out
/// no page.
const FILES_BYTES: usize = 64 * 1024 * 1024;

/// A file with more bytes than this is not kept: to read it costs little beside sending it.
const SMALL_FILE_LEN: usize = 64 * 1024;

/// Which file a copy was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// An object's bytes, and their other forms as far as someone asked for them.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: Bytes,
    sha256: Sha256,
    gzip: OnceCell<Option<Bytes>>,
    zstd: OnceCell<Option<Bytes>>,
    html: OnceCell<Arc<Held>>,
    sources: OnceCell<Arc<Held>>,
}

impl Held {
    pub(crate) fn new(bytes: Bytes) -> Held {
        Held {
            sha256: Sha256::of(&bytes),
            bytes,
            gzip: OnceCell::new(),
            zstd: OnceCell::new(),
            html: OnceCell::new(),
            sources: OnceCell::new(),
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    /// The bytes in the form asked for, or as they are where that form saves nothing. A form is
    /// made once, whoever asks for it meanwhile.
    pub(crate) async fn encoded(&self, coding: Coding) -> Result<(Coding, Bytes), ReadError> {
        let form = match coding {
            Coding::Identity => return Ok((coding, self.bytes.clone())),
            Coding::Gzip => &self.gzip,
            Coding::Zstd => &self.zstd,
        };
        let made = form
            .get_or_try_init(|| {
                let bytes = self.bytes.clone();
                blocking(move || Ok(coding.encode(&bytes)?))
            })
            .await?;
        Ok(match made {
            Some(encoded) => (coding, encoded.clone()),
            None => (Coding::Identity, self.bytes.clone()),
        })
    }

    /// The HTML that `render` makes of the bytes; made once.
    pub(crate) async fn html(
        &self,
        render: impl FnOnce(&[u8]) -> Result<String, ReadError> + Send + 'static,
    ) -> Result<&Arc<Held>, ReadError> {
        self.rendered(&self.html, render).await
    }

    /// The listing of source archives that `render` makes of the bytes; made once.
    pub(crate) async fn sources(
        &self,
        render: impl FnOnce(&[u8]) -> Result<String, ReadError> + Send + 'static,
    ) -> Result<&Arc<Held>, ReadError> {
        self.rendered(&self.sources, render).await
    }

    async fn rendered<'a>(
        &self,
        form: &'a OnceCell<Arc<Held>>,
        render: impl FnOnce(&[u8]) -> Result<String, ReadError> + Send + 'static,
    ) -> Result<&'a Arc<Held>, ReadError> {
        form.get_or_try_init(|| {
            let bytes = self.bytes.clone();
            blocking(move || Ok(Arc::new(Held::new(Bytes::from(render(&bytes)?)))))
        })
        .await
    }

    /// How many bytes it takes, in all forms that were made.
    pub(crate) fn weight(&self) -> usize {
        let form = |form: &OnceCell<Option<Bytes>>| {
            let made = form.get().and_then(Option::as_ref);
            made.map_or(0, Bytes::len)
        };
        let rendered = |form: &OnceCell<Arc<Held>>| form.get().map_or(0, |made| made.weight());
        let rendered = rendered(&self.html) + rendered(&self.sources);
        self.bytes.len() + form(&self.gzip) + form(&self.zstd) + rendered
    }
}

/// An object that is there.
#[derive(Debug)]
pub(crate) enum Found {
    /// In memory.
    Held(Arc<Held>),
    /// Too large for that.
    Large(OpenObject),
}

impl Found {
    /// All of its bytes; of a large object, from the disk.
    pub(crate) fn into_bytes(self) -> std::io::Result<Bytes> {
        match self {
            Found::Held(held) => Ok(held.bytes().clone()),
            Found::Large(OpenObject { file, len }) => read(file, len),
        }
    }
}

fn read(file: std::fs::File, len: u64) -> std::io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    // An object under its name does not change, so this is all of it.
    file.take(len).read_to_end(&mut bytes)?;
    Ok(Bytes::from(bytes))
}

/// The objects in memory.
#[derive(Debug)]
pub(crate) struct Shelf {
    capacity: usize,
    longest: usize,
    places: Mutex<HashMap<ObjectPath, Place>>,
    ticks: AtomicUsize,
}

#[derive(Debug)]
struct Place {
    stamp: Stamp,
    held: Arc<Held>,
    used: usize,
}

impl Shelf {
    pub(crate) fn new() -> Shelf {
        Shelf::with_capacity(SHELF_BYTES, SHELVED_LEN)
    }

    /// A shelf for distribution files.
    pub(crate) fn of_files() -> Shelf {
        Shelf::with_capacity(FILES_BYTES, SMALL_FILE_LEN)
    }

    fn with_capacity(capacity: usize, longest: usize) -> Shelf {
        Shelf {
            capacity,
            longest,
            places: Mutex::new(HashMap::new()),
            ticks: AtomicUsize::new(0),
        }
    }

    /// The object at `path` as it is in the tree now; none if it is not there.
    ///
    /// # Errors
    ///
    /// [`ObjectError::TooLarge`] if it has more than `max_len` bytes.
    pub(crate) async fn get(
        &self,
        tree: &Directory,
        path: &ObjectPath,
        max_len: u64,
    ) -> Result<Option<Found>, ReadError> {
        let Some(OpenObject { file, len }) = tree.open_object_here(path)? else {
            self.forget(path);
            return Ok(None);
        };
        if len > max_len {
            return Err(ReadError::Object(ObjectError::TooLarge {
                path: path.clone(),
                length: len,
                limit: max_len,
            }));
        }
        if len > self.longest as u64 {
            return Ok(Some(Found::Large(OpenObject { file, len })));
        }
        let stamp = Stamp::of(&file.metadata()?);
        if let Some(held) = self.look_up(path, stamp) {
            return Ok(Some(Found::Held(held)));
        }
        let held = blocking(move || Ok(Arc::new(Held::new(read(file, len)?)))).await?;
        Ok(Some(Found::Held(self.keep(path, stamp, held))))
    }

    fn look_up(&self, path: &ObjectPath, stamp: Stamp) -> Option<Arc<Held>> {
        let now = self.tick();
        let mut places = self.lock();
        let place = places.get_mut(path).filter(|place| place.stamp == stamp)?;
        place.used = now;
        Some(Arc::clone(&place.held))
    }

    /// Keeps a copy, and lets the longest unused ones go until all fit. If someone else has kept
    /// one meanwhile, that is the one to use: its forms need not be made a second time.
    fn keep(&self, path: &ObjectPath, stamp: Stamp, held: Arc<Held>) -> Arc<Held> {
        let used = self.tick();
        let mut places = self.lock();
        if let Some(place) = places.get(path).filter(|place| place.stamp == stamp) {
            return Arc::clone(&place.held);
        }
        let place = Place {
            stamp,
            held: Arc::clone(&held),
            used,
        };
        places.insert(path.clone(), place);
        let mut weight: usize = places.values().map(|place| place.held.weight()).sum();
        if weight <= self.capacity {
            return held;
        }
        let mut by_use: Vec<(usize, ObjectPath, usize)> = places
            .iter()
            .map(|(path, place)| (place.used, path.clone(), place.held.weight()))
            .collect();
        by_use.sort_unstable();
        // A little more than needed, so that the next one does not have to look again.
        let enough = self.capacity - self.capacity / 8;
        for (_, path, freed) in by_use {
            if weight <= enough {
                break;
            }
            places.remove(&path);
            weight -= freed;
        }
        held
    }

    fn forget(&self, path: &ObjectPath) {
        self.lock().remove(path);
    }

    fn tick(&self) -> usize {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectPath, Place>> {
        // A copy is inserted or removed whole, so a panic elsewhere leaves the map sound.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(ReadError::Stopped))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;

    fn held(found: Option<Found>) -> Arc<Held> {
        match found.unwrap() {
            Found::Held(held) => held,
            Found::Large(object) => panic!("{object:?} is not held"),
        }
    }

    fn metadata(version: u64) -> ObjectPath {
        ObjectPath::metadata(&wheelmark_tuf::RoleName::snapshot(), version)
    }

    #[tokio::test]
    async fn a_replaced_object_is_seen_at_once() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let lock = tree.lock().await.unwrap();
        let shelf = Shelf::new();
        let path = ObjectPath::timestamp();
        assert!(shelf.get(&tree, &path, 100).await.unwrap().is_none());
        for content in ["one", "two", "six"] {
            let bytes = Bytes::from_static(content.as_bytes());
            tree.replace(&lock, &path, bytes).await.unwrap();
            for _ in 0..2 {
                let held = held(shelf.get(&tree, &path, 100).await.unwrap());
                assert_eq!(held.bytes(), content);
                assert_eq!(*held.sha256(), Sha256::of(content.as_bytes()));
            }
        }
        std::fs::remove_file(tree.local_path(&path)).unwrap();
        assert!(shelf.get(&tree, &path, 100).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_unchanged_object_is_read_and_compressed_once() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let shelf = Shelf::new();
        let bytes = Bytes::from(vec![b' '; 10_000]);
        tree.create(&metadata(1), bytes).await.unwrap();
        let first = shelf.get(&tree, &metadata(1), 10_000).await;
        let second = shelf.get(&tree, &metadata(1), 10_000).await;
        let (first, second) = (held(first.unwrap()), held(second.unwrap()));
        assert!(Arc::ptr_eq(&first, &second));
        let (coding, one) = first.encoded(Coding::Zstd).await.unwrap();
        let (_, two) = second.encoded(Coding::Zstd).await.unwrap();
        assert_eq!(coding, Coding::Zstd);
        assert_eq!(one.as_ptr(), two.as_ptr());
    }

    #[tokio::test]
    async fn an_object_over_the_limit_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let shelf = Shelf::new();
        tree.create(&metadata(1), Bytes::from_static(b"12345"))
            .await
            .unwrap();
        assert!(shelf.get(&tree, &metadata(1), 5).await.unwrap().is_some());
        let refused = shelf.get(&tree, &metadata(1), 4).await;
        assert!(
            matches!(
                refused,
                Err(ReadError::Object(ObjectError::TooLarge { .. }))
            ),
            "{refused:?}"
        );
    }

    #[tokio::test]
    async fn what_is_too_large_to_keep_is_not_read() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let shelf = Shelf::with_capacity(1000, 1000);
        for (version, len) in [(1, 1000), (2, 1001)] {
            let bytes = Bytes::from(vec![b' '; len]);
            tree.create(&metadata(version), bytes).await.unwrap();
        }
        held(shelf.get(&tree, &metadata(1), 2000).await.unwrap());
        let large = shelf.get(&tree, &metadata(2), 2000).await.unwrap();
        assert!(
            matches!(large, Some(Found::Large(OpenObject { len: 1001, .. }))),
            "{large:?}"
        );
    }

    #[tokio::test]
    async fn readers_at_the_same_time_share_one_copy() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let shelf = Shelf::new();
        let path = metadata(1);
        tree.create(&path, Bytes::from(vec![b' '; 10_000]))
            .await
            .unwrap();
        let get = || async { held(shelf.get(&tree, &path, 10_000).await.unwrap()) };
        let (one, two) = tokio::join!(get(), get());
        assert!(Arc::ptr_eq(&one, &two));
    }

    #[tokio::test]
    async fn the_longest_unused_go_first() {
        let root = tempfile::tempdir().unwrap();
        let tree = Directory::open(root.path()).await.unwrap();
        let shelf = Shelf::with_capacity(4000, 4000);
        for version in 1..=4 {
            let bytes = Bytes::from(vec![b'0' + u8::try_from(version).unwrap(); 1000]);
            tree.create(&metadata(version), bytes).await.unwrap();
            shelf.get(&tree, &metadata(version), 1000).await.unwrap();
        }
        shelf.get(&tree, &metadata(1), 1000).await.unwrap();
        tree.create(&metadata(5), Bytes::from(vec![b'5'; 900]))
            .await
            .unwrap();
        shelf.get(&tree, &metadata(5), 1000).await.unwrap();
        let mut left: Vec<ObjectPath> = shelf.lock().keys().cloned().collect();
        left.sort();
        assert_eq!(left, [metadata(1), metadata(4), metadata(5)]);
    }
}
