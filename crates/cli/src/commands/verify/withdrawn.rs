//! What an index has withdrawn after a break-in, as `wheelmark verify` tells it.

use serde_json::{Value, json};
use wheelmark_client::Withdrawn;

/// What to do where such a file was installed.
pub(super) const ADVICE: &str = "nobody could vouch for it then: it is the thief's, or an honest upload that was dropped in doubt. Ask the project's people by its \
     SHA-256; unless they know it, take this machine for one that the thief was on, and change the keys and passwords that it has seen. \
     `wheelmark trust show INDEX` has the index's bulletin. Install anew through `wheelmark exec`";

pub(super) fn to_json(withdrawn: &Withdrawn) -> Value {
    let files = withdrawn.files.iter();
    let files = files.map(|(name, sha256)| json!({ "file": name, "sha256": sha256.to_string() }));
    json!({
        "index": withdrawn.index.as_str(),
        "files": files.collect::<Vec<_>>(),
        "recovered_at": withdrawn.at.to_string(),
        "good_until": withdrawn.since.to_string(),
    })
}
