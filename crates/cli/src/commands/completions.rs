//! `wheelmark completions` and `wheelmark man`: what shells and `man` know of the commands.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;

use crate::commands::up::print_line;

/// Print completions for a shell
///
///   wheelmark completions bash > ~/.local/share/bash-completion/completions/wheelmark
///   wheelmark completions zsh > ~/.zfunc/_wheelmark
///   wheelmark completions fish > ~/.config/fish/completions/wheelmark.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Write a manual page for every command into a directory
///
///   wheelmark man ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManArgs {
    /// The directory, which is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn completions(
    args: &CompletionsArgs,
    mut command: clap::Command,
) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "wheelmark", &mut script);
    print_line(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(args: &ManArgs, command: clap::Command) -> anyhow::Result<ExitCode> {
    let cannot = || format!("nothing can be written to {}", args.directory.display());
    std::fs::create_dir_all(&args.directory).with_context(cannot)?;
    clap_mangen::generate_to(command, &args.directory).with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}
