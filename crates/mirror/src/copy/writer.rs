//! Objects on their way into the tree, made durable many at a time.
//!
//! *A page that is in place says that its files are.* That has to hold after a power failure as
//! well, and a flush of its own for every file and every new directory would make a first copy
//! wait for nothing but the disk. So the order is kept by few flushes of everything, one after
//! the other, while more comes in:
//!
//! ```text
//!            staged meanwhile       flush n            flush n+1             flush n+2
//!  files     contents written ────▶ contents durable ▶ names durable
//!                                   then: named     │
//!  pages     contents written ────▶ contents durable│▶ then: named ────────▶ names durable
//! ```
//!
//! - Contents are durable before a name is given (`wheelmark_objects::Delivery` sees to it): a
//!   file that is there with its length is the right one.
//! - A page is put behind its files. It was staged with them or later, so the flush that makes its
//!   contents durable is followed by the names of all its files, and its own name is given
//!   only when one more flush has returned. A power failure can lose a page whose files are there,
//!   never the other way round.
//! - What was there when the run began was flushed then (`run`): a process that was killed may have
//!   named files that no flush followed.
//! - [`Writer::all_named`] hands out the names that no flush has followed as yet. Publishing
//!   flushes those before the timestamp (`publish`).
//!
//! A kill loses no more than what had no name yet.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use wheelmark_objects::{Delivery, ObjectError, ObjectPath, Ready, Staged, Unsettled};

use super::error::CopyError;
use super::{Observer, Step};

/// Most objects that wait in memory to be written, and most that are written at once.
const TOGETHER: usize = 256;

/// Most bytes that wait in memory to be written, unless one object alone has more.
const BYTES_TOGETHER: usize = 64 << 20;

/// From so many objects on a flush is begun, if none is under way...
const FLUSHED_OBJECTS: usize = 512;

/// ...or from so many bytes on: the disk is to work while the network does...
const FLUSHED_BYTES: u64 = 32 << 20;

/// ...or after this time, so that a run that is killed has lost no more of it.
const FLUSHED_AFTER: Duration = Duration::from_secs(1);

/// What is to be done.
enum Order {
    Put(Put),
    /// Nothing more comes for now: everything is to get its name, and whoever asks waits.
    NameAll(oneshot::Sender<Unsettled>),
}

/// An object to be created.
struct Put {
    path: ObjectPath,
    content: Content,
    is_page: bool,
}

enum Content {
    /// With its share of [`BYTES_TOGETHER`], given back when they are written.
    Bytes(Bytes, OwnedSemaphorePermit),
    File(NamedTempFile),
}

/// Creates objects, pages behind their files.
pub(super) struct Writer {
    queue: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    failed: Arc<OnceLock<Arc<ObjectError>>>,
    task: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start(delivery: Delivery, observer: Observer) -> Self {
        let (queue, mut orders) = mpsc::channel(TOGETHER);
        let failed = Arc::new(OnceLock::new());
        let (room, said) = (
            Arc::new(Semaphore::new(BYTES_TOGETHER)),
            Arc::clone(&failed),
        );
        let mut work = Work::new(delivery, observer);
        let task = tokio::spawn(async move {
            // Said before the queue is closed: whoever finds it closed finds out why.
            if let Err(error) = work.all(&mut orders).await {
                said.get_or_init(|| Arc::new(error));
            }
        });
        Self {
            queue,
            room,
            failed,
            task,
        }
    }

    /// Takes a file, or what belongs to it, as soon as there is room for it in memory.
    pub(super) async fn put(&self, path: ObjectPath, bytes: Bytes) -> Result<(), CopyError> {
        self.take(path, bytes, false).await
    }

    /// Takes a page, whose files were all put before it or were there when the run began.
    pub(super) async fn put_page(&self, path: ObjectPath, bytes: Bytes) -> Result<(), CopyError> {
        self.take(path, bytes, true).await
    }

    /// Takes a file that was written in the tree's incoming directory.
    pub(super) async fn put_file(
        &self,
        path: ObjectPath,
        file: NamedTempFile,
    ) -> Result<(), CopyError> {
        let content = Content::File(file);
        let is_page = false;
        self.order(Order::Put(Put {
            path,
            content,
            is_page,
        }))
        .await
    }

    /// Waits until everything that was put has its name, and hands out the names that the power
    /// may still take.
    pub(super) async fn all_named(&self) -> Result<Unsettled, CopyError> {
        let (done, named) = oneshot::channel();
        self.order(Order::NameAll(done)).await?;
        named.await.map_err(|_| self.stopped())
    }

    async fn take(&self, path: ObjectPath, bytes: Bytes, is_page: bool) -> Result<(), CopyError> {
        let share = u32::try_from(bytes.len().min(BYTES_TOGETHER)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(share).await;
        let content = Content::Bytes(bytes, room.map_err(|_| CopyError::Stopped)?);
        self.order(Order::Put(Put {
            path,
            content,
            is_page,
        }))
        .await
    }

    async fn order(&self, order: Order) -> Result<(), CopyError> {
        self.queue.send(order).await.map_err(|_| self.stopped())
    }

    /// Why nothing is written any more.
    fn stopped(&self) -> CopyError {
        let failed = self.failed.get().cloned();
        failed.map_or(CopyError::Stopped, CopyError::Local)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Objects whose contents are written and wait for a flush.
#[derive(Default)]
struct Stock {
    files: Staged,
    pages: Staged,
    bytes: u64,
    since: Option<Instant>,
}

/// What one flush leaves for the next one.
#[derive(Default)]
struct Wake {
    /// Pages whose contents are durable; the names of their files are among `unsettled`.
    pages: Ready,
    unsettled: Unsettled,
}

/// What is done in the background.
struct Work {
    delivery: Delivery,
    observer: Observer,
    stock: Stock,
    /// None while a flush is under way.
    wake: Option<Wake>,
    /// The flush under way, ended with this value.
    flight: JoinSet<Result<Wake, ObjectError>>,
    /// Since when no flush is under way.
    idle: Instant,
    asked: Option<oneshot::Sender<Unsettled>>,
}

impl Work {
    fn new(delivery: Delivery, observer: Observer) -> Self {
        Self {
            delivery,
            observer,
            stock: Stock::default(),
            wake: Some(Wake::default()),
            flight: JoinSet::new(),
            idle: Instant::now(),
            asked: None,
        }
    }

    /// Writes what comes until nothing comes any more. Whoever waits hears of an error when this
    /// ends.
    async fn all(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), ObjectError> {
        loop {
            self.answer();
            let due = self.due();
            tokio::select! {
                order = orders.recv(), if self.asked.is_none() => match order {
                    Some(order) => self.stage(order, orders).await?,
                    None => return Ok(()),
                },
                Some(ended) = self.flight.join_next() => match ended {
                    Ok(wake) => {
                        self.wake = Some(wake?);
                        self.idle = Instant::now();
                    }
                    Err(stopped) => match stopped.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return Err(ObjectError::Stopped),
                    },
                },
                () = tokio::time::sleep_until(due.unwrap_or(self.idle)), if due.is_some() => {
                    self.fly();
                }
            }
        }
    }

    /// Says that everything has its name, if it has and somebody waits for that.
    fn answer(&mut self) {
        let is_empty = self.stock.files.is_empty() && self.stock.pages.is_empty();
        if let Some(wake) = self.wake.as_mut()
            && is_empty
            && wake.pages.is_empty()
            && let Some(asked) = self.asked.take()
        {
            // Whoever asked may have gone.
            drop(asked.send(std::mem::take(&mut wake.unsettled)));
        }
    }

    /// When the next flush is to begin; `None` while one is under way, or for nothing.
    fn due(&self) -> Option<Instant> {
        let wake = self.wake.as_ref()?;
        let count = self.stock.files.len() + self.stock.pages.len();
        let is_much = count >= FLUSHED_OBJECTS || self.stock.bytes >= FLUSHED_BYTES;
        if is_much || self.asked.is_some() {
            return Some(self.idle);
        }
        let held = (!wake.pages.is_empty()).then_some(self.idle);
        let since = self.stock.since.or(held)?;
        Some(since + FLUSHED_AFTER)
    }

    /// Begins a flush of what is here; more is staged while it goes on.
    fn fly(&mut self) {
        if let Some(wake) = self.wake.take() {
            let stock = std::mem::take(&mut self.stock);
            let flight = flush(self.delivery.clone(), self.observer.clone(), stock, wake);
            self.flight.spawn(flight);
        }
    }

    /// Writes the contents of what has come.
    async fn stage(
        &mut self,
        first: Order,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Result<(), ObjectError> {
        let (mut files, mut pages, mut room) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Put(Put {
                    path,
                    content,
                    is_page,
                }) => match content {
                    Content::Bytes(bytes, share) => {
                        self.stock.bytes += bytes.len() as u64;
                        room.push(share);
                        let kind = if is_page { &mut pages } else { &mut files };
                        kind.push((path, bytes));
                    }
                    Content::File(file) => {
                        let length = file.as_file().metadata().map_or(0, |file| file.len());
                        self.stock.bytes += length;
                        let staged = self.delivery.stage_file(&path, file).await?;
                        self.stock.files.extend(staged);
                    }
                },
                Order::NameAll(asked) => self.asked = Some(asked),
            }
            let goes_on = files.len() + pages.len() < TOGETHER && self.asked.is_none();
            next = if goes_on {
                orders.try_recv().ok()
            } else {
                None
            };
        }
        self.stock.since.get_or_insert_with(Instant::now);
        self.stock.files.extend(self.delivery.stage(files).await?);
        self.stock.pages.extend(self.delivery.stage(pages).await?);
        drop(room);
        Ok(())
    }
}

/// One flush, and the names that can be given after it.
async fn flush(
    delivery: Delivery,
    observer: Observer,
    stock: Stock,
    wake: Wake,
) -> Result<Wake, ObjectError> {
    observer.see(Step::Flush);
    let staged = [stock.files, stock.pages];
    let [files, pages] = delivery.flush(staged, wake.unsettled).await?;
    // The names of their files were given before this flush began.
    let mut unsettled = Unsettled::default();
    if !wake.pages.is_empty() {
        observer.see(Step::Pages);
        unsettled.extend(named(&delivery, wake.pages).await?);
    }
    if !files.is_empty() {
        observer.see(Step::Objects);
        unsettled.extend(named(&delivery, files).await?);
    }
    Ok(Wake { pages, unsettled })
}

/// Gives names that nothing else has: what stood there and was wrong was taken away.
async fn named(delivery: &Delivery, ready: Ready) -> Result<Unsettled, ObjectError> {
    let named = delivery.name(ready).await?;
    match named.different.paths().next() {
        Some(path) => Err(ObjectError::Different { path: path.clone() }),
        None => Ok(named.unsettled),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Mutex;

    use futures::FutureExt as _;
    use wheelmark_objects::Directory;
    use wheelmark_tuf::Sha256;

    use super::*;

    fn quiet(tree: &Directory) -> Writer {
        Writer::start(tree.delivery().unwrap(), Observer(Arc::new(|_| ())))
    }

    fn page(content: &[u8]) -> ObjectPath {
        ObjectPath::page(&"demo".parse().unwrap(), &Sha256::of(content))
    }

    fn file(content: &[u8]) -> ObjectPath {
        let sha256 = Sha256::of(content);
        ObjectPath::file(&"demo".parse().unwrap(), &sha256, "demo-1.0.tar.gz").unwrap()
    }

    #[tokio::test]
    async fn memory_holds_so_many_bytes_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(folder.path()).await.unwrap();
        let writer = quiet(&tree);
        let put = |number: u64| {
            let bytes = Bytes::from(vec![0; 4 << 20]);
            writer.put(page(&number.to_be_bytes()), bytes)
        };
        // Nothing is written while nothing is waited for.
        for number in 0..16 {
            put(number).now_or_never().unwrap().unwrap();
        }
        assert!(put(16).now_or_never().is_none());
        put(16).await.unwrap();
        // One object alone may have more than all of the room.
        let large = Bytes::from(vec![0; BYTES_TOGETHER + 1]);
        writer.put(page(b"large"), large).await.unwrap();
        drop(writer.all_named().await.unwrap());
        for number in 0..17_u64 {
            assert!(tree.exists(&page(&number.to_be_bytes())).await.unwrap());
        }
        assert!(tree.exists(&page(b"large")).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_put_has_its_name_soon_though_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(folder.path()).await.unwrap();
        let writer = quiet(&tree);
        let (file, page) = (file(b"a"), page(b"a"));
        writer.put(file.clone(), "a".into()).await.unwrap();
        writer.put_page(page.clone(), "a".into()).await.unwrap();
        while !tree.exists(&page).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(tree.exists(&file).await.unwrap());
    }

    #[tokio::test]
    async fn a_fault_of_the_tree_is_told_to_all_that_come_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(folder.path()).await.unwrap();
        let writer = quiet(&tree);
        let taken = file(b"a");
        tree.create(&taken, "other".into()).await.unwrap();
        writer.put(taken, "a".into()).await.unwrap();
        writer.put_page(page(b"a"), "a".into()).await.unwrap();
        for _ in 0..2 {
            let error = writer.all_named().await.unwrap_err();
            let CopyError::Local(error) = error else {
                panic!("{error:?}");
            };
            assert!(matches!(*error, ObjectError::Different { .. }), "{error:?}");
        }
        assert!(!tree.exists(&page(b"a")).await.unwrap());
    }

    /// What stood in the tree before the last flush that has returned: as much as a power failure
    /// leaves at least.
    #[tokio::test]
    async fn a_page_is_named_when_its_files_survive_a_power_failure() {
        // One page after the other, each with its own file: put apart, so that flushes lie
        // between them in every way.
        for apart in [0, 1, 3, 40] {
            let folder = tempfile::tempdir().unwrap();
            let tree = Directory::open(folder.path()).await.unwrap();
            let (seen, root) = (
                Arc::new(Mutex::new(Seen::default())),
                folder.path().to_owned(),
            );
            let observed = Arc::clone(&seen);
            let observer = Observer(Arc::new(move |step| {
                observed.lock().unwrap().look(step, &root);
            }));
            let writer = Writer::start(tree.delivery().unwrap(), observer);
            for number in 0..30_u64 {
                let content = [apart, number].map(u64::to_be_bytes).concat();
                let bytes = Bytes::from(content.clone());
                writer.put(file(&content), bytes.clone()).await.unwrap();
                writer.put_page(page(&content), bytes).await.unwrap();
                if apart > 0 && number % apart == 0 {
                    drop(writer.all_named().await.unwrap());
                }
            }
            drop(writer.all_named().await.unwrap());
            let mut seen = seen.lock().unwrap();
            seen.look(Step::Timestamp, folder.path());
            assert!(seen.looked > 3, "{}", seen.looked);
        }
    }

    #[derive(Default)]
    struct Seen {
        looked: usize,
        flushing: Option<Vec<String>>,
        durable: Vec<String>,
    }

    impl Seen {
        fn look(&mut self, step: Step, root: &std::path::Path) {
            self.looked += 1;
            if let Some(flushed) = self.flushing.take() {
                self.durable = flushed;
            }
            let names = |family: &str| -> Vec<String> {
                let folder = std::fs::read_dir(root.join("targets").join(family).join("demo"));
                let entries = folder.into_iter().flatten().flatten();
                let names = entries.map(|entry| entry.file_name().into_string().unwrap());
                // Files and pages of one digest belong together here.
                names.map(|name| name[..64].to_owned()).collect()
            };
            let files = names("packages");
            for page in names("simple") {
                assert!(self.durable.contains(&page), "{step:?}: {page}");
            }
            if step == Step::Flush {
                self.flushing = Some(files);
            }
        }
    }
}
