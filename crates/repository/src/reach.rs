//! Which rows of the journal follow on what was taken last.
//!
//! The position of the last row is signed into the timestamp, and no row before it is looked at
//! again. Whoever can append a row with the highest position there is would stop the index for
//! good, so the position only moves by steps that a journal can make.

use wheelmark_store::{JournalRow, Seq};

/// Most positions between two rows. A journal numbers its rows one by one; gaps come from
/// additions that were given up.
const LONGEST_GAP: u64 = 1_000_000;

/// The rows that follow on `last`, and the position of the first one that does not.
pub(crate) fn within_reach(last: Seq, mut rows: Vec<JournalRow>) -> (Vec<JournalRow>, Option<Seq>) {
    let mut reached = last.0;
    let stray = rows.iter().position(|row| {
        let follows = row.seq.0.saturating_sub(reached) <= LONGEST_GAP;
        if follows {
            reached = row.seq.0;
        }
        !follows
    });
    let Some(first) = stray else {
        return (rows, None);
    };
    let seq = rows[first].seq;
    rows.truncate(first);
    (rows, Some(seq))
}
