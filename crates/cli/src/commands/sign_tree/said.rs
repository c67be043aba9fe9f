//! What a person or a script is told at the end of a pass.

use std::cell::Cell;
use std::io::Write as _;

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_adopt::{Conflict, Named, Report};
use wheelmark_tuf::without_controls;

use super::{CONFLICTS, INCOMPLETE};
use crate::commands::up::{own_name, print_line, shell_word};
use crate::data::Data;

/// How many names of a kind a person is shown. The JSON report has more.
const SHOWN: usize = 10;

/// Who is told, and about which tree.
pub(super) struct Said<'a> {
    pub(super) json: bool,
    pub(super) data: &'a Data,
    /// Whether the next steps are still to be told.
    pub(super) next_steps: Cell<bool>,
}

impl Said<'_> {
    /// Tells what was done; returns the exit code.
    pub(super) fn tell(&self, report: &Report, snapshot_version: u64) -> anyhow::Result<u8> {
        if self.json {
            print_line(&self.as_json(report, snapshot_version, false).to_string())?;
        } else {
            warn(report);
            let mut text = self.text(report, snapshot_version);
            if self.next_steps.take() {
                text.push_str(&self.text_of_next_steps());
            }
            print_line(&text)?;
        }
        Ok(code(report))
    }

    /// Says what was done before it was stopped.
    pub(super) fn stopped(&self, report: &Report, snapshot_version: u64) -> anyhow::Result<()> {
        if self.json {
            return print_line(&self.as_json(report, snapshot_version, true).to_string());
        }
        warn(report);
        print_line(&self.text(report, snapshot_version))?;
        say("stopped; what was read until now is signed, and the next run goes on from there");
        Ok(())
    }

    /// The next steps of a first run that goes on for ever, before it does.
    pub(super) fn next_steps_once(&self) {
        if !self.json && self.next_steps.take() {
            say(&self.text_of_next_steps());
        }
    }

    fn as_json(&self, report: &Report, snapshot_version: u64, stopped: bool) -> serde_json::Value {
        let counts = &report.counts;
        json!({
            "tree": self.data.tree(),
            "root_file": self.data.root_file(),
            "root_fingerprint": self.data.settings().root_fingerprint.to_string(),
            "snapshot_version": snapshot_version,
            "stopped": stopped,
            "counts": {
                "projects": counts.projects,
                "listed": counts.listed,
                "unchanged": counts.unchanged,
                "back_signed": counts.back_signed,
                "signed_at_discovery": counts.signed_at_discovery,
                "removed": counts.removed,
                "yank_changes": counts.yank_changes,
                "withdrawn": counts.withdrawn,
                "kept": counts.kept,
                "conflicts": counts.conflicts,
                "failed": counts.failed,
                "unread_projects": counts.unread_projects,
                "skipped": counts.skipped,
                "odd": counts.odd,
                "mended": counts.mended,
                "made_public": counts.made_public,
                "refused": counts.refused,
                "linked": counts.linked,
                "reflinked": counts.reflinked,
                "copied": counts.copied,
                "bytes_read": counts.bytes_read,
            },
            "conflicts": report.conflicts.iter().map(|conflict| json!({
                "project": conflict.project.as_str(),
                "filename": conflict.filename,
                "signed_sha256": conflict.signed.to_string(),
                "found_sha256": conflict.found.to_string(),
                "found_at": conflict.place,
                "signed_bytes_are_here": conflict.signed_bytes_are_here,
                "was_removed": conflict.was_removed,
                "stands_twice": conflict.stands_twice,
            })).collect::<Vec<_>>(),
            "failed": named(&report.failed),
            "unread": named(&report.unread),
            "skipped": named(&report.skipped),
            "odd": named(&report.odd),
            "mended": named(&report.mended),
            "made_public": named(&report.made_public),
            "refused": named(&report.refused),
            "undecided": report.undecided,
        })
    }

    fn text(&self, report: &Report, snapshot_version: u64) -> String {
        let counts = &report.counts;
        let new = counts.back_signed + counts.signed_at_discovery;
        let title = format!(
            "{} in {} (snapshot {snapshot_version})",
            match new {
                0 => "Nothing new to sign".to_owned(),
                new => format!("Signed {}", files(new)),
            },
            self.data.tree().display()
        );
        let mut text = format!("{}\n", title.if_supports_color(Stdout, |t| t.bold()));
        let mut line = |what: &str, count: u64| {
            if count > 0 {
                text.push_str(&format!("  {what:<34} {count:>9}\n"));
            }
        };
        line("back-signed, there before", counts.back_signed);
        line("signed at discovery", counts.signed_at_discovery);
        line("unchanged", counts.unchanged);
        line("removed", counts.removed);
        line("yanked, or no longer", counts.yank_changes);
        line("withdrawn for good", counts.withdrawn);
        line("kept as signed", counts.kept);
        line("conflicts, for you to decide", counts.conflicts);
        line("could not be had this time", counts.failed);
        line("projects left as they were", counts.unread_projects);
        line("left out", counts.skipped);
        line("mended in the tree", counts.mended);
        line("refused", counts.refused);
        text
    }

    fn text_of_next_steps(&self) -> String {
        let wheelmark = own_name();
        let (tree, keys) = (self.data.tree(), self.data.offline_keys());
        let fingerprint = &self.data.settings().root_fingerprint;
        let mut text = format!(
            "
Serve {tree} with any web server, at an address beside that of the old index
(docs/sign-tree.md has the settings for nginx). Then, on every machine that installs:
  {wheelmark} trust add https://HOST/simple/ --fingerprint {fingerprint}
  {wheelmark} pip install NAME

Run the same command again to follow the source, at least every twelve hours: signatures live
a day. `--every 10m` does it until Ctrl-C.
",
            tree = shell_word(&tree),
        );
        if keys.exists() {
            text.push_str(&format!(
                "
Offline keys on this machine: {}
  As long as they are here, whoever takes this machine can take the index for good.
",
                keys.display()
            ));
        }
        text
    }
}

/// What a script is told when it could not be done.
pub(super) fn failed_as_json(error: &anyhow::Error) -> String {
    let (mut said, mut hints) = (Vec::new(), Vec::new());
    for cause in error.chain() {
        let text = cause.to_string();
        match text.strip_prefix("hint: ") {
            Some(hint) => hints.push(hint.to_owned()),
            None => said.push(text),
        }
    }
    json!({"error": said.join(": "), "hints": hints}).to_string()
}

fn code(report: &Report) -> u8 {
    let counts = &report.counts;
    if counts.conflicts > 0 {
        CONFLICTS
    } else if counts.failed + counts.unread_projects + counts.refused > 0
        || !report.undecided.is_empty()
    {
        INCOMPLETE
    } else {
        0
    }
}

/// What needs a person, on standard error.
fn warn(report: &Report) {
    let counts = &report.counts;
    let lists = [
        (
            counts.odd,
            "signed without what their archives say about them, which cannot be read",
            &report.odd,
        ),
        (
            counts.mended,
            "had other bytes in the tree than were signed, and have the right ones again",
            &report.mended,
        ),
        (
            counts.made_public,
            "were not for everybody to read, and are in the tree",
            &report.made_public,
        ),
        (
            counts.skipped,
            "left out, for they cannot be files of their project",
            &report.skipped,
        ),
        (
            counts.failed,
            "could not be had, and are tried again by the next run",
            &report.failed,
        ),
        (
            counts.unread_projects,
            "projects could not be read, and were left as they were",
            &report.unread,
        ),
        (
            counts.refused,
            "were refused by the snapshot process",
            &report.refused,
        ),
    ];
    for (count, what, names) in lists {
        if count > 0 {
            say(&list(&format!("warning: {count} {what}"), count, names));
        }
    }
    for name in &report.undecided {
        say(&format!(
            "warning: nothing was to be decided about {}",
            without_controls(name)
        ));
    }
    if counts.conflicts > 0 {
        say(&conflicts(counts.conflicts, &report.conflicts));
    }
}

fn list(title: &str, count: u64, names: &[Named]) -> String {
    let mut text = format!("{title}:");
    for named in names.iter().take(SHOWN) {
        text.push_str(&format!(
            "\n  {}: {}",
            without_controls(&named.name),
            without_controls(&named.why)
        ));
    }
    if count > SHOWN as u64 {
        text.push_str(&format!(
            "\n  and {} more (--json names them)",
            count - SHOWN as u64
        ));
    }
    text
}

fn conflicts(count: u64, conflicts: &[Conflict]) -> String {
    let mut text = format!(
        "conflict: the source shows other bytes than were signed under {count} {}:",
        if count == 1 { "name" } else { "names" }
    );
    for conflict in conflicts.iter().take(SHOWN) {
        text.push_str(&format!(
            "\n  {}\n    signed  sha256 {}{}\n    now     sha256 {} ({})",
            without_controls(&conflict.filename),
            conflict.signed,
            about(conflict),
            conflict.found,
            without_controls(&conflict.place),
        ));
    }
    if count > SHOWN as u64 {
        text.push_str(&format!(
            "\n  and {} more (--json names them)",
            count - SHOWN as u64
        ));
    }
    text.push_str(
        "\nA name that was signed never gets other bytes. Find out who changed the source, then for each
  --keep FILE      goes on with the bytes that were signed
  --withdraw FILE  takes the file off the index for good
or publish the new bytes under a new version.",
    );
    text
}

/// What is to be known about a conflict beside its digests.
fn about(conflict: &Conflict) -> &'static str {
    if !conflict.signed_bytes_are_here {
        " (these bytes are gone: the file was changed in place; put the right ones back into the source, and run again)"
    } else if conflict.was_removed {
        " (off the index since the source did not have it any more; --withdraw leaves it so)"
    } else if conflict.stands_twice {
        " (the name stands more than once in the source)"
    } else {
        ""
    }
}

fn named(names: &[Named]) -> Vec<serde_json::Value> {
    let names = names.iter();
    names
        .map(|named| json!({"name": named.name, "why": named.why}))
        .collect()
}

fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

fn say(text: &str) {
    // Standard error that is gone is no reason to fail.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}
