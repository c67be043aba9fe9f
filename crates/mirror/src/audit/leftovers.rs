//! Files of which only one side speaks: a page without the file's own role, or a role without
//! the page. Their names were not kept, so the roles are gone through once more for them. In an
//! index that agrees with itself there are none.

use wheelmark_objects::ObjectPath;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::ProjectPage;
use wheelmark_tuf::{TrustedSet, Visited};

use super::{Auditor, Side, hashed, held};
use crate::findings::Trouble;
use crate::listed::Listed;
use crate::place::Place;

pub(super) fn explain<P: Place>(auditor: &Auditor<'_, P>, set: &TrustedSet) {
    if held(&auditor.half).is_empty() {
        return;
    }
    let (mut walk, top) = set.walk();
    let mut visits = vec![top];
    while let Some(visited) = visits.pop() {
        walk.enter(&visited);
        one_role(auditor, &visited);
        // A role that could not be had was told before.
        while let Ok(Some(awaited)) = walk.next() {
            let need = &awaited.fetch().fetch;
            let read = auditor.place.metadata(&need.path, need.max_len);
            match read.ok().flatten().map(|bytes| awaited.open(&bytes)) {
                Some(Ok(visited)) => {
                    visits.push(visited);
                    break;
                }
                _ => walk.pass_by(awaited),
            }
        }
    }
}

fn one_role<P: Place>(auditor: &Auditor<'_, P>, visited: &Visited) {
    for (path, info) in visited.listed() {
        match Listed::of(path, info) {
            Listed::File {
                project, filename, ..
            } => of_role(auditor, &project, &filename),
            Listed::Page {
                project, sha256, ..
            } => {
                let path = ObjectPath::page(&project, &sha256);
                let limit = wheelmark_packaging::simple::MAX_PAGE_LEN as u64;
                let read = auditor.place.object(&path, limit).ok().flatten();
                if let Some(Ok(page)) = read.map(|bytes| ProjectPage::parse(&bytes)) {
                    of_page(auditor, &path, &page);
                }
            }
            Listed::Status { .. } | Listed::Other(_) => {}
        }
    }
}

/// A role lists a file that no page speaks of.
fn of_role<P: Place>(auditor: &Auditor<'_, P>, project: &ProjectName, filename: &str) {
    let Ok(plain) = ObjectPath::plain_file(project, filename) else {
        return;
    };
    // Nothing is known of the files of a page that could not be read, and that was told.
    if held(&auditor.unread).contains(project) || !take(auditor, &plain, Side::Role) {
        return;
    }
    auditor.finding(
        Trouble::Contradiction,
        &plain,
        "its entry in the page of its project",
        "its own role lists it, and the page does not",
    );
}

/// A page lists files that have no target of their own.
fn of_page<P: Place>(auditor: &Auditor<'_, P>, path: &ObjectPath, page: &ProjectPage) {
    for file in &page.files {
        let filename = file.filename.as_str();
        let Ok(plain) = ObjectPath::plain_file(&page.name, filename) else {
            continue;
        };
        if take(auditor, &plain, Side::Page) && auditor.roles_are_whole() {
            auditor.finding(
                Trouble::Contradiction,
                path,
                &format!("a target of its own for {filename}"),
                "the page lists it, and no role does",
            );
        }
    }
}

fn take<P: Place>(auditor: &Auditor<'_, P>, plain: &ObjectPath, side: Side) -> bool {
    let mut half = held(&auditor.half);
    let key = hashed(plain.as_str());
    let is_left = half.get(&key).is_some_and(|half| half.side == side);
    if is_left {
        half.remove(&key);
    }
    is_left
}

impl<P: Place> Auditor<'_, P> {
    /// Whether every role was there: otherwise nobody knows what the others list.
    fn roles_are_whole(&self) -> bool {
        !self.findings.any(Trouble::Metadata)
    }
}
