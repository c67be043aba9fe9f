//! Small objects on their way into the tree: many are flushed together.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use wheelmark_objects::{Directory, ObjectError, ObjectPath};

use super::error::CopyError;
use super::{Observer, Step};

/// Most objects that are written at once; as many again may wait.
const TOGETHER: usize = 1024;

/// Most bytes that are written at once, unless one object has more.
const BYTES_TOGETHER: usize = 64 << 20;

/// An object to be created, and who waits for it.
struct Put {
    path: ObjectPath,
    bytes: Bytes,
    done: oneshot::Sender<Result<(), Arc<ObjectError>>>,
}

/// Creates objects, as many at once as have come while the last ones were flushed.
pub(super) struct Writer {
    queue: mpsc::Sender<Put>,
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
        Self { queue, task }
    }

    /// Takes an object to be created.
    pub(super) async fn put(&self, path: ObjectPath, bytes: Bytes) -> Result<Written, CopyError> {
        let (done, written) = oneshot::channel();
        let put = Put { path, bytes, done };
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
    let mut size = first.bytes.len();
    let mut batch = vec![first];
    while batch.len() < TOGETHER && size < BYTES_TOGETHER {
        let Ok(next) = waiting.try_recv() else { break };
        size += next.bytes.len();
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
