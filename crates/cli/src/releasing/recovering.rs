//! Asking an index for other keys of a project whose own are lost, and taking that back.

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use wheelmark_client::Answered;
use wheelmark_packaging::ProjectName;
use wheelmark_repository::project_role;
use wheelmark_signing::{HeldKey, Signer, sign_role};
use wheelmark_tuf::{KeySet, RecoveryRequest};

use super::Desk;
use super::sending::refused;
use crate::logging::WithHint as _;

/// Longest answer that is read, in bytes.
const MAX_ANSWER_LEN: usize = 64 * 1024;

/// What an index says to it.
#[derive(Deserialize)]
struct Told {
    /// In seconds.
    delay: u32,
}

impl Desk {
    /// Says to the index that a project's keys are lost, and has `keys`, which are those of `to`, ask to
    /// take their place; for how long everybody is to see that.
    pub(crate) async fn ask_recovery(
        &self,
        project: &ProjectName,
        to: &KeySet,
        keys: &[HeldKey],
        maintainers: &std::collections::BTreeMap<String, String>,
    ) -> anyhow::Result<SignedDuration> {
        let request = RecoveryRequest {
            role: project_role(project),
            made_at: Timestamp::from_second(self.now.as_second())?,
            to: to.clone(),
        };
        let signers: Vec<&dyn Signer> = keys.iter().map(|key| &*key.signer).collect();
        let nothing = "nothing was signed, and nothing was sent";
        let file = sign_role(&request.to_canonical(), &signers).context(nothing)?;
        RecoveryRequest::read(&file, &request.role).context("nothing was sent")?;
        let request: Value = serde_json::from_slice(&file)?;
        let stated = json!({ "request": request, "maintainers": maintainers });
        let url = self.recovery_url(project)?;
        let answer = self.remote.post_json(&url, stated.to_string().into_bytes());
        let answer = answer
            .await
            .context("whether it arrived is not known")
            .hint("give the same command once more: that does no harm")?;
        delay(&answer)
    }

    /// For how long everybody is to see that a project's keys are said to be lost, before others can take
    /// their place.
    pub(crate) async fn recovery_delay(
        &self,
        project: &ProjectName,
    ) -> anyhow::Result<SignedDuration> {
        let url = self.recovery_url(project)?;
        delay(&self.remote.look_up(&url, MAX_ANSWER_LEN).await?)
    }

    /// Takes it back.
    pub(crate) async fn end_recovery(&self, project: &ProjectName) -> anyhow::Result<()> {
        let url = self.recovery_url(project)?;
        let answer = self.remote.delete(&url).await;
        let answer = answer
            .context("whether it arrived is not known")
            .hint("look: wheelmark explain PROJECT")?;
        delay(&answer).map(drop)
    }

    fn recovery_url(&self, project: &ProjectName) -> anyhow::Result<Url> {
        let below = format!("../_/projects/{project}/recovery");
        Ok(self.urls().simple().join(&below)?)
    }
}

fn delay(answer: &Answered) -> anyhow::Result<SignedDuration> {
    if answer.status != 200 {
        return refused(answer, "look how things stand: wheelmark explain PROJECT");
    }
    let told: Told = serde_json::from_slice(&answer.body)
        .context("the index does not say for how long a notice has to stand")?;
    Ok(SignedDuration::from_secs(told.delay.into()))
}
