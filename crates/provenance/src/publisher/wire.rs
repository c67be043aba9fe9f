//! Publisher objects: PEP 740's, which are also PEP 751's `attestation-identities`.

use std::collections::BTreeMap;

use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{CircleCi, GitHub, GitLab, Google, Oidc, Publisher, PublisherError, Unknown};

/// All members of all kinds. An index may add others (PEP 740 gives `claims` as one); they say
/// nothing here.
#[derive(Deserialize)]
struct Read {
    kind: String,
    #[serde(default)]
    repository: Option<String>,
    #[serde(default)]
    workflow: Option<String>,
    #[serde(default)]
    workflow_filepath: Option<String>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    pipeline_definition_id: Option<String>,
    #[serde(default)]
    organization_id: Option<String>,
    #[serde(default)]
    vcs_origin: Option<String>,
    #[serde(default)]
    vcs_ref: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    issuer: Option<String>,
    /// What no kind has.
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    GitHub {
        kind: &'a str,
        repository: &'a str,
        workflow: &'a str,
        environment: Option<&'a str>,
    },
    GitLab {
        kind: &'a str,
        repository: &'a str,
        workflow_filepath: &'a str,
        environment: Option<&'a str>,
    },
    Google {
        kind: &'a str,
        email: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        sub: Option<&'a str>,
    },
    CircleCi {
        kind: &'a str,
        project_id: &'a str,
        pipeline_definition_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        organization_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vcs_origin: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        vcs_ref: Option<&'a str>,
    },
    Oidc {
        kind: &'a str,
        subject: &'a str,
        issuer: &'a str,
    },
    Unknown {
        kind: &'a str,
    },
}

impl Serialize for Publisher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.kind();
        let written = match self {
            Publisher::GitHub(github) => Written::GitHub {
                kind,
                repository: github.repository(),
                workflow: github.workflow(),
                environment: github.environment(),
            },
            Publisher::GitLab(gitlab) => Written::GitLab {
                kind,
                repository: gitlab.repository(),
                workflow_filepath: gitlab.workflow_filepath(),
                environment: gitlab.environment(),
            },
            Publisher::Google(google) => Written::Google {
                kind,
                email: google.email(),
                sub: google.sub(),
            },
            Publisher::CircleCi(circleci) => Written::CircleCi {
                kind,
                project_id: circleci.project_id(),
                pipeline_definition_id: circleci.pipeline_definition_id(),
                organization_id: circleci.organization_id(),
                vcs_origin: circleci.vcs_origin(),
                vcs_ref: circleci.vcs_ref(),
            },
            Publisher::Oidc(oidc) => Written::Oidc {
                kind,
                subject: oidc.subject(),
                issuer: oidc.issuer(),
            },
            Publisher::Unknown(_) => Written::Unknown { kind },
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Publisher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Publisher, D::Error> {
        Read::deserialize(deserializer)?
            .publisher()
            .map_err(D::Error::custom)
    }
}

impl Publisher {
    /// Reads what a person wrote, for `#[serde(deserialize_with = …)]`: a member that the kind does
    /// not have, or an empty one, is a mistake there, and not an addition of some index.
    pub fn deserialize_strictly<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Publisher, D::Error> {
        let read = Read::deserialize(deserializer)?;
        if let Some(stray) = read.stray() {
            let kind = &read.kind;
            return Err(D::Error::custom(format!(
                "a publisher of the kind {kind} has no `{stray}`, or it is empty"
            )));
        }
        let publisher = read.publisher().map_err(D::Error::custom)?;
        if let Publisher::Unknown(unknown) = &publisher {
            let kind = unknown.kind();
            return Err(D::Error::custom(format!(
                "publishers of the kind {kind} are not known"
            )));
        }
        Ok(publisher)
    }
}

/// Members that tools copy from an index, and that ask for nothing.
const OF_NO_CONCERN: [&str; 1] = ["claims"];

impl Publisher {
    /// Reads what a lock file says (PEP 751, `attestation-identities`). A kind that is not known is
    /// read, and matches nobody.
    ///
    /// # Errors
    ///
    /// In words, when it names nobody: it lacks a member, or has one that its kind does not have and
    /// that could ask for more than is looked at here.
    pub fn of_lock(members: &BTreeMap<String, Value>) -> Result<Publisher, String> {
        let kind = members.get("kind").and_then(Value::as_str);
        let kind = kind.ok_or("it has no `kind`, which has to be a string")?;
        let known = [
            GitHub::KIND,
            GitLab::KIND,
            Google::KIND,
            CircleCi::KIND,
            Oidc::KIND,
        ];
        if !known.contains(&kind) {
            let unknown = Unknown::new(kind).map_err(|error| error.to_string())?;
            return Ok(Publisher::Unknown(unknown));
        }
        let says = |member: &str, value: &Value| {
            let none = member == "environment" && value.as_str() == Some("");
            !none && !OF_NO_CONCERN.contains(&member)
        };
        let members = members.iter().filter(|(member, value)| says(member, value));
        let object = members.map(|(member, value)| (member.clone(), value.clone()));
        let object = Value::Object(object.collect());
        Publisher::deserialize_strictly(object).map_err(|error| error.to_string())
    }

    /// The members of its object that say anything: what to write into a lock file.
    pub fn members(&self) -> BTreeMap<String, String> {
        let object = serde_json::to_value(self).expect("strings can always be written");
        let members = object.as_object().into_iter().flatten();
        let said = members.filter_map(|(member, value)| Some((member, value.as_str()?)));
        said.map(|(member, value)| (member.clone(), value.to_owned()))
            .collect()
    }
}

impl Read {
    /// A member that is given and that the kind does not have, or that is given empty.
    fn stray(&self) -> Option<&str> {
        let known: &[&str] = match self.kind.as_str() {
            GitHub::KIND => &["repository", "workflow", "environment"],
            GitLab::KIND => &["repository", "workflow_filepath", "environment"],
            Google::KIND => &["email", "sub"],
            CircleCi::KIND => &[
                "project_id",
                "pipeline_definition_id",
                "organization_id",
                "vcs_origin",
                "vcs_ref",
            ],
            Oidc::KIND => &["subject", "issuer"],
            _ => &[],
        };
        let given = [
            ("repository", &self.repository),
            ("workflow", &self.workflow),
            ("workflow_filepath", &self.workflow_filepath),
            ("environment", &self.environment),
            ("email", &self.email),
            ("sub", &self.sub),
            ("project_id", &self.project_id),
            ("pipeline_definition_id", &self.pipeline_definition_id),
            ("organization_id", &self.organization_id),
            ("vcs_origin", &self.vcs_origin),
            ("vcs_ref", &self.vcs_ref),
            ("subject", &self.subject),
            ("issuer", &self.issuer),
        ];
        let stray = given.into_iter().find(|(member, value)| match value {
            None => false,
            Some(value) => value.is_empty() || !known.contains(member),
        });
        let other = self.others.keys().next().map(String::as_str);
        stray.map(|(member, _)| member).or(other)
    }

    fn publisher(self) -> Result<Publisher, PublisherError> {
        fn needed<'a>(
            kind: &'static str,
            member: &'static str,
            value: &'a Option<String>,
        ) -> Result<&'a str, PublisherError> {
            value
                .as_deref()
                .ok_or(PublisherError::Missing { kind, member })
        }
        // Indexes write what is not there as null or as an empty string.
        let given =
            |value: &Option<String>| value.as_ref().filter(|value| !value.is_empty()).cloned();
        match self.kind.as_str() {
            GitHub::KIND => {
                let repository = needed(GitHub::KIND, "repository", &self.repository)?;
                let workflow = needed(GitHub::KIND, "workflow", &self.workflow)?;
                Ok(GitHub::new(repository, workflow, self.environment.as_deref())?.into())
            }
            GitLab::KIND => {
                let repository = needed(GitLab::KIND, "repository", &self.repository)?;
                let file = needed(GitLab::KIND, "workflow_filepath", &self.workflow_filepath)?;
                Ok(GitLab::new(repository, file, self.environment.as_deref())?.into())
            }
            Google::KIND => {
                let email = needed(Google::KIND, "email", &self.email)?;
                Ok(Google::new(email, self.sub.as_deref())?.into())
            }
            CircleCi::KIND => {
                let project = needed(CircleCi::KIND, "project_id", &self.project_id)?;
                let pipeline = needed(
                    CircleCi::KIND,
                    "pipeline_definition_id",
                    &self.pipeline_definition_id,
                )?;
                let mut circleci = CircleCi::new(project, pipeline)?;
                if let Some(organization) = given(&self.organization_id) {
                    circleci = circleci.of_organization(&organization)?;
                }
                if let Some(origin) = given(&self.vcs_origin) {
                    circleci = circleci.from_origin(&origin)?;
                }
                if let Some(vcs_ref) = given(&self.vcs_ref) {
                    circleci = circleci.at_ref(&vcs_ref)?;
                }
                Ok(circleci.into())
            }
            Oidc::KIND => {
                let subject = needed(Oidc::KIND, "subject", &self.subject)?;
                let issuer = needed(Oidc::KIND, "issuer", &self.issuer)?;
                Ok(Oidc::new(subject, issuer)?.into())
            }
            other => Ok(Publisher::Unknown(Unknown::new(other)?)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::json;

    use crate::{Publisher, PublisherError};

    #[test]
    fn what_is_missing_null_or_empty_is_any_environment() {
        let with = |environment: serde_json::Value| {
            let object = json!({
                "kind": "GitHub", "repository": "o/r", "workflow": "release.yml",
                "environment": environment, "claims": null, "more": {"a": [1]},
            });
            serde_json::from_value::<Publisher>(object).unwrap()
        };
        let any: Publisher = "github:o/r@release.yml".parse().unwrap();
        assert_eq!(with(json!(null)), any);
        assert_eq!(with(json!("")), any);
        assert_eq!(
            with(json!("pypi")).to_string(),
            "github:o/r@release.yml#pypi"
        );
        assert_eq!(with(json!("pypi")).without_environment(), any);
        assert_eq!(
            serde_json::to_value(&any).unwrap(),
            json!({"kind": "GitHub", "repository": "o/r", "workflow": "release.yml", "environment": null})
        );
    }

    #[test]
    fn what_a_person_wrote_has_no_member_too_many_and_none_that_is_empty() {
        let strictly =
            |object: serde_json::Value| Publisher::deserialize_strictly(object).map(|_| ());
        let right = json!({"kind": "GitHub", "repository": "o/r", "workflow": "release.yml"});
        assert!(strictly(right.clone()).is_ok());
        for (member, value) in [
            ("enviroment", "pypi"),
            ("environment", ""),
            ("workflow_filepath", "release.yml"),
            ("email", "a@b.org"),
        ] {
            let mut wrong = right.clone();
            wrong[member] = value.into();
            let refused = strictly(wrong.clone()).unwrap_err().to_string();
            assert!(refused.contains(member), "{refused}");
            // An index may add what it likes.
            assert!(serde_json::from_value::<Publisher>(wrong).is_ok());
        }
        assert!(strictly(json!({"kind": "Forge"})).is_err());
    }

    #[test]
    fn a_kind_that_is_not_known_is_read_and_kept_apart() {
        let read: Publisher =
            serde_json::from_value(json!({"kind": "Forge", "repository": "x"})).unwrap();
        assert_eq!(read.kind(), "Forge");
        assert!(matches!(read, Publisher::Unknown(_)));
    }

    #[test]
    fn what_a_kind_needs_is_named() {
        let refused = serde_json::from_value::<Publisher>(json!({"kind": "GitHub"})).unwrap_err();
        let wanted = PublisherError::Missing {
            kind: "GitHub",
            member: "repository",
        };
        assert_eq!(refused.to_string(), wanted.to_string());
        for wrong in [
            json!({"kind": "GitHub", "repository": "o/r/x", "workflow": "a.yml"}),
            json!({"kind": "GitHub", "repository": 5, "workflow": "a.yml"}),
            json!({"kind": ""}),
            json!({}),
        ] {
            assert!(serde_json::from_value::<Publisher>(wrong).is_err());
        }
    }
}
