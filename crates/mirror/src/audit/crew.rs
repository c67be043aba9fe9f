//! The threads of an audit, and what is left to be done.
//!
//! Work is taken from the end: the files of a page before the next page, the pages of a bin
//! before the next bin. So memory is that of what a few bins lead to, however large the index.

use std::sync::{Condvar, Mutex};

use wheelmark_tuf::{Awaited, RoleName, TrustedSet, Visited, Walk, WalkError};

use super::object::Object;
use super::page::Page;
use super::{Auditor, held};
use crate::findings::{Finding, Trouble};
use crate::place::Place;

/// One piece of work.
pub(super) enum Job {
    Role(Box<Awaited>),
    Page(Page),
    Object(Object),
}

/// What is left, and who is at work.
pub(super) struct Work {
    jobs: Vec<Job>,
    pub(super) walk: Walk,
    busy: usize,
    /// A role right below the top-level targets is being opened. Those behind it wait: what it
    /// says may end the search for what they list.
    barred: bool,
    /// The walk cannot go on.
    ended: bool,
}

pub(super) struct Crew {
    pub(super) work: Mutex<Work>,
    changed: Condvar,
}

/// Goes through everything that `set` signs for.
pub(super) fn run<P: Place>(auditor: &Auditor<'_, P>, set: &TrustedSet) {
    let (mut walk, top) = set.walk();
    walk.enter(&top);
    let crew = Crew {
        work: Mutex::new(Work {
            jobs: Vec::new(),
            walk,
            busy: 0,
            barred: false,
            ended: false,
        }),
        changed: Condvar::new(),
    };
    crew.take_listed(auditor, &top);
    std::thread::scope(|scope| {
        for _ in 0..auditor.place.at_once() {
            scope.spawn(|| crew.toil(auditor));
        }
    });
}

impl Crew {
    fn toil<P: Place>(&self, auditor: &Auditor<'_, P>) {
        while let Some(job) = self.next(auditor) {
            let _busy = Busy {
                crew: self,
                of_targets: is_of_targets(&job),
            };
            match job {
                Job::Role(awaited) => auditor.role(*awaited, self),
                Job::Page(page) => {
                    let objects = auditor.page(&page);
                    self.add(objects.into_iter().map(Job::Object));
                }
                Job::Object(object) => auditor.object(&object),
            }
        }
    }

    /// The next piece of work; `None` when everything is done.
    fn next<P: Place>(&self, auditor: &Auditor<'_, P>) -> Option<Job> {
        let mut work = held(&self.work);
        loop {
            if let Some(job) = work.jobs.pop() {
                work.busy += 1;
                return Some(job);
            }
            if !work.barred && !work.ended {
                match work.walk.next() {
                    Ok(Some(awaited)) => {
                        let job = Job::Role(Box::new(awaited));
                        work.busy += 1;
                        work.barred = is_of_targets(&job);
                        return Some(job);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let goes_on = matches!(error, WalkError::NotInSnapshot { .. });
                        auditor.findings.add(Finding::new(
                            Trouble::Metadata,
                            "metadata",
                            "every role that is delegated to, in the snapshot",
                            &super::with_causes(&error),
                        ));
                        if goes_on {
                            continue;
                        }
                        work.ended = true;
                    }
                }
            }
            if work.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            work = self
                .changed
                .wait(work)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    fn add(&self, jobs: impl Iterator<Item = Job>) {
        held(&self.work).jobs.extend(jobs);
        self.changed.notify_all();
    }

    /// What a role lists becomes work.
    pub(super) fn take_listed<P: Place>(&self, auditor: &Auditor<'_, P>, visited: &Visited) {
        let reached: Vec<_> = {
            let work = held(&self.work);
            let listed = visited.listed();
            listed
                .filter(|(path, _)| work.walk.reaches(visited, path))
                .collect()
        };
        let listed = visited.metadata().targets.len() as u64;
        let superseded = listed.saturating_sub(reached.len() as u64);
        let pages: Vec<Page> = auditor.listed(visited.role(), &reached, superseded);
        self.add(pages.into_iter().map(Job::Page));
    }
}

/// Somebody is at work, until this is dropped: also by a panic, for which nobody must wait.
struct Busy<'a> {
    crew: &'a Crew,
    of_targets: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut work = held(&self.crew.work);
        work.busy -= 1;
        if self.of_targets {
            work.barred = false;
        }
        if std::thread::panicking() {
            work.ended = true;
            work.jobs.clear();
        }
        self.crew.changed.notify_all();
    }
}

fn is_of_targets(job: &Job) -> bool {
    matches!(job, Job::Role(awaited) if awaited.fetch().delegator == RoleName::targets())
}
