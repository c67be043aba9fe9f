//! An object that a page names: is it what was signed, under both of its names?

use std::sync::atomic::Ordering::Relaxed;

use wheelmark_objects::ObjectPath;

use super::tally::Tally;
use super::{Auditor, held, with_causes};
use crate::findings::Trouble;
use crate::place::{Expected, Place, Standing};

/// An object, and what it has to be.
pub(super) struct Object {
    pub(super) what: What,
    /// Whether it was to be copied.
    pub(super) chosen: bool,
    pub(super) path: ObjectPath,
    /// Its name by SHA-512, if it has one.
    pub(super) second: Option<ObjectPath>,
    /// The name that installers know, if it has one.
    pub(super) plain: Option<ObjectPath>,
    pub(super) expected: Expected,
}

/// Objects that are there under their plain name alone.
#[derive(Default)]
pub(super) struct PlainAlone {
    count: u64,
    some: Vec<(ObjectPath, Expected)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    File,
    CoreMetadata,
    Chunks,
    Signature,
    Provenance,
    Certificates,
}

impl<P: Place> Auditor<'_, P> {
    pub(super) fn object(&self, object: &Object) {
        let standing = self.standing(&object.path, &object.expected);
        let mut good = is_good(&standing);
        if let Some(Standing::Missing) = standing {
            // One name is enough for a server that leads the other one to it.
            let plain = object.plain.as_ref();
            let plain = plain.filter(|_| self.place.has_plain_names());
            let alone = plain.map(|plain| (plain, self.standing(plain, &object.expected)));
            match alone {
                Some((_, standing)) if is_good(&standing) => {
                    Tally::one(&self.tally.plain_alone);
                    if object.chosen {
                        self.keep_plain_alone(&object.path, &object.expected);
                    }
                    good = true;
                }
                _ if !object.chosen => Tally::one(&self.tally.left_out),
                _ => self.tell(&object.path, &object.expected, &Standing::Missing),
            }
        } else if let Some(standing) = &standing {
            self.tell(&object.path, &object.expected, standing);
            if good && object.plain.is_some() {
                self.has_hashed_names.store(true, Relaxed);
            }
            if good && let Some(plain) = &object.plain {
                self.plain_name(object, plain);
            }
            if good && let Some(second) = &object.second {
                self.second_name(&object.path, second, &object.expected);
            }
        }
        if good {
            Tally::one(match object.what {
                What::File => &self.tally.files,
                What::CoreMetadata => &self.tally.core_metadata,
                What::Chunks => &self.tally.chunk_lists,
                What::Signature => &self.tally.signatures,
                What::Provenance => &self.tally.provenances,
                What::Certificates => &self.tally.certificates,
            });
            if object.what == What::File {
                let length = object.expected.length.unwrap_or(0);
                self.tally.file_bytes.fetch_add(length, Relaxed);
            }
        }
    }

    fn keep_plain_alone(&self, path: &ObjectPath, expected: &Expected) {
        let mut alone = held(&self.plain_alone);
        alone.count += 1;
        if alone.some.len() < self.listed {
            alone.some.push((path.clone(), *expected));
        }
    }

    /// A tree without links has none of the names with a hash. Where there are others, one that
    /// is not there was lost.
    pub(super) fn judge_plain_alone(&self) {
        if !self.has_hashed_names.load(Relaxed) {
            return;
        }
        let alone = std::mem::take(&mut *held(&self.plain_alone));
        let told = alone.some.len() as u64;
        for (path, expected) in alone.some {
            let found = "it is there under its plain name alone, unlike others";
            self.finding(Trouble::Missing, &path, &describe(&expected), found);
        }
        self.findings.count(Trouble::Missing, alone.count - told);
    }

    /// What an object is; none where that cannot be told, which is a finding.
    fn standing(&self, path: &ObjectPath, expected: &Expected) -> Option<Standing> {
        match self.place.check(path, expected) {
            Ok(standing) => {
                match standing {
                    Standing::Same { read }
                    | Standing::OtherBytes { read, .. }
                    | Standing::OtherSha512 { read } => {
                        self.tally.read(read);
                    }
                    Standing::SameAsRecorded => Tally::one(&self.tally.recorded),
                    Standing::RightLength | Standing::There => {
                        Tally::one(&self.tally.lengths_only);
                    }
                    Standing::Missing | Standing::OtherLength { .. } => {}
                }
                Some(standing)
            }
            Err(error) => {
                let expected = describe(expected);
                self.finding(Trouble::Unreadable, path, &expected, &with_causes(&error));
                None
            }
        }
    }

    fn tell(&self, path: &ObjectPath, expected: &Expected, standing: &Standing) {
        let (trouble, found) = match standing {
            Standing::Missing => (Trouble::Missing, "it is not there".to_owned()),
            Standing::OtherLength { found } => (Trouble::Altered, format!("{found} bytes")),
            Standing::OtherBytes { found, .. } => (Trouble::Altered, format!("sha256 {found}")),
            Standing::OtherSha512 { .. } => (
                Trouble::Altered,
                "this sha256, and another sha512 than is signed".to_owned(),
            ),
            Standing::Same { .. }
            | Standing::SameAsRecorded
            | Standing::RightLength
            | Standing::There => return,
        };
        self.finding(trouble, path, &describe(expected), &found);
    }

    /// The same under the name that installers know.
    fn plain_name(&self, object: &Object, plain: &ObjectPath) {
        if !self.place.has_plain_names() {
            return;
        }
        if self.place.are_one(&object.path, plain) {
            return Tally::one(&self.tally.plain_names);
        }
        let target = format!("the bytes of {}", object.path);
        match self.standing(plain, &object.expected) {
            Some(Standing::Missing) => {
                self.finding(Trouble::PlainMissing, plain, &target, "it is not there");
            }
            Some(Standing::OtherLength { found }) => {
                let found = format!("{found} bytes");
                self.finding(Trouble::PlainDiffers, plain, &target, &found);
            }
            Some(Standing::OtherBytes { found, .. }) => {
                let found = format!("sha256 {found}");
                self.finding(Trouble::PlainDiffers, plain, &target, &found);
            }
            Some(Standing::OtherSha512 { .. }) => {
                self.finding(Trouble::PlainDiffers, plain, &target, "another sha512");
            }
            Some(_) => Tally::one(&self.tally.plain_names),
            None => {}
        }
    }

    /// The same under the name by SHA-512, which other TUF clients may go by.
    pub(super) fn second_name(&self, path: &ObjectPath, second: &ObjectPath, expected: &Expected) {
        if !self.place.are_one(path, second)
            && let Some(standing) = self.standing(second, expected)
        {
            self.tell(second, expected, &standing);
        }
    }
}

fn is_good(standing: &Option<Standing>) -> bool {
    matches!(
        standing,
        Some(
            Standing::Same { .. }
                | Standing::SameAsRecorded
                | Standing::RightLength
                | Standing::There
        )
    )
}

fn describe(expected: &Expected) -> String {
    match expected.length {
        Some(length) => format!("{length} bytes, sha256 {}", expected.sha256),
        None => format!("sha256 {}", expected.sha256),
    }
}
