//! How a file that is there is taken away, or yanked.

use wheelmark_packaging::ProjectName;

use crate::{Change, Seq, Store, StoreError, journal};

impl Store {
    /// Asks that a file be taken away: a journal row, on the disk when this returns. The
    /// catalogue follows when a snapshot has done it. `None`, and no row, where there is no such
    /// file or a snapshot has taken it away already.
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn remove(
        &self,
        project: &ProjectName,
        filename: &str,
    ) -> Result<Option<Seq>, StoreError> {
        let change = Change::FileRemoved {
            project: project.clone(),
            filename: filename.to_owned(),
            reason: None,
        };
        self.ask(project, filename, &change).await
    }

    /// Asks that a file be yanked (PEP 592) for a reason, which may be empty, or, with `None`,
    /// that it be so no more. Otherwise as [`Store::remove`].
    ///
    /// # Errors
    ///
    /// When the database fails or its disk is full.
    pub async fn set_yanked(
        &self,
        project: &ProjectName,
        filename: &str,
        yanked: Option<String>,
    ) -> Result<Option<Seq>, StoreError> {
        let change = Change::FileYanked {
            project: project.clone(),
            filename: filename.to_owned(),
            yanked,
        };
        self.ask(project, filename, &change).await
    }

    async fn ask(
        &self,
        project: &ProjectName,
        filename: &str,
        change: &Change,
    ) -> Result<Option<Seq>, StoreError> {
        let mut transaction = self.write().await?;
        let there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM file WHERE project = ? AND filename = ? AND NOT \
             (removed AND EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = file.seq)))",
        )
        .bind(project.as_str())
        .bind(filename)
        .fetch_one(&mut *transaction)
        .await?;
        if !there {
            return Ok(None);
        }
        let seq = journal::append(&mut transaction, change).await?;
        transaction.commit().await?;
        self.signals().admitted.notify_one();
        Ok(Some(seq))
    }
}
