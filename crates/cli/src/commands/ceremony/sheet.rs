//! `wheelmark ceremony sheet`: a ceremony on paper.

mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use wheelmark_tuf::without_controls;

use self::page::Sheet;
use super::folder::Folder;
use super::policy;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;

/// Write a sheet to print: hashes, the words, who holds which keys, dates, and room to sign
///
/// One HTML file that needs nothing else: it loads nothing and runs nothing. Any browser prints it, on
/// one or two pages of A4. Take it to the telephone and tick off what was read; file it afterwards.
///
///   wheelmark ceremony sheet march --out march.html
///   wheelmark ceremony sheet march --out march.html --token "1=YubiKey 12345678" \
///       --token "dave=YubiKey 87654321"
///
/// The words are for whoever reads them aloud. A holder who has them on paper before they are read
/// compares nothing: give the sheet to the others afterwards.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// What the token of a holder is known by, such as its serial number: of the holder with a number,
    /// or of one who is named, such as somebody who joins; can be given many times
    #[arg(long, value_name = "N|NAME=SERIAL")]
    token: Vec<String>,

    /// The policy that says when the next ceremony is due [default: `wheelmark ceremony policy`]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let tokens = tokens(&args.token)?;
    let policy = policy::of(args.policy.as_deref(), None)?;
    let folder = Folder::open(&args.directory)?;
    let ceremony = folder.ceremony(context)?;
    let (tally, _) = folder.signatures(&ceremony)?;
    let people = page::everybody(&ceremony);
    if let Some((who, _)) = tokens
        .iter()
        .find(|(who, _)| !people.iter().any(|person| person.is(who)))
    {
        let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
        return Err(anyhow!("there is no holder {}", without_controls(who))).hint(format!(
            "these are: {}",
            without_controls(&names.join("; "))
        ));
    }
    let sheet = Sheet {
        ceremony: &ceremony,
        tally: &tally,
        policy: &policy,
        tokens: &tokens,
        printed: context.clock.now(),
    };
    write(&args.out, args.overwrite, &sheet.to_html())?;
    print_line(&format!(
        "{}: open it in a browser and print it",
        args.out.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Whose token is known by what.
fn tokens(given: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let mut tokens: Vec<(String, String)> = Vec::new();
    for text in given {
        let (who, serial) = text
            .split_once('=')
            .ok_or_else(|| anyhow!("`{text}` does not say whose token it is"))
            .hint("name the holder by number or by name: --token \"1=YubiKey 12345678\"")?;
        tokens.push((who.trim().to_owned(), serial.trim().to_owned()));
    }
    Ok(tokens)
}

fn write(path: &Path, overwrite: bool, html: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    match overwrite {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let file = options.open(path);
    if let Err(error) = &file
        && error.kind() == std::io::ErrorKind::AlreadyExists
    {
        return Err(anyhow!("{} is there already", path.display())).hint("--overwrite replaces it");
    }
    file.and_then(|mut file| file.write_all(html.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
