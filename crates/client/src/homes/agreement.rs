//! What several indexes agree on, where a rule asks for more than one of them.
//!
//! ```text
//! the pages of all indexes of the rule ─▶ one verdict for each file ─▶ the page of the home
//! ```
//!
//! The home's page lists every file that enough of them list, whichever they are: one alone can
//! neither add a file nor hide one. A file that two list with different digests stays on the
//! page and is refused: were it left out, an installer would be content with an older one. Of
//! what steers an installer past a file, that counts which enough of them say.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;
use wheelmark_packaging::simple::{Hashes, PageFile, Sha256Hex, SignatureMark, Signed, Yanked};
use wheelmark_provenance::Chain;
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
        /// The first page that lists them.
        at: usize,
        /// The core metadata's digest, where as many list the same one, and the first page
        /// that does.
        core_metadata: Option<(Sha256Hex, usize)>,
        /// The OpenPGP signature, where as many list the same one, and the first page that does.
        signature: Option<(SignatureMark, usize)>,
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
        for (at, PageAt { index, page }) in pages.iter().enumerate() {
            for file in &page.page().files {
                let listed = listings.entry(file.filename.as_str()).or_default();
                listed.push(Listing { at, index, file });
            }
        }
        let mut page = first.page().clone();
        page.versions.clear();
        page.files.clear();
        page.project_status = said_by(threshold, pages, |at| at.page.page().project_status.clone());
        let mut verdicts = BTreeMap::new();
        for (name, listed) in listings {
            let verdict = weigh(&listed, threshold);
            page.files.extend(entry(&listed, &verdict, threshold));
            verdicts.insert(name.to_owned(), verdict);
        }
        let digests: String = pages
            .iter()
            .map(|at| format!("{} {}\n", at.index, at.page.sha256()))
            .collect();
        let sha256 = Sha256::of(format!("{threshold}\n{digests}").as_bytes());
        // Any of them may be the one that a file comes from.
        let chain = pages.iter().map(|at| at.page.chain()).min();
        let chain = chain.unwrap_or(Chain::Unsigned);
        Self {
            page: Arc::new(first.derived(sha256, page).with_chain(chain)),
            verdicts,
        }
    }

    /// The page of the home.
    pub(super) fn page(&self) -> &Arc<VerifiedPage> {
        &self.page
    }

    /// The digest that is agreed on for a file, and the place of the first page that lists it;
    /// `None` when no index lists it.
    pub(super) fn sha256(
        &self,
        filename: &str,
        threshold: usize,
    ) -> Result<Option<(Sha256, usize)>, Failure> {
        match self.verdicts.get(filename) {
            None => Ok(None),
            Some(Verdict::Agreed { sha256, at, .. }) => Ok(Some((Sha256((*sha256).into()), *at))),
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

    /// The digest that is agreed on for a file's core metadata, and the place of the first page
    /// that lists it.
    pub(super) fn core_metadata(&self, filename: &str) -> Option<(Sha256, usize)> {
        match self.verdicts.get(filename)? {
            Verdict::Agreed { core_metadata, .. } => {
                core_metadata.map(|(digest, at)| (Sha256(digest.into()), at))
            }
            _ => None,
        }
    }

    /// The digest that is agreed on for a file's signature, and the place of the first page that
    /// lists it.
    pub(super) fn signature(&self, filename: &str) -> Option<(Sha256, usize)> {
        match self.verdicts.get(filename)? {
            Verdict::Agreed { signature, .. } => {
                signature.map(|(mark, at)| (Sha256(mark.sha256.into()), at))
            }
            _ => None,
        }
    }
}

/// A file on the page of one index.
struct Listing<'a> {
    at: usize,
    index: &'a Url,
    file: &'a PageFile,
}

/// What as many say as are asked for, if that is anything.
fn said_by<A, T: PartialEq>(
    threshold: usize,
    all: &[A],
    says: impl Fn(&A) -> Option<T>,
) -> Option<T> {
    let said: Vec<T> = all.iter().filter_map(says).collect();
    let place = said
        .iter()
        .position(|one| said.iter().filter(|other| *other == one).count() >= threshold)?;
    said.into_iter().nth(place)
}

/// The file as the page of the home lists it, if it does.
fn entry(listed: &[Listing<'_>], verdict: &Verdict, threshold: usize) -> Option<PageFile> {
    let (at, agreed_metadata, agreed_signature) = match verdict {
        Verdict::Agreed {
            at,
            core_metadata,
            signature,
            ..
        } => (*at, *core_metadata, *signature),
        Verdict::Differs { .. } => (listed.first()?.at, None, None),
        Verdict::TooFew { .. } => return None,
    };
    let mut file = listed.iter().find(|listing| listing.at == at)?.file.clone();
    // Installers take the dependencies from there.
    file.core_metadata = agreed_metadata.map(|(digest, _)| Hashes::of_sha256(digest));
    file.gpg_sig = file.gpg_sig.map(|_| agreed_signature.is_some());
    if let Some(marks) = &mut file.wheelmark {
        marks.gpg_sig = agreed_signature.map(|(mark, _)| mark);
    }
    // What a policy goes by: the latest time that is said, and the worst mark, where enough say any.
    let same = || {
        let all = listed.iter().map(|listing| listing.file);
        all.filter(|other| other.sha256() == file.sha256())
    };
    let times: Vec<Timestamp> = same().filter_map(|other| other.upload_time).collect();
    let said = times.len() >= threshold;
    let upload_time = times.into_iter().max().filter(|_| said);
    let marks: Vec<(Signed, Timestamp)> = same()
        .filter_map(|other| other.wheelmark.as_ref())
        .map(|marks| (marks.signed, marks.signed_at))
        .collect();
    let worst = marks
        .iter()
        .max_by_key(|(signed, at)| (*signed == Signed::Back, *at));
    let worst = worst.copied().filter(|_| marks.len() >= threshold);
    // It only makes a file younger, and so one word is enough.
    let visible_since = same().filter_map(|other| other.wheelmark.as_ref()?.visible_since);
    let visible_since = visible_since.max();
    match (&mut file.wheelmark, worst) {
        (Some(marks), Some((signed, at))) => (marks.signed, marks.signed_at) = (signed, at),
        (marks, _) => *marks = None,
    }
    file.upload_time = upload_time.map(|time| visible_since.map_or(time, |since| time.max(since)));
    // Each of these can make them pass over a file, and be content with an older one.
    file.requires_python = said_by(threshold, listed, |at| at.file.requires_python.clone());
    let yanked = listed.iter().map(|listing| &listing.file.yanked);
    let yanked: Vec<&Yanked> = yanked.filter(|yanked| yanked.is_yanked()).collect();
    file.yanked = match yanked.first() {
        Some(first) if yanked.len() >= threshold => (*first).clone(),
        _ => Yanked::No,
    };
    Some(file)
}

fn weigh(listed: &[Listing<'_>], threshold: usize) -> Verdict {
    // An entry without a digest says nothing about bytes.
    let with_digest: Vec<(&Listing<'_>, Sha256Hex)> = listed
        .iter()
        .filter_map(|at| Some((at, at.file.sha256()?)))
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
    let metadata = |at: &Listing<'_>| at.file.core_metadata.as_ref()?.sha256();
    let core_metadata = said_by(threshold, listed, metadata).and_then(|digest| {
        let first = listed.iter().find(|at| metadata(at) == Some(digest))?;
        Some((digest, first.at))
    });
    let mark = |at: &Listing<'_>| at.file.wheelmark.as_ref()?.gpg_sig;
    let signature = said_by(threshold, listed, mark).and_then(|agreed| {
        let first = listed.iter().find(|at| mark(at) == Some(agreed))?;
        Some((agreed, first.at))
    });
    Verdict::Agreed {
        sha256: *sha256,
        at: one.at,
        core_metadata,
        signature,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn what_steers_past_a_file_counts_where_enough_say_it() {
        let project = "demo".parse().unwrap();
        let name: wheelmark_packaging::DistributionFilename = "demo-1.0.tar.gz".parse().unwrap();
        let urls: Vec<Url> = ["a", "b", "c"]
            .iter()
            .map(|host| format!("https://{host}.example/simple/").parse().unwrap())
            .collect();
        let because = |why: &str| Yanked::Because(why.to_owned());
        type Said<'a> = [(Yanked, Option<&'a str>); 3];
        let check = |said: Said<'_>, contents: [u8; 3], expected: (Yanked, Option<&str>)| {
            let files: Vec<PageFile> = said
                .iter()
                .zip(contents)
                .map(|((yanked, requires), content)| {
                    let hashes = Hashes::of_sha256(Sha256::of(&[content]).0);
                    let mut file = PageFile::new(&project, name.clone(), hashes);
                    file.yanked = yanked.clone();
                    file.requires_python = requires.map(str::to_owned);
                    file
                })
                .collect();
            let listed: Vec<Listing<'_>> = files
                .iter()
                .enumerate()
                .map(|(at, file)| Listing {
                    at,
                    index: &urls[at],
                    file,
                })
                .collect();
            let entry = entry(&listed, &weigh(&listed, 2), 2).unwrap();
            let found = (entry.yanked, entry.requires_python.as_deref());
            assert_eq!(found, expected, "{said:?}");
        };
        let new = Some(">=4");
        let same = [1, 1, 1];
        check(
            [(Yanked::Yes, new), (Yanked::No, None), (Yanked::No, None)],
            same,
            (Yanked::No, None),
        );
        check(
            [
                (Yanked::No, new),
                (because("x"), Some(">=3")),
                (Yanked::Yes, Some(">=3")),
            ],
            same,
            (because("x"), Some(">=3")),
        );
        // Nor is one of them listened to where they contradict each other about the bytes.
        check(
            [(Yanked::Yes, new), (Yanked::No, None), (Yanked::No, None)],
            [1, 2, 2],
            (Yanked::No, None),
        );
    }
}
