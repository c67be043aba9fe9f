//! HTTP towards indexes, with the credentials that the person has for them.

use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow};
use wheelmark_client::{
    Credential, Credentials, CredentialsError, Keeping, KeptCredential, Realm, Remote,
    kept_credentials,
};
use zeroize::Zeroizing;

use crate::commands::trust::USER_AGENT;
use crate::context::Context;
use crate::logging::{Hinted, WithHint as _};

/// The program that stands for the system's keyring, to pip and to uv as well.
pub(crate) const KEYRING: &str = "keyring";

/// A remote that knows what private indexes are to be told: what `wheelmark login` keeps, and the
/// person's netrc.
pub(crate) fn remote(context: &Context) -> anyhow::Result<Remote> {
    Ok(Remote::new(USER_AGENT)?.with_credentials(credentials(context)?))
}

fn credentials(context: &Context) -> anyhow::Result<Credentials> {
    let mut credentials = Credentials::default();
    for kept in kept_credentials(&context.home).map_err(explained)? {
        let realm = Realm::of_index(kept.index.as_str());
        let realm =
            realm.hint("what is kept for it is not used: `wheelmark logout URL` forgets it")?;
        credentials.add(realm, opened(&kept)?);
    }
    if let Some(netrc) = &context.netrc {
        // It is other programs' file, and most runs need nothing from it.
        if let Err(error) = credentials.add_netrc(netrc) {
            tracing::warn!(error = %error, "netrc is passed over");
        }
    }
    Ok(credentials)
}

/// The credential itself, wherever its secret is.
fn opened(kept: &KeptCredential) -> anyhow::Result<Credential> {
    let user = match &kept.keeping {
        Keeping::Here(credential) => return Ok(credential.clone()),
        Keeping::Keyring { user } => user,
    };
    let index = kept.index.as_str();
    let asked = Command::new(KEYRING)
        .args(["get", index, user])
        .stdin(Stdio::null())
        .output();
    let hint = format!(
        "is the keyring open? To keep the token in a file instead: wheelmark login {index}"
    );
    let asked = asked
        .with_context(|| format!("the program `{KEYRING}` could not be run"))
        .hint(&hint)?;
    let out = Zeroizing::new(asked.stdout);
    let secret = std::str::from_utf8(&out)
        .unwrap_or_default()
        .trim_end_matches(['\r', '\n']);
    if !asked.status.success() || secret.is_empty() {
        return Err(anyhow!("the keyring has no token for {index}")).hint(hint);
    }
    Ok(Credential {
        user: user.clone(),
        secret: Zeroizing::new(secret.to_owned()),
    })
}

/// An error about what is kept, with what to do.
pub(crate) fn explained(error: CredentialsError) -> anyhow::Error {
    let hint = match &error {
        CredentialsError::Exposed { path } => format!(
            "others may have read the tokens in it: have them revoked, log in anew, and chmod 600 {}",
            path.display()
        ),
        CredentialsError::Malformed { path, .. } => {
            format!("correct {}, or remove it and log in anew", path.display())
        }
        CredentialsError::Io { .. } => return error.into(),
    };
    anyhow::Error::from(error).context(Hinted { hint })
}
