//! `wheelmark recover decide`: what is kept of what changed, and what is not.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use serde_json::json;
use wheelmark_packaging::ProjectName;
use wheelmark_recovery::{Decision, Plan, Rule};

use super::folder::Folder;
use super::words;
use crate::commands::up::print_line;
use crate::logging::WithHint as _;

/// Decide what is kept of what changed since the last good state
///
///   wheelmark recover decide recovery --keep supported --drop unsupported
///   wheelmark recover decide recovery --keep attested=github:octo/demo@release.yml
///   wheelmark recover decide recovery --project flask --drop
///   wheelmark recover decide recovery --drop all
///   wheelmark recover decide recovery --reset --drop all
///
/// Kept is what stays as it is now; dropped, what goes back to what it was. A rule decides about what nobody
/// has decided yet, first those of --keep, then those of --drop; with --project, about this project alone,
/// whatever was decided of it before.
///
///   all                 everything
///   supported           what has a support: the project's own keys, or an attestation by the identity that
///                       attested the project's files before
///   unsupported         what has none
///   sealed              signed by project's keys that were sealed in the last good state
///   developer           signed by the project's own keys, sealed or not
///   attested=IDENTITY   files attested by IDENTITY, as `recover show` writes it
///   copies=N            files that at least N other copies had
///
/// What a project's own keys have signed is one piece, and so is a project whose keys changed. What no honest
/// index does is dropped whatever is said: a file name with other bytes, a file that is gone without a trace; and
/// so is a claim that is new or has other keys: its people claim again. In the file itself, plan.json,
/// decisions can be written by hand: "keep", "drop" or null.
///
/// Exit code: 0 if everything is decided, 3 if something is not, or two decisions do not go together.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The recovery
    #[arg(value_name = "DIR")]
    recovery: PathBuf,

    /// Keep this, or all; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = rule, num_args = 0..=1, default_missing_value = "all")]
    keep: Vec<Rule>,

    /// Drop this, or all; may be given several times
    #[arg(long, value_name = "WHAT", value_parser = rule, num_args = 0..=1, default_missing_value = "all")]
    drop: Vec<Rule>,

    /// Decide about this project alone, and anew, with --keep or --drop
    #[arg(long, value_name = "NAME")]
    project: Vec<ProjectName>,

    /// Forget first what was decided, also what is kept without being asked for: that comes back behind the
    /// rules, for what they leave undecided
    #[arg(long)]
    reset: bool,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = Folder::at(&args.recovery);
    folder.demand_own()?;
    let mut plan = folder.plan()?;
    if args.keep.is_empty() && args.drop.is_empty() && !args.reset {
        return Err(anyhow!("nothing is to be decided"))
            .hint("say what: --keep supported, --drop unsupported, or --project NAME --drop");
    }
    if args.reset {
        plan.undecide();
    }
    let decided = match args.project.is_empty() {
        true => by_rules(args, &mut plan),
        false => of_projects(args, &mut plan)?,
    };
    plan.decide_the_usual();
    folder.write(&plan)?;
    if args.json {
        let mut told = words::to_json(&plan);
        told["decided_now"] = json!(decided);
        print_line(&told.to_string())?;
    } else {
        let mut lines = vec![format!("{decided} decided now")];
        lines.extend(words::summary(&plan));
        lines.extend(words::next(&plan, folder.path()));
        print_line(&lines.join("\n"))?;
    }
    Ok(words::code(&plan))
}

fn by_rules(args: &Args, plan: &mut Plan) -> usize {
    let keep = args.keep.iter().map(|rule| (rule, Decision::Keep));
    let drop = args.drop.iter().map(|rule| (rule, Decision::Drop));
    let rules = keep.chain(drop);
    rules
        .map(|(rule, decision)| plan.decide(rule, decision))
        .sum()
}

fn of_projects(args: &Args, plan: &mut Plan) -> anyhow::Result<usize> {
    let decision = match (args.keep.as_slice(), args.drop.as_slice()) {
        ([Rule::All], []) => Decision::Keep,
        ([], [Rule::All]) => Decision::Drop,
        _ => {
            return Err(anyhow!("of a project, everything is kept or everything is dropped"))
                .hint("--project NAME --keep, or --project NAME --drop; single files are decided in plan.json");
        }
    };
    let mut decided = 0;
    for project in &args.project {
        let more = plan.decide_project(project, decision);
        decided += more
            .ok_or_else(|| anyhow!("nothing of {project} changed since the last good state"))
            .hint("`wheelmark recover show` names the projects")?;
    }
    Ok(decided)
}

/// Reads a rule.
fn rule(text: &str) -> Result<Rule, String> {
    Ok(match text.split_once('=') {
        None => match text {
            "all" => Rule::All,
            "supported" => Rule::Supported,
            "unsupported" => Rule::Unsupported,
            "sealed" => Rule::Sealed,
            "developer" => Rule::Developer,
            _ => {
                return Err("say all, supported, unsupported, sealed, developer, attested=IDENTITY or copies=N".to_owned());
            }
        },
        Some(("attested", identity)) if !identity.is_empty() => Rule::Attested(identity.to_owned()),
        Some(("copies", count)) => match count.parse() {
            Ok(count) if count > 0 => Rule::Copies(count),
            _ => return Err("copies= needs a number above 0".to_owned()),
        },
        Some(_) => return Err("say attested=IDENTITY or copies=N".to_owned()),
    })
}
