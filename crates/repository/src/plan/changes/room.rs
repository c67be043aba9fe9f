//! Whether the snapshot has room for another claimed project.
//!
//! Nobody reads a snapshot that is too long: then the whole index is refused, and not a project.

use wheelmark_tuf::limits::MOST_SNAPSHOT_LENGTH;

/// Room for what a snapshot says of one project: its longest name, version and digest.
const LONGEST_ENTRY: usize = 400;

/// Whether a snapshot whose signed part has this many bytes takes another claim beside so many that are on
/// their way into it.
pub(super) fn is_left(listed: usize, coming: usize) -> bool {
    let coming = coming.saturating_add(1).saturating_mul(LONGEST_ENTRY);
    listed.saturating_add(coming) as u64 <= MOST_SNAPSHOT_LENGTH
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use wheelmark_objects::MAX_STATUS_PROJECT_LEN;
    use wheelmark_tuf::Limits;

    use super::*;
    use crate::roles::project_role;
    use crate::snapshot_bytes::{RoleFile, SnapshotBytes};

    #[test]
    fn a_claim_never_makes_a_snapshot_longer_than_clients_read() {
        let name = "p".repeat(MAX_STATUS_PROJECT_LEN).parse().unwrap();
        let file = RoleFile::of_others(u64::MAX, b"");
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let length = |roles: Vec<_>| SnapshotBytes::new(roles, 1, now).as_bytes().len();
        let one = length(vec![(project_role(&name), file)]) - length(vec![]) + 1;
        assert!(one <= LONGEST_ENTRY, "{one}");

        let most = usize::try_from(MOST_SNAPSHOT_LENGTH).unwrap();
        assert!(is_left(0, 0) && is_left(most - 2 * LONGEST_ENTRY, 1));
        assert!(!is_left(most - 2 * LONGEST_ENTRY, 2) && !is_left(most, 0));
        let read = Limits::default().snapshot_length;
        assert!(MOST_SNAPSHOT_LENGTH + MOST_SNAPSHOT_LENGTH / 20 <= read);
    }
}
