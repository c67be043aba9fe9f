//! Which index answers for a project: every project has one home.
//!
//! ```text
//! request for a project ─▶ Homes::home_of ─▶ Home ─▶ page, signed_file, content, core_metadata
//!                              │
//!                              ▼ the rules for the project, in order
//!              an index that has it, verified ─▶ home
//!              it is verified not to be there ─▶ the next index, the next rule
//!              the answer fails               ─▶ refused: nothing else may answer for it
//! ```
//!
//! An index that no project of a run leads to is never contacted.

mod agreement;
mod home;
mod map;

use std::collections::VecDeque;
use std::sync::Arc;

use futures::future::join_all;
use futures::stream::{self, FuturesUnordered, StreamExt as _};
use url::Url;
use wheelmark_packaging::ProjectName;

use crate::guard::Guard;
use crate::installer::NamedProject;
use crate::page::VerifiedPage;
use crate::reader::Reader;
use crate::refusal::{Failure, Refusal, Subject};
use crate::sources::SourceWarning;

use agreement::{Agreement, PageAt};
use home::Agreed;
pub use home::Home;
use map::Rule;
pub use map::{MapError, MapRule, ProjectMap, RuleOrigin};

/// Pages looked up at the same time before anybody has asked for them: enough to hide the way
/// to an index, and few enough to leave its answers to those who have.
const AHEAD: usize = 16;

/// Files fetched at the same time before anybody has asked for them.
const FILES_AHEAD: usize = 8;

/// All indexes of a run, and which of them answers for which project.
#[derive(Debug)]
pub struct Homes {
    readers: Vec<Arc<Reader>>,
    /// None: there is one index, and it answers for everything.
    map: Option<ProjectMap>,
    /// None: nothing is asked beyond what is signed.
    guard: Option<Arc<Guard>>,
}

impl Homes {
    /// One index, which is every project's home.
    #[must_use]
    pub fn only(reader: Arc<Reader>) -> Self {
        Self {
            readers: vec![reader],
            map: None,
            guard: None,
        }
    }

    /// Several indexes, and rules that say which of them is a project's home.
    ///
    /// # Errors
    ///
    /// [`MapError`] when a rule cannot hold.
    pub fn mapped(
        first: Arc<Reader>,
        others: Vec<Arc<Reader>>,
        rules: Vec<MapRule>,
    ) -> Result<Self, MapError> {
        let readers: Vec<_> = std::iter::once(first).chain(others).collect();
        let urls: Vec<Url> = readers
            .iter()
            .map(|reader| simple(reader).clone())
            .collect();
        let map = ProjectMap::new(rules, &urls)?;
        map.demand_signed_absence(|place| readers[place].index().is_signed(), &urls)?;
        Ok(Self {
            map: Some(map),
            readers,
            guard: None,
        })
    }

    /// Has a policy hold for every file that is handed on.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self {
            guard: Some(Arc::new(guard)),
            ..self
        }
    }

    /// What asks for more than what is signed, if anything does.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_deref()
    }

    /// Every index of the run.
    #[must_use]
    pub fn readers(&self) -> &[Arc<Reader>] {
        &self.readers
    }

    /// The first index of the run.
    #[must_use]
    pub fn first(&self) -> &Arc<Reader> {
        // Both ways to make this take at least one reader.
        &self.readers[0]
    }

    /// What the sources of every index did wrong while others had what was asked for.
    #[must_use]
    pub fn warnings(&self) -> Vec<SourceWarning> {
        let readers = self.readers.iter();
        readers.flat_map(|reader| reader.warnings()).collect()
    }

    /// The index that installers are pointed at where they are given a real URL: the first one
    /// of the map's last rule, which as a rule is for everything that no other rule names.
    #[must_use]
    pub fn usual(&self) -> &Arc<Reader> {
        let place = self.map.as_ref().and_then(ProjectMap::last_index);
        place
            .and_then(|place| self.readers.get(place))
            .unwrap_or_else(|| self.first())
    }

    /// Whether more than one index is in play, so that messages have to say which.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.readers.len() > 1
    }

    /// The indexes, for a sentence.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.readers.iter().map(|r| simple(r).as_str()).collect();
        names.join(" and ")
    }

    /// The home of a project; `None` when no index is, as far as is verified.
    ///
    /// `asked` is the index that the installer named itself, by its place among
    /// [`Homes::readers`]. If that is not the home, it answers for nothing: `None` when it has
    /// no such project, and otherwise a refusal.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the home cannot be told because an index that comes first could not be
    /// verified, and when the index that was asked has a project of that name which is not its
    /// home ([`Failure::NotItsHome`]).
    pub async fn home_of(
        &self,
        project: &ProjectName,
        asked: Option<usize>,
    ) -> Result<Option<Home>, Arc<Refusal>> {
        let mut home = self.home(project).await?;
        if let Some(home) = &mut home {
            home.guard = self.guard.clone();
        }
        let asked = asked.and_then(|place| self.readers.get(place));
        let Some(asked) = asked else { return Ok(home) };
        if home.as_ref().is_some_and(|home| home.is(asked)) {
            return Ok(home);
        }
        if asked.page(project).await?.is_none() {
            return Ok(None);
        }
        Err(Arc::new(Refusal {
            subject: Subject::Page(project.clone()),
            failure: Failure::NotItsHome {
                asked: Box::new(simple(asked).clone()),
                home: home.map(|home| Box::new(simple(&home.reader).clone())),
            },
            signed_by: None,
            index: Some(simple(asked).clone()),
        }))
    }

    async fn home(&self, project: &ProjectName) -> Result<Option<Home>, Arc<Refusal>> {
        let Some(map) = &self.map else {
            return Ok(Some(Home::at(self.first().clone())));
        };
        for rule in map.rules_for(project) {
            let home = if rule.threshold == 1 {
                self.first_that_has(project, rule).await?
            } else {
                self.agreed_on(project, rule).await?
            };
            if home.is_some() {
                return Ok(home);
            }
        }
        Ok(None)
    }

    /// The first of a rule's indexes that has the project.
    async fn first_that_has(
        &self,
        project: &ProjectName,
        rule: &Rule,
    ) -> Result<Option<Home>, Arc<Refusal>> {
        for &place in &rule.indexes {
            let reader = &self.readers[place];
            if reader.page(project).await?.is_some() {
                return Ok(Some(Home::at(reader.clone())));
            }
        }
        Ok(None)
    }

    /// What enough of a rule's indexes agree on. All of them are asked, and each has to
    /// answer: with one kept silent, nobody would see that it lists other bytes.
    async fn agreed_on(
        &self,
        project: &ProjectName,
        rule: &Rule,
    ) -> Result<Option<Home>, Arc<Refusal>> {
        let asked = rule.indexes.iter().map(|&place| async move {
            let reader = &self.readers[place];
            Ok::<_, Arc<Refusal>>((reader, reader.page(project).await?))
        });
        let answers: Vec<(&Arc<Reader>, Option<Arc<VerifiedPage>>)> = join_all(asked)
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let pages: Vec<PageAt<'_>> = answers
            .iter()
            .filter_map(|(reader, page)| {
                let index = simple(reader);
                page.as_ref().map(|page| PageAt { index, page })
            })
            .collect();
        let Some((reader, _)) = answers.iter().find(|(_, page)| page.is_some()) else {
            return Ok(None);
        };
        if pages.len() < rule.threshold {
            return Err(Arc::new(Refusal {
                subject: Subject::Page(project.clone()),
                failure: Failure::TooFewIndexes {
                    threshold: rule.threshold,
                    listed: pages.len(),
                },
                signed_by: None,
                index: Some(simple(reader).clone()),
            }));
        }
        Ok(Some(Home {
            reader: Arc::clone(reader),
            guard: None,
            agreed: Some(Agreed {
                readers: answers
                    .iter()
                    .filter(|(_, page)| page.is_some())
                    .map(|(reader, _)| Arc::clone(reader))
                    .collect(),
                threshold: rule.threshold,
                what: Arc::new(Agreement::of(&pages, rule.threshold)),
            }),
        }))
    }

    /// Looks up the pages of projects that are going to be asked for, and then small files of theirs. What
    /// comes of it is kept for whoever asks: a page, a verdict, or nothing, where it could not be had.
    pub async fn look_ahead(self: Arc<Self>, named: Vec<NamedProject>) {
        for reader in &self.readers {
            reader.ahead.open();
        }
        let all = named.len();
        let looked_up = named.into_iter().map(|named| {
            let homes = self.clone();
            async move { homes.page_ahead(named).await }
        });
        let mut pages = stream::iter(looked_up).buffer_unordered(AHEAD);
        let mut answered = 0;
        let mut found: VecDeque<(Home, Arc<VerifiedPage>)> = VecDeque::new();
        let mut files = FuturesUnordered::new();
        loop {
            // Without the pages an installer does not know what to ask for: all of them are asked for first.
            while answered + AHEAD >= all
                && files.len() < FILES_AHEAD
                && let Some((home, page)) = found.pop_front()
            {
                let fetching = async move { home.fetch_ahead(&page).await };
                files.push(fetching);
            }
            tokio::select! {
                Some(page) = pages.next() => {
                    answered += 1;
                    found.extend(page);
                }
                Some(()) = files.next() => {}
                else => return,
            }
        }
    }

    /// The page of a project of which a file may be wanted.
    async fn page_ahead(&self, named: NamedProject) -> Option<(Home, Arc<VerifiedPage>)> {
        let project = &named.project;
        let found = match self.home_of(project, None).await {
            Ok(Some(home)) => home
                .offered(project)
                .await
                .map(|found| Some((home, found?.0))),
            Ok(None) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match found {
            Ok(found) => found.filter(|_| named.newest),
            Err(refusal) => {
                tracing::debug!(%refusal, "looked up ahead");
                None
            }
        }
    }

    /// The names of the files that the last verified pages of a project listed, wherever: for
    /// the page that stands in where the home cannot be told.
    #[must_use]
    pub fn remembered_names(&self, project: &ProjectName) -> Vec<String> {
        let readers = self.readers.iter();
        readers
            .flat_map(|reader| reader.remembered_names(project))
            .collect()
    }

    /// Why a project has no home, in words.
    #[must_use]
    pub fn absence(&self, project: &ProjectName) -> String {
        let Some(map) = &self.map else {
            return format!("{project} is not on {}", simple(self.first()));
        };
        let mut asked: Vec<&str> = Vec::new();
        for place in map.rules_for(project).flat_map(|rule| &rule.indexes) {
            let index = simple(&self.readers[*place]).as_str();
            if !asked.contains(&index) {
                asked.push(index);
            }
        }
        let files: Vec<String> = map
            .files()
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        let files = files.join(" and ");
        if asked.is_empty() {
            return format!(
                "no index is the home of {project}: no rule of the map in {files} is for it"
            );
        }
        format!(
            "{project} is not on {}, where the map in {files} looks for it",
            asked.join(" or ")
        )
    }

    /// The indexes that are asked for a project.
    pub(crate) fn asked(&self, project: &ProjectName) -> Vec<&Arc<Reader>> {
        let Some(map) = &self.map else {
            return vec![self.first()];
        };
        let places = map.rules_for(project).flat_map(|rule| &rule.indexes);
        places.map(|place| &self.readers[*place]).collect()
    }

    /// All that decides which index answers with what: the indexes, the roots that trust in
    /// them began with, and the map. No URL holds a line feed.
    pub(crate) fn identity(&self) -> String {
        let indexes: Vec<String> = self
            .readers
            .iter()
            .map(|reader| {
                let record = reader.index().record();
                format!(
                    "{}\n{}",
                    record.urls.simple(),
                    record.first_root_fingerprint
                )
            })
            .collect();
        let map = self
            .map
            .as_ref()
            .map(|map| format!("\n\n{}", map.identity()));
        format!("{}{}", indexes.join("\n"), map.unwrap_or_default())
    }
}

fn simple(reader: &Reader) -> &Url {
    reader.index().urls().simple()
}

#[cfg(test)]
mod tests;
