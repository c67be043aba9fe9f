//! A plan in words: what changed, what speaks for it, what is decided.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use indicatif::HumanCount;
use serde::Serialize;
use serde_json::{Value, json};
use wheelmark_packaging::ProjectName;
use wheelmark_recovery::{Change, ClaimChange, Decision, Plan, Support};
use wheelmark_tuf::without_controls;

/// The exit code where somebody has to decide something.
const UNDECIDED: u8 = 3;

/// Which changes are shown.
pub(super) struct Shown<'a> {
    pub(super) undecided: bool,
    pub(super) project: Option<&'a ProjectName>,
    pub(super) most: usize,
}

/// Whether the plan can be carried out.
pub(super) fn code(plan: &Plan) -> ExitCode {
    match plan.undecided() == 0 && plan.conflicts().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(UNDECIDED),
    }
}

/// A word of the file, as it stands there.
fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn many(count: usize, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{} {noun}", HumanCount(count as u64))
}

fn all_changes(plan: &Plan) -> impl Iterator<Item = &Change> {
    plan.projects.iter().flat_map(|project| &project.changes)
}

/// What the plan comes to, in a few lines.
pub(super) fn summary(plan: &Plan) -> Vec<String> {
    let good = &plan.last_good;
    let present = &plan.present;
    let mut lines = vec![
        format!(
            "  last good snapshot {}, sha256 {}, root {}, from {}; what came after {} may not be in it",
            good.snapshot.version,
            good.snapshot.sha256,
            good.root,
            without_controls(&good.from),
            good.dated
        ),
        format!(
            "  present   timestamp {}, snapshot {}, root {}",
            present.timestamp.version, present.snapshot.version, present.root
        ),
    ];
    if good.snapshot.version > present.snapshot.version {
        lines.push(
            "  set back  the index shows an older state than the last good one: somebody put it there"
                .to_owned(),
        );
    }
    if plan.left_out > 0 {
        lines.push(format!(
            "  left out  {} more, for which nothing speaks but a copy or an attestation by somebody new: they are dropped",
            many(
                usize::try_from(plan.left_out).unwrap_or(usize::MAX),
                "change",
                "changes"
            )
        ));
    }
    if present.root != good.root {
        lines.push(
            "  root      changed since: a recovery takes no root back. Take a last good state from after that \
             ceremony"
                .to_owned(),
        );
    }
    if !plan.roles.is_empty() {
        lines.push(format!(
            "  roles     {}: the last good state holds",
            many(plan.roles.len(), "change", "changes")
        ));
    }
    if !plan.claims.is_empty() {
        let claims = many(plan.claims.len(), "change of a claim", "changes of claims");
        lines.push(format!("  claims    {claims}"));
    }
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for change in all_changes(plan) {
        *kinds.entry(word(&change.what)).or_default() += 1;
    }
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, count)| format!("{} {kind}", HumanCount(count as u64)))
        .collect();
    let count = all_changes(plan).count();
    lines.push(match count {
        0 => "  projects  nothing changed".to_owned(),
        _ => format!(
            "  projects  {} in {}: {}",
            many(count, "change", "changes"),
            many(plan.projects.len(), "project", "projects"),
            kinds.join(", ")
        ),
    });
    let counts = Counts::of(plan);
    lines.push(format!(
        "  decided   {} kept, {} dropped, {} undecided",
        HumanCount(counts.kept),
        HumanCount(counts.dropped),
        HumanCount(counts.undecided)
    ));
    lines
}

struct Counts {
    kept: u64,
    dropped: u64,
    undecided: u64,
}

impl Counts {
    fn of(plan: &Plan) -> Self {
        let claims = plan.claims.iter().map(|claim| claim.decision);
        let decisions = claims.chain(all_changes(plan).map(|change| change.decision));
        let mut counts = Self {
            kept: 0,
            dropped: 0,
            undecided: 0,
        };
        for decision in decisions {
            match decision {
                Some(Decision::Keep) => counts.kept += 1,
                Some(Decision::Drop) => counts.dropped += 1,
                None => counts.undecided += 1,
            }
        }
        counts
    }
}

/// What is to be done next.
pub(super) fn next(plan: &Plan, folder: &Path) -> Vec<String> {
    let folder = folder.display();
    let mut lines: Vec<String> = plan
        .conflicts()
        .iter()
        .map(|conflict| format!("  conflict  {}: {}", conflict.project, conflict.why))
        .collect();
    if plan.undecided() > 0 {
        lines.push(format!("next: wheelmark recover show {folder} --undecided"));
        lines.push(format!(
            "      wheelmark recover decide {folder} --keep supported --drop unsupported"
        ));
    } else if lines.is_empty() {
        lines.push("everything is decided".to_owned());
    }
    lines
}

/// A line for each change.
pub(super) fn changes(plan: &Plan, shown: &Shown<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if shown.project.is_none() && !shown.undecided && !plan.roles.is_empty() {
        lines.push("\nroles:".to_owned());
        for change in &plan.roles {
            let [then, now] = [&change.then, &change.now].map(|text| match text.as_str() {
                "" => "nothing".to_owned(),
                text => without_controls(text),
            });
            let (role, what) = (&change.role, word(&change.what));
            lines.push(format!(
                "  {role}  {what}\n    then  {then}\n    now   {now}"
            ));
        }
    }
    let is_shown = |project: &ProjectName, decision: Option<Decision>| {
        shown.project.is_none_or(|only| only == project) && !(shown.undecided && decision.is_some())
    };
    let claims = plan.claims.iter();
    let claims = claims.filter(|claim| is_shown(&claim.project, claim.decision));
    let claims: Vec<String> = claims.map(of_claim).collect();
    if !claims.is_empty() {
        lines.push("\nclaims:".to_owned());
        lines.extend(claims);
    }
    let (mut listed, mut left) = (0, 0);
    for project in &plan.projects {
        let changes = project.changes.iter();
        let changes = changes.filter(|change| is_shown(&project.project, change.decision));
        let changes: Vec<&Change> = changes.collect();
        let room = shown.most.saturating_sub(listed);
        left += changes.len().saturating_sub(room);
        if changes.is_empty() || room == 0 {
            continue;
        }
        lines.push(format!("\n{}:", project.project));
        for change in changes.into_iter().take(room) {
            listed += 1;
            lines.push(of_change(change));
        }
    }
    if left > 0 {
        lines.push(format!(
            "\n… and {} more: --list N lists more of them",
            HumanCount(left as u64)
        ));
    }
    lines.push(String::new());
    lines
}

fn decided(decision: Option<Decision>) -> String {
    decision.map_or_else(|| "undecided".to_owned(), |decision| word(&decision))
}

fn supports(supports: &[Support]) -> String {
    let texts: Vec<String> = supports.iter().map(support).collect();
    match texts.is_empty() {
        true => "nothing speaks for it".to_owned(),
        false => texts.join(", "),
    }
}

fn support(support: &Support) -> String {
    match support {
        Support::Sealed => "its own sealed keys".to_owned(),
        Support::Developer => "its own keys, claimed, not yet sealed".to_owned(),
        Support::Attested { identity, known } => {
            let known = if *known { ", as before" } else { "" };
            format!("attested by {}{known}", without_controls(identity))
        }
        Support::Copies { count } => many(*count as usize, "copy", "copies"),
    }
}

fn of_claim(claim: &ClaimChange) -> String {
    let seal = match claim.sealed {
        true => "sealed",
        false => "claimed, not yet sealed",
    };
    format!(
        "  {}  {} ({seal})  [{}]  {}",
        decided(claim.decision),
        claim.project,
        word(&claim.what),
        supports(&claim.supports)
    )
}

fn of_change(change: &Change) -> String {
    let file = change.file.as_deref().unwrap_or("(the project)");
    format!(
        "  {:9}  {:12} {}  [{}]  {}",
        decided(change.decision),
        word(&change.what),
        without_controls(file),
        word(&change.signed),
        supports(&change.supports)
    )
}

/// The counts, for scripts.
pub(super) fn to_json(plan: &Plan) -> Value {
    let Counts {
        kept,
        dropped,
        undecided,
    } = Counts::of(plan);
    let conflicts = plan.conflicts();
    let conflicts = conflicts
        .iter()
        .map(|conflict| json!({ "project": conflict.project, "why": conflict.why }));
    json!({
        "last_good": plan.last_good,
        "present": plan.present,
        "roles": plan.roles.len(),
        "claims": plan.claims.len(),
        "projects": plan.projects.len(),
        "left_out": plan.left_out,
        "changes": all_changes(plan).count(),
        "kept": kept,
        "dropped": dropped,
        "undecided": undecided,
        "conflicts": conflicts.collect::<Vec<_>>(),
    })
}
