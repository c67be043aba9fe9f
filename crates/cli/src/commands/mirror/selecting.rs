//! What to copy: the options, and `mirror.toml`.

use std::path::PathBuf;

use anyhow::Context as _;
use wheelmark_mirror::Selection;
use wheelmark_mirror::selection::{Platform, Requirement, bytes};

use crate::logging::WithHint as _;

/// Which projects and files are copied; all metadata always is.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// A file that says what to copy (docs/mirroring.md); options add to it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only this project, or only these versions of it, as in "django>=4.2"; may be repeated
    #[arg(long, value_name = "PROJECT")]
    project: Vec<Requirement>,

    /// Not this project, or not these versions of it; may be repeated
    #[arg(long, value_name = "PROJECT")]
    exclude_project: Vec<Requirement>,

    /// No wheels for this alone: windows, macos, freebsd or linux; may be repeated
    #[arg(long, value_name = "PLATFORM")]
    exclude_platform: Vec<Platform>,

    /// Only the N highest versions of each project
    #[arg(long, value_name = "N")]
    latest: Option<usize>,

    /// No pre-releases
    #[arg(long)]
    no_prereleases: bool,

    /// Only files that the index received within this many days
    #[arg(long, value_name = "DAYS")]
    newer_than: Option<u32>,

    /// Only files of at most this size, such as 500MB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_file_size: Option<u64>,
}

impl SelectionArgs {
    pub(super) fn read(&self) -> anyhow::Result<Selection> {
        let mut selection = match &self.config {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("could not read {}", file.display()))?;
                Selection::parse(&text)
                    .with_context(|| format!("{} cannot be used", file.display()))
                    .hint("docs/mirroring.md shows a whole file")?
            }
            None => Selection::default(),
        };
        selection.allow.extend(self.project.iter().cloned());
        selection.block.extend(self.exclude_project.iter().cloned());
        selection.platforms.extend(&self.exclude_platform);
        selection.latest = self.latest.or(selection.latest);
        selection.no_prereleases |= self.no_prereleases;
        selection.newer_than_days = self.newer_than.or(selection.newer_than_days);
        selection.max_file_size = self.max_file_size.or(selection.max_file_size);
        Ok(selection)
    }
}

fn size(text: &str) -> Result<u64, String> {
    bytes(text).map_err(|error| error.to_string())
}

/// A number of bytes a second, such as `10MB/s`; the `/s` may be left out.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    match size(text.trim().strip_suffix("/s").unwrap_or(text))? {
        0 => Err("a rate of nothing would take for ever".to_owned()),
        rate => Ok(rate),
    }
}
