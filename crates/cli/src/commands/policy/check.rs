//! `wheelmark policy check`: every mistake in the files of the policy, or every rule.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::{Value, json};
use wheelmark_provenance::policy::{Mistake, PolicyFile, Rule, RuleName};
use wheelmark_tuf::without_controls;

use crate::configuration::{FILE, parse, policy_of};
use crate::context::Context;
use crate::policy::{nearer, nearer_files, read};

/// Find the mistakes in a policy, and show its rules in the order in which they are asked
///
/// Without FILE, all files that hold for a command that is run here. Exit code: 0 if there is no
/// mistake, 1 if there is one or a file cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file to check, as if it were your own
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// A file, and what was found in it.
struct Checked {
    path: PathBuf,
    /// Where it comes from, for people.
    whose: &'static str,
    mistakes: Vec<Mistake>,
    /// What is wrong with the rest of the file.
    other: Option<String>,
    policy: Option<PolicyFile>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let files = match &args.file {
        Some(named) => vec![check(named, "named here", Form::Whole)?],
        None => here(context)?,
    };
    let text = if args.json {
        let files: Vec<Value> = files.iter().map(as_json).collect();
        format!("{:#}\n", json!({ "files": files }))
    } else {
        as_text(&files, context)
    };
    print(&text)?;
    let fine = files
        .iter()
        .all(|file| file.mistakes.is_empty() && file.other.is_none());
    Ok(if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What may stand in a file.
#[derive(Clone, Copy)]
enum Form {
    /// All that there is.
    Whole,
    /// What is asked of files, alone.
    PolicyAlone,
}

fn here(context: &Context) -> anyhow::Result<Vec<Checked>> {
    let mut files = Vec::new();
    for (folder, whose) in [
        (&context.system, "the system's"),
        (&context.configuration, "your own"),
    ] {
        let path = folder.join(FILE);
        if path.exists() {
            files.push(check(&path, whose, Form::Whole)?);
        }
    }
    for path in nearer_files(context)? {
        files.push(check(&path, "of a project", Form::PolicyAlone)?);
    }
    Ok(files)
}

fn check(path: &Path, whose: &'static str, form: Form) -> anyhow::Result<Checked> {
    let text = read(path)?;
    let mut checked = Checked {
        path: path.to_owned(),
        whose,
        mistakes: Vec::new(),
        other: None,
        policy: None,
    };
    match policy_of(&text, path) {
        Err(mistakes) => checked.mistakes = mistakes,
        Ok(policy) => {
            let rest = match form {
                Form::Whole => parse(&text, path).map(drop),
                Form::PolicyAlone => nearer(&text, path).map(drop),
            };
            checked.other = rest.err().map(|error| {
                let causes = error
                    .chain()
                    .map(|cause| without_controls(&cause.to_string()));
                causes.collect::<Vec<_>>().join(": ")
            });
            checked.policy = Some(policy);
        }
    }
    Ok(checked)
}

fn as_text(files: &[Checked], context: &Context) -> String {
    let mut text = String::new();
    for file in files {
        let name = without_controls(&file.path.display().to_string());
        let count = file.mistakes.len() + usize::from(file.other.is_some());
        let found = match (count, &file.policy) {
            (0, Some(policy)) => counted(policy.rules().len(), "rule"),
            (count, _) => red(&counted(count, "mistake")),
        };
        let bold = name.if_supports_color(Stdout, |t| t.bold()).to_string();
        text.push_str(&format!("{bold} ({}): {found}\n", file.whose));
        for mistake in &file.mistakes {
            text.push_str(&format!("  {}\n", without_controls(&mistake.to_string())));
            for line in mistake.shown().lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
        if let Some(other) = &file.other {
            text.push_str(&format!("  {other}\n"));
        }
        if count == 0 {
            let rules = file.policy.iter().flat_map(PolicyFile::rules);
            rules.for_each(|rule| text.push_str(&rule_lines(rule)));
        }
    }
    if files.is_empty() {
        text.push_str(&format!(
            "No policy holds here: nothing is asked beyond what is signed. It would stand in {}.\n",
            context.configuration.join(FILE).display()
        ));
    }
    text
}

/// A rule in lines: which files it is for, and each of its demands with its place.
fn rule_lines(rule: &Rule) -> String {
    let who = match rule.name() {
        RuleName::Everything => "everything else".to_owned(),
        RuleName::For(_) | RuleName::Locked => rule.who(),
    };
    let mut text = format!("  {}\n", without_controls(&who));
    for clause in rule.clauses() {
        text.push_str(&format!(
            "    line {:<4} {}\n",
            clause.line(),
            clause.demand()
        ));
    }
    text
}

fn as_json(file: &Checked) -> Value {
    let mistakes: Vec<Value> = file
        .mistakes
        .iter()
        .map(|mistake| {
            json!({ "line": mistake.line, "column": mistake.column, "what": mistake.what })
        })
        .collect();
    let rules: Vec<Value> = file
        .policy
        .iter()
        .flat_map(PolicyFile::rules)
        .map(|rule| {
            let demands: Vec<Value> = rule
                .clauses()
                .iter()
                .map(|clause| {
                    json!({
                        "line": clause.line(),
                        "key": clause.demand().kind().key(),
                        "demand": clause.demand().to_string(),
                    })
                })
                .collect();
            let projects: Vec<&str> = rule.projects().iter().map(|p| p.as_str()).collect();
            json!({
                "rule": rule.name().to_string(),
                "line": rule.line(),
                "projects": projects,
                "versions": rule.versions().map(ToString::to_string),
                "files": rule.files().map(|files| files.to_string()),
                "demands": demands,
            })
        })
        .collect();
    json!({
        "file": file.path.display().to_string(),
        "whose": file.whose,
        "mistakes": mistakes,
        "wrong": file.other,
        "rules": rules,
    })
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

fn red(text: &str) -> String {
    text.if_supports_color(Stdout, |t| t.red()).to_string()
}

/// Whoever stopped reading has read enough.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
