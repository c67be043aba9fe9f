//! What is damaged, told so that a person can do something about it.

use serde::Serialize;
use wheelmark_mirror::{Finding, Trouble};
use wheelmark_tuf::without_controls;

use crate::published::ABOUT_STRAY_ROOT;

/// One thing that is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Damage {
    /// What it is, in kinds.
    pub(super) kind: Kind,
    /// Whose: `index`, or the place that the index is held against.
    pub(super) place: String,
    /// The object, or the row.
    pub(super) path: String,
    pub(super) expected: String,
    pub(super) found: String,
    /// What to do about it.
    pub(super) advice: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Metadata that is missing, altered, signed by a key that does not count, or not listed.
    Metadata,
    /// A file in the place of the next root, which root's keys have not signed.
    StrayRoot,
    /// The state is older than one that this index has signed.
    RolledBack,
    /// The online key is not that of the index.
    Key,
    Missing,
    Altered,
    Unreadable,
    Contradiction,
    PlainMissing,
    PlainDiffers,
    CopyDiffers,
    /// A file that nothing names.
    Extra,
    /// A row that the signed pages do not have.
    RowExtra,
    /// A row that says something else than the signed page.
    RowDiffers,
    /// A file without its row.
    RowMissing,
    /// Two places have other bytes under one name or version.
    Differs,
    /// A file is gone that was signed before, and nothing says that it was removed.
    Vanished,
}

impl Damage {
    pub(super) fn new(kind: Kind, path: &str, expected: &str, found: &str) -> Self {
        Self {
            kind,
            place: "index".to_owned(),
            path: without_controls(path),
            expected: without_controls(expected),
            found: without_controls(found),
            advice: kind.advice(),
        }
    }

    /// The same, found elsewhere.
    pub(super) fn at(mut self, place: &str) -> Self {
        self.place = without_controls(place);
        self
    }

    pub(super) fn of(finding: &Finding) -> Self {
        let kind = match finding.trouble {
            Trouble::Metadata => Kind::Metadata,
            Trouble::Missing => Kind::Missing,
            Trouble::Altered => Kind::Altered,
            Trouble::Unreadable => Kind::Unreadable,
            Trouble::Contradiction => Kind::Contradiction,
            Trouble::PlainMissing => Kind::PlainMissing,
            Trouble::PlainDiffers => Kind::PlainDiffers,
            Trouble::CopyDiffers => Kind::CopyDiffers,
        };
        Self::new(kind, &finding.path, &finding.expected, &finding.found)
    }
}

impl Kind {
    fn advice(self) -> &'static str {
        match self {
            Self::Metadata => {
                "readers refuse what is behind it: restore this file from a backup or a mirror; its name says which"
            }
            Self::StrayRoot => ABOUT_STRAY_ROOT,
            Self::RolledBack => {
                "readers refuse it: put the newest timestamp.json back that there is, or restore a newer copy; find out who put the old one there"
            }
            Self::Key => {
                "put the index's own online key there, from its backup; if others have seen it, replace it then (wheelmark index rotate-online-key)"
            }
            Self::Missing => "restore it from a backup or a mirror, by this name",
            Self::Altered => {
                "restore it from a backup or a mirror; look for a failing disk, or somebody who can write here"
            }
            Self::Unreadable => "see that it can be read, and audit again",
            Self::Contradiction => {
                "the index's own roles do not agree: look into who has its online key"
            }
            Self::PlainMissing => {
                "installers without verification do not find it: link the name to the file under targets/"
            }
            Self::PlainDiffers => {
                "installers without verification get other bytes: remove it, and link the name to the file under targets/"
            }
            Self::CopyDiffers => {
                "installers without verification see something else: copy the signed page over it"
            }
            Self::Extra => {
                "nothing that is signed leads to it: what an upload left that was refused or cut off, `wheelmark index gc` takes away; if it is something else, find out who writes here"
            }
            Self::RowExtra | Self::RowDiffers | Self::RowMissing => {
                "the signed state holds, not the catalogue: restore the catalogue from a backup, or make it anew with `wheelmark index rebuild`; find out who writes to it"
            }
            Self::Differs => {
                "one of the two was altered, or signed twice: keep both, and look into who has the online key"
            }
            Self::Vanished => {
                "it was signed once, and nobody removed it by an order: look into who has the online key"
            }
        }
    }

    /// Whether it is about names and copies that nothing signs.
    pub(super) fn is_of_names(self) -> bool {
        matches!(
            self,
            Self::PlainMissing | Self::PlainDiffers | Self::CopyDiffers
        )
    }

    /// Whether it can be that the index went on meanwhile, and nothing is wrong.
    pub(super) fn may_be_of_motion(self) -> bool {
        !matches!(self, Self::Altered | Self::Key)
    }
}
