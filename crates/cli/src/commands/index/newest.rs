//! Whether another copy has seen a newer state than the one that is to become the index: its versions
//! would be signed a second time, with other contents.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use wheelmark_mirror::{Depth, DirectoryPlace, WebPlace, follow};

use super::audit::Other;
use crate::anchor::copy_at;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::remote;

/// Where newer states are looked for.
#[derive(Debug, clap::Args)]
pub(super) struct Newest {
    /// A mirror's URL, a copy or a backup of this index: refuse if it has a newer state, whose
    /// versions would be signed twice; can be given many times
    #[arg(long, value_name = "COPY")]
    newest: Vec<String>,
}

impl Newest {
    /// Whether any copy is named.
    pub(super) fn is_asked(&self) -> bool {
        !self.newest.is_empty()
    }

    /// Refuses a state that one of the copies is ahead of; `ours` is the version of its timestamp, and
    /// `root` what trust in all of them begins with.
    pub(super) async fn demand_ours(
        &self,
        root: &[u8],
        ours: u64,
        context: &Context,
    ) -> anyhow::Result<()> {
        for name in &self.newest {
            let theirs = timestamp_of(name, root, context)
                .await
                .with_context(|| format!("which state {name} has is not known"))
                .hint("leave it out only if you know that no newer state was published")?;
            if theirs > ours {
                return Err(anyhow!(
                    "{name} has a newer state: its timestamp has version {theirs}, and that of what is to become the index {ours}"
                ))
                .hint("go on from that copy, or from one that is as new: otherwise versions that were signed already would be signed again, with other contents, which clients refuse and anybody can prove");
            }
        }
        Ok(())
    }
}

/// The version of the timestamp that a copy has, followed from a root.
async fn timestamp_of(name: &str, root: &[u8], context: &Context) -> anyhow::Result<u64> {
    let root = root.to_vec();
    let chain = match Other::named(name)? {
        Other::Tree(path) => tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let path: PathBuf = path.canonicalize()?;
            let place = DirectoryPlace::new(&path, 1, None);
            follow(&place, &root, Timestamp::UNIX_EPOCH).map_err(|broken| broken.error.into())
        }),
        Other::Url(url) => {
            let remote = remote(context)?;
            tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
                let copy = copy_at(&url, None)?;
                let place = WebPlace::new(copy.metadata, copy.targets, remote, Depth::Lengths);
                follow(&place, &root, Timestamp::UNIX_EPOCH).map_err(|broken| broken.error.into())
            })
        }
    };
    Ok(chain.await??.set.timestamp().version)
}
