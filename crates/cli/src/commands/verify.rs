//! `wheelmark verify`: is this what was signed, and is it all there?

pub(crate) mod attested;
mod copy;
mod counted;
mod environment;
mod excepted;
mod file;
pub(crate) mod lock;
pub(crate) mod progress;
mod signed;
mod withdrawn;
mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use wheelmark_client::Environment;
use wheelmark_packaging::lock::LockFormat;

use self::excepted::Excepted;
use crate::anchor::AnchorArgs;
use crate::context::Context;

/// The exit code for a target that is none.
const USAGE: u8 = 2;

/// Check that files, locks, environments, copies of an index, and indexes are what was signed
///
/// A TARGET is
///
///   a file         a wheel or source distribution: looked up in the trusted index that its
///                  project's name leads to, and compared with what is signed there
///   a directory    a copy of an index, with metadata/ in it: every role, page, file, core
///                  metadata and chunk list is read and compared with what is signed, offline;
///                  plain names and unsigned copies are compared with them
///   a lock file    uv.lock, pylock.toml, poetry.lock, pdm.lock, requirements.txt: every file and
///                  hash that it names, against the signed pages; no file is downloaded
///   a URL          an index or a mirror of one: all its metadata and pages, and that each file
///                  is there with the right length; with --files, every byte of them
///
/// With --environment, a DIR that packages were installed into: every file there is compared with
/// the signed wheel that it came from. What was changed, is missing, was added, is from no
/// index, or was withdrawn when the index was recovered from a break-in is named.
///
/// With --provenance, one file is checked against attestations that you have (PEP 740), offline
/// and without asking any index: that they are of this very file, that they were signed and
/// logged, and by whom. Anybody can attest anything: say who it has to be.
///
/// With --signature, one file is checked against an OpenPGP signature and the certificates that you
/// name, offline and without asking any index.
///
/// A directory that was verified is not read again as long as nobody has changed a file: a run
/// that was cut off goes on where it was. That trusts the file system to tell what was changed.
/// --from-scratch reads everything, which finds a disk that forgets as well: use it for the
/// verdict that counts.
///
/// Exit code: 0 if everything holds, 1 if something does not, 2 for a target that is none. A
/// copy that is whole and whose state has expired is whole and stale, and the code is 1; so it is
/// for a state older than one that was accepted on this machine.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What to check; may be several
    #[arg(value_name = "TARGET", required_unless_present = "environments")]
    targets: Vec<String>,

    /// An environment: what `venv`, `uv venv` or virtualenv made, or its `site-packages`
    #[arg(long = "environment", value_name = "DIR")]
    environments: Vec<PathBuf>,

    /// A project, or a path in an environment with a `/` in it (`./a.txt`, `a/b.txt`), that is told
    /// of and no part of the verdict
    #[arg(long = "except", value_name = "NAME|PATH")]
    excepted: Vec<String>,

    /// Of an environment, count compiled bytecode against the verdict: Python runs it in the place
    /// of its source, and it cannot be compared
    #[arg(long)]
    no_bytecode: bool,

    #[command(flatten)]
    anchor: AnchorArgs,

    #[command(flatten)]
    attested: attested::AttestedArgs,

    #[command(flatten)]
    signed: signed::SignedArgs,

    /// Of a file, that its own signed target agrees with its project's page as well
    #[arg(long)]
    strict: bool,

    /// Of a URL, download and check every byte of every file
    #[arg(long)]
    files: bool,

    /// Of a directory, read what was verified before as well
    #[arg(long)]
    from_scratch: bool,

    /// Of a copy that was made with a selection, expect what was left out as well. What it was
    /// made with is what it says itself, and nobody has signed that
    #[arg(long)]
    everything: bool,

    /// How many findings to list for each target; all of them are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    list: usize,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl Args {
    fn excepted(&self) -> Excepted {
        Excepted::of(&self.excepted)
    }
}

/// What a target is.
enum Target {
    Environment(PathBuf),
    File(PathBuf),
    Lock(LockFormat, PathBuf),
    Tree(PathBuf),
    Url(String),
}

/// What is told of a target.
struct Outcome {
    holds: bool,
    text: String,
    json: Value,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.attested.is_asked_for() {
        return match attested::verify(&args.targets, &args.attested, context) {
            Ok(outcome) => {
                if !args.json {
                    print(&outcome.text)?;
                }
                conclude(vec![(&args.targets[0], outcome)], args.json)
            }
            Err(usage) => {
                crate::logging::report(&usage);
                Ok(ExitCode::from(USAGE))
            }
        };
    }
    if args.signed.is_asked_for() {
        return match signed::verify(&args.targets, &args.signed, context) {
            Ok(outcome) => {
                if !args.json {
                    print(&outcome.text)?;
                }
                conclude(vec![(&args.targets[0], outcome)], args.json)
            }
            Err(usage) => {
                crate::logging::report(&usage);
                Ok(ExitCode::from(USAGE))
            }
        };
    }
    let mut targets = Vec::new();
    for target in &args.targets {
        match read(target) {
            Ok(read) => targets.push((target, read)),
            Err(why) => {
                crate::logging::report(&anyhow::anyhow!("{target}: {why}"));
                return Ok(ExitCode::from(USAGE));
            }
        }
    }
    let environments: Vec<(String, &PathBuf)> = args
        .environments
        .iter()
        .map(|path| (path.display().to_string(), path))
        .collect();
    for (name, path) in &environments {
        if let Err(error) = Environment::at(path) {
            crate::logging::report(&error.into());
            return Ok(ExitCode::from(USAGE));
        }
        targets.push((name, Target::Environment((*path).clone())));
    }
    let mut outcomes = Vec::new();
    for (name, target) in targets {
        let outcome = match target {
            Target::Environment(path) => environment::verify(&path, &args, context).await,
            Target::Lock(format, path) => lock::verify(&path, format, &args, context).await,
            Target::File(path) => file::verify(&path, &args, context).await,
            Target::Tree(path) => copy::verify_tree(&path, &args, context).await,
            Target::Url(url) => copy::verify_url(&url, &args, context).await,
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // Others may still be told of.
            Err(error) => {
                crate::logging::report(&error.context(format!("{name} could not be verified")));
                Outcome {
                    holds: false,
                    text: String::new(),
                    json: json!({ "could_not_be_verified": true }),
                }
            }
        };
        if !args.json {
            print(&outcome.text)?;
        }
        outcomes.push((name, outcome));
    }
    conclude(outcomes, args.json)
}

/// Tells scripts of all targets, and everybody by the exit code.
fn conclude(outcomes: Vec<(&String, Outcome)>, as_json: bool) -> anyhow::Result<ExitCode> {
    let holds = outcomes.iter().all(|(_, outcome)| outcome.holds);
    if as_json {
        let targets = outcomes.into_iter().map(|(name, mut outcome)| {
            outcome.json["target"] = name.as_str().into();
            outcome.json["holds"] = outcome.holds.into();
            outcome.json
        });
        let targets: Vec<Value> = targets.collect();
        print(&format!(
            "{:#}\n",
            json!({ "holds": holds, "targets": targets })
        ))?;
    }
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What a person means, or why it cannot be that.
fn read(target: &str) -> Result<Target, String> {
    if target.starts_with("http://") || target.starts_with("https://") {
        return Ok(Target::Url(target.to_owned()));
    }
    let path = Path::new(target);
    let metadata =
        std::fs::metadata(path).map_err(|error| format!("it cannot be looked at: {error}"))?;
    if metadata.is_dir() {
        if path.join("metadata").is_dir() {
            return Ok(Target::Tree(path.to_owned()));
        }
        if path.join("pyvenv.cfg").is_file() {
            return Ok(Target::Environment(path.to_owned()));
        }
        return Err(
            "there is no metadata/ in this directory: it is no copy of an index".to_owned(),
        );
    }
    let name = path.file_name().map(|name| name.to_string_lossy());
    let name = name.unwrap_or_default();
    if let Some(format) = LockFormat::of_name(&name) {
        return Ok(Target::Lock(format, path.to_owned()));
    }
    if name.ends_with(".lock") || name.ends_with(".toml") {
        return Err(
            "it is no lock file that is known by its name: uv.lock, SCRIPT.py.lock, pylock.toml, pylock.NAME.toml, poetry.lock, pdm.lock, *.txt"
                .to_owned(),
        );
    }
    Ok(Target::File(path.to_owned()))
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
