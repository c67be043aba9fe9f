//! The keys with which somebody signs for a project.

use std::collections::BTreeSet;

use anyhow::anyhow;
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{KeyId, without_controls};

use crate::commands::ceremony::signer::{Choice, Opening, Passphrase, Secrets, SignerArg, parsed};
use crate::logging::WithHint as _;

/// What such a key is called: in a file; on a token or in an agent with `wheelmark-` before it.
pub(crate) const DEVELOPER: &str = "developer";

fn places(texts: &[String], passphrase: &Passphrase) -> anyhow::Result<Vec<SignerArg>> {
    let signers = parsed(texts, passphrase)?;
    match signers.iter().find_map(|signer| signer.name) {
        Some(name) => Err(anyhow!("`{name}=` is for the offline keys of an index"))
            .hint("say where the key is: --signer file:me.age, ssh:, pkcs11:… or command:…"),
        None => Ok(signers),
    }
}

/// A place with the user whose key is there, as in `bob=file:bob.age`; nobody where none is named.
pub(crate) fn of_user(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        // What stands before it in a URI has a scheme.
        Some((user, uri)) if !user.contains(':') => (Some(user), uri),
        _ => (None, text),
    }
}

/// One key from each place, to be registered for a project. On a token that has none, one is made.
pub(crate) fn to_claim(
    signers: &[String],
    passphrase: &Passphrase,
) -> anyhow::Result<Vec<HeldKey>> {
    let places = places(signers, passphrase)?;
    let mut opening = Opening::new(Secrets::new(passphrase)).making(None, true);
    let mut keys = Vec::with_capacity(places.len());
    for place in &places {
        keys.extend(opening.keys(&place.uri, &[DEVELOPER], &Choice::Enrol)?);
    }
    Ok(distinct(keys))
}

/// Those keys in these places that sign for a project.
pub(crate) fn to_sign(
    signers: &[String],
    passphrase: &Passphrase,
    of_project: &BTreeSet<String>,
) -> anyhow::Result<Vec<HeldKey>> {
    let places = places(signers, passphrase)?;
    let wanted = |id: &KeyId| of_project.contains(id.as_str());
    let mut opening = Opening::new(Secrets::new(passphrase));
    let mut keys = Vec::new();
    for place in &places {
        keys.extend(opening.keys(&place.uri, &[DEVELOPER], &Choice::Sign(&wanted))?);
    }
    if !keys.is_empty() {
        return Ok(distinct(keys));
    }
    let refused = without_controls(&opening.refused().join("; "));
    Err(anyhow!("none of these keys signs for the project")).hint(match refused.is_empty() {
        true => "`wheelmark explain PROJECT` shows the ids of the keys that do".to_owned(),
        false => format!("keys that cannot be used: {refused}"),
    })
}

/// Each key once.
pub(crate) fn distinct(keys: Vec<HeldKey>) -> Vec<HeldKey> {
    let mut distinct: Vec<HeldKey> = Vec::with_capacity(keys.len());
    for key in keys {
        let id = key.signer.key().keyid();
        if !distinct
            .iter()
            .any(|known| known.signer.key().keyid() == id)
        {
            distinct.push(key);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::of_user;

    #[test]
    fn a_user_stands_before_a_place() {
        let uri = "pkcs11:token=me?module-path=/usr/lib/x.so";
        assert_eq!(of_user(uri), (None, uri));
        assert_eq!(of_user("bob=file:b=c.age"), (Some("bob"), "file:b=c.age"));
        assert_eq!(of_user("ssh:"), (None, "ssh:"));
        let both = format!("bob={uri}");
        assert_eq!(of_user(&both), (Some("bob"), uri));
    }
}
