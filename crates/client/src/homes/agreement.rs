//! What several indexes agree on, where a rule asks for more than one of them.
//!
//! ```text
//! the pages of all indexes of the rule ─▶ one verdict for each file ─▶ the page of the home
//! ```
//!
//! The home's page is that of the first index that has the project, less the files that too
//! few list. A file that two list with different digests stays on the page and is refused:
//! were it left out, an installer would be content with an older one.

use std::collections::BTreeMap;
use std::sync::Arc;

use url::Url;
use wheelmark_packaging::simple::{PageFile, Sha256Hex};
use wheelmark_tuf::Sha256;

use crate::page::VerifiedPage;
use crate::refusal::Failure;

/// The page of a project at one index.
pub(super) struct PageAt<'a> {
    pub(super) index: &'a Url,
    pub(super) page: &'a Arc<VerifiedPage>,
}

/// What the pages of a rule's indexes say together.
#[derive(Debug)]
pub(super) struct Agreement {
    page: Arc<VerifiedPage>,
    verdicts: BTreeMap<String, Verdict>,
}

/// What they say of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// As many as are asked for list these bytes.
    Agreed {
        sha256: Sha256Hex,
        /// The core metadata's digest, where as many list the same one.
        core_metadata: Option<Sha256Hex>,
    },
    /// These two list different bytes under its name.
    Differs { first: Box<Url>, second: Box<Url> },
    /// Too few list it.
    TooFew { listed: usize },
}

impl Agreement {
    /// Weighs the pages, of which there is at least one, against each other.
    pub(super) fn of(pages: &[PageAt<'_>], threshold: usize) -> Self {
        let first = pages[0].page;
        let mut listings: BTreeMap<&str, Vec<Listing<'_>>> = BTreeMap::new();
        for PageAt { index, page } in pages {
            for file in &page.page().files {
                let listed = listings.entry(file.filename.as_str()).or_default();
                listed.push(Listing { index, file });
            }
        }
        let verdicts: BTreeMap<String, Verdict> = listings
            .into_iter()
            .map(|(name, listed)| (name.to_owned(), weigh(&listed, threshold)))
            .collect();
        let mut page = first.page().clone();
        page.versions.clear();
        page.files.retain_mut(|file| {
            match verdicts.get(file.filename.as_str()) {
                Some(Verdict::Agreed { core_metadata, .. }) => {
                    // Installers take the dependencies from there.
                    let listed = file
                        .core_metadata
                        .as_ref()
                        .and_then(|hashes| hashes.sha256());
                    if listed.is_none() || listed != *core_metadata {
                        file.core_metadata = None;
                    }
                    true
                }
                Some(Verdict::Differs { .. }) => true,
                Some(Verdict::TooFew { .. }) | None => false,
            }
        });
        let digests: String = pages
            .iter()
            .map(|at| format!("{} {}\n", at.index, at.page.sha256()))
            .collect();
        let sha256 = Sha256::of(format!("{threshold}\n{digests}").as_bytes());
        Self {
            page: Arc::new(first.derived(sha256, page)),
            verdicts,
        }
    }

    /// The page of the home.
    pub(super) fn page(&self) -> &Arc<VerifiedPage> {
        &self.page
    }

    /// The digest that is agreed on for a file; `None` when no index lists it.
    pub(super) fn sha256(
        &self,
        filename: &str,
        threshold: usize,
    ) -> Result<Option<Sha256>, Failure> {
        match self.verdicts.get(filename) {
            None => Ok(None),
            Some(Verdict::Agreed { sha256, .. }) => Ok(Some(Sha256((*sha256).into()))),
            Some(Verdict::Differs { first, second }) => Err(Failure::IndexesDiffer {
                first: first.clone(),
                second: second.clone(),
            }),
            Some(Verdict::TooFew { listed }) => Err(Failure::TooFewIndexes {
                threshold,
                listed: *listed,
            }),
        }
    }

    /// The digest that is agreed on for a file's core metadata.
    pub(super) fn core_metadata(&self, filename: &str) -> Option<Sha256> {
        match self.verdicts.get(filename)? {
            Verdict::Agreed { core_metadata, .. } => {
                core_metadata.map(|digest| Sha256(digest.into()))
            }
            _ => None,
        }
    }
}

/// A file on the page of one index.
struct Listing<'a> {
    index: &'a Url,
    file: &'a PageFile,
}

fn weigh(listed: &[Listing<'_>], threshold: usize) -> Verdict {
    // An entry without a digest says nothing about bytes.
    let with_digest: Vec<(&Listing<'_>, Sha256Hex)> = listed
        .iter()
        .filter_map(|at| Some((at, at.file.hashes.sha256()?)))
        .collect();
    let Some(((one, sha256), others)) = with_digest.split_first() else {
        return Verdict::TooFew { listed: 0 };
    };
    let differs = |other: &&(&Listing<'_>, Sha256Hex)| {
        let sizes = (one.file.size, other.0.file.size);
        other.1 != *sha256 || matches!(sizes, (Some(a), Some(b)) if a != b)
    };
    if let Some((other, _)) = others.iter().find(differs) {
        return Verdict::Differs {
            first: Box::new(one.index.clone()),
            second: Box::new(other.index.clone()),
        };
    }
    if with_digest.len() < threshold {
        return Verdict::TooFew {
            listed: with_digest.len(),
        };
    }
    let metadata = |at: &&Listing<'_>| at.file.core_metadata.as_ref()?.sha256();
    let said: Vec<Sha256Hex> = listed.iter().filter_map(|at| metadata(&at)).collect();
    let core_metadata = said
        .iter()
        .find(|digest| said.iter().filter(|other| other == digest).count() >= threshold)
        .copied();
    Verdict::Agreed {
        sha256: *sha256,
        core_metadata,
    }
}
