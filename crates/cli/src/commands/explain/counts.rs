//! How many files of a page carry which mark: a page can have thousands, and one version is shown.

use jiff::Timestamp;
use wheelmark_packaging::simple::{ProjectPage, Signed};

use super::dates::date;

/// What a page holds, in numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Files that it lists.
    pub(super) files: usize,
    /// Those that were signed as soon as they were received.
    pub(super) at_upload: usize,
    /// Those that were there before the index was first signed.
    pub(super) back: usize,
    /// When the first and the last of these were signed.
    back_signed: Option<(Timestamp, Timestamp)>,
    /// Files that were taken away.
    pub(super) removed: usize,
}

impl Counts {
    pub(super) fn of(page: &ProjectPage) -> Self {
        let mut counts = Self {
            files: page.files.len(),
            removed: page.wheelmark.removed.len(),
            ..Self::default()
        };
        for marks in page.files.iter().filter_map(|file| file.wheelmark.as_ref()) {
            match marks.signed {
                Signed::AtUpload => counts.at_upload += 1,
                Signed::Back => {
                    counts.back += 1;
                    let at = marks.signed_at;
                    let (first, last) = counts.back_signed.unwrap_or((at, at));
                    counts.back_signed = Some((first.min(at), last.max(at)));
                }
            }
        }
        counts
    }

    /// One line of it, for people.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let mut parts = Vec::new();
        if self.at_upload > 0 {
            parts.push(format!("{} signed at-upload", self.at_upload));
        }
        if let Some((first, last)) = self.back_signed {
            let when = if first == last {
                format!("on {}", date(first, now))
            } else {
                format!("from {} to {}", date(first, now), date(last, now))
            };
            parts.push(format!("{} signed back, {when}", self.back));
        }
        let unmarked = self.files - self.at_upload - self.back;
        if unmarked > 0 {
            parts.push(format!("{unmarked} without a mark"));
        }
        if self.removed > 0 {
            parts.push(format!("{} removed since", self.removed));
        }
        let noun = if self.files == 1 { "file" } else { "files" };
        let about = if parts.is_empty() { "" } else { ": " };
        format!("{} {noun}{about}{}", self.files, parts.join("; "))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use wheelmark_packaging::simple::{Hashes, Marks, PageFile, Removed};

    use super::*;

    #[test]
    fn what_is_said_of_a_page() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let mut page = ProjectPage::new("demo".parse().unwrap());
        let check = |page: &ProjectPage, said: &str| {
            assert_eq!(Counts::of(page).line(now), said);
        };
        check(&page, "0 files");
        let add = |page: &mut ProjectPage, marks| {
            let name = format!("demo-{}.tar.gz", page.files.len());
            let hashes = Hashes::of_sha256([1; 32]);
            let mut file = PageFile::new(&page.name, name.parse().unwrap(), hashes);
            file.wheelmark = marks;
            page.files.push(file);
        };
        let back = |at: &str| Some(Marks::new(Signed::Back, at.parse().unwrap()));
        add(&mut page, None);
        check(&page, "1 file: 1 without a mark");
        add(&mut page, Some(Marks::new(Signed::AtUpload, now)));
        add(&mut page, back("2026-11-20T08:00:00Z"));
        add(&mut page, back("2026-11-20T08:00:00Z"));
        check(
            &page,
            "4 files: 1 signed at-upload; \
             2 signed back, on 2026-11-20 08:00 UTC (24 hours ago); 1 without a mark",
        );
        add(&mut page, back("2026-11-19T08:00:00Z"));
        page.files.remove(0);
        let gone = "demo-9.tar.gz";
        let hashes = Hashes::of_sha256([2; 32]);
        let removed = Removed {
            entry: PageFile::new(&page.name, gone.parse().unwrap(), hashes),
            removed_at: now,
            extra: Default::default(),
        };
        page.wheelmark.removed.insert(gone.to_owned(), removed);
        check(
            &page,
            "4 files: 1 signed at-upload; 3 signed back, from 2026-11-19 08:00 UTC (2 days ago) \
             to 2026-11-20 08:00 UTC (24 hours ago); 1 removed since",
        );
    }
}
