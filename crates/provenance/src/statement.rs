//! What an attestation says: an in-toto statement about one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_packaging::{DistributionFilename, FilenameError};

use crate::attestation::MAX_DEPTH;
use crate::json;

/// The type of a statement (in-toto attestation framework, version 1).
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What is said of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// That this publisher published it: PyPI's publish attestation, version 1.
    Publish,
    /// How it was built: SLSA provenance, version 1.
    Slsa,
}

impl Predicate {
    /// All that are known.
    pub const ALL: [Predicate; 2] = [Predicate::Publish, Predicate::Slsa];

    /// The predicate's type, as statements name it.
    pub fn uri(self) -> &'static str {
        match self {
            Predicate::Publish => "https://docs.pypi.org/attestations/publish/v1",
            Predicate::Slsa => "https://slsa.dev/provenance/v1",
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

impl Serialize for Predicate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.uri())
    }
}

/// Why a statement says nothing about the file at hand.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON, or without what a statement needs.
    #[error("what was signed is not an in-toto statement")]
    Form(#[source] serde_json::Error),
    /// Its lists and objects stand too deep in one another.
    #[error("what was signed has lists and objects more than {most} deep in one another")]
    TooDeep {
        /// How deep they may stand.
        most: usize,
    },
    /// A statement of a version that is not known.
    #[error("what was signed is of the type `{}`, and no in-toto statement of version 1", given.escape_debug())]
    Type {
        /// What it says.
        given: String,
    },
    /// A predicate that nobody asked for.
    #[error("it is an attestation of the type `{}`, which is not taken", given.escape_debug())]
    Predicate {
        /// What it says.
        given: String,
    },
    /// A publish attestation with a body, which must be empty (PyPI, publish attestation v1).
    #[error("it is a publish attestation that says something besides, which it must not")]
    PublishBody,
    /// Not about exactly one file.
    #[error("it is about {count} files, and an attestation is about one")]
    Subjects {
        /// How many it names.
        count: usize,
    },
    /// About something without a name, or without a SHA-256.
    #[error("it does not say the {member} of the file that it is about")]
    Missing {
        /// What is missing.
        member: &'static str,
    },
    /// About something that is not a distribution.
    #[error("it is about something that is no wheel and no source distribution")]
    Filename(#[from] FilenameError),
    /// About another file.
    #[error("it is about {attested}, and not about {given}")]
    OtherFile {
        /// The file at hand.
        given: String,
        /// The file that the statement names.
        attested: String,
    },
    /// About other bytes.
    #[error("it is about a file with the SHA-256 {}, and this one has {given}", attested.escape_debug())]
    OtherBytes {
        /// The digest of the file at hand.
        given: Sha256Hex,
        /// The digest that the statement names.
        attested: String,
    },
}

/// A statement's members that decide anything. Others are for those who know them (in-toto
/// attestation framework, *Parsing rules*).
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<WireSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    #[serde(default)]
    predicate: Body,
}

#[derive(Deserialize)]
struct WireSubject {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// Whether a predicate says anything.
#[derive(Default, PartialEq)]
enum Body {
    #[default]
    Empty,
    Something,
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Body, D::Error> {
        struct Looking;

        impl<'de> Visitor<'de> for Looking {
            type Value = Body;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or null")
            }

            fn visit_unit<E>(self) -> Result<Body, E> {
                Ok(Body::Empty)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
                let mut body = Body::Empty;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    body = Body::Something;
                }
                Ok(body)
            }
        }
        deserializer.deserialize_any(Looking)
    }
}

/// Reads a statement, and says what it claims of this very file.
///
/// File names are compared by what they say: the project's name by its normal form, and a wheel's
/// tags in any order, since tools write them so.
pub(crate) fn about(
    statement: &[u8],
    file: &DistributionFilename,
    sha256: &Sha256Hex,
) -> Result<Predicate, StatementError> {
    json::bounded(statement, statement.len(), MAX_DEPTH)
        .map_err(|_| StatementError::TooDeep { most: MAX_DEPTH })?;
    let wire: Wire = serde_json::from_slice(statement).map_err(StatementError::Form)?;
    if wire.kind != STATEMENT {
        return Err(StatementError::Type { given: wire.kind });
    }
    let Some(predicate) = Predicate::ALL
        .into_iter()
        .find(|known| known.uri() == wire.predicate_type)
    else {
        return Err(StatementError::Predicate {
            given: wire.predicate_type,
        });
    };
    if predicate == Predicate::Publish && wire.predicate != Body::Empty {
        return Err(StatementError::PublishBody);
    }
    let [subject] = <[WireSubject; 1]>::try_from(wire.subject)
        .map_err(|all| StatementError::Subjects { count: all.len() })?;
    let name = subject
        .name
        .ok_or(StatementError::Missing { member: "name" })?;
    let attested = DistributionFilename::parse(&name)?;
    if !same_distribution(&attested, file) {
        return Err(StatementError::OtherFile {
            given: file.to_string(),
            attested: name,
        });
    }
    match subject.digest.get("sha256") {
        None => Err(StatementError::Missing { member: "SHA-256" }),
        Some(digest) if *digest == sha256.to_string() => Ok(predicate),
        Some(digest) => Err(StatementError::OtherBytes {
            given: *sha256,
            attested: digest.clone(),
        }),
    }
}

/// Whether two names are of the same distribution.
fn same_distribution(one: &DistributionFilename, other: &DistributionFilename) -> bool {
    use DistributionFilename::{Sdist, Wheel};

    let set = |tags: &[String]| {
        tags.iter()
            .map(|tag| tag.to_lowercase())
            .collect::<BTreeSet<_>>()
    };
    one.project() == other.project()
        && one.version() == other.version()
        && match (one, other) {
            (Wheel(one), Wheel(other)) => {
                one.build() == other.build()
                    && set(one.python_tags()) == set(other.python_tags())
                    && set(one.abi_tags()) == set(other.abi_tags())
                    && set(one.platform_tags()) == set(other.platform_tags())
            }
            (Sdist(one), Sdist(other)) => one.format() == other.format(),
            _ => false,
        }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use serde_json::{Value, json};
    use wheelmark_packaging::simple::Sha256Hex;

    use super::{Predicate, StatementError, about};

    const FILE: &str =
        "a_demo-1.0-1-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl";

    fn statement() -> Value {
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": FILE, "digest": {"sha256": "07".repeat(32)}}],
            "predicateType": "https://docs.pypi.org/attestations/publish/v1",
            "predicate": null,
        })
    }

    fn check(statement: &Value) -> Result<Predicate, StatementError> {
        let text = serde_json::to_vec(statement).unwrap();
        about(&text, &FILE.parse().unwrap(), &Sha256Hex([7; 32]))
    }

    #[test]
    fn names_are_compared_by_what_they_say() {
        for same in [
            FILE,
            "A.Demo-1.0-1-cp312.cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "a-demo-1.0.0-1-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
                .replacen("a-demo", "a_demo", 1)
                .as_str(),
        ] {
            let mut statement = statement();
            statement["subject"][0]["name"] = same.into();
            assert_eq!(check(&statement).unwrap(), Predicate::Publish, "{same}");
        }
        for other in [
            "a_demo-1.0-2-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "a_demo-1.0-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "a_demo-1.0-1-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "a_demo-1.0-1-cp311.cp312-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "a_demo-1.0-1-cp311.cp312-abi3-manylinux_2_17_x86_64.whl",
            "a_demo-1.1-1-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "ademo-1.0-1-cp311.cp312-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            "a_demo-1.0.tar.gz",
        ] {
            let mut statement = statement();
            statement["subject"][0]["name"] = other.into();
            let refused = check(&statement).unwrap_err();
            assert!(
                matches!(refused, StatementError::OtherFile { .. }),
                "{other}: {refused}"
            );
        }
    }

    #[test]
    fn what_is_empty_may_be_written_in_three_ways_and_what_is_not_is_refused() {
        let mut with = statement();
        for empty in [Value::Null, json!({})] {
            with["predicate"] = empty;
            assert!(check(&with).is_ok());
        }
        with.as_object_mut().unwrap().remove("predicate");
        assert!(check(&with).is_ok());
        with["predicate"] = json!({"a": {"b": [1, 2]}});
        assert!(matches!(
            check(&with).unwrap_err(),
            StatementError::PublishBody
        ));
        with["predicateType"] = "https://slsa.dev/provenance/v1".into();
        assert_eq!(check(&with).unwrap(), Predicate::Slsa);
        with["predicate"] = json!(5);
        assert!(matches!(check(&with).unwrap_err(), StatementError::Form(_)));
    }

    #[test]
    fn a_statement_about_anything_else_is_refused() {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut statement = statement();
            change(&mut statement);
            check(&statement).unwrap_err().to_string()
        };
        let said = [
            changed(&|it| it["_type"] = "https://in-toto.io/Statement/v0.1".into()),
            changed(&|it| it["predicateType"] = "https://example.com/x".into()),
            changed(&|it| it["subject"] = json!([])),
            changed(&|it| {
                let one = it["subject"][0].clone();
                it["subject"].as_array_mut().unwrap().push(one);
            }),
            changed(&|it| it["subject"][0]["name"] = "notes.txt".into()),
            changed(&|it| it["subject"][0]["name"] = Value::Null),
            changed(&|it| it["subject"][0]["digest"] = json!({"sha512": "07".repeat(64)})),
            changed(&|it| it["subject"][0]["digest"]["sha256"] = "08".repeat(32).into()),
            // One spelling of a digest.
            changed(&|it| it["subject"][0]["digest"]["sha256"] = "0A".repeat(32).into()),
        ];
        assert_eq!(
            said,
            [
                "what was signed is of the type `https://in-toto.io/Statement/v0.1`, and no in-toto statement of version 1".to_owned(),
                "it is an attestation of the type `https://example.com/x`, which is not taken".to_owned(),
                "it is about 0 files, and an attestation is about one".to_owned(),
                "it is about 2 files, and an attestation is about one".to_owned(),
                "it is about something that is no wheel and no source distribution".to_owned(),
                "it does not say the name of the file that it is about".to_owned(),
                "it does not say the SHA-256 of the file that it is about".to_owned(),
                format!("it is about a file with the SHA-256 {}, and this one has {}", "08".repeat(32), "07".repeat(32)),
                format!("it is about a file with the SHA-256 {}, and this one has {}", "0A".repeat(32), "07".repeat(32)),
            ]
        );
    }

    #[test]
    fn depth_is_bounded_in_what_was_signed_as_well() {
        let mut deep = Value::Null;
        for _ in 0..40 {
            deep = json!([deep]);
        }
        let mut with = statement();
        with["predicateType"] = "https://slsa.dev/provenance/v1".into();
        with["predicate"] = json!({ "deep": deep });
        assert!(matches!(
            check(&with).unwrap_err(),
            StatementError::TooDeep { most: 32 }
        ));
    }
}
