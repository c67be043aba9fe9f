//! The attestation identities of a lock file that has no place for them: a file beside it.
//!
//! ```toml
//! identities-version = "1.0"
//!
//! [[packages]]
//! name = "demo"
//!
//! [[packages.attestation-identities]]
//! kind = "GitHub"
//! repository = "o/demo"
//! workflow = "release.yml"
//! ```
//!
//! It has no versions: whoever may attest to a project's files does so for the next one as well, so
//! that a lock which was brought up to date meanwhile asks for no less.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::identities::{self, LockedIdentity, Members, quoted};
use super::{LockError, MAX_LOCK_LEN, MAX_LOCKED_PACKAGES, named, read, table};
use crate::ProjectName;

/// What follows the name of a lock file in the name of the file beside it.
pub const BESIDE: &str = ".identities.toml";

const VERSION: &str = "1.0";

/// Who may have attested the files of projects, by project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// The projects, each once, in their order.
    pub packages: BTreeMap<ProjectName, Vec<LockedIdentity>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    identities_version: String,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Package {
    name: String,
    attestation_identities: Vec<Members>,
}

impl Beside {
    /// Reads such a file.
    ///
    /// # Errors
    ///
    /// [`LockError`] for the first thing that it cannot mean. A member that is not known is such a
    /// thing: it could ask for more.
    pub fn parse(bytes: &[u8]) -> Result<Beside, LockError> {
        if bytes.len() > MAX_LOCK_LEN {
            return Err(LockError::TooLong {
                length: bytes.len(),
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| LockError::NotText)?;
        let file: File = read(table(text)?)?;
        if file.identities_version != VERSION {
            return Err(LockError::BesideVersion {
                version: file.identities_version,
            });
        }
        let count = file.packages.len();
        if count > MAX_LOCKED_PACKAGES {
            return Err(LockError::TooManyPackages { count });
        }
        let count = |package: &Package| package.attestation_identities.len();
        let mut lines = identities::lines(text, &file.packages, count);
        let mut packages = BTreeMap::new();
        for (number, package) in (1..).zip(file.packages) {
            let project = named::project(number, &package.name)?;
            let lines = lines.next().unwrap_or_default();
            let listed = identities::all(&project, package.attestation_identities, lines)?;
            if packages.insert(project.clone(), listed).is_some() {
                return Err(LockError::Twice {
                    package: project.to_string(),
                });
            }
        }
        Ok(Beside { packages })
    }

    /// The text of such a file, for the lock file of this name.
    pub fn text(
        lock: &str,
        packages: &BTreeMap<ProjectName, Vec<BTreeMap<String, String>>>,
    ) -> String {
        let lock = lock.escape_debug();
        let mut text = format!(
            "# Who may have attested the files of these projects, which {lock} names.\n\
             # `wheelmark lock attest {lock}` writes it; `wheelmark exec` and `verify` ask for it.\n\
             identities-version = {}\n",
            quoted(VERSION)
        );
        for (project, identities) in packages {
            text.push_str(&format!(
                "\n[[packages]]\nname = {}\n",
                quoted(project.as_str())
            ));
            for identity in identities {
                text.push_str("\n[[packages.attestation-identities]]\n");
                for (member, value) in identity {
                    text.push_str(&format!("{member} = {}\n", quoted(value)));
                }
            }
        }
        text
    }
}
