//! Files that go are named in the pages that stay.
//!
//! Who has installed such a file has to be able to find out (PEP 458, "In the Event of a Key Compromise":
//! users are to be told). So the page says of each which bytes it had, and when it went
//! ([`Dropped`]). It does not stand under `removed`: that takes a name away for good, and a thief could have
//! listed every name that the project will ever want.
//!
//! Nor may he make the recovery fail by how much he has listed. So a page names no more than
//! [`MOST_IN_A_PAGE`], and where the pages that are made for this alone come to [`MOST_LEN`], the rest names none. Of
//! what nobody names, and of projects that go whole, clients say what `targets` states: since when the index
//! was in other hands.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::{Dropped, Extra, PageFile, ProjectPage, Sha256Hex};
use wheelmark_tuf::{IndexRecovery, Sha256};

use super::GoBackError;
use super::merge::Merged;
use super::side::Side;
use crate::publish::PublishError;

/// How many dropped files a page names, those of earlier recoveries included: some 150 bytes each.
const MOST_IN_A_PAGE: usize = 1_000;

/// How many bytes the pages have together, at most, that are made for naming alone. They are recorded
/// before they are published, and a record has its bounds.
const MOST_LEN: usize = 128 * 1024 * 1024;

/// Names in each page that the index signs the files that are published now and go, as of the recovery that
/// `statement` is about; how many it names.
pub(super) async fn name_dropped(
    merged: &mut Merged,
    good: Side<'_>,
    present: Side<'_>,
    statement: &IndexRecovery,
) -> Result<usize, GoBackError> {
    let now = present.shown().await.map_err(PublishError::from)?;
    let (mut named, mut left) = (0, MOST_LEN);
    for (project, shown) in merged.shown.clone() {
        let is_own = merged.state.delegation_of(&project).is_some();
        let is_other = now.get(&project).is_some_and(|now| *now != shown);
        if is_own || !is_other {
            continue;
        }
        // Of a page that is damaged now, nobody can tell.
        let Ok(Some(was)) = present.seen(&project).await else {
            continue;
        };
        let (before, _) = merged.seen(good, present, &project, &shown).await?;
        let mut page = before.clone();
        let count = note(&mut page, &was, statement);
        if count == 0 {
            continue;
        }
        let length = page.to_json().len();
        if !merged.pages.contains_key(&project) {
            let Some(rest) = left.checked_sub(length) else {
                tracing::warn!(%project, "the files that go are not named in its page: too many pages would be made anew");
                continue;
            };
            left = rest;
        }
        // Such a page would be too long, say. To name must not keep anybody from going back.
        if let Err(error) = merged.put_page(&project, Some(&before), page) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(%project, error, "the files that go are not named in its page");
            continue;
        }
        let bytes = merged.pages.get(&project);
        if let (Some(bytes), Some(shown)) = (bytes, merged.shown.get_mut(&project)) {
            shown.page = Sha256::of(bytes);
        }
        named += count;
    }
    Ok(named)
}

/// Notes on a page what another one had and it has not; how many of these it names.
fn note(page: &mut ProjectPage, was: &ProjectPage, statement: &IndexRecovery) -> usize {
    let gone = gone(page, was);
    let new: BTreeSet<Sha256Hex> = gone.iter().map(|(sha256, _)| *sha256).collect();
    let noted = gone.into_iter().map(|(sha256, filename)| {
        let dropped = Dropped {
            filename,
            at: statement.at,
            since: statement.since,
            extra: Extra::new(),
        };
        (sha256, dropped)
    });
    let mut all = std::mem::take(&mut page.wheelmark.dropped);
    all.extend(noted);
    let mut all: Vec<(Sha256Hex, Dropped)> = all.into_iter().collect();
    // Those of earlier recoveries go first.
    all.sort_by_key(|(sha256, dropped)| (Reverse(dropped.at), *sha256));
    all.truncate(MOST_IN_A_PAGE);
    let named = all.iter().filter(|(sha256, _)| new.contains(sha256));
    let named = named.count();
    page.wheelmark.dropped = all.into_iter().collect();
    named
}

/// The files that a page had, be they withheld or removed since, and that another one does not know.
fn gone(page: &ProjectPage, was: &ProjectPage) -> Vec<(Sha256Hex, DistributionFilename)> {
    let known: BTreeSet<(&str, Sha256Hex)> = entries(page)
        .filter_map(|file| Some((file.filename.as_str(), file.sha256()?)))
        .collect();
    let gone = entries(was).filter_map(|file| {
        let sha256 = file.sha256()?;
        let is_known = known.contains(&(file.filename.as_str(), sha256));
        (!is_known).then(|| (sha256, file.filename.clone()))
    });
    gone.collect()
}

/// All that a page has ever listed, as far as it says so.
fn entries(page: &ProjectPage) -> impl Iterator<Item = &PageFile> {
    let marks = &page.wheelmark;
    let removed = marks.removed.values().map(|removed| &removed.entry);
    page.files.iter().chain(&marks.withheld).chain(removed)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use std::collections::BTreeMap;

    use wheelmark_packaging::simple::Hashes;

    use super::*;

    fn statement(day: u8) -> IndexRecovery {
        let at = format!("2026-06-{day:02}T09:00:00Z");
        IndexRecovery {
            at: at.parse().unwrap(),
            since: "2026-05-30T22:00:00Z".parse().unwrap(),
            bulletin: "The online key was stolen.\n".to_owned(),
            claims: BTreeMap::new(),
            extra: BTreeMap::new(),
        }
    }

    fn page(files: impl Iterator<Item = usize>) -> ProjectPage {
        let mut page = ProjectPage::new("demo".parse().unwrap());
        page.files = files
            .map(|number| {
                let name = format!("demo-{number}.tar.gz").parse().unwrap();
                let digest = Sha256::of(number.to_string().as_bytes());
                PageFile::new(&page.name, name, Hashes::of_sha256(digest.0))
            })
            .collect();
        page
    }

    /// However much a thief has listed, a page grows by so much and no more, and the last recovery counts.
    #[test]
    fn a_page_names_so_many_and_no_more() {
        let mut good = page(0..1);
        assert_eq!(note(&mut good, &page(0..1), &statement(2)), 0);
        assert_eq!(note(&mut good, &page(0..4), &statement(2)), 3);
        assert_eq!(good.files, page(0..1).files);
        let was = page(10..2_000);
        assert_eq!(note(&mut good, &was, &statement(9)), MOST_IN_A_PAGE);
        assert_eq!(good.wheelmark.dropped.len(), MOST_IN_A_PAGE);
        let mut all = good.wheelmark.dropped.values();
        assert!(all.all(|dropped| dropped.at == statement(9).at));
        assert!(good.to_json().len() < 200_000);
        // With fewer of them, those of before stay.
        let mut good = page(0..1);
        note(&mut good, &page(0..4), &statement(2));
        assert_eq!(note(&mut good, &page(10..15), &statement(9)), 5);
        assert_eq!(good.wheelmark.dropped.len(), 8);
    }
}
