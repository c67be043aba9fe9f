//! Which paths inside an archive are safe everywhere.

use super::InspectError;
use super::limits::MAX_PATH_LEN;

/// Checks the path of an entry: relative, with `/` between segments that are neither empty nor
/// `.` nor `..`, without `\`, control characters and drive letters. One `/` at the end is allowed.
pub(super) fn check(raw: &[u8]) -> Result<&str, InspectError> {
    if raw.len() > MAX_PATH_LEN {
        return Err(InspectError::PathTooLong { length: raw.len() });
    }
    let refused = || InspectError::Path {
        path: String::from_utf8_lossy(raw).into_owned(),
    };
    let path = std::str::from_utf8(raw).map_err(|_| refused())?;
    let inner = path.strip_suffix('/').unwrap_or(path);
    let segment = |segment: &str| !matches!(segment, "" | "." | "..");
    let drive = inner.as_bytes().get(1) == Some(&b':');
    let characters = |c: char| c == '\\' || c.is_control();
    if drive || inner.contains(characters) || !inner.split('/').all(segment) {
        return Err(refused());
    }
    Ok(path)
}

/// Whether a symbolic link at `path` leads to a place inside the first directory of `path`.
///
/// `..` may only stand at the beginning of the target: behind a name that is itself a link it
/// would lead elsewhere than it seems to.
pub(super) fn symlink_stays_inside(path: &str, target: &str) -> bool {
    // The directory that the link is in, less the archive's one top directory.
    let depth = path.split('/').count().saturating_sub(2);
    let mut segments = target
        .split('/')
        .filter(|segment| *segment != ".")
        .peekable();
    let mut up = 0;
    while segments.next_if_eq(&"..").is_some() {
        up += 1;
    }
    let mut rest = segments.peekable();
    let plain = |segment: &str| {
        !matches!(segment, "" | "..")
            && !segment.contains('\\')
            && !segment.contains(char::is_control)
    };
    let absolute = target.starts_with('/') || target.as_bytes().get(1) == Some(&b':');
    !target.is_empty() && !absolute && up <= depth && (rest.peek().is_none() || rest.all(plain))
}

#[cfg(test)]
mod tests {
    use super::{check, symlink_stays_inside};

    #[test]
    fn ordinary_paths_are_safe() {
        for path in ["a", "a/", "a/b.py", "a b/ä", "...", "a/..b/.c"] {
            assert!(check(path.as_bytes()).is_ok(), "{path}");
        }
    }

    #[test]
    fn tricks_are_refused() {
        for path in [
            "", "/", "/a", "a//b", "./a", "a/.", "..", "../a", "a/..", "a/../b", "a\\b", "C:",
            "C:/a", "a\0b", "a\nb", "a//",
        ] {
            assert!(check(path.as_bytes()).is_err(), "{path}");
        }
        assert!(check(b"a\xff").is_err());
        assert!(check("a".repeat(5000).as_bytes()).is_err());
    }

    #[track_caller]
    fn check_link(path: &str, target: &str, expect: bool) {
        assert_eq!(
            symlink_stays_inside(path, target),
            expect,
            "{path} -> {target}"
        );
    }

    #[test]
    fn links_stay_inside() {
        check_link("t/a", "b", true);
        check_link("t/a", "./b/c", true);
        check_link("t/d/a", "../b", true);
        check_link("t/d/a", "..", true);
        check_link("t/a", "..", false);
        check_link("t/a", "../t/b", false);
        check_link("t/d/a", "../../b", false);
        check_link("t/a", "d/../b", false);
        check_link("t/a", "/etc/passwd", false);
        check_link("t/a", "C:/x", false);
        check_link("t/a", "b//c", false);
        check_link("t/a", "", false);
        check_link("t/a", "b\\c", false);
    }
}
