//! `wheelmark ceremony sheet`: a ceremony on paper.

mod page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

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
///   wheelmark ceremony sheet march --out march.html --token "1=YubiKey 12345678"
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

    /// What the token of a holder is known by, such as its serial number; can be given many times
    #[arg(long, value_name = "N=SERIAL")]
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
    let seats = ceremony.standing().seats().len();
    if let Some(seat) = tokens.keys().find(|seat| !(1..=seats).contains(*seat)) {
        return Err(anyhow!("there is no holder {seat}: there are {seats}"));
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

/// The token of each holder, by the holder's number.
fn tokens(given: &[String]) -> anyhow::Result<BTreeMap<usize, String>> {
    let mut tokens = BTreeMap::new();
    for text in given {
        let parts = text.split_once('=');
        let parts = parts.and_then(|(seat, serial)| Some((seat.trim().parse().ok()?, serial)));
        let (seat, serial) = parts
            .ok_or_else(|| anyhow!("`{text}` does not say whose token it is"))
            .hint("name the number of the holder: --token \"1=YubiKey 12345678\"")?;
        tokens.insert(seat, serial.trim().to_owned());
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
