//! `wheelmark ceremony keygen`: the keys of a new holder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::json;
use wheelmark_ceremony::{HolderError, HolderKeys, proof_message};
use wheelmark_signing::{
    Algorithm, HeldKey, Phrase, SEAT_KEYS, Seat, Signer, SignerUri, generate_seat_for, seal,
};
use wheelmark_tuf::Key;

use super::signer::{
    Choice, Opening, Passphrase, Secrets, assigned, new_phrase, parsed, show_phrase,
};
use crate::commands::up::print_line;
use crate::data::write_private;
use crate::logging::WithHint as _;

/// Make the keys of a new holder
///
/// On the holder's own machine, which need not be online. Writes two files: the private keys,
/// encrypted (age) under a phrase that is printed once, and the public ones with a proof that the
/// holder has the private ones. The public file goes to whoever begins the next ceremony:
///
///   wheelmark ceremony keygen --name alice --out alice.age --public alice.json
///   wheelmark ceremony begin --data /srv/index --out march --replace 1=alice.json
///
/// Keys can be in a token, an SSH agent or a service instead, or in several places. A holder has
/// four: root, targets, claimed and bins. Those that a token lacks are made there, under the labels
/// wheelmark-root and so on, and an agent's are found by those names as comments:
///
///   wheelmark ceremony keygen --name bob --public bob.json \
///       --signer 'pkcs11:token=bob?module-path=/usr/lib/softhsm/libsofthsm2.so'
///   wheelmark ceremony keygen --name carol --public carol.json --signer ssh:
///   wheelmark ceremony keygen --name dora --public dora.json --out dora.age \
///       --signer root=ssh:SHA256:Pm3Gj…
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// What the holder is called, for people who review; root says it, so everybody can read it
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Where the private keys are to be that no signer has, encrypted; never overwritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Where the public keys are to be
    #[arg(long, value_name = "FILE")]
    public: PathBuf,

    /// Where private keys are, or are to be made: pkcs11:…, ssh: or command:PATH, for all roles or,
    /// as ROLE=URI, for root, targets, claimed or bins
    #[arg(long = "signer", value_name = "[ROLE=]URI")]
    signers: Vec<String>,

    /// What a token makes new keys of [default: p256, or ed25519 where it cannot]
    #[arg(long, value_name = "KIND")]
    algorithm: Option<Kind>,

    /// Take keys that a token has already under our labels: you have made them, for this index
    #[arg(long)]
    existing: bool,

    /// A passphrase of your own in place of a generated one
    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What a new key is of.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    /// Ed25519
    Ed25519,
    /// ECDSA on P-256
    P256,
    /// RSA-PSS, 3072 bits
    Rsa,
}

impl From<Kind> for Algorithm {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ed25519 => Self::Ed25519,
            Kind::P256 => Self::EcdsaP256,
            Kind::Rsa => Self::RsaPss,
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for file in args.out.iter().chain([&args.public]) {
        if file.exists() {
            return Err(anyhow!("{} is there already", file.display()))
                .hint("keys are never overwritten: name another file");
        }
    }
    let signers = parsed(&args.signers, &args.passphrase)?;
    let elsewhere = assigned(&signers)?;
    let own = own_names(args, &elsewhere)?;
    demand_one_secret(args, &elsewhere)?;
    let mut secrets = Secrets::new(&args.passphrase);
    let mut random = UnwrapErr(SysRng);
    let file = match &args.out {
        Some(path) => Some(NewFile::make(path, &own, &mut secrets, &mut random)?),
        None => None,
    };
    let mut opening =
        Opening::new(secrets).making(args.algorithm.map(Algorithm::from), args.existing);
    let mut keys: BTreeMap<&'static str, HeldKey> = BTreeMap::new();
    for (uri, names) in &elsewhere {
        let found = opening.keys(uri, names, &Choice::Enrol)?;
        keys.extend(names.iter().copied().zip(found));
    }
    let mut signers: BTreeMap<String, &dyn Signer> = keys
        .iter()
        .map(|(name, key)| ((*name).to_owned(), &*key.signer))
        .collect();
    if let Some(file) = &file {
        for name in &own {
            signers.insert((*name).to_owned(), file.seat.signer(name)?);
        }
    }
    let holder = prove(&args.name, &signers)?;
    let mut public = serde_json::to_vec_pretty(&holder.to_value())?;
    public.push(b'\n');
    write_private(&args.public, &public)?;
    if let Some(file) = &file {
        // Last: no keys are to lie there whose phrase nobody has seen.
        if let Err(error) = file.show_phrase().and_then(|()| file.write()) {
            std::fs::remove_file(&args.public).context("the public keys are there alone")?;
            return Err(error);
        }
    }
    tell(args, &holder)?;
    Ok(ExitCode::SUCCESS)
}

/// The keys that go into a new file: those that no signer has.
fn own_names(
    args: &Args,
    elsewhere: &[(&SignerUri, Vec<&'static str>)],
) -> anyhow::Result<Vec<&'static str>> {
    let on_token = |(uri, _): &(&SignerUri, Vec<&str>)| matches!(uri, SignerUri::Token(_));
    if (args.algorithm.is_some() || args.existing) && !elsewhere.iter().any(on_token) {
        return Err(anyhow!(
            "--algorithm and --existing are for keys on a token"
        ))
        .hint("a file's keys are Ed25519; an agent's and a command's are what they are");
    }
    let is_own = |name: &&str| !elsewhere.iter().any(|(_, names)| names.contains(name));
    let own: Vec<&'static str> = SEAT_KEYS.into_iter().filter(is_own).collect();
    match (&args.out, own.as_slice()) {
        (None, []) | (Some(_), [_, ..]) => Ok(own),
        (Some(_), []) => Err(anyhow!(
            "nothing is left for --out: each key is in a signer"
        ))
        .hint("leave --out away, or say what the signer is for, as in --signer root=URI"),
        (None, left) => Err(anyhow!(
            "it is not said where the keys for {} are to be",
            left.join(", ")
        ))
        .hint("give --out FILE for those, or a --signer for all"),
    }
}

/// One passphrase that is given opens one thing: not the new file and a token as well.
fn demand_one_secret(
    args: &Args,
    elsewhere: &[(&SignerUri, Vec<&'static str>)],
) -> anyhow::Result<()> {
    let asks = |(uri, _): &(&SignerUri, Vec<&str>)| match uri {
        SignerUri::Token(uri) => uri.pin_source().is_none(),
        _ => false,
    };
    match (&args.out, args.passphrase.is_given() && elsewhere.iter().any(asks)) {
        (Some(out), true) => Err(anyhow!(
            "one passphrase was given, and both {} and a token want one",
            out.display()
        ))
        .hint("give the PIN of the token by pin-source=FILE in its URI; without --passphrase-fd and --passphrase-credential, the file gets a generated phrase and the PIN is asked for"),
        _ => Ok(()),
    }
}

/// Every key signs the name and all the keys.
fn prove(name: &str, signers: &BTreeMap<String, &dyn Signer>) -> anyhow::Result<HolderKeys> {
    let keys = signers.iter();
    let keys: BTreeMap<String, Key> = keys
        .map(|(name, signer)| (name.clone(), signer.key().clone()))
        .collect();
    let message = proof_message(name, &keys);
    let mut proofs = BTreeMap::new();
    for (name, signer) in signers {
        let proof = signer
            .sign(&message)
            .with_context(|| format!("nothing proves that the key for {name} is there"))?;
        proofs.insert(name.clone(), proof);
    }
    match HolderKeys::new(name, keys, proofs) {
        Err(error @ HolderError::SameKey { .. }) => Err(error).hint(
            "a holder has four different keys: software other than ours does not look for which role a file was signed, and with one key for two of them, whoever serves the files could pass one off as the other",
        ),
        other => Ok(other?),
    }
}

fn tell(args: &Args, holder: &HolderKeys) -> anyhow::Result<()> {
    let keyids = || holder.keyids().map(|(name, id)| (name, id.as_str()));
    if args.json {
        let keys: BTreeMap<&str, &str> = keyids().collect();
        let told = json!({
            "name": holder.name(),
            "private": args.out,
            "public": args.public,
            "keys": keys,
            "words": holder.words().to_string(),
        });
        return print_line(&told.to_string());
    }
    let keys: Vec<String> = keyids()
        .map(|(name, id)| format!("  {name:<8} {id}"))
        .collect();
    let words: Vec<String> = holder
        .words()
        .lines()
        .map(|line| format!("  {line}"))
        .collect();
    print_line(&format!(
        "the keys of {}, to read aloud to whoever begins the ceremony:\n{}\n\
         these words stand for the name and all the keys, which are in full\n{}",
        holder.name(),
        words.join("\n"),
        keys.join("\n")
    ))
}

/// A file of keys that is not written yet.
struct NewFile<'a> {
    path: &'a Path,
    seat: Seat,
    sealed: Vec<u8>,
    phrase: Phrase,
    is_chosen: bool,
}

impl<'a> NewFile<'a> {
    fn make(
        path: &'a Path,
        names: &[&str],
        secrets: &mut Secrets<'_>,
        random: &mut UnwrapErr<SysRng>,
    ) -> anyhow::Result<Self> {
        let chosen = secrets.given(&path.display().to_string())?;
        let (phrase, is_chosen) = new_phrase(chosen, random)?;
        let seat = generate_seat_for(names, random);
        let sealed = seal(&seat, &phrase, None)?;
        Ok(Self {
            path,
            seat,
            sealed,
            phrase,
            is_chosen,
        })
    }

    fn show_phrase(&self) -> anyhow::Result<()> {
        match self.is_chosen {
            true => Ok(()),
            false => show_phrase(
                &format!("the keys in {}", self.path.display()),
                &self.phrase,
            ),
        }
    }

    fn write(&self) -> anyhow::Result<()> {
        write_private(self.path, &self.sealed)
    }
}
