//! Reads the rules of a `wheelmark.toml`, and finds every mistake in them at once.

use std::ops::Range;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::demand::{BackSigned, Demand, DemandKind};
use super::facts::FileKind;
use super::mistake::{Mistake, line_of};
use super::pattern::ProjectPattern;
use super::rule::{Clause, PolicyFile, Rule, RuleName};
use crate::chain::Chain;
use crate::openpgp::Fingerprint;
use crate::publisher::{Publisher, PublisherError};

/// The longest file that is read, in bytes: rules for ten thousand projects, one by one.
const MAX_LEN: usize = 1 << 20;

/// How alike two words are when one is taken for a misspelling of the other.
const ALIKE: f64 = 0.75;

const EVERYTHING: &str = "everything";
const FOR: &str = "for";
const PROJECTS: &str = "projects";
const VERSIONS: &str = "versions";
const FILES: &str = "files";

/// The keys that say which files a rule is for.
const WHO: [&str; 3] = [PROJECTS, VERSIONS, FILES];

impl PolicyFile {
    /// The longest file that is read, in bytes.
    pub const MAX_LEN: usize = MAX_LEN;

    /// Reads a file. `name` is what it is called in messages, and `others` are the keys at its top
    /// that mean something to others.
    ///
    /// # Errors
    ///
    /// Every mistake that was found: a file with one asks for nothing that can be relied on.
    pub fn parse(text: &str, name: &str, others: &[&str]) -> Result<Self, Vec<Mistake>> {
        if text.len() > MAX_LEN {
            let what = format!("the file is longer than {MAX_LEN} bytes");
            return Err(vec![Mistake::at(text, 0..0, what)]);
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reading = Reading {
            text,
            mistakes: Vec::new(),
        };
        for error in errors {
            reading.wrong(error.span().unwrap_or(0..0), error.message());
        }
        let rules = reading.top(table.get_ref(), others);
        if reading.mistakes.is_empty() {
            reading.never_asked(&rules);
        }
        if reading.mistakes.is_empty() {
            let name = name.to_owned();
            return Ok(Self {
                name,
                trusted: true,
                rules,
                of_lock: false,
            });
        }
        reading
            .mistakes
            .sort_by_key(|wrong| (wrong.line, wrong.column));
        Err(reading.mistakes)
    }
}

/// A file on its way, and what was found to be wrong with it so far.
struct Reading<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reading<'_> {
    fn wrong(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.mistakes
            .push(Mistake::at(self.text, span, what.into()));
    }

    fn top(&mut self, table: &DeTable<'_>, others: &[&str]) -> Vec<Rule> {
        let mut everything = None;
        let mut rules = Vec::new();
        for (key, value) in table {
            let name: &str = key.get_ref();
            match (name, value.get_ref()) {
                (EVERYTHING, DeValue::Table(members)) => {
                    everything = Some(self.rule(RuleName::Everything, key.span(), members));
                }
                (EVERYTHING, _) => {
                    self.wrong(key.span(), "`[everything]` is a table of demands");
                }
                (FOR, DeValue::Array(items)) => {
                    for (at, item) in items.iter().enumerate() {
                        match item.get_ref() {
                            DeValue::Table(members) => {
                                let name = RuleName::For(at + 1);
                                rules.push(self.rule(name, item.span(), members));
                            }
                            _ => self.wrong(item.span(), FOR_IS),
                        }
                    }
                }
                (FOR, _) => self.wrong(key.span(), FOR_IS),
                _ if others.contains(&name) => {}
                _ => {
                    let known = [EVERYTHING, FOR].into_iter().chain(others.iter().copied());
                    self.unknown(name, key.span(), known);
                }
            }
        }
        rules.extend(everything);
        rules
    }

    fn rule(&mut self, name: RuleName, span: Range<usize>, members: &DeTable<'_>) -> Rule {
        let mut rule = Rule {
            name,
            line: line_of(self.text, span.start),
            projects: Vec::new(),
            versions: None,
            files: None,
            clauses: Vec::new(),
        };
        let is_for = name != RuleName::Everything;
        let mut named = false;
        let mistakes = self.mistakes.len();
        for (key, value) in members {
            match (&**key.get_ref(), is_for) {
                (PROJECTS, true) => {
                    named = true;
                    rule.projects = self.projects(value);
                }
                (VERSIONS, true) => rule.versions = self.parsed(value, VERSIONS_ARE),
                (FILES, true) => rule.files = self.word(value, &FileKind::WORDS),
                (key_name, _) => match DemandKind::of_key(key_name) {
                    Some(kind) => {
                        let line = line_of(self.text, key.span().start);
                        let demand = self.demand(kind, value);
                        rule.clauses
                            .extend(demand.map(|demand| Clause { line, demand }));
                    }
                    None if WHO.contains(&key_name) => {
                        let what = format!(
                            "`{key_name}` belongs into a `[[for]]`: `[everything]` is for all files"
                        );
                        self.wrong(key.span(), what);
                    }
                    None => {
                        let keys = DemandKind::ALL.map(DemandKind::key);
                        let who = WHO.iter().copied().filter(|_| is_for);
                        self.unknown(key_name, key.span(), keys.into_iter().chain(who));
                    }
                },
            }
        }
        if is_for && !named {
            self.wrong(
                span.clone(),
                "it does not say for which projects: `projects = [\"*\"]` is for all of them",
            );
        }
        // A demand that is misspelt is told of already.
        if rule.clauses.is_empty() && self.mistakes.len() == mistakes {
            let keys = DemandKind::ALL.map(DemandKind::key).join(", ");
            self.wrong(span, format!("it asks for nothing: its demands are {keys}"));
        }
        rule.clauses.sort_by_key(|clause| clause.line);
        rule
    }

    fn demand(&mut self, kind: DemandKind, value: &Value<'_>) -> Option<Demand> {
        Some(match kind {
            DemandKind::Chain => {
                let words = Chain::ALL.map(|chain| (chain.as_str(), chain));
                Demand::Chain(self.word(value, &words)?)
            }
            DemandKind::MinAge => Demand::MinAge(self.parsed(value, AGE_IS)?),
            DemandKind::BackSigned => Demand::BackSigned(self.word(value, &BackSigned::WORDS)?),
            DemandKind::AttestedBy => {
                let list = self.list(value, PUBLISHERS_ARE)?;
                let publishers: Vec<Publisher> = list
                    .into_iter()
                    .filter_map(|item| self.publisher(item))
                    .collect();
                Demand::AttestedBy(publishers)
            }
            DemandKind::OpenPgp => {
                let list = self.list(value, "`openpgp` is a list of fingerprints")?;
                let fingerprints: Vec<Fingerprint> = list
                    .into_iter()
                    .filter_map(|item| self.parsed(item, "a fingerprint is a string"))
                    .collect();
                Demand::OpenPgp(fingerprints)
            }
        })
    }

    /// A publisher, in the spelling for people or as the table that lock files have.
    fn publisher(&mut self, value: &Value<'_>) -> Option<Publisher> {
        let read = match value.get_ref() {
            DeValue::String(text) => text
                .parse()
                .map_err(|error: PublisherError| format!("{error}: {}", error.hint())),
            DeValue::Table(_) => {
                let text = format!("it = {}", &self.text[value.span()]);
                let table: Result<OnePublisher, _> = toml::from_str(&text);
                table
                    .map(|one| one.it)
                    .map_err(|error| error.message().to_owned())
            }
            _ => Err(PUBLISHERS_ARE.to_owned()),
        };
        match read {
            Ok(publisher) => Some(publisher),
            Err(what) => {
                self.wrong(value.span(), what);
                None
            }
        }
    }

    fn projects(&mut self, value: &Value<'_>) -> Vec<ProjectPattern> {
        let list = self.list(
            value,
            "`projects` is a list of names, such as [\"flask\", \"acme-*\"]",
        );
        let items = list.unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| self.parsed(item, "a project's name is a string"))
            .collect()
    }

    /// The items of a list that has any.
    fn list<'v, 'i>(&mut self, value: &'v Value<'i>, form: &str) -> Option<Vec<&'v Value<'i>>> {
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => {
                self.wrong(
                    value.span(),
                    "the list is empty, and nothing can satisfy that",
                );
                None
            }
            DeValue::Array(items) => Some(items.iter().collect()),
            _ => {
                self.wrong(value.span(), form);
                None
            }
        }
    }

    /// A string that means something to its type.
    fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        value: &Value<'_>,
        form: &str,
    ) -> Option<T> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(value.span(), form);
            return None;
        };
        match text.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => {
                // Some messages point at their place with lines of their own.
                let said = error.to_string();
                let first = said.lines().next().unwrap_or_default();
                self.wrong(value.span(), first);
                None
            }
        }
    }

    /// One of a few words.
    fn word<T: Copy>(&mut self, value: &Value<'_>, words: &[(&'static str, T)]) -> Option<T> {
        let said = value.get_ref().as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == said);
        if found.is_none() {
            let known: Vec<String> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            let what = format!("it is one of {}", known.join(", "));
            self.wrong(value.span(), what);
        }
        found.map(|(_, meaning)| *meaning)
    }

    fn unknown<'k>(
        &mut self,
        name: &str,
        span: Range<usize>,
        known: impl Iterator<Item = &'k str> + Clone,
    ) {
        let said = format!("`{}` is not known here", name.escape_debug());
        let nearest = known
            .clone()
            .map(|key| (strsim::jaro_winkler(name, key), key))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .filter(|(likeness, _)| *likeness > ALIKE);
        let what = match nearest {
            Some((_, key)) => format!("{said}; did you mean `{key}`?"),
            None => {
                let known: Vec<String> = known.map(|key| format!("`{key}`")).collect();
                format!("{said}; what is known: {}", known.join(", "))
            }
        };
        self.wrong(span, what);
    }

    /// Finds lines that an earlier rule never lets come to their turn.
    fn never_asked(&mut self, rules: &[Rule]) {
        for (at, rule) in rules.iter().enumerate() {
            // That is what it is there for: what holds where nothing else was said.
            if rule.name == RuleName::Everything {
                continue;
            }
            for clause in &rule.clauses {
                let kind = clause.demand.kind();
                let earlier = rules[..at].iter().filter(|earlier| earlier.covers(rule));
                let mut deciding = earlier.flat_map(|earlier| {
                    let mut clauses = earlier.clauses.iter();
                    clauses.find(|clause| clause.demand.kind() == kind)
                });
                if let Some(before) = deciding.next() {
                    let what = format!(
                        "this line never counts: line {} decides before it for the same files; the more special rule has to stand first",
                        before.line
                    );
                    let line = self.span_of_line(clause.line);
                    self.wrong(line, what);
                }
            }
        }
    }

    /// A line, without the space before it.
    fn span_of_line(&self, number: usize) -> Range<usize> {
        let before: usize = self
            .text
            .split_inclusive('\n')
            .take(number - 1)
            .map(str::len)
            .sum();
        let line = self.text[before..].lines().next().unwrap_or_default();
        let begins = before + (line.len() - line.trim_start().len());
        begins..before + line.trim_end().len()
    }
}

/// A publisher that stands alone.
#[derive(Deserialize)]
struct OnePublisher {
    #[serde(deserialize_with = "Publisher::deserialize_strictly")]
    it: Publisher,
}

const PUBLISHERS_ARE: &str =
    "`attested-by` is a list of identities, such as [\"github:pallets/flask@publish.yaml\"]";
const FOR_IS: &str = "a rule for some projects begins with `[[for]]`";
const VERSIONS_ARE: &str = "`versions` is a range, such as \">=2.0,<3\"";
const AGE_IS: &str = "an age is a string, such as \"7 days\"";

impl DemandKind {
    fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }
}
