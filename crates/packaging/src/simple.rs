//! The simple repository API (PEP 503, 592, 629, 658, 691, 700, 714, 740, 792): version 1.4.
//!
//! [`ProjectPage`] is the model. [`ProjectPage::to_json`] is the form that is hashed and signed,
//! so it is a function of the model alone, byte for byte; [`ProjectPage::to_html`] is a rendering
//! of it for readers of HTML.

mod certificates;
mod dropped;
mod file;
mod hashes;
mod html;
mod json;
mod legacy_json;
mod list;
mod listing;
mod negotiate;
mod page;
mod page_marks;
mod released;
mod sources;
mod status;
mod taken_away;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub use self::certificates::{BoundCertificates, MAX_CERTIFICATES_LEN};
pub use self::dropped::Dropped;
pub use self::file::{
    FileError, MAX_PROVENANCE_LEN, Marks, PageFile, SignatureMark, Signed, Yanked,
};
pub use self::hashes::{HashError, Hashes, Sha256Hex};
pub use self::json::{JsonError, MAX_JSON_DEPTH};
pub use self::list::{ListError, ListedProject, MAX_LIST_LEN, ProjectList};
pub use self::listing::{Listing, ListingError, MAX_LISTED_PROJECTS, Named, Names, Skipped};
pub use self::negotiate::{Format, MAX_ACCEPT_LEN, negotiate};
pub use self::page::{MAX_PAGE_FILES, MAX_PAGE_LEN, PageError, ProjectPage, UnrecognisedFile};
pub use self::page_marks::{PageMarks, Removed};
pub use self::released::ReleasedFile;
pub use self::status::{ProjectStatus, Status};
pub use self::taken_away::{
    MAX_TAKEN_AWAY_FILES, MAX_TAKEN_AWAY_LEN, MAX_TAKEN_AWAY_REASON_LEN, RecoveryNotice, TakenAway,
    TakenAwayError, TakenFile, TakenState,
};
use crate::{DistributionFilename, ProjectName};

/// The version of the simple API that is written (PEP 792).
pub const API_VERSION: &str = "1.4";

/// Members of an object that are not known here. They survive from parsing to rendering.
pub type Extra = std::collections::BTreeMap<String, serde_json::Value>;

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The URL of a file relative to its project's page: `../../packages/<project>/<filename>`, with
/// the file name percent-encoded.
///
/// Being relative, it stays right when the tree is mirrored.
pub fn file_url(project: &ProjectName, filename: &str) -> String {
    format!(
        "../../packages/{project}/{}",
        utf8_percent_encode(filename, SEGMENT)
    )
}

/// The URL of a file's provenance below that of an index (PEP 740).
pub fn provenance_url(
    below: &str,
    project: &ProjectName,
    filename: &DistributionFilename,
) -> String {
    let version = filename.version().to_string();
    format!(
        "{}/integrity/{project}/{}/{}/provenance",
        below.trim_end_matches('/'),
        utf8_percent_encode(&version, SEGMENT),
        utf8_percent_encode(filename.as_str(), SEGMENT)
    )
}
