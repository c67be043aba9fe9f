//! Archives are made here, well-formed by a library and then damaged by hand.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod agreement;
mod archives;
mod hostile_tar;
mod hostile_zip;
mod sdists;
mod wheels;

use std::io::Cursor;

use super::{InspectError, Inspected, inspect};

fn open(filename: &str, bytes: &[u8]) -> Result<Inspected, InspectError> {
    inspect(Cursor::new(bytes), &filename.parse().unwrap())
}

/// The error, and the errors beneath it, as one line.
fn story(result: Result<Inspected, InspectError>) -> String {
    match result {
        Ok(inspected) => format!(
            "accepted {} {}",
            inspected.metadata.name, inspected.metadata.version
        ),
        Err(error) => {
            let mut story = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                story = format!("{story}: {cause}");
                source = cause.source();
            }
            story
        }
    }
}

/// Inspects, and compares the beginning of what is said.
#[track_caller]
fn check(filename: &str, bytes: &[u8], expect: &str) {
    let told = story(open(filename, bytes));
    assert!(
        told.starts_with(expect),
        "{filename}\n    told: {told}\nexpected: {expect}"
    );
}
