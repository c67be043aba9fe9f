//! `wheelmark index project certificate`: a project's OpenPGP certificates.

mod shown;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, ensure};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{BoundCertificates, MAX_CERTIFICATES_LEN, ProjectPage};
use wheelmark_provenance::openpgp::{
    Certificates, CertificatesError, Fingerprint, MAX_INPUT_LEN, VERIFIES,
};
use wheelmark_store::{AuditAction, Change};
use wheelmark_tuf::Sha256;

use super::orders::{How, Order, give};
use super::page;
use crate::context::Context;
use crate::data::Data;
use crate::logging::WithHint as _;

/// Say by which OpenPGP certificates a project signs
///
/// They are bound into the project's signed page, and served at /keys/PROJECT.asc. Where this
/// program was built to verify signatures, a signature that comes with an upload and was not made
/// by one of them is refused.
///
///   wheelmark index project certificate add flask maintainer.asc
///   wheelmark index project certificate list flask
///   wheelmark index project certificate remove flask 9E237D746B45DE98FE2306175D65774413AB2514
///   wheelmark index project certificate require flask
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add certificates, or bring those that are there up to date
    ///
    /// FILE is what `gpg --armor --export --export-options export-minimal NAME` writes. A
    /// certificate that is there already takes over what FILE says more, such as a longer term or
    /// a revocation, and loses nothing.
    Add {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: ProjectName,

        /// A file with one public certificate or several
        #[arg(value_name = "FILE")]
        file: PathBuf,

        #[command(flatten)]
        how: How,
    },
    /// List the certificates
    List {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: ProjectName,

        /// Print a JSON object, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Remove a certificate: what it signs is not taken any more
    ///
    /// Files that it has signed stay as they are.
    Remove {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: ProjectName,

        /// Which: `list` shows them
        #[arg(value_name = "FINGERPRINT")]
        fingerprint: Fingerprint,

        #[command(flatten)]
        how: How,
    },
    /// Refuse uploads without a signature
    Require {
        /// The project
        #[arg(value_name = "PROJECT")]
        project: ProjectName,

        /// Take them again
        #[arg(long)]
        undo: bool,

        #[command(flatten)]
        how: How,
    },
}

pub(super) async fn run(args: Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Add { project, file, how } => {
            how.demand(data)?;
            add(&project, &file, &how, data, context).await
        }
        Command::List { project, json } => {
            let known = Known::of(data, &project).await?;
            shown::list(&known, json, context.clock.now())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Remove {
            project,
            fingerprint,
            how,
        } => {
            how.demand(data)?;
            let mut known = Known::of(data, &project).await?;
            if !known.certificates.remove(&fingerprint) {
                return Err(anyhow!("{project} has no certificate {fingerprint}")).hint(format!(
                    "`wheelmark index project certificate list {project}` shows what it has"
                ));
            }
            let subject = fingerprint.to_string();
            let order = known.order(subject, "no certificate of the project any more")?;
            give(vec![order], &project, &how, data, context).await
        }
        Command::Require { project, undo, how } => {
            how.demand(data)?;
            require(&project, !undo, &how, data, context).await
        }
    }
}

async fn add(
    project: &ProjectName,
    file: &Path,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let mut known = Known::of(data, project).await?;
    let given = read(file)?;
    let fingerprints: Vec<String> = given
        .iter()
        .map(|certificate| certificate.fingerprint().to_string())
        .collect();
    shown::warn_of(&given, context.clock.now());
    known.certificates.add(given);
    let order = known.order(fingerprints.join(", "), "a certificate of the project")?;
    if !VERIFIES {
        tracing::warn!("{}", shown::NOT_VERIFIED);
    }
    give(vec![order], project, how, data, context).await
}

async fn require(
    project: &ProjectName,
    required: bool,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let mut known = Known::of(data, project).await?;
    if required && known.certificates.is_empty() {
        return Err(anyhow!(
            "{project} has no certificate that could have signed"
        ))
        .hint(format!(
            "wheelmark index project certificate add {project} FILE"
        ));
    }
    if required && !VERIFIES {
        return Err(anyhow!(
            "{}: to require what nobody looks at would promise too much",
            shown::NOT_VERIFIED
        ))
        .hint("build wheelmark with `--features openpgp`");
    }
    known.required = required;
    let done = if required {
        "signatures are required"
    } else {
        "signatures are not required"
    };
    let order = known.order(project.to_string(), done)?;
    give(vec![order], project, how, data, context).await
}

/// The certificates that a project has, as its signed page binds them.
struct Known {
    project: ProjectName,
    certificates: Certificates,
    required: bool,
    /// The digest of their text, if there are any.
    bound: Option<Sha256>,
}

impl Known {
    async fn of(data: &Data, project: &ProjectName) -> anyhow::Result<Self> {
        let page = page::of(data, project).await?;
        let (certificates, required, bound) = match &page.wheelmark.certificates {
            None => (Certificates::default(), false, None),
            Some(bound) => {
                let certificates = certificates_of(data, &page, bound).await?;
                let sha256 = Sha256(bound.sha256.into());
                (certificates, bound.required, Some(sha256))
            }
        };
        Ok(Self {
            project: project.clone(),
            certificates,
            required,
            bound,
        })
    }

    /// The order to have the certificates as they are here now.
    fn order(&self, subject: String, done: &'static str) -> anyhow::Result<Order> {
        let certificates = match self.certificates.to_armor() {
            Ok(text) => Some(text),
            Err(CertificatesError::None) => None,
            Err(error @ CertificatesError::TooLong { .. }) => {
                return Err(error).hint(
                    "leave the signatures of others out: gpg --armor --export --export-options export-minimal NAME",
                );
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Order {
            change: Change::CertificatesSet {
                project: self.project.clone(),
                required: self.required && certificates.is_some(),
                certificates,
                in_place_of: self.bound,
            },
            subject,
            done,
            action: AuditAction::CertificatesChanged,
        })
    }
}

/// The certificates that a page binds.
async fn certificates_of(
    data: &Data,
    page: &ProjectPage,
    bound: &BoundCertificates,
) -> anyhow::Result<Certificates> {
    let sha256 = Sha256(bound.sha256.into());
    let path = ObjectPath::certificates(&page.name, &sha256);
    let tree = Directory::open(&data.tree()).await?;
    let bytes = tree.read(&path, MAX_CERTIFICATES_LEN as u64).await?;
    let bytes = bytes.ok_or_else(|| anyhow!("{path} is not there"))?;
    ensure!(
        Sha256::of(&bytes) == sha256,
        "{path} is not what was signed"
    );
    Ok(Certificates::parse(&bytes)?)
}

/// Reads the file that somebody gives.
fn read(path: &Path) -> anyhow::Result<Certificates> {
    let cannot = || format!("{} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(cannot)?.len();
    ensure!(
        length <= MAX_INPUT_LEN as u64,
        "{} has {length} bytes, certificates have {MAX_INPUT_LEN} at most",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(cannot)?;
    Certificates::parse(&bytes).or_else(|error| {
        let is_private = error.is_private_key();
        let error = anyhow!(error).context(format!("{} is not taken", path.display()));
        Err(error).hint(if is_private {
            "an index publishes certificates, so give it the public one: gpg --armor --export NAME"
        } else {
            "export the certificate: gpg --armor --export --export-options export-minimal NAME"
        })
    })
}
