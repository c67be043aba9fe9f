//! What was found of an environment, for people.

use std::path::Path;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_client::{
    CheckedDistribution, Difference, DifferenceKind, DistributionVerdict, Withdrawn,
};
use wheelmark_packaging::simple::Yanked;
use wheelmark_tuf::without_controls;

use super::super::withdrawn::ADVICE as WITHDRAWN;
use super::Told;
use crate::commands::index::table::table;

pub(super) fn text(told: &Told<'_>) -> String {
    let found = told.found;
    let mut text = format!("{}: {}\n", without_controls(told.name), verdict(told));
    for library in told.libraries {
        text.push_str(&line("library", &library.display().to_string()));
    }
    text.push_str(&line(
        "compared",
        &format!(
            "{}: {} as signed",
            count(found.distributions.len() as u64, "project", "projects"),
            count(found.same, "file", "files")
        ),
    ));
    if found.bytecode > 0 {
        let said = format!(
            "{} of compiled bytecode, which Python runs in the place of its source: delete every __pycache__ to be sure (--no-bytecode counts them as findings)",
            count(found.bytecode, "file", "files")
        );
        text.push_str(&line("not read", &said));
    }
    text.push_str(&rows(told));
    text.push_str(&findings(told));
    text
}

fn verdict(told: &Told<'_>) -> String {
    let found = told.found;
    let distributions = || found.distributions.iter().filter(|it| !told.holds(it));
    let changed = |it: &&CheckedDistribution| matches!(it.verdict, DistributionVerdict::Wheel(_));
    let withdrawn = |it: &&CheckedDistribution| withdrawn(it).is_some();
    let gone = distributions().filter(withdrawn).count() as u64;
    let rest = || distributions().filter(move |it| !withdrawn(it));
    let differing = rest().filter(changed).count() as u64;
    let others = rest().filter(|it| !changed(it)).count() as u64;
    let added = found.added.iter().filter(|it| !told.may_be(it)).count() as u64;
    let mut parts = Vec::new();
    if gone > 0 {
        let projects = count(gone, "project", "projects");
        parts.push(format!("{projects} WITHDRAWN after a break-in"));
    }
    if differing > 0 {
        let projects = count(differing, "project is", "projects are");
        parts.push(format!("{projects} NOT as signed"));
    }
    if others > 0 {
        let projects = count(others, "project", "projects");
        parts.push(format!(
            "{projects} that nobody signed, or that cannot be compared"
        ));
    }
    if added > 0 {
        parts.push(count(added, "file added", "files added"));
    }
    let bytecode = || count(found.bytecode, "file", "files");
    if told.no_bytecode && found.bytecode > 0 {
        parts.push(format!("{} of compiled bytecode not compared", bytecode()));
    }
    if parts.is_empty() && found.bytecode > 0 {
        let good = format!(
            "as signed, but {} of compiled bytecode not compared",
            bytecode()
        );
        return good.if_supports_color(Stdout, |t| t.yellow()).to_string();
    }
    if parts.is_empty() {
        let good = "every file is as signed";
        return good.if_supports_color(Stdout, |t| t.green()).to_string();
    }
    let text = parts.join(", ");
    text.if_supports_color(Stdout, |t| t.red()).to_string()
}

/// What the index has withdrawn after a break-in, and the distribution may be.
fn withdrawn(distribution: &CheckedDistribution) -> Option<&Withdrawn> {
    match &distribution.verdict {
        DistributionVerdict::Withdrawn(withdrawn) => Some(withdrawn),
        DistributionVerdict::Wheel(wheel) if !distribution.holds() => wheel.withdrawn.as_ref(),
        _ => None,
    }
}

fn rows(told: &Told<'_>) -> String {
    let mut distributions: Vec<&CheckedDistribution> = told.found.distributions.iter().collect();
    distributions.sort_by_key(|it| it.holds());
    let rows: Vec<Vec<String>> = distributions
        .iter()
        .take(told.listed)
        .map(|it| row(it, told))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n");
    for line in table(&["PROJECT", "VERSION", "BY", "WHAT"], &rows).lines() {
        text.push_str(&format!("  {line}\n"));
    }
    if distributions.len() > rows.len() {
        let more = distributions.len() - rows.len();
        text.push_str(&format!(
            "  … and {more} more: --list N lists more of them\n"
        ));
    }
    text
}

fn row(distribution: &CheckedDistribution, told: &Told<'_>) -> Vec<String> {
    let mut what = match &distribution.verdict {
        DistributionVerdict::Wheel(wheel) => {
            let mut what = match distribution.differences.len() as u64 {
                0 => format!("as signed ({})", wheel.chain),
                differing => format!("NOT as signed: {}", count(differing, "file", "files")),
            };
            if withdrawn(distribution).is_some() {
                what.push_str(", and WITHDRAWN after a break-in");
            }
            if wheel.yanked != Yanked::No {
                what.push_str(", yanked");
            }
            what
        }
        DistributionVerdict::Built { sdist, .. } => {
            format!("built here from {sdist}, or elsewhere")
        }
        DistributionVerdict::Withdrawn(_) => "WITHDRAWN after a break-in".to_owned(),
        DistributionVerdict::NotFromIndex(_) => "not from an index".to_owned(),
        DistributionVerdict::Unknown(_) | DistributionVerdict::Refused(_) => {
            "cannot be compared".to_owned()
        }
    };
    if !distribution.holds() && told.excepted.has_project(&distribution.project) {
        what.push_str(" (excepted)");
    }
    let installer = distribution.installer.clone();
    vec![
        distribution.project.to_string(),
        distribution.version.to_string(),
        installer.unwrap_or_else(|| "-".to_owned()),
        what,
    ]
}

/// Every finding, up to as many as are to be listed.
fn findings(told: &Told<'_>) -> String {
    let mut all = Vec::new();
    for distribution in &told.found.distributions {
        match of_distribution(distribution) {
            Some((found, advice)) => {
                all.push(finding(distribution.project.as_str(), &found, advice));
            }
            None => {
                if let Some(withdrawn) = withdrawn(distribution) {
                    let found = format!("{withdrawn}; what is installed may be that");
                    let project = distribution.project.as_str();
                    all.push(finding(project, &found, WITHDRAWN));
                }
                for difference in &distribution.differences {
                    let (found, advice) = of_difference(difference, distribution);
                    all.push(finding(&shown(&difference.path, told), &found, advice));
                }
            }
        }
    }
    for added in &told.found.added {
        let found = format!("added: {}", added.why);
        all.push(finding(&shown(&added.path, told), &found, ADDED));
    }
    let mut text: String = all.iter().take(told.listed).map(String::as_str).collect();
    if all.len() > told.listed {
        let more = all.len() - told.listed;
        text.push_str(&format!(
            "\n  … and {more} more: --list N lists more of them\n"
        ));
    }
    text
}

const ADDED: &str =
    "find out who put it there; delete it, or leave it out of the verdict with --except ./PATH";

fn of_distribution(distribution: &CheckedDistribution) -> Option<(String, &'static str)> {
    Some(match &distribution.verdict {
        DistributionVerdict::Wheel(_) => return None,
        DistributionVerdict::Built { sdist, index } => (
            format!(
                "no wheel on {index} fits it; {sdist} is signed there, and what was built from it nobody signed"
            ),
            "if you built it, leave it out of the verdict with --except NAME; otherwise install it anew",
        ),
        DistributionVerdict::Withdrawn(withdrawn) => (withdrawn.to_string(), WITHDRAWN),
        DistributionVerdict::NotFromIndex(why) => (
            format!("not from an index: {why}"),
            "if it is your own, leave it out of the verdict with --except NAME; otherwise find out who installed it",
        ),
        DistributionVerdict::Unknown(why) => (
            why.clone(),
            "install it anew, or ask whoever runs the index",
        ),
        DistributionVerdict::Refused(refusal) => (refusal.to_string(), refusal.next()),
    })
}

fn of_difference(
    difference: &Difference,
    distribution: &CheckedDistribution,
) -> (String, &'static str) {
    const ANEW: &str = "find out who changed it; install the project anew through `wheelmark exec`";
    let wheel = match &distribution.verdict {
        DistributionVerdict::Wheel(wheel) => wheel.filename.as_str(),
        _ => "the signed wheel",
    };
    match &difference.kind {
        DifferenceKind::Changed { .. } => (format!("changed: not the file that {wheel} has"), ANEW),
        DifferenceKind::Interpreter(interpreter) => (
            format!("changed: its first line leads to {interpreter}, outside of the environment"),
            ANEW,
        ),
        DifferenceKind::Launcher => (
            format!(
                "changed: it does not do what the entry point in {wheel} says, or not that alone"
            ),
            ANEW,
        ),
        DifferenceKind::NoFile => ("no ordinary file that can be read".to_owned(), ANEW),
        DifferenceKind::Missing => (format!("missing: {wheel} has it"), ANEW),
        DifferenceKind::NotCompared => (
            format!("{wheel} has it for a place that is not known here: it was not compared"),
            "look at it by hand",
        ),
        DifferenceKind::Added => (
            format!(
                "added: the RECORD of {} names it, and {wheel} has no such file",
                distribution.project
            ),
            ADDED,
        ),
    }
}

/// A path as it lies in the environment.
fn shown(path: &Path, told: &Told<'_>) -> String {
    let mut below = told.libraries.iter();
    let below = below.find_map(|library| path.strip_prefix(library).ok());
    below.unwrap_or(path).display().to_string()
}

fn finding(what: &str, found: &str, advice: &str) -> String {
    format!(
        "\n  {}\n    found     {}\n    do        {advice}\n",
        without_controls(what),
        without_controls(found)
    )
}

fn line(label: &str, text: &str) -> String {
    format!("  {label:<10} {}\n", without_controls(text))
}

fn count(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}
