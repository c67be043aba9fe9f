//! A project's page: is it what was signed, what does it name, and do the unsigned copies of it
//! say the same?

use std::collections::HashSet;

use wheelmark_objects::{MAX_SHA512_FILENAME_LEN, ObjectPath};
use wheelmark_packaging::simple::{
    BoundCertificates, Listing, MAX_CERTIFICATES_LEN, MAX_PAGE_LEN, MAX_PROVENANCE_LEN, Named,
    Names, PageFile, ProjectList, ProjectPage,
};
use wheelmark_packaging::{MAX_METADATA_LEN, MAX_SIGNATURE_LEN, ProjectName};
use wheelmark_tuf::{Sha256, Sha512};

use super::object::{Object, What};
use super::tally::Tally;
use super::{Auditor, Half, Side, held, with_causes};
use crate::findings::Trouble;
use crate::place::{Expected, Place};

use wheelmark_client::{CHUNK_LEN, MAX_FILE_LEN};

/// A page that a role lists.
pub(super) struct Page {
    pub(super) project: ProjectName,
    pub(super) sha256: Sha256,
    /// Where it is listed.
    pub(super) sha512: Option<Sha512>,
    pub(super) length: u64,
    /// Whether the project's own people sign it.
    pub(super) is_claimed: bool,
}

impl<P: Place> Auditor<'_, P> {
    /// Checks a page, and gives back the objects that it names.
    pub(super) fn page(&self, page: &Page) -> Vec<Object> {
        let Some((bytes, parsed)) = self.read_page(page) else {
            held(&self.unread).insert(page.project.clone());
            return Vec::new();
        };
        Tally::one(&self.tally.pages);
        held(&self.projects).insert(page.project.clone());
        let chosen = self.scope.files(&parsed);
        let taken = self.taken_away(page);
        let seen = taken.as_ref().map(|list| list.apply(&parsed));
        let seen = seen.as_ref().unwrap_or(&parsed);
        if self.place.has_simple() {
            let mut shown = seen.clone();
            if let Some(chosen) = &chosen {
                // It tells installers of the files that are here.
                let is_here = |file: &PageFile| chosen.contains(file.filename.as_str());
                shown.files.retain(is_here);
            }
            let as_signed = taken.is_none() && shown.files.len() == parsed.files.len();
            self.check_copies(page, as_signed.then_some(&bytes), &shown);
        }
        let is_chosen = |file: &PageFile| {
            let named = chosen
                .as_ref()
                .is_none_or(|chosen| chosen.contains(file.filename.as_str()));
            named && self.scope.has_project(&page.project)
        };
        // What is taken away has lost the names that installers know.
        let left: HashSet<&str> = seen
            .files
            .iter()
            .map(|file| file.filename.as_str())
            .collect();
        let files = parsed.files.iter();
        let objects = files.flat_map(|file| {
            let is_named = left.contains(file.filename.as_str());
            let mut objects = self.objects_of(page, file, is_chosen(file));
            if !is_named {
                objects.iter_mut().for_each(|object| object.plain = None);
            }
            objects
        });
        let bound = parsed.wheelmark.certificates.as_ref();
        let certificates = bound.map(|bound| self.certificates_of(page, bound));
        objects.chain(certificates).collect()
    }

    pub(super) fn read_page(&self, page: &Page) -> Option<(bytes::Bytes, ProjectPage)> {
        let path = ObjectPath::page(&page.project, &page.sha256);
        let expected = format!("{} bytes, sha256 {}", page.length, page.sha256);
        let trouble = |trouble, found: &str| self.finding(trouble, &path, &expected, found);
        let bytes = match self.place.object(&path, MAX_PAGE_LEN as u64) {
            Ok(Some(bytes)) => bytes,
            Ok(None) if !self.scope.has_project(&page.project) => {
                Tally::one(&self.tally.left_out);
                return None;
            }
            Ok(None) => {
                trouble(Trouble::Missing, "it is not there");
                return None;
            }
            Err(error) => {
                trouble(Trouble::Unreadable, &with_causes(&error));
                return None;
            }
        };
        self.tally.read(bytes.len() as u64);
        let found = Sha256::of(&bytes);
        if found != page.sha256 || bytes.len() as u64 != page.length {
            let found = format!("{} bytes, sha256 {found}", bytes.len());
            trouble(Trouble::Altered, &found);
            return None;
        }
        if let Some(sha512) = &page.sha512 {
            if Sha512::of(&bytes) != *sha512 {
                trouble(Trouble::Altered, "its sha512 is not the signed one");
                return None;
            }
            let second = ObjectPath::page_by_sha512(&page.project, sha512);
            let expected = Expected {
                sha256: page.sha256,
                sha512: None,
                length: Some(page.length),
                limit: MAX_PAGE_LEN as u64,
            };
            self.second_name(&path, &second, &expected);
        }
        match ProjectPage::parse(&bytes) {
            Ok(parsed) if parsed.name == page.project => Some((bytes, parsed)),
            Ok(parsed) => {
                let found = format!("it is the page of {}", parsed.name);
                trouble(Trouble::Contradiction, &found);
                None
            }
            Err(error) => {
                trouble(Trouble::Contradiction, &with_causes(&error));
                None
            }
        }
    }

    fn certificates_of(&self, page: &Page, bound: &BoundCertificates) -> Object {
        let sha256 = digest(bound.sha256);
        Object {
            what: What::Certificates,
            chosen: self.scope.has_project(&page.project),
            path: ObjectPath::certificates(&page.project, &sha256),
            second: None,
            // Their plain name is an unsigned copy, which changes.
            plain: None,
            expected: Expected {
                sha256,
                sha512: None,
                length: Some(bound.size),
                limit: MAX_CERTIFICATES_LEN as u64,
            },
        }
    }

    fn objects_of(&self, page: &Page, file: &PageFile, chosen: bool) -> Vec<Object> {
        let (project, filename) = (&page.project, file.filename.as_str());
        let own = ObjectPath::page(project, &page.sha256);
        let lacking = |what: &str| {
            let found = format!("its entry for {filename} has none");
            self.finding(Trouble::Contradiction, &own, what, &found);
        };
        let Some(sha256) = file.sha256().map(digest) else {
            lacking("the sha256 of every file");
            return Vec::new();
        };
        let Ok(plain) = ObjectPath::plain_file(project, filename) else {
            self.finding(
                Trouble::Contradiction,
                &own,
                "files whose names a tree can hold",
                filename,
            );
            return Vec::new();
        };
        let said = Half {
            side: Side::Page,
            sha256,
            length: file.size,
        };
        self.compare(&plain, said);
        let sha512 = file.hashes.get("sha512");
        let sha512: Option<Sha512> = sha512.and_then(|digest| digest.parse().ok());
        let second = sha512
            .filter(|_| filename.len() <= MAX_SHA512_FILENAME_LEN)
            .and_then(|sha512| ObjectPath::file_by_sha512(project, &sha512, filename).ok());
        let mut objects = Vec::new();
        let mut add = |what, path, plain, expected| {
            if let Ok(path) = path {
                objects.push(Object {
                    what,
                    chosen,
                    path,
                    second: second.clone().filter(|_| what == What::File),
                    plain,
                    expected,
                });
            }
        };
        if let Some(metadata) = file.core_metadata.as_ref().and_then(|m| m.sha256()) {
            let sha256 = digest(metadata);
            add(
                What::CoreMetadata,
                ObjectPath::file_metadata(project, &sha256, filename),
                ObjectPath::plain_file_metadata(project, filename).ok(),
                Expected {
                    sha256,
                    sha512: None,
                    length: None,
                    limit: MAX_METADATA_LEN,
                },
            );
        }
        if let Some(chunks) = file
            .wheelmark
            .as_ref()
            .and_then(|marks| marks.chunks_sha256)
        {
            let sha256 = digest(chunks);
            let length = file.size.map(|size| size.div_ceil(CHUNK_LEN) * 32);
            add(
                What::Chunks,
                ObjectPath::chunks(project, &sha256, filename),
                None,
                Expected {
                    sha256,
                    sha512: None,
                    length,
                    limit: MAX_FILE_LEN / CHUNK_LEN * 32,
                },
            );
        }
        let marks = file.wheelmark.as_ref();
        if let Some(signature) = marks.and_then(|marks| marks.gpg_sig) {
            let sha256 = digest(signature.sha256);
            add(
                What::Signature,
                ObjectPath::signature(project, &sha256, filename),
                ObjectPath::plain_signature(project, filename).ok(),
                Expected {
                    sha256,
                    sha512: None,
                    length: Some(signature.length),
                    limit: MAX_SIGNATURE_LEN as u64,
                },
            );
        }
        if let Some(sha256) = marks.and_then(|marks| marks.provenance_sha256) {
            let sha256 = digest(sha256);
            add(
                What::Provenance,
                ObjectPath::provenance(project, &sha256, filename),
                ObjectPath::plain_provenance(project, filename).ok(),
                Expected {
                    sha256,
                    sha512: None,
                    length: None,
                    limit: MAX_PROVENANCE_LEN as u64,
                },
            );
        }
        add(
            What::File,
            ObjectPath::file(project, &sha256, filename),
            Some(plain),
            Expected {
                sha256,
                sha512,
                length: file.size,
                limit: MAX_FILE_LEN,
            },
        );
        objects
    }

    /// What installers get that verify nothing.
    fn check_copies(&self, page: &Page, signed: Option<&bytes::Bytes>, parsed: &ProjectPage) {
        let limit = MAX_PAGE_LEN as u64;
        let json = ObjectPath::simple_json(&page.project);
        self.check_copy(&json, limit, |copy| match signed {
            Some(signed) => copy == signed,
            None => *copy == *parsed.to_json(),
        });
        if let Some(bound) = &parsed.wheelmark.certificates {
            let certificates = ObjectPath::plain_certificates(&page.project);
            self.check_copy(&certificates, MAX_CERTIFICATES_LEN as u64, |copy| {
                Sha256::of(copy) == digest(bound.sha256)
            });
        }
        let html = ObjectPath::simple_html(&page.project);
        // The rendering may be another version's: then every link has to be one of the page's.
        self.check_copy(&html, 4 * limit, |copy| {
            *copy == *parsed.to_html().as_bytes() || lists_the_same(copy, parsed)
        });
    }

    fn check_copy(&self, path: &ObjectPath, limit: u64, is_same: impl FnOnce(&[u8]) -> bool) {
        let trouble = |found: &str| {
            let expected = "a copy of what is signed";
            self.finding(Trouble::CopyDiffers, path, expected, found);
        };
        match self.place.object(path, limit) {
            Ok(Some(copy)) => {
                self.tally.read(copy.len() as u64);
                if is_same(&copy) {
                    Tally::one(&self.tally.unsigned_copies);
                } else {
                    trouble("it says something else");
                }
            }
            Ok(None) => trouble("it is not there"),
            Err(error) => trouble(&with_causes(&error)),
        }
    }

    /// The unsigned list of projects, once all of them are known.
    pub(super) fn check_project_lists(&self) {
        if !self.place.has_simple() {
            return;
        }
        let projects = held(&self.projects).clone();
        let limit = wheelmark_packaging::simple::MAX_LIST_LEN as u64;
        let unread = held(&self.unread).clone();
        // Of what could not be read, nobody knows whether it should be listed.
        let is_all = |listed: &mut dyn Iterator<Item = ProjectName>| {
            let listed: HashSet<ProjectName> = listed.collect();
            let known = |name: &ProjectName| projects.contains(name) || unread.contains(name);
            projects.is_subset(&listed) && listed.iter().all(known)
        };
        self.check_copy(&ObjectPath::simple_list_json(), limit, |copy| {
            let Ok(list) = ProjectList::parse(copy) else {
                return false;
            };
            is_all(&mut list.projects.into_iter().map(|project| project.name))
        });
        self.check_copy(&ObjectPath::simple_list_html(), limit, |copy| {
            let Ok(list) = Names::from_html(copy) else {
                return false;
            };
            let own = |named: &Named| named.link == Some(format!("{}/", named.name));
            has_links_alone(copy, list.projects.len())
                && list.base.is_none()
                && list.skipped.is_empty()
                && list.projects.iter().all(own)
                && is_all(&mut list.projects.into_iter().map(|named| named.name))
        });
    }
}

/// Whether HTML of another rendering has the page's links with all that is said of each file,
/// and no other link, as a browser's reader and a simpler one would both see it.
fn lists_the_same(html: &[u8], page: &ProjectPage) -> bool {
    let Ok(listing) = Listing::from_html(&page.name, html) else {
        return false;
    };
    let url = |file: &PageFile| file.url.split('#').next().unwrap_or_default().to_owned();
    let same = |file: &PageFile| {
        let mut shown = listing.files.iter();
        let Some(shown) = shown.find(|shown| shown.filename == file.filename) else {
            return false;
        };
        let metadata = |file: &PageFile| file.core_metadata.as_ref().map(|m| m.sha256());
        let is_listed = |(name, digest): (&str, &str)| file.hashes.get(name) == Some(digest);
        url(shown) == url(file)
            && !shown.hashes.is_empty()
            && shown.hashes.iter().all(is_listed)
            && shown.requires_python == file.requires_python
            && shown.yanked == file.yanked
            && metadata(shown) == metadata(file)
    };
    has_links_alone(html, page.files.len())
        && listing.base.is_none()
        && listing.skipped.is_empty()
        && listing.files.len() == page.files.len()
        && page.files.iter().all(same)
}

/// Whether so many links are written there, those in comments and scripts included, and nothing
/// that would lead a reader elsewhere.
fn has_links_alone(html: &[u8], links: usize) -> bool {
    let Ok(text) = str::from_utf8(html) else {
        return false;
    };
    let text = text.to_ascii_lowercase();
    let leads_away = ["<!--", "<base", "<script", "http-equiv", "<iframe", "<form"];
    text.matches("href").count() == links && !leads_away.iter().any(|tag| text.contains(tag))
}

pub(super) fn digest(hex: wheelmark_packaging::simple::Sha256Hex) -> Sha256 {
    Sha256(hex.into())
}
