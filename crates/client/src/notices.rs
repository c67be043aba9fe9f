//! What people are told of the recoveries of the indexes that they use.

use jiff::Timestamp;
use serde::Serialize;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use crate::homes::Homes;
use crate::trust::{Recovered, TrustedIndex};

/// A recovery of an index after a break-in, as people are told of it. All of it was signed by the offline
/// keys that lead from the root that is trusted here, except what was forgotten, which this client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryNotice {
    /// The index's simple URL.
    pub index: String,
    /// When it was recovered.
    pub at: Timestamp,
    /// The last moment at which it was known to be good.
    pub since: Timestamp,
    /// What happened, in plain lines.
    pub bulletin: String,
    /// The projects of which it was forgotten here who signs for them.
    pub forgotten_claims: Vec<ProjectName>,
    /// The projects of which it was forgotten here who attests to them.
    pub forgotten_identities: Vec<ProjectName>,
    /// By what the statement is known.
    #[serde(skip)]
    digest: Sha256,
}

impl RecoveryNotice {
    fn of(index: &TrustedIndex, recovered: Recovered) -> Self {
        Self {
            index: index.urls().simple().to_string(),
            at: recovered.at,
            since: recovered.since,
            bulletin: recovered.bulletin,
            forgotten_claims: recovered.claims,
            forgotten_identities: recovered.identities,
            digest: recovered.digest,
        }
    }
}

impl TrustedIndex {
    /// What a person is to be told of a recovery of this index: once, and again while something is
    /// `refused` within a month. What cannot be read is told of elsewhere.
    #[must_use]
    pub fn news_of_recovery(&self, refused: bool, now: Timestamp) -> Option<RecoveryNotice> {
        let recovered = self.recovered().unwrap_or_else(|error| {
            tracing::warn!(%error, "whether the index was recovered cannot be told");
            None
        })?;
        let since = self.record().trusted_since;
        let is_news = recovered.is_news(since, refused, now);
        is_news.then(|| RecoveryNotice::of(self, recovered))
    }
}

impl Homes {
    /// The same of every index of the run.
    #[must_use]
    pub fn recoveries(&self, refused: bool, now: Timestamp) -> Vec<RecoveryNotice> {
        let indexes = self.readers().iter().map(|reader| reader.index());
        indexes
            .filter_map(|index| index.news_of_recovery(refused, now))
            .collect()
    }

    /// Remembers that a person was told. If that fails they are told again.
    pub async fn mark_told(&self, notices: &[RecoveryNotice], now: Timestamp) {
        for reader in self.readers() {
            let index = reader.index();
            for notice in notices {
                if notice.index != index.urls().simple().as_str() {
                    continue;
                }
                if let Err(error) = index.mark_told(&notice.digest, now).await {
                    tracing::warn!(%error, "that you were told of a recovery could not be kept");
                }
            }
        }
    }
}
