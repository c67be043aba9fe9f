//! Groups of platforms, as bandersnatch's `exclude_platform` names them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use wheelmark_packaging::WheelFilename;

use super::SelectionError;

/// A group of platforms that wheels can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// Windows.
    Windows,
    /// macOS.
    Macos,
    /// FreeBSD.
    Freebsd,
    /// Linux, of any C library.
    Linux,
}

const NAMES: [(Platform, &str); 4] = [
    (Platform::Windows, "windows"),
    (Platform::Macos, "macos"),
    (Platform::Freebsd, "freebsd"),
    (Platform::Linux, "linux"),
];

impl Platform {
    fn has(self, tag: &str) -> bool {
        let begins: &[&str] = match self {
            Self::Windows => &["win"],
            Self::Macos => &["macosx"],
            Self::Freebsd => &["freebsd"],
            Self::Linux => &["linux", "manylinux", "musllinux"],
        };
        begins.iter().any(|begin| tag.starts_with(begin))
    }
}

/// Whether a wheel is for nothing but these.
pub(super) fn is_only_for(wheel: &WheelFilename, platforms: &BTreeSet<Platform>) -> bool {
    let is_of_one = |tag: &String| platforms.iter().any(|platform| platform.has(tag));
    wheel.platform_tags().iter().all(is_of_one)
}

impl FromStr for Platform {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let known = NAMES.iter().find(|(_, name)| *name == text.trim());
        match known {
            Some((platform, _)) => Ok(*platform),
            None => Err(SelectionError::Platform {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(platform, _)| platform == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}
