//! The page itself: HTML that loads nothing and runs nothing.

use jiff::Timestamp;
use wheelmark_ceremony::{Ceremony, HolderChange, Policy, Tally, Words};
use wheelmark_tuf::{KeyId, RoleName, without_controls};

/// For A4: hashes break where they have to, and no row is cut by the end of a page.
const STYLE: &str = "\
@page { size: A4; margin: 13mm 14mm }
* { box-sizing: border-box }
body { font: 9.5pt/1.35 'DejaVu Sans', Arial, sans-serif; color: #000; max-width: 182mm; margin: 6mm auto }
h1 { font-size: 15pt; margin: 0 0 1mm } h2 { font-size: 11pt; margin: 4.5mm 0 1.2mm; border-bottom: .3mm solid #000 }
table { border-collapse: collapse; width: 100% } tr { break-inside: avoid }
th, td { border: .2mm solid #888; padding: .7mm 1.4mm; text-align: left; vertical-align: top } th { background: #eee }
code { font: 8.3pt/1.3 'DejaVu Sans Mono', Consolas, monospace; overflow-wrap: anywhere }
.words { font: 700 13pt/1.5 'DejaVu Sans Mono', Consolas, monospace; white-space: pre; border: .4mm solid #000; padding: 1.5mm 3mm; margin: 1mm 0 }
.room td { height: 10.5mm } p, ul { margin: .8mm 0 } ul { padding-left: 5mm }
@media print { body { margin: 0; max-width: none } }";

/// What stands on the sheet.
pub(super) struct Sheet<'a> {
    pub(super) ceremony: &'a Ceremony,
    pub(super) tally: &'a Tally<'a>,
    pub(super) policy: &'a Policy,
    pub(super) tokens: &'a [(String, String)],
    pub(super) printed: Timestamp,
}

/// Somebody whose keys count before the ceremony or after it.
pub(super) struct Person {
    /// As the sheet shows them.
    pub(super) name: String,
    /// By which they can be named: number, name.
    known_as: Vec<String>,
    /// What they read aloud when they made their keys, of those who come.
    words: Option<Words>,
    keys: Vec<(String, KeyId)>,
}

impl Person {
    /// Whether somebody means them.
    pub(super) fn is(&self, who: &str) -> bool {
        let who = who.to_lowercase();
        self.known_as
            .iter()
            .any(|known| known.to_lowercase() == who)
    }
}

/// Those of now, and those who come.
pub(super) fn everybody(ceremony: &Ceremony) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    for seat in ceremony.standing().seats() {
        // Roles that share a key stand together.
        let mut keys: Vec<(String, KeyId)> = Vec::new();
        for (role, id) in &seat.keys {
            match keys.iter_mut().find(|(_, known)| known == id) {
                Some((roles, _)) => roles.push_str(&format!(", {role}")),
                None => keys.push((role.to_string(), id.clone())),
            }
        }
        people.push(Person {
            name: seat.called(),
            known_as: [seat.number.to_string()]
                .into_iter()
                .chain(seat.name)
                .collect(),
            words: None,
            keys,
        });
    }
    let called: Vec<String> = people.iter().map(|person| person.name.clone()).collect();
    for change in &ceremony.plan().holders {
        let place = |seat: &usize| called.get(seat - 1).cloned().unwrap_or_default();
        let (by, what) = match change {
            HolderChange::Replace { seat, by } => {
                // The name is that of the newcomer, who may have it again.
                if let Some(person) = people.get_mut(seat - 1) {
                    person.known_as.truncate(1);
                }
                (by, format!("in place of {}", place(seat)))
            }
            HolderChange::Add(by) => (by, "joins".to_owned()),
            HolderChange::Remove { seat } => {
                if let Some(person) = people.get_mut(seat - 1) {
                    person.name.push_str(", goes");
                }
                continue;
            }
        };
        let keys = by.keyids().map(|(name, id)| (name.to_owned(), id.clone()));
        people.push(Person {
            name: format!("{}, {what}", by.name()),
            known_as: vec![by.name().to_owned()],
            words: Some(by.words()),
            keys: keys.collect(),
        });
    }
    people
}

impl Sheet<'_> {
    pub(super) fn to_html(&self) -> String {
        let id = self.ceremony.id().to_string();
        let mut html = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>Ceremony {id}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        );
        let parts = [
            self.head(&id),
            self.words(),
            self.roles(),
            self.people(),
            self.room(),
            self.afterwards(),
        ];
        html.push_str(&parts.concat());
        html.push_str("</body>\n</html>\n");
        html
    }

    fn head(&self, id: &str) -> String {
        let standing = self.ceremony.standing();
        let rows = [
            (
                "Index (its first root)",
                code(&standing.first_fingerprint().to_string()),
            ),
            (
                "Stands on",
                format!(
                    "version {} of root, {}",
                    standing.root().version,
                    code(&standing.newest_fingerprint().to_string())
                ),
            ),
            ("Begun", text(&minute(self.ceremony.plan().made_at))),
            ("Sheet made", text(&minute(self.printed))),
            (
                "Digest of everything in it",
                code(&self.ceremony.digest().to_string()),
            ),
        ];
        let mut html = format!("<h1>Ceremony {}</h1>\n<table>\n", text(id));
        for (name, value) in rows {
            html.push_str(&format!("<tr><th>{name}</th><td>{value}</td></tr>\n"));
        }
        html.push_str("</table>\n");
        html
    }

    fn words(&self) -> String {
        let words = self.ceremony.words();
        let lines: Vec<String> = words.lines().map(|line| text(&line)).collect();
        format!(
            "<h2>To read aloud</h2>\n<div class=\"words\">{}</div>\n\
             <p>Whoever began the ceremony reads; each holder types what they hear, and not what is on a screen.</p>\n",
            lines.join("\n")
        )
    }

    fn roles(&self) -> String {
        let mut html = "<h2>What is signed</h2>\n<table>\n<tr><th>Role</th><th>Version</th><th>Holds until</th><th>SHA-256 of what is signed</th></tr>\n".to_owned();
        for difference in self.ceremony.differences() {
            let payload = self.ceremony.payload(&difference.role);
            let sha256 = payload.map(|payload| payload.sha256().to_string());
            html.push_str(&format!(
                "<tr><td>{}</td><td>{} &rarr; {}</td><td>{}<br>(was {})</td><td>{}</td></tr>\n",
                text(difference.role.as_str()),
                difference.versions.0,
                difference.versions.1,
                text(&minute(difference.expires.1)),
                text(&minute(difference.expires.0)),
                code(&sha256.unwrap_or_default())
            ));
        }
        html.push_str("</table>\n");
        let differences = self.ceremony.differences();
        let changes: Vec<&String> = differences
            .iter()
            .flat_map(|difference| &difference.changes)
            .collect();
        for caution in self.ceremony.cautions() {
            html.push_str(&format!(
                "<p><strong>Note: {}.</strong></p>\n",
                text(&caution)
            ));
        }
        if changes.is_empty() {
            html.push_str("<p>No keys and no thresholds change.</p>\n");
        } else {
            html.push_str("<ul>\n");
            for change in changes {
                html.push_str(&format!("<li>{}</li>\n", text(change)));
            }
            html.push_str("</ul>\n");
        }
        html
    }

    fn people(&self) -> String {
        let root = &self.ceremony.next_root().roles.root;
        let mut html = format!(
            "<h2>Who holds which keys</h2>\n<p>After the ceremony {} of {} sign.</p>\n<table>\n\
             <tr><th>Holder</th><th>Keys, by their ids</th><th>Token</th></tr>\n",
            root.threshold,
            root.keyids.len()
        );
        for person in everybody(self.ceremony) {
            let words = person.words.iter().flat_map(Words::lines);
            let words = words.map(|line| text(&line));
            let keys = person.keys.iter().map(|(roles, id)| {
                let has_signed = self.has_signed(id);
                let mark = if has_signed { " &#10003;" } else { "" };
                format!("{}: {}{mark}", text(roles), code(id.as_str()))
            });
            let keys: Vec<String> = words.chain(keys).collect();
            let token = self.tokens.iter().rev().find(|(who, _)| person.is(who));
            html.push_str(&format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                text(&person.name),
                keys.join("<br>"),
                text(token.map_or("", |(_, token)| token))
            ));
        }
        html.push_str("</table>\n<p>&#10003; had signed when this sheet was made.</p>\n");
        html
    }

    fn has_signed(&self, id: &KeyId) -> bool {
        let payloads = self.ceremony.payloads_for(id);
        !payloads.is_empty()
            && payloads
                .iter()
                .all(|payload| self.tally.has(payload.role(), id))
    }

    fn room(&self) -> String {
        let mut html = "<h2>Signed</h2>\n<table class=\"room\">\n<tr><th>Holder</th><th>I typed the words that I heard, and they fitted; I know these keys as mine</th><th>Date</th></tr>\n".to_owned();
        for person in everybody(self.ceremony) {
            html.push_str(&format!(
                "<tr><td>{}</td><td></td><td></td></tr>\n",
                text(&person.name)
            ));
        }
        html.push_str("</table>\n");
        html
    }

    fn afterwards(&self) -> String {
        let root = RoleName::root();
        let mut lines = Vec::new();
        if let Some(payload) = self.ceremony.payload(&root) {
            lines.push(format!(
                "The newest root is then version {}, with the fingerprint {}: give this to people, and keep it for the next ceremony.",
                payload.version(),
                code(&payload.sha256().to_string())
            ));
        }
        let roles = self.ceremony.standing().roles();
        let ends = roles.iter().filter_map(|role| {
            let expires = self.ceremony.next_expiry(role)?;
            Some((self.policy.due(role, expires), expires, role))
        });
        if let Some((due, expires, role)) = ends.min() {
            lines.push(format!(
                "<strong>The next ceremony: from {} on.</strong> {} ends first, at {}.",
                text(&minute(due)),
                text(role.as_str()),
                text(&minute(expires))
            ));
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|line| format!("<p>{line}</p>\n"))
            .collect();
        format!("<h2>Afterwards</h2>\n{}", lines.concat())
    }
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn code(digits: &str) -> String {
    format!("<code>{}</code>", text(digits))
}

/// Text that came from anywhere, as HTML that shows it.
fn text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in without_controls(text).chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_is_shown_becomes_markup() {
        let shown = super::text("<b onload='x'>\u{1b}\"&amp;</b>");
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{1b}']), "{shown}");
        assert!(shown.contains("&amp;amp;"));
    }
}
