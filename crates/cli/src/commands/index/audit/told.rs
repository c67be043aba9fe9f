//! What an audit found, for people and for scripts.

use std::collections::BTreeMap;

use indicatif::{DecimalBytes, HumanCount};
use owo_colors::{OwoColorize as _, Stream::Stdout};
use serde_json::json;
use wheelmark_mirror::Audit;
use wheelmark_tuf::without_controls;

use super::Found;
use super::against::Added;
use super::damage::Kind;
use crate::commands::up::print_line;

pub(super) fn tell(found: &Found, listed: usize, as_json: bool) -> anyhow::Result<()> {
    print_line(&match as_json {
        true => json(found, listed)?,
        false => text(found, listed),
    })
}

fn json(found: &Found, listed: usize) -> anyhow::Result<String> {
    let against = found.against.iter().map(|(name, read)| {
        let audit = read.as_ref().map(|(audit, _)| audit);
        let added = read.as_ref().and_then(|(_, added)| added.as_ref());
        json!({
            "place": name,
            "heads": audit.and_then(|audit| audit.heads),
            "counts": audit.map(|audit| audit.counts),
            "added": added.map(|added| json!({
                "by_online_key": added.online,
                "by_claims_not_sealed": added.claimed,
                "by_sealed_claims": added.sealed,
                "not_sealed": added.some.iter().take(listed).collect::<Vec<_>>(),
            })),
        })
    });
    let told = json!({
        "sound": found.is_sound(),
        "found": found.damage.len(),
        "totals": totals(found),
        "damage": found.damage.iter().take(listed).collect::<Vec<_>>(),
        "heads": found.audit.heads,
        "counts": found.audit.counts,
        "projects": found.audit.projects,
        "rows": found.rows,
        "old_pages": found.old_pages,
        "expired_roles": found.audit.stale.count,
        "ended_projects": found.audit.ended,
        "left_out": found.left_out,
        "against": against.collect::<Vec<_>>(),
    });
    Ok(told.to_string())
}

fn totals(found: &Found) -> BTreeMap<Kind, u64> {
    let mut totals = BTreeMap::new();
    for damage in &found.damage {
        *totals.entry(damage.kind).or_default() += 1;
    }
    totals
}

fn text(found: &Found, listed: usize) -> String {
    let count = found.damage.len();
    let verdict = match count {
        0 if !found.left_out.is_empty() => "not all of it could be looked at"
            .if_supports_color(Stdout, |t| t.yellow())
            .to_string(),
        0 => "sound".if_supports_color(Stdout, |t| t.green()).to_string(),
        count => format!("DAMAGED: {}", many(count as u64, "finding", "findings"))
            .if_supports_color(Stdout, |t| t.red())
            .to_string(),
    };
    let mut lines = vec![verdict];
    if let Some(heads) = &found.audit.heads {
        lines.push(format!(
            "  state     timestamp {}, snapshot {}, root {}",
            heads.timestamp, heads.snapshot, heads.root
        ));
    }
    lines.push(format!("  tree      {}", read(&found.audit)));
    if let Some(rows) = found.rows {
        let rows = many(rows, "row", "rows");
        lines.push(format!("  catalogue {rows}"));
    }
    for (name, compared) in &found.against {
        let said = match compared {
            Some((audit, _)) => read(audit),
            None => "not compared".to_owned(),
        };
        lines.push(format!("  against   {}: {said}", without_controls(name)));
        let added = compared.as_ref().and_then(|(_, added)| added.as_ref());
        lines.extend(added.and_then(|added| since(added, name)));
    }
    if found.audit.stale.count > 0 {
        let roles = many(found.audit.stale.count, "role has", "roles have");
        lines.push(format!(
            "  expired   {roles} expired: readers refuse that until it is signed anew \
             (`wheelmark index keys`)"
        ));
    }
    if found.audit.ended.count > 0 {
        let roles = many(
            found.audit.ended.count,
            "project's own role has",
            "projects' own roles have",
        );
        let names = found
            .audit
            .ended
            .roles
            .iter()
            .map(|role| role.role.as_str());
        lines.push(format!(
            "  ended     {roles} expired ({}): readers refuse these projects until their people \
             publish again, and nothing else",
            without_controls(&names.collect::<Vec<_>>().join(", "))
        ));
    }
    if found.old_pages > 0 {
        let pages = many(found.old_pages, "page", "pages");
        lines.push(format!(
            "  old       {pages} of states that are gone: `wheelmark index gc` takes them away"
        ));
    }
    for what in &found.left_out {
        lines.push(format!("  left out  {}", without_controls(what)));
    }
    for damage in found.damage.iter().take(listed) {
        let place = match damage.place.as_str() {
            "index" => String::new(),
            place => format!("{place}: "),
        };
        lines.push(format!(
            "\n  {place}{}\n    expected  {}\n    found     {}\n    do        {}",
            damage.path, damage.expected, damage.found, damage.advice
        ));
    }
    if count > listed {
        lines.push(format!(
            "\n  … and {} more: --list N lists more of them",
            count - listed
        ));
    }
    lines.join("\n")
}

/// What came since a copy was made, if anything did.
fn since(added: &Added, name: &str) -> Option<String> {
    let name = without_controls(name);
    let of = [
        (added.online, "signed for by the online key alone"),
        (added.claimed, "of claims not yet sealed"),
        (added.sealed, "of sealed claims"),
    ];
    let of = of.iter().filter(|(count, _)| *count > 0);
    let of: Vec<String> = of
        .map(|(count, what)| format!("{} {what}", HumanCount(*count)))
        .collect();
    let files = many(added.count(), "file", "files");
    let mut said = format!("  added     {files} since {name}: {}", of.join(", "));
    if added.online + added.claimed > 0 {
        said.push_str(&format!(
            "\n            (no finding: whoever has that key could have added them; \
             `wheelmark recover plan --last-good {name}` lists them with what speaks for each)"
        ));
    }
    (added.count() > 0).then_some(said)
}

fn read(audit: &Audit) -> String {
    let counts = &audit.counts;
    format!(
        "{}, {}, {}, {} read",
        many(counts.roles + 1, "targets role", "targets roles"),
        many(audit.projects, "project", "projects"),
        many(counts.files, "file", "files"),
        DecimalBytes(counts.bytes_read)
    )
}

fn many(count: u64, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{} {noun}", HumanCount(count))
}
