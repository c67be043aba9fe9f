//! Which source it is that is remembered, and whether a person was told how to go on.

use super::{Known, KnownError};
use crate::source::Form;

/// A source by its form and its place, as they were at an earlier pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its form.
    pub form: Form,
    /// Where it is: a directory, or a URL.
    pub place: String,
}

impl Known {
    /// The source that the last pass went through.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub async fn origin(&self) -> Result<Option<Origin>, KnownError> {
        let (form, place): (Option<String>, Option<String>) =
            sqlx::query_as("SELECT form, place FROM state")
                .fetch_one(&self.pool)
                .await?;
        let (Some(form), Some(place)) = (form, place) else {
            return Ok(None);
        };
        let forms = [Form::Files, Form::Tree, Form::Index];
        match forms.into_iter().find(|known| known.as_str() == form) {
            Some(form) => Ok(Some(Origin { form, place })),
            None => Err(KnownError::Invalid {
                what: "form",
                value: form,
            }),
        }
    }

    /// Writes down which source it is.
    ///
    /// # Errors
    ///
    /// When the memory cannot be written.
    pub async fn set_origin(&self, origin: &Origin) -> Result<(), KnownError> {
        sqlx::query("UPDATE state SET form = ?, place = ?")
            .bind(origin.form.as_str())
            .bind(&origin.place)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether a person was told how to go on after the first run.
    ///
    /// # Errors
    ///
    /// When the memory cannot be read.
    pub async fn told(&self) -> Result<bool, KnownError> {
        Ok(sqlx::query_scalar("SELECT told FROM state")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Writes down that a person was told.
    ///
    /// # Errors
    ///
    /// When the memory cannot be written.
    pub async fn set_told(&self) -> Result<(), KnownError> {
        sqlx::query("UPDATE state SET told = 1")
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
