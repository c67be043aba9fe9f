//! What a run ended with, in a few lines on standard error.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use indicatif::DecimalBytes;
use owo_colors::{OwoColorize as _, Stream::Stderr};
use wheelmark_client::installer::{Mode, ModeChoice};
use wheelmark_client::{
    Chain, FileEntry, HeldBack, Manner, RefusedEntry, Report, SourceWarning, Word,
};
use wheelmark_provenance::policy::{PolicyFile, ProjectPattern};
use wheelmark_tuf::without_controls;

/// Versions of a project that are named of those held back.
const VERSIONS_SHOWN: usize = 3;

/// Prints the summary; nothing, if nothing was asked for. Standard error that is gone is no
/// reason to fail.
///
/// `names_indexes`: whether more than one is in play, so that each line says which.
pub(super) fn print(report: &Report, took: Duration, names_indexes: bool) {
    let text = render(report, took, names_indexes);
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Says which mode the command runs in, and why.
pub(super) fn mode(choice: &ModeChoice) {
    let name = match choice.mode {
        Mode::Connect => "connect",
        Mode::Index => "index",
    };
    let why = without_controls(&choice.why);
    let text = format!("wheelmark: {name} mode ({why})\n");
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Which lock files say who has to have attested what, a line for each.
pub(super) fn identities(locks: &[PolicyFile]) -> String {
    let mut text = String::new();
    for lock in locks {
        let projects = lock
            .rules()
            .iter()
            .filter_map(|rule| rule.projects().first());
        let projects: BTreeSet<&str> = projects.map(ProjectPattern::as_str).collect();
        let noun = if projects.len() == 1 {
            "project"
        } else {
            "projects"
        };
        text.push_str(&format!(
            "wheelmark: {} says who has to have attested the files of {} {noun}\n",
            without_controls(lock.name()),
            projects.len()
        ));
    }
    text
}

/// Which lock files name identities that this command is not held to, a line for each.
pub(super) fn not_asked(locks: &[String]) -> String {
    let mut text = String::new();
    for lock in locks {
        let lock = without_controls(lock);
        text.push_str(&format!(
            "wheelmark: NOT asked: {lock} names who has to have attested its files, and this command does not name it; if it is followed all the same: --lock {lock}\n"
        ));
    }
    text
}

/// Prints something to standard error.
pub(super) fn say(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Says that a lock file names the proxy of a run that is over.
pub(super) fn lock_file(file: &Path) {
    let hint = "hint:".if_supports_color(Stderr, |t| t.cyan()).to_string();
    let file = without_controls(&file.display().to_string());
    let text = format!(
        "wheelmark: {file} names the proxy of this run, which is gone now\n  {hint} wheelmark lock rewrite {file}\n"
    );
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

fn render(report: &Report, took: Duration, names_indexes: bool) -> String {
    let mut text = String::new();
    let (unsigned, signed): (Vec<FileEntry>, Vec<FileEntry>) = report
        .files
        .iter()
        .cloned()
        .partition(|file| file.chain == Chain::Unsigned);
    if !signed.is_empty() {
        text.push_str(&verified(&signed, report.bytes, took, names_indexes));
    }
    text.push_str(&not_signed(&unsigned));
    text.push_str(&attested(&report.files));
    text.push_str(&held_back(&report.held_back));
    for route in &report.routes_not_closed {
        let word = "not verified:"
            .if_supports_color(Stderr, |t| t.yellow())
            .to_string();
        text.push_str(&format!(
            "wheelmark: {word} `{}`: {}\n",
            without_controls(&route.argument),
            route.why
        ));
    }
    for warning in &report.warnings {
        text.push_str(&warned(warning));
    }
    for entry in &report.refused {
        text.push_str(&refused(entry, names_indexes));
    }
    text.push_str(&super::recoveries::told(&report.recoveries));
    text
}

/// Who attests to what, a line for each identity.
fn attested(files: &[FileEntry]) -> String {
    let mut identities: BTreeMap<(&str, Word), BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        if let Some(word) = file.identity_from {
            let projects = identities.entry((&file.provenance, word)).or_default();
            projects.insert(file.project.as_str());
        }
    }
    let mut text = String::new();
    for ((attested, word), projects) in identities {
        let projects: Vec<&str> = projects.into_iter().collect();
        let why = match word {
            Word::Policy => "as the policy asks",
            Word::LockFile => "as the lock file asks",
            Word::Remembered => "as before",
            Word::FirstUse => "seen for the first time here, and expected from now on",
        };
        text.push_str(&format!(
            "wheelmark: {} {}, {why}\n",
            projects.join(", "),
            without_controls(attested),
        ));
    }
    text
}

/// What nobody signs for, a line for each index.
fn not_signed(files: &[FileEntry]) -> String {
    let word = "not signed:"
        .if_supports_color(Stderr, |t| t.yellow())
        .to_string();
    let mut indexes: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        *indexes.entry(&file.index).or_default() += 1;
    }
    let mut text = String::new();
    for (index, count) in indexes {
        let are = if count == 1 { "file is" } else { "files are" };
        text.push_str(&format!(
            "wheelmark: {word} {count} {are} what the pages of {index} say by their sha256, and nobody signs those pages\n"
        ));
    }
    text
}

/// What the policy held back, a line for each project.
fn held_back(held: &[HeldBack]) -> String {
    let word = "held back:"
        .if_supports_color(Stderr, |t| t.yellow())
        .to_string();
    let mut projects: BTreeMap<_, Vec<&HeldBack>> = BTreeMap::new();
    for file in held {
        projects.entry(&file.project).or_default().push(file);
    }
    let mut text = String::new();
    for (project, files) in projects {
        let versions: BTreeSet<_> = files.iter().map(|file| &file.version).collect();
        let shown: Vec<String> = versions
            .iter()
            .rev()
            .take(VERSIONS_SHOWN)
            .map(ToString::to_string)
            .collect();
        let more = match versions.len().saturating_sub(VERSIONS_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let newest = files.iter().max_by_key(|file| &file.version);
        let Some(newest) = newest else { continue };
        text.push_str(&format!(
            "wheelmark: {word} {project} {}{more}: {} (`{}`, line {} of {})\n",
            without_controls(&shown.join(", ")),
            without_controls(&newest.why),
            without_controls(&newest.rule),
            newest.line,
            without_controls(&newest.policy)
        ));
    }
    text
}

fn warned(warning: &SourceWarning) -> String {
    let word = "warning:"
        .if_supports_color(Stderr, |t| t.yellow())
        .to_string();
    format!(
        "wheelmark: {word} {}: {}\n",
        without_controls(&warning.source),
        without_controls(&warning.what)
    )
}

fn verified(files: &[FileEntry], bytes: u64, took: Duration, names_indexes: bool) -> String {
    let mut chains: BTreeMap<_, usize> = BTreeMap::new();
    for file in files {
        *chains.entry(file.chain).or_default() += 1;
    }
    let chains: Vec<String> = chains
        .iter()
        .map(|(chain, count)| format!("{count} {chain}"))
        .collect();
    let noun = if files.len() == 1 { "file" } else { "files" };
    let word = "verified"
        .if_supports_color(Stderr, |t| t.green())
        .to_string();
    let mut text = format!(
        "wheelmark: {} {noun} {word} ({}), {} in {:.1} s\n",
        files.len(),
        chains.join(", "),
        DecimalBytes(bytes),
        took.as_secs_f64()
    );
    if names_indexes {
        let mut indexes: BTreeMap<_, usize> = BTreeMap::new();
        for file in files {
            *indexes.entry(&file.index).or_default() += 1;
        }
        for (index, count) in indexes {
            text.push_str(&format!("wheelmark: {count} of them from {index}\n"));
        }
    }
    let withheld = |file: &&FileEntry| file.verified == Manner::LastChunkWithheld;
    let late = files.iter().filter(withheld).count();
    if late > 0 {
        text.push_str(&format!(
            "wheelmark: {late} of them only at their end, since the index signs no chunk lists\n"
        ));
    }
    text
}

fn refused(entry: &RefusedEntry, names_indexes: bool) -> String {
    let word = "REFUSED".if_supports_color(Stderr, |t| t.red()).to_string();
    let role = match (&entry.role, entry.role_version) {
        (Some(role), Some(version)) => {
            let role = without_controls(role);
            format!(" (signed for by role {role}, version {version})")
        }
        _ => String::new(),
    };
    let asked = match entry.index.as_ref().filter(|_| names_indexes) {
        Some(index) => format!(" (asked of {})", without_controls(index)),
        None => String::new(),
    };
    let hint = "hint:".if_supports_color(Stderr, |t| t.cyan()).to_string();
    format!(
        "wheelmark: {word} {}: {}{role}{asked}\n  this can mean: {}\n  {hint} {}\n",
        without_controls(&entry.what),
        without_controls(&entry.failed),
        entry.meaning,
        entry.next
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_in_the_summary() {
        let bad = "a\u{1b}[2J\u{9b}1m\r\nb";
        let report = Report {
            verified: false,
            configured_index: None,
            files: Vec::new(),
            bytes: 0,
            refused: vec![RefusedEntry {
                what: bad.to_owned(),
                project: None,
                index: None,
                file: None,
                host: None,
                failed: bad.to_owned(),
                role: Some(bad.to_owned()),
                role_version: Some(1),
                meaning: "m".to_owned(),
                next: "n".to_owned(),
            }],
            held_back: Vec::new(),
            warnings: vec![SourceWarning {
                index: bad.to_owned(),
                source: bad.to_owned(),
                what: bad.to_owned(),
            }],
            recoveries: Vec::new(),
            routes_not_closed: vec![wheelmark_client::OpenRoute {
                argument: bad.to_owned(),
                why: "w",
            }],
        };
        let text = render(&report, Duration::ZERO, true);
        let obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(obeyed), "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
