//! HTTP towards indexes, with the credentials that the person has for them.

use std::process::{Command, Stdio};

use url::Url;
use wheelmark_client::{
    Credential, Credentials, CredentialsError, Keeping, Realm, Remote, kept_credentials,
};
use wheelmark_tuf::without_controls;
use zeroize::Zeroizing;

use crate::commands::trust::USER_AGENT;
use crate::context::Context;
use crate::logging::Hinted;

/// The program that stands for the system's keyring, to pip and to uv as well.
pub(crate) const KEYRING: &str = "keyring";

/// A remote that knows what private indexes are to be told: what `wheelmark login` keeps, and the
/// person's netrc. For URLs that the person's own settings are made of.
pub(crate) fn remote(context: &Context) -> anyhow::Result<Remote> {
    Ok(anonymous()?.with_credentials(credentials(context)))
}

/// The same for URLs that a source names, links to and redirects to: what is known goes to the
/// source itself alone. Anything else could have the person's other passwords fetch files for it.
pub(crate) fn remote_of_source(source: &str, context: &Context) -> anyhow::Result<Remote> {
    match Url::parse(source) {
        Ok(url) => Ok(anonymous()?.with_credentials(credentials(context).confined_to(&url))),
        Err(_) => anonymous(),
    }
}

/// A remote that signs in nowhere.
pub(crate) fn anonymous() -> anyhow::Result<Remote> {
    Ok(Remote::new(USER_AGENT)?)
}

/// What is known. What cannot be read is told and left out: most indexes want none of it.
pub(crate) fn credentials(context: &Context) -> Credentials {
    let mut credentials = Credentials::default();
    let kept = kept_credentials(&context.home).unwrap_or_else(|error| {
        tell(&error);
        Vec::new()
    });
    for kept in kept {
        let realm = match Realm::of_index(kept.index.as_str()) {
            Ok(realm) => realm,
            Err(error) => {
                tracing::warn!(%error, "a token that is kept is not used");
                continue;
            }
        };
        match kept.keeping {
            Keeping::Here(credential) => credentials.add(realm, credential),
            Keeping::Keyring { user } => {
                credentials.add_asked(realm, move || from_keyring(&kept.index, &user));
            }
        }
    }
    if let Some(netrc) = &context.netrc
        && let Err(error) = credentials.add_netrc(netrc)
    {
        tell(&error);
    }
    credentials
}

fn tell(error: &CredentialsError) {
    let hint = hint_on(error).map(|hint| format!("; {hint}"));
    let text = format!("{error}{}", hint.unwrap_or_default());
    tracing::warn!("no token of it is used: {}", without_controls(&text));
}

/// What the program `keyring` has under an index's URL and a name.
fn from_keyring(index: &Url, user: &str) -> Option<Credential> {
    let asked = Command::new(KEYRING)
        .args(["get", index.as_str(), user])
        .stdin(Stdio::null())
        .output();
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            tracing::warn!(%error, %index, "the program `{KEYRING}`, which keeps its token, could not be run");
            return None;
        }
    };
    let out = Zeroizing::new(asked.stdout);
    let secret = std::str::from_utf8(&out).unwrap_or_default();
    let secret = secret.trim_end_matches(['\r', '\n']);
    if !asked.status.success() || secret.is_empty() {
        tracing::warn!(%index, "the keyring has no token for it, or is locked");
        return None;
    }
    Some(Credential {
        user: user.to_owned(),
        secret: Zeroizing::new(secret.to_owned()),
    })
}

/// An error about what is kept, with what to do.
pub(crate) fn explained(error: CredentialsError) -> anyhow::Error {
    match hint_on(&error) {
        Some(hint) => anyhow::Error::from(error).context(Hinted { hint }),
        None => error.into(),
    }
}

fn hint_on(error: &CredentialsError) -> Option<String> {
    match error {
        CredentialsError::Exposed { path } => Some(format!(
            "others may have read the tokens in it: have them revoked, log in anew, and chmod 600 {}",
            path.display()
        )),
        CredentialsError::Malformed { path, .. } => Some(format!(
            "correct {}, or remove it and log in anew",
            path.display()
        )),
        CredentialsError::Io { .. } => None,
    }
}
