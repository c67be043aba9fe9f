//! The map from projects to indexes (TAP 4): rules in order, each for the projects that one of
//! its patterns covers.
//!
//! A pattern is written over normalised names: `*` stands for any characters, also none, `?`
//! for one. A pattern that no normalised name can match is an error, since a rule that never
//! holds leaves open what it was meant to close.

use std::fmt;
use std::path::PathBuf;

use url::Url;
use wheelmark_packaging::ProjectName;
use wheelmark_provenance::policy::{PatternError, ProjectPattern};

/// A rule as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRule {
    /// Where it is written.
    pub origin: RuleOrigin,
    /// The projects that it is for: globs over normalised names.
    pub projects: Vec<String>,
    /// The simple URLs of its indexes, in the order in which they are asked.
    pub indexes: Vec<Url>,
    /// How many of its indexes must list a file with the same sha256.
    pub threshold: usize,
    /// Whether no later rule is asked for a project that this one is for.
    pub terminating: bool,
}

/// Where a rule is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOrigin {
    /// The file.
    pub file: PathBuf,
    /// Which of the file's rules it is, counted from 1.
    pub number: usize,
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, [[map]] {}", self.file.display(), self.number)
    }
}

/// Why rules make no map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A rule without a pattern.
    #[error("{origin}: it names no projects")]
    NoProjects {
        /// Which rule.
        origin: RuleOrigin,
    },
    /// A pattern that no project's name can match.
    #[error("{origin}: {error}")]
    Pattern {
        /// Which rule.
        origin: RuleOrigin,
        /// What is wrong with it.
        error: PatternError,
    },
    /// A rule without an index.
    #[error("{origin}: it names no index")]
    NoIndexes {
        /// Which rule.
        origin: RuleOrigin,
    },
    /// An index that is not trusted.
    #[error("{origin}: {index} is not a trusted index")]
    UnknownIndex {
        /// Which rule.
        origin: RuleOrigin,
        /// The index.
        index: Url,
    },
    /// An index named twice, which would then agree with itself.
    #[error("{origin}: it names {index} twice")]
    Repeated {
        /// Which rule.
        origin: RuleOrigin,
        /// The index.
        index: Url,
    },
    /// A search that goes on behind an index that is not signed.
    #[error(
        "{origin}: the search goes on behind {index}, which is not signed: nobody could tell that it does not have a project from somebody hiding it"
    )]
    BehindUnsigned {
        /// Which rule.
        origin: RuleOrigin,
        /// The index.
        index: Url,
    },
    /// A threshold that nothing or everything would meet.
    #[error(
        "{origin}: its threshold is {threshold}, and must be between 1 and the number of its indexes, {indexes}"
    )]
    Threshold {
        /// Which rule.
        origin: RuleOrigin,
        /// The threshold.
        threshold: usize,
        /// How many indexes the rule has.
        indexes: usize,
    },
}

/// Rules that hold together.
#[derive(Clone, Debug)]
pub struct ProjectMap {
    rules: Vec<Rule>,
}

/// A rule of a map.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) origin: RuleOrigin,
    patterns: Vec<ProjectPattern>,
    /// The places of its indexes among those of the run.
    pub(crate) indexes: Vec<usize>,
    pub(crate) threshold: usize,
    pub(crate) terminating: bool,
}

impl ProjectMap {
    /// Checks rules against the indexes of a run, whose places are those in `indexes`.
    ///
    /// # Errors
    ///
    /// [`MapError`] for the first rule that cannot hold.
    pub fn new(rules: Vec<MapRule>, indexes: &[Url]) -> Result<Self, MapError> {
        let rules = rules.into_iter().map(|rule| Rule::new(rule, indexes));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Demands that "it is not there" is signed wherever the search would go on.
    pub(crate) fn demand_signed_absence(
        &self,
        is_signed: impl Fn(usize) -> bool,
        indexes: &[Url],
    ) -> Result<(), MapError> {
        for rule in &self.rules {
            let ends = usize::from(rule.terminating);
            let followed = rule.indexes.len().saturating_sub(ends);
            let followed = rule.indexes.iter().take(followed);
            if let Some(&place) = followed.clone().find(|&&place| !is_signed(place)) {
                return Err(MapError::BehindUnsigned {
                    origin: rule.origin.clone(),
                    index: indexes[place].clone(),
                });
            }
        }
        Ok(())
    }

    /// The first index of the last rule.
    pub(crate) fn last_index(&self) -> Option<usize> {
        self.rules.last()?.indexes.first().copied()
    }

    /// The rules to ask for a project, in order: those for it, up to the first that ends the
    /// search.
    pub(crate) fn rules_for<'a>(
        &'a self,
        project: &'a ProjectName,
    ) -> impl Iterator<Item = &'a Rule> {
        let mut ended = false;
        self.rules
            .iter()
            .filter(move |rule| rule.is_for(project))
            .take_while(move |rule| !std::mem::replace(&mut ended, rule.terminating))
    }

    /// The files that the rules are written in, each once.
    pub(crate) fn files(&self) -> Vec<&PathBuf> {
        let mut files: Vec<_> = self.rules.iter().map(|rule| &rule.origin.file).collect();
        files.dedup();
        files
    }

    /// All that decides which index answers, as lines of text; no URL, pattern or number
    /// holds a line feed or a space.
    pub(crate) fn identity(&self) -> String {
        self.rules.iter().map(Rule::identity).collect()
    }
}

impl Rule {
    fn new(rule: MapRule, indexes: &[Url]) -> Result<Self, MapError> {
        let MapRule {
            origin,
            projects,
            indexes: named,
            threshold,
            terminating,
        } = rule;
        if projects.is_empty() {
            return Err(MapError::NoProjects { origin });
        }
        let patterns = projects.iter().map(|pattern| pattern.parse());
        let patterns = match patterns.collect::<Result<_, _>>() {
            Ok(patterns) => patterns,
            Err(error) => return Err(MapError::Pattern { origin, error }),
        };
        if named.is_empty() {
            return Err(MapError::NoIndexes { origin });
        }
        let mut places = Vec::new();
        for index in named {
            let Some(place) = indexes.iter().position(|known| *known == index) else {
                return Err(MapError::UnknownIndex { origin, index });
            };
            if places.contains(&place) {
                return Err(MapError::Repeated { origin, index });
            }
            places.push(place);
        }
        if threshold == 0 || threshold > places.len() {
            return Err(MapError::Threshold {
                origin,
                threshold,
                indexes: places.len(),
            });
        }
        Ok(Self {
            origin,
            patterns,
            indexes: places,
            threshold,
            terminating,
        })
    }

    fn is_for(&self, project: &ProjectName) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(project))
    }

    fn identity(&self) -> String {
        let patterns: Vec<&str> = self.patterns.iter().map(ProjectPattern::as_str).collect();
        let indexes: Vec<String> = self.indexes.iter().map(usize::to_string).collect();
        format!(
            "{} {} {} {}\n",
            patterns.join(","),
            indexes.join(","),
            self.threshold,
            self.terminating
        )
    }
}

#[cfg(test)]
mod tests;
