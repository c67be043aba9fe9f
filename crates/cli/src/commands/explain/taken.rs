//! What the index takes away from a project whose own people sign for it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_client::VerifiedPage;
use wheelmark_packaging::Version;
use wheelmark_packaging::simple::{PageFile, TakenAway, TakenFile};
use wheelmark_tuf::{Shown as ShownText, without_controls};

use super::Shown;
use super::dates::date;

/// Files named of each kind.
const FILES_SHOWN: usize = 10;

/// The list, and the page that it is about, where it says anything.
fn taken<'a>(shown: &Shown<'a>) -> Option<(&'a VerifiedPage, &'a TakenAway)> {
    let page = shown.page?;
    Some((page, page.taken_away()?))
}

/// A part of the explanation for people; empty where nothing is taken away.
pub(super) fn render(shown: &Shown<'_>) -> String {
    let Some((page, list)) = taken(shown) else {
        return String::new();
    };
    let said = |at: Timestamp, reason: Option<&str>| {
        let reason = reason.map(|reason| format!(": {}", ShownText(reason)));
        format!("on {}{}", date(at, shown.now), reason.unwrap_or_default())
    };
    let mut lines = Vec::new();
    if let Some(state) = &list.state {
        let word = without_controls(state.status.as_str());
        lines.push(format!(
            "{word} {}",
            said(state.at, state.reason.as_deref())
        ));
    }
    for (word, files) in [("withdrawn", &list.withdrawn), ("yanked", &list.yanked)] {
        let each = files.iter().take(FILES_SHOWN);
        lines.extend(each.map(|(name, file)| {
            let when = said(file.at, file.reason.as_deref());
            format!("{word} {}, {when}", without_controls(name))
        }));
        if let Some(more) = files
            .len()
            .checked_sub(FILES_SHOWN)
            .filter(|more| *more > 0)
        {
            lines.push(format!("{word}: {more} more files"));
        }
    }
    let newer = newer(page);
    if !newer.is_empty() {
        let versions: Vec<String> = newer.iter().rev().map(ToString::to_string).collect();
        let are = if newer.len() == 1 {
            "version that is newer is"
        } else {
            "versions that are newer are"
        };
        lines.push(format!(
            "{} {are} not to be had: {}",
            newer.len(),
            versions.join(", ")
        ));
    }
    if let Some(notice) = &list.recovery {
        let ids: Vec<String> = notice
            .keyids
            .iter()
            .map(|id| without_controls(id))
            .collect();
        lines.push(format!(
            "since {}, {} says that the project's keys are lost, and names others, of which {} sign: {}",
            date(notice.since, shown.now),
            without_controls(&notice.by),
            notice.threshold,
            ids.join(", ")
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("\nTaken away by the index\n  {}\n", lines.join("\n  "))
}

/// The same for scripts.
pub(super) fn value(shown: &Shown<'_>) -> Value {
    let Some((page, list)) = taken(shown) else {
        return Value::Null;
    };
    let files = |files: &BTreeMap<String, TakenFile>| -> Value {
        let each = files.iter().map(|(name, file)| {
            json!({
                "file": name,
                "sha256": file.sha256.to_string(),
                "at": file.at.to_string(),
                "reason": file.reason,
            })
        });
        each.collect()
    };
    let since = list.visible_since.iter();
    let since = since.map(|(name, at)| (name.clone(), at.to_string().into()));
    json!({
        "state": list.state.as_ref().map(|state| json!({
            "status": state.status.as_str(),
            "at": state.at.to_string(),
            "reason": state.reason,
        })),
        "withdrawn": files(&list.withdrawn),
        "yanked": files(&list.yanked),
        "visible_since": since.collect::<serde_json::Map<String, Value>>(),
        "newer_versions": newer(page).iter().map(ToString::to_string).collect::<Value>(),
        "recovery": list.recovery.as_ref().map(|notice| json!({
            "since": notice.since.to_string(),
            "keyids": notice.keyids,
            "threshold": notice.threshold,
            "by": notice.by,
        })),
    })
}

/// The versions above the highest one that is to be had, which the project's people have published.
fn newer(page: &VerifiedPage) -> BTreeSet<&Version> {
    let version = |file: &'_ PageFile| file.filename.version().clone();
    let highest = page.page().files.iter().map(version).max();
    let signed = page.as_signed().files.iter();
    let signed = signed.map(|file| file.filename.version());
    signed
        .filter(|version| highest.as_ref().is_none_or(|highest| *version > highest))
        .collect()
}
