//! Sending what was signed, and finding out what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::json;
use wheelmark_client::{Answered, FetchError, VerifiedPage};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{Key, without_controls};

use super::staged::staged_url;
use super::{Desk, Entry, LocalFile, Next};
use crate::logging::WithHint as _;

/// For how long it is looked whether something was published whose answer did not come.
const LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// The keys that a claim registers, and how many of them have to sign.
pub(crate) struct StatedKeys<'a> {
    pub(crate) keys: &'a [Key],
    /// Whose they are, by their ids; those of whoever sends it are not named.
    pub(crate) maintainers: &'a BTreeMap<String, String>,
    pub(crate) threshold: u32,
    pub(crate) how: Registering,
}

/// Why keys are registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registering {
    /// Nobody's keys signed for the project until now.
    Claim,
    /// Those that did are all lost.
    Recovery,
}

/// Which keys come in, each with whose it is, and which go.
pub(crate) struct StatedChange<'a> {
    pub(crate) added: Vec<(&'a Key, Option<String>)>,
    pub(crate) removed: Vec<String>,
}

/// A release on its way.
pub(crate) struct Sending<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) next: &'a Next,
    pub(crate) metadata: Vec<u8>,
    pub(crate) claim: Option<StatedKeys<'a>>,
    pub(crate) keys: Option<StatedChange<'a>>,
    pub(crate) files: &'a [&'a LocalFile],
}

/// What became of a release.
pub(crate) enum Outcome {
    /// It is published, and was read back as it was signed.
    Published(std::sync::Arc<VerifiedPage>),
    /// It waits at the index for the signatures of others.
    Waiting(Box<Entry>),
    /// Somebody else was faster: it has to be built anew on what is there.
    Overtaken,
}

/// What an index says of a refusal.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    hint: String,
}

/// What an index says in place of what was asked of it.
pub(super) fn refused<T>(answer: &Answered, otherwise: &str) -> anyhow::Result<T> {
    let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
    let hint = problem.map(|problem| without_controls(&problem.hint));
    let hint = hint.filter(|hint| !hint.is_empty());
    Err(anyhow!("{}", told(answer))).hint(hint.unwrap_or_else(|| otherwise.to_owned()))
}

fn told(answer: &Answered) -> String {
    let problem: Option<Problem> = serde_json::from_slice(&answer.body).ok();
    match &problem {
        Some(problem) if !problem.detail.is_empty() => {
            without_controls(&format!("{}: {}", problem.title, problem.detail))
        }
        _ => format!("the index answered {}", answer.status),
    }
}

fn stated_key(key: &Key, whose: Option<&String>) -> serde_json::Value {
    let mut stated = json!({"keyid": key.keyid().as_str(), "key": key.to_value()});
    if let Some(whose) = whose {
        stated["maintainer"] = whose.as_str().into();
    }
    stated
}

impl Sending<'_> {
    /// Sends it to be kept until others have signed it, too.
    pub(crate) async fn stage(self, desk: &Desk) -> anyhow::Result<Outcome> {
        let url = staged_url(desk, self.project, &[])?;
        let answer = desk.remote.post(&url, self.form().await?).await;
        let answer = answer
            .context("whether it arrived is not known")
            .hint(format!("look: wheelmark release list {}", self.project))?;
        match answer.status {
            200 => self.look(desk, 2).await,
            202 => {
                let entry = serde_json::from_slice(&answer.body);
                Ok(Outcome::Waiting(Box::new(
                    entry.context("the index says nothing of what waits there")?,
                )))
            }
            _ if self.is_overtaken(desk).await? => Ok(Outcome::Overtaken),
            _ => refused(
                &answer,
                "nothing of it is kept; put right what it says, and try again",
            ),
        }
    }

    /// Sends it, and reads back what is published then.
    pub(crate) async fn send(self, desk: &Desk) -> anyhow::Result<Outcome> {
        let url = desk
            .urls()
            .simple()
            .join(&format!("../_/projects/{}/release", self.project))?;
        let form = self.form().await?;
        let answer = match desk.remote.post(&url, form).await {
            Ok(answer) => answer,
            Err(error @ (FetchError::Connect { .. } | FetchError::Client(_))) => {
                return Err(error).context("nothing was sent");
            }
            // What became of it is found out below.
            Err(error) => {
                tracing::warn!(error = %error, "the answer did not come; looking what became of it");
                return self.look(desk, LOOKS).await;
            }
        };
        if answer.status == 200 {
            return self.look(desk, 2).await;
        }
        if answer.status == 503 {
            tracing::warn!("{}; looking what becomes of it", told(&answer));
            return self.look(desk, LOOKS).await;
        }
        if self.is_overtaken(desk).await? {
            return Ok(Outcome::Overtaken);
        }
        refused(
            &answer,
            "nothing of it is published; put right what it says, and try again",
        )
    }

    async fn form(&self) -> anyhow::Result<Form> {
        let mut stated = serde_json::Map::new();
        if let Some(claim) = &self.claim {
            let keys = claim.keys.iter().map(|key| {
                let whose = claim.maintainers.get(key.keyid().as_str());
                stated_key(key, whose)
            });
            let keys: Vec<_> = keys.collect();
            let name = match claim.how {
                Registering::Claim => "claim",
                Registering::Recovery => "recovers",
            };
            let claim = json!({"keys": keys, "threshold": claim.threshold});
            stated.insert(name.to_owned(), claim);
        }
        if let Some(change) = &self.keys {
            let added = change.added.iter();
            let added = added.map(|(key, whose)| stated_key(key, whose.as_ref()));
            let added: Vec<_> = added.collect();
            let change = json!({"added": added, "removed": change.removed});
            stated.insert("keys".to_owned(), change);
        }
        let mut form = Form::new()
            .text("release", serde_json::Value::from(stated).to_string())
            .part("metadata", Part::bytes(self.metadata.clone()))
            .part("page", Part::bytes(self.next.page.clone()));
        for file in self.files {
            let opened = tokio::fs::File::open(&file.path).await;
            let opened =
                opened.with_context(|| format!("{} cannot be read", file.path.display()))?;
            let part = Part::stream_with_length(Body::from(opened), file.released.size);
            let name = file.released.filename.as_str().to_owned();
            form = form.part("content", part.file_name(name));
        }
        Ok(form)
    }

    /// Looks whether it is published, as an installer would.
    async fn look(&self, desk: &Desk, times: u32) -> anyhow::Result<Outcome> {
        look(desk, self.project, self.next, times).await
    }

    /// Whether the project has a newer version than this was built on.
    async fn is_overtaken(&self, desk: &Desk) -> anyhow::Result<bool> {
        let page = desk.page_to_build_on(self.project).await?;
        let version = page
            .filter(|page| page.claim().is_some())
            .and_then(|page| page.role_version());
        Ok(version.is_some_and(|version| version >= self.next.role.version))
    }
}

/// Looks whether `next` is published, as an installer would.
pub(crate) async fn look(
    desk: &Desk,
    project: &ProjectName,
    next: &Next,
    times: u32,
) -> anyhow::Result<Outcome> {
    for look in 0..times {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let page = desk.page(project).await?;
        let Some(page) = page.filter(|page| page.claim().is_some()) else {
            continue;
        };
        let version = page.role_version().unwrap_or_default();
        if *page.signed_sha256() == next.page_sha256() && version == next.role.version {
            return Ok(Outcome::Published(page));
        }
        if version >= next.role.version {
            return Ok(Outcome::Overtaken);
        }
    }
    Err(anyhow!("it was sent, and is not published yet")).hint(
        "look again in a moment: wheelmark explain PROJECT; to publish the same once more does no harm",
    )
}
