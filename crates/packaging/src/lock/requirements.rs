//! Requirements files of pip, as far as they lock anything.

use super::named;
use super::{
    Elsewhere, ElsewhereKind, FilePlace, LockError, LockFile, LockFormat, LockedFile, LockedPackage,
};
use crate::{ProjectName, Version};

/// What pip takes for the end of a line: all that Python does.
const LINE_ENDS: [char; 10] = [
    '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// The lines of a requirements file without comments, those that a backslash continues put
/// together, as pip reads them.
pub fn requirement_lines(text: &str) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut lines = vec![String::new()];
    for line in text.split(LINE_ENDS) {
        let comment = line.trim_start().starts_with('#');
        let goes_on = line.strip_suffix('\\').filter(|_| !comment);
        if let Some(last) = lines.last_mut() {
            last.push_str(if comment { " " } else { "" });
            last.push_str(goes_on.unwrap_or(line));
        }
        if goes_on.is_none() {
            lines.push(String::new());
        }
    }
    let lines = lines.iter().map(|line| without_comment(line).to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    let comment = line.char_indices().find(|&(_, c)| {
        let starts = c == '#' && before.is_whitespace();
        before = c;
        starts
    });
    line[..comment.map_or(line.len(), |(at, _)| at)].trim()
}

/// Options that say nothing about what is installed.
const OF_NO_CONCERN: [&str; 9] = [
    "--pre",
    "--prefer-binary",
    "--only-binary",
    "--no-binary",
    "--require-hashes",
    "--trusted-host",
    "--use-feature",
    "--no-index",
    "--all-releases",
];

pub(super) fn parse(text: &str) -> Result<LockFile, LockError> {
    let mut lock = LockFile::empty(LockFormat::Requirements, None);
    for line in requirement_lines(text) {
        if line.starts_with('-') {
            option(&line, &mut lock)?;
        } else {
            requirement(&line, &mut lock)?;
        }
    }
    Ok(lock)
}

fn option(line: &str, lock: &mut LockFile) -> Result<(), LockError> {
    let unknown = || LockError::Line {
        line: line.to_owned(),
    };
    // `-rFILE`, `-r FILE`, `--requirement FILE`, `--requirement=FILE`.
    let (name, value) = match line.strip_prefix("--") {
        Some(_) => line.split_once(['=', ' ', '\t']).unwrap_or((line, "")),
        None => {
            let end = line.char_indices().nth(2).map_or(line.len(), |(at, _)| at);
            line.split_at(end)
        }
    };
    let value = value.trim().trim_matches(['"', '\'']);
    match name {
        "-r" | "--requirement" if !value.is_empty() => lock.includes.push(value.to_owned()),
        "-i" | "--index-url" | "--extra-index-url" if !value.is_empty() => {
            lock.indexes.push(value.to_owned());
        }
        "-c" | "--constraint" => lock.notes.push(format!(
            "the constraints in {value} are not looked at: they install nothing"
        )),
        "-e" | "--editable" if !value.is_empty() => lock.elsewhere.push(elsewhere(value)),
        "-f" | "--find-links" => lock.elsewhere.push(Elsewhere {
            project: None,
            kind: ElsewhereKind::Url,
            place: format!("--find-links {value}"),
        }),
        _ if OF_NO_CONCERN.contains(&name) => {}
        _ => return Err(unknown()),
    }
    Ok(())
}

/// A source tree, a file, a repository or a URL, told by how it is written.
fn elsewhere(place: &str) -> Elsewhere {
    let bare = place.split(['#', ';']).next().unwrap_or(place).trim();
    let scheme = bare.split_once("://").map(|(scheme, _)| scheme);
    let file = is_archive(bare);
    let kind = match scheme {
        Some(scheme) if scheme.contains('+') => ElsewhereKind::Repository,
        Some("file") | None if file => ElsewhereKind::Path,
        Some("file") | None => ElsewhereKind::Tree,
        Some(_) => ElsewhereKind::Url,
    };
    let egg = place.split_once("#egg=").map(|(_, egg)| egg);
    let egg = egg.and_then(|egg| egg.split(['&', '[']).next());
    Elsewhere {
        project: egg.and_then(|egg| egg.parse().ok()),
        kind,
        place: place.to_owned(),
    }
}

/// Whether a path is that of a file that installers unpack.
pub(super) fn is_archive(path: &str) -> bool {
    const ENDINGS: [&str; 14] = [
        ".whl", ".egg", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz", ".lz",
        ".tlz", ".lzma", ".zst",
    ];
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

fn requirement(line: &str, lock: &mut LockFile) -> Result<(), LockError> {
    let malformed = || LockError::Line {
        line: line.to_owned(),
    };
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'));
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let place = line.contains("://")
        || rest.starts_with(['/', '\\', ':'])
        || line.starts_with('.')
        || name.ends_with(".whl");
    let Ok(project) = name.parse::<ProjectName>() else {
        return if place {
            lock.elsewhere.push(elsewhere(line));
            Ok(())
        } else {
            Err(malformed())
        };
    };
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(extras) => extras.split_once(']').ok_or_else(malformed)?.1.trim_start(),
        None => rest,
    };
    if let Some(url) = rest.strip_prefix('@') {
        let mut there = elsewhere(url.trim());
        there.project = Some(project);
        lock.elsewhere.push(there);
        return Ok(());
    }
    if place {
        lock.elsewhere.push(elsewhere(line));
        return Ok(());
    }
    // Options of a requirement come last, each behind a blank.
    let (asked, options) = match rest.split_once(" --") {
        Some((asked, options)) => (asked, Some(options)),
        None => (rest, None),
    };
    let clauses = asked.split(';').next().unwrap_or(asked).trim();
    if !clauses.is_empty() && !clauses.starts_with(['=', '<', '>', '!', '~', '(']) {
        return Err(malformed());
    }
    let mut files = Vec::new();
    for option in options.into_iter().flat_map(|all| all.split(" --")) {
        let (name, value) = option.split_once(['=', ' ']).unwrap_or((option, ""));
        match name.trim() {
            "hash" => files.push(LockedFile {
                filename: None,
                at: FilePlace::Index,
                size: None,
                hashes: named::hashes(&project, [value.trim()])?,
            }),
            "config-settings" | "config-setting" | "global-option" | "install-option" => {}
            _ => return Err(malformed()),
        }
    }
    lock.packages.push(LockedPackage {
        version: pinned(clauses).and_then(|version| version.parse::<Version>().ok()),
        project,
        index: None,
        files,
        identities: Vec::new(),
    });
    Ok(())
}

/// The version, if the clauses leave one alone.
fn pinned(clauses: &str) -> Option<&str> {
    let inner = clauses
        .strip_prefix('(')
        .and_then(|it| it.strip_suffix(')'));
    let one = inner.unwrap_or(clauses).trim();
    let version = one.strip_prefix("===").or_else(|| one.strip_prefix("=="))?;
    let version = version.trim();
    (!version.contains([',', '*'])).then_some(version)
}
