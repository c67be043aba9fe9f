//! `wheelmark ceremony sign`: a holder's signatures.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use wheelmark_ceremony::{Ceremony, SignatureFile};
use wheelmark_signing::HeldKey;
use wheelmark_tuf::KeyId;

use super::folder::Folder;
use super::seen::Seen;
use super::signer::{Passphrase, keys_to_sign_with, parsed};
use super::{policy, review, status};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;

/// How often words may be mistyped.
const TRIES: usize = 3;

/// Sign, as one of the holders
///
/// Works offline, on any machine that has the directory of the ceremony and your keys. Nothing is
/// signed unless everything fits: the root that you trust leads to what is published, each version
/// is the next one, nothing holds for longer than is allowed, and what travelled was not changed.
/// Type the words that whoever began the ceremony reads out to you: then all of you sign the same.
/// Name the newest root that you know; which state you have signed on last is remembered beside your
/// keys, and none before that is signed on again.
///
///   wheelmark ceremony sign march --trust 5f0c… --signer file:custodian-1.age
///   wheelmark ceremony sign march --trust 5f0c… --signer ssh:
///   wheelmark ceremony sign march --trust 5f0c… \
///       --signer 'pkcs11:token=alice?module-path=/usr/lib/softhsm/libsofthsm2.so'
///
/// The signatures are small files in the directory's `signatures`; they can come back by any way.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The directory of the ceremony
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// A root that you trust: its fingerprint, or your own copy of the file
    #[arg(long, value_name = "ROOT")]
    trust: String,

    /// Where your keys are: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md); where
    /// they are in several places, ROLE=URI for root, targets, claimed or bins
    #[arg(long = "signer", value_name = "[ROLE=]URI", required = true)]
    signers: Vec<String>,

    #[command(flatten)]
    passphrase: Passphrase,

    /// The words that were read out to you [default: ask for them on the terminal]
    #[arg(long, value_name = "WORDS")]
    words: Option<String>,

    /// Your own policy: what it does not allow is not signed (`wheelmark ceremony policy` prints one)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let signers = parsed(&args.signers, &args.passphrase)?;
    let folder = Folder::open(&args.directory)?;
    let policy = policy::of(args.policy.as_deref(), None)?;
    let ceremony = folder.ceremony_by(&policy, context)?;
    let seen = Seen::of(&signers, context)?;
    let trusted = review::demand_pinned(&ceremony, &args.trust, seen.knows(&ceremony))?;
    // A signature that does not count is told of before anything is added to it.
    folder.all_signatures(&ceremony)?;
    seen.demand_newer(&ceremony)?;
    seen.demand_ages(&ceremony)?;
    let goes_back = seen.told_of_going_back(&ceremony);
    let claims = seen.told_of_claims(&ceremony);
    if !args.json {
        print_line(&review::text(&ceremony))?;
        print_line(&review::ground(&ceremony, trusted))?;
        let told = [&goes_back, &claims];
        for told in told.into_iter().flatten() {
            print_line(told)?;
        }
        print_line("")?;
    }
    confirm(args, &ceremony)?;
    let wanted = |keyid: &KeyId| !ceremony.payloads_for(keyid).is_empty();
    let keys = keys_to_sign_with(&signers, &args.passphrase, &wanted)?;
    let keyids = keys.iter().map(|key| key.signer.key().keyid().clone());
    let keyids: Vec<KeyId> = keyids.collect();
    seen.demand_own(&ceremony, &keyids)?;
    let signatures = sign(&ceremony, &keys)?;

    seen.keep(&ceremony, &keyids)?;
    let mut written = Vec::with_capacity(signatures.len());
    for signature in &signatures {
        if folder.add_signature(signature)? {
            written.push(signature.file_name());
        }
    }
    // Read back from the disk.
    let tally = folder.all_signatures(&ceremony)?;
    for signature in &signatures {
        if !tally.has(signature.role(), signature.keyid()) {
            return Err(anyhow!("{} was not written", signature.file_name()));
        }
    }
    if args.json {
        let told = json!({
            "ceremony": ceremony.id().to_string(),
            "written": written,
            "complete": tally.is_complete(),
            "goes_back": goes_back,
            "needs": status::as_json(&tally),
        });
        print_line(&told.to_string())?;
    } else {
        print_line(&match written.len() {
            0 => "you had signed already".to_owned(),
            1 => "1 signature written, and verified".to_owned(),
            count => format!("{count} signatures written, and verified"),
        })?;
        print_line(&status::text(&tally, folder.stage()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Every signature that these keys can add: all of them, before the first is written.
fn sign(ceremony: &Ceremony, keys: &[HeldKey]) -> anyhow::Result<Vec<SignatureFile>> {
    let mut signatures = Vec::new();
    for HeldKey { signer, .. } in keys {
        for payload in ceremony.payloads_for(signer.key().keyid()) {
            let signature = signer
                .sign(payload.bytes())
                .with_context(|| format!("{} was not signed", payload.role()))
                .hint("nothing was written: mend it and sign once more")?;
            signer
                .key()
                .verify(payload.bytes(), &signature.sig)
                .with_context(|| format!("the new signature of {} is wrong", payload.role()))?;
            signatures.push(SignatureFile::of(ceremony, payload, signature));
        }
    }
    Ok(signatures)
}

fn confirm(args: &Args, ceremony: &Ceremony) -> anyhow::Result<()> {
    use std::io::{IsTerminal as _, Write as _};
    let words = ceremony.words();
    let about =
        "what you were read is not this ceremony: sign nothing, and compare with whoever began it";
    if let Some(said) = &args.words {
        return words
            .check(said)
            .context("the words do not fit")
            .hint(about);
    }
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("nobody can be asked for the words of the ceremony"))
            .hint("in a script, give those that were read out to you with --words");
    }
    for left in (0..TRIES).rev() {
        write!(
            std::io::stderr(),
            "type the words as they were read to you (four letters of each are enough): "
        )?;
        let typed = console::Term::stderr().read_line()?;
        match words.check(&typed) {
            Ok(()) => return Ok(()),
            Err(error) if left > 0 => writeln!(std::io::stderr(), "{error}; once more")?,
            Err(error) => return Err(error).context("the words do not fit").hint(about),
        }
    }
    Ok(())
}
