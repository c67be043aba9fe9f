//! What people are told of a recovery where nobody has written a text of their own.

use jiff::Timestamp;
use wheelmark_packaging::ProjectName;
use wheelmark_recovery::{Plan as Changes, Signer};
use wheelmark_tuf::MAX_BULLETIN_LEN;

/// The most bytes that the names of projects take in it.
const MAX_NAMES_LEN: usize = MAX_BULLETIN_LEN - 2_048;

/// How long its lines with names get, in bytes.
const LINE_LEN: usize = 90;

/// A text from the plan: since when, what clients do by themselves, and which projects to look at.
/// `is_known` says whether the last good state had a project.
pub(super) fn usual(
    changes: &Changes,
    is_known: impl Fn(&ProjectName) -> bool,
    now: Timestamp,
) -> String {
    let (since, now) = (day(changes.last_good.dated), day(now));
    let mut text = format!(
        "This index was broken into. On {now} it goes back to its state of {since}, the last one known to be good.\n\
         What it signed in between counts only as far as it was looked through and kept.\n\
         Wheelmark's clients follow by themselves. Whoever asks you for a key, a password or another root\n\
         because of it is not this index.\n"
    );
    let projects = changes.projects.iter().filter(|project| {
        let mut changes = project.changes.iter();
        changes.any(|change| change.signed == Signer::Index)
    });
    // A thief chooses what new projects are called, and everybody would read it over the holders' signatures.
    let (known, new): (Vec<_>, Vec<_>) = projects.partition(|project| is_known(&project.project));
    let projects: Vec<&str> = known
        .iter()
        .map(|project| project.project.as_str())
        .collect();
    if !projects.is_empty() {
        text.push_str(&format!(
            "If you installed one of these since {since}, have it compared with what is signed now\n\
             (wheelmark verify --environment DIR):\n"
        ));
        let mut length = 0;
        let shown = projects.iter().take_while(|project| {
            length += project.len() + 2;
            length <= MAX_NAMES_LEN
        });
        let shown = shown.count();
        text.push_str(&lines_of(&projects[..shown]));
        match projects.len() - shown {
            0 => text.push_str(".\n"),
            left => text.push_str(&format!(", and {left} more.\n")),
        }
    }
    if !new.is_empty() {
        text.push_str(&format!(
            "Projects that were not there before: {}. The same holds for these.\n",
            new.len()
        ));
    }
    text
}

/// The day and the minute, in UTC.
fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Names with commas between them, in lines that a terminal shows whole.
fn lines_of(names: &[&str]) -> String {
    let (mut text, mut width) = (String::new(), 0);
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push(',');
            let is_full = width + name.len() > LINE_LEN;
            text.push(if is_full { '\n' } else { ' ' });
            width = if is_full { 0 } else { width + 2 };
        }
        text.push_str(name);
        width += name.len();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use serde_json::json;
    use wheelmark_tuf::check_bulletin;

    use super::*;

    fn plan(projects: usize, signed: &str) -> Changes {
        let digest = "0".repeat(64);
        let file = json!({ "version": 1, "sha256": digest });
        let projects = (0..projects).map(|n| {
            let change =
                json!({ "what": "added", "signed": signed, "file": "x", "decision": null });
            json!({ "project": format!("{}-{n}", "p".repeat(60)), "changes": [change] })
        });
        let projects: Vec<_> = projects.collect();
        let at = "2026-05-30T22:00:00Z";
        let plan = json!({
            "form": 1, "made": at, "index": digest,
            "last-good": { "from": "x", "root": 1, "snapshot": file, "expires": at, "dated": at },
            "present": { "root": 1, "snapshot": file, "timestamp": file },
            "roles": [], "claims": [], "projects": projects,
        });
        Changes::from_json(plan.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn is_a_bulletin_whatever_changed() {
        let now = "2026-06-02T09:00:00Z".parse().unwrap();
        for count in [0, 1, 25, 10_000] {
            let text = usual(&plan(count, "index"), |_| true, now);
            assert_eq!(check_bulletin(&text), Ok(()), "{text}");
            assert!(text.lines().all(|line| line.len() <= 200), "{text}");
            assert!(text.contains("2026-05-30 22:00 UTC"), "{text}");
            assert_eq!(text.contains("p-0"), count > 0, "{text}");
            assert_eq!(text.contains(" more."), count > 1_000, "{text}");
        }
        let text = usual(
            &plan(3, "index"),
            |project| !project.as_str().ends_with("p-0"),
            now,
        );
        assert!(
            !text.contains("p-0") && text.contains("p-1") && text.contains("p-2"),
            "{text}"
        );
        assert!(text.contains("not there before: 1."), "{text}");
        let text = usual(&plan(3, "project"), |_| true, now);
        assert!(!text.contains("ppp"), "signed by their own people: {text}");
    }
}
