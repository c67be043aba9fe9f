//! What a lock file asks: who has to have attested to the files of its packages (PEP 751).
//!
//! It becomes one more file of the policy, so that it is asked where everything else is asked. Like a
//! file that came with a project it can ask for more, and names nobody for the person.

use std::collections::BTreeMap;

use wheelmark_packaging::lock::{Beside, LockFile, LockedIdentity, LockedPackage};
use wheelmark_packaging::{DistributionFilename, ProjectName, Version, VersionSpecifiers};

use super::demand::Demand;
use super::pattern::ProjectPattern;
use super::rule::{Clause, PolicyFile, Rule, RuleName};
use crate::publisher::Publisher;

/// An attestation identity that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: an attestation identity of {project} names nobody: {}", problem.escape_debug())]
pub struct LockedIdentityError {
    /// The project.
    pub project: ProjectName,
    /// The line that it begins in, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Who may have attested to the files of a version, and the line that says so. Without a version,
/// to all files.
type Asked = BTreeMap<(ProjectName, Option<Version>), (usize, Vec<Publisher>)>;

impl PolicyFile {
    /// What a lock file asks of the files that it names: each has to be attested by one of the
    /// identities of its package. Of a package without any, nothing is asked. `name` is what the
    /// file is called in messages.
    ///
    /// # Errors
    ///
    /// [`LockedIdentityError`] for the first identity that names nobody.
    pub fn of_lock(lock: &LockFile, name: &str) -> Result<Self, LockedIdentityError> {
        let mut asked = Asked::new();
        for package in lock.packages.iter().chain(&lock.attested_elsewhere) {
            for version in versions(package) {
                add(&mut asked, &package.project, version, &package.identities)?;
            }
        }
        Ok(Self::of_identities(asked, name))
    }

    /// What the file beside a lock file asks: every file of its projects, of whatever version.
    ///
    /// # Errors
    ///
    /// [`LockedIdentityError`] for the first identity that names nobody.
    pub fn beside_lock(beside: &Beside, name: &str) -> Result<Self, LockedIdentityError> {
        let mut asked = Asked::new();
        for (project, identities) in &beside.packages {
            add(&mut asked, project, None, identities)?;
        }
        Ok(Self::of_identities(asked, name))
    }

    fn of_identities(asked: Asked, name: &str) -> Self {
        let mut rules: Vec<Rule> = Vec::new();
        // Later versions first, and all of them last: `==1.0` stands for `1.0+local` as well.
        for ((project, version), (line, publishers)) in asked.into_iter().rev() {
            let versions: Option<VersionSpecifiers> =
                version.and_then(|version| format!("=={version}").parse().ok());
            rules.push(Rule {
                name: RuleName::Locked,
                line,
                projects: vec![ProjectPattern::exactly(&project)],
                versions,
                files: None,
                clauses: vec![Clause {
                    line,
                    demand: Demand::AttestedBy(publishers),
                }],
            });
        }
        rules.sort_by(|one, other| {
            let project = |rule: &Rule| rule.projects[0].as_str().to_owned();
            project(one).cmp(&project(other))
        });
        Self {
            name: name.to_owned(),
            trusted: false,
            rules,
            of_lock: true,
        }
    }
}

/// The versions that a package is about: the locked one, and those of its files, whatever they are
/// locked as.
fn versions(package: &LockedPackage) -> Vec<Option<Version>> {
    let Some(version) = &package.version else {
        return vec![None];
    };
    let mut versions = vec![Some(version.clone())];
    for name in package.files.iter().filter_map(|it| it.filename.as_deref()) {
        if let Ok(file) = DistributionFilename::parse_for(&package.project, name) {
            let version = Some(file.version().clone());
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    versions
}

fn add(
    asked: &mut Asked,
    project: &ProjectName,
    version: Option<Version>,
    identities: &[LockedIdentity],
) -> Result<(), LockedIdentityError> {
    let Some(first) = identities.first() else {
        return Ok(());
    };
    let (_, publishers) = asked
        .entry((project.clone(), version))
        .or_insert_with(|| (first.line, Vec::new()));
    for identity in identities {
        let publisher = Publisher::of_lock(&identity.members);
        let publisher = publisher.map_err(|problem| LockedIdentityError {
            project: project.clone(),
            line: identity.line,
            problem,
        })?;
        if !publishers.contains(&publisher) {
            publishers.push(publisher);
        }
    }
    Ok(())
}
