//! What a request's path asks for.

use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;
use wheelmark_packaging::ProjectName;

use super::Entrance;

const METADATA: &str = ".metadata";
const SIGNATURE: &str = ".asc";

/// What a path asks for. Names are checked here, once: a project's is normalised, a file's is
/// one plain segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// A project's page.
    Page(ProjectName),
    /// A project's page under another spelling, or without the final `/`.
    Spelling(ProjectName),
    /// A file.
    File(ProjectName, String),
    /// A file's core metadata.
    CoreMetadata(ProjectName, String),
    /// A file's OpenPGP signature.
    Signature(ProjectName, String),
    /// Nothing that we serve.
    Nowhere,
    /// Not through the entrance.
    Outside,
}

impl Route {
    pub(super) fn of(path: &str, entrance: &Entrance) -> Self {
        let Some(rest) = inside(path, entrance) else {
            return Self::Outside;
        };
        let segments: Option<Vec<String>> = rest.split('/').map(segment).collect();
        let Some(segments) = segments else {
            return Self::Nowhere;
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments[..] {
            ["simple", project, ""] if ProjectName::is_normalised(project) => {
                project.parse().map_or(Self::Nowhere, Self::Page)
            }
            ["simple", project] | ["simple", project, ""] => {
                project.parse().map_or(Self::Nowhere, Self::Spelling)
            }
            ["packages", project, file] if ProjectName::is_normalised(project) => {
                match (project.parse(), Part::of(file)) {
                    (Ok(project), (of, part)) if !of.is_empty() => part.route(project, of),
                    _ => Self::Nowhere,
                }
            }
            _ => Self::Nowhere,
        }
    }
}

/// What a name says of a file: the file itself, or what stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    File,
    CoreMetadata,
    Signature,
}

impl Part {
    /// The name of the file, and what of it is asked for.
    pub(super) fn of(name: &str) -> (&str, Self) {
        if let Some(of) = name.strip_suffix(METADATA) {
            (of, Self::CoreMetadata)
        } else if let Some(of) = name.strip_suffix(SIGNATURE) {
            (of, Self::Signature)
        } else {
            (name, Self::File)
        }
    }

    pub(super) fn route(self, project: ProjectName, filename: &str) -> Route {
        let filename = filename.to_owned();
        match self {
            Self::File => Route::File(project, filename),
            Self::CoreMetadata => Route::CoreMetadata(project, filename),
            Self::Signature => Route::Signature(project, filename),
        }
    }
}

/// The path after the entrance, without its first `/`.
fn inside<'a>(path: &'a str, entrance: &Entrance) -> Option<&'a str> {
    let (given, rest) = path.strip_prefix('/')?.split_once('/')?;
    bool::from(given.as_bytes().ct_eq(entrance.segment().as_bytes())).then_some(rest)
}

/// One decoded segment; none that would be more than one, or another place.
pub(super) fn segment(encoded: &str) -> Option<String> {
    let text = percent_decode_str(encoded).decode_utf8().ok()?;
    let plain = !text.contains(['/', '\\']) && !text.chars().any(char::is_control);
    (plain && text != "." && text != "..").then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn secret() -> Entrance {
        Entrance::Secret("s3cret".to_owned())
    }

    fn check(path: &str, expected: Route) {
        for entrance in [secret(), Entrance::Identity("s3cret".to_owned())] {
            let guarded = format!("/s3cret{path}");
            assert_eq!(Route::of(&guarded, &entrance), expected, "{guarded}");
            for shut in [
                path.to_owned(),
                format!("/s3cre{path}"),
                format!("/s3crets{path}"),
            ] {
                assert_eq!(Route::of(&shut, &entrance), Route::Outside, "{shut}");
            }
        }
    }

    #[test]
    fn paths_that_installers_ask_for() {
        let flask = || "flask".parse::<ProjectName>().unwrap();
        check("/simple/flask/", Route::Page(flask()));
        check("/simple/flask", Route::Spelling(flask()));
        check("/simple/Flask/", Route::Spelling(flask()));
        let file = || "flask-1.0+local-py3-none-any.whl".to_owned();
        check(
            "/packages/flask/flask-1.0%2Blocal-py3-none-any.whl",
            Route::File(flask(), file()),
        );
        check(
            "/packages/flask/flask-1.0+local-py3-none-any.whl.metadata",
            Route::CoreMetadata(flask(), file()),
        );
        check(
            "/packages/flask/flask-1.0+local-py3-none-any.whl.asc",
            Route::Signature(flask(), file()),
        );
    }

    #[test]
    fn paths_that_lead_nowhere() {
        for path in [
            "/",
            "/simple/",
            "/simple",
            "/simple//",
            "/simple/flask/x",
            "/simple/fl%2Fask/",
            "/simple/../simple/flask/",
            "/simple/%2e%2e/",
            "/packages/flask/",
            "/packages/Flask/a.whl",
            "/packages/flask/..",
            "/packages/flask/%2e%2e",
            "/packages/flask/a%2f..%2fb",
            "/packages/flask/a%5Cb",
            "/packages/flask/a%00b",
            "/packages/flask/%ff",
            "/packages/flask/.metadata",
            "/packages/flask/.asc",
            "/packages/flask/a/b",
            "/other",
        ] {
            check(path, Route::Nowhere);
        }
    }

    proptest! {
        #[test]
        fn no_path_names_more_than_one_segment(path in "/(simple|packages)(/[ -~]{0,12}){1,3}") {
            match Route::of(&format!("/s3cret{path}"), &secret()) {
                Route::File(project, file)
                | Route::CoreMetadata(project, file)
                | Route::Signature(project, file) => {
                    prop_assert!(ProjectName::is_normalised(project.as_str()));
                    prop_assert!(!file.is_empty() && file != "." && file != "..");
                    prop_assert!(!file.contains(['/', '\\']));
                }
                Route::Page(project) => {
                    let page = format!("/simple/{project}/");
                    prop_assert!(path == page || path.contains('%'));
                }
                Route::Spelling(_) | Route::Nowhere => {}
                Route::Outside => prop_assert!(false, "{path} is inside"),
            }
        }
    }
}
