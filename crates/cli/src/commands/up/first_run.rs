//! The first run, in a process of its own.
//!
//! It has every key of the index in its memory, and the phrase that opens the offline ones. What
//! serves later is not to have had them: so another process makes the index, and is gone before
//! anybody can connect.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::process::Command;

use super::{Args, StopSignals, announce_phrase, bins_of};
use crate::commands::snapshotter::die_with_parent;
use crate::context::Context;
use crate::data::Data;

/// Lets another process make the index; whether it did. If not, it has said why.
pub(super) async fn make_apart(args: &Args, context: &Context) -> anyhow::Result<bool> {
    let own = std::env::current_exe().context("this program cannot find itself")?;
    let mut words: Vec<OsString> = vec!["up".into(), "--create-only".into()];
    words.extend(["--data".into(), args.data.clone().into()]);
    if let Some(bins) = args.bins {
        words.extend(["--bins".into(), bins.to_string().into()]);
    }
    if args.prefix_lists {
        words.push("--prefix-lists".into());
    }
    if let Some(key) = &args.online_key {
        words.extend(["--online-key".into(), key.into()]);
    }
    words.extend((0..context.verbose).map(|_| "-v".into()));
    let mut child = Command::new(own)
        .args(words)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("the process that makes the index could not be started")?;
    Ok(child.wait().await?.success())
}

/// Makes the index, as that process.
pub(super) async fn make(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    // Asked to stop, it is finished first: it takes seconds, and half an index is of no use.
    let _stop = StopSignals::new()?;
    die_with_parent()?;
    let (bins, online_key) = (bins_of(args)?, args.online_key.as_deref());
    Data::create(&args.data, None, bins, online_key, context, announce_phrase).await?;
    Ok(ExitCode::SUCCESS)
}
