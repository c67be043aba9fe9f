//! What stands beside the rows of signed releases.

use std::collections::HashMap;

use wheelmark_store::{Change, ReleaseParts};

use super::Engine;
use crate::channel::{Channel, Pending, Place};
use crate::publish::PublishError;

/// The most releases that one snapshot takes in: metadata and page of each are in memory then, 8 MB at
/// most, and whoever takes over the web process can write as many as they like.
const RELEASES_PER_SNAPSHOT: usize = 4;

impl Engine {
    /// The pending changes up to the last release that one snapshot takes in, and what stands beside
    /// the rows of releases. What is left waits for the next snapshot.
    pub(super) async fn with_releases(
        &self,
        mut rows: Vec<Pending>,
    ) -> Result<(Vec<Pending>, HashMap<Place, ReleaseParts>), PublishError> {
        let is_release = |row: &Pending| {
            row.place.channel == Channel::Journal && matches!(row.change, Change::ProjectSigned(_))
        };
        let releases = rows.iter().enumerate();
        let mut releases = releases.filter(|(_, row)| is_release(row));
        if let Some((first_left, _)) = releases.nth(RELEASES_PER_SNAPSHOT) {
            // Orders never wait for what the web process writes.
            let first_left = rows[first_left].place.seq;
            rows.retain(|row| row.place.channel == Channel::Orders || row.place.seq < first_left);
        }
        let mut parts = HashMap::new();
        for row in rows.iter().filter(|row| is_release(row)) {
            let found = self.store.release_parts(row.place.seq).await?;
            parts.extend(found.map(|found| (row.place, found)));
        }
        Ok((rows, parts))
    }
}
