//! Where an identity token comes from.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use url::Url;
use wheelmark_attest::{IdentityToken, MAX_TOKEN_LEN, Patience, job_token};
use zeroize::Zeroizing;

use crate::commands::trust::USER_AGENT;
use crate::logging::WithHint as _;

/// Where a job of GitHub Actions asks for its token, and with which secret.
const GITHUB: (&str, &str) = (
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who you are")]
pub(super) struct TokenArgs {
    /// A file with an identity token; - is standard input
    #[arg(long, value_name = "FILE")]
    identity_token_file: Option<PathBuf>,

    /// Whom the token has to be made for. It is asked for so, and a variable with a token is named
    /// after it: SIGSTORE_ID_TOKEN
    #[arg(long, value_name = "NAME", default_value = "sigstore")]
    audience: String,
}

impl TokenArgs {
    pub(super) fn audience(&self) -> &str {
        &self.audience
    }

    /// Whether it cannot be read a second time.
    pub(super) fn is_read_once(&self) -> bool {
        self.identity_token_file
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    /// The variable that holds a token for the audience, as GitLab's jobs and other programs name it.
    fn variable(&self) -> String {
        let upper = self.audience.to_ascii_uppercase();
        let plain = upper
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        plain.chain("_ID_TOKEN".chars()).collect()
    }

    /// The token, from the first place that has one.
    pub(super) async fn find(&self) -> anyhow::Result<IdentityToken> {
        let (text, from) = self.text().await?;
        IdentityToken::parse(&text)
            .with_context(|| format!("{from} cannot be used"))
            .hint("it has three parts with dots between them, as an issuer of OpenID Connect makes it")
    }

    async fn text(&self) -> anyhow::Result<(Zeroizing<String>, String)> {
        if let Some(path) = &self.identity_token_file {
            let from = match path.as_os_str() == "-" {
                true => "what stands on standard input".to_owned(),
                false => format!("what stands in {}", path.display()),
            };
            let could_not = || format!("{from} could not be read");
            return Ok((self.read().with_context(could_not)?, from));
        }
        let variable = self.variable();
        if let Some(text) = secret(&variable)? {
            return Ok((text, format!("what stands in {variable}")));
        }
        if let (Some(url), Some(asked_with)) = (secret(GITHUB.0)?, secret(GITHUB.1)?) {
            let from = "the token of this job".to_owned();
            let url: Url = url
                .parse()
                .with_context(|| format!("{} is no URL", GITHUB.0))?;
            let audience = &self.audience;
            let patience = Patience::default();
            let token = job_token(url, &asked_with, audience, USER_AGENT, patience).await;
            let token = token
                .context("GitHub gave this job no identity token")
                .hint("try again; https://www.githubstatus.com tells how GitHub is")?;
            return Ok((token, from));
        }
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let hint = if is_set("GITHUB_ACTIONS") {
            "give the job `permissions: id-token: write`".to_owned()
        } else if is_set("GITLAB_CI") {
            format!(
                "give the job `id_tokens: {variable}: aud: {}`",
                self.audience
            )
        } else {
            format!(
                "put one into {variable}, or name a file with --identity-token-file; docs/attestations.md tells how people get one"
            )
        };
        Err(anyhow!("there is no identity token: who are you?")).hint(hint)
    }

    fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        // Of its final size from the start: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MAX_TOKEN_LEN + 1));
        let limit = u64::try_from(MAX_TOKEN_LEN)?;
        match &self.identity_token_file {
            Some(path) if path.as_os_str() != "-" => std::fs::File::open(path)?
                .take(limit)
                .read_to_string(&mut text)?,
            _ => std::io::stdin()
                .lock()
                .take(limit)
                .read_to_string(&mut text)?,
        };
        Ok(text)
    }
}

/// What a variable holds, if it is set to anything.
fn secret(name: &str) -> anyhow::Result<Option<Zeroizing<String>>> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.into_string();
    let text = text.map_err(|_| anyhow!("{name} is not text"))?;
    Ok(Some(Zeroizing::new(text)))
}

#[cfg(test)]
mod tests {
    use super::TokenArgs;

    #[test]
    fn variables_are_named_after_the_audience() {
        for (audience, variable) in [
            ("sigstore", "SIGSTORE_ID_TOKEN"),
            ("sigstore.example-2.org", "SIGSTORE_EXAMPLE_2_ORG_ID_TOKEN"),
        ] {
            let args = TokenArgs {
                identity_token_file: None,
                audience: audience.to_owned(),
            };
            assert_eq!(args.variable(), variable);
        }
    }
}
