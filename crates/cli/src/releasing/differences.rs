//! In what a file differs from that of the release before it: what is inside of both, not how they
//! were packed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::Serialize;
use wheelmark_packaging::inspect::{core_metadata, sdist_files, wheel_contents};
use wheelmark_packaging::{DistributionFilename, InspectError};

/// What is inside of a distribution file.
pub(super) struct Inside {
    /// Length and SHA-256 of each file, by its path; where the path says the version, without it.
    files: BTreeMap<String, (u64, [u8; 32])>,
    /// The fields of its core metadata; not its description, whose length alone is shown.
    fields: BTreeMap<String, Vec<String>>,
    entry_points: Vec<String>,
}

/// In what a file differs from one of the release before it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Differences {
    /// The file that it is held against; none where there is none of its kind.
    pub(crate) compared_with: Option<String>,
    pub(crate) added: Vec<Member>,
    pub(crate) removed: Vec<Member>,
    pub(crate) changed: Vec<ChangedMember>,
    pub(crate) fields: Vec<ChangedField>,
    pub(crate) entry_points_added: Vec<String>,
    pub(crate) entry_points_removed: Vec<String>,
    /// Whether somebody attests to the file before, and nobody to this one.
    pub(crate) provenance_lost: bool,
}

/// A file inside of an archive.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Member {
    pub(crate) path: String,
    pub(crate) size: u64,
}

/// A file inside of both, with other bytes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangedMember {
    pub(crate) path: String,
    pub(crate) before: u64,
    pub(crate) after: u64,
}

/// A field of the core metadata that says something else.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangedField {
    pub(crate) field: String,
    pub(crate) before: Vec<String>,
    pub(crate) after: Vec<String>,
}

impl Inside {
    /// Reads an archive from one end to the other.
    pub(super) fn read(path: &Path, filename: &DistributionFilename) -> Result<Self, InspectError> {
        let open = || -> Result<_, InspectError> {
            Ok(BufReader::new(File::open(path).map_err(InspectError::Io)?))
        };
        let metadata = core_metadata(open()?, filename)?.metadata;
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (field, value) in metadata.fields() {
            if field != "description" {
                let values = fields.entry(field.to_owned()).or_default();
                values.push(value.to_owned());
            }
        }
        if let Some(description) = &metadata.description {
            let shown = format!("{} bytes", description.len());
            fields.insert("description".to_owned(), vec![shown]);
        }
        let (files, entry_points) = match filename {
            DistributionFilename::Wheel(wheel) => {
                let contents = wheel_contents(open()?, wheel)?;
                let points = contents
                    .entry_points
                    .iter()
                    .map(|point| format!("{} = {}:{}", point.name, point.module, point.attribute));
                let files = contents.files.iter().map(|(path, file)| {
                    let rest = path.strip_prefix(contents.dist_info.as_str());
                    let path =
                        rest.map_or_else(|| path.clone(), |rest| format!("*.dist-info{rest}"));
                    (path, (file.length, file.sha256))
                });
                (files.collect(), points.collect())
            }
            DistributionFilename::Sdist(sdist) => {
                let files = sdist_files(open()?, sdist)?;
                let files = files.iter().map(|(path, file)| {
                    let rest = path.split_once('/').map_or(path.as_str(), |(_, rest)| rest);
                    (rest.to_owned(), (file.length, file.sha256))
                });
                (files.collect(), Vec::new())
            }
        };
        Ok(Self {
            files,
            fields,
            entry_points,
        })
    }

    /// In what this differs from what was before it.
    pub(super) fn against(&self, before: Option<&Inside>) -> Differences {
        let nothing = BTreeMap::new();
        let old = before.map_or(&nothing, |before| &before.files);
        let only = |one: &BTreeMap<String, (u64, [u8; 32])>, other: &BTreeMap<String, _>| {
            let only = one.iter().filter(|(path, _)| !other.contains_key(*path));
            let members = only.map(|(path, (size, _))| Member {
                path: path.clone(),
                size: *size,
            });
            members.collect()
        };
        let changed = self.files.iter().filter_map(|(path, (after, sha256))| {
            let (before, old) = old.get(path)?;
            (old != sha256).then(|| ChangedMember {
                path: path.clone(),
                before: *before,
                after: *after,
            })
        });
        let mut differences = Differences {
            added: only(&self.files, old),
            removed: only(old, &self.files),
            changed: changed.collect(),
            ..Differences::default()
        };
        let no_fields = BTreeMap::new();
        let fields = before.map_or(&no_fields, |before| &before.fields);
        let names: std::collections::BTreeSet<&String> =
            self.fields.keys().chain(fields.keys()).collect();
        for name in names {
            let of = |fields: &BTreeMap<String, Vec<String>>| {
                fields.get(name).cloned().unwrap_or_default()
            };
            let (before, after) = (of(fields), of(&self.fields));
            if before != after {
                differences.fields.push(ChangedField {
                    field: name.clone(),
                    before,
                    after,
                });
            }
        }
        let points: &[String] = before.map_or(&[], |before| &before.entry_points);
        let missing = |one: &[String], other: &[String]| {
            let missing = one.iter().filter(|point| !other.contains(point));
            missing.cloned().collect()
        };
        differences.entry_points_added = missing(&self.entry_points, points);
        differences.entry_points_removed = missing(points, &self.entry_points);
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(files: &[(&str, u64, u8)], fields: &[(&str, &str)], points: &[&str]) -> Inside {
        let file = |(path, len, byte): &(&str, u64, u8)| ((*path).to_owned(), (*len, [*byte; 32]));
        let field = |(name, value): &(&str, &str)| ((*name).to_owned(), vec![(*value).to_owned()]);
        Inside {
            files: files.iter().map(file).collect(),
            fields: fields.iter().map(field).collect(),
            entry_points: points.iter().map(|point| (*point).to_owned()).collect(),
        }
    }

    #[test]
    fn all_that_differs_is_told_and_nothing_else() {
        let before = inside(
            &[("a.py", 1, 1), ("b.py", 2, 2), ("c.py", 3, 3)],
            &[("version", "1.0"), ("requires-dist", "six")],
            &["acme = acme:main"],
        );
        let after = inside(
            &[("a.py", 1, 1), ("b.py", 2, 9), ("d.py", 4, 4)],
            &[("version", "2.0"), ("requires-dist", "six")],
            &["acme = acme:other"],
        );
        let found = after.against(Some(&before));
        let paths = |members: &[Member]| {
            let paths = members.iter().map(|member| member.path.clone());
            paths.collect::<Vec<_>>()
        };
        assert_eq!(paths(&found.added), ["d.py"]);
        assert_eq!(paths(&found.removed), ["c.py"]);
        // Of the same length, and other bytes.
        assert_eq!(found.changed.len(), 1);
        assert_eq!(found.changed[0].path, "b.py");
        assert_eq!(found.fields.len(), 1);
        assert_eq!(found.fields[0].field, "version");
        assert_eq!(found.entry_points_added, ["acme = acme:other"]);
        assert_eq!(found.entry_points_removed, ["acme = acme:main"]);
        let same = before.against(Some(&before));
        assert!(same.added.is_empty() && same.changed.is_empty() && same.fields.is_empty());
        // The first of its kind is new, all of it.
        assert_eq!(after.against(None).added.len(), 3);
    }
}
