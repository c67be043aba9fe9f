//! What people are told when an index that they use was recovered after a break-in.
//!
//! The text is the index's own, signed by its offline keys. It is shown so that nobody can take it for a
//! message of this program, and with what no such text can ask for.

use owo_colors::{OwoColorize as _, Stream::Stderr};
use wheelmark_client::RecoveryNotice;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::without_controls;

/// Projects that are named of those of which something was forgotten.
const NAMED: usize = 8;

/// What to say of them; nothing where there is none.
pub(crate) fn told(notices: &[RecoveryNotice]) -> String {
    notices.iter().map(one).collect()
}

fn one(notice: &RecoveryNotice) -> String {
    let word = "recovered:"
        .if_supports_color(Stderr, |t| t.yellow())
        .to_string();
    let mut text = format!(
        "wheelmark: {word} {} was broken into, and put right on {}. The keys by which you trust it have signed this bulletin:\n",
        without_controls(&notice.index),
        notice.at.strftime("%Y-%m-%d %H:%M UTC"),
    );
    for line in notice.bulletin.trim_end().split('\n') {
        text.push_str(format!("  | {}", without_controls(line)).trim_end());
        text.push('\n');
    }
    for (what, projects) in [
        ("who signs for", &notice.forgotten_claims),
        ("who attests to", &notice.forgotten_identities),
    ] {
        if !projects.is_empty() {
            let names = names(projects);
            text.push_str(&format!("  forgotten here: {what} {names}\n"));
        }
    }
    let hint = "hint:".if_supports_color(Stderr, |t| t.cyan()).to_string();
    text.push_str(&format!(
        "  {hint} what was installed since {} may not have been the index's: wheelmark verify --environment .venv\n",
        notice.since.strftime("%Y-%m-%d %H:%M UTC"),
    ));
    text.push_str(
        "  You need do nothing for it to go on. Nobody who asks you to trust another root or to leave verification off speaks for the index.\n",
    );
    text
}

fn names(projects: &[ProjectName]) -> String {
    let shown: Vec<&str> = projects
        .iter()
        .take(NAMED)
        .map(ProjectName::as_str)
        .collect();
    match projects.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
