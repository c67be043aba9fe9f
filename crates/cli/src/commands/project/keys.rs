//! `wheelmark project keys`: the keys that sign for a project, and others in their place.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_client::Claim;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::without_controls;

use crate::commands::ceremony::signer::Passphrase;
use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::releasing::{Desk, HandOver, Wanted, claimed, short, to_claim};

/// Show, add, remove and replace the keys that sign for a project
///
/// Each change is a handover that the keys of today sign, and every key that comes in. Those that are
/// not at hand sign it elsewhere: it waits at the index for them (`wheelmark release list`). Clients that
/// know the project follow it by themselves, however many they have missed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(List),
    Add(Add),
    Remove(Remove),
    Replace(Replace),
    Public(Public),
}

/// Show whose keys sign for a project, and who signed for it before
#[derive(Debug, clap::Args)]
struct List {
    /// The project
    project: ProjectName,

    /// The trusted index [default: the only one]
    #[arg(long, value_name = "URL")]
    index: Option<String>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// Let one more key sign for a project
///
/// The new key signs, too: nobody registers a key that they do not have. One of somebody else's is named
/// with them, who has to be a member of the project; if it is not at hand, by a file with its public half
/// (`wheelmark project keys public`), and they sign on their machine.
///
///   wheelmark project keys add acme-tools --new file:spare.age --signer file:me.age
///   wheelmark project keys add acme-tools --new bob=ssh: --threshold 2 --signer file:me.age
///   wheelmark project keys add acme-tools --new bob=public:bob.key --signer file:me.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Add {
    #[command(flatten)]
    hand_over: HandOver,

    /// Where a key is that comes in; that of another user as USER=URI
    #[arg(long = "new", value_name = "[USER=]URI", required = true)]
    new: Vec<String>,

    /// How many keys have to sign from now on
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
}

/// Let a key sign for a project no longer
///
/// The key that goes need not be at hand: enough of the others sign. What it has signed stays
/// published, and stays good.
///
///   wheelmark project keys remove acme-tools 5f0c7a9b --signer file:spare.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Remove {
    #[command(flatten)]
    hand_over: HandOver,

    /// The id of a key that goes, or its first eight characters
    #[arg(value_name = "KEYID", required = true)]
    gone: Vec<String>,

    /// How many keys have to sign from now on
    #[arg(long, value_name = "N")]
    threshold: Option<u32>,
}

/// Put a new key in the place of one that was lost, or is used no longer
///
///   wheelmark project keys replace acme-tools 5f0c7a9b --new file:me2.age --signer file:spare.age
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Replace {
    #[command(flatten)]
    hand_over: HandOver,

    /// The id of the key that goes, or its first eight characters
    #[arg(value_name = "KEYID")]
    gone: String,

    /// Where the key is that comes in; that of another user as USER=URI
    #[arg(long = "new", value_name = "[USER=]URI")]
    new: String,
}

/// Write the public half of your key to a file, for those who let it sign for a project
///
/// On a token that has none yet, one is made. Nothing in the file is secret; whoever gets it compares the
/// id with you by another way.
///
///   wheelmark project keys public --signer ssh: --out bob.key
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
struct Public {
    /// Where your key is: file:PATH, pkcs11:…, ssh: or command:PATH (see docs/signers.md)
    #[arg(long, value_name = "URI")]
    signer: String,

    /// The new file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    #[command(flatten)]
    passphrase: Passphrase,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list(&args, context).await,
        Command::Public(args) => public(&args),
        Command::Add(args) => {
            let wanted = Wanted {
                added: &args.new,
                of: None,
                removed: Some(&[]),
                threshold: args.threshold,
            };
            args.hand_over.run(&wanted, context).await
        }
        Command::Remove(args) => {
            let wanted = Wanted {
                added: &[],
                of: None,
                removed: Some(&args.gone),
                threshold: args.threshold,
            };
            args.hand_over.run(&wanted, context).await
        }
        Command::Replace(args) => {
            let wanted = Wanted {
                added: std::slice::from_ref(&args.new),
                of: None,
                removed: Some(std::slice::from_ref(&args.gone)),
                threshold: None,
            };
            args.hand_over.run(&wanted, context).await
        }
    }
}

fn public(args: &Public) -> anyhow::Result<ExitCode> {
    let shown = args.out.display();
    let keys = to_claim(std::slice::from_ref(&args.signer), &args.passphrase)?;
    let [key] = keys.as_slice() else {
        return Err(anyhow!("{} keys are there, and one is wanted", keys.len()))
            .hint("name one: docs/signers.md says how");
    };
    let key = key.signer.key();
    let id = key.keyid().as_str();
    let told = json!({"keyid": id, "key": key.to_value()}).to_string();
    let mut file = File::create_new(&args.out)
        .with_context(|| format!("{shown} cannot be written"))
        .hint("a file that is there already is not overwritten: name another one")?;
    file.write_all(told.as_bytes())
        .with_context(|| format!("{shown} cannot be written"))?;
    print_line(&match args.json {
        true => json!({"keyid": id, "file": args.out}).to_string(),
        false => format!("{shown} has the public half of the key {id}"),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &List, context: &Context) -> anyhow::Result<ExitCode> {
    let desk = Desk::open(args.index.as_deref(), None, context)?;
    let (_, claim) = claimed(&desk, &args.project).await?;
    print_line(&match args.json {
        true => value(&args.project, &claim).to_string(),
        false => text(&args.project, &claim),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn value(project: &ProjectName, claim: &Claim) -> Value {
    let keys = claim.keys.iter().map(|id| {
        let whose = claim.maintainers.get(id);
        (
            id.clone(),
            whose.map_or(Value::Null, |user| user.as_str().into()),
        )
    });
    let handovers = claim
        .handovers
        .iter()
        .flat_map(|handovers| handovers.iter());
    let handovers = handovers.map(|handover| {
        let ids = |set: &wheelmark_tuf::KeySet| -> Vec<String> {
            set.keys().keys().map(|id| id.as_str().to_owned()).collect()
        };
        json!({
            "number": handover.number,
            "made_at": handover.made_at.to_string(),
            "from": {"keys": ids(&handover.from), "threshold": handover.from.threshold()},
            "to": {"keys": ids(&handover.to), "threshold": handover.to.threshold()},
        })
    });
    json!({
        "project": project.as_str(),
        "keys": keys.collect::<serde_json::Map<_, _>>(),
        "threshold": claim.threshold,
        "sealed": claim.sealed,
        "claimed_at": claim.marks.claimed_at.map(|at| at.to_string()),
        "keys_since": claim.marks.keys_since.map(|at| at.to_string()),
        "handovers": handovers.collect::<Vec<_>>(),
    })
}

fn text(project: &ProjectName, claim: &Claim) -> String {
    let sealed = match claim.sealed {
        true => "sealed by an offline key",
        false => "claimed, not yet sealed",
    };
    let mut lines = vec![format!(
        "{project}: {} of {} keys, {sealed}",
        claim.threshold,
        claim.keys.len()
    )];
    for id in &claim.keys {
        let whose = claim.maintainers.get(id).map(|user| without_controls(user));
        let whose = whose.map(|user| format!("  ({user})")).unwrap_or_default();
        lines.push(format!("  {}{whose}", without_controls(id)));
    }
    match &claim.handovers {
        Err(why) => lines.push(format!(
            "its handovers do not hold: {}",
            without_controls(why)
        )),
        Ok(handovers) if handovers.is_empty() => {}
        Ok(handovers) => {
            lines.push("handed over:".to_owned());
            for handover in handovers.iter() {
                let names = |word: &str, keys: Vec<&wheelmark_tuf::Key>| -> String {
                    let ids = keys.iter().map(|key| short(key.keyid().as_str()));
                    ids.map(|id| format!(", {word} {id}…")).collect()
                };
                lines.push(format!(
                    "  {}  {}  to {} of {} keys{}{}",
                    handover.number,
                    handover.made_at,
                    handover.to.threshold(),
                    handover.to.keys().len(),
                    names("with", handover.added()),
                    names("without", handover.from.beyond(&handover.to)),
                ));
            }
            if let Some(present) = claim
                .present()
                .filter(|set| claim.set.as_ref() != Some(*set))
            {
                lines.push(format!(
                    "until a ceremony takes them over, {} of the last keys sign each release as well",
                    present.threshold()
                ));
            }
        }
    }
    lines.join("\n")
}
