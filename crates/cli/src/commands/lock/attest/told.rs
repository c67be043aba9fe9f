//! What was found of who attests to a lock's files, for people and for scripts.

use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::{Value, json};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::lock::BESIDE;
use wheelmark_provenance::Publisher;
use wheelmark_tuf::without_controls;

use super::finding::{Finding, What};
use crate::commands::index::table::table;

/// All that was found.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    /// Whether identities stand beside the lock.
    pub(super) beside: bool,
    pub(super) found: &'a [Finding],
    /// Projects that were named and are not locked any more.
    pub(super) gone: &'a [&'a ProjectName],
    pub(super) written: bool,
    pub(super) check: bool,
    /// Most rows of the table.
    pub(super) listed: usize,
}

impl Told<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", without_controls(self.name), self.verdict());
        let new = |it: &&Finding| it.to_write().is_some();
        // What has to be looked at comes first, then what is new.
        let rank = |it: &Finding| match it.what {
            What::Wrong(_) => 0,
            What::FirstSeen | What::SeenBefore | What::Accepted => 1,
            What::AsNamed | What::Partly => 2,
            What::Nobody => 3,
        };
        let mut found: Vec<&Finding> = self.found.iter().collect();
        found.sort_by_key(|it| rank(it));
        let rows: Vec<Vec<String>> = found.iter().take(self.listed).map(|it| row(it)).collect();
        if !rows.is_empty() {
            text.push('\n');
            let header = ["PACKAGE", "VERSION", "FILES", "ATTESTED BY", "WHAT"];
            for line in table(&header, &rows).lines() {
                text.push_str(&format!("  {line}\n"));
            }
        }
        if found.len() > rows.len() {
            let more = found.len() - rows.len();
            text.push_str(&format!(
                "  … and {more} more: --list N lists more of them\n"
            ));
        }
        for one in &found {
            if let What::Wrong(why) = &one.what {
                text.push_str(&format!(
                    "\n  {}\n    {}\n",
                    one.key.0,
                    without_controls(why)
                ));
            }
        }
        for project in self.gone {
            text.push_str(&format!("\n  {project} is not locked any more\n"));
        }
        let file = self.file();
        if self.written {
            text.push_str(&format!("\n{file}: written\n"));
        } else if self.check && (self.found.iter().any(|it| new(&it)) || !self.gone.is_empty()) {
            text.push_str(&format!("\n{file}: nothing was written\n"));
        }
        let first = |it: &&Finding| it.what == What::FirstSeen;
        if self.found.iter().any(|it| first(&it)) {
            text.push_str(
                "Those that are seen for the first time are whoever attests today: compare them with what the projects say of themselves.\n",
            );
        }
        text
    }

    fn file(&self) -> String {
        let beside = if self.beside { BESIDE } else { "" };
        format!("{}{beside}", without_controls(self.name))
    }

    fn verdict(&self) -> String {
        let count =
            |is: &dyn Fn(&What) -> bool| self.found.iter().filter(|it| is(&it.what)).count();
        let wrong = count(&|what| matches!(what, What::Wrong(_)));
        let named = count(&|what| *what == What::AsNamed);
        let new = self.found.iter().filter(|it| it.to_write().is_some());
        let new = new.count();
        let nobody = count(&|what| *what == What::Nobody);
        let partly = count(&|what| *what == What::Partly);
        let packages = self.found.len();
        let mut parts = Vec::new();
        for (number, words) in [
            (wrong, "to be LOOKED AT"),
            (named, "attested as the lock says"),
            (new, "attested by somebody whom it did not name"),
            (partly, "attested in part"),
            (nobody, "attested by nobody"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {words}"));
            }
        }
        let noun = if packages == 1 { "package" } else { "packages" };
        let text = match parts.is_empty() {
            true => "no package of an index".to_owned(),
            false => format!("of {packages} {noun} {}", parts.join(", ")),
        };
        match wrong {
            0 => text,
            _ => text.if_supports_color(Stdout, |t| t.red()).to_string(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let packages: Vec<Value> = self.found.iter().map(as_json).collect();
        json!({
            "lock": self.name,
            "identities_in": self.file(),
            "written": self.written,
            "packages": packages,
            "not_locked_any_more": self.gone.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
        })
    }
}

fn row(one: &Finding) -> Vec<String> {
    let what = match &one.what {
        What::Nobody => "",
        What::Partly => "not all files are attested: nobody is named",
        What::AsNamed => "as the lock says",
        What::SeenBefore if one.counting.len() < one.found.len() => {
            "new in the lock: those seen here before, NOT the others"
        }
        What::SeenBefore => "new in the lock, seen here before",
        What::FirstSeen => "new in the lock, SEEN HERE FOR THE FIRST TIME",
        What::Accepted => "changed, as --accept says",
        What::Wrong(_) => "LOOK AT IT",
    };
    let files = match one.attested {
        all if all == one.files => all.to_string(),
        some => format!("{some} of {}", one.files),
    };
    vec![
        one.key.0.to_string(),
        versions(one).join(", "),
        files,
        match one.found.is_empty() {
            true => "nobody".to_owned(),
            false => without_controls(&words(&one.found).join(" and ")),
        },
        what.to_owned(),
    ]
}

fn versions(one: &Finding) -> Vec<String> {
    one.versions.iter().map(ToString::to_string).collect()
}

fn words(publishers: &[Publisher]) -> Vec<String> {
    publishers.iter().map(ToString::to_string).collect()
}

fn as_json(one: &Finding) -> Value {
    let (what, why) = match &one.what {
        What::Nobody => ("nobody", None),
        What::Partly => ("partly", None),
        What::AsNamed => ("as-named", None),
        What::SeenBefore => ("seen-before", None),
        What::FirstSeen => ("first-seen", None),
        What::Accepted => ("accepted", None),
        What::Wrong(why) => ("wrong", Some(why)),
    };
    json!({
        "project": one.key.0.as_str(),
        "versions": versions(one),
        "files": one.files,
        "attested": one.attested,
        "identities": one.found,
        "attested_by": words(&one.found),
        "may_be_named": words(&one.counting),
        "named": words(&one.named),
        "what": what,
        "why": why,
    })
}
