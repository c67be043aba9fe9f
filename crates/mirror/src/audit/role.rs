//! A delegated role: is it there as it was signed, and what does it list?

use std::sync::atomic::Ordering::Relaxed;

use wheelmark_objects::ObjectPath;
use wheelmark_tuf::{Awaited, RoleName, TargetInfo, TargetPath};

use super::crew::Crew;
use super::page::Page;
use super::tally::Tally;
use super::{Auditor, Half, Side, held, with_causes};
use crate::findings::{Finding, Trouble};
use crate::listed::{Listed, is_of_project};
use crate::place::Place;

impl<P: Place> Auditor<'_, P> {
    pub(super) fn role(&self, awaited: Awaited, crew: &Crew) {
        let fetch = awaited.fetch().clone();
        let (path, limit) = (fetch.fetch.path, fetch.fetch.max_len);
        let trouble = |found: &str| {
            self.findings.add(Finding::new(
                Trouble::Metadata,
                &format!("metadata/{path}"),
                &format!("version {} of {}", fetch.version, fetch.role.as_str()),
                found,
            ));
        };
        let opened = match self.place.metadata(&path, limit) {
            Ok(Some(bytes)) => awaited.open(&bytes).map(|visited| (visited, bytes)),
            Ok(None) => {
                trouble("it is not there");
                return held(&crew.work).walk.pass_by(awaited);
            }
            Err(error) => {
                trouble(&with_causes(&error));
                return held(&crew.work).walk.pass_by(awaited);
            }
        };
        let (visited, bytes) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                trouble(&with_causes(&error));
                return held(&crew.work).walk.pass_by(awaited);
            }
        };
        self.tally.read(bytes.len() as u64);
        Tally::one(&self.tally.roles);
        self.note_expiry(visited.role(), visited.metadata().expires);
        // Before what it lists: whatever ends a search is known then.
        held(&crew.work).walk.enter(&visited);
        crew.take_listed(self, &visited);
    }

    /// Sorts what a role lists: pages to be read, and files, which their pages lead to.
    pub(super) fn listed(
        &self,
        role: &RoleName,
        reached: &[(&TargetPath, &TargetInfo)],
        superseded: u64,
    ) -> Vec<Page> {
        self.tally.superseded.fetch_add(superseded, Relaxed);
        let mut pages = Vec::new();
        for (path, info) in reached {
            match Listed::of(path, info) {
                Listed::Page {
                    project,
                    sha256,
                    sha512,
                    length,
                } => pages.push(Page {
                    project,
                    sha256,
                    sha512,
                    length,
                    is_claimed: is_of_project(role),
                }),
                Listed::File {
                    project,
                    filename,
                    sha256,
                    length,
                } => {
                    let said = Half {
                        side: Side::Role,
                        sha256,
                        length: Some(length),
                    };
                    // The name was checked when the path was read.
                    if let Ok(path) = ObjectPath::plain_file(&project, &filename) {
                        self.compare(&path, said);
                    }
                }
                // Read with the page of its project.
                Listed::Status { .. } => {}
                Listed::Other(_) => Tally::one(&self.tally.other_targets),
            }
        }
        pages
    }
}
