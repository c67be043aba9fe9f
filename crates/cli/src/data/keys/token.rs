//! The online key on a token.
//!
//! The process that signs opens it when it starts and keeps the session. Nobody can be asked for the
//! PIN then: the URI names a file, or a credential, that has it.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::anyhow;
use wheelmark_signing::{Modules, Signer, Token, TokenUri};
use wheelmark_tuf::without_controls;
use zeroize::Zeroizing;

use crate::commands::ceremony::{credential_secret, secret_in};
use crate::logging::WithHint as _;

/// How the URI of a token begins.
const SCHEME: &str = "pkcs11:";

/// How many bytes the number has that ties the halves of a new key together.
const KEY_NUMBER_LEN: usize = 8;

/// The token and the key that are named, if it is no file that is.
pub(super) fn named(text: &Path) -> anyhow::Result<Option<TokenUri>> {
    let uri = text.to_str().and_then(|text| text.strip_prefix(SCHEME));
    let Some(uri) = uri else {
        return Ok(None);
    };
    let about = "name token and key: pkcs11:token=LABEL;object=KEY?module-path=/PATH&pin-source=/PATH (docs/signers.md)";
    let uri: TokenUri = uri.parse().map_err(anyhow::Error::from).hint(about)?;
    match uri.names_a_key() {
        true => Ok(Some(uri)),
        false => Err(anyhow!(
            "the URI of the online key does not say which key on the token it is"
        ))
        .hint(about),
    }
}

/// Opens the key; where there is none and it `may_make` one, makes it.
pub(super) fn open(uri: &TokenUri, may_make: bool) -> anyhow::Result<Arc<dyn Signer>> {
    let token = logged_in(uri)?;
    if let Some(key) = the_key(&token, uri)? {
        return Ok(key);
    }
    let lacks = anyhow!(
        "the token {} has no key that the URI names",
        without_controls(token.label())
    );
    let Some(label) = uri.object().filter(|_| may_make) else {
        return Err(lacks).hint("`pkcs11-tool --list-objects` shows what is there");
    };
    let mut number = [0; KEY_NUMBER_LEN];
    crate::context::fill_random(&mut number)?;
    token.make_key(label, &number, token.preferred())?;
    the_key(&token, uri)?.ok_or(lacks)
}

/// The library is started once in a process, whoever asks for a key.
fn logged_in(uri: &TokenUri) -> anyhow::Result<Token> {
    static MODULES: OnceLock<Mutex<Modules>> = OnceLock::new();
    let mut modules = MODULES
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let token = modules.open(uri).hint(
        "plug it in, or name another in the URI; `pkcs11-tool --list-slots` shows what there is",
    )?;
    let pin = match uri.pin_source() {
        _ if token.has_keypad() => None,
        Some(path) => Some(pin_in(path)?),
        None => {
            return Err(anyhow!("nobody can be asked for the PIN of the online key's token"))
                .hint("name a file that has it: ?pin-source=/PATH in the URI; under systemd, a credential (docs/signers.md)");
        }
    };
    token
        .log_in(pin.as_ref().map(|pin| pin.as_str()))
        .map_err(anyhow::Error::from)
        .hint("a token counts wrong PINs and locks itself: look before the next start")?;
    Ok(token)
}

/// The PIN in a file for its owner alone, or as the service manager hands it over.
fn pin_in(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY");
    match handed_over.is_some_and(|folder| path.starts_with(folder)) {
        true => credential_secret(path, "PIN"),
        false => secret_in(path, "PIN"),
    }
}

/// The one key that the URI names.
fn the_key(token: &Token, uri: &TokenUri) -> anyhow::Result<Option<Arc<dyn Signer>>> {
    let mut keys = token.keys(uri)?.into_iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => Ok(Some(Arc::from(key?.signer))),
        (Some(_), Some(_)) => Err(anyhow!(
            "the token {} has more than one key that the URI names",
            without_controls(token.label())
        ))
        .hint("name it by id=, too"),
    }
}
