//! `wheelmark lock`: what there is to do to a lock file besides verifying it.

mod attest;
mod identities;
mod rewrite;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use self::identities::asked;
use crate::context::Context;

/// Put lock files right (to check one: `wheelmark verify uv.lock`)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: LockCommand,
}

#[derive(Debug, Subcommand)]
enum LockCommand {
    Attest(attest::Args),
    Rewrite(rewrite::Args),
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        LockCommand::Attest(args) => attest::run(args, context).await,
        LockCommand::Rewrite(args) => rewrite::run(args, context).await,
    }
}

/// Writes a file with the permissions of another, which may be the one that it replaces: whole or
/// not at all.
fn replace(path: &Path, like: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(std::fs::metadata(like)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Prints to standard output. Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
