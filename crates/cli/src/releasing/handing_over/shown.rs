//! What a change of keys is, and what to mind about it, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use wheelmark_client::Claim;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{KeyId, KeySet, without_controls};

use super::Change;
use crate::releasing::Desk;

/// A change of keys as it is shown before it is signed.
pub(crate) struct Shown {
    lines: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&str> = self
            .lines
            .iter()
            .chain(&self.warnings)
            .map(|l| &**l)
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

pub(crate) fn shown(desk: &Desk, project: &ProjectName, claim: &Claim, change: &Change) -> Shown {
    let (from, to) = (&change.from, &change.to);
    let mut lines = vec![format!(
        "{project} on {}: handover {} of its keys",
        desk.urls().simple(),
        change.number
    )];
    let people = people(claim, change);
    let ids: BTreeSet<&KeyId> = from.keys().keys().chain(to.keys().keys()).collect();
    for id in ids {
        let word = match (from.keys().contains_key(id), to.keys().contains_key(id)) {
            (true, true) => "keeps  ",
            (true, false) => "removes",
            _ => "adds   ",
        };
        let whose = people.get(id.as_str()).map(|user| without_controls(user));
        let whose = whose.map(|user| format!("  ({user})")).unwrap_or_default();
        lines.push(format!("  {word}  {}{whose}", id.as_str()));
    }
    lines.push(format!(
        "{} of {} keys sign for it from now on, where {} of {} did",
        to.threshold(),
        to.keys().len(),
        from.threshold(),
        from.keys().len()
    ));
    lines.push("nothing else changes: the page and its files stay as they are".to_owned());
    Shown {
        lines,
        warnings: warnings(to, &people),
    }
}

/// Whose the keys are, by their ids, as far as it is known. Keys that come in and of which nothing is
/// said belong to whoever sends them: to the one to whom all keys at hand belong that have a name.
fn people(claim: &Claim, change: &Change) -> BTreeMap<String, String> {
    let mut people = claim.maintainers.clone();
    let held = change.held.iter().map(|key| key.signer.key().keyid());
    let mine: BTreeSet<&String> = held
        .filter_map(|id| claim.maintainers.get(id.as_str()))
        .collect();
    let me = mine
        .first()
        .filter(|_| mine.len() == 1)
        .map(|me| (*me).clone());
    for (key, whose) in change.added() {
        if let Some(whose) = whose.or(me.as_ref()) {
            people.insert(key.keyid().as_str().to_owned(), whose.clone());
        }
    }
    people
}

/// What somebody should know before they sign for these keys.
pub(crate) fn warnings(to: &KeySet, people: &BTreeMap<String, String>) -> Vec<String> {
    let mut warnings = Vec::new();
    let (count, threshold) = (to.keys().len(), to.threshold());
    if count == threshold as usize {
        warnings.push(match count {
            1 => "there is one key alone: if it is lost, nobody can publish, and if it is stolen, the thief can".to_owned(),
            _ => format!("all {count} keys have to sign: if one is lost, nobody can publish"),
        });
    }
    if threshold == 1 {
        if count > 1 {
            warnings.push("whoever has one of the keys can publish alone".to_owned());
        }
        return warnings;
    }
    let mut of_each: BTreeMap<&str, u32> = BTreeMap::new();
    for id in to.keys().keys() {
        if let Some(user) = people.get(id.as_str()) {
            *of_each.entry(user).or_default() += 1;
        }
    }
    for (user, keys) in of_each {
        if keys >= threshold {
            warnings.push(format!(
                "{} has {keys} of the keys, and can publish alone",
                without_controls(user)
            ));
        }
    }
    warnings
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;
    use wheelmark_tuf::Key;

    fn told(keys: &[(u8, &str)], threshold: u32) -> String {
        let set = keys.iter().map(|(number, _)| Key::ed25519([*number; 32]));
        let people = keys.iter().map(|(number, user)| {
            let key = Key::ed25519([*number; 32]);
            (key.keyid().as_str().to_owned(), (*user).to_owned())
        });
        let set = KeySet::new(set, threshold).unwrap();
        warnings(&set, &people.collect()).join("; ")
    }

    #[test]
    fn what_to_mind_is_said() {
        assert!(told(&[(1, "alice")], 1).contains("one key alone"));
        assert!(told(&[(1, "alice"), (2, "bob")], 1).contains("publish alone"));
        let all = told(&[(1, "alice"), (2, "bob")], 2);
        assert!(all.contains("all 2 keys have to sign") && !all.contains("publish alone"));
        let one = told(&[(1, "alice"), (2, "alice"), (3, "bob")], 2);
        assert_eq!(one, "alice has 2 of the keys, and can publish alone");
        assert_eq!(told(&[(1, "alice"), (2, "bob"), (3, "carol")], 2), "");
    }
}
