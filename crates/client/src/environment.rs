//! An environment that something was installed into, against the signed wheels.
//!
//! ```text
//!  site-packages ─▶ inventory: each .dist-info, what its installer wrote there
//!                       │
//!       project, version, tags ─▶ home ─▶ signed page ─▶ wheel, verified ─▶ its contents
//!                       │                                                       │
//!                       └───────── every file, compared ◀───────────────────────┘
//!                                      │
//!                 changed, missing; then what no signed wheel has: added
//! ```
//!
//! What lies in the environment is believed nothing: it says which wheel to ask for, and the
//! bytes of that wheel say what has to be there. What installers themselves write is known, and
//! is listed in `docs/lock-files.md`.

mod basis;
mod compare;
mod inventory;
mod layout;
mod strangers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use url::Url;
use wheelmark_packaging::simple::Yanked;
use wheelmark_packaging::{ProjectName, Version};
use wheelmark_tuf::{RoleName, Sha256};

use self::basis::Basis;
use self::inventory::Installed;
pub use self::layout::{Environment, EnvironmentError};
use crate::dropped::Withdrawn;
use crate::homes::Homes;
use crate::refusal::Refusal;
use wheelmark_provenance::Chain;

/// Distributions looked at at once: each may hold a wheel in a temporary file.
const AT_ONCE: usize = 4;

/// What was found in an environment.
#[derive(Debug)]
pub struct CheckedEnvironment {
    /// What is installed, by name.
    pub distributions: Vec<CheckedDistribution>,
    /// Files in the library directories that no signed wheel has, and no unsigned project says
    /// are its own.
    pub added: Vec<Added>,
    /// How many files were compared and are the signed ones.
    pub same: u64,
    /// How many files of compiled bytecode lie beside a source file: they were not compared.
    pub bytecode: u64,
}

/// What was found of one installed distribution.
#[derive(Debug)]
pub struct CheckedDistribution {
    /// The project, as the name of its directory has it.
    pub project: ProjectName,
    /// The version, as the name of its directory has it.
    pub version: Version,
    /// Its `.dist-info` directory.
    pub place: PathBuf,
    /// Who says to have installed it.
    pub installer: Option<String>,
    /// What it was compared with, or why with nothing.
    pub verdict: DistributionVerdict,
    /// What is not as in the signed wheel.
    pub differences: Vec<Difference>,
}

/// What an installed distribution was compared with.
#[derive(Debug)]
pub enum DistributionVerdict {
    /// A signed wheel.
    Wheel(Box<SignedWheel>),
    /// It may have been built on this machine from this signed source distribution: nobody
    /// signed what came of it.
    Built {
        /// The source distribution.
        sdist: String,
        /// The index that signs for it.
        index: Url,
    },
    /// The index listed files of this version until it was recovered from a break-in, and has no wheel that it
    /// may be instead.
    Withdrawn(Box<Withdrawn>),
    /// No index that is trusted answers for it; why, in words.
    NotFromIndex(String),
    /// It cannot be compared; why, in words.
    Unknown(String),
    /// The index's answer does not verify, or is not to be had.
    Refused(Arc<Refusal>),
}

/// The signed wheel that something was compared with.
#[derive(Clone, Debug)]
pub struct SignedWheel {
    /// Its name.
    pub filename: String,
    /// Its digest.
    pub sha256: Sha256,
    /// The index, by its simple URL.
    pub index: Url,
    /// The role that signs for the page, with its version.
    pub signed_by: Option<(RoleName, u64)>,
    /// Who vouches for it.
    pub chain: Chain,
    /// Whether it was yanked.
    pub yanked: Yanked,
    /// What else the index listed of this version, until it was recovered from a break-in: what is installed
    /// may be that, if it is not as signed.
    pub withdrawn: Option<Withdrawn>,
}

/// Something that is not as in the signed wheel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: DifferenceKind,
}

/// What is wrong with an installed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DifferenceKind {
    /// Other bytes.
    Changed {
        /// The digest of what is there, where it has the signed length.
        found: Option<[u8; 32]>,
    },
    /// A script whose first lines lead to an interpreter that is not the environment's.
    Interpreter(String),
    /// A script that does not do what the signed entry point says, or not only that.
    Launcher,
    /// Not a file.
    NoFile,
    /// Not there.
    Missing,
    /// The wheel has it for a place that is not known.
    NotCompared,
    /// Its own `RECORD` names it, and the signed wheel has no such file.
    Added,
}

/// A file that belongs to nothing signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The file, or a folder or link that was not looked into.
    pub path: PathBuf,
    /// What there is to say of it.
    pub why: &'static str,
}

impl CheckedDistribution {
    /// Whether it is what was signed.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.verdict, DistributionVerdict::Wheel(_)) && self.differences.is_empty()
    }
}

/// Compares everything in an environment with what is signed. `seen` is told after each
/// distribution.
///
/// # Errors
///
/// [`EnvironmentError`] when the environment cannot be read, or has more in it than
/// [`layout`](Environment) allows.
pub async fn check_environment(
    homes: &Homes,
    environment: Environment,
    seen: impl Fn(&CheckedDistribution),
) -> Result<CheckedEnvironment, EnvironmentError> {
    let environment = Arc::new(environment);
    let looked_at = environment.clone();
    let inventory = blocking(move || inventory::take(&looked_at)).await??;
    let compared = inventory.installed.iter().map(|installed| {
        let environment = &environment;
        async move {
            let basis = basis::of(homes, environment, installed).await;
            (installed, basis)
        }
    });
    let mut compared = stream::iter(compared).buffered(AT_ONCE);
    let mut distributions = Vec::new();
    let mut wheels = Vec::new();
    let mut same = 0;
    while let Some((installed, basis)) = compared.next().await {
        let (checked, found) = told(installed, basis);
        if let Some(found) = found {
            same += found.same;
            wheels.push(found);
        }
        seen(&checked);
        distributions.push(checked);
    }
    drop(compared);
    compare::settle(&mut distributions, &wheels);
    let (added, bytecode) =
        blocking(move || strangers::look_for(&environment, &inventory, &wheels)).await??;
    Ok(CheckedEnvironment {
        distributions,
        added,
        same,
        bytecode,
    })
}

/// What a wheel was found to have in the environment.
#[derive(Debug)]
struct Compared {
    /// The place of the installed distribution in the inventory.
    number: usize,
    /// Every file that the wheel has, by where it lies, with its digest.
    expected: Vec<(PathBuf, [u8; 32])>,
    /// Files that are the signed ones.
    same: u64,
}

fn told(installed: &Installed, basis: Basis) -> (CheckedDistribution, Option<Compared>) {
    let (verdict, differences, compared) = match basis {
        Basis::Wheel(wheel, compared, differences) => (
            DistributionVerdict::Wheel(wheel),
            differences,
            Some(compared),
        ),
        Basis::Without(verdict) => (verdict, Vec::new(), None),
    };
    let checked = CheckedDistribution {
        project: installed.project.clone(),
        version: installed.version.clone(),
        place: installed.place.clone(),
        installer: installed.installer.clone(),
        verdict,
        differences,
    };
    (checked, compared)
}

/// Work that reads many files, on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EnvironmentError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| EnvironmentError::Ended)
}

/// An error about a path.
fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> EnvironmentError + use<> {
    let path = path.to_owned();
    move |source| EnvironmentError::Unreadable { path, source }
}
