//! Metadata, pages and small files in memory, with the compressed forms that were made of them.
//!
//! Every request looks at the object's file first: a shelved copy is used only if the file is
//! still the very one that it was read from. So what is replaced in the tree is seen at once.

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;
use wheelmark_objects::{Directory, ObjectError, ObjectPath, OpenObject, Seen};
use wheelmark_tuf::Sha256;

use crate::conditional::EntityTag;
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

/// An object's bytes, and their other forms as far as someone asked for them.
#[derive(Debug)]
pub(crate) struct Held {
    plain: Form,
    sha256: Sha256,
    gzip: OnceCell<Option<Form>>,
    zstd: OnceCell<Option<Form>>,
    html: OnceCell<Arc<Held>>,
    sources: OnceCell<Arc<Held>>,
}

/// What an answer consists of, and the name of exactly that.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) bytes: Bytes,
    pub(crate) tag: Option<EntityTag>,
}

impl Form {
    fn new(bytes: Bytes, of: &Sha256, coding: Coding) -> Form {
        let tag = EntityTag::new(&format!("{of}{}", coding.tag_suffix()));
        Form { bytes, tag }
    }
}

impl Held {
    pub(crate) fn new(bytes: Bytes) -> Held {
        let sha256 = Sha256::of(&bytes);
        Held {
            plain: Form::new(bytes, &sha256, Coding::Identity),
            sha256,
            gzip: OnceCell::new(),
            zstd: OnceCell::new(),
            html: OnceCell::new(),
            sources: OnceCell::new(),
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.plain.bytes
    }

    /// The bytes as they are.
    pub(crate) fn plain(&self) -> &Form {
        &self.plain
    }

    pub(crate) fn sha256(&self) -> &Sha256 {
        &self.sha256
    }

    /// The bytes in the form asked for, or as they are where that form saves nothing. A form is
    /// made once, whoever asks for it meanwhile.
    pub(crate) async fn encoded(&self, coding: Coding) -> Result<(Coding, &Form), ReadError> {
        let Some(form) = self.form(coding) else {
            return Ok((coding, &self.plain));
        };
        let making = form.get_or_try_init(|| {
            let (bytes, sha256) = (self.plain.bytes.clone(), self.sha256);
            let form = move |encoded| Form::new(encoded, &sha256, coding);
            blocking(move || Ok(coding.encode(&bytes)?.map(form)))
        });
        Ok(self.made(coding, making.await?))
    }

    /// The same, if it was made already.
    pub(crate) fn encoded_before(&self, coding: Coding) -> Option<(Coding, &Form)> {
        match self.form(coding) {
            Some(form) => Some(self.made(coding, form.get()?)),
            None => Some((coding, &self.plain)),
        }
    }

    /// Where a form is kept that has to be made.
    fn form(&self, coding: Coding) -> Option<&OnceCell<Option<Form>>> {
        match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(&self.gzip),
            Coding::Zstd => Some(&self.zstd),
        }
    }

    fn made<'a>(&'a self, coding: Coding, made: &'a Option<Form>) -> (Coding, &'a Form) {
        match made {
            Some(form) => (coding, form),
            None => (Coding::Identity, &self.plain),
        }
    }

    /// The HTML that `render` makes of the bytes; made once.
    pub(crate) async fn html(
        &self,
        render: impl FnOnce(&[u8]) -> Result<String, ReadError> + Send + 'static,
    ) -> Result<&Arc<Held>, ReadError> {
        self.rendered(&self.html, render).await
    }

    /// The HTML, if it was made already.
    pub(crate) fn html_before(&self) -> Option<&Arc<Held>> {
        self.html.get()
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
            let bytes = self.plain.bytes.clone();
            blocking(move || Ok(Arc::new(Held::new(Bytes::from(render(&bytes)?)))))
        })
        .await
    }

    /// How many bytes it takes, in all forms that were made.
    pub(crate) fn weight(&self) -> usize {
        let form = |form: &OnceCell<Option<Form>>| {
            let made = form.get().and_then(Option::as_ref);
            made.map_or(0, |form| form.bytes.len())
        };
        let rendered = |form: &OnceCell<Arc<Held>>| form.get().map_or(0, |made| made.weight());
        let rendered = rendered(&self.html) + rendered(&self.sources);
        self.plain.bytes.len() + form(&self.gzip) + form(&self.zstd) + rendered
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
            Found::Large(OpenObject { file, len, .. }) => read(file, len),
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
    seen: Seen,
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
        let too_large = |length| {
            let (path, limit) = (path.clone(), max_len);
            ReadError::Object(ObjectError::TooLarge {
                path,
                length,
                limit,
            })
        };
        if let Some(held) = self.unchanged(tree, path) {
            let length = held.bytes().len() as u64;
            return match length > max_len {
                true => Err(too_large(length)),
                false => Ok(Some(Found::Held(held))),
            };
        }
        let Some(object) = tree.open_object_here(path)? else {
            self.forget(path);
            return Ok(None);
        };
        if object.len > max_len {
            return Err(too_large(object.len));
        }
        if object.len > self.longest as u64 {
            return Ok(Some(Found::Large(object)));
        }
        let OpenObject { file, len, seen } = object;
        let held = blocking(move || Ok(Arc::new(Held::new(read(file, len)?)))).await?;
        Ok(Some(Found::Held(self.keep(path, seen, held))))
    }

    /// The copy of the object at `path`, if there is one, and its file is the one that it was read
    /// from. Waits for nothing.
    pub(crate) fn unchanged(&self, tree: &Directory, path: &ObjectPath) -> Option<Arc<Held>> {
        let used = self.tick();
        let (seen, held) = {
            let mut places = self.lock();
            let place = places.get_mut(path)?;
            place.used = used;
            (place.seen, Arc::clone(&place.held))
        };
        tree.is_as_seen(path, &seen).then_some(held)
    }

    /// Keeps a copy, and lets the longest unused ones go until all fit. If someone else has kept
    /// one meanwhile, that is the one to use: its forms need not be made a second time.
    fn keep(&self, path: &ObjectPath, seen: Seen, held: Arc<Held>) -> Arc<Held> {
        let used = self.tick();
        let mut places = self.lock();
        if let Some(place) = places.get(path).filter(|place| place.seen == seen) {
            return Arc::clone(&place.held);
        }
        let place = Place {
            seen,
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
        assert_eq!(one.bytes.as_ptr(), two.bytes.as_ptr());
        assert!(first.encoded_before(Coding::Zstd).is_some());
        assert!(first.encoded_before(Coding::Gzip).is_none());
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
