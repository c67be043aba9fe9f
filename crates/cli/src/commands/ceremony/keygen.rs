//! `wheelmark ceremony keygen`: the keys of a new holder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use wheelmark_ceremony::{HolderKeys, proof_message};
use wheelmark_signing::{NoSuchKey, Phrase, generate_seat, seal};
use wheelmark_tuf::Key;
use zeroize::Zeroizing;

use super::signer::Passphrase;
use crate::commands::up::print_line;
use crate::data::write_private;
use crate::logging::WithHint as _;

/// The fewest characters of a passphrase that somebody chose.
const LEAST_PASSPHRASE: usize = 16;

/// Make the keys of a new holder
///
/// On the holder's own machine, which need not be online. Writes two files: the private keys,
/// encrypted (age) under a phrase that is printed once, and the public ones with a proof that the
/// holder has the private ones. The public file goes to whoever begins the next ceremony:
///
///   wheelmark ceremony keygen --name alice --out alice.age --public alice.json
///   wheelmark ceremony begin --data /srv/index --out march --replace 1=alice.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// What the holder is called, for people who review
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Where the private keys are to be, encrypted; never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Where the public keys are to be
    #[arg(long, value_name = "FILE")]
    public: PathBuf,

    /// A passphrase of your own in place of a generated one
    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for file in [&args.out, &args.public] {
        if file.exists() {
            return Err(anyhow!("{} is there already", file.display()))
                .hint("keys are never overwritten: name another file");
        }
    }
    let mut random = UnwrapErr(SysRng);
    let chosen = args.passphrase.given()?;
    let phrase = match &chosen {
        Some(chosen) if chosen.chars().count() < LEAST_PASSPHRASE => {
            return Err(anyhow!(
                "the passphrase has fewer than {LEAST_PASSPHRASE} characters"
            ))
            .hint("whoever finds the file can guess as often as they like; leave it out, and one is made");
        }
        Some(chosen) => Phrase::parse(chosen).unwrap_or_else(|_| Phrase::chosen(chosen)),
        None => Phrase::generate(&mut random),
    };
    let seat = generate_seat(&mut random);
    let names: Vec<String> = seat.names().map(str::to_owned).collect();
    let keys = names.iter().map(|name| {
        let key = seat.signer(name)?.key().clone();
        Ok((name.clone(), key))
    });
    let keys: BTreeMap<String, Key> = keys.collect::<Result<_, NoSuchKey>>()?;
    let message = proof_message(&args.name, &keys);
    let mut proofs = BTreeMap::new();
    for name in &names {
        proofs.insert(name.clone(), seat.signer(name)?.sign(&message)?);
    }
    let holder = HolderKeys::new(&args.name, keys, proofs)?;
    let sealed = seal(&seat, &phrase, None)?;
    let mut public = serde_json::to_vec_pretty(&holder.to_value())?;
    public.push(b'\n');
    write_private(&args.public, &public)?;
    if chosen.is_none() {
        use std::io::Write as _;
        let told = Zeroizing::new(format!(
            "\nThe keys in {}\nopen with this phrase. It is shown this once and stored nowhere:\n\n  {}\n\n",
            args.out.display(),
            phrase.reveal()
        ));
        std::io::stderr()
            .lock()
            .write_all(told.as_bytes())
            .context("the phrase cannot be shown")?;
    }
    // Last: no keys are to lie there whose phrase nobody has seen.
    if let Err(error) = write_private(&args.out, &sealed) {
        std::fs::remove_file(&args.public).context("the public keys are there alone")?;
        return Err(error);
    }
    let keyids = || holder.keyids().map(|(name, id)| (name, id.as_str()));
    if args.json {
        let keys: BTreeMap<&str, &str> = keyids().collect();
        let told = json!({
            "name": holder.name(),
            "private": args.out,
            "public": args.public,
            "keys": keys,
        });
        print_line(&told.to_string())?;
    } else {
        let keys: Vec<String> = keyids()
            .map(|(name, id)| format!("  {name:<8} {id}"))
            .collect();
        print_line(&format!(
            "the keys of {}, to read aloud to whoever begins the ceremony:\n{}",
            holder.name(),
            keys.join("\n")
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
