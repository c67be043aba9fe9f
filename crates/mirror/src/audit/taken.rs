//! What the index takes away from projects that sign for themselves: copies of their pages are made
//! without it.

use std::collections::HashMap;

use wheelmark_objects::{ObjectPath, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_TAKEN_AWAY_LEN, TakenAway};
use wheelmark_tuf::{Sha256, TrustedSet};

use super::page::Page;
use super::{Auditor, List, with_causes};
use crate::findings::Trouble;
use crate::listed::Listed;
use crate::place::Place;

/// The lists that a state signs for. A role that cannot be had is told of when its turn comes.
pub(super) fn lists<P: Place>(place: &P, set: &TrustedSet) -> HashMap<ProjectName, List> {
    let mut lists = HashMap::new();
    // Any project leads to the role that lists them all.
    let Ok(any) = "x".parse() else { return lists };
    let mut lookup = set.lookup(&status_target(&any));
    while let Some(need) = lookup.need() {
        let read = place.metadata(&need.fetch.path, need.fetch.max_len);
        let Ok(Some(bytes)) = read else { return lists };
        if lookup.supply(bytes.to_vec()).is_err() {
            return lists;
        }
    }
    for visit in lookup.trail() {
        for (path, info) in &visit.targets.targets {
            if let Listed::Status {
                project,
                sha256,
                length,
            } = Listed::of(path, info)
            {
                lists.entry(project).or_insert(List { sha256, length });
            }
        }
    }
    lists
}

impl<P: Place> Auditor<'_, P> {
    /// What is taken away from a page, as far as it is here.
    pub(super) fn taken_away(&self, page: &Page) -> Option<TakenAway> {
        let list = self.lists.get(&page.project).filter(|_| page.is_claimed)?;
        let expected = format!("{} bytes, sha256 {}", list.length, list.sha256);
        let Ok(path) = ObjectPath::status(&page.project, &list.sha256) else {
            let path = ObjectPath::page(&page.project, &page.sha256);
            let found = "the name of its project is too long for that";
            self.finding(Trouble::Contradiction, &path, &expected, found);
            return None;
        };
        let trouble = |trouble, found: &str| self.finding(trouble, &path, &expected, found);
        let bytes = match self.place.object(&path, MAX_TAKEN_AWAY_LEN as u64) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if !self.scope.has_project(&page.project) => return None,
            Ok(None) => {
                trouble(Trouble::Missing, "it is not there");
                return None;
            }
            Err(error) => {
                trouble(Trouble::Unreadable, &with_causes(&error));
                return None;
            }
        };
        self.tally.read(bytes.len() as u64);
        let found = Sha256::of(&bytes);
        if found != list.sha256 || bytes.len() as u64 != list.length {
            let found = format!("{} bytes, sha256 {found}", bytes.len());
            trouble(Trouble::Altered, &found);
            return None;
        }
        match TakenAway::parse(&bytes, &page.project) {
            Ok(list) => Some(list),
            Err(error) => {
                trouble(Trouble::Contradiction, &with_causes(&error));
                None
            }
        }
    }
}
