//! What lies on this machine, or comes by a way that no HTTP proxy is sure to see.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Tools that fetch source trees for pip and uv, as they stand before a URL's `+`.
const FETCHERS: [&str; 4] = ["git", "hg", "svn", "bzr"];

/// Why something that a version control tool fetches is not verified.
pub(super) const FETCHED: &str =
    "a version control tool fetches it, and its settings can lead past the proxy";

/// Why files in a directory, or in an index on this machine, are not verified.
pub(super) const LISTED: &str = "files in a local directory are used as they are";

/// Why a source tree is not verified.
pub(super) const TREE: &str = "a source tree is used as it is";

/// Whether a word asks for something that lies on this machine, or that another tool fetches.
pub(super) fn local_requirement(
    word: &str,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<&'static str> {
    const ARCHIVES: [&str; 6] = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];
    // `name @ URL` and `name[extra]@URL` name a URL as well.
    let place = match word.split_once('@') {
        Some((name, url)) if !name.contains([':', '/', '+']) => url.trim(),
        _ => word,
    };
    if is_file_url(place) {
        return Some("a local file is used as it is");
    }
    if is_fetched(place) {
        return Some(FETCHED);
    }
    if place.contains("://") {
        return None;
    }
    // pip and uv take a word for a path if it looks like one; extras may follow it.
    let path = place.split('[').next().unwrap_or(place);
    let looks_local = path.starts_with(['.', '/', '~'])
        || path.contains('/')
        || path.contains('\\')
        || ARCHIVES.iter().any(|ending| path.ends_with(ending));
    (looks_local && exists(Path::new(path)))
        .then_some("a local file or source tree is used as it is")
}

/// Whether an index or a place of links is on this machine. uv lets a name and `=` precede it.
pub(super) fn is_local(place: &str, exists: &dyn Fn(&Path) -> bool) -> bool {
    let named = place.split_once('=').map(|(_, place)| place);
    [Some(place), named].into_iter().flatten().any(|place| {
        let path = || !place.is_empty() && !place.contains("://");
        is_file_url(place) || path() && (place.starts_with('~') || exists(Path::new(place)))
    })
}

/// The path that a file's name stands for, which may be a URL; nothing if it is not on this
/// machine.
pub(super) fn local_file(name: &str) -> Option<PathBuf> {
    if is_file_url(name) {
        let path = &name["file:".len()..];
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.strip_prefix("localhost").unwrap_or(path);
        let path = percent_decode_str(path).decode_utf8_lossy();
        return Some(PathBuf::from(path.into_owned()));
    }
    (!name.contains("://")).then(|| PathBuf::from(name))
}

/// A schema is the same in capitals.
fn is_file_url(place: &str) -> bool {
    let schema = place.split_once(':').map(|(schema, _)| schema);
    schema.is_some_and(|schema| schema.eq_ignore_ascii_case("file"))
}

fn is_fetched(place: &str) -> bool {
    let tool = place.split_once('+').map(|(tool, _)| tool);
    let is = |tool: &str| {
        FETCHERS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(tool))
    };
    tool.is_some_and(is) && place.contains(':')
}

/// A text without the names and passwords inside its URLs: they can be secrets. A name alone
/// for ssh is none.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after
            .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
            .unwrap_or(after.len());
        let (authority, more) = after.split_at(end);
        shown.push_str(before);
        shown.push_str("://");
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') || !before.ends_with("ssh") => {
                shown.push_str("****@");
                shown.push_str(host);
            }
            _ => shown.push_str(authority),
        }
        rest = more;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        let rows = [
            ("git+https://me:word@h/x@v1", "git+https://****@h/x@v1"),
            ("x @ git+https://token@h", "x @ git+https://****@h"),
            ("--proxy=http://me:a@b@p -f x", "--proxy=http://****@p -f x"),
            ("git+ssh://git@h/x", "git+ssh://git@h/x"),
            ("git+ssh://git:word@h/x", "git+ssh://****@h/x"),
            ("-f ./here", "-f ./here"),
            ("http://a@b/ http://c/@d", "http://****@b/ http://c/@d"),
        ];
        for (text, shown) in rows {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
