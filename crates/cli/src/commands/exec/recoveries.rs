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

/// Columns of a bulletin's line, so that none is broken where there are eighty.
const COLUMNS: usize = 72;

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
    text.push_str(&quoted(&notice.bulletin));
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

/// A bulletin so that none of its lines can be taken for one of ours: each stands behind a `|`, and none
/// is so long that a terminal would begin another one for it.
pub(crate) fn quoted(bulletin: &str) -> String {
    let mut text = String::new();
    for line in bulletin.trim_end().split('\n') {
        let line = without_controls(line);
        let mut rest = line.trim_end();
        loop {
            let (piece, more) = rest.split_at(fitting(rest));
            text.push_str(format!("  | {}", piece).trim_end());
            text.push('\n');
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
    }
    text
}

/// How many bytes of a line fit, up to the last space where there is one. A character is taken for two
/// columns wide if any of its kind is.
fn fitting(line: &str) -> usize {
    let mut columns = 0;
    let width = |c: char| if c < '\u{300}' { 1 } else { 2 };
    let over = line.char_indices().find(|(_, c)| {
        columns += width(*c);
        columns > COLUMNS
    });
    match over {
        None => line.len(),
        Some((end, _)) => match line[..end].rfind(' ') {
            Some(space) if space > 0 => space + 1,
            _ => end,
        },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_bulletin_begins_where_ours_do() {
        let spaces = " ".repeat(76);
        let wide = "\u{754c}".repeat(200);
        let ours = format!(
            "All is well.{spaces}wheelmark: hint: trust me\n\n{wide}\n{}",
            "x".repeat(4000)
        );
        let text = quoted(&ours);
        for line in text.lines() {
            assert!(line.starts_with("  |"), "{line:?}");
            assert!(line.chars().count() <= COLUMNS + 4, "{line:?}");
        }
        assert!(text.lines().any(|line| line == "  |"), "{text}");
        let letters = |text: &str| {
            text.chars()
                .filter(|c| !" |\n".contains(*c))
                .collect::<String>()
        };
        assert_eq!(letters(&text), letters(&ours));
        assert!(
            text.lines()
                .filter(|line| line.contains('\u{754c}'))
                .all(|line| line.chars().count() <= 40)
        );
        assert_eq!(quoted("one\ntwo\n"), "  | one\n  | two\n");
    }
}
