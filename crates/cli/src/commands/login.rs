//! `wheelmark login` and `wheelmark logout`: the token of an index that is not open to everybody.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, anyhow};
use wheelmark_client::{
    Credential, Credentials, FetchError, IndexUrls, Keeping, KeptCredential, Realm, TOKEN_USER,
    forget_credential, keep_credential,
};
use zeroize::Zeroizing;

use crate::commands::up::print_line;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::remote::{KEYRING, anonymous, explained};

/// Longest token that is read, in bytes; ours have 68.
const MAX_TOKEN_LEN: u64 = 4096;

/// Keep the token of a private index, for everything that wheelmark reads from it
///
/// The token is asked for without being shown, or read from standard input or a file. It is tried
/// first, and kept in a file that only you can read. It is sent to that index alone, and never
/// stands in a URL, a lock file or a report.
///
///   wheelmark login URL
///   wheelmark login URL --token-file token
///   secret-tool lookup index example | wheelmark login URL
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct LoginArgs {
    /// The index's simple URL
    url: String,

    /// A file with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The user name that goes with it
    #[arg(long, value_name = "NAME", default_value = TOKEN_USER)]
    user: String,

    /// Keep the token with the program `keyring` (as pip and uv ask it), and not in a file
    #[arg(long)]
    keyring: bool,
}

/// Forget the token of an index
///
/// The token stays good: whoever runs the index can revoke it.
///
///   wheelmark logout URL
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct LogoutArgs {
    /// The index's simple URL
    url: String,
}

pub(crate) async fn login(args: LoginArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let index = IndexUrls::new(&args.url, None, None)?.simple().clone();
    let realm = Realm::of_index(index.as_str()).hint("an index that wants a token needs https")?;
    let credential = Credential {
        user: args.user,
        secret: token(args.token_file.as_deref(), &index)?,
    };
    if credential.user.contains(':') || credential.user.chars().any(char::is_control) {
        return Err(anyhow!("a user name has no colon and no control character")).hint(format!(
            "the name that goes with every token is {TOKEN_USER}"
        ));
    }

    let mut credentials = Credentials::default();
    credentials.add(realm, credential.clone());
    try_out(&index, credentials).await?;

    let keeping = if args.keyring {
        into_keyring(&index, &credential)?;
        Keeping::Keyring {
            user: credential.user,
        }
    } else {
        Keeping::Here(credential)
    };
    let place = match &keeping {
        Keeping::Here(_) => context.home.join(wheelmark_client::CREDENTIALS_FILE),
        Keeping::Keyring { .. } => PathBuf::from("the keyring"),
    };
    let kept = KeptCredential {
        index: index.clone(),
        keeping,
    };
    keep_credential(&context.home, &kept).map_err(explained)?;
    print_line(&format!(
        "The token for {index} is kept in {}.",
        place.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Tries a token before it is kept; where that tells nothing, the person is told so.
async fn try_out(index: &url::Url, credentials: Credentials) -> anyhow::Result<()> {
    let remote = anonymous()?.with_credentials(credentials);
    match remote.stated_length(index).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Err(anyhow!(
                "there is no index at {index}; the token was not kept"
            ))
            .hint("give the simple URL, as pip and uv take it");
        }
        Err(error @ FetchError::Unauthorised { .. }) => {
            return Err(error)
                .context("the token was not kept")
                .hint("is it whole, not expired and not revoked? Whoever runs the index sees: wheelmark index token list");
        }
        Err(error) => {
            tracing::warn!(%error, "the token could not be tried; it is kept all the same");
            return Ok(());
        }
    }
    // Some indexes say to those without a token that they are not there.
    if let Ok(Some(_)) = anonymous()?.stated_length(index).await {
        tracing::warn!(
            "the index is open to everybody at the moment, so the token could not be tried"
        );
    }
    Ok(())
}

pub(crate) async fn logout(args: LogoutArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let index = IndexUrls::new(&args.url, None, None)?.simple().clone();
    let forgotten = forget_credential(&context.home, &index).map_err(explained)?;
    let forgotten = forgotten
        .ok_or_else(|| anyhow!("no token is kept for {index}"))
        .hint("a token in your netrc is not kept by wheelmark: remove it there")?;
    if let Keeping::Keyring { user } = &forgotten.keeping {
        let deleted = Command::new(KEYRING)
            .args(["del", index.as_str(), user])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        if !deleted.is_ok_and(|status| status.success()) {
            tracing::warn!("the keyring did not delete the token; it may have been deleted before");
        }
    }
    print_line(&format!(
        "The token for {index} is forgotten. It is still good: whoever runs the index can revoke it."
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the token from where it is given.
pub(crate) fn token(file: Option<&Path>, index: &url::Url) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let stdin = std::io::stdin();
    if let Some(path) = file {
        let could_not = || format!("could not read {}", path.display());
        let file = std::fs::File::open(path).with_context(could_not)?;
        file.take(MAX_TOKEN_LEN + 1)
            .read_to_string(&mut text)
            .with_context(could_not)?;
    } else if stdin.is_terminal() {
        let mut err = std::io::stderr().lock();
        write!(err, "Token for {index}: ")?;
        err.flush()?;
        // Without showing what is typed or pasted.
        *text = console::Term::stderr().read_secure_line()?;
    } else {
        let stdin = stdin.lock().take(MAX_TOKEN_LEN + 1);
        std::io::Read::read_to_string(&mut { stdin }, &mut text)
            .context("could not read the token from standard input")?;
    }
    let token = Zeroizing::new(text.trim().to_owned());
    let too_long = text.len() as u64 > MAX_TOKEN_LEN;
    if too_long || token.is_empty() || token.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(anyhow!("that is no token")).hint(
            "a token is one word, such as wmk_…; whoever runs the index makes one: wheelmark index token create --user NAME --scope read",
        );
    }
    Ok(token)
}

/// Hands the token to the keyring on its standard input, as pip does.
fn into_keyring(index: &url::Url, credential: &Credential) -> anyhow::Result<()> {
    let mut child = Command::new(KEYRING)
        .args(["set", index.as_str(), &credential.user])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("the program `{KEYRING}` could not be run"))
        .hint(
            "install it (pip install keyring), or leave --keyring out to keep the token in a file",
        )?;
    if let Some(mut stdin) = child.stdin.take() {
        let line = Zeroizing::new(format!("{}\n", credential.secret.as_str()));
        stdin.write_all(line.as_bytes())?;
    }
    if child.wait()?.success() {
        return Ok(());
    }
    Err(anyhow!("the keyring did not keep the token"))
        .hint("leave --keyring out to keep it in a file that only you can read")
}
