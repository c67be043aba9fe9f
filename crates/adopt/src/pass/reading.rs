//! Reading what has to be read, several files at a time.

use std::sync::Arc;

use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc;
use wheelmark_objects::Directory;

use super::compare::Event;
use super::{Choices, Events};
use crate::content::How;
use crate::report::Progress;
use crate::source::Source;

/// Reads what has to be read, several files at a time; the order stays.
pub(super) fn reading(
    mut work: mpsc::Receiver<Event>,
    source: &Source,
    tree: &Arc<Directory>,
    (choices, now): (&Choices, Timestamp),
    progress: &Arc<Progress>,
) -> Events {
    let (source, tree, progress) = (source.clone(), tree.clone(), progress.clone());
    let parallel = choices.parallel.max(1);
    let how = How {
        rehash: choices.rehash,
        settle: choices.settle,
        now,
    };
    let work = futures::stream::poll_fn(move |context| work.poll_recv(context));
    let events = work.map(move |event| {
        let reading = match event {
            Event::ToRead(listed, row) => Ok(tokio::spawn(crate::content::read(
                source.clone(),
                tree.clone(),
                *listed,
                row,
                how,
                progress.clone(),
            ))),
            other => Err(other),
        };
        async move {
            match reading {
                Ok(task) => match task.await {
                    Ok(outcome) => Some(Event::Was(Box::new(outcome))),
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => None,
                },
                Err(event) => Some(event),
            }
        }
    });
    Box::pin(events.buffered(parallel).filter_map(futures::future::ready))
}
