//! What a run says when it ends, for people and for scripts.

use std::io::Write as _;
use std::net::SocketAddr;

use indicatif::DecimalBytes;
use serde_json::{Value, json};
use wheelmark_mirror::{Complete, Copy, CopyError, Outcome, Reached};
use wheelmark_tuf::without_controls;

/// How many projects are named whose own signature has expired.
const ENDED_SHOWN: usize = 10;

/// A run that came to its end.
pub(super) fn done(
    outcome: &Outcome,
    reached: &Reached,
    copy: &Copy,
    as_json: bool,
) -> anyhow::Result<()> {
    let complete = &outcome.complete;
    if as_json {
        return line(
            &json!({
                "result": "complete",
                "changed": outcome.changed,
                "index": copy.index().to_string(),
                "state": state(complete),
                "projects_changed": outcome.projects_changed,
                "projects_gone": outcome.projects_gone,
                "fetched": {
                    "roles": reached.roles,
                    "files": reached.fetched_files,
                    "bytes": reached.bytes,
                },
                "removed": outcome.removed,
                "leaving": outcome.leaving,
                "not_copied": outcome.others,
                "ended": ended(complete),
                "warnings": outcome.warnings,
            })
            .to_string(),
        );
    }
    for warning in &outcome.warnings {
        let said = format!("warning: {}: {}", warning.source, warning.what);
        aside(&without_controls(&said));
    }
    warn_of_ended(complete);
    let mut text = format!("complete: {}", holding(complete));
    if !outcome.changed {
        text.push_str(", unchanged");
    } else if reached.bytes > 0 {
        text.push_str(&format!(
            ", {} {} fetched ({})",
            reached.fetched_files,
            noun(reached.fetched_files, "file"),
            DecimalBytes(reached.bytes)
        ));
    }
    if outcome.removed > 0 {
        text.push_str(&format!(", {} removed", outcome.removed));
    }
    if outcome.others > 0 {
        text.push_str(&format!(
            "; {} signed {} of a kind that this version does not know, not copied",
            outcome.others,
            noun(outcome.others, "target")
        ));
    }
    line(&text)
}

/// Projects whose own people have let their signature expire, up to a number of them by name.
fn warn_of_ended(complete: &Complete) {
    for role in complete.ended.iter().take(ENDED_SHOWN) {
        let project = role.role.trim_start_matches("project-");
        let said = format!(
            "warning: {project}: what its own people have signed expired at {}; it is copied as it \
             is, and readers refuse this project until they publish again",
            role.expired
        );
        aside(&without_controls(&said));
    }
    let more = complete.ended.len().saturating_sub(ENDED_SHOWN);
    if more > 0 {
        aside(&format!("warning: so it is with {more} more projects"));
    }
}

fn ended(complete: &Complete) -> Value {
    let roles = complete
        .ended
        .iter()
        .map(|role| json!({"role": role.role, "expired": role.expired.to_string()}));
    roles.collect()
}

/// A run that failed: the error itself goes to standard error.
pub(super) fn failed(
    error: &CopyError,
    code: u8,
    copy: &Copy,
    as_json: bool,
) -> anyhow::Result<()> {
    if !as_json {
        if let Some(complete) = copy.complete() {
            aside(&format!("still here, whole: {}", holding(complete)));
        }
        return Ok(());
    }
    let mut causes = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(said) = cause {
        causes.push(without_controls(&said.to_string()));
        cause = said.source();
    }
    line(
        &json!({
            "result": "failed",
            "exit_code": code,
            "error": causes.join(": "),
            "index": copy.index().to_string(),
            "state": copy.complete().map(state),
        })
        .to_string(),
    )
}

/// A run that was ended by a signal.
pub(super) fn stopped(copy: &Copy, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return line(
            &json!({
                "result": "stopped",
                "index": copy.index().to_string(),
                "state": copy.complete().map(state),
            })
            .to_string(),
        );
    }
    match copy.complete() {
        Some(complete) => aside(&format!(
            "stopped; still here, whole: {}",
            holding(complete)
        )),
        None => aside("stopped; the next run goes on from here"),
    }
    Ok(())
}

/// Where the copy is served.
pub(super) fn serving(address: Option<SocketAddr>, as_json: bool) {
    let Some(address) = address else { return };
    if as_json {
        // A script that reads lines sees it like the others.
        drop(line(
            &json!({"result": "serving", "address": address.to_string()}).to_string(),
        ));
    } else {
        aside(&format!("serving the copy at http://{address}/simple/"));
    }
}

fn state(complete: &Complete) -> Value {
    json!({
        "snapshot": complete.snapshot,
        "timestamp": complete.timestamp,
        "expires": complete.expires.to_string(),
        "copied": complete.copied.to_string(),
        "selection": complete.selection,
        "projects": complete.projects,
        "files": complete.files,
        "bytes": complete.bytes,
    })
}

fn holding(complete: &Complete) -> String {
    let (projects, files) = (complete.projects, complete.files);
    format!(
        "{projects} {}, {files} {}, snapshot {}",
        noun(projects, "project"),
        noun(files, "file"),
        complete.snapshot
    )
}

fn noun(count: u64, one: &str) -> String {
    if count == 1 {
        one.to_owned()
    } else {
        format!("{one}s")
    }
}

fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// For the person, beside what is printed. Standard error that is gone is no reason to fail.
fn aside(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
