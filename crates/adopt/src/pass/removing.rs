//! Taking off the index: what the source has no more, and what a person withdraws.

use std::collections::BTreeSet;

use wheelmark_packaging::ProjectName;
use wheelmark_store::Store;

use super::{Choices, Pass, PassError, Phase};
use crate::known::{Known, State};
use crate::report::Report;

/// How many removals are asked for before the caller may publish them.
const REMOVALS_AT_A_TIME: u32 = 1_000;

impl Pass {
    /// Takes away what the source has no more.
    pub(super) async fn remove_on(&mut self) -> Result<(), PassError> {
        if *self.stop.borrow() {
            self.phase = Phase::Stopped;
            return Ok(());
        }
        let wanted = &self.choices.projects;
        // Each once: what is refused meanwhile is asked for again by the next pass.
        let after = self.removed_up_to.as_ref();
        let unseen = self.known.unseen(wanted, after, REMOVALS_AT_A_TIME).await?;
        let mut removed = 0;
        for (project, filename) in &unseen {
            let removal = (project, filename.as_str(), State::Removed);
            self.asked += take_away(&self.store, &self.known, removal).await?;
            removed += 1;
        }
        self.report.counts.removed += removed;
        if let Some(last) = unseen.last() {
            self.removed_up_to = Some(last.clone());
        }
        if removed == 0 {
            // Nothing at all is no import: a mount that is missing, or a directory yet to be filled.
            // And what a list does not show yet was there before all the same.
            if self.report.counts.listed > 0 && !self.list_is_short {
                self.known.finish_import(&self.choices.projects).await?;
            }
            self.report.undecided = std::mem::take(&mut self.undecided).into_iter().collect();
            self.phase = Phase::Over;
        }
        Ok(())
    }
}

/// Takes a file off the index; how many changes that asks for.
async fn take_away(
    store: &Store,
    known: &Known,
    (project, filename, state): (&ProjectName, &str, State),
) -> Result<u64, PassError> {
    // First that it is about to be: a pass that is cut off behind this is taken up.
    known.take_away(project, filename, state).await?;
    let seq = store.remove(project, filename).await?;
    known.asked(project, filename, seq.map(|seq| seq.0)).await?;
    Ok(u64::from(seq.is_some()))
}

/// Asks for what an earlier pass was about to take off the index when it was cut off.
pub(super) async fn take_up(store: &Store, known: &Known) -> Result<(), PassError> {
    for (project, filename) in known.half_asked().await? {
        let seq = store.remove(&project, &filename).await?;
        known
            .asked(&project, &filename, seq.map(|seq| seq.0))
            .await?;
    }
    Ok(())
}

/// Takes off the index what a person named; how many changes that asks for.
pub(super) async fn withdraw(
    store: &Store,
    known: &Known,
    choices: &Choices,
    undecided: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<u64, PassError> {
    let mut asked = 0;
    for name in &choices.withdraw {
        let named = known.named(name).await?;
        // Of which project, a person has to say.
        let ambiguous = named.len() > 1;
        for (project, filename) in named.into_iter().filter(|_| !ambiguous) {
            let withdrawal = (&project, filename.as_str(), State::Withdrawn);
            asked += take_away(store, known, withdrawal).await?;
            report.counts.withdrawn += 1;
            undecided.remove(name);
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use jiff::Timestamp;
    use wheelmark_store::{Change, NewFile, Seq};
    use wheelmark_tuf::Sha256;

    use super::*;
    use crate::known::{Remember, Row};

    #[tokio::test]
    async fn a_removal_that_was_cut_off_is_taken_up() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("catalogue.sqlite"))
            .await
            .unwrap();
        let mut known = Known::open(&home.path().join("source.sqlite"))
            .await
            .unwrap();
        known.begin().await.unwrap();
        let project: ProjectName = "a".parse().unwrap();
        for filename in ["a-1.tar.gz", "a-2.tar.gz"] {
            let sha256 = Sha256::of(filename.as_bytes());
            let file = NewFile {
                project: project.clone(),
                filename: filename.to_owned(),
                sha256,
                size: 1,
                uploaded_at: Timestamp::UNIX_EPOCH,
                requires_python: None,
                core_metadata_sha256: None,
                chunks_sha256: None,
                gpg_signature: None,
                provenance_sha256: None,
                uploaded_by: "tests".to_owned(),
                back_signed: true,
                yanked: None,
            };
            store.admit(file).await.unwrap();
            let remember = Remember {
                project: project.clone(),
                filename: filename.to_owned(),
                row: Row::signed(sha256, None, None),
                seq: None,
            };
            known.remember(&[remember]).await.unwrap();
        }
        // Killed behind the first of the three steps, and behind the second.
        for (filename, state) in [
            ("a-1.tar.gz", State::Withdrawn),
            ("a-2.tar.gz", State::Removed),
        ] {
            known.take_away(&project, filename, state).await.unwrap();
        }
        store.remove(&project, "a-2.tar.gz").await.unwrap();

        take_up(&store, &known).await.unwrap();
        let rows = store.journal_after(Seq(0), 100).await.unwrap();
        let gone: BTreeSet<String> = rows
            .into_iter()
            .filter_map(|row| match row.change {
                Change::FileRemoved { filename, .. } => Some(filename),
                _ => None,
            })
            .collect();
        assert_eq!(gone, ["a-1.tar.gz", "a-2.tar.gz"].map(str::to_owned).into());
        let end = store.journal_end().await.unwrap();
        take_up(&store, &known).await.unwrap();
        assert_eq!(store.journal_end().await.unwrap(), end, "once");
    }

    #[tokio::test]
    async fn what_is_signed_is_owed_no_more() {
        let home = tempfile::tempdir().unwrap();
        let mut known = Known::open(&home.path().join("source.sqlite"))
            .await
            .unwrap();
        known.begin().await.unwrap();
        let project: ProjectName = "a".parse().unwrap();
        known.owe(&project, "a-1.tar.gz").await.unwrap();
        known.finish_import(&[]).await.unwrap();
        known.begin().await.unwrap();
        let owed = async || {
            known
                .was_there_before(&project, "a-1.tar.gz")
                .await
                .unwrap()
        };
        assert!(owed().await);
        let remember = Remember {
            project: project.clone(),
            filename: "a-1.tar.gz".to_owned(),
            row: Row::signed(Sha256::of(b"1"), None, None),
            seq: Some(1),
        };
        known.remember(&[remember]).await.unwrap();
        assert!(!owed().await);
    }
}
