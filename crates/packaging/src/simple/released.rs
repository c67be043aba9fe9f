//! The entry of a file that a project's own people have signed.
//!
//! Who publishes writes it, who serves holds the file against it, and who takes it into a snapshot
//! demands this form and no other: so nothing can stand in an entry that nobody has looked at.

use jiff::Timestamp;

use super::{Hashes, Marks, PageFile, Sha256Hex, Signed};
use crate::{DistributionFilename, ProjectName};

/// What there is to say of a file when it is released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasedFile {
    /// Its name.
    pub filename: DistributionFilename,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256Hex,
    /// How many bytes it has.
    pub size: u64,
    /// When it was signed, to the microsecond, which is what a page can hold.
    pub signed_at: Timestamp,
    /// The range of Python versions that its metadata names.
    pub requires_python: Option<String>,
    /// The SHA-256 of its core metadata; for wheels alone.
    pub core_metadata_sha256: Option<Sha256Hex>,
    /// The SHA-256 of its chunk list, if it has one.
    pub chunks_sha256: Option<Sha256Hex>,
}

impl PageFile {
    /// The entry of a file that is released.
    pub fn released(project: &ProjectName, file: ReleasedFile) -> PageFile {
        let signed_at = Timestamp::from_second(file.signed_at.as_second());
        let mut marks = Marks::new(Signed::AtUpload, signed_at.unwrap_or(file.signed_at));
        marks.chunks_sha256 = file.chunks_sha256;
        let mut entry = PageFile::new(project, file.filename, Hashes::of_sha256(file.sha256));
        entry.size = Some(file.size);
        entry.upload_time = Some(file.signed_at);
        entry.requires_python = file.requires_python;
        entry.core_metadata = file.core_metadata_sha256.map(Hashes::of_sha256);
        entry.gpg_sig = Some(false);
        entry.wheelmark = Some(marks);
        entry
    }

    /// What an entry says of a released file; `None` if it says anything else.
    pub fn as_released(&self, project: &ProjectName) -> Option<ReleasedFile> {
        let file = ReleasedFile {
            filename: self.filename.clone(),
            sha256: self.hashes.sha256()?,
            size: self.size?,
            signed_at: self.upload_time?,
            requires_python: self.requires_python.clone(),
            core_metadata_sha256: match &self.core_metadata {
                Some(hashes) => Some(hashes.sha256()?),
                None => None,
            },
            chunks_sha256: self.wheelmark.as_ref()?.chunks_sha256,
        };
        let is_wheel = matches!(self.filename, DistributionFilename::Wheel(_));
        let is_so = is_wheel == file.core_metadata_sha256.is_some()
            && *self == PageFile::released(project, file.clone());
        is_so.then_some(file)
    }

    /// Whether a file was taken over from what the index said of it, when its project was claimed:
    /// nobody compared it with anything, so the project's own people do not vouch for it.
    pub fn is_adopted(&self) -> bool {
        let marks = self.wheelmark.as_ref();
        marks.is_some_and(|marks| marks.adopted_at.is_some())
    }

    /// The entry as one that is taken over without having been compared. `None` for an entry that
    /// says nothing of when it was signed.
    #[must_use]
    pub fn adopted(&self, at: Timestamp) -> Option<PageFile> {
        let mut entry = self.clone();
        let marks = entry.wheelmark.as_mut()?;
        marks.adopted_at = Timestamp::from_second(at.as_second()).ok();
        Some(entry)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed test says where it failed")]
mod tests {
    use super::*;
    use crate::simple::{ProjectPage, Yanked};

    fn entry() -> (ProjectName, PageFile) {
        let project: ProjectName = "flask".parse().unwrap();
        let file = ReleasedFile {
            filename: DistributionFilename::parse_for(&project, "flask-1.0-py3-none-any.whl")
                .unwrap(),
            sha256: [1; 32].into(),
            size: 7,
            signed_at: "2026-11-22T01:02:03.000004Z".parse().unwrap(),
            requires_python: Some(">=3.9".to_owned()),
            core_metadata_sha256: Some([2; 32].into()),
            chunks_sha256: None,
        };
        let entry = PageFile::released(&project, file);
        (project, entry)
    }

    #[test]
    fn a_released_entry_says_what_it_may_and_nothing_else() {
        let (project, entry) = entry();
        assert!(entry.as_released(&project).is_some());
        type Change = fn(&mut PageFile);
        let changes: [Change; 9] = [
            |entry| entry.url = "https://elsewhere.example/flask-1.0-py3-none-any.whl".to_owned(),
            |entry| entry.yanked = Yanked::Yes,
            |entry| entry.provenance = Some("https://elsewhere.example/".to_owned()),
            |entry| entry.gpg_sig = Some(true),
            |entry| entry.core_metadata = None,
            |entry| entry.size = None,
            |entry| entry.wheelmark.as_mut().unwrap().signed = Signed::Back,
            |entry| drop(entry.extra.insert("x".to_owned(), 1.into())),
            |entry| entry.hashes.insert("md5", &"0".repeat(32)).unwrap(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut other = entry.clone();
            change(&mut other);
            assert_eq!(other.as_released(&project), None, "change {number}");
        }
    }

    #[test]
    fn what_is_adopted_says_so_in_the_page() {
        let (project, entry) = entry();
        let at = "2026-11-22T05:06:07.5Z".parse().unwrap();
        let mut page = ProjectPage::new(project.clone());
        page.files = vec![entry.adopted(at).unwrap()];
        let read = ProjectPage::parse(&page.to_json()).unwrap();
        assert!(read.files[0].is_adopted() && !entry.is_adopted());
        assert_eq!(read.files[0].as_released(&project), None);
        assert_eq!(read.to_json(), page.to_json());
    }
}
