//! `wheelmark project keygen`: a key in a file.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use wheelmark_signing::{generate_seat_for, seal};

use crate::commands::ceremony::signer::{Passphrase, Secrets, new_phrase, show_phrase};
use crate::commands::up::print_line;
use crate::data::write_private;
use crate::logging::WithHint as _;
use crate::releasing::DEVELOPER;

/// Make a key to sign releases with, in an encrypted file
///
/// One for each machine, and for nobody else: a key is never shared. A token or an SSH agent needs
/// no file: name it with --signer when you claim (docs/signers.md).
///
///   wheelmark project keygen --out me.age
///
/// The file is in the age format. The phrase that opens it is shown once, and stored nowhere.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shown = args.out.display();
    if args.out.exists() {
        return Err(anyhow!("{shown} is there already"))
            .hint("keys are never overwritten: name another file");
    }
    let mut random = UnwrapErr(SysRng);
    let chosen = Secrets::new(&args.passphrase).given(&shown.to_string())?;
    let (phrase, is_chosen) = new_phrase(chosen, &mut random)?;
    let seat = generate_seat_for(&[DEVELOPER], &mut random);
    let keyid = seat.signer(DEVELOPER)?.key().keyid().clone();
    let sealed = seal(&seat, &phrase, None)?;
    // No key is to lie there whose phrase nobody has seen.
    if !is_chosen {
        show_phrase(&format!("the key in {shown}"), &phrase)?;
    }
    write_private(&args.out, &sealed)?;
    if args.json {
        let told = json!({ "private": args.out, "keyid": keyid.as_str() });
        print_line(&told.to_string())?;
    } else {
        print_line(&format!("{shown} has the key {}", keyid.as_str()))?;
    }
    Ok(ExitCode::SUCCESS)
}
