//! The sources of one index: its own URLs and its mirrors, asked in order.
//!
//! ```text
//!   Sources::ask ─▶ Asking::next ─▶ fetch, verify ──good──▶ done
//!                       ▲                │
//!                       └─Asking::failed─┘ noted once, asked last from then on
//! ```
//!
//! No source is believed, so any of them will do; which one answered says nothing about what
//! it answered. Verification is the caller's: here is only the order, and who did what.

mod answers;

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use url::Url;
use wheelmark_tuf::{Sha256, without_controls};

use crate::index::{IndexUrls, Location};
use crate::mirror::{Mirror, Turn};
use crate::refusal::{Failure, with_causes};
use crate::remote::{Haste, Remote};

pub(crate) use answers::{Answer, Answers};

/// How long a source that failed is asked last: a run, or an hour of a daemon.
pub const ASKED_LAST_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The two parts of an index that a source may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Metadata,
    Targets,
}

/// What a source did wrong, in kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// What it sent is not what was signed.
    Bad,
    /// It does not have what is signed for.
    Lacking,
    /// It is down, broken, silent or slow.
    Unavailable,
    /// Its signed state is older than another's.
    Behind,
    /// It answered later than another one.
    Late,
    /// The fault is not the source's.
    NotItsOwn,
}

/// An error that a source may be blamed for.
pub(crate) trait Blame: Error + 'static {
    fn fault(&self) -> Fault;

    /// Whether it was given up only because another source was left.
    fn is_impatience(&self) -> bool;
}

/// Something that a source did wrong, and that cost a retry at the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceWarning {
    /// The index.
    pub index: String,
    /// Which of its sources: a mirror, or the index's own URLs.
    pub source: String,
    /// What it did.
    pub what: String,
}

struct Source {
    name: String,
    metadata: Option<Url>,
    targets: Option<Url>,
}

impl Source {
    fn mirror(mirror: &Mirror) -> Self {
        Self {
            name: format!("mirror {mirror}"),
            metadata: mirror.metadata().cloned(),
            targets: mirror.targets().cloned(),
        }
    }

    fn base(&self, part: Part) -> Option<&Url> {
        match part {
            Part::Metadata => self.metadata.as_ref(),
            Part::Targets => self.targets.as_ref(),
        }
    }
}

/// What is known about the sources. Of one standing, they are asked as the user listed them.
#[derive(Default)]
struct Known {
    /// The last failure of a source in a part, and the how manieth failure of all it was.
    failed: HashMap<(usize, Part), (u64, Fault)>,
    failures: u64,
    /// Whose state was found to be older than another's.
    behind: BTreeSet<usize>,
    /// Each kind of fault of each source, once.
    noted: Vec<(usize, Fault)>,
    warnings: Vec<SourceWarning>,
    /// Who sent, all by itself, what turned out at its end not to have this digest.
    altered: HashMap<Sha256, BTreeSet<usize>>,
    since: Option<Timestamp>,
}

impl Known {
    /// In which order sources are asked, the smallest first: whoever failed last is asked last.
    fn standing(&self, source: usize, part: Part) -> (u64, bool) {
        let failed = self.failed.get(&(source, part));
        (
            failed.map_or(0, |(number, _)| *number),
            self.behind.contains(&source),
        )
    }
}

/// All sources of one index, and what they did so far.
pub(crate) struct Sources {
    index: Url,
    remote: Remote,
    sources: Vec<Source>,
    warnings: Warnings,
    known: Mutex<Known>,
}

/// For how long warnings are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// Until the end, where they are told.
    All,
    /// As long as those that they are about are asked last.
    Recent,
}

impl Sources {
    pub(crate) fn new(urls: &IndexUrls, remote: Remote, warnings: Warnings) -> Arc<Self> {
        let of_turn = |turn| {
            let mirrors = urls.mirrors().iter().filter(move |m| m.turn() == turn);
            mirrors.map(Source::mirror)
        };
        let own = Source {
            name: format!("the index itself, {}", urls.simple()),
            metadata: Some(urls.metadata().clone()),
            targets: Some(urls.targets().clone()),
        };
        let sources = of_turn(Turn::Before)
            .chain([own])
            .chain(of_turn(Turn::After))
            .collect();
        Self::of(urls.simple().clone(), remote, sources, warnings)
    }

    /// A mirror as the only source, to see what it has.
    pub(crate) fn only_mirror(index: &Url, mirror: &Mirror, remote: Remote) -> Arc<Self> {
        let only = vec![Source::mirror(mirror)];
        Self::of(index.clone(), remote, only, Warnings::All)
    }

    fn of(index: Url, remote: Remote, sources: Vec<Source>, warnings: Warnings) -> Arc<Self> {
        Arc::new(Self {
            index,
            remote,
            sources,
            warnings,
            known: Mutex::default(),
        })
    }

    pub(crate) fn index(&self) -> &Url {
        &self.index
    }

    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What sources did wrong so far, each kind of thing once.
    pub(crate) fn warnings(&self) -> Vec<SourceWarning> {
        self.known().warnings.clone()
    }

    /// A refresh begins: after [`ASKED_LAST_FOR`], whoever failed gets another chance.
    pub(crate) fn begin(&self, now: Timestamp) {
        let mut known = self.known();
        let since = *known.since.get_or_insert(now);
        if now.duration_since(since) >= ASKED_LAST_FOR {
            *known = match self.warnings {
                Warnings::Recent => Known::default(),
                Warnings::All => Known {
                    noted: std::mem::take(&mut known.noted),
                    warnings: std::mem::take(&mut known.warnings),
                    ..Known::default()
                },
            };
            known.since = Some(now);
        }
    }

    /// Asks for something of a part: one source after the other. `what` is for warnings.
    pub(crate) fn ask<E: Blame>(self: &Arc<Self>, part: Part, what: String) -> Asking<E> {
        self.ask_for(part, what, None)
    }

    /// The same for the file of a digest: last of those that altered it before.
    pub(crate) fn ask_for<E: Blame>(
        self: &Arc<Self>,
        part: Part,
        what: String,
        file: Option<Sha256>,
    ) -> Asking<E> {
        Asking {
            order: self.order(part, file.as_ref()),
            sources: self.clone(),
            part,
            what,
            file,
            slow: Vec::new(),
            asked: None,
            haste: Haste::AnotherSource,
            tried: Vec::new(),
        }
    }

    /// Asks all sources of metadata at once.
    pub(crate) fn ask_all(&self, path: &str, limit: u64) -> Answers {
        let asked = self.order(Part::Metadata, None);
        let known = self.known();
        let asked = asked.into_iter().filter_map(|source| {
            let base = self.sources[source].metadata.clone()?;
            let failed = known.failed.get(&(source, Part::Metadata));
            let is_down = failed.is_some_and(|(_, fault)| *fault == Fault::Unavailable);
            Some((source, base, !is_down))
        });
        Answers::begin(&self.remote, asked, path, limit)
    }

    /// How many sources a part has.
    pub(crate) fn count(&self, part: Part) -> usize {
        let have = self.sources.iter().filter(|s| s.base(part).is_some());
        have.count()
    }

    pub(crate) fn name(&self, source: usize) -> &str {
        &self.sources[source].name
    }

    /// Those that have the part, whoever failed last.
    fn order(&self, part: Part, file: Option<&Sha256>) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.sources.len())
            .filter(|source| self.sources[*source].base(part).is_some())
            .collect();
        let known = self.known();
        let altered = file.and_then(|file| known.altered.get(file));
        order.sort_by_key(|source| {
            let sent_another = altered.is_some_and(|sources| sources.contains(source));
            (sent_another, known.standing(*source, part))
        });
        order
    }

    /// Writes down what a source did, if that is new, and asks it for the part last from now
    /// on. Where there is no other source, what it did is the outcome, and not a warning.
    pub(crate) fn note(&self, source: usize, part: Part, fault: Fault, what: &str) {
        if fault == Fault::NotItsOwn || self.sources.len() < 2 {
            return;
        }
        let mut known = self.known();
        // That what is behind lacks something new is no news.
        if fault == Fault::Lacking && known.behind.contains(&source) {
            return;
        }
        if fault == Fault::Behind {
            known.behind.insert(source);
        } else {
            known.failures += 1;
            let last = (known.failures, fault);
            known.failed.insert((source, part), last);
            // What is slow for a small file is slow for a large one.
            if (part, fault) == (Part::Metadata, Fault::Late) {
                known.failed.insert((source, Part::Targets), last);
            }
        }
        if known.noted.contains(&(source, fault)) {
            return;
        }
        known.noted.push((source, fault));
        let warning = SourceWarning {
            index: self.index.to_string(),
            source: self.sources[source].name.clone(),
            what: without_controls(what),
        };
        tracing::info!(source = warning.source, "{}", warning.what);
        known.warnings.push(warning);
    }

    /// A source that was behind is not any more.
    pub(crate) fn caught_up(&self, source: usize) {
        self.known().behind.remove(&source);
    }

    /// Something about the index that no single source is to blame for.
    pub(crate) fn warn(&self, what: String) {
        let warning = SourceWarning {
            index: self.index.to_string(),
            source: "all sources".to_owned(),
            what,
        };
        let mut known = self.known();
        if !known.warnings.contains(&warning) {
            tracing::info!("{}", warning.what);
            known.warnings.push(warning);
        }
    }

    /// Remembers who altered a file all by itself, and says whether a source of targets is
    /// left that has not.
    fn altered(&self, file: Sha256, by: usize) -> bool {
        let mut known = self.known();
        let altered = known.altered.entry(file).or_default();
        altered.insert(by);
        let mut all = self.sources.iter().enumerate();
        all.any(|(source, has)| has.targets.is_some() && !altered.contains(&source))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is complete in itself.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object of the tree from whichever source has it as `check` wants it.
    pub(crate) async fn object<T>(
        self: &Arc<Self>,
        what: String,
        location: &Location,
        wanted: Wanted,
        check: impl Fn(Bytes) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut asking = self.ask(Part::Targets, what);
        while let Some((targets, haste)) = asking.next() {
            let url = location.below(&targets);
            tracing::debug!(%url, "asking for an object");
            let fetched = wanted.fetch(&self.remote, &url, haste);
            match asking.waiting(fetched).await {
                Ok(bytes) => match check(bytes) {
                    Err(failure) if failure.fault() != Fault::NotItsOwn => asking.failed(failure),
                    checked => return checked,
                },
                Err(failure) => asking.failed(failure),
            }
        }
        Err(Failure::of_all(asking.tried()))
    }
}

/// What kind of object is wanted, and how long it can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// A page of just this length, in any content coding.
    Page { length: u64 },
    /// A file of just this length, as it is.
    File { length: u64 },
    /// A chunk list.
    ChunkList { limit: u64 },
    /// The core metadata of a file.
    CoreMetadata { limit: u64 },
}

impl Wanted {
    async fn fetch(self, remote: &Remote, url: &Url, haste: Haste) -> Result<Bytes, Failure> {
        let (opened, length) = match self {
            Self::Page { length } => (remote.open_decoded(url, haste).await?, length),
            Self::File { length } => (remote.open(url, None, haste).await?, length),
            Self::ChunkList { limit } => {
                let list = remote.fetch(url, limit, haste).await?;
                return list.ok_or(Failure::ChunkListMissing);
            }
            Self::CoreMetadata { limit } => {
                let metadata = remote.fetch(url, limit, haste).await?;
                return metadata.ok_or(Failure::Missing);
            }
        };
        let mut download = opened.ok_or(Failure::Missing)?;
        // One byte more than signed is enough to know that it is not the signed object.
        let wanted = usize::try_from(length.saturating_add(1)).unwrap_or(usize::MAX);
        let bytes = download.take(wanted).await?;
        if bytes.len() as u64 != length {
            return Err(Failure::Length {
                expected: length,
                found: bytes.len() as u64,
            });
        }
        Ok(bytes)
    }
}

/// What every source that was asked did, by its name.
pub(crate) type Tried<E> = Vec<(String, E)>;

/// One thing being asked for, at one source after the other.
pub(crate) struct Asking<E> {
    sources: Arc<Sources>,
    part: Part,
    what: String,
    /// The digest of a file of which any part is asked for.
    file: Option<Sha256>,
    /// Those that are left, in order.
    order: Vec<usize>,
    /// Those that were too slow as long as there was another one.
    slow: Vec<usize>,
    asked: Option<usize>,
    haste: Haste,
    tried: Vec<(usize, E)>,
}

impl<E: Blame> Asking<E> {
    /// The next source's URL of the part, and whether slowness is a reason to leave it. Where
    /// nobody else had it, those that were only slow are asked again, and may take their time.
    pub(crate) fn next(&mut self) -> Option<(Url, Haste)> {
        let from = if self.order.is_empty() {
            &mut self.slow
        } else {
            &mut self.order
        };
        if from.is_empty() {
            return None;
        }
        let source = from.remove(0);
        self.tried.retain(|(tried, _)| *tried != source);
        self.asked = Some(source);
        self.haste = if self.order.is_empty() {
            Haste::NoOtherSource
        } else {
            Haste::AnotherSource
        };
        let url = self.sources.sources[source].base(self.part)?.clone();
        Some((url, self.haste))
    }

    /// The source that was asked last did not deliver.
    pub(crate) fn failed(&mut self, error: E) {
        if let Some(source) = self.asked.take() {
            let what = format!("{}: {}", self.what, with_causes(&error));
            let fault = error.fault();
            self.sources.note(source, self.part, fault, &what);
            if self.haste == Haste::AnotherSource && error.is_impatience() {
                self.slow.push(source);
            }
            self.tried.push((source, error));
        }
    }

    /// The source that is asked now.
    pub(crate) fn asked(&self) -> Option<usize> {
        self.asked
    }

    /// The same thing asked for anew, of everybody but the source that is asked now.
    pub(crate) fn renewed(&self) -> Self {
        let (part, what) = (self.part, self.what.clone());
        let mut anew = self.sources.ask_for(part, what, self.file);
        (anew.asked, anew.haste) = (self.asked, self.haste);
        anew.order.retain(|source| Some(*source) != self.asked);
        anew
    }

    /// Blames a source for a file that it altered all by itself, and says whether another one
    /// is left that has not.
    pub(crate) fn blame(&self, source: usize, error: &E) -> bool {
        let what = format!("{}: {}", self.what, with_causes(error));
        self.sources.note(source, self.part, Fault::Bad, &what);
        self.file
            .is_some_and(|file| self.sources.altered(file, source))
    }

    /// Waits for the source that is asked now. An installer has a patience of its own, and
    /// asks again after it: where it leaves, the source is asked last the next time.
    pub(crate) async fn waiting<T>(&self, answer: impl Future<Output = T>) -> T {
        let source = self.asked.filter(|_| self.haste == Haste::AnotherSource);
        let waiting = source.map(|source| Waiting {
            sources: &self.sources,
            source,
            part: self.part,
            what: &self.what,
            since: Instant::now(),
            came: false,
        });
        let answer = answer.await;
        if let Some(mut waiting) = waiting {
            waiting.came = true;
        }
        answer
    }

    /// What every source did.
    pub(crate) fn tried(&mut self) -> Tried<E> {
        let tried = std::mem::take(&mut self.tried);
        let named = tried.into_iter();
        named
            .map(|(source, error)| (self.sources.name(source).to_owned(), error))
            .collect()
    }
}

/// A wait for a source that has another one behind it.
struct Waiting<'a> {
    sources: &'a Sources,
    source: usize,
    part: Part,
    what: &'a str,
    since: Instant,
    came: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        // Whoever leaves sooner than that may have reasons that are not the source's.
        if !self.came && waited >= self.sources.remote.patience().start / 2 {
            let what = format!(
                "{}: whoever asked waited no longer than {} s",
                self.what,
                waited.as_secs()
            );
            self.sources
                .note(self.source, self.part, Fault::Unavailable, &what);
        }
    }
}
