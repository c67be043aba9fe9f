//! Names by SHA-512: what a state lists so has them before its timestamp is shown.
//!
//! A copy knows its objects by SHA-256, as the index does. TUF clients may go by any hash that they
//! find listed, so where SHA-512 is among them the object has a second name.

use wheelmark_objects::{MAX_SHA512_FILENAME_LEN, ObjectPath, Unsettled};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::PageFile;
use wheelmark_tuf::{OWN_MEMBER, TrustedSet};

use super::Copy;
use super::error::CopyError;
use super::fetch::{PageRef, Shared, Wanted};
use super::gather::Plan;

/// How many names are given at once.
const NAMES_AT_ONCE: usize = 4096;

impl Copy {
    /// Gives the objects of what has changed their second names, which may not be durable yet.
    pub(super) async fn second_names(
        &self,
        shared: &Shared,
        set: &TrustedSet,
        plan: &Plan,
    ) -> Result<Unsettled, CopyError> {
        let lists_others = lists_others(set);
        let mut unsettled = Unsettled::default();
        let mut links = Vec::new();
        for project in &plan.changed {
            let Some(page) = plan.pages.get(project) else {
                continue;
            };
            // Most indexes list SHA-256 alone, and their pages need not be read for this.
            if lists_others || page.sha512.is_some() {
                let (_, parsed) = shared.own_page(project, &page.sha256).await?;
                let files = shared.selection.files(&parsed, shared.now);
                links.extend(seconds_of(project, page, &files)?);
            }
            if links.len() >= NAMES_AT_ONCE {
                unsettled.extend(shared.link(std::mem::take(&mut links)).await?);
            }
        }
        unsettled.extend(shared.link(links).await?);
        Ok(unsettled)
    }
}

/// Whether the index says that it lists other hashes than SHA-256 alone.
fn lists_others(set: &TrustedSet) -> bool {
    let own = set.timestamp().extra.get(OWN_MEMBER);
    own.is_some_and(|own| own.get("hashes").is_some())
}

/// The objects of a project that have second names, with these.
pub(super) fn seconds_of(
    project: &ProjectName,
    page: &PageRef,
    files: &[&PageFile],
) -> Result<Vec<(ObjectPath, ObjectPath)>, CopyError> {
    let mut seconds = Vec::new();
    if let Some(sha512) = &page.sha512 {
        seconds.push((
            ObjectPath::page(project, &page.sha256),
            ObjectPath::page_by_sha512(project, sha512),
        ));
    }
    for file in files {
        let Ok(file) = Wanted::of(project, file) else {
            continue;
        };
        if let Some(sha512) = &file.sha512
            && file.filename.len() <= MAX_SHA512_FILENAME_LEN
        {
            seconds.push((
                ObjectPath::file(project, &file.sha256, file.filename)?,
                ObjectPath::file_by_sha512(project, sha512, file.filename)?,
            ));
        }
    }
    Ok(seconds)
}
