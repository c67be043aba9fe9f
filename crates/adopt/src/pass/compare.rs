//! Holds what a scan found against what is known.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::Choices;
use crate::content::Outcome;
use crate::known::{Known, KnownError, Row, State};
use crate::listed::{Found, Listed};
use crate::report::Progress;

/// How many findings are compared in one transaction.
const AT_A_TIME: usize = 256;

/// What a finding means.
#[derive(Debug)]
pub(super) enum Event {
    Projects {
        names: Vec<ProjectName>,
        short: Option<String>,
    },
    Read(ProjectName),
    Doubtful(ProjectName),
    Hollow {
        project: ProjectName,
        why: String,
    },
    Unread {
        project: ProjectName,
        why: String,
    },
    Failed {
        project: ProjectName,
        filename: String,
        why: String,
    },
    Cut {
        project: ProjectName,
        why: String,
    },
    Skipped {
        name: String,
        why: String,
    },
    /// A file that looks as it did.
    Unchanged {
        listed: Box<Listed>,
        row: Row,
        looks: Looks,
    },
    /// The source states another digest than the one that was signed.
    OtherDigest {
        listed: Box<Listed>,
        row: Row,
        found: Sha256,
    },
    /// A file that has to be read.
    ToRead(Box<Listed>, Option<Row>),
    /// A file that was read.
    Was(Box<Outcome>),
    /// The memory failed.
    Broke(KnownError),
}

/// How a file looks that has the bytes that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// As it did when it was signed.
    AsSigned,
    /// As the other bytes did that a person decided against.
    AsKept,
    /// Other than before.
    Anew,
}

/// Compares until the scan ends or nobody listens.
pub(super) async fn compare(
    mut found: Receiver<Found>,
    hand_on: Sender<Event>,
    known: Known,
    choices: Choices,
    progress: Arc<Progress>,
) {
    let mut findings = Vec::with_capacity(AT_A_TIME);
    while found.recv_many(&mut findings, AT_A_TIME).await > 0 {
        let names = findings.iter().filter_map(|found| match found {
            Found::File(listed) => Some((&listed.project, listed.filename.as_str())),
            Found::Failed {
                project, filename, ..
            } => Some((project, filename.as_str())),
            Found::Skipped {
                file: Some((project, filename)),
                ..
            } => Some((project, filename.as_str())),
            _ => None,
        });
        let rows = known.see(&names.collect::<Vec<_>>()).await;
        let mut rows = match rows {
            Ok(rows) => rows.into_iter(),
            Err(error) => {
                // Whoever listens ends the pass.
                drop(hand_on.send(Event::Broke(error)).await);
                return;
            }
        };
        for found in findings.drain(..) {
            let event = match found {
                Found::File(listed) => {
                    progress.file();
                    judge(listed, rows.next().flatten(), choices.rehash)
                }
                Found::Failed {
                    project,
                    filename,
                    why,
                } => {
                    // Seen, so that it is not taken away.
                    rows.next();
                    Event::Failed {
                        project,
                        filename,
                        why,
                    }
                }
                Found::Read(project) => {
                    progress.project();
                    Event::Read(project)
                }
                Found::Doubtful(project) => {
                    progress.project();
                    Event::Doubtful(project)
                }
                Found::Unread { project, why } => {
                    progress.project();
                    Event::Unread { project, why }
                }
                Found::Hollow { project, why } => {
                    progress.project();
                    Event::Hollow { project, why }
                }
                Found::Projects { names, short } => Event::Projects { names, short },
                Found::Cut { project, why } => {
                    progress.project();
                    Event::Cut { project, why }
                }
                Found::Skipped {
                    file: None,
                    name,
                    why,
                } => Event::Skipped { name, why },
                Found::Skipped {
                    file: Some((project, filename)),
                    name,
                    why,
                } => match rows.next().flatten() {
                    // What was signed is not taken away because it cannot be read now.
                    Some(row) if row.state == State::Signed => Event::Failed {
                        project,
                        filename,
                        why,
                    },
                    _ => Event::Skipped { name, why },
                },
            };
            if hand_on.send(event).await.is_err() {
                return;
            }
        }
    }
}

fn judge(listed: Box<Listed>, row: Option<Row>, rehash: bool) -> Event {
    let Some(row) = row else {
        return Event::ToRead(listed, None);
    };
    let same = listed.known_by.is_some() && row.known_by == listed.known_by;
    let kept = listed.known_by.is_some() && row.kept_by == listed.known_by;
    match row.state {
        // What was withdrawn stays so, whatever stands there.
        State::Withdrawn => return unchanged(listed, row, Looks::AsSigned),
        State::Signed if kept && !rehash => return unchanged(listed, row, Looks::AsKept),
        State::Signed if same && !rehash => return unchanged(listed, row, Looks::AsSigned),
        State::Signed | State::Removed => {}
    }
    // What is not to be had by its name need not be fetched to know that.
    if let (Some(stated), crate::listed::Place::Remote(_)) = (listed.hashes.sha256(), &listed.place)
    {
        let found = Sha256(*stated.as_bytes());
        if found != row.sha256 {
            return Event::OtherDigest { listed, row, found };
        }
    }
    Event::ToRead(listed, Some(row))
}

fn unchanged(listed: Box<Listed>, row: Row, looks: Looks) -> Event {
    Event::Unchanged { listed, row, looks }
}
