//! Where the files of a wheel come to lie (binary distribution format, *The .data directory*).

/// Where a file of a wheel comes to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the library directory (`site-packages`), at this path.
    Library(&'a str),
    /// Beside the interpreter, under this name; its first line is the installer's.
    Script(&'a str),
    /// In the directory for the project's headers, at this path.
    Header(&'a str),
    /// Below the environment's prefix, at this path.
    Data(&'a str),
    /// Nowhere that is known.
    Unknown,
}

impl<'a> Place<'a> {
    /// The place of a path in a wheel whose `.dist-info` directory has this name.
    pub fn of(path: &'a str, dist_info: &str) -> Place<'a> {
        let stem = dist_info.strip_suffix(".dist-info").unwrap_or(dist_info);
        let below = path
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix(".data/"));
        let Some(below) = below else {
            return Place::Library(path);
        };
        match below.split_once('/') {
            Some(("purelib" | "platlib", path)) => Place::Library(path),
            Some(("scripts", name)) if !name.contains('/') => Place::Script(name),
            Some(("headers", path)) => Place::Header(path),
            Some(("data", path)) => Place::Data(path),
            _ => Place::Unknown,
        }
    }
}
