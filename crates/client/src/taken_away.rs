//! What the index takes away from projects whose own people sign their pages.
//!
//! ```text
//! status/<project>.json ─▶ the role `status` ─▶ listed: fetched, verified, taken away from the page
//!                              │                not listed: nothing is taken away
//!                              └─ missing, refused, expired: the page is refused
//! ```
//!
//! Whoever keeps the role from a reader keeps the page from them. What the role leaves out, its key
//! leaves out: that key is online, and the index can take back what it has taken away.

use std::sync::Arc;

use wheelmark_objects::{ObjectPath, status_target};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{MAX_TAKEN_AWAY_LEN, TakenAway};
use wheelmark_tuf::{Found, Sha256, Target};

use crate::index::Location;
use crate::page::{demand, demand_sha512};
use crate::refusal::Failure;
use crate::sources::{Sources, Wanted};
use crate::trust::TrustedIndex;
use crate::view::View;

/// The role that lists what is taken away.
const STATUS: &str = "status";

/// The list of one project, verified.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The digest of its bytes.
    pub(crate) sha256: Sha256,
    pub(crate) list: TakenAway,
}

impl View {
    /// What the index takes away from a project; `None` when its role lists nothing for it.
    pub(crate) async fn taken_away(
        &self,
        project: &ProjectName,
        index: &TrustedIndex,
        sources: &Arc<Sources>,
    ) -> Result<Option<Arc<Taken>>, Failure> {
        match self.find(&status_target(project), index, sources).await? {
            Found::Target(target) => {
                let taken = self.taken_of(&target, project, sources).await?;
                Ok(Some(taken))
            }
            Found::Absent { asked } => match asked.iter().any(|role| role.as_str() == STATUS) {
                true => Ok(None),
                false => Err(Failure::NoStatus),
            },
        }
    }

    async fn taken_of(
        &self,
        target: &Target,
        project: &ProjectName,
        sources: &Arc<Sources>,
    ) -> Result<Arc<Taken>, Failure> {
        let limit = MAX_TAKEN_AWAY_LEN as u64;
        if target.length > limit {
            return Err(Failure::PageTooLarge {
                length: target.length,
                limit,
            });
        }
        let Some(sha256) = target.sha256() else {
            return Err(Failure::Unspecified { lacking: "sha256" });
        };
        if let Some(taken) = self.taken_before(project, &sha256) {
            return Ok(taken);
        }
        let location = match self.set().root().consistent_snapshot {
            true => Location::Object(ObjectPath::status(project, &sha256)?),
            false => Location::Target(target.path.clone()),
        };
        let sha512 = target.hashes.sha512();
        let what = format!("what is taken away from {project}");
        let length = target.length;
        let bytes = sources
            .object(what, &location, Wanted::Page { length }, |bytes| {
                demand(&bytes, &sha256)?;
                demand_sha512(&bytes, sha512.as_ref())?;
                Ok(bytes)
            })
            .await?;
        let list = TakenAway::parse(&bytes, project)?;
        Ok(Arc::new(Taken { sha256, list }))
    }
}
