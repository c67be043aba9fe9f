//! `wheelmark release adopt`: what twine or uv has uploaded, signed and published.

use std::process::ExitCode;

use anyhow::anyhow;
use wheelmark_packaging::DistributionFilename;
use wheelmark_tuf::{Sha256, without_controls};

use crate::commands::publish::{How, publish};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{
    Kind, LocalFile, Named, ReviewedFile, against_last, claimed, demand_known, progress, released,
};

use super::review::shown;

/// Sign and publish files that twine or uv has uploaded
///
/// Uploads to a claimed project wait until somebody signs for them. This fetches those of one
/// version, shows in what they differ from the last release, and publishes them as `wheelmark
/// publish` does: whoever signs vouches for what is inside. Compare the hashes with those of whoever
/// has built the files, by another way than the index.
///
///   wheelmark release adopt acme-tools==2.0 --signer file:me.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// PROJECT==VERSION, PROJECT for all that waits there unsigned, or an id
    #[arg(value_name = "RELEASE")]
    named: Named,

    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = args.how.desk(context)?;
    let mut entries = desk.waiting_as(&args.named).await?;
    entries.retain(|entry| entry.kind == Kind::File);
    let Some(project) = entries.first().map(|entry| entry.project.clone()) else {
        return Err(anyhow!("no unsigned file of this name waits"))
            .hint("look what waits: wheelmark release list PROJECT");
    };
    entries.retain(|entry| entry.project == project);
    let (page, claim) = claimed(&desk, &project).await?;
    demand_known(&desk, &project, &claim, &args.how.keys).await?;
    let folder = tempfile::tempdir()?;
    let files = entries.iter().flat_map(|entry| &entry.files);
    let progress = progress(files.map(|file| file.size).sum());
    let now = jiff::Timestamp::from_microsecond(desk.now.as_microsecond())?;
    let (mut local, mut lines) = (Vec::new(), Vec::new());
    for entry in &entries {
        for file in &entry.files {
            let filename = DistributionFilename::parse_for(&project, &file.filename)?;
            let path = folder.path().join(filename.as_str());
            progress.set_message(filename.as_str().to_owned());
            desk.fetch_staged(entry, file, &path, &progress).await?;
            let released = released(&path, filename, now)?;
            if Sha256(released.sha256.into()) != file.sha256 {
                return Err(anyhow!(
                    "{} is not the file that was uploaded",
                    file.filename
                ))
                .hint("nothing was signed; withdraw it, and upload it again");
            }
            let differences =
                against_last(&desk, page.page(), &released, &path, folder.path()).await?;
            let reviewed = ReviewedFile {
                filename: file.filename.clone(),
                sha256: file.sha256,
                size: file.size,
                differences,
            };
            lines.push(format!(
                "  uploaded by {} at {}",
                without_controls(&entry.user),
                without_controls(&entry.received_at)
            ));
            shown(&reviewed, &mut lines);
            local.push(LocalFile { path, released });
        }
    }
    progress.finish_and_clear();
    if !args.how.json {
        print_line(&lines.join("\n"))?;
    }
    publish(&desk, &project, &local, &args.how).await
}
