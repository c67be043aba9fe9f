//! Which key in each place is meant: by its name when a holder enrols, by its id when one signs.

use anyhow::anyhow;
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{KeyId, without_controls};

use crate::logging::WithHint as _;

/// What is looked for.
pub(crate) enum Choice<'a> {
    /// One key for each name.
    Enrol,
    /// The keys that a ceremony asks for.
    Sign(&'a dyn Fn(&KeyId) -> bool),
}

/// A key in some place, as far as it can be used.
pub(super) struct Candidate {
    /// What its owner calls it.
    pub(super) label: String,
    /// How messages call it.
    pub(super) shown: String,
    pub(super) key: anyhow::Result<HeldKey>,
}

/// The label under which a place that is not ours has a holder's key.
pub(crate) fn label_of(name: &str) -> String {
    format!("wheelmark-{name}")
}

/// The keys of a place that a ceremony asks for, and why others there are of no use.
pub(super) fn asked_for(
    candidates: Vec<Candidate>,
    wanted: &dyn Fn(&KeyId) -> bool,
) -> (Vec<HeldKey>, Vec<String>) {
    let (mut keys, mut refused) = (Vec::new(), Vec::new());
    for candidate in candidates {
        match candidate.key {
            Ok(key) if wanted(key.signer.key().keyid()) => keys.push(key),
            Ok(_) => {}
            Err(why) => refused.push(format!("{}: {why:#}", candidate.shown)),
        }
    }
    (keys, refused)
}

/// The one key that has the label of `name`; none if nothing has.
pub(super) fn labelled(
    candidates: &mut Vec<Candidate>,
    name: &str,
    place: &str,
) -> anyhow::Result<Option<HeldKey>> {
    let label = label_of(name);
    let fits = |candidate: &Candidate| candidate.label == label;
    if candidates.iter().filter(|found| fits(found)).count() > 1 {
        return Err(anyhow!("{place} has more than one key named {label}")).hint(format!(
            "name the one that is meant by itself: --signer {name}=…"
        ));
    }
    match candidates.iter().position(fits) {
        Some(at) => candidates.swap_remove(at).key.map(Some),
        None => Ok(None),
    }
}

/// The one key that a URI names by itself, for exactly one name.
pub(super) fn the_one(
    mut candidates: Vec<Candidate>,
    names: &[&'static str],
    place: &str,
) -> anyhow::Result<HeldKey> {
    if names.len() != 1 {
        return Err(anyhow!(
            "one key is named, and {} have to be different ones",
            names.join(", ")
        ))
        .hint("say what it is for, as in --signer root=URI, and name others for the rest");
    }
    let found: Vec<String> = candidates
        .iter()
        .map(|found| without_controls(&found.shown))
        .collect();
    match candidates.pop() {
        None => {
            Err(anyhow!("{place} has no such key")).hint("look at what is there, and name that")
        }
        Some(one) if candidates.is_empty() => one.key,
        Some(_) => Err(anyhow!(
            "{place} has more than one such key: {}",
            found.join(", ")
        ))
        .hint("name one that there is once"),
    }
}
