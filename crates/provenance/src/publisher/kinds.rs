//! The kinds of publishers, and what their parts can be.

use super::{Publisher, PublisherError};

/// Longest part of a publisher, in bytes: longer than any provider allows.
const MAX_PART_LEN: usize = 512;

/// A workflow of a repository on GitHub.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitHub {
    repository: String,
    workflow: String,
    environment: Option<String>,
}

/// A pipeline of a project on GitLab.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GitLab {
    repository: String,
    workflow_filepath: String,
    environment: Option<String>,
}

/// An account of Google.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Google {
    email: String,
    sub: Option<String>,
}

/// A pipeline of CircleCI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CircleCi {
    project_id: String,
    pipeline_definition_id: String,
    organization_id: Option<String>,
    vcs_origin: Option<String>,
    vcs_ref: Option<String>,
}

/// A subject of an OpenID Connect issuer, as a certificate names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oidc {
    subject: String,
    issuer: String,
}

/// A publisher of a kind that is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unknown {
    kind: String,
}

impl GitHub {
    pub(super) const KIND: &str = "GitHub";

    /// A repository as `owner/name`, the file of a workflow as `release.yml`, and the deployment
    /// environment that the job has to run in, if any one will not do.
    pub fn new(
        repository: &str,
        workflow: &str,
        environment: Option<&str>,
    ) -> Result<GitHub, PublisherError> {
        let slashes = repository.bytes().filter(|byte| *byte == b'/').count();
        if slashes != 1 || !is_path_of_names(repository) {
            return Err(part("a repository of GitHub, as OWNER/NAME", repository));
        }
        if !is_name(workflow) || !is_yaml(workflow) {
            return Err(part(
                "the file of a workflow in .github/workflows, as release.yml",
                workflow,
            ));
        }
        Ok(GitHub {
            repository: repository.to_owned(),
            workflow: workflow.to_owned(),
            environment: environment_of(environment)?,
        })
    }

    /// The repository, as `owner/name`. Its letters' case says nothing.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The workflow's file in `.github/workflows`.
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The deployment environment; any, and none, if there is none here.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    pub(super) fn without_environment(&self) -> GitHub {
        GitHub {
            environment: None,
            ..self.clone()
        }
    }
}

impl GitLab {
    pub(super) const KIND: &str = "GitLab";

    /// A project as `group/subgroup/name`, the pipeline's file as `.gitlab-ci.yml`, and the
    /// deployment environment that the job has to run in, if any one will not do.
    pub fn new(
        repository: &str,
        workflow_filepath: &str,
        environment: Option<&str>,
    ) -> Result<GitLab, PublisherError> {
        if !repository.contains('/') || !is_path_of_names(repository) {
            return Err(part("a project of GitLab, as GROUP/NAME", repository));
        }
        if !is_path_of_names(workflow_filepath) || !is_yaml(workflow_filepath) {
            return Err(part(
                "the file of a pipeline in the project, as .gitlab-ci.yml",
                workflow_filepath,
            ));
        }
        Ok(GitLab {
            repository: repository.to_owned(),
            workflow_filepath: workflow_filepath.to_owned(),
            environment: environment_of(environment)?,
        })
    }

    /// The project, as `group/name`. Its letters' case says nothing.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The pipeline's file in the project.
    pub fn workflow_filepath(&self) -> &str {
        &self.workflow_filepath
    }

    /// The deployment environment; any, and none, if there is none here.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    pub(super) fn without_environment(&self) -> GitLab {
        GitLab {
            environment: None,
            ..self.clone()
        }
    }
}

impl Google {
    pub(super) const KIND: &str = "Google";

    /// An account by its address, and by its unchanging number. The number is for the exchange of
    /// tokens: no certificate has it.
    pub fn new(email: &str, sub: Option<&str>) -> Result<Google, PublisherError> {
        if !is_email(email) {
            return Err(part("an address, as NAME@DOMAIN", email));
        }
        let sub = sub.filter(|sub| !sub.is_empty());
        if let Some(sub) = sub
            && !(sub.len() <= MAX_PART_LEN && sub.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return Err(part("the number of an account of Google", sub));
        }
        Ok(Google {
            email: email.to_owned(),
            sub: sub.map(str::to_owned),
        })
    }

    /// The account's address.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The account's number, which outlives its address.
    pub fn sub(&self) -> Option<&str> {
        self.sub.as_deref()
    }
}

impl CircleCi {
    pub(super) const KIND: &str = "CircleCI";

    /// A project and one of its pipelines, by the ids that CircleCI shows in their settings.
    pub fn new(project_id: &str, pipeline_definition_id: &str) -> Result<CircleCi, PublisherError> {
        Ok(CircleCi {
            project_id: id(project_id)?,
            pipeline_definition_id: id(pipeline_definition_id)?,
            organization_id: None,
            vcs_origin: None,
            vcs_ref: None,
        })
    }

    /// Of this organisation alone.
    pub fn of_organization(mut self, id_given: &str) -> Result<CircleCi, PublisherError> {
        self.organization_id = Some(id(id_given)?);
        Ok(self)
    }

    /// From this repository alone, as `github.com/owner/name`.
    pub fn from_origin(mut self, origin: &str) -> Result<CircleCi, PublisherError> {
        if !is_path_of_names(origin) {
            return Err(part(
                "where a repository is, as github.com/OWNER/NAME",
                origin,
            ));
        }
        self.vcs_origin = Some(origin.to_owned());
        Ok(self)
    }

    /// From this ref alone, as `refs/heads/main`.
    pub fn at_ref(mut self, vcs_ref: &str) -> Result<CircleCi, PublisherError> {
        if !is_text(vcs_ref) || !vcs_ref.starts_with("refs/") {
            return Err(part("a ref, as refs/heads/main", vcs_ref));
        }
        self.vcs_ref = Some(vcs_ref.to_owned());
        Ok(self)
    }

    /// The project's id.
    pub fn project_id(&self) -> &str {
        &self.project_id
    }

    /// The id of the pipeline's definition.
    pub fn pipeline_definition_id(&self) -> &str {
        &self.pipeline_definition_id
    }

    /// The organisation's id; any, if there is none here.
    pub fn organization_id(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }

    /// Where the repository is; anywhere, if there is nothing here.
    pub fn vcs_origin(&self) -> Option<&str> {
        self.vcs_origin.as_deref()
    }

    /// The ref; any, if there is none here.
    pub fn vcs_ref(&self) -> Option<&str> {
        self.vcs_ref.as_deref()
    }
}

impl Oidc {
    pub(super) const KIND: &str = "OIDC";

    /// A subject as certificates name it, an address or a URI, and the issuer that vouched for
    /// it.
    ///
    /// A URI may end in `@*`: a workflow's address with any ref, on a host of one's own.
    pub fn new(subject: &str, issuer: &str) -> Result<Oidc, PublisherError> {
        // Names in certificates are ASCII, and no other publisher's spelling.
        let named = is_text(subject)
            && subject.bytes().all(|byte| byte.is_ascii_graphic())
            && !["github:", "gitlab:", "google:", "circleci:"]
                .iter()
                .any(|kind| subject.starts_with(kind));
        // The star stands for a ref behind a path, and never for a domain behind an address.
        let starred = match subject.split_once('*') {
            None => true,
            Some((before, rest)) => {
                rest.is_empty()
                    && before.ends_with('@')
                    && before
                        .strip_prefix("https://")
                        .is_some_and(|place| place.contains('/'))
            }
        };
        if !named || !starred {
            return Err(part(
                "the subject of a certificate: an address, or a URI, which may end in @*",
                subject,
            ));
        }
        let host = issuer
            .strip_prefix("https://")
            .or_else(|| issuer.strip_prefix("http://"));
        let shaped = host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '+' | '"' | '\\' | '<' | '>');
        if !shaped || issuer.len() > MAX_PART_LEN || !issuer.chars().all(plain) {
            return Err(part(
                "the address of an issuer, as https://accounts.example.org",
                issuer,
            ));
        }
        Ok(Oidc {
            subject: subject.to_owned(),
            issuer: issuer.to_owned(),
        })
    }

    /// The subject, which may end in `@*`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer's address.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl Unknown {
    /// A kind that we do not know, by its name.
    pub(super) fn new(kind: &str) -> Result<Unknown, PublisherError> {
        if !is_text(kind) {
            return Err(part("a kind of publishers", kind));
        }
        Ok(Unknown {
            kind: kind.to_owned(),
        })
    }

    /// For an identity that has no form of a publisher.
    pub(super) fn nobody() -> Unknown {
        Unknown {
            kind: "none that is known".to_owned(),
        }
    }

    /// What the kind is called.
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

impl From<GitHub> for Publisher {
    fn from(github: GitHub) -> Publisher {
        Publisher::GitHub(github)
    }
}

impl From<GitLab> for Publisher {
    fn from(gitlab: GitLab) -> Publisher {
        Publisher::GitLab(gitlab)
    }
}

impl From<Google> for Publisher {
    fn from(google: Google) -> Publisher {
        Publisher::Google(google)
    }
}

impl From<CircleCi> for Publisher {
    fn from(circleci: CircleCi) -> Publisher {
        Publisher::CircleCi(circleci)
    }
}

impl From<Oidc> for Publisher {
    fn from(oidc: Oidc) -> Publisher {
        Publisher::Oidc(oidc)
    }
}

fn part(what: &'static str, given: &str) -> PublisherError {
    PublisherError::Part {
        what,
        given: given.chars().take(MAX_PART_LEN).collect(),
    }
}

/// Text on one line that is not too long, and all of which is seen.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_PART_LEN && !text.chars().any(is_hidden)
}

/// Whether a character is not shown, or changes how others are: controls, marks without width,
/// and those that turn the direction (Unicode, *Bidirectional Algorithm*, section 2).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

/// A name as paths have them between slashes.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty()
        && name.len() <= MAX_PART_LEN
        && name.bytes().all(allowed)
        && name != "."
        && name != ".."
}

fn is_path_of_names(path: &str) -> bool {
    path.len() <= MAX_PART_LEN && path.split('/').all(is_name)
}

fn is_yaml(path: &str) -> bool {
    [".yml", ".yaml"].iter().any(|ending| {
        path.strip_suffix(ending)
            .is_some_and(|stem| !stem.is_empty() && !stem.ends_with('/'))
    })
}

fn is_email(email: &str) -> bool {
    let shaped = email
        .split_once('@')
        .is_some_and(|(name, domain)| !name.is_empty() && is_name(domain));
    shaped && is_text(email) && !email.contains([' ', '#', '<', '>', '"'])
}

/// An id of CircleCI, in small letters.
fn id(given: &str) -> Result<String, PublisherError> {
    let groups: Vec<&str> = given.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let hexadecimal = given
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if lengths == [8, 4, 4, 4, 12] && hexadecimal {
        Ok(given.to_ascii_lowercase())
    } else {
        Err(part(
            "an id of CircleCI, as 01234567-89ab-cdef-0123-456789abcdef",
            given,
        ))
    }
}

/// An environment that is empty is any, as indexes write it.
fn environment_of(given: Option<&str>) -> Result<Option<String>, PublisherError> {
    match given {
        None | Some("") => Ok(None),
        Some(given) if is_text(given) => Ok(Some(given.to_owned())),
        Some(given) => Err(part("the name of an environment", given)),
    }
}
