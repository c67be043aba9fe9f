//! What the holders are called: root says it, so that whoever holds a later ceremony, wherever that
//! is, need not know people by numbers.
//!
//! ```text
//! "_wheelmark": { "holders": { "<id of a holder's root key>": "alice" } }
//! ```
//!
//! Nothing follows from a name: signatures are counted by keys. Who has none is called by position.

use std::collections::BTreeMap;

use serde_json::Value;
use wheelmark_tuf::{KeyId, OWN_MEMBER, RoleName, Root};

use crate::holder;
use crate::plan::{HolderChange, Plan, PlanError};
use crate::standing::Standing;

/// The member of our own in root that has them.
const MEMBER: &str = "holders";

/// What holders are called, by the ids of their root keys.
pub(crate) type Names = BTreeMap<KeyId, String>;

/// The names that root has for those who sign it. What is no name is passed over.
pub(crate) fn names_in(root: &Root) -> Names {
    let own = root.extra.get(OWN_MEMBER);
    let listed = own.and_then(|own| own.get(MEMBER)?.as_object());
    let named = listed.into_iter().flatten().filter_map(|(id, name)| {
        let name = name.as_str().filter(|name| holder::is_name(name))?;
        Some((KeyId::from(id.clone()), name.to_owned()))
    });
    let signs = |id: &KeyId| root.roles.root.keyids.contains(id);
    named.filter(|(id, _)| signs(id)).collect()
}

/// The names of those who hold keys after the ceremony.
pub(crate) fn next_names(standing: &Standing, plan: &Plan) -> Result<Names, PlanError> {
    let mut names = names_in(standing.root());
    let seats = &standing.root().roles.root.keyids;
    for change in &plan.holders {
        if let HolderChange::Replace { seat, .. } | HolderChange::Remove { seat } = change
            && let Some(gone) = seat.checked_sub(1).and_then(|at| seats.get(at))
        {
            names.remove(gone);
        }
    }
    for change in &plan.holders {
        let (HolderChange::Replace { by, .. } | HolderChange::Add(by)) = change else {
            continue;
        };
        let name = by.name().to_owned();
        let is_same = |known: &String| known.to_lowercase() == name.to_lowercase();
        if names.values().any(is_same) {
            return Err(PlanError::NameTwice { name });
        }
        names.insert(by.key(&RoleName::root())?.keyid().clone(), name);
    }
    Ok(names)
}

/// Lets root say these names, and no others.
pub(crate) fn set_names(root: &mut Root, names: Names) {
    let own = root.extra.entry(OWN_MEMBER.to_owned()).or_default();
    if !own.is_object() {
        *own = Value::Object(serde_json::Map::new());
    }
    let Some(members) = own.as_object_mut() else {
        return;
    };
    let names = names.into_iter();
    let names: serde_json::Map<String, Value> = names
        .map(|(id, name)| (id.as_str().to_owned(), name.into()))
        .collect();
    match names.is_empty() {
        true => members.remove(MEMBER),
        false => members.insert(MEMBER.to_owned(), names.into()),
    };
    if members.is_empty() {
        root.extra.remove(OWN_MEMBER);
    }
}
