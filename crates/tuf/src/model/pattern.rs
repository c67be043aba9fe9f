//! Path patterns of delegations.

/// A shell-style pattern for target paths (TUF §4.5, `PATHPATTERN`).
///
/// `*` stands for any characters but `/`, also none; `?` for one character but `/`.
/// Everything else stands for itself. So `*` does not cover `a/b`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPattern(String);

impl PathPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `path` is covered.
    pub fn matches(&self, path: &str) -> bool {
        let mut patterns = self.0.split('/');
        let mut segments = path.split('/');
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
                _ => return false,
            }
        }
    }
}

impl From<&str> for PathPattern {
    fn from(pattern: &str) -> Self {
        PathPattern(pattern.to_owned())
    }
}

impl From<String> for PathPattern {
    fn from(pattern: String) -> Self {
        PathPattern(pattern)
    }
}

/// Matches greedily and, where that fails, lets only the *last* `*` take one more
/// character: earlier ones need never be reconsidered. Quadratic at worst.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let (mut pattern, mut rest) = (pattern.chars(), segment.chars());
    let mut last_star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let mut after = pattern.clone();
        let matched = match after.next() {
            Some('*') => {
                last_star = Some((after.clone(), rest.clone()));
                pattern = after;
                continue;
            }
            None if rest.as_str().is_empty() => return true,
            None => false,
            Some(expected) => rest
                .next()
                .is_some_and(|found| expected == '?' || expected == found),
        };
        if matched {
            pattern = after;
            continue;
        }
        let Some((after_star, taken)) = &mut last_star else {
            return false;
        };
        if taken.next().is_none() {
            return false;
        }
        pattern = after_star.clone();
        rest = taken.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stop_at_slashes() {
        for (pattern, path, covered) in [
            ("*", "a", true),
            ("*", "a/b", false),
            ("*", "", true),
            ("a", "a", true),
            ("a", "A", false),
            ("a", "ab", false),
            ("", "a", false),
            ("simple/*/*", "simple/flask/index.json", true),
            ("simple/*/*", "simple/flask", false),
            ("simple/*/*", "simple/a/b/c", false),
            ("simple/a*/*", "simple/ab/x", true),
            ("simple/a*/*", "simple/a/x", true),
            ("simple/a*/*", "simple/b/x", false),
            ("foo-?.tgz", "foo-1.tgz", true),
            ("foo-?.tgz", "foo-.tgz", false),
            ("foo-?.tgz", "foo-12.tgz", false),
            ("a?b", "a/b", false),
            ("?", "é", true),
            ("*.zip", "y.zip.zip", true),
            ("*a*b", "xaxbxab", true),
            ("*a*b*", "bba", false),
            ("**", "anything", true),
            ("*.md", "releases/README.md", false),
            ("[ab]", "a", false),
            ("[ab]", "[ab]", true),
            ("\\*", "\\x", true),
        ] {
            assert_eq!(
                PathPattern::from(pattern).matches(path),
                covered,
                "{pattern} on {path}"
            );
        }
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = PathPattern::from("*a".repeat(2_000));
        assert!(!pattern.matches(&("a".repeat(1_999) + "b")));
    }
}
