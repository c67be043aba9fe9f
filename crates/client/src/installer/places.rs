//! What lies on this machine, or comes by a way that no HTTP proxy sees.

use std::path::Path;

/// Whether a word asks for something that lies on this machine, or comes by a protocol that
/// no HTTP proxy sees.
pub(super) fn local_requirement(
    word: &str,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<&'static str> {
    const ARCHIVES: [&str; 6] = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];
    // `name @ URL` and `name[extra]@URL` name a URL as well.
    let place = match word.split_once('@') {
        Some((name, url)) if !name.contains([':', '/']) => url.trim(),
        _ => word,
    };
    if place.starts_with("file:") {
        return Some("a local file is used as it is");
    }
    if place.starts_with("git+ssh:")
        || place.starts_with("git+git:")
        || place.starts_with("git+file:")
    {
        return Some("the protocol does not pass through an HTTP proxy");
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

pub(super) fn is_local(place: &str, exists: &dyn Fn(&Path) -> bool) -> bool {
    place.starts_with("file:") || !place.contains("://") && exists(Path::new(place))
}
