//! What lies in a tree and is named by nothing that is signed now.
//!
//! None of it does harm to readers that verify: nothing leads to it. It takes room, and what has
//! a plain name is handed out to installers that do not verify.

use std::collections::HashSet;

use wheelmark_objects::{Kind, ObjectPath};

use super::report::Unnamed;
use super::{hashed, with_causes};
use crate::place::DirectoryPlace;

/// Looks at every file of a tree. `named` has those that an audit asked for.
pub(super) fn count(place: &DirectoryPlace, named: &HashSet<u64>, listed: usize) -> Unnamed {
    let mut unnamed = Unnamed::default();
    for file in place.files() {
        let path = match file {
            Ok(path) => path,
            Err(error) => {
                unnamed.unreadable_folders += 1;
                if unnamed.unreadable.len() < listed {
                    unnamed.unreadable.push(with_causes(&error));
                }
                continue;
            }
        };
        if named.contains(&hashed(&path)) {
            continue;
        }
        let counter = match path.parse::<ObjectPath>().map(|path| path.kind()) {
            Ok(Kind::Metadata | Kind::Timestamp) => &mut unnamed.metadata,
            Ok(Kind::Page | Kind::PageBySha512 | Kind::Certificates | Kind::Status) => {
                &mut unnamed.pages
            }
            Ok(
                Kind::File
                | Kind::FileBySha512
                | Kind::FileMetadata
                | Kind::Chunks
                | Kind::Signature
                | Kind::Provenance,
            ) => &mut unnamed.files,
            Ok(
                Kind::PlainFile
                | Kind::PlainFileMetadata
                | Kind::PlainSignature
                | Kind::PlainProvenance,
            ) => &mut unnamed.plain_names,
            Ok(
                Kind::SimpleJson
                | Kind::SimpleHtml
                | Kind::SimpleListJson
                | Kind::SimpleListHtml
                | Kind::PlainCertificates,
            ) => &mut unnamed.unsigned_copies,
            Err(_) => &mut unnamed.foreign,
        };
        *counter += 1;
        if unnamed.some.len() < listed {
            unnamed.some.push(wheelmark_tuf::without_controls(&path));
        }
    }
    unnamed.some.sort();
    unnamed
}
