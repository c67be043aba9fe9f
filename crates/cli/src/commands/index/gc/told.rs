//! What a collection does, for people and for scripts.

use std::io::IsTerminal as _;

use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use wheelmark_repository::{Collected, Counted};
use wheelmark_tuf::without_controls;

use crate::commands::up::print_line;

/// How far it is, on one line of the terminal; it goes when this is dropped.
pub(super) struct Shown {
    bar: ProgressBar,
}

impl Shown {
    pub(super) fn start() -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::no_length(),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::default_spinner());
        Self { bar }
    }

    pub(super) fn draw(&self, so_far: &Collected) {
        let total = so_far.total();
        self.bar.set_message(format!(
            "{} objects are named by what is kept; {} taken away, {}",
            HumanCount(so_far.kept_objects),
            HumanCount(total.objects),
            DecimalBytes(total.bytes)
        ));
        self.bar.tick();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

pub(super) fn tell(done: &Collected, dry: bool, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let mut object = serde_json::to_value(done)?;
        object["dry_run"] = dry.into();
        object["total"] = serde_json::to_value(done.total())?;
        object["waiting"] = false.into();
        return print_line(&object.to_string());
    }
    print_line(&text(done, dry))
}

pub(super) fn tell_waiting(as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return print_line(&json!({ "waiting": true }).to_string());
    }
    print_line(
        "recorded and not done yet: the process that publishes does it when it is done with what it is at",
    )
}

fn text(done: &Collected, dry: bool) -> String {
    let total = done.total();
    let went = if dry { "would go" } else { "went" };
    let mut lines = vec![format!(
        "{went}: {}, {}",
        objects(total.objects),
        DecimalBytes(total.bytes)
    )];
    let parts = [
        ("snapshots", done.snapshots),
        ("old versions of roles", done.roles),
        ("old pages", done.pages),
        ("removed files", done.removed),
        ("never or no more named", done.unnamed),
    ];
    for (what, Counted { objects, bytes }) in parts {
        if objects > 0 {
            let objects = HumanCount(objects).to_string();
            lines.push(format!(
                "  {what:<24}{objects:>10}  {}",
                DecimalBytes(bytes)
            ));
        }
    }
    let snapshots = match done.kept_snapshots {
        1 => "1 snapshot".to_owned(),
        count => format!("{} snapshots", HumanCount(count)),
    };
    lines.push(format!(
        "kept: {snapshots}, which name {}",
        objects(done.kept_objects)
    ));
    if done.refused > 0 {
        lines.push(format!(
            "another user's, and still there: {}; `wheelmark index permissions`, as root and while nothing \
             runs, makes them this one's",
            objects(done.refused)
        ));
    }
    for page in &done.unreadable {
        lines.push(format!(
            "{} cannot be read, so nothing of its project went: `wheelmark index audit` says more",
            without_controls(page)
        ));
    }
    if let Some(why) = &done.not_logged {
        lines.push(format!(
            "old snapshots are still there, for they could not be written into the log first: {}. \
             Run it once more",
            without_controls(why)
        ));
    }
    lines.join("\n")
}

fn objects(count: u64) -> String {
    match count {
        1 => "1 object".to_owned(),
        count => format!("{} objects", HumanCount(count)),
    }
}
