//! What installers leave behind: the files of a wheel at their places, and notes about them.
//!
//! ```text
//!  a wheel's paths ── Place::of ──▶ library, script, header or data file
//!  entry_points.txt ─ entry_points ▶ the scripts that an installer writes itself
//!  a script ── Script::read ───────▶ its interpreter, and all that follows
//!  RECORD, direct_url.json ────────▶ what the installer says that it did
//! ```
//!
//! Nothing of this is signed: whoever can change an installed file can change what stands here.
//! So it says where to look, and never what is right.

mod direct_url;
mod launcher;
mod place;

pub use self::direct_url::{DirectUrl, DirectUrlError, MAX_DIRECT_URL_LEN};
pub use self::launcher::{EntryPoint, Interpreter, Script, entry_points, is_launcher};
pub use self::place::Place;
use crate::inspect::wheel::{check_wheel_file, record};
use crate::{RecordError, WheelFilename};

/// Longest `WHEEL` file that is looked at, in bytes.
pub const MAX_WHEEL_FILE_LEN: u64 = crate::inspect::MAX_WHEEL_LEN;

/// The paths in the `RECORD` of an installed distribution, as they stand there: relative to its
/// library directory, and often beginning with `..`.
///
/// # Errors
///
/// [`RecordError`] for a line that is none.
pub fn recorded_paths(bytes: &[u8]) -> Result<Vec<String>, RecordError> {
    let lines = record::lines(bytes)?;
    Ok(lines
        .into_iter()
        .filter_map(|(_, fields)| fields.into_iter().next())
        .collect())
}

/// Whether a `WHEEL` file can be that of a wheel of this name, by its tags.
pub fn wheel_fits(wheel_file: &[u8], filename: &WheelFilename) -> bool {
    check_wheel_file(wheel_file, filename).is_ok()
}

#[cfg(test)]
mod tests;
