//! Small objects on their way into the tree: many are flushed together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};

use super::error::CopyError;
use super::{Observer, Step};

/// Most objects that are written at once; as many again may wait.
const TOGETHER: usize = 1024;

/// Most bytes that wait or are being written, unless one object alone has more.
const BYTES_TOGETHER: usize = 64 << 20;

/// An object to be created, and who waits for it.
struct Put {
    path: ObjectPath,
    bytes: Bytes,
    done: oneshot::Sender<Result<(), Arc<ObjectError>>>,
    /// Its share of [`BYTES_TOGETHER`], given back when it is written.
    _room: OwnedSemaphorePermit,
}

/// Creates objects, as many at once as have come while the last ones were flushed.
pub(super) struct Writer {
    queue: mpsc::Sender<Put>,
    room: Arc<Semaphore>,
    task: JoinHandle<()>,
}

/// An object that will have its name, durably, or not.
pub(super) struct Written(oneshot::Receiver<Result<(), Arc<ObjectError>>>);

impl Written {
    /// Waits until it has.
    pub(super) async fn done(self) -> Result<(), CopyError> {
        match self.0.await {
            Ok(written) => written.map_err(CopyError::Local),
            Err(_) => Err(CopyError::Stopped),
        }
    }
}

impl Writer {
    pub(super) fn start(tree: Directory, observer: Observer) -> Self {
        let (queue, mut waiting) = mpsc::channel(TOGETHER);
        let task = tokio::spawn(async move {
            while let Some(first) = waiting.recv().await {
                let mut batch = batch_of(first, &mut waiting);
                observer.see(Step::Objects);
                write(&tree, &mut batch).await;
            }
        });
        let room = Arc::new(Semaphore::new(BYTES_TOGETHER));
        Self { queue, room, task }
    }

    /// Takes an object to be created, as soon as there is room for it in memory.
    pub(super) async fn put(&self, path: ObjectPath, bytes: Bytes) -> Result<Written, CopyError> {
        let share = u32::try_from(bytes.len().min(BYTES_TOGETHER)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(share).await;
        let (done, written) = oneshot::channel();
        let put = Put {
            path,
            bytes,
            done,
            _room: room.map_err(|_| CopyError::Stopped)?,
        };
        let sent = self.queue.send(put).await;
        sent.map_err(|_| CopyError::Stopped)?;
        Ok(Written(written))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn batch_of(first: Put, waiting: &mut mpsc::Receiver<Put>) -> Vec<Put> {
    let mut batch = vec![first];
    while batch.len() < TOGETHER {
        let Ok(next) = waiting.try_recv() else { break };
        batch.push(next);
    }
    batch
}

async fn write(tree: &Directory, batch: &mut Vec<Put>) {
    let objects = batch
        .iter()
        .map(|put| (put.path.clone(), put.bytes.clone()));
    let written = match tree.create_all(objects.collect()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Arc::new(error)),
    };
    for put in batch.drain(..) {
        // Whoever asked may have gone.
        drop(put.done.send(written.clone()));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use futures::FutureExt as _;
    use wheelmark_tuf::Sha256;

    use super::*;

    #[tokio::test]
    async fn memory_holds_so_many_bytes_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Directory::open(folder.path()).await.unwrap();
        let writer = Writer::start(tree.clone(), Observer(Arc::new(|_| ())));
        let project = "demo".parse().unwrap();
        let put = |number: u64| {
            let bytes = Bytes::from(vec![0; 4 << 20]);
            let sha256 = Sha256::of(&number.to_be_bytes());
            writer.put(ObjectPath::page(&project, &sha256), bytes)
        };
        // Nothing is written while nothing is waited for.
        let mut put_before = Vec::new();
        for number in 0..16 {
            put_before.push(put(number).now_or_never().unwrap().unwrap());
        }
        assert!(put(16).now_or_never().is_none());
        for written in put_before {
            written.done().await.unwrap();
        }
        put(16).await.unwrap().done().await.unwrap();
        // One object alone may have more than all of the room.
        let large = Bytes::from(vec![0; BYTES_TOGETHER + 1]);
        let path = ObjectPath::page(&project, &Sha256::of(b"large"));
        let written = writer.put(path, large).await.unwrap();
        written.done().await.unwrap();
    }
}
