//! A private Sigstore for tests in other languages: makes its keys, attests files with them, and is an
//! authority and a log over HTTP.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Parser};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use wheelmark_provenance::{Predicate, Publisher};
use wheelmark_provenance_testing::{
    Issuer, IssuerKind, Making, PrivateSigstore, Services, Signer, statement,
};

/// A Sigstore for tests: certifies whoever it is told to
#[derive(Parser)]
enum Command {
    /// Make keys: DIR/keys.json, and the DIR/trusted_root.json that makes its attestations hold
    New {
        /// Where to
        dir: PathBuf,
    },
    /// Attest files: FILE.publish.attestation beside each
    Attest(Box<Attest>),
    /// Be an authority (Fulcio) and a log (Rekor) until killed; prints a JSON object with the address
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Where its keys are
    dir: PathBuf,
    /// Whose tokens are taken: github=URL for jobs, email=URL for people
    #[arg(long = "issuer", required = true, value_parser = issuer)]
    issuers: Vec<(IssuerKind, String)>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

fn issuer(given: &str) -> Result<(IssuerKind, String), String> {
    match given.split_once('=') {
        Some(("github", url)) => Ok((IssuerKind::GitHub, url.to_owned())),
        Some(("email", url)) => Ok((IssuerKind::Email, url.to_owned())),
        _ => Err("an issuer is github=URL or email=URL".to_owned()),
    }
}

#[derive(Args)]
struct Attest {
    /// Where its keys are
    dir: PathBuf,
    /// What to attest
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Whose job does it, as github:o/r@release.yml; several make a file with several bundles
    #[arg(long, required_unless_present = "identity")]
    publisher: Vec<Publisher>,
    /// The subject of the certificate, in place of a publisher's
    #[arg(long, requires = "issuer", conflicts_with = "publisher")]
    identity: Option<String>,
    /// Who vouches for it
    #[arg(long, requires = "identity")]
    issuer: Option<String>,
    /// The ref that is built
    #[arg(long = "ref", default_value = "refs/tags/v1.0")]
    git_ref: String,
    /// Another value for an extension, as NUMBER=VALUE; an empty value leaves it out
    #[arg(long)]
    claim: Vec<String>,
    /// Say how it was built (SLSA provenance), and not that it was published
    #[arg(long)]
    slsa: bool,
    /// Say it of a file with another name
    #[arg(long)]
    name: Option<String>,
    /// Say it of a file with another digest
    #[arg(long)]
    sha256: Option<String>,
    /// Say this, whatever it is: a file with a whole statement
    #[arg(long)]
    statement: Option<PathBuf>,
    /// Made that many seconds ago; in the future, if it is negative
    #[arg(long, default_value_t = 60, allow_negative_numbers = true)]
    ago: i64,
    /// Write FILE.provenance: a provenance object, with the publisher in it
    #[arg(long)]
    provenance: bool,
    /// The publisher that the provenance object states, in place of the one that made it
    #[arg(long, requires = "provenance")]
    stated: Option<Publisher>,
    /// Write to this folder, and not beside each file
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::New { dir } => {
            // A day old, as if it had been there before.
            let sigstore = PrivateSigstore::new(Timestamp::now() - SignedDuration::from_hours(24));
            fs::create_dir_all(&dir)?;
            fs::write(dir.join("keys.json"), sigstore.to_json())?;
            fs::write(dir.join("trusted_root.json"), sigstore.trusted_root())?;
            Ok(())
        }
        Command::Attest(args) => attest(&args),
        Command::Serve(args) => serve(args),
    }
}

fn kept(dir: &Path) -> anyhow::Result<PrivateSigstore> {
    let keys = dir.join("keys.json");
    let keys = fs::read_to_string(&keys).with_context(|| format!("no {}", keys.display()))?;
    Ok(PrivateSigstore::from_json(&keys)?)
}

#[tokio::main(flavor = "current_thread")]
async fn serve(args: Serve) -> anyhow::Result<()> {
    let issuers = args
        .issuers
        .iter()
        .map(|(kind, url)| Issuer::at(url, *kind));
    let services = Arc::new(Services::new(kept(&args.dir)?, issuers.collect()));
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({ "url": url }))?;
    out.flush()?;
    axum::serve(listener, services.router()).await?;
    Ok(())
}

fn attest(args: &Attest) -> anyhow::Result<()> {
    let sigstore = kept(&args.dir)?;
    let signers = signers(args)?;
    let predicate = if args.slsa {
        Predicate::Slsa
    } else {
        Predicate::Publish
    };
    let making = Making::at(Timestamp::now() - SignedDuration::from_secs(args.ago));
    for file in &args.files {
        let said = match &args.statement {
            Some(path) => fs::read(path)?,
            None => {
                let name = file.file_name().and_then(|name| name.to_str());
                let name = args.name.as_deref().or(name).context("a file has a name")?;
                let sha256 = match &args.sha256 {
                    Some(hex) => hex::decode(hex)?,
                    None => digest(&SHA256, &fs::read(file)?).as_ref().to_vec(),
                };
                let sha256: [u8; 32] = sha256.try_into().ok().context("not a SHA-256")?;
                statement(name, &sha256, predicate).to_string().into_bytes()
            }
        };
        let made: Vec<_> = signers
            .iter()
            .map(|(_, signer)| sigstore.attest_statement(signer, &said, &making))
            .collect();
        let (ending, text) = if args.provenance {
            let bundles = signers.iter().zip(&made).map(|((publisher, _), made)| {
                let stated = args.stated.as_ref().unwrap_or(publisher);
                json!({ "publisher": stated, "attestations": [made] })
            });
            let bundles: Vec<_> = bundles.collect();
            let whole = json!({ "version": 1, "attestation_bundles": bundles });
            ("provenance", whole.to_string())
        } else {
            ensure!(made.len() == 1, "one attestation is by one publisher");
            let ending = if args.slsa {
                "slsa.attestation"
            } else {
                "publish.attestation"
            };
            (ending, made[0].to_string())
        };
        write(args.out.as_deref(), file, ending, &text)?;
    }
    Ok(())
}

/// Who signs, and which publisher that is.
fn signers(args: &Attest) -> anyhow::Result<Vec<(Publisher, Signer)>> {
    let mut signers: Vec<(Publisher, Signer)> = args
        .publisher
        .iter()
        .map(|publisher| (publisher.clone(), Signer::of(publisher, &args.git_ref)))
        .collect();
    if let (Some(identity), Some(issuer)) = (&args.identity, &args.issuer) {
        let publisher = format!("{identity}+{issuer}").parse()?;
        signers.push((publisher, Signer::new(identity, issuer)));
    }
    for claim in &args.claim {
        let Some((number, value)) = claim.split_once('=') else {
            bail!("a claim is NUMBER=VALUE");
        };
        let number: u64 = number.parse()?;
        for (_, signer) in &mut signers {
            *signer = if value.is_empty() {
                signer.clone().without(number)
            } else {
                signer.clone().claim(number, value)
            };
        }
    }
    Ok(signers)
}

fn write(folder: Option<&Path>, file: &Path, ending: &str, text: &str) -> anyhow::Result<()> {
    let mut name = file.file_name().context("a file has a name")?.to_owned();
    name.push(".");
    name.push(ending);
    match folder {
        Some(folder) => fs::write(folder.join(name), text)?,
        None => fs::write(file.with_file_name(name), text)?,
    }
    Ok(())
}
