//! What the policy says of the files that are shown, line by line.

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::{Value, json};
use wheelmark_client::{Evidence, Guard, VerifiedPage};
use wheelmark_packaging::Version;
use wheelmark_packaging::simple::PageFile;
use wheelmark_provenance::policy::{Decision, Line, Outcome, SignedBy};
use wheelmark_tuf::without_controls;

/// What became of the files that are shown.
pub(super) struct Judged<'a> {
    files: Vec<(&'a str, Decision<'a>)>,
    /// The version that an installer takes, as far as age goes.
    offered: Option<&'a Version>,
}

impl<'a> Judged<'a> {
    pub(super) fn of(
        guard: &'a Guard,
        page: &'a VerifiedPage,
        files: impl Iterator<Item = (&'a PageFile, &'a (Evidence, SignedBy))>,
        offered: Option<&'a Version>,
    ) -> Self {
        let decide = |(file, (evidence, signed_by)): (&'a PageFile, &'a (Evidence, SignedBy))| {
            let decision = guard.decide(page, file, evidence, signed_by);
            (file.filename.as_str(), decision)
        };
        Self {
            files: files.map(decide).collect(),
            offered,
        }
    }

    /// Whether every file that is shown is as the policy asks.
    pub(super) fn holds(&self) -> bool {
        self.files.iter().all(|(_, decision)| decision.holds())
    }

    /// The lines for people.
    pub(super) fn render(&self) -> String {
        let mut text = "\nWhat the policy says\n".to_owned();
        if self.files.is_empty() {
            text.push_str("  nothing: no file is shown\n");
        }
        let mut source = "";
        for (file, decision) in &self.files {
            let word = if decision.holds() {
                green("may be installed")
            } else {
                red("refused")
            };
            text.push_str(&format!("  {file}: {word}\n"));
            for line in &decision.lines {
                if line.source != source {
                    source = line.source;
                    text.push_str(&format!("    {}\n", without_controls(source)));
                }
                text.push_str(&told(line));
            }
            source = "";
        }
        match self.offered {
            Some(version) => {
                text.push_str(&format!("  the newest that is old enough: {version}\n"));
            }
            None => text.push_str("  no version is old enough\n"),
        }
        text
    }

    /// The same for scripts.
    pub(super) fn to_json(&self) -> Value {
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(file, decision)| {
                let lines: Vec<Value> = decision.lines.iter().map(as_json).collect();
                json!({ "file": file, "holds": decision.holds(), "lines": lines })
            })
            .collect();
        json!({
            "files": files,
            "newest_old_enough": self.offered.map(ToString::to_string),
        })
    }
}

fn told(line: &Line<'_>) -> String {
    let (sign, what) = match &line.outcome {
        Outcome::NotForIt(why) => ("-", format!("not for it: {why}")),
        Outcome::DecidedBefore { line } => ("-", format!("line {line} has decided before")),
        Outcome::Holds(why) => ("✓", green(&format!("holds: {why}"))),
        Outcome::Fails(shortfall) => ("✗", red(&format!("does not hold: {shortfall}"))),
    };
    format!(
        "    {sign} line {:<4} {} of {}: {}\n",
        line.line,
        without_controls(&line.demand.to_string()),
        without_controls(&line.who),
        what
    )
}

fn as_json(line: &Line<'_>) -> Value {
    let (outcome, why) = match &line.outcome {
        Outcome::NotForIt(why) => ("not-for-it", (*why).to_owned()),
        Outcome::DecidedBefore { line } => ("decided-before", format!("line {line}")),
        Outcome::Holds(why) => ("holds", why.clone()),
        Outcome::Fails(shortfall) => ("fails", shortfall.to_string()),
    };
    json!({
        "policy": line.source,
        "line": line.line,
        "rule": line.rule.to_string(),
        "for": line.who,
        "demand": line.demand.to_string(),
        "outcome": outcome,
        "why": why,
    })
}

fn green(text: &str) -> String {
    text.if_supports_color(Stdout, |t| t.green()).to_string()
}

fn red(text: &str) -> String {
    text.if_supports_color(Stdout, |t| t.red()).to_string()
}
