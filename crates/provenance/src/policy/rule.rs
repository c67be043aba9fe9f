//! Rules, the files that they stand in, and which of them speak of a file.

use std::fmt;

use wheelmark_packaging::{DistributionFilename, VersionSpecifiers};

use super::demand::{Demand, DemandKind};
use super::facts::FileKind;
use super::pattern::ProjectPattern;
use crate::openpgp::Fingerprint;

/// What a person asks, in one file or in several, each of which has to be satisfied.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    files: Vec<PolicyFile>,
}

/// The rules of one file, in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    pub(super) name: String,
    pub(super) trusted: bool,
    /// In the order in which they are asked; those of a lock file by project.
    pub(super) rules: Vec<Rule>,
    pub(super) of_lock: bool,
}

/// What is asked of some files.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(super) name: RuleName,
    pub(super) line: usize,
    /// The projects that it is for; none stands for all.
    pub(super) projects: Vec<ProjectPattern>,
    pub(super) versions: Option<VersionSpecifiers>,
    pub(super) files: Option<FileKind>,
    pub(super) clauses: Vec<Clause>,
}

/// What a rule is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleName {
    /// `[everything]`
    Everything,
    /// `[[for]]`, counted from 1.
    For(usize),
    /// What a lock file says of a package.
    Locked,
}

/// One demand of a rule, with its place.
#[derive(Clone, Debug)]
pub struct Clause {
    pub(super) line: usize,
    pub(super) demand: Demand,
}

/// Why a rule is not for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFor {
    Project,
    Version,
    Kind,
}

impl Policy {
    /// All files together: what each of them decides has to hold.
    pub fn new(files: Vec<PolicyFile>) -> Self {
        Self { files }
    }

    /// With more files, each of which has to be satisfied as well.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = PolicyFile>) -> Self {
        self.files.extend(more);
        self
    }

    /// The files.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// Whether nothing is asked of anything.
    pub fn is_empty(&self) -> bool {
        self.files.iter().all(|file| file.rules.is_empty())
    }

    /// Whether anything of this kind is asked of a file.
    pub fn asks(&self, file: &DistributionFilename, kind: DemandKind) -> bool {
        let mut files = self.files.iter();
        files.any(|source| source.deciding(file, kind).is_some())
    }

    /// The lists of OpenPGP certificates of which one has to have signed a file, each once.
    pub fn asked_certificates(&self, file: &DistributionFilename) -> Vec<&[Fingerprint]> {
        let mut asked: Vec<&[Fingerprint]> = Vec::new();
        for source in &self.files {
            if let Some((_, clause)) = source.deciding(file, DemandKind::OpenPgp)
                && let Demand::OpenPgp(list) = &clause.demand
                && !asked.contains(&list.as_slice())
            {
                asked.push(list);
            }
        }
        asked
    }

    /// Whether any rule makes a demand of this kind.
    pub fn speaks_of(&self, kind: DemandKind) -> bool {
        let rules = self.files.iter().flat_map(|file| &file.rules);
        let mut clauses = rules.flat_map(|rule| &rule.clauses);
        clauses.any(|clause| clause.demand.kind() == kind)
    }
}

impl PolicyFile {
    /// What the file is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same file, as one that came with a project: it can ask for more, and the identities that it
    /// names are nobody's word.
    #[must_use]
    pub fn of_strangers(self) -> Self {
        Self {
            trusted: false,
            ..self
        }
    }

    /// Whether it is the person's word, or their system's.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// Its rules, in the order in which they are asked.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules that can be for a file: a lock file has one for each of its packages.
    pub(super) fn rules_about(&self, file: &DistributionFilename) -> &[Rule] {
        if !self.of_lock {
            return &self.rules;
        }
        fn project(rule: &Rule) -> &str {
            rule.projects.first().map_or("", ProjectPattern::as_str)
        }
        let wanted = file.project().as_str();
        let start = self.rules.partition_point(|rule| project(rule) < wanted);
        let end = self.rules.partition_point(|rule| project(rule) <= wanted);
        &self.rules[start..end]
    }

    /// The rule that decides for a file in one respect.
    pub(super) fn deciding(
        &self,
        file: &DistributionFilename,
        kind: DemandKind,
    ) -> Option<(&Rule, &Clause)> {
        let of_kind = |rule: &'_ Rule| -> Option<usize> {
            let mut clauses = rule.clauses.iter();
            clauses.position(|clause| clause.demand.kind() == kind)
        };
        let rules = self.rules_about(file).iter();
        let for_it = rules.filter(|rule| rule.is_for(file).is_ok());
        for_it
            .filter_map(|rule| Some((rule, &rule.clauses[of_kind(rule)?])))
            .next()
    }
}

impl Rule {
    /// What it is called.
    pub fn name(&self) -> RuleName {
        self.name
    }

    /// The line that it begins in, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The projects that it is for; none stands for all.
    pub fn projects(&self) -> &[ProjectPattern] {
        &self.projects
    }

    /// The versions that it is for, where it is not for all.
    pub fn versions(&self) -> Option<&VersionSpecifiers> {
        self.versions.as_ref()
    }

    /// The kind of file that it is for, where it is not for both.
    pub fn files(&self) -> Option<FileKind> {
        self.files
    }

    /// What it asks.
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether it is for a file, or why not.
    pub(super) fn is_for(&self, file: &DistributionFilename) -> Result<(), NotFor> {
        let mut projects = self.projects.iter();
        if !self.projects.is_empty() && !projects.any(|pattern| pattern.matches(file.project())) {
            return Err(NotFor::Project);
        }
        if let Some(versions) = &self.versions
            && !versions.contains(file.version())
        {
            return Err(NotFor::Version);
        }
        if self.files.is_some_and(|kind| kind != FileKind::of(file)) {
            return Err(NotFor::Kind);
        }
        Ok(())
    }

    /// Whether it is for every file that the other one is for, as far as that is plain.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let projects = self.projects.is_empty()
            || other
                .projects
                .iter()
                .all(|theirs| self.projects.iter().any(|ours| ours.covers(theirs)));
        projects
            && (self.versions.is_none() || self.versions == other.versions)
            && (self.files.is_none() || self.files == other.files)
    }

    /// Which files it is for, in words.
    pub fn who(&self) -> String {
        let mut text = match &self.projects[..] {
            [] => "everything".to_owned(),
            patterns => {
                let patterns: Vec<&str> = patterns.iter().map(ProjectPattern::as_str).collect();
                patterns.join(", ")
            }
        };
        if let Some(versions) = &self.versions {
            text.push_str(&format!(" {versions}"));
        }
        if let Some(files) = self.files {
            text.push_str(&format!(", {files} only"));
        }
        text
    }
}

impl Clause {
    /// The line that it stands in, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is asked.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("[everything]"),
            Self::For(number) => write!(f, "[[for]] {number}"),
            Self::Locked => f.write_str("[[packages]]"),
        }
    }
}
