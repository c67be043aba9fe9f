//! The explanation as a tree for people.

use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_client::{Answer, Began, Break, Claim, RoleShown, VerifiedPage};
use wheelmark_packaging::simple::{PageFile, Yanked};
use wheelmark_tuf::{KeyId, Shown as ShownText, without_controls};

use super::Shown;
use super::counts::Counts;
use super::dates::date;
use super::json::mark;
use super::taken;
use crate::releasing::ends_soon;

/// Characters of a key's id that are shown: enough to tell the keys of one index apart.
const KEYID_SHOWN: usize = 8;

/// Versions named when the one that was asked for is not there.
const VERSIONS_SHOWN: usize = 10;

pub(super) fn render(shown: &Shown<'_>) -> String {
    let mut tree = Tree {
        text: title(shown),
        depth: 0,
    };
    for role in &shown.explanation.roles {
        tree.role(role, shown);
    }
    match &shown.explanation.answer {
        Answer::Page { page, length } => {
            let project = &shown.explanation.project;
            tree.branch(&format!("page simple/{project}/index.json"));
            tree.detail(&format!("sha256 {}, {length} bytes", page.signed_sha256()));
            tree.detail(&Counts::of(page.page()).line(shown.now));
            tree.files(shown);
        }
        Answer::Absent => {
            let text = format!("no page: the index has no project {}", project(shown));
            tree.branch(&red(&text));
            tree.detail("every role that may answer for it was asked, and none lists it");
        }
        Answer::Broken(broken) => tree.broken(broken),
    }
    let mut text = tree.text;
    text.push_str(&answers(shown));
    text.push_str(&taken::render(shown));
    if let Some(judged) = &shown.judged {
        text.push_str(&judged.render());
    }
    let said = shown.said_plainly();
    if !said.is_empty() {
        text.push_str("\nSaid plainly\n");
        for sentence in said {
            text.push_str(&format!("  - {sentence}\n"));
        }
    }
    text
}

fn project(shown: &Shown<'_>) -> String {
    shown.explanation.project.to_string()
}

fn title(shown: &Shown<'_>) -> String {
    let record = shown.record;
    let name = match shown.version {
        Some(version) => format!("{} {version}", project(shown)),
        None => project(shown),
    };
    if !record.is_signed() {
        let why = match record.began {
            Began::Configured => "nothing is trusted, and pip or uv is configured for it",
            _ => "you said so",
        };
        return format!(
            "{}, as {} lists it\n{}not signed: used since {}, because {why}\n\n",
            name.if_supports_color(Stdout, |t| t.bold()),
            record.urls.simple(),
            status(shown),
            date(record.trusted_since, shown.now),
        );
    }
    format!(
        "{}, as {} signs for it\n{}trusted since {}, by {} (root version {})\n\n",
        name.if_supports_color(Stdout, |t| t.bold()),
        record.urls.simple(),
        status(shown),
        date(record.trusted_since, shown.now),
        record.began,
        record.first_root_version,
    )
}

/// What state the project is in, on a line of its own; nothing where the page says nothing.
fn status(shown: &Shown<'_>) -> String {
    let page = shown.page.map(VerifiedPage::page);
    let Some(status) = page.and_then(|page| page.project_status.as_ref()) else {
        return String::new();
    };
    let mut said = without_controls(status.status.as_str());
    if let Some(reason) = &status.reason {
        said.push_str(&format!(": {}", ShownText(reason)));
    }
    format!("{}\n", red(&said))
}

/// A role, and those that delegated on the way to it, as far as they are among `roles`.
fn way_to<'a>(role: &'a RoleShown, roles: &'a [RoleShown]) -> impl Iterator<Item = &'a RoleShown> {
    let before = |role: &&'a RoleShown| {
        let delegated = role.terminating.is_some();
        let mut above = roles.iter();
        above.find(|above| delegated && above.role == role.delegator)
    };
    std::iter::successors(Some(role), before).take(roles.len())
}

/// Whether a role was asked and did not lead to where the search ended.
fn is_in_vain(role: &RoleShown, roles: &[RoleShown]) -> bool {
    let last = roles.last();
    let mut way = last.into_iter().flat_map(|last| way_to(last, roles));
    role.terminating.is_some() && !way.any(|on_way| on_way.role == role.role)
}

/// A tree that is written from its root on, one branch below the other.
struct Tree {
    text: String,
    depth: usize,
}

impl Tree {
    /// A role that holds. One that delegated nothing further on is a side branch.
    fn role(&mut self, role: &RoleShown, shown: &Shown<'_>) {
        let roles = &shown.explanation.roles;
        let in_vain = is_in_vain(role, roles);
        // A shard hangs on a list that may itself be a side branch.
        let above = way_to(role, roles).skip(1);
        let bars = "│  ".repeat(above.filter(|above| is_in_vain(above, roles)).count());
        let terminating = match role.terminating {
            Some(true) => ", the search ends behind it",
            Some(false) | None => "",
        };
        let vain = if in_vain { ", does not list it" } else { "" };
        let name = role.role.to_string();
        self.branch_behind(
            &bars,
            &format!(
                "{} version {}{vain}{terminating}",
                name.if_supports_color(Stdout, |t| t.bold()),
                role.version
            ),
            in_vain && bars.is_empty(),
        );
        let ends = if role.expires <= shown.now {
            red(&format!("expired {}", date(role.expires, shown.now)))
        } else {
            format!("until {}", date(role.expires, shown.now))
        };
        let bar = match in_vain && bars.is_empty() {
            true => "│  ".to_owned(),
            false => bars + "   ",
        };
        self.under(&bar, &ends);
        self.under(&bar, &keys(role.threshold, &role.keyids));
        if !in_vain {
            self.depth += 1;
        }
    }

    fn files(&mut self, shown: &Shown<'_>) {
        if shown.files.is_empty() {
            let text = match shown.version {
                Some(version) => format!("no file of version {version}"),
                None => "no files".to_owned(),
            };
            self.depth += 1;
            self.branch(&red(&text));
            for (filename, removed) in shown.removed() {
                let when = date(removed.removed_at, shown.now);
                self.detail(&format!("{filename} was removed on {when}"));
            }
            let versions: Vec<String> = shown
                .versions()
                .into_iter()
                .rev()
                .take(VERSIONS_SHOWN)
                .map(ToString::to_string)
                .collect();
            if !versions.is_empty() {
                self.detail(&format!("the page lists {}", versions.join(", ")));
            }
            return;
        }
        self.depth += 1;
        let last = shown.files.len() - 1;
        for (i, file) in shown.files.iter().enumerate() {
            self.branch_as(file.filename.as_str(), i != last);
            let bar = if i == last { "   " } else { "│  " };
            for line in about(file, shown) {
                self.under(bar, &line);
            }
        }
    }

    fn broken(&mut self, broken: &Break) {
        let at = without_controls(&broken.at);
        let word = if broken.refusal.is_unavailable() {
            "NOT TO BE HAD"
        } else {
            "REFUSED"
        };
        self.branch(&red(&format!("{at}: {word}")));
        self.detail(&without_controls(&broken.refusal.what()));
        self.detail(&format!("this can mean: {}", broken.refusal.meaning()));
        let hint = "hint:".if_supports_color(Stdout, |t| t.cyan()).to_string();
        self.detail(&format!("{hint} {}", broken.refusal.next()));
    }

    fn branch(&mut self, line: &str) {
        self.branch_as(line, false);
    }

    fn branch_as(&mut self, line: &str, more: bool) {
        self.branch_behind("", line, more);
    }

    /// The same behind the bars of side branches that it hangs on.
    fn branch_behind(&mut self, bars: &str, line: &str, more: bool) {
        if self.depth > 0 {
            self.text.push_str(&"   ".repeat(self.depth - 1));
            self.text.push_str(bars);
            self.text.push_str(if more { "├─ " } else { "└─ " });
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn detail(&mut self, line: &str) {
        self.under("   ", line);
    }

    /// A line below a branch; `bar` goes on to the next branch of the same parent.
    fn under(&mut self, bar: &str, line: &str) {
        if self.depth > 0 {
            self.text.push_str(&"   ".repeat(self.depth - 1));
            self.text.push_str(bar);
        }
        self.text.push_str("  ");
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn keys(threshold: u32, keyids: &[KeyId]) -> String {
    let ids: Vec<String> = keyids.iter().map(short).collect();
    let noun = if keyids.len() == 1 { "key" } else { "keys" };
    format!(
        "{threshold} of {} {noun} must sign: {}",
        keyids.len(),
        ids.join(", ")
    )
}

fn short(keyid: &KeyId) -> String {
    let text = without_controls(keyid.as_str());
    match text.char_indices().nth(KEYID_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn about(file: &PageFile, shown: &Shown<'_>) -> Vec<String> {
    let sha256 = file.sha256().map(|digest| digest.to_string());
    let size = match file.size {
        Some(size) => format!("{size} bytes"),
        None => "size not signed".to_owned(),
    };
    let mut lines = vec![format!(
        "sha256 {}, {size}",
        sha256
            .as_deref()
            .unwrap_or("not signed: it will be refused")
    )];
    if let Some(sha512) = file.hashes.get("sha512") {
        lines.push(format!("sha512 {sha512}"));
    }
    if let Some(refusal) = shown.refused.get(file.filename.as_str()) {
        lines.push(red(&format!(
            "REFUSED: {}",
            without_controls(&refusal.what())
        )));
        lines.push(format!("this can mean: {}", refusal.meaning()));
    }
    if let Some(time) = file.upload_time {
        lines.push(format!("uploaded {}", date(time, shown.now)));
    }
    if let Some(marks) = &file.wheelmark {
        lines.push(format!(
            "signed {}, first on {}",
            mark(marks.signed),
            date(marks.signed_at, shown.now)
        ));
        if let Some(at) = marks.adopted_at {
            let at = date(at, shown.now);
            lines.push(format!(
                "adopted {at}, when the project was claimed: nobody compared it"
            ));
        }
    }
    match &file.yanked {
        Yanked::No => {}
        Yanked::Yes => lines.push(red("yanked, without a reason")),
        Yanked::Because(reason) => {
            lines.push(red(&format!("yanked: {}", ShownText(reason))));
        }
    }
    lines
}

/// The two answers to "how sure are we of a file?".
fn answers(shown: &Shown<'_>) -> String {
    let Some(chain) = shown.chain() else {
        return String::new();
    };
    let claim = shown.claim().map(|claim| claimed(claim, shown));
    let claim = claim.unwrap_or_default();
    format!(
        "
Who vouches for it
  chain       {}
{claim}  provenance  not looked at: `--policy` holds the files against what you ask of them
",
        chain.to_string().if_supports_color(Stdout, |t| t.green())
    )
}

/// Whose keys sign for the project, in lines of their own.
fn claimed(claim: &Claim, shown: &Shown<'_>) -> String {
    let (sealed, since) = match claim.sealed {
        true => ("sealed by the offline role claimed", claim.marks.sealed_at),
        false => ("claimed, not yet sealed", claim.marks.claimed_at),
    };
    let since = since.map(|at| format!(" since {at}"));
    let keys_since = claim
        .marks
        .keys_since
        .map(|at| format!(", by these keys since {at}"));
    let mut text = format!(
        "  signed by   {} of {} keys, {sealed}{}{}\n",
        claim.threshold,
        claim.keys.len(),
        since.unwrap_or_default(),
        keys_since.unwrap_or_default()
    );
    if let Some(floor) = claim.marks.floor {
        text.push_str(&format!(
            "              version {} of its role; none before {floor} counts\n",
            claim.version
        ));
    }
    for id in &claim.keys {
        let whose = claim.maintainers.get(id);
        let whose = whose.map(|user| format!(" ({})", ShownText(user)));
        let id: String = id.chars().take(16).collect();
        text.push_str(&format!(
            "              {}…{}\n",
            ShownText(&id),
            whose.unwrap_or_default()
        ));
    }
    text.push_str(&format!(
        "  holds       until {}\n",
        date(claim.expires, shown.now)
    ));
    if ends_soon(claim.expires, shown.now) {
        let said = format!(
            "it ends soon, and everybody refuses the project then: its people renew it \
             (`wheelmark project renew {}`)",
            project(shown)
        );
        text.push_str(&format!("              {}\n", red(&said)));
    }
    text
}

fn red(text: &str) -> String {
    text.if_supports_color(Stdout, |t| t.red()).to_string()
}
