//! The signed wheel that something was installed from.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::Arc;

use futures::StreamExt as _;
use wheelmark_packaging::inspect::{WheelContents, wheel_contents};
use wheelmark_packaging::installed::{DirectUrl, wheel_fits};
use wheelmark_packaging::simple::{PageFile, ProjectPage};
use wheelmark_packaging::{DistributionFilename, WheelFilename};
use wheelmark_provenance::Chain;
use wheelmark_tuf::Sha256;

use super::compare::compare;
use super::inventory::Installed;
use super::{Compared, Difference, DistributionVerdict, Environment, SignedWheel, blocking};
use crate::dropped::{Withdrawn, may_have_been};
use crate::file::{Content, SignedFile};
use crate::homes::{Home, Homes};
use crate::refusal::Refusal;

/// Most wheels that are fetched to find the one that was installed.
const MAX_CANDIDATES: usize = 6;

/// What an installed distribution is compared with.
#[derive(Debug)]
pub(super) enum Basis {
    /// A wheel, and what came of it.
    Wheel(Box<SignedWheel>, Compared, Vec<Difference>),
    /// Nothing; why.
    Without(DistributionVerdict),
}

pub(super) async fn of(
    homes: &Homes,
    environment: &Arc<Environment>,
    installed: &Installed,
) -> Basis {
    let found = find(homes, environment, installed).await;
    found.unwrap_or_else(|refusal| Basis::Without(DistributionVerdict::Refused(refusal)))
}

async fn find(
    homes: &Homes,
    environment: &Arc<Environment>,
    installed: &Installed,
) -> Result<Basis, Arc<Refusal>> {
    let project = &installed.project;
    let elsewhere = |why: String| Ok(Basis::Without(DistributionVerdict::NotFromIndex(why)));
    match &installed.direct {
        Some(DirectUrl::Tree { url, editable }) => {
            let how = if *editable { ", editable" } else { "" };
            return elsewhere(format!("installed from the source tree {url}{how}"));
        }
        Some(DirectUrl::Repository { url, commit }) => {
            return elsewhere(format!("installed from the repository {url} at {commit}"));
        }
        // It may be the signed file all the same.
        Some(DirectUrl::Archive { .. }) | None => {}
    }
    let by_place = installed.direct.as_ref().map(DirectUrl::url);
    let home = homes.home_of(project, None).await?;
    let page = match &home {
        Some(home) => home.page(project).await?,
        None => None,
    };
    let (Some(home), Some(page)) = (home, page) else {
        return elsewhere(match by_place {
            Some(url) => format!("installed from {url}"),
            None => homes.absence_or_break(project),
        });
    };
    if page.chain() == Chain::Unsigned {
        let index = home.reader().index().urls().simple();
        return elsewhere(format!(
            "{index} is not signed: what it lists is its own word"
        ));
    }
    let candidates = candidates(page.page(), installed);
    let mut best: Option<Basis> = None;
    for wheel in candidates {
        let Some(tried) = against(&home, environment, installed, &wheel).await? else {
            continue;
        };
        let differ = |basis: &Basis| match basis {
            Basis::Wheel(_, _, differences) => differences.len(),
            Basis::Without(_) => usize::MAX,
        };
        if best
            .as_ref()
            .is_none_or(|best| differ(&tried) < differ(best))
        {
            best = Some(tried);
        }
        if best.as_ref().is_some_and(|best| differ(best) == 0) {
            break;
        }
    }
    if let Some(found) = best {
        return Ok(found);
    }
    if let Some(url) = by_place {
        return elsewhere(format!("installed from {url}"));
    }
    let index = home.reader().index().urls().simple();
    let without = without(page.page(), installed, index);
    Ok(Basis::Without(without.unwrap_or_else(|| {
        let version = &installed.version;
        let mut why = format!("{index} has no files of version {version} of it");
        if let Some(broken) = may_have_been(home.reader().index()) {
            why.push_str(&format!("; {broken}"));
        }
        DistributionVerdict::NotFromIndex(why)
    })))
}

/// The wheels that it may have been installed from, the likeliest first: those whose tags and
/// core metadata are the installed ones.
fn candidates(page: &ProjectPage, installed: &Installed) -> Vec<WheelFilename> {
    let wheels = page.files.iter().filter_map(|file| match &file.filename {
        DistributionFilename::Wheel(wheel) if *wheel.version() == installed.version => {
            Some((file, wheel))
        }
        _ => None,
    });
    let fits = |wheel: &WheelFilename| wheel_fits(&installed.wheel, wheel);
    let same = |file: &PageFile| {
        let stated = file.core_metadata.as_ref().and_then(|it| it.sha256());
        stated.map(|hex| Sha256(hex.into())) == installed.metadata
    };
    let mut found: Vec<_> = wheels
        .map(|(file, wheel)| (!fits(wheel), !same(file), wheel))
        .collect();
    found.sort_by_key(|(fits_not, differs, _)| (*fits_not, *differs));
    // What fits by its tags is what installers take; without any, whoever changed the tags
    // changed them, unless it was built here.
    let any = found.iter().any(|(fits_not, ..)| !fits_not);
    let built = page.files.iter().any(|file| is_sdist(file, installed));
    found
        .into_iter()
        .filter(|(fits_not, ..)| !fits_not || !any && !built)
        .take(MAX_CANDIDATES)
        .map(|(.., wheel)| wheel.clone())
        .collect()
}

fn is_sdist(file: &PageFile, installed: &Installed) -> bool {
    matches!(&file.filename, DistributionFilename::Sdist(sdist) if *sdist.version() == installed.version)
}

/// Why there is no wheel to compare with, as far as its page says it.
fn without(
    page: &ProjectPage,
    installed: &Installed,
    index: &url::Url,
) -> Option<DistributionVerdict> {
    if let Some(withdrawn) = Withdrawn::of_version(page, &installed.version, index) {
        return Some(DistributionVerdict::Withdrawn(Box::new(withdrawn)));
    }
    let sdist = page.files.iter().find(|file| is_sdist(file, installed));
    if let Some(sdist) = sdist {
        return Some(DistributionVerdict::Built {
            sdist: sdist.filename.as_str().to_owned(),
            index: index.clone(),
        });
    }
    let of_version = |file: &&PageFile| *file.filename.version() == installed.version;
    let mut removed = page.wheelmark.removed.values().map(|it| &it.entry);
    let version = &installed.version;
    if removed.any(|file| of_version(&file)) {
        let why = format!("{index} has taken away its files of version {version}");
        return Some(DistributionVerdict::Unknown(why));
    }
    if page.wheelmark.withheld.iter().any(|file| of_version(&file)) {
        let why = format!("{index} withholds its files");
        return Some(DistributionVerdict::Unknown(why));
    }
    None
}

/// Fetches a wheel, verified, and compares; `None` if it is gone meanwhile.
async fn against(
    home: &Home,
    environment: &Arc<Environment>,
    installed: &Installed,
    wheel: &WheelFilename,
) -> Result<Option<Basis>, Arc<Refusal>> {
    let Some(file) = home.signed_file(&installed.project, wheel.as_str()).await? else {
        return Ok(None);
    };
    let unknown = |why: String| Ok(Some(Basis::Without(DistributionVerdict::Unknown(why))));
    let fetched = match fetch(home, &file).await? {
        Ok(fetched) => fetched,
        Err(error) => return unknown(format!("{} could not be kept: {error}", wheel.as_str())),
    };
    let name = wheel.clone();
    let read = blocking(move || wheel_contents(fetched, &name)).await;
    let contents = match read {
        Ok(Ok(contents)) => contents,
        Ok(Err(error)) => {
            return unknown(format!(
                "{} is signed, and cannot be unpacked in one way alone: {error}",
                wheel.as_str()
            ));
        }
        Err(error) => return unknown(error.to_string()),
    };
    let compared = compared(environment, installed, contents).await;
    let Ok((compared, differences)) = compared else {
        return unknown("the work was cut off".to_owned());
    };
    let page = file.page();
    let entry = page.page().file(wheel.as_str());
    let signed = SignedWheel {
        filename: wheel.as_str().to_owned(),
        sha256: *file.sha256(),
        index: file.index().clone(),
        signed_by: page.signed_by(),
        chain: page.chain_of(wheel.as_str()),
        yanked: entry.map(|entry| entry.yanked.clone()).unwrap_or_default(),
        withdrawn: Withdrawn::of_version(page.page(), &installed.version, file.index()),
    };
    Ok(Some(Basis::Wheel(Box::new(signed), compared, differences)))
}

async fn compared(
    environment: &Arc<Environment>,
    installed: &Installed,
    contents: WheelContents,
) -> Result<(Compared, Vec<Difference>), super::EnvironmentError> {
    let environment = environment.clone();
    let number = installed.number;
    let library = installed.library.clone();
    let dist_info = installed.dist_info().to_owned();
    let recorded = installed.recorded.clone();
    blocking(move || {
        compare(
            &environment,
            number,
            &library,
            &dist_info,
            &recorded,
            &contents,
        )
    })
    .await
}

/// The whole of a file, verified, in a place that goes with it.
async fn fetch(
    home: &Home,
    file: &SignedFile,
) -> Result<Result<File, std::io::Error>, Arc<Refusal>> {
    let content = home.content(file, None).await?;
    let mut kept = match tempfile::tempfile() {
        Ok(kept) => kept,
        Err(error) => return Ok(Err(error)),
    };
    let written = match content {
        Content::Whole(bytes) => kept.write_all(&bytes),
        Content::Pieces(mut pieces) => {
            let mut written = Ok(());
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                written = written.and_then(|()| kept.write_all(&piece));
            }
            written
        }
    };
    Ok(written.and_then(|()| kept.rewind()).map(|()| kept))
}
