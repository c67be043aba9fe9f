//! `wheelmark tuf`: a client of any TUF repository.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use wheelmark_client::{GeneralClient, GeneralError, MetadataDir, MetadataDirError};
use wheelmark_tuf::TargetPath;

use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// Use any TUF repository: verify its metadata, download its targets
///
/// This is not about Python packages: it is a client of The Update Framework 1.0 for every
/// repository that follows it. Trust begins with a root file that you were given.
///
///   wheelmark tuf --metadata-dir D init root.json
///   wheelmark tuf --metadata-dir D --metadata-url U refresh
///   wheelmark tuf --metadata-dir D --metadata-url U --target-name P \
///       --target-base-url T --target-dir TD download
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Where the trusted metadata is kept, as it was received
    #[arg(long, value_name = "DIR")]
    metadata_dir: PathBuf,

    /// Where the repository's metadata is
    #[arg(long, value_name = "URL")]
    metadata_url: Option<String>,

    /// A target's path; may be given again, and the first that fails ends the command
    #[arg(long = "target-name", value_name = "PATH")]
    target_names: Vec<TargetPath>,

    /// Where the repository's targets are
    #[arg(long, value_name = "URL")]
    target_base_url: Option<String>,

    /// Where verified targets are put, under their paths
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Begin to trust a repository
    Init {
        /// The root file to begin with
        root: PathBuf,
    },
    /// Bring the trusted metadata up to date
    Refresh,
    /// Bring the trusted metadata up to date, then download targets
    Download,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let metadata = MetadataDir::open(&args.metadata_dir)?;
    match &args.action {
        Action::Init { root } => {
            let bytes = std::fs::read(root)
                .with_context(|| format!("could not read {}", root.display()))?;
            match metadata.begin(bytes) {
                Err(error @ MetadataDirError::HasRoot { .. }) => {
                    Err(error).hint("use another --metadata-dir for another repository")?;
                }
                other => other.with_context(|| format!("{} is refused", root.display()))?,
            }
        }
        Action::Refresh => drop(refresh(&args, metadata, context).await?),
        Action::Download => download(&args, metadata, context).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn refresh(
    args: &Args,
    metadata: MetadataDir,
    context: &Context,
) -> anyhow::Result<GeneralClient> {
    let url = required(args.metadata_url.as_deref(), "--metadata-url")?;
    let remote = remote(context)?;
    let now = context.clock.now();
    let refreshed = GeneralClient::refresh(metadata, url, remote, now).await;
    if let Err(GeneralError::MetadataDir(MetadataDirError::NoRoot { .. })) = &refreshed {
        return refreshed.hint("begin with `wheelmark tuf --metadata-dir DIR init ROOT`");
    }
    Ok(refreshed?)
}

async fn download(args: &Args, metadata: MetadataDir, context: &Context) -> anyhow::Result<()> {
    let url = required(args.target_base_url.as_deref(), "--target-base-url")?;
    let directory = required(args.target_dir.as_deref(), "--target-dir")?;
    if args.target_names.is_empty() {
        bail!("download needs at least one --target-name");
    }
    let client = refresh(args, metadata, context).await?;
    for path in &args.target_names {
        let kept = client.download(path, url, directory).await?;
        let (file, role) = (kept.file.display(), &kept.target.role);
        if kept.was_there {
            tracing::info!(%file, %role, "the target was there already");
        } else {
            tracing::info!(%file, %role, "the target was downloaded and verified");
        }
    }
    Ok(())
}

fn required<T>(option: Option<T>, name: &str) -> anyhow::Result<T> {
    option.with_context(|| format!("this needs {name}"))
}
