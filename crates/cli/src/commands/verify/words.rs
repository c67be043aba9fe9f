//! What is found in a copy, for people.

use std::time::Duration;

use indicatif::DecimalBytes;
use wheelmark_mirror::{Audit, Counts, Stale, Unnamed};

use crate::anchor::Anchor;

/// How many expired roles are named.
const SHOWN: usize = 3;

/// An audit with everything that is told beside it.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) kind: &'static str,
    pub(super) anchor: &'a Anchor,
    /// The newest timestamp that is known of the index.
    pub(super) known: Option<u64>,
    pub(super) audit: &'a Audit,
    pub(super) unnamed: Option<&'a Unnamed>,
    /// What the copy says that it was made with, in one line.
    pub(super) selection: Option<&'a str>,
    pub(super) took: Duration,
}

impl Told<'_> {
    /// Whether a newer state of the index was accepted here before: readers that know it refuse
    /// this one.
    pub(super) fn is_behind(&self) -> bool {
        let heads = self.audit.heads.as_ref();
        heads.is_some_and(|heads| self.known.is_some_and(|known| known > heads.timestamp))
    }
}

pub(super) fn text(told: &Told<'_>) -> String {
    let audit = told.audit;
    let mut text = format!("{}: {}\n", told.name, verdict(told));
    text.push_str(&line("trust", &told.anchor.because));
    if let Some(heads) = &audit.heads {
        let until = heads.timestamp_expires.strftime("%Y-%m-%d %H:%M UTC");
        text.push_str(&line(
            "state",
            &format!(
                "timestamp {}, until {until}; snapshot {}, root {}",
                heads.timestamp, heads.snapshot, heads.root
            ),
        ));
        if let Some(known) = told.known.filter(|known| *known > heads.timestamp) {
            let behind = format!("timestamp {known} of this index is known here");
            text.push_str(&line("behind", &behind));
        }
    }
    if let Some(since) = audit.stale.since {
        let since = since.strftime("%Y-%m-%d %H:%M UTC");
        text.push_str(&line(
            "stale",
            &format!(
                "{} expired, since {since} ({}): readers refuse this state; copy a newer one",
                count(audit.stale.count, "role is", "roles are"),
                some_of(&audit.stale)
            ),
        ));
    }
    if let Some(since) = audit.ended.since {
        text.push_str(&line(
            "ended",
            &format!(
                "{} expired, the first {} ({}): readers refuse these projects until their people \
                 publish again",
                count(
                    audit.ended.count,
                    "project's own role is",
                    "projects' own roles are"
                ),
                since.strftime("%Y-%m-%d %H:%M UTC"),
                some_of(&audit.ended)
            ),
        ));
    }
    if let Some(selection) = told.selection {
        let selection = wheelmark_tuf::without_controls(selection);
        text.push_str(&line(
            "selection",
            &format!("{selection}, as the copy itself says (--everything expects all)"),
        ));
    }
    text.push_str(&line("checked", &checked(audit)));
    text.push_str(&read(&audit.counts, told.took));
    text.push_str(&notes(&audit.counts));
    if let Some(unnamed) = told.unnamed.filter(|unnamed| unnamed.count() > 0) {
        text.push_str(&line("unnamed", &of_unnamed(unnamed)));
    }
    for finding in &audit.findings {
        text.push_str(&format!(
            "\n  {}\n    expected  {}\n    found     {}\n    do        {}\n",
            finding.path, finding.expected, finding.found, finding.advice
        ));
    }
    let listed = audit.findings.len() as u64;
    if listed < audit.found() {
        text.push_str(&format!(
            "\n  … and {} more: --list N lists more of them\n",
            audit.found() - listed
        ));
    }
    text
}

/// The first of some roles by name.
fn some_of(expired: &Stale) -> String {
    let names = expired.roles.iter().take(SHOWN);
    let names: Vec<&str> = names.map(|role| role.role.as_str()).collect();
    let dots = if expired.count > SHOWN as u64 {
        ", …"
    } else {
        ""
    };
    format!("{}{dots}", names.join(", "))
}

fn verdict(told: &Told<'_>) -> String {
    let audit = told.audit;
    let stale = if audit.is_fresh() || audit.heads.is_none() {
        ""
    } else {
        ", and STALE"
    };
    if audit.heads.is_none() {
        return "NO state that follows from the trusted root".to_owned();
    }
    let ended = match audit.ended.count {
        0 => String::new(),
        ended => format!(", and {} ENDED", count(ended, "project", "projects")),
    };
    let behind = if told.is_behind() {
        ", and BEHIND what is known here"
    } else {
        ""
    };
    let lacking = match &audit.lacking[..] {
        [] => String::new(),
        folders => format!(
            ", without {}: installers that verify nothing find nothing there",
            folders.join(" and ")
        ),
    };
    if audit.is_whole() {
        return format!("whole{stale}{ended}{behind}{lacking}");
    }
    format!(
        "NOT whole{stale}{ended}{behind}{lacking}: {}",
        count(audit.found(), "finding", "findings")
    )
}

fn checked(audit: &Audit) -> String {
    let counts = &audit.counts;
    let mut parts = vec![
        count(counts.roles + 1, "targets role", "targets roles"),
        count(audit.projects, "project", "projects"),
        format!(
            "{} ({})",
            count(counts.files, "file", "files"),
            DecimalBytes(counts.file_bytes)
        ),
        count(counts.core_metadata, "core metadata", "core metadata"),
        count(counts.chunk_lists, "chunk list", "chunk lists"),
    ];
    if counts.signatures > 0 {
        parts.push(count(counts.signatures, "signature", "signatures"));
    }
    if counts.provenances > 0 {
        parts.push(count(counts.provenances, "provenance", "provenances"));
    }
    if counts.certificates > 0 {
        let certificates = count(
            counts.certificates,
            "project's certificates",
            "projects' certificates",
        );
        parts.push(certificates);
    }
    if counts.plain_names > 0 {
        parts.push(count(counts.plain_names, "plain name", "plain names"));
    }
    if counts.unsigned_copies > 0 {
        let copies = count(counts.unsigned_copies, "unsigned copy", "unsigned copies");
        parts.push(copies);
    }
    parts.join(", ")
}

fn read(counts: &Counts, took: Duration) -> String {
    let rate = counts.bytes_read as f64 / took.as_secs_f64().max(0.001);
    let mut text = line(
        "read",
        &format!(
            "{} in {:.1} s, {}/s",
            DecimalBytes(counts.bytes_read),
            took.as_secs_f64(),
            DecimalBytes(rate as u64)
        ),
    );
    if counts.recorded > 0 {
        text.push_str(&line(
            "not read",
            &format!(
                "{}, verified by an earlier run and not changed since (--from-scratch reads them)",
                count(counts.recorded, "object", "objects")
            ),
        ));
    }
    text
}

fn notes(counts: &Counts) -> String {
    let mut text = String::new();
    if counts.lengths_only > 0 {
        text.push_str(&line(
            "lengths",
            &format!(
                "of {} only presence and length were asked for (--files reads them)",
                count(counts.lengths_only, "object", "objects")
            ),
        ));
    }
    if counts.left_out > 0 {
        text.push_str(&line(
            "left out",
            &format!(
                "{}, which were not to be copied",
                count(counts.left_out, "object", "objects")
            ),
        ));
    }
    if counts.plain_alone > 0 {
        text.push_str(&line(
            "one name",
            &format!(
                "{} under the plain name alone: the web server must lead the other name there (docs/layout.md)",
                count(counts.plain_alone, "object is", "objects are")
            ),
        ));
    }
    if counts.other_targets > 0 {
        text.push_str(&line(
            "other",
            &format!(
                "{}, neither pages nor files, not looked at",
                count(counts.other_targets, "target", "targets")
            ),
        ));
    }
    text
}

fn of_unnamed(unnamed: &Unnamed) -> String {
    let kinds = [
        (unnamed.metadata, "metadata of other versions"),
        (unnamed.pages, "pages of other versions"),
        (unnamed.files, "files, core metadata or chunk lists"),
        (
            unnamed.plain_names,
            "plain names, which unverified installers find",
        ),
        (
            unnamed.unsigned_copies,
            "unsigned copies, which unverified installers find",
        ),
        (unnamed.foreign, "files that belong to no tree"),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    format!("nothing that is signed now names {}", told.join("; "))
}

fn line(label: &str, text: &str) -> String {
    format!("  {label:<10} {text}\n")
}

fn count(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{number} {noun}")
}
