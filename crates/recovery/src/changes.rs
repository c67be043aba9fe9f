//! What changed in one project, out of its pages and of what was taken away from it.

use std::collections::BTreeSet;

use wheelmark_packaging::simple::{PageFile, PageMarks, ProjectPage, TakenAway, TakenFile, Yanked};
use wheelmark_tuf::Sha256;

use crate::compare::Differing;
use crate::plan::{Change, Signer, Support, What};

/// Files that a role lists and no page names are told one by one up to this many in a project.
const MOST_TARGETS: usize = 100;

/// The contents of one side, as far as they are there and can be read. What is signed for and missing here
/// says nothing: nobody knows what is in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contents<'a> {
    /// The page.
    pub page: Option<&'a ProjectPage>,
    /// What is taken away.
    pub list: Option<&'a TakenAway>,
}

/// What changed in a project, those of the whole project first, then by file name. Nothing is decided.
///
/// Of what cannot be read in the present state, the change is that the page or the list is another one.
#[must_use]
pub fn changes(differing: &Differing, then: Contents<'_>, now: Contents<'_>) -> Vec<Change> {
    let mut found = Found {
        differing,
        changes: Vec::new(),
    };
    found.pages(then.page, now.page);
    found.lists(then.list, now.list);
    found.targets(then.page, now.page);
    let mut changes = found.changes;
    changes.sort_by(|a, b| (&a.file, a.what, a.signed).cmp(&(&b.file, b.what, b.signed)));
    changes
}

struct Found<'a> {
    differing: &'a Differing,
    changes: Vec<Change>,
}

impl Found<'_> {
    fn add(
        &mut self,
        what: What,
        signed: Signer,
        file: Option<&str>,
        [then, now]: [Option<Sha256>; 2],
    ) {
        let support = self.differing.support.clone();
        let supports: Vec<Support> = match signed {
            Signer::Project => support.into_iter().collect(),
            Signer::Index => Vec::new(),
        };
        self.changes.push(Change {
            what,
            signed,
            file: file.map(str::to_owned),
            then,
            now,
            decision: None,
            supports,
        });
    }

    fn pages(&mut self, then: Option<&ProjectPage>, now: Option<&ProjectPage>) {
        let [before, after] = self.differing.page;
        if before == after {
            return;
        }
        let digests = [before, after].map(|page| page.map(|page| page.sha256));
        let by = after.or(before).map_or(Signer::Index, |page| page.by);
        let unread = (after.is_some() && now.is_none()) || (before.is_some() && then.is_none());
        if unread {
            return self.add(What::Page, by, None, digests);
        }
        let begun = self.changes.len();
        self.entries(by, then, now);
        let state = |page: Option<&ProjectPage>| {
            let status = page.and_then(|page| page.project_status.clone());
            status.unwrap_or_default()
        };
        if state(then) != state(now) {
            self.add(What::State, by, None, digests);
        }
        let bound =
            [then, now].map(|page| page.and_then(|page| page.wheelmark.certificates.as_ref()));
        if bound[0] != bound[1] {
            let digest = bound.map(|bound| Some(Sha256(bound?.sha256.into())));
            self.add(What::Certificates, by, None, digest);
        }
        let has_other = match (then, now) {
            (Some(then), Some(now)) => rest(then) != rest(now),
            _ => false,
        };
        // A page that differs and says nothing else differs in this.
        if has_other || self.changes.len() == begun {
            self.add(What::Page, by, None, digests);
        }
    }

    fn entries(&mut self, by: Signer, then: Option<&ProjectPage>, now: Option<&ProjectPage>) {
        let (then, now) = (Entries::of(then), Entries::of(now));
        for name in then.names().chain(now.names()).collect::<BTreeSet<_>>() {
            let (before, after) = (then.listed(name), now.listed(name));
            let (gone, goes) = (then.removed(name), now.removed(name));
            let digests = [before.or(gone), after.or(goes)].map(|entry| entry.and_then(digest));
            let is_same = digests[0] == digests[1];
            let mut add = |what| self.add(what, by, Some(name), digests);
            match (before, after) {
                (Some(_), Some(_)) if !is_same => add(What::Changed),
                (Some(before), Some(after)) => {
                    match (&before.yanked, &after.yanked) {
                        (one, other) if one == other => {}
                        (_, Yanked::No) => add(What::Unyanked),
                        _ => add(What::Yanked),
                    }
                    if without_yank(before) != without_yank(after) {
                        add(What::Entry);
                    }
                }
                (Some(_), None) if goes.is_some() && is_same => add(What::Removed),
                (Some(_), None) if goes.is_some() => add(What::Changed),
                (None, Some(_)) if gone.is_some() && is_same => add(What::Returned),
                (None, Some(_)) if gone.is_some() => add(What::Changed),
                (Some(_), None) => add(What::Vanished),
                (None, Some(_)) => add(What::Added),
                (None, None) => match (gone, goes) {
                    // It came and went: its name is taken.
                    (None, _) => add(What::Removed),
                    (Some(_), None) => add(What::Vanished),
                    (Some(_), Some(_)) if !is_same => add(What::Changed),
                    (Some(gone), Some(goes)) if gone != goes => add(What::Entry),
                    _ => {}
                },
            }
        }
    }

    fn lists(&mut self, then: Option<&TakenAway>, now: Option<&TakenAway>) {
        let [before, after] = self.differing.list;
        if before == after {
            return;
        }
        let digests = [before, after].map(|list| list.map(|list| list.sha256));
        if (after.is_some() && now.is_none()) || (before.is_some() && then.is_none()) {
            return self.add(What::List, Signer::Index, None, digests);
        }
        let begun = self.changes.len();
        let taken = |list: Option<&TakenAway>, name: &str| {
            let list = list?;
            let withdrawn = list.withdrawn.get(name).map(|file| (true, file.clone()));
            withdrawn.or_else(|| Some((false, list.yanked.get(name)?.clone())))
        };
        let names = |list: &TakenAway| -> BTreeSet<String> {
            let names = list.withdrawn.keys().chain(list.yanked.keys());
            names.cloned().collect()
        };
        let all: BTreeSet<String> = [then, now].into_iter().flatten().flat_map(names).collect();
        for name in all {
            let (before, after) = (taken(then, &name), taken(now, &name));
            let sha256 = |taken: &Option<(bool, TakenFile)>| {
                taken.as_ref().map(|(_, file)| Sha256(file.sha256.into()))
            };
            let digests = [sha256(&before), sha256(&after)];
            let what = match (&before, &after) {
                (one, other) if one == other => continue,
                (_, None) => What::GivenBack,
                // A withdrawn file that is no more than yanked is to be had again.
                (Some((true, _)), Some((false, _))) => What::GivenBack,
                _ => What::TakenAway,
            };
            self.add(what, Signer::Index, Some(&name), digests);
        }
        let state = |list: Option<&TakenAway>| list.and_then(|list| list.state.clone());
        if state(then) != state(now) {
            self.add(What::State, Signer::Index, None, digests);
        }
        let other = |list: Option<&TakenAway>| {
            let list = list?;
            let is_empty = list.visible_since.is_empty() && list.recovery.is_none();
            (!is_empty).then(|| (list.visible_since.clone(), list.recovery.clone()))
        };
        if other(then) != other(now) || self.changes.len() == begun {
            self.add(What::List, Signer::Index, None, digests);
        }
    }

    /// What roles list of files, where that is not what the page says.
    fn targets(&mut self, then: Option<&ProjectPage>, now: Option<&ProjectPage>) {
        let (then, now) = (Entries::of(then), Entries::of(now));
        let page = self.differing.page[1].or(self.differing.page[0]);
        let by = page.map_or(Signer::Index, |page| page.by);
        let differing = self.differing;
        let others = differing.targets.iter().filter(|(name, digests)| {
            let of_pages = [&then, &now].map(|entries| entries.shown(name).and_then(digest));
            of_pages != **digests
        });
        let others: Vec<_> = others.collect();
        if others.len() > MOST_TARGETS {
            return self.add(What::Target, by, None, [None, None]);
        }
        for (name, digests) in others {
            self.add(What::Target, by, Some(name), *digests);
        }
    }
}

/// The entries of a page by file name.
#[derive(Default)]
struct Entries<'a> {
    files: std::collections::BTreeMap<&'a str, &'a PageFile>,
    withheld: std::collections::BTreeMap<&'a str, &'a PageFile>,
    removed: std::collections::BTreeMap<&'a str, &'a PageFile>,
}

impl<'a> Entries<'a> {
    fn of(page: Option<&'a ProjectPage>) -> Self {
        let Some(page) = page else {
            return Self::default();
        };
        let named = |file: &'a PageFile| (file.filename.as_str(), file);
        let removed = page.wheelmark.removed.iter();
        Self {
            files: page.files.iter().map(named).collect(),
            withheld: page.wheelmark.withheld.iter().map(named).collect(),
            removed: removed
                .map(|(name, gone)| (name.as_str(), &gone.entry))
                .collect(),
        }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        let names = self.files.keys().chain(self.withheld.keys());
        names.chain(self.removed.keys()).copied()
    }

    /// The entry of a file that is there, be it withheld.
    fn listed(&self, name: &str) -> Option<&'a PageFile> {
        let listed = self.files.get(name).or_else(|| self.withheld.get(name));
        listed.copied()
    }

    /// The entry of a file that is to be had.
    fn shown(&self, name: &str) -> Option<&'a PageFile> {
        self.files.get(name).copied()
    }

    fn removed(&self, name: &str) -> Option<&'a PageFile> {
        self.removed.get(name).copied()
    }
}

fn digest(entry: &PageFile) -> Option<Sha256> {
    entry.sha256().map(|digest| Sha256(digest.into()))
}

fn without_yank(entry: &PageFile) -> PageFile {
    PageFile {
        yanked: Yanked::No,
        ..entry.clone()
    }
}

/// A page without what has entries of its own.
fn rest(page: &ProjectPage) -> ProjectPage {
    ProjectPage {
        files: Vec::new(),
        versions: BTreeSet::new(),
        project_status: None,
        wheelmark: PageMarks {
            dropped: page.wheelmark.dropped.clone(),
            extra: page.wheelmark.extra.clone(),
            ..PageMarks::default()
        },
        ..page.clone()
    }
}

#[cfg(test)]
mod tests;
