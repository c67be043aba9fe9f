//! The public notice that a project's keys are lost: who asks, with which keys, since when.
//!
//! ```text
//! no notice ─RecoveryAsked─▶ notice ─ the delay ─▶ a release by exactly these keys (release::recovery)
//!               ▲               │
//!               └───────────────┴ RecoveryEnded · a release by the keys of before · the end of the claim
//! ```
//!
//! It stands in what the index signs beside the page, so that everybody sees it who looks at the project.
//! Its own people say no with a release or a renewal, which takes as many keys as have to sign.

use jiff::SignedDuration;
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::RecoveryNotice;
use wheelmark_store::{NewRecovery, UserName};
use wheelmark_tuf::{KeyId, RecoveryRequest};

use super::changes::Changes;
use super::release::{Refusal, demand_recent, demand_suitable};
use super::taken_away::demand_short;
use crate::handed::said;
use crate::lifetimes::whole_seconds;
use crate::roles;

/// For how long notices stand before other keys can take a project over, where nothing else is said.
pub const USUAL_RECOVERY_DELAY: SignedDuration = SignedDuration::from_hours(14 * 24);

/// How long a request may be under way.
const LONGEST_ASKING: SignedDuration = SignedDuration::from_hours(1);

impl Changes<'_> {
    /// Writes the notice, if the request holds and none stands for other keys.
    pub(super) fn ask_recovery(&mut self, asked: &NewRecovery) -> Result<(), String> {
        let project = &asked.project;
        if !self.takes_claims || self.recovery_delay.is_none() {
            return Err(said(&Refusal::NotTaken));
        }
        if !self.is_claimed(project) {
            return Err(format!("{project}: {}", Refusal::NotClaimed));
        }
        let told = |refusal: &dyn std::error::Error| format!("{project}: {}", said(refusal));
        let file = asked.request.to_string();
        let role = roles::project_role(project);
        let request =
            RecoveryRequest::read(file.as_bytes(), &role).map_err(|error| told(&error))?;
        demand_recent("its request", request.made_at, self.now, LONGEST_ASKING)
            .and_then(|()| demand_suitable(self.state, request.to.keys().values(), &[]))
            .map_err(|refusal| told(&refusal))?;
        let by: UserName = asked
            .by
            .parse()
            .map_err(|_| format!("{project}: who asks for it is no user"))?;
        demand_short(project)?;
        let notice = RecoveryNotice {
            since: whole_seconds(self.now),
            keyids: request
                .to
                .keys()
                .keys()
                .map(|id: &KeyId| id.as_str().to_owned())
                .collect(),
            threshold: request.to.threshold(),
            by: by.as_str().to_owned(),
        };
        let draft = self.taken_from(project);
        match &draft.list().recovery {
            Some(known) if known.keyids == notice.keyids && known.threshold == notice.threshold => {
                Ok(())
            }
            Some(known) => Err(format!(
                "{project}: {} asks since {} for other keys: take that back first (wheelmark project recover {project} --withdraw)",
                known.by, known.since
            )),
            None => {
                tracing::warn!(%project, by = notice.by, "the keys of a claimed project are said to be lost");
                draft.edit().recovery = Some(notice);
                Ok(())
            }
        }
    }

    /// Takes the notice away.
    pub(super) fn end_recovery(&mut self, project: &ProjectName) -> Result<(), String> {
        match self.is_claimed(project) && self.drop_notice(project) {
            true => Ok(()),
            false => Err(format!("nobody asks for other keys of {project}")),
        }
    }

    /// Whether there was a notice: whoever signs with the keys of before has not lost them.
    pub(super) fn drop_notice(&mut self, project: &ProjectName) -> bool {
        let draft = self.taken_from(project);
        let stands = draft.list().recovery.is_some();
        if stands {
            draft.edit().recovery = None;
        }
        stands
    }
}
