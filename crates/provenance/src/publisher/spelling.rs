//! How people write a publisher down, in a policy or on a command line.

use std::fmt;
use std::str::FromStr;

use super::{CircleCi, GitHub, GitLab, Google, Oidc, Publisher, PublisherError};

impl FromStr for Publisher {
    type Err = PublisherError;

    fn from_str(given: &str) -> Result<Publisher, PublisherError> {
        let other = || PublisherError::Spelling {
            given: given.to_owned(),
        };
        let Some((kind, rest)) = given.split_once(':') else {
            return Err(other());
        };
        let (named, behind) = match rest.split_once('#') {
            Some((named, behind)) => (named, Some(behind)),
            None => (rest, None),
        };
        // Whoever writes the mark means something by it: a variable that was empty, perhaps.
        if behind == Some("") {
            return Err(other());
        }
        let at = || named.split_once('@').ok_or_else(other);
        match kind {
            "github" => {
                let (repository, workflow) = at()?;
                Ok(GitHub::new(repository, workflow, behind)?.into())
            }
            "gitlab" => {
                let (repository, file) = at()?;
                Ok(GitLab::new(repository, file, behind)?.into())
            }
            "google" => Ok(Google::new(named, behind)?.into()),
            "circleci" => circleci(named, behind).unwrap_or_else(|| Err(other())),
            _ => {
                // The subject may have a plus, and the issuer may not.
                let (subject, issuer) = given.rsplit_once('+').ok_or_else(other)?;
                Ok(Oidc::new(subject, issuer)?.into())
            }
        }
    }
}

/// `[ORGANISATION/]PROJECT/PIPELINE[@ORIGIN]`, and a ref.
fn circleci(named: &str, vcs_ref: Option<&str>) -> Option<Result<Publisher, PublisherError>> {
    let (ids, origin) = match named.split_once('@') {
        Some((ids, origin)) => (ids, Some(origin)),
        None => (named, None),
    };
    let (organization, project, pipeline) = match *ids.split('/').collect::<Vec<_>>() {
        [project, pipeline] => (None, project, pipeline),
        [organization, project, pipeline] => (Some(organization), project, pipeline),
        _ => return None,
    };
    let read = || {
        let mut circleci = CircleCi::new(project, pipeline)?;
        if let Some(organization) = organization {
            circleci = circleci.of_organization(organization)?;
        }
        if let Some(origin) = origin {
            circleci = circleci.from_origin(origin)?;
        }
        if let Some(vcs_ref) = vcs_ref {
            circleci = circleci.at_ref(vcs_ref)?;
        }
        Ok(circleci.into())
    };
    Some(read())
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behind = |f: &mut fmt::Formatter<'_>, mark: char, part: Option<&str>| match part {
            Some(part) => write!(f, "{mark}{part}"),
            None => Ok(()),
        };
        match self {
            Publisher::GitHub(github) => {
                write!(f, "github:{}@{}", github.repository(), github.workflow())?;
                behind(f, '#', github.environment())
            }
            Publisher::GitLab(gitlab) => {
                let file = gitlab.workflow_filepath();
                write!(f, "gitlab:{}@{file}", gitlab.repository())?;
                behind(f, '#', gitlab.environment())
            }
            Publisher::Google(google) => {
                write!(f, "google:{}", google.email())?;
                behind(f, '#', google.sub())
            }
            Publisher::CircleCi(circleci) => {
                f.write_str("circleci:")?;
                if let Some(organization) = circleci.organization_id() {
                    write!(f, "{organization}/")?;
                }
                let pipeline = circleci.pipeline_definition_id();
                write!(f, "{}/{pipeline}", circleci.project_id())?;
                behind(f, '@', circleci.vcs_origin())?;
                behind(f, '#', circleci.vcs_ref())
            }
            Publisher::Oidc(oidc) => write!(f, "{}+{}", oidc.subject(), oidc.issuer()),
            Publisher::Unknown(unknown) => write!(f, "a publisher of the kind {}", unknown.kind()),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use crate::{Publisher, PublisherError};

    const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    fn spellings() -> Vec<String> {
        vec![
            "github:pallets/flask@publish.yaml".to_owned(),
            "github:pallets/flask@publish.yaml#pypi release".to_owned(),
            "gitlab:group/sub/project@.gitlab-ci.yml".to_owned(),
            "gitlab:group/project@ci/release.yml#prod".to_owned(),
            "google:robot@project.iam.gserviceaccount.com".to_owned(),
            "google:robot@project.iam.gserviceaccount.com#1234567".to_owned(),
            format!("circleci:{ID}/{ID}"),
            format!("circleci:{ID}/{ID}/{ID}@github.com/o/r#refs/heads/main"),
            "alice+pypi@example.org+https://accounts.example.org".to_owned(),
            "https://git.corp/o/r/.github/workflows/release.yml@*+https://git.corp/_services/token"
                .to_owned(),
        ]
    }

    #[test]
    fn every_spelling_is_read_and_written_alike() {
        for spelling in spellings() {
            let publisher: Publisher = spelling.parse().unwrap();
            assert_eq!(publisher.to_string(), spelling);
            let json = serde_json::to_string(&publisher).unwrap();
            let read: Publisher = serde_json::from_str(&json).unwrap();
            assert_eq!(read, publisher, "{json}");
        }
    }

    #[test]
    fn what_names_nobody_is_refused_with_the_part_that_is_wrong() {
        for wrong in [
            "",
            "pallets/flask",
            "github:pallets/flask",
            "github:pallets@publish.yml",
            "github:a/b/c@publish.yml",
            "github:../b@publish.yml",
            "github:a/b@dir/publish.yml",
            "github:a/b@publish.toml",
            "github:a/b@.yml@x.yml",
            "github:a b/c@publish.yml",
            "gitlab:project@.gitlab-ci.yml",
            "gitlab:a/b@/x.yml",
            "gitlab:a/b@a/../x.yml",
            "google:nobody",
            "google:a@b@c",
            "circleci:abc/def",
            // A restriction that is empty is none.
            "github:a/b@x.yml#",
            "gitlab:a/b@x.yml#",
            "google:a@b.org#",
            // What would be read as another publisher, or not seen at all.
            "google:a@b.org+https://evil.example.org",
            "github:a/b@x.yml#\u{202e}ipyp",
            "ali\u{200b}ce@example.org+https://accounts.example.org",
            "circleci:01234567-89ab-cdef-0123-456789abcdef",
            // The star is for a ref alone.
            "*+https://accounts.example.org",
            "alice@*+https://accounts.example.org",
            "https://git.corp@*+https://git.corp",
            "https://git.corp/*/r@*+https://git.corp",
            "alice@example.org+accounts.example.org",
            "alice@example.org",
            "mailto:alice@example.org",
        ] {
            let refused = wrong.parse::<Publisher>();
            assert!(refused.is_err(), "{wrong}: {refused:?}");
        }
        assert_eq!(
            "github:a/b@x.toml".parse::<Publisher>(),
            Err(PublisherError::Part {
                what: "the file of a workflow in .github/workflows, as release.yml",
                given: "x.toml".to_owned(),
            })
        );
    }
}
