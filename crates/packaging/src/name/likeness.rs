//! Names that are taken for another name.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::ProjectName;

/// Modules of Python's standard library, of every version that has the list, as projects would be
/// called. `lists.py` writes it.
const STANDARD_LIBRARY: &str = include_str!("standard_library.txt");

static STANDARD_NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let lines = STANDARD_LIBRARY.lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

impl ProjectName {
    /// The name with everything left out or made one that is easily overlooked: no separators, `1`
    /// for `l` and `i`, `0` for `o`. Two names that look alike have the same.
    pub fn likeness(&self) -> String {
        self.0
            .chars()
            .filter(|c| *c != '-')
            .map(|c| match c {
                'l' | 'i' => '1',
                'o' => '0',
                other => other,
            })
            .collect()
    }

    /// Whether a module of Python's standard library has this name: who requires it wants the
    /// module, and never needs the project.
    pub fn is_standard_library(&self) -> bool {
        STANDARD_NAMES.contains(self.as_str())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use crate::ProjectName;

    #[track_caller]
    fn check(one: &str, other: &str, alike: bool) {
        let [one, other] = [one, other].map(|name| name.parse::<ProjectName>().unwrap());
        assert_eq!(one.likeness() == other.likeness(), alike, "{one} {other}");
    }

    #[test]
    fn names_that_look_alike() {
        check("flask", "f1ask", true);
        check("django-rest", "djangorest", true);
        check("pillow", "PI110W", true);
        check("python-dateutil", "python-dateuti1", true);
        check("requests", "request", false);
        check("numpy", "numpi", false);
    }

    #[test]
    fn names_of_modules() {
        let standard = |name: &str| name.parse::<ProjectName>().unwrap().is_standard_library();
        for name in ["json", "OS", "distutils", "concurrent", "tomllib", "xml"] {
            assert!(standard(name), "{name}");
        }
        for name in ["flask", "jsonx", "importlib-metadata", "modules"] {
            assert!(!standard(name), "{name}");
        }
    }
}
