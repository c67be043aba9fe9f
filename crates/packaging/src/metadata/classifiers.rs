//! Trove classifiers: words from one list that everybody shares.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::CoreMetadata;

/// The list, one classifier a line, sorted; a deprecated one with what replaces it behind a tab.
///
/// It was taken from the package `trove-classifiers`, whose version stands in its first line; to
/// take a newer one, run `lists.py`.
const LIST: &str = include_str!("classifiers.txt");

/// What a classifier of one's own begins with. The largest public index refuses files that have
/// one, which is what they are for.
const PRIVATE: &str = "Private :: ";

/// Why a classifier is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassifierError {
    /// It is not on the list.
    #[error("`{}` is not a classifier that is known here", classifier.escape_debug())]
    Unknown {
        /// The classifier.
        classifier: String,
    },
    /// It is not to be used any more.
    #[error("the classifier `{classifier}` is deprecated{}", instead(replaced_by))]
    Deprecated {
        /// The classifier.
        classifier: String,
        /// What to use instead; empty if there is nothing.
        replaced_by: String,
    },
}

fn instead(replaced_by: &str) -> String {
    match replaced_by {
        "" => String::new(),
        other => format!(" in favour of `{other}`"),
    }
}

impl CoreMetadata {
    /// Checks that every classifier is known and in use.
    ///
    /// # Errors
    ///
    /// [`ClassifierError`], about the first one that is not.
    pub fn check_classifiers(&self) -> Result<(), ClassifierError> {
        for classifier in self.all("Classifier") {
            if classifier.starts_with(PRIVATE) {
                continue;
            }
            match KNOWN.get(classifier).copied() {
                None => {
                    return Err(ClassifierError::Unknown {
                        classifier: classifier.chars().take(200).collect(),
                    });
                }
                Some(None) => {}
                Some(Some(replaced_by)) => {
                    return Err(ClassifierError::Deprecated {
                        classifier: classifier.to_owned(),
                        replaced_by: replaced_by.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Every classifier, with what replaces it if it is deprecated.
static KNOWN: LazyLock<HashMap<&str, Option<&str>>> = LazyLock::new(|| {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| match line.split_once('\t') {
            Some((name, replaced_by)) => (name, Some(replaced_by)),
            None => (line, None),
        })
        .collect()
});

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &str, expect: &str) {
        let text = format!("Metadata-Version: 2.1\nName: demo\nVersion: 1\n{lines}");
        let told = CoreMetadata::parse(text.as_bytes()).unwrap();
        let told = told.check_classifiers();
        let told = told.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert_eq!(told, expect);
    }

    #[test]
    fn classifiers_are_those_of_the_list() {
        check("", "ok");
        check(
            "Classifier: Programming Language :: Python :: 3.13\nClassifier: Topic :: Utilities\n",
            "ok",
        );
        check("Classifier: Private :: Do Not Upload\n", "ok");
        check(
            "Classifier: Programing Language :: Python\n",
            "`Programing Language :: Python` is not a classifier that is known here",
        );
        check(
            "Classifier: \n",
            "`` is not a classifier that is known here",
        );
        check(
            "Classifier: Natural Language :: Ukranian\n",
            "the classifier `Natural Language :: Ukranian` is deprecated in favour of `Natural Language :: Ukrainian`",
        );
    }

    #[test]
    fn the_list_is_whole() {
        let lines: Vec<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(LIST.starts_with("# trove-classifiers "));
        assert!(lines.len() > 900, "{}", lines.len());
        assert!(lines.is_sorted());
        assert!(lines.iter().all(|line| line.contains(" :: ")));
    }
}
