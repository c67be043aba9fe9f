//! Attestation identities in a lock file (PEP 751, `packages.attestation-identities`): read with
//! their lines, and written without a change to anything else.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{LockError, LockFile, LockFormat, table};
use crate::{ProjectName, Version};

/// Most attestation identities of one package. Nobody is known to publish from more than two.
pub const MAX_LOCKED_IDENTITIES: usize = 64;

const PACKAGES: &str = "packages";
const KEY: &str = "attestation-identities";

/// The members of an identity's table, as they stand there.
pub(super) type Members = BTreeMap<String, Value>;

/// Somebody who may have attested the files of a package, as a lock file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedIdentity {
    /// The members of its table, with `kind` among them if it is right: nothing of it is checked.
    pub members: BTreeMap<String, Value>,
    /// The line that it begins in, counted from 1.
    pub line: usize,
}

/// A package with those who attest to all its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedPackage {
    /// The project.
    pub project: ProjectName,
    /// The locked version.
    pub version: Option<Version>,
    /// Those who attest to them; if there are none, none are to stand there.
    pub identities: Vec<BTreeMap<String, String>>,
}

/// The identities of one package with their lines, unless they are too many.
pub(super) fn all(
    project: &ProjectName,
    listed: Vec<Members>,
    lines: Vec<usize>,
) -> Result<Vec<LockedIdentity>, LockError> {
    let count = listed.len();
    if count > MAX_LOCKED_IDENTITIES {
        return Err(LockError::TooManyIdentities {
            package: project.to_string(),
            count,
        });
    }
    // Where a line is not known, the first one is as good as any.
    let lines = lines.into_iter().chain(std::iter::repeat(1));
    let with_line = |(members, line)| LockedIdentity { members, line };
    Ok(listed.into_iter().zip(lines).map(with_line).collect())
}

/// The lines of each package's identities, in the order of the packages. `count` says how many a
/// package has; where none has any, the text is not read again.
pub(super) fn lines<T>(
    text: &str,
    packages: &[T],
    count: impl Fn(&T) -> usize,
) -> std::vec::IntoIter<Vec<usize>> {
    if packages.iter().all(|package| count(package) == 0) {
        return Vec::new().into_iter();
    }
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |span: Range<usize>| 1 + ends.partition_point(|end| *end < span.start);
    let Ok(document) = DeTable::parse(text) else {
        return Vec::new().into_iter();
    };
    let packages = array(document.get_ref(), PACKAGES).iter();
    let lines = packages.map(|package| {
        let package = package.get_ref().as_table();
        let listed = package.map_or(&[][..], |package| array(package, KEY));
        listed.iter().map(|one| line_of(one.span())).collect()
    });
    lines.collect::<Vec<_>>().into_iter()
}

fn array<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> &'t [Spanned<DeValue<'i>>] {
    let value = table.get(key).and_then(|value| value.get_ref().as_array());
    value.map_or(&[], |array| array.as_ref())
}

/// The text of a pylock.toml in which the given packages have the given identities, and all else
/// is as it was: every other package and member, comments, order and line ends.
///
/// # Errors
///
/// [`LockError`] when the text is no such file, and [`LockError::NotWritable`] when what would come
/// out says anything else than that.
pub fn with_identities(text: &str, packages: &[AttestedPackage]) -> Result<String, LockError> {
    let document = DeTable::parse(text).map_err(|_| LockError::NotWritable)?;
    let mut edits = Edits {
        text,
        end: if text.contains("\r\n") { "\r\n" } else { "\n" },
        changes: Vec::new(),
    };
    for package in array(document.get_ref(), PACKAGES) {
        if let Some(table) = package.get_ref().as_table()
            && let Some(wanted) = wanted(table, packages)
        {
            edits.package(package.span(), table, wanted);
        }
    }
    let written = edits.apply();
    if same_otherwise(text, &written, packages)? && has(&written, packages)? {
        Ok(written)
    } else {
        Err(LockError::NotWritable)
    }
}

/// Whether a text has the identities that are given.
fn has(written: &str, packages: &[AttestedPackage]) -> Result<bool, LockError> {
    let lock = LockFile::parse(LockFormat::Pylock, written.as_bytes())?;
    let as_given = lock.packages.iter().all(|package| {
        let same = |one: &&AttestedPackage| {
            one.project == package.project && one.version == package.version
        };
        packages.iter().find(same).is_none_or(|given| {
            let there = package.identities.iter().map(|one| &one.members);
            let given = given.identities.iter();
            there.eq(given.map(members).collect::<Vec<_>>().iter())
        })
    });
    Ok(as_given)
}

fn members(identity: &BTreeMap<String, String>) -> Members {
    let members = identity.iter();
    let members = members.map(|(member, value)| (member.clone(), value.as_str().into()));
    members.collect()
}

/// What is to stand in a package, if it is one of those that are given.
fn wanted<'p>(
    package: &DeTable<'_>,
    packages: &'p [AttestedPackage],
) -> Option<&'p [BTreeMap<String, String>]> {
    let said = |key: &str| package.get(key).and_then(|value| value.get_ref().as_str());
    let from_an_index = !["vcs", "directory", "archive"]
        .iter()
        .any(|key| package.contains_key(*key));
    let name: ProjectName = said("name")?.parse().ok()?;
    let version: Option<Version> = match said("version") {
        Some(version) => Some(version.parse().ok()?),
        None => None,
    };
    let mut given = packages.iter();
    let found = given.find(|one| one.project == name && one.version == version);
    found
        .filter(|_| from_an_index)
        .map(|one| &one.identities[..])
}

/// Changes to a text, in its order.
struct Edits<'a> {
    text: &'a str,
    /// How its lines end.
    end: &'static str,
    changes: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    fn package(
        &mut self,
        span: Range<usize>,
        package: &DeTable<'_>,
        wanted: &[BTreeMap<String, String>],
    ) {
        let existing = package.get(KEY);
        if let Some(existing) = existing
            && self.text[existing.span()].starts_with("[[")
            && is_headed(self.text, existing)
        {
            for block in array(package, KEY) {
                self.remove_lines(block.span().start..extent(block));
            }
        } else if let Some(existing) = existing {
            self.changes.push((existing.span(), inline(wanted)));
            return;
        }
        if wanted.is_empty() {
            return;
        }
        if self.text[span.clone()].starts_with('{') {
            let at = span.start + 1;
            self.changes
                .push((at..at, format!(" {KEY} = {},", inline(wanted))));
            return;
        }
        let mut end = span.end;
        for (key, value) in package {
            end = end.max(key.span().end).max(extent(value));
        }
        let at = self.line_end(end);
        let mut block = String::new();
        if !self.text[..at].ends_with('\n') {
            block.push_str(self.end);
        }
        for identity in wanted {
            block.push_str(&format!("{0}[[{PACKAGES}.{KEY}]]{0}", self.end));
            for (member, value) in identity {
                block.push_str(&format!("{member} = {}{}", quoted(value), self.end));
            }
        }
        self.changes.push((at..at, block));
    }

    /// Takes whole lines away, and a blank one before them.
    fn remove_lines(&mut self, range: Range<usize>) {
        let mut start = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let before = &self.text[..start];
        let blank = ["\r\n\r\n", "\n\n"].into_iter();
        if let Some(blank) = blank.into_iter().find(|blank| before.ends_with(blank)) {
            start -= blank.len() / 2;
        }
        self.changes
            .push((start..self.line_end(range.end), String::new()));
    }

    /// Where the line ends that an offset is in, with its end.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text[at..].find('\n');
        rest.map_or(self.text.len(), |found| at + found + 1)
    }

    fn apply(mut self) -> String {
        self.changes
            .sort_by_key(|(range, _)| (range.start, range.end));
        let mut written = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, new) in self.changes {
            // Two that overlap come of a text that cannot be written; that shows when it is compared.
            written.push_str(self.text.get(at..range.start).unwrap_or_default());
            written.push_str(&new);
            at = at.max(range.end);
        }
        written.push_str(&self.text[at..]);
        written
    }
}

/// Whether an array has tables with headers of their own.
fn is_headed(text: &str, array: &Spanned<DeValue<'_>>) -> bool {
    let mut items = array
        .get_ref()
        .as_array()
        .into_iter()
        .flat_map(|it| it.iter());
    items.any(|item| text[item.span()].starts_with("[["))
}

/// Where a value ends, with all that belongs to it and stands behind it.
fn extent(value: &Spanned<DeValue<'_>>) -> usize {
    let mut end = 0;
    // Not by recursion: how deep it goes is for whoever wrote the file to say.
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        end = end.max(value.span().end);
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    end = end.max(key.span().end);
                    waiting.push(value);
                }
            }
            DeValue::Array(array) => waiting.extend(array.iter()),
            _ => {}
        }
    }
    end
}

fn inline(identities: &[BTreeMap<String, String>]) -> String {
    let tables: Vec<String> = identities
        .iter()
        .map(|identity| {
            let members: Vec<String> = identity
                .iter()
                .map(|(member, value)| format!("{member} = {}", quoted(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        })
        .collect();
    format!("[{}]", tables.join(", "))
}

/// A string as TOML has it.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Whether one text says what the other does, but for the identities of the packages that are
/// given, which it has.
fn same_otherwise(
    before: &str,
    after: &str,
    packages: &[AttestedPackage],
) -> Result<bool, LockError> {
    let (mut before, mut after) = (table(before)?, table(after)?);
    for document in [&mut before, &mut after] {
        let listed = document.get_mut(PACKAGES).and_then(|it| it.as_array_mut());
        for package in listed.into_iter().flatten() {
            let Some(package) = package.as_table_mut() else {
                continue;
            };
            let name = package.get("name").and_then(|name| name.as_str());
            let name: Option<ProjectName> = name.and_then(|name| name.parse().ok());
            let given = |name: &ProjectName| packages.iter().any(|one| one.project == *name);
            if name.as_ref().is_some_and(given) {
                drop(package.remove(KEY));
            }
        }
    }
    Ok(before == after)
}
