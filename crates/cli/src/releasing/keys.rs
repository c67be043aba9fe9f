//! The keys with which somebody signs for a project.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Deserialize;
use wheelmark_signing::HeldKey;
use wheelmark_tuf::{Key, KeyId, without_controls};

use crate::commands::ceremony::signer::{Choice, Opening, Passphrase, Secrets, SignerArg, parsed};
use crate::logging::WithHint as _;

/// What such a key is called: in a file; on a token or in an agent with `wheelmark-` before it.
pub(crate) const DEVELOPER: &str = "developer";

/// Longest file with the public half of a key, in bytes: that of an RSA key has a thousand.
const MAX_PUBLIC_LEN: u64 = 16 * 1024;

/// The public half of a key, in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicHalf {
    keyid: String,
    /// As TUF metadata states it.
    key: serde_json::Value,
}

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

/// The file with the public half of a key that is somewhere else, as in `public:bob.key`; none for a place
/// where a key itself is.
pub(crate) fn public_file(uri: &str) -> Option<&Path> {
    uri.strip_prefix("public:").map(Path::new)
}

/// Reads the public half of a key, as `wheelmark project keys public` writes it.
pub(crate) fn read_public(file: &Path) -> anyhow::Result<Key> {
    let shown = file.display();
    let opened = std::fs::File::open(file).with_context(|| format!("{shown} cannot be read"))?;
    let mut text = Vec::new();
    opened.take(MAX_PUBLIC_LEN).read_to_end(&mut text)?;
    let read: Option<PublicHalf> = serde_json::from_slice(&text).ok();
    let key = read.and_then(|read| {
        let key = Key::from_value(read.key).ok()?;
        (key.is_plain() && key.keyid().as_str() == read.keyid).then_some(key)
    });
    key.ok_or_else(|| anyhow!("{shown} is not the public half of a key, under its id"))
        .hint("whoever has the key makes the file: wheelmark project keys public --signer URI --out FILE")
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
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_public_half_of_a_key_is_read_under_its_id_alone() {
        let key = Key::ed25519([7; 32]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bob.key");
        let mut told = json!({"keyid": key.keyid().as_str(), "key": key.to_value()});
        std::fs::write(&file, told.to_string()).unwrap();
        let uri = format!("public:{}", file.display());
        assert_eq!(read_public(public_file(&uri).unwrap()).unwrap(), key);
        assert_eq!(public_file("file:bob.key"), None);
        told["keyid"] = Key::ed25519([8; 32]).keyid().as_str().into();
        std::fs::write(&file, told.to_string()).unwrap();
        assert!(read_public(&file).is_err());
    }

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
